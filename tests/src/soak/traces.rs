//! What the tools have left outside of the server: a line for each time one ran.

use std::{collections::HashMap, fs, path::Path};

use super::{
    Findings,
    record::{Record, kind},
};

/// The tool that may be run again.
const IDEMPOTENT: &str = "trace_again";

/// How often each call was run.
#[derive(Debug, Default)]
pub(super) struct Traces {
    runs_of_call: HashMap<(String, String), usize>,
    /// How many lines there are.
    pub(super) count: usize,
    /// How many calls ran more than once, and may.
    pub(super) repeated: usize,
}

impl Traces {
    pub(super) fn read(file: &Path, findings: &mut Findings) -> Self {
        let mut traces = Self::default();
        let mut tools = HashMap::new();
        for line in fs::read_to_string(file).unwrap_or_default().lines() {
            let mut words = line.split(' ').map(str::to_owned);
            let (Some(run_id), Some(call_id), Some(tool), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                findings.add(format!("the trace {line:?} is torn"));
                continue;
            };
            traces.count += 1;
            let call = (run_id, call_id);
            *traces.runs_of_call.entry(call.clone()).or_default() += 1;
            tools.insert(call, tool);
        }
        for (call, count) in &traces.runs_of_call {
            if *count < 2 {
                continue;
            }
            if tools[call] == IDEMPOTENT {
                traces.repeated += 1;
            } else {
                findings.add(format!("{call:?} ran {count} times"));
            }
        }
        traces
    }

    /// A call with a result has run, and one that was denied has not.
    pub(super) fn check(&self, record: &Record, findings: &mut Findings) {
        for event in &record.events {
            let tool = event["toolCallName"].as_str().unwrap_or_default();
            if kind(event) != "TOOL_CALL_RESULT" || !tool.starts_with("trace") {
                continue;
            }
            let call_id = event["toolCallId"].as_str().unwrap_or_default().to_owned();
            let has_run = self
                .runs_of_call
                .contains_key(&(record.run_id.clone(), call_id));
            let is_traced = event["result"]["traced"] == true;
            let is_denied = event["result"]
                .as_str()
                .is_some_and(|it| it.contains("denied"));
            findings.expect(has_run == is_traced && is_traced != is_denied, || {
                format!("{}: {event}, and it has run: {has_run}", record.run_id)
            });
        }
    }
}
