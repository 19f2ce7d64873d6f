//! A database that cannot be written, or is none: what the server says, and that nothing is lost.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use integration_tests::{Server, ServerBuilder, SseReader};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use crate::support::{Holder, database, eventually, kinds, only};

const CONFIG: &str = r#"
[runs]
on_request_disconnect = "continue"

[[plugins.load]]
name = "scripted"
library = "scripted_model"

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = { tools = true, speaker = true, trace = "traces" }

[agents.plain]
model = "scripted/fake-1"

[agents.interactive]
model = "scripted/fake-1"
tools = ["wipe"]

[agents.worker]
model = "scripted/fake-1"
tools = ["trace"]

[agents.speaker]
model = "fixture/speaker"
"#;

#[track_caller]
fn run(server: &Server, conversation: &str) -> String {
    let body = json!({ "input": "hi", "conversationId": conversation });
    let answer = server.post("/api/plain/run").json(&body).open();
    let run_id = answer.run_id();
    let kinds = kinds(&answer.finish());
    assert_eq!(kinds.last().map(String::as_str), Some("RUN_FINISHED"));
    run_id
}

/// A run that waits for an approval.
#[track_caller]
fn waiting(server: &Server) -> SseReader {
    let mut run = server.stream("interactive", r#"call wipe {"path":"x"}"#);
    run.wait_for("TOOL_APPROVAL_UPDATED");
    run
}

/// What happens while nothing can be stored: runs fail, and their clients are told.
#[track_caller]
fn assert_nothing_is_stored(server: &Server, waiting: SseReader) {
    let body = json!({ "input": "hi", "conversationId": "during" });
    let frames = server.post("/api/plain/run").json(&body).open().finish();
    assert!(
        kinds(&frames).contains(&"RUN_ERROR".to_owned()),
        "{frames:?}"
    );
    let text = format!("{frames:?}");
    assert!(
        !text.contains("disk") && !text.contains("locked"),
        "what is inside stays inside: {text}"
    );
    let why = ready(server, 503);
    assert!(why.contains("store"), "{why}");
    let _ = server.anonymous("GET", "/livez").send().expect(200);

    let path = format!("/api/interactive/runs/{}/abort", waiting.run_id());
    let _ = server.post(&path).send().expect(204);
    assert!(kinds(&waiting.finish()).contains(&"RUN_ABORTED".to_owned()));
}

/// What was stored before is there, what ended meanwhile has its end, and it goes on.
#[track_caller]
fn assert_it_goes_on(server: &Server, before: &str, aborted: &str) {
    let _ = ready(server, 200);
    assert_eq!(state(server, before), "finished");
    eventually(|| (state(server, aborted) == "aborted").then_some(()));
    let target = format!("/api/interactive/stream-events/resume?streamId={aborted}&afterSeq=-1");
    let frames = server.get(&target).open().finish();
    assert_eq!(
        kinds(&frames).last().map(String::as_str),
        Some("RUN_ABORTED")
    );
    let after = run(server, "after");
    assert_eq!(state(server, &after), "finished");
}

#[track_caller]
fn ready(server: &Server, status: u16) -> String {
    eventually(|| {
        let answer = server.anonymous("GET", "/readyz").send();
        (answer.status() == status).then(|| answer.text().to_owned())
    })
}

fn state(server: &Server, run_id: &str) -> String {
    let run = server.get(&format!("/api/-/runs/{run_id}")).send();
    run.expect(200).json()["state"]
        .as_str()
        .expect("it has a state")
        .to_owned()
}

/// The largest file that a process may write.
fn set_file_limit(server: &Server, limit: Option<u64>) {
    let pid = i32::try_from(server.pid()).expect("it is a process");
    let limit = Rlimit {
        current: limit,
        maximum: None,
    };
    prlimit(Pid::from_raw(pid), Resource::Fsize, limit).expect("the limit is set");
}

#[test]
fn a_file_that_may_not_grow_fails_what_is_stored_and_heals() {
    let server = ServerBuilder::new(CONFIG).start();
    let before = run(&server, "before");
    let waiting = waiting(&server);
    let aborted = waiting.run_id();
    let log = database(&server).with_extension("db-wal");
    set_file_limit(&server, Some(fs::metadata(log).expect("it is there").len()));

    assert_nothing_is_stored(&server, waiting);

    set_file_limit(&server, None);
    assert_it_goes_on(&server, &before, &aborted);
    let server = server.crash_and_restart();
    assert_eq!(state(&server, &before), "finished");
    assert_eq!(state(&server, &aborted), "aborted");
}

#[test]
fn a_database_that_is_found_damaged_is_not_ready_until_the_next_start() {
    let server = ServerBuilder::new(CONFIG).start();
    let _ = run(&server, "before");
    let path = database(&server);
    let stopped = server.stop();
    let mut bytes = fs::read(&path).unwrap();
    // The tables of events and runs are behind their description, which is whole.
    bytes[4096..4096 * 3].fill(0xff);
    fs::write(&path, &bytes).unwrap();
    let server = stopped.start();
    let _ = ready(&server, 200);

    let body = json!({ "input": "hi", "conversationId": "after" });
    let frames = server.post("/api/plain/run").json(&body).open().finish();
    assert!(kinds(&frames).contains(&"RUN_ERROR".to_owned()));

    assert!(ready(&server, 503).contains("store"));
    let log = server.wait_for_log("is damaged");
    assert!(log.contains("backup"), "{log}");
    // The server tries every second whether it can write.
    for _ in 0..15 {
        thread::sleep(Duration::from_millis(100));
        let _ = server.anonymous("GET", "/readyz").send().expect(503);
    }
}

#[test]
fn what_people_say_is_for_nobody_else_to_read() {
    let url = "[store]\nurl = \"sqlite:beside.db\"";
    let server = ServerBuilder::new(&format!("{url}\n{CONFIG}")).start();
    let _ = run(&server, "before");
    let file = |name: &str| server.folder().join(name);
    for name in [
        "beside.db",
        "beside.db-wal",
        "beside.db-shm",
        "beside.db.lock",
    ] {
        let mode = fs::metadata(file(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let path = file("beside.db");
    let stopped = server.stop();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let server = stopped.start();
    let _ = run(&server, "after");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "it was chosen");
}

#[test]
fn a_database_that_another_program_holds_fails_what_is_stored_and_heals() {
    let server = ServerBuilder::new(CONFIG).start();
    let before = run(&server, "before");
    let waiting = waiting(&server);
    let aborted = waiting.run_id();
    let holder = Holder::lock(&database(&server));

    assert_nothing_is_stored(&server, waiting);

    holder.let_go();
    assert_it_goes_on(&server, &before, &aborted);
}

#[test]
fn a_run_that_began_while_nothing_could_be_stored_is_stored_in_the_end() {
    let server = ServerBuilder::new(CONFIG).start();
    let _ = run(&server, "before");
    let holder = Holder::lock(&database(&server));
    // It fails with its first event, and its model was asked all the same.
    let failed = server.stream("speaker", r#"{"say":["hi"]}"#);
    let failed_id = failed.run_id();
    assert!(kinds(&failed.finish()).contains(&"RUN_ERROR".to_owned()));
    let _ = ready(&server, 503);

    let body = json!({ "input": r#"call trace {"ms":4000}"#, "conversationId": "during" });
    let request = server.post("/api/worker/run").json(&body);
    let answer = thread::scope(|scope| {
        let answer = scope.spawn(|| request.send());
        let traces = server.folder().join("traces");
        eventually(|| traces.exists().then_some(()));
        holder.let_go();
        answer.join().expect("it answers")
    });

    let _ = answer.expect(200);
    let kept = server.get("/api/worker/conversations/during").send();
    let kept = kept.expect(200).json();
    assert_eq!(kept["items"][0]["content"], body["input"]);
    let listed = server.get("/api/-/runs?agent=worker").send().expect(200);
    assert_eq!(listed.json()["runs"][0]["state"], "finished");
    eventually(|| (state(&server, &failed_id) == "failed").then_some(()));
    let failed = server.get(&format!("/api/-/runs/{failed_id}")).send();
    assert_eq!(failed.expect(200).json()["usage"]["totalTokens"], 120);
}

#[test]
fn a_run_that_lost_an_event_ends_once_without_a_gap_and_fails_no_other() {
    let server = ServerBuilder::new(CONFIG).start();
    let mut unlucky = server.stream("plain", "slow");
    unlucky.wait_for("TEXT_MESSAGE_CONTENT");
    let run_id = unlucky.run_id();
    // The number of its next event is taken.
    let sql = format!(
        "insert into run_events select run_id, max(first + count), 1, x'7b7d0a' from run_events \
         where run_id = '{run_id}'"
    );
    let holder = Holder::writing(&database(&server), &sql);
    // Meanwhile more of its events wait than the one that is going to fail.
    let _ = server
        .run("worker", r#"call trace {"ms":1000}"#)
        .send()
        .expect(200);
    holder.let_go();

    let shown = unlucky.finish();
    let _ = only(&shown, "RUN_ERROR");
    let shown = shown.iter().filter(|it| it.kind() != "error").count();
    eventually(|| (state(&server, &run_id) == "failed").then_some(()));
    let target = format!("/api/plain/stream-events/resume?streamId={run_id}&afterSeq=-1");
    let stored = server.get(&target).open().finish();
    let numbers = stored.iter().map(|it| it.json()["seq"].as_u64());
    assert!(numbers.eq((0..stored.len() as u64).map(Some)), "{stored:?}");
    assert_eq!(stored.len(), shown + 1, "{stored:?}");
    let last = kinds(&stored).pop();
    assert_eq!(last.as_deref(), Some("RUN_ERROR"));
    for _ in 0..5 {
        let _ = run(&server, "after");
    }
}

#[test]
fn a_run_that_was_answered_while_nothing_could_be_stored_has_its_end() {
    let server = ServerBuilder::new(CONFIG).start();
    let holder = Holder::lock(&database(&server));
    let answer = || {
        let _ = server.run("plain", "hi").send().expect(200);
    };
    answer();
    let _ = ready(&server, 503);
    answer();
    holder.let_go();
    let _ = ready(&server, 200);

    let runs = server.get("/api/-/runs").send().expect(200).json();
    let states = runs["runs"].as_array().expect("it is a list").iter();
    let states: Vec<_> = states.map(|run| run["state"].as_str()).collect();
    assert_eq!(states, [Some("finished"); 2]);
}

#[test]
fn a_decision_that_cannot_be_stored_is_in_the_log() {
    let server = ServerBuilder::new(CONFIG).start();
    let waiting = waiting(&server);
    let holder = Holder::lock(&database(&server));
    let body = json!({
        "runId": waiting.run_id(), "toolCallId": "call_1", "decision": "approved",
    });
    let decide = server.post("/api/interactive/run/tool-approval");
    let _ = decide.json(&body).send().expect(500);
    let log = server.wait_for_log("\"approve\"");
    let decision = log.lines().find(|it| it.contains("\"approve\""));
    let decision = decision.expect("it is there");
    assert!(decision.contains("mortise::audit"), "{decision}");
    assert!(decision.contains(&waiting.run_id()), "{decision}");
    holder.let_go();
}

#[test]
fn what_ended_while_nothing_could_be_stored_is_stored_by_a_shutdown() {
    let server = ServerBuilder::new(CONFIG).start();
    let holder = Holder::lock(&database(&server));
    let failed = server.stream("speaker", r#"{"say":["hi"]}"#);
    let failed_id = failed.run_id();
    assert!(kinds(&failed.finish()).contains(&"RUN_ERROR".to_owned()));
    holder.let_go();

    let server = server.restart();

    let run = server.get(&format!("/api/-/runs/{failed_id}")).send();
    let run = run.expect(200).json();
    assert_eq!(run["state"], "failed");
    let target = format!("/api/speaker/stream-events/resume?streamId={failed_id}&afterSeq=-1");
    let frames = server.get(&target).open().finish();
    let code = &frames.last().expect("it has an end").json()["error"]["code"];
    assert_ne!(code, "INTERRUPTED");
}

#[test]
fn a_stream_that_cannot_be_read_is_cut_and_does_not_seem_to_be_over() {
    let server = ServerBuilder::new(CONFIG).start();
    let run_id = run(&server, "before");
    let path = database(&server);
    let stopped = server.stop();
    let script = "import sqlite3, sys\n\
                  pages = sqlite3.connect(sys.argv[1])\n\
                  found = \"select rootpage from sqlite_schema where name = 'run_events'\"\n\
                  print(pages.execute(found).fetchone()[0])\n";
    let page = Command::new("python3")
        .args(["-c", script])
        .arg(&path)
        .output();
    let page = String::from_utf8(page.expect("Python is installed").stdout).unwrap();
    let page: usize = page.trim().parse().expect("there is such a table");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096 * (page - 1)..4096 * page].fill(0xff);
    fs::write(&path, &bytes).unwrap();
    let server = stopped.start();
    let _ = ready(&server, 200);

    let target = format!("/api/plain/stream-events/resume?streamId={run_id}&afterSeq=-1");
    let answer = server.get(&target).send().expect(200);
    assert!(answer.text().starts_with(": resume"), "{}", answer.text());
    assert!(ready(&server, 503).contains("store"));
    let log = server.wait_for_log("is damaged");
    assert!(log.contains("backup"), "{log}");
}

/// What a server says that does not start with this database.
#[track_caller]
fn refusal_of(database: &Path) -> String {
    let url = format!("sqlite:{}", database.display());
    let ended = ServerBuilder::new(&format!("[store]\nurl = {url:?}\n{CONFIG}")).fail();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.log.contains("mortise.db"), "{}", ended.log);
    ended.log
}

#[test]
fn a_database_that_may_only_be_read_does_not_start() {
    let server = ServerBuilder::new(CONFIG).start();
    let _ = run(&server, "before");
    let path = database(&server);
    let stopped = server.stop();
    // The write version of the file's format: a larger one is for reading only.
    let mut bytes = fs::read(&path).unwrap();
    bytes[18] = 3;
    fs::write(&path, &bytes).unwrap();

    let log = refusal_of(&path);
    assert!(log.contains("readonly"), "{log}");
    assert_eq!(fs::read(&path).unwrap(), bytes, "it was not touched");
    drop(stopped);
}

#[test]
fn a_folder_that_cannot_be_written_does_not_start() {
    let config = format!("[store]\nurl = \"sqlite:/proc/mortise/mortise.db\"\n{CONFIG}");
    let ended = ServerBuilder::new(&config).fail();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.log.contains("/proc/mortise"), "{}", ended.log);
}

#[test]
fn a_broken_database_does_not_start_and_is_not_touched() {
    let server = ServerBuilder::new(CONFIG).start();
    let _ = run(&server, "before");
    let path = database(&server);
    let stopped = server.stop();
    let whole = fs::read(&path).unwrap();
    let text = b"This is a text and no database.".repeat(64);
    // The tables are described behind the head of the file.
    let mut overwritten = whole.clone();
    overwritten[100..].fill(0xff);
    for broken in [text, overwritten] {
        fs::write(&path, &broken).unwrap();
        let _ = refusal_of(&path);
        assert_eq!(fs::read(&path).unwrap(), broken);
    }
    fs::write(&path, &whole).unwrap();
    let server = stopped.start();
    let _ = run(&server, "after");
}
