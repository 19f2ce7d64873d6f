//! What is not shown: values of some headers and of some fields, beside those of credentials, which
//! the server hides from observers itself.

use mortise_plugin_api::prelude::*;
use serde_json::Map;

const REDACTED: &str = "[REDACTED]";

#[derive(Debug)]
pub(crate) struct Redaction {
    headers: Vec<String>,
    paths: Vec<Vec<String>>,
}

// === impl Redaction ===

impl Redaction {
    pub(crate) fn new(headers: &[String], paths: &[String]) -> Self {
        Self {
            headers: headers
                .iter()
                .map(|name| name.trim().to_ascii_lowercase())
                .collect(),
            paths: paths
                .iter()
                .map(|path| path.split('.').map(str::to_owned).collect())
                .collect(),
        }
    }

    /// Headers as an object; the values of a repeated header are joined with commas.
    pub(crate) fn headers(&self, headers: Vec<(String, String)>) -> Value {
        let mut shown: Map<String, Value> = Map::new();
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            let value = if self.headers.contains(&name) {
                REDACTED.to_owned()
            } else {
                value
            };
            let joined = match shown.get(&name).and_then(Value::as_str) {
                Some(present) => format!("{present}, {value}"),
                None => value,
            };
            shown.insert(name, joined.into());
        }
        Value::Object(shown)
    }

    /// The same value without what is not shown.
    pub(crate) fn body(&self, mut body: Value) -> Value {
        for path in &self.paths {
            redact(&mut body, path);
            // A run's first event repeats what the request said.
            if let Some(input) = body.get_mut("runInput") {
                redact(input, path);
            }
        }
        body
    }
}

fn redact(value: &mut Value, path: &[String]) {
    if let Value::Array(elements) = value {
        for element in elements {
            redact(element, path);
        }
        return;
    }
    match path {
        [] => {}
        [field] => {
            if let Some(hidden) = value.get_mut(field) {
                *hidden = REDACTED.into();
            }
        }
        [field, rest @ ..] => {
            if let Some(inner) = value.get_mut(field) {
                redact(inner, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_headers_are_hidden() {
        let redaction = Redaction::new(&["X-Token".to_owned()], &[]);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let shown = redaction.headers(vec![
            header("x-token", "t"),
            header("accept", "a"),
            header("accept", "b"),
        ]);
        assert_eq!(shown, json!({"x-token": "[REDACTED]", "accept": "a, b"}));
    }

    #[test]
    fn paths_pass_through_lists_and_miss_what_is_not_there() {
        let paths = [
            "context.token",
            "input.content",
            "nothing.here",
            "input.role.deep",
        ];
        let redaction = Redaction::new(&[], &paths.map(str::to_owned));
        let body = json!({
            "context": {"token": "t", "user": "ann"},
            "input": [{"role": "user", "content": "a"}, {"role": "user", "content": ["b"]}],
        });
        assert_eq!(
            redaction.body(body),
            json!({
                "context": {"token": "[REDACTED]", "user": "ann"},
                "input": [
                    {"role": "user", "content": "[REDACTED]"},
                    {"role": "user", "content": "[REDACTED]"},
                ],
            })
        );
    }
}
