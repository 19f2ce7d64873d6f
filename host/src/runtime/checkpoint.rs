//! What a run remembers so that it can go on after a crash.
//!
//! A checkpoint says where a declared agent stands; marks say what has happened to the calls of its
//! step since. Both are stored together with the events that show the same to the client.

use std::collections::HashMap;

use mortise_plugin_api::{Item, ModelResponse};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::active::{ClientResult, Decision};
use super::tools::{CallOutcome, PendingCall};
use super::usage::Spent;

/// Where a declared agent stands: between two steps, or within one whose model has answered.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The step that comes, or is under way.
    pub(crate) step: u32,
    /// What the model reads.
    pub(crate) conversation: Vec<Item>,
    /// What was there before the run, and the input: stored with the conversation, before `said`.
    pub(crate) heard: Vec<Item>,
    pub(crate) said: Vec<Item>,
    /// The version of the conversation that was loaded.
    pub(crate) version: Option<u64>,
    pub(crate) repairs: u32,
    /// How many steps the run and its parts have taken.
    #[serde(default)]
    pub(crate) taken_steps: u32,
    #[serde(default)]
    pub(crate) spent: Spent,
    /// The model's answer of the step that is under way, and the calls that are left of it.
    pub(crate) pending: Option<Answered>,
}

/// What a model answered, and which calls it made.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answered {
    pub(crate) response: ModelResponse,
    pub(crate) calls: Vec<PendingCall>,
}

/// Something that has happened to a call.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CallMark {
    pub(crate) call_id: String,
    #[serde(flatten)]
    pub(crate) happened: Happened,
}

/// What has happened to a call.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "happened", content = "with", rename_all = "snake_case")]
pub(crate) enum Happened {
    /// Somebody was asked for an approval.
    ApprovalRequested(RequestedApproval),
    /// Somebody has decided; it may not be shown yet.
    Decided(Decision),
    /// What came of the approval was shown.
    ApprovalEnded(ApprovalEnd),
    /// The client was asked for a result, until this time.
    ClientAwaited(Until),
    /// The client has answered.
    ClientAnswered(ClientResult),
    /// The body of the tool runs: it must not be run again.
    Started,
    /// The call has its result, and it was shown.
    Ended(CallOutcome),
}

/// What came of an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ApprovalEnd {
    Decided(Decision),
    Expired,
}

/// When a wait ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Until {
    /// In milliseconds since 1970.
    At(u64),
    Never,
}

/// An approval that was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RequestedApproval {
    /// The exact arguments.
    pub(crate) arguments: Value,
    pub(crate) meta: Option<Value>,
    /// In milliseconds since 1970.
    pub(crate) requested_at: u64,
    pub(crate) expires: Until,
}

/// What has happened to a call before the crash.
#[derive(Debug, Default)]
pub(crate) struct CallProgress {
    pub(crate) requested: Option<RequestedApproval>,
    pub(crate) decision: Option<Decision>,
    /// What was shown to have come of the approval.
    pub(crate) shown: Option<ApprovalEnd>,
    /// Until when the client may answer.
    pub(crate) awaited: Option<Until>,
    pub(crate) client_result: Option<ClientResult>,
    pub(crate) is_started: bool,
    pub(crate) ended: Option<CallOutcome>,
}

// === impl Until ===

impl Until {
    /// The time, in milliseconds since 1970, if it ever comes.
    pub(crate) fn time(self) -> Option<u64> {
        match self {
            Self::At(time) => Some(time),
            Self::Never => None,
        }
    }
}

// === impl Progress ===

impl Progress {
    /// Something was said: the model reads it from now on, and it is stored.
    pub(crate) fn say(&mut self, item: Item) {
        self.conversation.push(item.clone());
        self.said.push(item);
    }
}

/// What has happened to each call, from its marks in order.
pub(crate) fn progress_of_calls(
    marks: &[String],
) -> Result<HashMap<String, CallProgress>, serde_json::Error> {
    let mut calls: HashMap<String, CallProgress> = HashMap::new();
    for mark in marks {
        let CallMark { call_id, happened } = serde_json::from_str(mark)?;
        let call = calls.entry(call_id).or_default();
        match happened {
            // Another attempt, with other arguments: nothing of the one before stands for it.
            Happened::ApprovalRequested(requested) => {
                *call = CallProgress {
                    requested: Some(requested),
                    ..CallProgress::default()
                };
            }
            Happened::Decided(decision) => call.decision = Some(decision),
            Happened::ApprovalEnded(end) => call.shown = Some(end),
            Happened::ClientAwaited(until) => call.awaited = Some(until),
            Happened::ClientAnswered(result) => call.client_result = Some(result),
            Happened::Started => call.is_started = true,
            Happened::Ended(outcome) => call.ended = Some(outcome),
        }
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn requested(path: &str) -> Happened {
        Happened::ApprovalRequested(RequestedApproval {
            arguments: json!({ "path": path }),
            meta: None,
            requested_at: 4,
            expires: Until::At(5),
        })
    }

    fn approved() -> Decision {
        Decision {
            approved: true,
            note: Some("fine".into()),
            actor_id: None,
        }
    }

    fn marks<const N: usize>(call_id: &str, happened: [Happened; N]) -> [String; N] {
        happened.map(|happened| {
            let call_id = call_id.to_owned();
            serde_json::to_string(&CallMark { call_id, happened }).unwrap()
        })
    }

    #[test]
    fn marks_come_back_as_they_were() {
        let decision = approved();
        let happened = [
            requested("/"),
            Happened::Decided(decision.clone()),
            Happened::ApprovalEnded(ApprovalEnd::Decided(decision.clone())),
            Happened::Started,
        ];
        let marks_of_first = marks("call_1", happened);
        let other = [
            Happened::ClientAwaited(Until::Never),
            Happened::ClientAnswered(Err("no".into())),
        ];
        let other = marks("call_2", other);
        let calls = progress_of_calls(&[&marks_of_first[..], &other[..]].concat()).unwrap();
        let first = &calls["call_1"];
        assert_eq!(first.requested.as_ref().unwrap().expires, Until::At(5));
        assert!(first.is_started && first.ended.is_none());
        assert_eq!(first.shown, Some(ApprovalEnd::Decided(decision)));
        let second = &calls["call_2"];
        assert_eq!(second.awaited, Some(Until::Never));
        assert_eq!(second.client_result, Some(Err("no".into())));
    }

    #[test]
    fn an_approval_stands_for_no_later_attempt() {
        let happened = [
            requested("/old"),
            Happened::Decided(approved()),
            Happened::ApprovalEnded(ApprovalEnd::Decided(approved())),
            Happened::Started,
            Happened::ClientAnswered(Ok(json!(1))),
            requested("/new"),
        ];
        let calls = progress_of_calls(&marks("call_1", happened)).unwrap();
        let call = &calls["call_1"];
        let arguments = &call.requested.as_ref().unwrap().arguments;
        assert_eq!(*arguments, json!({ "path": "/new" }));
        assert!(call.decision.is_none() && call.shown.is_none());
        assert!(!call.is_started && call.client_result.is_none());
    }
}
