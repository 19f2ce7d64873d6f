//! A server that does what it should not: agents read a clear error, and nothing else suffers.

use std::fs;

use serde_json::{Value, json};

use super::{called, is_running, names_of, refused, rogue, tools_of, with_servers};
use crate::support::eventually;

/// The process that a tool tells.
#[track_caller]
fn process(result: &Value) -> &str {
    let process = result.as_str().and_then(|it| it.strip_prefix("process "));
    process.unwrap_or_else(|| panic!("no process: {result}"))
}

#[test]
fn a_server_that_dies_is_run_again() {
    let mut server = with_servers(&rogue("dies", "")).start();
    let before = called(&server, "rogue_other {}");
    let message = refused(&server, "rogue_work {}");
    assert!(
        message.contains("'rogue' was lost during the call"),
        "{message}"
    );
    let after = eventually(|| {
        let result = called(&server, "rogue_other {}");
        (result["type"] != "tool_error").then_some(result)
    });
    assert_ne!(after, before);
    // Not even its entry in the table of processes.
    let entry = format!("/proc/{}", process(&before));
    assert!(
        !fs::exists(entry).unwrap_or_default(),
        "nobody has waited for it"
    );
    let log = server.wait_for_log("MCP server lost");
    assert!(log.contains("exit status: 3"), "{log}");
    server.assert_alive();
    let _ = server.stop();
}

#[test]
fn a_server_that_hangs_is_run_again() {
    let more = "call_timeout = \"1s\"\nconnect_timeout = \"3s\"";
    let mut server = with_servers(&rogue("hangs", more)).start();
    let before = called(&server, "rogue_other {}");
    let message = refused(&server, "rogue_work {}");
    assert!(message.contains("gave no result within 1s"), "{message}");
    let after = eventually(|| {
        let result = called(&server, "rogue_other {}");
        (result["type"] != "tool_error").then_some(result)
    });
    assert_ne!(after, before);
    server.assert_alive();
    let _ = server.stop();
}

#[test]
fn an_aborted_run_waits_for_no_server() {
    let server = with_servers(&rogue("hangs", "")).start();
    let mut stream = server.stream("plain", "call rogue_work {}");
    stream.wait_for("TOOL_CALL_END");
    let run = stream.run_id();
    let abort = server.post(&format!("/api/plain/runs/{run}/abort"));
    let _ = abort.send().expect(204);
    stream.wait_for("RUN_ABORTED");
    let _ = server.stop();
}

#[test]
fn rubbish_and_floods_are_no_answer_and_do_no_harm() {
    for habit in ["rubbish", "floods"] {
        let mut server = with_servers(&rogue(habit, "")).start();
        assert_eq!(called(&server, "rogue_work {}"), json!("done"), "{habit}");
        // Ten megabytes were said.
        assert!(server.log().len() < 1024 * 1024, "{habit}");
        server.assert_alive();
        let _ = server.stop();
    }
}

#[test]
fn an_answer_that_is_too_long_is_not_read() {
    let mut server = with_servers(&rogue("long", "call_timeout = \"2s\"")).start();
    let message = refused(&server, "rogue_work {}");
    assert!(message.contains("gave no result within 2s"), "{message}");
    server.assert_alive();
    let _ = server.stop();
}

#[test]
fn a_tool_that_cannot_be_offered_is_left_out_alone() {
    let server = with_servers(&rogue("odd-tools", "")).start();
    let tools = tools_of(&server, "plain");
    let names = names_of(&tools);
    assert!(names.contains(&"rogue_fine"), "{names:?}");
    assert!(names.contains(&"rogue_na_ve_name_with_dots"), "{names:?}");
    assert!(!names.contains(&"rogue_broken"), "{names:?}");
    assert!(names.iter().all(|it| it.len() <= 64), "{names:?}");
    assert_eq!(called(&server, "rogue_fine {}"), json!("done"));
    server.wait_for_log("a tool is left out");
    let _ = server.stop();
}

#[test]
fn news_of_the_old_protocol_are_heard() {
    let server = with_servers(&rogue("grows", "")).start();
    assert_eq!(called(&server, "rogue_work {}"), json!("done"));
    eventually(|| {
        names_of(&tools_of(&server, "plain"))
            .contains(&"rogue_grown")
            .then_some(())
    });
    let _ = server.stop();
}

#[test]
fn nothing_of_a_server_outlives_the_server() {
    let builder = with_servers(&rogue("clings", ""));
    let grandchild = builder.folder().join("grandchild");
    let server = builder.start();
    let child = called(&server, "rogue_other {}");
    let child = process(&child).to_owned();
    let grandchild = eventually(|| {
        fs::read_to_string(&grandchild)
            .ok()
            .filter(|it| it.ends_with('\n'))
    });
    assert!(is_running(&child) && is_running(&grandchild));
    let _folder = server.stop();
    assert!(!is_running(&child), "the program is left");
    eventually(|| (!is_running(&grandchild)).then_some(()));
}
