//! `add`: the sum of two numbers.

use mortise_plugin_api::prelude::*;
use serde_json::Number;

pub(crate) struct Add;

#[derive(Deserialize)]
struct Addends {
    a: Number,
    b: Number,
}

impl Tool for Add {
    fn info(&self) -> ToolInfo {
        let schema = json!({
            "type": "object",
            "properties": { "a": { "type": "number" }, "b": { "type": "number" } },
            "required": ["a", "b"],
            "additionalProperties": false,
        });
        ToolInfo::of_schema("add", "Add", schema).idempotent()
    }

    async fn call(&self, _run: RunContext, arguments: Value) -> Result<Value> {
        let Addends { a, b } = read_arguments(arguments)?;
        let sum = sum(&a, &b).ok_or_else(|| Error::invalid("the sum is too large"))?;
        Ok(json!({ "sum": sum }))
    }
}

// Whole numbers stay whole: 3 and not 3.0. `None` for what no number can hold.
fn sum(a: &Number, b: &Number) -> Option<Number> {
    let whole = a.as_i64().zip(b.as_i64());
    if let Some(sum) = whole.and_then(|(a, b)| a.checked_add(b)) {
        return Some(sum.into());
    }
    let sum = a.as_f64()? + b.as_f64()?;
    match sum.to_string().parse::<i64>() {
        Ok(whole) => Some(whole.into()),
        Err(_) => Number::from_f64(sum),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_stay_whole() {
        let add = |a: Value, b: Value| {
            let Addends { a, b } = serde_json::from_value(json!({"a": a, "b": b})).unwrap();
            sum(&a, &b).map(|sum| sum.to_string())
        };
        assert_eq!(add(json!(1), json!(2)).as_deref(), Some("3"));
        assert_eq!(add(json!(1.5), json!(1.5)).as_deref(), Some("3"));
        assert_eq!(add(json!(0.5), json!(1)).as_deref(), Some("1.5"));
        assert_eq!(
            add(json!(i64::MAX), json!(i64::MAX)).as_deref(),
            Some("1.8446744073709552e+19")
        );
        assert_eq!(add(json!(f64::MAX), json!(f64::MAX)), None);
    }
}
