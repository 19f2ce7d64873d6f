//! Runs that begin anywhere, are cut anywhere and are decided anywhere: all wires tell one story.

use std::thread;

use integration_tests::{Frame, Reply, Request, Server, SseReader};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::{Value, json};

use super::{TRANSFER, start, transfers};
use crate::support::{eventually, kinds, text_of};

const RUNS: &str = "/api/agents/clerk/runs";

/// Where a run begins.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wire {
    Chat,
    ChatSync,
    Runs,
    RunsStream,
    Background,
    Exposed,
    ExposedStream,
    ExposedJob,
    Native,
    NativeJob,
}

/// What it is to do.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Task {
    /// Say so many words.
    Talk(usize),
    /// Move money, if somebody approves.
    Transfer { approved: bool },
    /// Ask, and say what was answered.
    Ask,
}

/// What others do meanwhile.
#[derive(Debug, Clone, PartialEq)]
struct Case {
    wire: Wire,
    task: Task,
    /// After how many bytes the client that began it hangs up.
    hang_up: Option<u64>,
    /// After how many events whoever watches natively hangs up and comes back.
    cuts: Vec<usize>,
    /// Whether it is decided and aborted natively; else in the dialect that can.
    natively: bool,
    /// Whether both decide.
    twice: bool,
    /// At which event somebody aborts it.
    abort: Option<usize>,
}

fn cases() -> impl Strategy<Value = Case> {
    let wire = prop::sample::select(vec![
        Wire::Chat,
        Wire::ChatSync,
        Wire::Runs,
        Wire::RunsStream,
        Wire::Background,
        Wire::Exposed,
        Wire::ExposedStream,
        Wire::ExposedJob,
        Wire::Native,
        Wire::NativeJob,
    ]);
    let task = prop_oneof![
        (1_usize..40).prop_map(Task::Talk),
        any::<bool>().prop_map(|approved| Task::Transfer { approved }),
        Just(Task::Ask),
    ];
    let hang_up = prop::option::of(0_u64..900);
    let cuts = prop::collection::vec(1_usize..9, 0..8);
    let abort = prop::option::weighted(0.25, 1_usize..16);
    let choices = (any::<bool>(), any::<bool>());
    (wire, task, hang_up, cuts, choices, abort).prop_map(
        |(wire, task, hang_up, cuts, (natively, twice), abort)| Case {
            wire,
            task,
            hang_up,
            cuts,
            natively,
            twice,
            abort,
        },
    )
}

/// A run of a case, watched.
struct Watched<'s> {
    server: &'s Server,
    case: &'s Case,
    session: &'s str,
    run: String,
    /// What the native API has shown.
    frames: Vec<Frame>,
    /// How many decisions counted.
    decided: usize,
}

// === impl Task ===

impl Task {
    fn prompt(self) -> String {
        match self {
            Self::Talk(_) => format!("[echo:{}]", self.text().unwrap_or_default()),
            Self::Transfer { .. } => TRANSFER.to_owned(),
            Self::Ask => "[ask:Which?]".to_owned(),
        }
    }

    /// What the run says at the end; a denial is told in the server's words.
    fn text(self) -> Option<String> {
        match self {
            Self::Talk(words) => {
                let words: Vec<_> = (0..words).map(|number| format!("word{number}")).collect();
                Some(words.join(" "))
            }
            Self::Transfer { approved } => approved.then(|| "Tool said: moved 5".to_owned()),
            Self::Ask => Some("Tool said: this one".to_owned()),
        }
    }
}

// === impl Case ===

impl Case {
    /// Begins the run and reads what its wire shows, as far as the client stays. The text, if all
    /// of it was shown.
    fn begin(&self, server: &Server, session: &str) -> Option<String> {
        let prompt = self.task.prompt();
        let chat =
            json!({ "messages": [{ "role": "user", "content": prompt }], "sessionId": session });
        let run = json!({ "message": prompt, "sessionId": session });
        let exposed = json!({ "text": prompt, "session": session });
        let native = json!({ "input": prompt, "conversationId": session });
        match self.wire {
            Wire::Chat => {
                let events = self.shown(server.post("/chat").json(&chat));
                let is_done = events.last()?["type"] == "done";
                is_done.then(|| joined(&events, "type", "text", "delta"))
            }
            Wire::ChatSync => {
                let reply = server.post("/chat/sync").json(&chat).send();
                let is_answer = reply.status() == 200 && self.task != Task::Ask;
                is_answer.then(|| text(&reply.json()["response"]))
            }
            Wire::Runs => {
                let reply = server.post(RUNS).json(&run).send().expect(200).json();
                (reply["status"] == "COMPLETED").then(|| text(&reply["content"]))
            }
            Wire::RunsStream => {
                let path = format!("{RUNS}/stream");
                let events = self.shown(server.post(&path).json(&run));
                let is_done = events.last()?["event"] == "STOP";
                is_done.then(|| joined(&events, "event", "CONTENT_DELTA", "data"))
            }
            Wire::Background => {
                let path = format!("{RUNS}/background");
                let _ = server.post(&path).json(&run).send().expect(200);
                None
            }
            Wire::Exposed => {
                let reply = server.post("/clerk/wait").json(&exposed).send();
                (reply.status() == 200).then(|| text(&reply.json()))
            }
            Wire::ExposedStream => {
                let events = self.shown(server.post("/clerk/stream").json(&exposed));
                let is_done = events.last()?["type"] == "response.completed";
                is_done.then(|| joined(&events, "type", "response.output_text.delta", "delta"))
            }
            Wire::ExposedJob => {
                let _ = server
                    .post("/clerk/later")
                    .json(&exposed)
                    .send()
                    .expect(202);
                None
            }
            Wire::NativeJob => {
                let path = "/api/-/agents/clerk/jobs";
                let _ = server.post(path).json(&native).send().expect(202);
                None
            }
            Wire::Native => {
                let events = self.shown(server.post("/api/clerk/run").json(&native));
                let is_done = events.last()?["type"] == "RUN_FINISHED";
                is_done.then(|| joined(&events, "type", "TEXT_MESSAGE_CONTENT", "delta"))
            }
        }
    }

    fn shown(&self, request: Request) -> Vec<Value> {
        let mut stream = request.open();
        if let Some(bytes) = self.hang_up {
            stream = stream.cut_after(bytes);
        }
        let mut events = Vec::new();
        while let Ok(Some(frame)) = stream.try_next_frame() {
            let is_failure = frame.event.as_deref() == Some("error");
            if frame.comment.is_none() && !is_failure {
                events.push(frame.json());
            }
        }
        // A cut may fall behind the last event: it was shown all the same.
        events
    }
}

fn joined(events: &[Value], key: &str, kind: &str, delta: &str) -> String {
    let texts = events.iter().filter(|event| event[key] == kind);
    texts.filter_map(|event| event[delta].as_str()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("it is a text").to_owned()
}

// === impl Watched ===

impl Watched<'_> {
    /// Watches natively until the end, hanging up and coming back, and acts on what is seen.
    fn watch_to_the_end(&mut self) {
        let mut cuts = self.case.cuts.iter();
        loop {
            let budget = cuts.next().copied().unwrap_or(usize::MAX);
            let mut stream = self.resumed();
            for _ in 0..budget {
                let Some(frame) = stream.next_frame() else {
                    return;
                };
                if frame.comment.is_none() {
                    self.act(&frame);
                    self.frames.push(frame);
                }
            }
        }
    }

    fn resumed(&self) -> SseReader {
        let run = &self.run;
        let path = format!("/api/clerk/stream-events/resume?streamId={run}");
        let request = self.server.get(&path);
        match self.frames.last().and_then(|frame| frame.id.as_deref()) {
            Some(last) => request.header("last-event-id", last).open(),
            None => request.open(),
        }
    }

    fn act(&mut self, frame: &Frame) {
        let event = frame.json();
        match (frame.kind().as_str(), self.case.task) {
            ("TOOL_APPROVAL_REQUIRED", Task::Transfer { approved }) => {
                let call = text(&event["toolCallId"]);
                let deciding = || {
                    thread::scope(|scope| {
                        let native = (self.case.natively || self.case.twice)
                            .then(|| scope.spawn(|| self.decide_natively(&call, approved)));
                        let other = (!self.case.natively || self.case.twice)
                            .then(|| scope.spawn(|| self.decide(approved)));
                        let replies = [native.map(join), other.map(join)];
                        let counted = replies.iter().flatten();
                        counted.filter(|reply| reply.status() < 300).count()
                    })
                };
                self.decided += deciding();
            }
            ("TOOL_CALL_END", Task::Ask) => self.answer(&text(&event["toolCallId"])),
            _ => {}
        }
        if self.case.abort == Some(self.frames.len()) {
            self.abort();
        }
    }

    fn decide_natively(&self, call: &str, approved: bool) -> Reply {
        let decision = if approved { "approved" } else { "denied" };
        let body = json!({ "runId": self.run, "toolCallId": call, "decision": decision });
        let path = "/api/clerk/run/tool-approval";
        self.server.post(path).json(&body).send()
    }

    fn decide(&self, approved: bool) -> Reply {
        let body = json!({ "action": if approved { "APPROVE" } else { "REJECT" } });
        let path = format!("{RUNS}/{}/continue", self.run);
        self.server.post(&path).json(&body).send()
    }

    /// The run may have been aborted meanwhile: then nobody waits for an answer.
    fn answer(&self, call: &str) {
        if self.case.natively {
            let body = json!({
                "runId": self.run, "toolCallId": call, "status": "success", "result": "this one",
            });
            let path = "/api/clerk/run/tool-result";
            let _ = self.server.post(path).json(&body).send();
        } else {
            let body = json!({
                "messages": [{ "role": "user", "content": "this one" }], "sessionId": self.session,
            });
            let _ = self.server.post("/chat/sync").json(&body).send();
        }
    }

    fn abort(&self) {
        let run = &self.run;
        let reply = if self.case.natively {
            let path = format!("/api/clerk/runs/{run}/abort");
            self.server.post(&path).send()
        } else {
            let path = format!("{RUNS}/{run}");
            self.server.request("DELETE", &path).send()
        };
        let _ = reply.expect(204);
    }
}

fn join(deciding: thread::ScopedJoinHandle<'_, Reply>) -> Reply {
    deciding.join().expect("a decision is answered")
}

fn holds(server: &Server, case: &Case, session: &str) -> Result<(), TestCaseError> {
    let transfers_before = transfers(server);
    let (said, watched) = thread::scope(|scope| {
        let beginning = scope.spawn(|| case.begin(server, session));
        let run = eventually(|| {
            let path = format!("/api/-/runs?conversationId={session}");
            let runs = server.get(&path).send().expect(200).json();
            runs["runs"][0]["runId"].as_str().map(str::to_owned)
        });
        let mut watched = Watched {
            server,
            case,
            session,
            run,
            frames: Vec::new(),
            decided: 0,
        };
        watched.watch_to_the_end();
        (beginning.join().expect("its wire ends too"), watched)
    });

    // No gap, no duplicate, one end.
    let frames = &watched.frames;
    let numbers: Vec<_> = frames.iter().filter_map(|it| it.id.clone()).collect();
    let expected: Vec<_> = (0..frames.len()).map(|it| it.to_string()).collect();
    prop_assert_eq!(numbers, expected);
    let kinds = kinds(frames);
    let is_end = |kind: &&String| ["RUN_FINISHED", "RUN_ABORTED"].contains(&kind.as_str());
    prop_assert_eq!(kinds.iter().filter(is_end).count(), 1, "{:?}", kinds);
    let end = kinds.last().expect("there are events");
    prop_assert!(is_end(&end), "{:?}", kinds);
    let is_finished = end == "RUN_FINISHED";
    prop_assert!(is_finished || case.abort.is_some());

    // Whoever decided: once, and the tool ran once if it was to.
    prop_assert!(watched.decided <= 1);
    let moved = transfers(server) - transfers_before;
    if is_finished {
        let is_wanted = case.task == Task::Transfer { approved: true };
        prop_assert_eq!(moved, u64::from(is_wanted));
    }
    prop_assert!(moved <= 1);

    // The same text and the same state on every wire.
    let path = format!("{RUNS}/{}/status", watched.run);
    let status = eventually(|| {
        let run = server.get(&path).send().expect(200).json();
        (!run["completedAt"].is_null()).then_some(run)
    });
    let state = if is_finished {
        "COMPLETED"
    } else {
        "CANCELLED"
    };
    prop_assert_eq!(&status["status"], state);
    if !is_finished {
        prop_assert_eq!(said, None);
        return Ok(());
    }
    let text = text_of(frames);
    if let Some(expected) = case.task.text() {
        prop_assert_eq!(&text, &expected);
    }
    prop_assert_eq!(&status["output"], &json!(text));
    if let Some(said) = said {
        prop_assert_eq!(&said, &text);
    }
    let stored = server.get(&format!("/api/clerk/conversations/{session}"));
    let stored = stored.send().expect(200).json();
    let last = stored["items"]
        .as_array()
        .and_then(|items| items.last().cloned());
    let last = last.expect("the conversation is stored");
    prop_assert!(
        last.to_string().contains(&json!(text).to_string()),
        "{}",
        last
    );
    Ok(())
}

#[test]
fn runs_of_any_wire_are_the_same_on_all_of_them() {
    let server = start();
    // The same cases each time: a failure can be looked at again.
    let mut runner = TestRunner::new_with_rng(
        Config {
            cases: 128,
            failure_persistence: None,
            max_shrink_iters: 64,
            ..Config::default()
        },
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    let sessions = std::cell::Cell::new(0);
    runner
        .run(&cases(), |case| {
            sessions.set(sessions.get() + 1);
            holds(&server, &case, &format!("session-{}", sessions.get()))
        })
        .unwrap_or_else(|error| panic!("{error}\n{}", server.log()));
}
