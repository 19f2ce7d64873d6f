//! A server that is killed under load, again and again.

use std::{fmt, thread, time::Duration};

use tokio::time::Instant;

use super::{
    Findings,
    arena::Arena,
    audit,
    client::Client,
    record::{Ask, End, Record},
    traces::Traces,
};
use crate::{Server, ServerBuilder};

/// How many clients there are at once.
const CLIENTS: usize = 8;

/// The longest that a server lives, in milliseconds.
const LIFE: u64 = 600;

/// How long a server may take to be ready again.
pub const READY_WITHIN: Duration = Duration::from_secs(1);

const TRACES: &str = "traces";

const CONFIG: &str = r#"
[log]
level = "warn"

[runs]
on_request_disconnect = "continue"
client_tool_result_timeout = "1h"
tool_approval_timeout = "1h"
sse_heartbeat = "1s"

[[plugins.load]]
name = "scripted"
library = "scripted_model"

[[plugins.load]]
name = "directed"
library = "scripted_model"
config = { script = "directive" }

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = { tools = true, trace = "traces" }

[agents.talker]
model = "directed/mock-model"

[agents.tracer]
model = "scripted/fake-1"
tools = ["trace"]

[agents.worker]
model = "scripted/fake-1"
tools = ["add", "confirm", "confirm_gate", "trace", "trace_again", "trace_approved"]
"#;

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// How often the server was killed.
    pub kills: usize,
    /// The longest time from a kill until the server was ready again.
    pub slowest_restart: Duration,
    /// What was not as it must be; a slow start is none.
    pub findings: Findings,
    streams: usize,
    events: usize,
    finished: usize,
    interrupted: usize,
    went_on: usize,
    json_answers: usize,
    decided: usize,
    answered: usize,
    traces: usize,
    repeated: usize,
}

/// Kills a server so often, and until so much time has passed.
///
/// # Panics
/// When it does not start, or start again.
pub fn run(kills: usize, at_least: Duration) -> Report {
    let mut report = Report::default();
    let arena = Arena::default();
    let server = ServerBuilder::new(CONFIG).start();
    arena.open(server.address());
    let (server, mut records) = thread::scope(|scope| {
        let arena = &arena;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn(move || {
                    let mut client = Client::new(arena, number);
                    client.work();
                    (client.records, client.json_count)
                })
            })
            .collect();
        let server = report.kill(server, arena, kills, at_least);
        arena.end();
        let mut records = Vec::new();
        for client in clients {
            let (mut read, json_count) = client.join().expect("a client does not panic");
            records.append(&mut read);
            report.json_answers += json_count;
        }
        (server, records)
    });
    if let Err(finding) = report.check(&server, &arena, &mut records) {
        arena.findings().add(finding);
    }
    let stopped = server.stop();
    let database = stopped.folder().join("data/mortise.db");
    report.findings = std::mem::take(&mut *arena.findings());
    if let Err(finding) = audit::check_integrity(&database, &mut report.findings) {
        report.findings.add(finding);
    }
    report
}

// === impl Report ===

impl Report {
    fn kill(
        &mut self,
        mut server: Server,
        arena: &Arena,
        kills: usize,
        at_least: Duration,
    ) -> Server {
        let began = Instant::now();
        while self.kills < kills || began.elapsed() < at_least {
            thread::sleep(Duration::from_millis(fastrand::u64(..LIFE)));
            check_log(&server, arena);
            arena.close();
            let killed_at = Instant::now();
            server = server.crash_and_restart();
            // The server listens: this is the first that it answers.
            let ready = server.get("/readyz").send();
            self.slowest_restart = self.slowest_restart.max(killed_at.elapsed());
            self.kills += 1;
            let status = ready.status();
            let mut findings = arena.findings();
            findings.expect(status == 200, || format!("/readyz: {status}"));
            drop(findings);
            arena.open(server.address());
        }
        server
    }

    fn check(
        &mut self,
        server: &Server,
        arena: &Arena,
        records: &mut Vec<Record>,
    ) -> Result<(), String> {
        records.append(&mut audit::finish_the_rest(arena)?);
        check_log(server, arena);
        let traces = Traces::read(&server.folder().join(TRACES), &mut arena.findings());
        let ends = audit::check_all(arena, arena.place()?, records, &traces)?;
        let count = |end| ends.iter().filter(|it| **it == end).count();
        self.streams = ends.len();
        self.finished = count(End::Finished);
        self.interrupted = count(End::Interrupted);
        self.traces = traces.count;
        self.repeated = traces.repeated;
        for record in records {
            self.events += record.events.len();
            let has_moved = record.server_count > 1 && record.end() == Some(End::Finished);
            self.went_on += usize::from(has_moved);
            for (ask, answers) in &record.answers {
                let taken = usize::from(answers.taken.is_some());
                match ask {
                    Ask::Approval(_) => self.decided += taken,
                    Ask::Result(_) => self.answered += taken,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kills,
            slowest_restart,
            findings,
            streams,
            events,
            finished,
            interrupted,
            went_on,
            json_answers,
            decided,
            answered,
            traces,
            repeated,
        } = self;
        write!(
            f,
            "{kills} kills, ready again after {} ms at most\n  \
             {streams} streamed runs: {finished} finished, {went_on} of them after a kill; \
             {interrupted} interrupted\n  \
             {events} events read, {json_answers} JSON answers\n  \
             {decided} approvals decided, {answered} client tools answered\n  \
             {traces} traces of tools, {repeated} idempotent calls repeated\n  \
             {findings}",
            slowest_restart.as_millis(),
        )
    }
}

/// Nothing went wrong inside, whatever was seen from outside.
fn check_log(server: &Server, arena: &Arena) {
    for line in server.log().lines() {
        if line.contains("ERROR") || line.contains("panicked") {
            arena.findings().add(format!("in the log: {line}"));
        }
    }
}
