//! `add`: arguments that are validated, and a result.

use mortise_plugin_api::prelude::*;

pub(crate) struct Add;

impl Tool for Add {
    fn info(&self) -> ToolInfo {
        let schema = json!({
            "type": "object",
            "properties": { "a": { "type": "number" }, "b": { "type": "number" } },
            "required": ["a", "b"],
            "additionalProperties": false,
        });
        ToolInfo::of_schema("add", "Add", schema)
    }

    async fn call(&self, _run: RunContext, arguments: Value) -> Result<Value> {
        Ok(json!({ "sum": sum(&arguments["a"], &arguments["b"]) }))
    }
}

// Whole numbers stay whole: 3 and not 3.0.
fn sum(a: &Value, b: &Value) -> Value {
    if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64())
        && let Some(sum) = a.checked_add(b)
    {
        return sum.into();
    }
    let sum = a.as_f64().unwrap_or_default() + b.as_f64().unwrap_or_default();
    match sum.to_string().parse::<i64>() {
        Ok(whole) => whole.into(),
        Err(_) => sum.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_stay_whole() {
        assert_eq!(sum(&json!(1), &json!(2)), json!(3));
        assert_eq!(sum(&json!(1.5), &json!(1.5)), json!(3));
        assert_eq!(sum(&json!(0.5), &json!(1)), json!(1.5));
    }
}
