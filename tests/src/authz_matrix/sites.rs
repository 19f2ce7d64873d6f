//! What is asked for: every route, below the base path and without it.

use serde_json::{Value, json};

use super::oracle::{BASE, Owned};

/// A request as it should be written.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) body: String,
}

/// Two requests of which strangers must not know which one names something that is there.
#[derive(Debug, Clone)]
pub(super) struct Twins {
    pub(super) there: Site,
    pub(super) absent: Site,
}

/// What waits for an answer of the owner, and of nobody else.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    /// The run of a client tool.
    pub(super) tool_run: String,
    /// The run of a tool that asks for approval.
    pub(super) approval_run: String,
}

// === impl Site ===

impl Site {
    /// What a method needs that has a body, where the same path is asked with others.
    fn with_body(mut self, body: &Value) -> Self {
        self.body = body.to_string();
        self
    }
}

/// Every route.
pub(super) fn sites(owned: &Owned) -> Vec<Site> {
    let mut sites = vec![
        get("/livez"),
        get("/readyz"),
        get("/openapi.json"),
        // It has an address of its own, which this is not.
        get("/metrics"),
        get("/own/open"),
        get("/own/who"),
        post("/own/json", &json!({ "a": 1 })),
    ];
    let Owned {
        conversation,
        run,
        job,
    } = owned;
    for base in [BASE, ""] {
        let hi = json!({ "input": "hi" });
        sites.extend([
            post(format!("{base}/plain/run"), &hi),
            post(format!("{base}/ghost/run"), &hi),
            get(format!("{base}/plain/conversations/{conversation}")),
            get(format!(
                "{base}/plain/conversations/{}",
                absent(conversation)
            )),
            get(format!("{base}/plain/conversations/{conversation}/resume")),
            get(format!("{base}/plain/stream-events/resume?streamId={run}")),
            get(format!(
                "{base}/plain/stream-events/resume?streamId={}",
                absent(run)
            )),
            post(format!("{base}/plain/runs/{run}/abort"), &Value::Null),
            post(format!("{base}/plain/run/tool-result"), &result_for(run)),
            post(
                format!("{base}/plain/run/tool-approval"),
                &approval_for(run),
            ),
            get(format!("{base}/-/agents")),
            get(format!("{base}/-/runs")),
            get(format!("{base}/-/runs/{run}")),
            get(format!("{base}/-/runs/{}", absent(run))),
            get(format!("{base}/-/approvals")),
            get(format!("{base}/-/usage")),
            get(format!("{base}/-/jobs")).with_body(&later()),
            post(format!("{base}/-/agents/plain/jobs"), &later()),
            get(format!("{base}/-/jobs/{job}")).with_body(&later()),
            delete(format!("{base}/-/jobs/{job}")).with_body(&later()),
            get(format!("{base}/-/jobs/{}", absent(job))).with_body(&later()),
            post(format!("{base}/tools/add/execute"), &add()),
            post(format!("{base}/tools/ghost/execute"), &add()),
            delete(format!("{base}/-/conversations/plain/none")),
            get(format!("{base}/health")),
            get(format!("{base}/ops/abc")),
            post(format!("{base}/ops/abc"), &Value::Null),
        ]);
    }
    sites
}

/// Every route that takes an id, with one that is there and one that never was.
pub(super) fn twins(owned: &Owned, waiting: &Waiting) -> Vec<Twins> {
    let twins = |id: &str, site: &dyn Fn(&str) -> Site| Twins {
        there: site(id),
        absent: site(&absent(id)),
    };
    let Owned {
        conversation,
        run,
        job,
    } = owned;
    let Waiting {
        tool_run,
        approval_run,
    } = waiting;
    let mut all = vec![
        twins(conversation, &|id| {
            get(format!("{BASE}/plain/conversations/{id}"))
        }),
        twins(conversation, &|id| {
            get(format!("{BASE}/plain/conversations/{id}/resume"))
        }),
        twins(conversation, &|id| {
            let body = json!({ "input": "hist", "conversationId": id });
            post(format!("{BASE}/interactive/run"), &body)
        }),
        twins(conversation, &|id| {
            delete(format!("{BASE}/-/conversations/plain/{id}"))
        }),
        twins(tool_run, &|id| {
            post(format!("{BASE}/plain/run/tool-result"), &result_for(id))
        }),
        twins(approval_run, &|id| {
            post(format!("{BASE}/plain/run/tool-approval"), &approval_for(id))
        }),
    ];
    all.push(twins(job, &|id| get(format!("{BASE}/-/jobs/{id}"))));
    all.push(twins(job, &|id| delete(format!("{BASE}/-/jobs/{id}"))));
    for run in [run, tool_run, approval_run, &format!("run:{job}")] {
        all.push(twins(run, &|id| {
            get(format!("{BASE}/plain/stream-events/resume?streamId={id}"))
        }));
        all.push(twins(run, &|id| {
            post(format!("{BASE}/plain/runs/{id}/abort"), &Value::Null)
        }));
        all.push(twins(run, &|id| get(format!("{BASE}/-/runs/{id}"))));
    }
    all
}

/// The body that answers the first client tool of a run.
pub(super) fn result_for(run: &str) -> Value {
    json!({ "runId": run, "toolCallId": "call_1", "status": "success", "result": { "ok": true } })
}

/// The body that approves the first call of a run.
pub(super) fn approval_for(run: &str) -> Value {
    json!({ "runId": run, "toolCallId": "call_1", "decision": "approved" })
}

/// The body that has a tool add two numbers.
fn add() -> Value {
    json!({ "input": { "a": 1, "b": 2 } })
}

/// The body that asks for a run which is not done before the test is over.
fn later() -> Value {
    json!({ "input": "hi", "delay": 86_400_000 })
}

/// An id of the same form that nobody has.
pub(super) fn absent(id: &str) -> String {
    let (rest, last) = id.split_at(id.len() - 4);
    format!("{rest}{}", if last == "0000" { "1111" } else { "0000" })
}

fn get(target: impl Into<String>) -> Site {
    Site {
        method: "GET",
        target: target.into(),
        body: String::new(),
    }
}

fn delete(target: impl Into<String>) -> Site {
    Site {
        method: "DELETE",
        ..get(target)
    }
}

fn post(target: impl Into<String>, body: &Value) -> Site {
    Site {
        method: "POST",
        target: target.into(),
        body: match body {
            Value::Null => String::new(),
            body => body.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a target is one of a documented path; `{…}` stands for one segment.
    fn is_of(target: &str, pattern: &str) -> bool {
        let path = |text: &str| text.split('?').next().unwrap_or_default().to_owned();
        let (target, pattern) = (path(target), path(pattern));
        let (mut own, mut documented) = (target.split('/'), pattern.split('/'));
        loop {
            match (own.next(), documented.next()) {
                (None, None) => return true,
                (Some(own), Some(segment)) if own == segment || segment.starts_with('{') => {}
                _ => return false,
            }
        }
    }

    #[test]
    fn every_documented_route_is_asked() {
        let page = crate::workspace().join("docs/http-api.md");
        let page = std::fs::read_to_string(page).expect("the page is there");
        let rows = page.lines().filter_map(|line| {
            let (route, _) = line.strip_prefix("| `")?.split_once('`')?;
            let (method, path) = route.split_once(' ')?;
            path.starts_with('/').then_some((method, path))
        });
        let owned = Owned {
            conversation: "mine".to_owned(),
            run: "run_0001".to_owned(),
            job: "job_0001".to_owned(),
        };
        let sites = sites(&owned);
        let mut count = 0;
        for (method, path) in rows {
            count += 1;
            let is_asked = |site: &Site| site.method == method && is_of(&site.target, path);
            assert!(sites.iter().any(is_asked), "nobody asks {method} {path}");
        }
        assert!(count >= 10, "{count} routes in the page");
    }
}
