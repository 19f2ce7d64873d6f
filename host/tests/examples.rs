//! The examples, run as programs: they print what they say they do.
//!
//! Cargo builds them with all targets of the crate, and not for `--test examples` alone.

use std::path::PathBuf;
use std::process::Command;

/// Runs an example to its end, and returns the lines that it printed.
#[track_caller]
fn printed(example: &str) -> Vec<String> {
    let this = std::env::current_exe().expect("a test has a file");
    let profile: PathBuf = this.ancestors().nth(2).expect("in target/PROFILE").into();
    let program = profile.join("examples").join(example);
    let ran = Command::new(&program).output().unwrap_or_else(|error| {
        panic!(
            "{}: {error}; cargo builds the examples when it builds all targets of the crate",
            program.display()
        )
    });
    assert!(
        ran.status.success(),
        "{example} ended with {}: {}",
        ran.status,
        String::from_utf8_lossy(&ran.stderr)
    );
    let printed = String::from_utf8(ran.stdout).expect("it prints text");
    printed.lines().map(str::to_owned).collect()
}

#[test]
fn run() {
    assert_eq!(
        printed("run"),
        [
            "Hello world",
            "Stop",
            "Agent 'nobody' does not exist. (NOT_FOUND)"
        ]
    );
}

#[test]
fn stream() {
    assert_eq!(
        printed("stream"),
        [
            "0 RUN_STARTED",
            "1 STEP_START",
            "2 TEXT_MESSAGE_START",
            "3 says \"Hello\"",
            "4 says \" world\"",
            "5 TEXT_MESSAGE_END",
            "6 STEP_FINISH",
            "7 RUN_FINISHED",
            "used Some(8) tokens",
            "the run was one: true",
        ]
    );
}

#[test]
fn conversations() {
    assert_eq!(
        printed("conversations"),
        ["hi", "Hello world", "hist", "history=3", "bob finds None"]
    );
}

#[test]
fn resume() {
    assert_eq!(
        printed("resume"),
        [
            "the conversation has a run: true",
            "another one has a run: false",
            "resumed at Some(4)",
            "ended with Some(\"RUN_FINISHED\")",
            "an unknown run has a stream: false",
        ]
    );
}

#[test]
fn client_tool() {
    assert_eq!(
        printed("client_tool"),
        [
            "asked for confirm",
            "was pending: true, and after that: false",
            "Tool said: true",
        ]
    );
}

#[test]
fn approval() {
    assert_eq!(
        printed("approval"),
        [
            "was pending: true",
            "Requested None None",
            "Approved Some(\"Verified by admin\") None",
            "Tool said: \"wiped\"",
            "was pending: true",
            "Requested None None",
            "Denied None Some(\"admin_1\")",
            "Tool said: \"Tool 'wipe' was denied by the operator.\"",
        ]
    );
}

#[test]
fn abort() {
    assert_eq!(
        printed("abort"),
        [
            "aborted: true",
            "Some(\"ABORTED\")",
            "aborted again: false",
            "Some(\"RUN_ABORTED\")",
        ]
    );
}

#[test]
fn handle() {
    let printed = printed("handle");
    assert_eq!((&*printed[0], &*printed[2]), ("200 OK", "401 Unauthorized"));
    assert!(
        printed[1].contains("\"text\":\"Hello world\""),
        "{printed:?}"
    );
    assert!(printed[3].contains("\"UNAUTHORIZED\""), "{printed:?}");
}

#[test]
fn axum_router() {
    assert_eq!(
        printed("axum_router"),
        [
            "/ HTTP/1.1 200 OK",
            "/livez HTTP/1.1 200 OK",
            "/api/-/agents HTTP/1.1 200 OK",
            "/api/nowhere HTTP/1.1 404 Not Found",
        ]
    );
}

#[test]
fn tower_service() {
    assert_eq!(
        printed("tower_service"),
        ["200 OK \"example\"", "\"assistant\""]
    );
}

#[test]
fn linked_plugin() {
    let printed = printed("linked_plugin");
    assert_eq!(
        printed[..3],
        [
            "Hello, Ann!",
            "earth: 200 OK Hello",
            "mars: 403 Forbidden {\"error\":\"FORBIDDEN\",\"message\":\"not you\"}",
        ]
    );
    assert!(
        printed[3].contains("plugin 'greeting' has no setting `greting`"),
        "{printed:?}"
    );
}

#[test]
fn every_example_is_run_here() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let here = include_str!("examples.rs");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("there are examples") {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        assert!(here.contains(&format!("printed(\"{name}\")")), "{name}");
        seen += 1;
    }
    assert!(seen > 10, "{seen} examples");
}
