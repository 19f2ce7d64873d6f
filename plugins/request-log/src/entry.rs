//! What stands in entries. What is told of here was asked for in [`wanted`](crate::wanted).

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{ObservedPhase, ObservedRequest, RunInfo};

use crate::config::{Config, Level};
use crate::redact::Redaction;

/// Makes entries of what is observed.
#[derive(Debug)]
pub(crate) struct Scribe {
    config: Config,
    redaction: Redaction,
}

/// One line of the log.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) level: Level,
    pub(crate) event: String,
    pub(crate) request_id: String,
    pub(crate) agent: Option<String>,
    pub(crate) run_id: Option<String>,
    pub(crate) conversation_id: Option<String>,
    pub(crate) data: Value,
}

// === impl Scribe ===

impl Scribe {
    pub(crate) fn new(config: Config) -> Self {
        let redaction = Redaction::new(&config.redact_headers, &config.redact_body);
        Self { config, redaction }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn request(&self, request: ObservedRequest) -> Entry {
        let data = json!({
            "kind": request.kind,
            "method": request.method,
            "path": request.path,
            "principal": request.principal.as_ref().map(named),
            "clientIp": request.client_ip,
            "headers": self.redaction.headers(request.headers),
            "body": request.body.map(|body| self.redaction.body(body)),
        });
        Entry {
            level: self.config.level,
            event: "request.received".to_owned(),
            request_id: request.request_id,
            agent: request.agent,
            run_id: None,
            conversation_id: None,
            data,
        }
    }

    pub(crate) fn completed(&self, completed: &Completed) -> Entry {
        let data = json!({
            "method": completed.method,
            "path": completed.path,
            "principal": completed.principal.as_ref().map(named),
            "clientIp": completed.client_ip,
            "status": completed.status,
            "bytes": completed.bytes,
            "durationMs": completed.duration_ms,
            "usage": completed.usage,
        });
        Entry {
            level: self.config.level,
            event: "request.completed".to_owned(),
            request_id: completed.request_id.clone(),
            agent: completed.agent.clone(),
            run_id: None,
            conversation_id: None,
            data,
        }
    }

    pub(crate) fn event(&self, run: &RunInfo, event: &Event) -> Entry {
        let kind = event.kind();
        let level = if kind.ends_with("_ERROR") {
            Level::Error
        } else {
            self.config.level
        };
        let data = serde_json::to_value(event).unwrap_or_else(|_| json!({ "type": kind }));
        self.of_run(run, "run.event", level, data)
    }

    /// `None` for calls of tools of which only those that failed are logged, or only the others: what
    /// is asked for has one name for both.
    pub(crate) fn phase(&self, observed: ObservedPhase) -> Option<Entry> {
        let include = &self.config.include;
        let failed = observed
            .data
            .get("error")
            .is_some_and(|error| !error.is_null());
        let quiet = self.config.level.min(Level::Debug);
        let (included, level) = match observed.phase.as_str() {
            "tool.after" if failed => (include.errors, Level::Error),
            "tool.after" => (include.tool_calls, self.config.level),
            "step.start" | "tool.before" => (true, self.config.level),
            _ => (true, quiet),
        };
        included.then(|| self.of_run(&observed.run, &observed.phase, level, observed.data))
    }

    fn of_run(&self, run: &RunInfo, event: &str, level: Level, data: Value) -> Entry {
        Entry {
            level,
            event: event.to_owned(),
            request_id: run.request_id.clone(),
            agent: Some(run.agent.clone()),
            run_id: Some(run.run_id.clone()),
            conversation_id: run.conversation_id.clone(),
            data: self.redaction.body(data),
        }
    }
}

fn named(principal: &Principal) -> String {
    format!("{}/{}", principal.tenant, principal.subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scribe(config: Value) -> Scribe {
        Scribe::new(serde_json::from_value(config).unwrap())
    }

    fn run() -> RunInfo {
        serde_json::from_value(json!({
            "runId": "r1", "agent": "plain", "conversationId": "c1", "requestId": "q1",
        }))
        .unwrap()
    }

    fn phase(name: &str, data: &Value) -> ObservedPhase {
        serde_json::from_value(json!({ "phase": name, "run": run(), "data": data })).unwrap()
    }

    fn event(kind: &str) -> Event {
        serde_json::from_value(json!({ "type": kind })).unwrap()
    }

    #[test]
    fn each_phase_has_its_level() {
        let scribe = scribe(json!({}));
        let failed = json!({ "error": "tool exploded" });
        let table = [
            ("step.start", Value::Null, Level::Info),
            ("model.before", Value::Null, Level::Debug),
            ("model.after", Value::Null, Level::Debug),
            ("tool.before", Value::Null, Level::Info),
            ("tool.after", json!({ "error": null }), Level::Info),
            ("tool.after", failed, Level::Error),
            ("save.before", Value::Null, Level::Debug),
        ];
        for (name, data, level) in table {
            let entry = scribe.phase(phase(name, &data)).unwrap();
            assert_eq!((entry.event.as_str(), entry.level), (name, level));
            assert_eq!(entry.run_id.as_deref(), Some("r1"));
            assert_eq!(entry.conversation_id.as_deref(), Some("c1"));
            assert_eq!(entry.request_id, "q1");
        }
    }

    #[test]
    fn failures_are_errors() {
        let scribe = scribe(json!({}));
        let level = |kind: &str| scribe.event(&run(), &event(kind)).level;
        assert_eq!(level("X_ERROR"), Level::Error);
        assert_eq!(level("X_START"), Level::Info);
    }

    #[test]
    fn of_calls_of_tools_those_that_fail_are_included_by_themselves() {
        let failed = json!({ "error": "x" });
        for (include, errors) in [
            (json!({ "tool_calls": false }), true),
            (json!({ "errors": false }), false),
        ] {
            let scribe = scribe(json!({ "include": include }));
            let is_logged = |data: &Value| scribe.phase(phase("tool.after", data)).is_some();
            assert_eq!(is_logged(&failed), errors);
            assert_eq!(is_logged(&Value::Null), !errors);
        }
    }

    #[test]
    fn a_request_is_shown_without_its_secrets() {
        let scribe = scribe(json!({
            "redact_body": ["context.token"], "redact_headers": ["x-session"], "level": "debug",
        }));
        let request: ObservedRequest = serde_json::from_value(json!({
            "requestId": "q1", "kind": "run", "method": "POST", "path": "/plain/run",
            "agent": "plain", "principal": { "tenant": "acme", "subject": "ann" },
            "clientIp": "192.0.2.7", "headers": [["x-session", "s"]],
            "body": { "input": "hi", "context": { "token": "t" } },
        }))
        .unwrap();
        let entry = scribe.request(request);
        assert_eq!(entry.level, Level::Debug);
        assert_eq!(
            entry.data,
            json!({
                "kind": "run", "method": "POST", "path": "/plain/run", "principal": "acme/ann",
                "clientIp": "192.0.2.7", "headers": { "x-session": "[REDACTED]" },
                "body": { "input": "hi", "context": { "token": "[REDACTED]" } },
            })
        );
    }
}
