//! Rules: what an agent is in runs whose context fits.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::agents::AgentSpec;
use crate::config::FreeTable;

/// An agent for the runs whose context fits.
pub(crate) struct ChosenBy {
    when: Map<String, Value>,
    pub(crate) agent: Arc<AgentSpec>,
}

// === impl ChosenBy ===

impl ChosenBy {
    pub(crate) fn new(when: &FreeTable, agent: AgentSpec) -> Self {
        Self {
            when: when.value().as_object().cloned().unwrap_or_default(),
            agent: Arc::new(agent),
        }
    }

    /// Whether the context holds all that is asked for.
    pub(crate) fn fits(&self, context: Option<&Value>) -> bool {
        fits(&self.when, context)
    }
}

fn fits(when: &Map<String, Value>, context: Option<&Value>) -> bool {
    when.iter().all(|(key, wanted)| {
        let Some(found) = context.and_then(|context| context.get(key)) else {
            return false;
        };
        match wanted {
            Value::Array(several) => several.iter().any(|one| same(one, found)),
            one => same(one, found),
        }
    })
}

/// Numbers are compared by what they are worth: 1 is 1.0.
fn same(wanted: &Value, found: &Value) -> bool {
    match (wanted.as_f64(), found.as_f64()) {
        (Some(wanted), Some(found)) => wanted.total_cmp(&found).is_eq(),
        _ => wanted == found,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_fits_where_the_context_holds_all_of_it() {
        for (when, context, expected) in [
            (
                json!({ "plan": "pro" }),
                json!({ "plan": "pro", "x": 1 }),
                true,
            ),
            (json!({ "plan": "pro" }), json!({ "plan": "free" }), false),
            (json!({ "plan": "pro" }), json!({ "plan": ["pro"] }), false),
            (json!({ "plan": "pro" }), json!({}), false),
            (json!({ "plan": "pro" }), json!("pro"), false),
            (json!({ "plan": "pro" }), json!(null), false),
            (
                json!({ "plan": ["pro", "team"] }),
                json!({ "plan": "team" }),
                true,
            ),
            (
                json!({ "plan": ["pro", "team"] }),
                json!({ "plan": "free" }),
                false,
            ),
            (json!({ "level": 2 }), json!({ "level": 2.0 }), true),
            (json!({ "level": 2 }), json!({ "level": "2" }), false),
            (json!({ "beta": true }), json!({ "beta": true }), true),
            (json!({ "beta": true }), json!({ "beta": "true" }), false),
            (json!({ "a": 1, "b": 2 }), json!({ "a": 1 }), false),
        ] {
            let Value::Object(when) = when else {
                panic!("it is an object")
            };
            assert_eq!(fits(&when, Some(&context)), expected, "{when:?} {context}");
            assert!(!fits(&when, None), "{when:?}");
        }
    }
}
