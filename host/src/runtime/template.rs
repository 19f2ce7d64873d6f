//! Instructions with `{{context.x}}` in them.

use serde_json::Value;

/// The text with every `{{context.path}}` replaced by its value; what is absent is empty.
pub(crate) fn render(template: &str, context: Option<&Value>) -> String {
    let mut rendered = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        let (before, after) = rest.split_at(start);
        rendered.push_str(before);
        let Some((expression, remaining)) = after[2..].split_once("}}") else {
            rendered.push_str(after);
            return rendered;
        };
        match lookup(expression.trim(), context) {
            Some(Value::String(text)) => rendered.push_str(text),
            Some(Value::Null) | None => {}
            Some(other) => rendered.push_str(&other.to_string()),
        }
        rest = remaining;
    }
    rendered.push_str(rest);
    rendered
}

fn lookup<'a>(expression: &str, context: Option<&'a Value>) -> Option<&'a Value> {
    let path = expression.strip_prefix("context")?;
    let mut value = context?;
    for key in path.split('.').skip(1) {
        value = match value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?)?,
            other => other.get(key)?,
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_the_context_are_put_in() {
        let context = json!({"user": {"name": "Ann", "tags": ["a", "b"]}, "n": 3});
        let render = |template| render(template, Some(&context));
        assert_eq!(render("User {{context.user.name}}!"), "User Ann!");
        assert_eq!(render("{{ context.n }}{{context.user.tags.1}}"), "3b");
        assert_eq!(
            render("{{context.absent}}|{{other}}|{{context"),
            "||{{context"
        );
    }

    #[test]
    fn a_value_is_never_read_as_a_template() {
        let context = json!({"x": "{{context.secret}}", "secret": "s"});
        assert_eq!(
            render("{{context.x}}", Some(&context)),
            "{{context.secret}}"
        );
    }
}
