//! The probe: how many calls there were, how they ended, and what the last one asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mortise_plugin_api::prelude::*;

use crate::conversation::{result, result_text, role};

/// The counters of one model.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    started: u64,
    finished: u64,
    aborted: u64,
    last: Option<Value>,
    /// Calls of tools, by the keys that they are counted as.
    #[serde(flatten)]
    tools: BTreeMap<String, u64>,
}

/// A call that has begun: it counts as aborted unless somebody says that it was finished.
#[derive(Debug)]
pub(crate) struct CountedCall {
    probe: Arc<Probe>,
    finished: bool,
}

/// The route that shows the counters.
pub(crate) fn mount(probe: Arc<Probe>) -> Mount {
    let show = Endpoint::get("/probe", move |_| {
        let shown = Response::json(&*probe.counts());
        async move { shown }
    });
    Mount::absolute("/api")
        .public()
        .endpoint(show.public().operation(json!({
            "operationId": "probe",
            "summary": "How many model calls there were, and what the last one asked",
            "responses": {
                "200": {
                    "description": "The counters",
                    "content": { "application/json": { "schema": {
                        "type": "object",
                        "required": ["started", "finished", "aborted", "last"],
                        "properties": { "last": { "type": ["object", "null"] } },
                        "additionalProperties": { "type": "integer", "minimum": 0 },
                    } } },
                },
            },
        })))
}

// === impl Probe ===

impl Probe {
    pub(crate) fn begin(self: &Arc<Self>, request: &ModelRequest) -> CountedCall {
        let mut counts = self.counts();
        counts.started += 1;
        counts.last = Some(shown(request));
        CountedCall {
            probe: Arc::clone(self),
            finished: false,
        }
    }

    pub(crate) fn count(&self, key: &str, calls: u64) {
        *self.counts().tools.entry(key.to_owned()).or_default() += calls;
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl CountedCall ===

impl CountedCall {
    /// The call has ended by itself, well or not.
    pub(crate) fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for CountedCall {
    fn drop(&mut self) {
        let mut counts = self.probe.counts();
        if self.finished {
            counts.finished += 1;
        } else {
            counts.aborted += 1;
        }
    }
}

fn shown(request: &ModelRequest) -> Value {
    let (instructions, messages): (Vec<&Item>, Vec<&Item>) = request
        .input
        .iter()
        .partition(|item| item.is_message_of("system"));
    let instructions: Vec<String> = instructions.into_iter().map(Item::text).collect();
    let messages: Vec<Value> = messages
        .into_iter()
        .filter_map(|item| {
            let text = result(item).map_or_else(|| item.text(), result_text);
            Some(json!({ "role": role(item)?, "text": text }))
        })
        .collect();
    json!({
        "instructions": instructions.join("\n"),
        "messages": messages,
        "options": request.options,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_ends_in_exactly_one_counter() {
        let probe = Arc::new(Probe::default());
        let request =
            ModelRequest::new(vec![Item::message("system", "Be brief."), Item::user("hi")]);
        probe.begin(&request).finish();
        drop(probe.begin(&request));
        assert_eq!(
            serde_json::to_value(&*probe.counts()).unwrap(),
            json!({
                "started": 2, "finished": 1, "aborted": 1,
                "last": {
                    "instructions": "Be brief.",
                    "messages": [{"role": "user", "text": "hi"}],
                    "options": {},
                },
            })
        );
    }
}
