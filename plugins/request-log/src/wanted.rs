//! What the observer wants to be told of: only what would be written, so that the rest costs
//! nothing.

use crate::config::{Config, Level};

/// Events that there are only a few of in a run.
const EVENTS: &[&str] = &[
    "RUN_STARTED",
    "RUN_FINISHED",
    "RUN_ABORTED",
    "STEP_START",
    "STEP_FINISH",
    "TOOL_CALL_START",
    "TOOL_CALL_END",
    "TOOL_CALL_RESULT",
    "TOOL_APPROVAL_REQUIRED",
    "TOOL_APPROVAL_UPDATED",
    "TEXT_MESSAGE_START",
    "TEXT_MESSAGE_END",
    "REASONING_MESSAGE_START",
    "REASONING_MESSAGE_END",
    "DATA_PART",
];

/// Events that there may be thousands of.
const DELTAS: &[&str] = &[
    "TEXT_MESSAGE_CONTENT",
    "REASONING_MESSAGE_CONTENT",
    "TOOL_CALL_ARGS",
];

/// The names of what is written, where `is_written` says which levels the server's log has.
pub(crate) fn wanted(config: &Config, is_written: impl Fn(Level) -> bool) -> Vec<&'static str> {
    let include = &config.include;
    let quiet = config.level.min(Level::Debug);
    let groups: [(bool, Level, &[&str]); 9] = [
        (include.requests, config.level, &["request"]),
        (include.events, config.level, EVENTS),
        (include.events && config.deltas, config.level, DELTAS),
        (
            include.errors,
            Level::Error,
            &["RUN_ERROR", "STEP_ERROR", "tool.after"],
        ),
        (include.steps, config.level, &["step.start"]),
        (include.model_calls, quiet, &["model.before", "model.after"]),
        (include.tool_calls, config.level, &["tool.before"]),
        (
            include.tool_calls && !include.errors,
            config.level,
            &["tool.after"],
        ),
        (include.saves, quiet, &["save.before"]),
    ];
    groups
        .into_iter()
        .filter(|(included, level, _)| *included && is_written(*level))
        .flat_map(|(_, _, names)| names.iter().copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use mortise_plugin_api::serde_json;

    use super::*;

    fn config(text: &str) -> Config {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn deltas_and_saves_are_wanted_only_when_asked_for() {
        let plain = wanted(&config("{}"), |_| true);
        assert!(plain.contains(&"request") && plain.contains(&"RUN_STARTED"));
        assert!(!plain.contains(&"TEXT_MESSAGE_CONTENT") && !plain.contains(&"save.before"));
        let all = r#"{"deltas": true, "include": {"saves": true}}"#;
        let all = wanted(&config(all), |_| true);
        assert!(all.contains(&"TEXT_MESSAGE_CONTENT") && all.contains(&"save.before"));
    }

    #[test]
    fn what_is_not_included_is_not_wanted() {
        let nothing = r#"{"deltas": true, "include": {
            "requests": false, "events": false, "steps": false, "model_calls": false,
            "tool_calls": false, "errors": false
        }}"#;
        assert!(wanted(&config(nothing), |_| true).is_empty());
    }

    #[test]
    fn what_the_log_would_drop_is_not_wanted() {
        let quiet = wanted(&config("{}"), |level| level >= Level::Warn);
        assert_eq!(quiet, ["RUN_ERROR", "STEP_ERROR", "tool.after"]);
    }
}
