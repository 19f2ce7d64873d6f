//! Plugins that panic or hang: only the request at hand fails, and the process goes on.
//!
//! `tests/misbehaving` is told by its `config` where to go wrong.

use integration_tests::{Ended, Reply, Server, ServerBuilder};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{SCRIPTED, SOON, assert_code, kinds, only, plain, text_of};

/// A server whose plugin goes wrong as `config` says, and agents with its tool and its model.
fn misbehaving(config: &str) -> ServerBuilder {
    plain(&format!(
        r#"
[runs]
tool_timeout = "1s"
hook_timeout = "1s"
cancel_grace = "200ms"

[plugins]
endpoint_timeout = "500ms"

[tools]
endpoints = ["linger"]

[[plugins.load]]
name = "bad"
library = "misbehaving"
config = {{ {config} }}

[agents.tooled]
model = "scripted/fake-1"
tools = ["misbehave", "bad_result", "leaky"]

[agents.modelled]
model = "bad/panicky"

[agents.whole]
model = "scripted/fake-1"
agents = ["lingering"]
"#
    ))
}

fn panicking_in(place: &str) -> Server {
    misbehaving(&format!("panic_in = \"{place}\"")).start()
}

/// The request has failed without telling why, and the log tells it.
#[track_caller]
fn assert_masked(server: &Server, reply: Reply) {
    let reply = reply.expect(500);
    assert_code(&reply.json(), "INTERNAL");
    assert!(!reply.text().contains("misbehaving in"), "{}", reply.text());
    let log = server.wait_for_log("misbehaving in");
    let line = log.lines().find(|it| it.contains("misbehaving in"));
    assert!(
        line.is_some_and(|it| it.contains("bad")),
        "names the plugin: {log}"
    );
}

/// The same process answers everything else as before.
#[track_caller]
fn assert_unharmed(server: &mut Server, pid: u32) {
    server.assert_alive();
    assert_eq!(server.pid(), pid);
    let _ = server.get("/api/misbehave-ok").send().expect(200);
}

#[track_caller]
fn assert_refused(ended: &Ended) {
    assert_eq!(ended.status.code(), Some(1), "{ended:#?}");
    assert!(ended.log.contains("bad"), "{}", ended.log);
}

#[test]
fn a_panic_in_an_endpoint_fails_that_request_alone() {
    let mut server = panicking_in("endpoint");
    let pid = server.pid();

    let reply = server.get("/api/misbehave").send();
    assert_masked(&server, reply);

    let _ = server.run("plain", "hi").send().expect(200);
    assert_unharmed(&mut server, pid);
}

#[test]
fn a_panic_in_the_middle_of_a_response_cuts_that_response_alone() {
    let mut server = panicking_in("endpoint_stream");
    let pid = server.pid();

    let cut = server.get("/api/misbehave").try_send();

    assert!(cut.is_err(), "a cut response must not look complete");
    assert_unharmed(&mut server, pid);
    let log = server.wait_for_log("the plugin's body failed");
    for said in [
        "misbehaving while it writes",
        "misbehaving has written",
        "the plugin's body failed",
    ] {
        let line = log.lines().find(|line| line.contains(said));
        let line = line.unwrap_or_else(|| panic!("no {said:?} in {log}"));
        assert!(
            line.contains("\"request_id\":\"req_"),
            "of which request? {line}"
        );
    }
    let failed = log.lines().find(|line| line.contains("body failed"));
    assert!(
        failed.is_some_and(|line| line.contains("\"plugin\":\"bad\"")),
        "{log}"
    );
}

#[test]
fn bytes_of_a_response_that_panic_when_they_are_dropped_end_nothing() {
    let mut server = panicking_in("endpoint_bytes");
    let pid = server.pid();

    for _ in 0..3 {
        let reply = server.get("/api/misbehave").send().expect(200);
        assert_eq!(reply.text(), "tick");
    }

    assert_unharmed(&mut server, pid);
}

#[test]
fn a_panic_in_a_task_of_a_plugin_is_an_error_in_the_log() {
    let mut server = panicking_in("endpoint_task");
    let pid = server.pid();

    let reply = server.get("/api/misbehave").send().expect(200);
    assert_eq!(reply.text(), "part whole");

    let log = server.wait_for_log("misbehaving in EndpointTask");
    let line = log.lines().find(|line| line.contains("EndpointTask"));
    let line = line.unwrap_or_else(|| panic!("it is there: {log}"));
    for said in [
        "\"level\":\"ERROR\"",
        "\"plugin\":\"misbehaving\"",
        "lib.rs:",
    ] {
        assert!(line.contains(said), "no {said} in {line}");
    }
    assert_unharmed(&mut server, pid);
}

#[test]
fn a_panic_while_a_plugin_says_what_it_offers_is_told_as_such() {
    let ended = misbehaving("panic_in = \"register\"").fail();

    assert!(ended.log.contains("panicked in register"), "{}", ended.log);
}

#[test]
fn a_wrong_choice_is_answered_with_all_that_there_are() {
    let ended = misbehaving("hang = \"never\", hang_in = \"bed\"").fail();

    let said = ended.report();
    for words in [
        "`hang` of plugin 'bad' must be one of \"wait\", \"spin\", \"block\", \"hold\"",
        "`hang_in` of plugin 'bad' must be one of \"tool\", \"agent\", \"model_stream\"",
    ] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    assert!(
        !said.contains("exactly one schema"),
        "once is enough: {said}"
    );
}

#[test]
fn a_panic_in_a_tool_is_told_to_the_model() {
    let mut server = panicking_in("tool");
    let pid = server.pid();

    let frames = server.stream("tooled", "call misbehave").finish();

    assert_eq!(only(&frames, "TOOL_CALL_RESULT")["isError"], true);
    assert!(kinds(&frames).contains(&"RUN_FINISHED".to_owned()));
    assert_unharmed(&mut server, pid);
}

#[test]
fn what_a_database_said_to_a_tool_is_for_the_log_alone() {
    let server = misbehaving("").start();

    let frames = server.stream("tooled", "call leaky").finish();

    let told = only(&frames, "TOOL_CALL_RESULT");
    assert_eq!(told["result"]["message"], "The tool 'leaky' failed.");
    assert!(told["result"].get("retryable").is_none(), "{told}");
    assert!(!format!("{frames:?}").contains("hunter2"), "{frames:?}");
    assert!(server.log().contains("hunter2"), "{}", server.log());
}

#[test]
fn a_coded_agent_is_told_why_a_call_had_no_result() {
    let approved = plain(
        "[[plugins.load]]\nname = \"bad\"\nlibrary = \"misbehaving\"\n\
         [tools.misbehave.approval]\nrequired = true",
    );
    let server = approved.start();
    let mut stream = server.stream("misbehaving", "go");
    let asked = stream.wait_for("TOOL_APPROVAL_REQUIRED");
    let denied = json!({
        "runId": stream.run_id(), "toolCallId": asked["toolCallId"], "decision": "denied",
    });
    let path = "/api/misbehaving/run/tool-approval";
    let _ = server.post(path).json(&denied).send().expect(204);
    let frames = stream.finish();
    assert!(only(&frames, "TOOL_CALL_RESULT").get("isError").is_none());
    let said = only(&frames, "TEXT_MESSAGE_CONTENT");
    let said = said["delta"].as_str().expect("it says something");
    assert!(
        said.ends_with(r#"was denied by the operator." Some("DENIED")"#),
        "{said}"
    );

    let frames = panicking_in("tool").stream("misbehaving", "go").finish();
    let said = only(&frames, "TEXT_MESSAGE_CONTENT");
    let said = said["delta"].as_str().expect("it says something");
    assert!(said.ends_with(r#"Some("TOOL_EXECUTION_FAILED")"#), "{said}");
}

#[test]
fn a_result_that_cannot_be_read_fails_that_call_alone() {
    let mut server = misbehaving("").start();
    let pid = server.pid();

    server.run("tooled", "call bad_result").send();

    let _ = server.run("tooled", "call misbehave").send().expect(200);
    assert_unharmed(&mut server, pid);
}

#[test]
fn a_panic_in_a_model_fails_that_run_alone() {
    for place in ["model", "model_stream"] {
        let mut server = panicking_in(place);
        let pid = server.pid();

        let reply = server.run("modelled", "hi").send();
        assert_masked(&server, reply);
        let frames = server.stream("modelled", "hi").finish();
        assert_eq!(only(&frames, "RUN_ERROR")["error"]["code"], "INTERNAL");

        let _ = server.run("plain", "hi").send().expect(200);
        assert_unharmed(&mut server, pid);
    }
}

#[test]
fn a_panic_in_a_coded_agent_fails_that_run_alone() {
    let mut server = panicking_in("agent");
    let pid = server.pid();

    let reply = server.run("misbehaving", "hi").send();
    assert_masked(&server, reply);

    let _ = server.run("plain", "hi").send().expect(200);
    assert_unharmed(&mut server, pid);
}

#[test]
fn a_panic_in_a_guard_refuses_the_request() {
    for place in ["guard", "guard_now"] {
        let mut server = panicking_in(place);
        let pid = server.pid();

        let reply = server.run("plain", "hi").send();
        assert_masked(&server, reply);

        assert_unharmed(&mut server, pid);
    }
}

#[test]
fn an_operator_may_let_requests_pass_a_broken_guard() {
    let config = format!(
        "[[plugins.load]]\nname = \"bad\"\nlibrary = \"misbehaving\"\n\
         config = {{ panic_in = \"guard\" }}\non_error = \"skip\"\n{SCRIPTED}"
    );
    let server = ServerBuilder::new(&config).start();

    let _ = server.run("plain", "hi").send().expect(200);
}

#[test]
fn a_panic_in_an_observer_is_noticed_by_nobody_but_the_log() {
    for place in ["observe", "completed"] {
        let mut server = panicking_in(place);
        let pid = server.pid();

        let _ = server.run("plain", "hi").send().expect(200);
        server.wait_for_log("misbehaving in");

        let _ = server.run("plain", "hi").send().expect(200);
        assert_unharmed(&mut server, pid);
    }
}

#[test]
fn a_panic_in_any_hook_of_a_run_leaves_the_process_alone() {
    for place in [
        "event",
        "step",
        "step_end",
        "before_model",
        "after_model",
        "before_tool",
        "after_tool",
        "tool_error",
        "before_run",
        "after_run",
        "before_save",
        "response",
    ] {
        let mut server = panicking_in(place);
        let pid = server.pid();

        // Whether the run ends well is the hook's policy; that it ends is not.
        let status = server.run("tooled", "call misbehave").send().status();

        assert!(status == 200 || status == 500, "{place}: {status}");
        assert_unharmed(&mut server, pid);
    }
}

#[test]
fn a_panic_in_a_drop_fails_nothing() {
    let mut server = panicking_in("tool_drop");
    let pid = server.pid();

    for _ in 0..3 {
        server.run("tooled", "call misbehave").send();
    }

    let _ = server.run("plain", "hi").send().expect(200);
    assert_unharmed(&mut server, pid);
}

#[test]
fn a_panic_while_another_one_unwinds_ends_the_server_and_both_are_told() {
    let server = panicking_in("tool_twice");

    // Nobody answers it.
    let _ = server.run("tooled", "call misbehave").try_send();

    let ended = server.wait(SOON);
    assert!(!ended.status.success(), "{:?}", ended.status);
    let first = "the plugin misbehaving panicked at tests/misbehaving/src/";
    for told in [first, "misbehaving in ToolTwice", "misbehaving once more"] {
        assert!(ended.log.contains(told), "{told}: {}", ended.log);
    }
}

#[test]
fn a_panic_while_it_is_made_refuses_the_plugin() {
    for place in ["create", "register", "info", "start"] {
        let ended = misbehaving(&format!("panic_in = \"{place}\"")).fail();
        assert_refused(&ended);
    }
}

#[test]
fn a_panic_at_the_end_does_not_keep_the_server_from_ending() {
    for place in ["shutdown", "plugin_drop"] {
        let server = panicking_in(place);
        server.signal(Signal::TERM);

        let ended = server.wait(SOON);

        assert_eq!(ended.status.code(), Some(0), "{place}: {ended:#?}");
    }
}

#[test]
fn a_plugin_that_panics_again_and_again_is_still_contained() {
    let mut server = panicking_in("endpoint");
    let pid = server.pid();

    for _ in 0..50 {
        let status = server.get("/api/misbehave").send().status();
        assert!(status >= 500, "{status}");
    }

    let _ = server.run("plain", "hi").send().expect(200);
    server.assert_alive();
    assert_eq!(server.pid(), pid);
}

#[test]
fn a_tool_that_never_returns_is_given_up() {
    let mut server = misbehaving("hang_in = \"tool\"").start();
    let pid = server.pid();

    let frames = server.stream("tooled", "call misbehave").finish();

    assert_eq!(only(&frames, "TOOL_CALL_RESULT")["isError"], true);
    assert_unharmed(&mut server, pid);
}

#[test]
fn a_tool_that_wakes_itself_again_and_again_is_given_up_and_others_are_served_meanwhile() {
    let mut server = misbehaving("hang_in = \"tool\", hang = \"spin\"").start();
    let pid = server.pid();
    let mut spinning = server.stream("tooled", "call misbehave");
    spinning.wait_for("TOOL_CALL_END");

    for _ in 0..20 {
        let _ = server.run("plain", "hi").send().expect(200);
    }

    let frames = spinning.finish();
    assert_eq!(only(&frames, "TOOL_CALL_RESULT")["isError"], true);
    assert_unharmed(&mut server, pid);
}

#[test]
fn a_plugin_that_holds_a_thread_is_named_in_the_log() {
    let mut server = misbehaving("hang_in = \"tool\", hang = \"block\"").start();
    let pid = server.pid();
    let blocking = server.stream("tooled", "call misbehave");

    let line = server.wait_for_log("has held a thread");

    assert!(line.contains("\"bad\""), "{line}");
    drop(blocking);
    assert_unharmed(&mut server, pid);
}

#[test]
fn others_are_served_while_a_plugin_holds_a_thread() {
    let server = misbehaving("hang_in = \"tool\", hang = \"hold\"").start();
    let mut holding = server.stream("tooled", "call misbehave");
    holding.wait_for("TOOL_CALL_END");

    for _ in 0..20 {
        let _ = server.run("plain", "hi").send().expect(200);
    }
}

#[test]
fn a_plugin_that_holds_a_thread_does_not_keep_the_server_from_ending() {
    let server = misbehaving("hang_in = \"tool\", hang = \"hold\"")
        .variable("MORTISE__SERVER__SHUTDOWN_GRACE", "300ms")
        .start();
    let mut holding = server.stream("tooled", "call misbehave");
    holding.wait_for("TOOL_CALL_END");

    server.signal(Signal::TERM);

    let ended = server.wait(SOON);
    assert_eq!(ended.status.code(), Some(0), "{ended:#?}");
    assert!(ended.log.contains("does not come back"), "{}", ended.log);
}

#[test]
fn an_observer_that_blocks_does_not_hold_up_the_end_for_all_that_it_has_not_heard() {
    let server = misbehaving("hang_in = \"observe\", hang = \"block\"").start();
    for _ in 0..4 {
        let _ = server.run("plain", "hi").send().expect(200);
    }

    server.signal(Signal::TERM);

    let ended = server.wait(SOON);
    assert_eq!(ended.status.code(), Some(0), "{ended:#?}");
}

#[test]
fn a_guard_that_never_answers_refuses_the_request() {
    let mut server = misbehaving("hang_in = \"guard\"").start();
    let pid = server.pid();

    let status = server.run("plain", "hi").send().status();

    assert!(status >= 500, "{status}");
    assert_unharmed(&mut server, pid);
}

#[test]
fn an_agent_that_ignores_an_abort_is_dropped_after_the_grace() {
    let mut server = misbehaving("hang_in = \"agent\"").start();
    let pid = server.pid();
    let mut stream = server.stream("misbehaving", "hi");
    stream.wait_for("RUN_STARTED");

    let path = format!("/api/misbehaving/runs/{}/abort", stream.run_id());
    let _ = server.post(&path).send().expect(204);

    assert!(kinds(&stream.finish()).contains(&"RUN_ABORTED".to_owned()));
    assert_unharmed(&mut server, pid);
}

#[test]
fn a_library_has_a_tokio_of_its_own() {
    let server = misbehaving("").start();

    let reply = server.run("tokio", "hi").send().expect(200);

    assert!(reply.text().contains("spawned"), "{}", reply.text());
}

/// A server that goes on without a plugin that does not start; it has a guard and an endpoint.
fn left_out(more: &str) -> Server {
    plain(&format!(
        r#"
[[plugins.load]]
name = "bad"
library = "misbehaving"
required = false
config = {{ panic_in = "start", hang_in = "guard" }}
{more}

[agents.modelled]
model = "bad/panicky"
"#
    ))
    .start()
}

#[test]
fn a_plugin_that_did_not_start_answers_nothing_and_its_guard_lets_nobody_in() {
    let server = left_out("");

    assert!(server.log().contains("the server starts without it"));
    let reply = server.get("/api/misbehave-ok").send().expect(503);
    assert_code(&reply.json(), "UNAVAILABLE");
    let reply = server.run("plain", "hi").send().expect(500);
    assert_code(&reply.json(), "INTERNAL");
}

#[test]
fn a_plugin_that_did_not_start_and_may_be_skipped_is_as_if_it_were_not_there() {
    let server = left_out("on_error = \"skip\"");

    let _ = server.run("plain", "hi").send().expect(200);
    let reply = server.run("modelled", "hi").send().expect(503);
    assert_code(&reply.json(), "UNAVAILABLE");
}

#[test]
fn an_endpoint_that_hangs_is_given_up() {
    let mut server = misbehaving("hang_in = \"endpoint\"").start();
    let pid = server.pid();

    let reply = server.get("/api/misbehave").send().expect(504);

    assert_code(&reply.json(), "TIMEOUT");
    server.wait_for_log("an endpoint took too long");
    assert_unharmed(&mut server, pid);
}

#[test]
fn an_observer_that_hangs_is_told_the_next_and_does_not_hold_up_the_end() {
    let server = misbehaving("hang_in = \"observe\"").start();

    let _ = server.run("plain", "hi").send().expect(200);
    server.wait_for_log("an observer failed");
    server.signal(Signal::TERM);
    let ended = server.wait(SOON);

    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    assert!(ended.log.contains("stopped"), "{}", ended.log);
}

#[test]
fn a_plugin_cannot_make_up_the_end_of_a_run() {
    let server = misbehaving("").start();

    let said = server.stream("forger", "go").finish();

    assert!(
        text_of(&said).starts_with("the event is not a well-formed RUN_FINISHED"),
        "{said:?}"
    );
    assert_eq!(only(&said, "RUN_FINISHED")["agentName"], "forger");
}

#[test]
fn a_hook_cannot_make_up_the_end_of_a_run_nor_take_it_away() {
    let honest = misbehaving("").start().stream("plain", "hi").finish();
    for forge in ["replace", "release", "swallow"] {
        let server = misbehaving(&format!("forge = \"{forge}\"")).start();

        let frames = server.stream("plain", "hi").finish();

        assert_eq!(
            only(&frames, "RUN_FINISHED")["agentName"],
            "plain",
            "{forge}"
        );
        assert_eq!(text_of(&frames), text_of(&honest));
        server.wait_for_log("skipped a hook that failed");
    }
}

/// What came of asking for everything, once somebody has.
#[track_caller]
fn answers(server: &Server) -> String {
    let log = server.wait_for_log("asked for everything");
    let line = log.lines().find(|it| it.contains("asked for everything"));
    let line: Value = line
        .and_then(|line| serde_json::from_str(line).ok())
        .unwrap_or_default();
    let answers = line["message"].as_str().unwrap_or_default();
    answers
        .trim_start_matches("asked for everything: ")
        .to_owned()
}

#[test]
fn what_a_run_leaves_behind_hears_of_its_end_and_gets_nothing_of_it() {
    let refused = "emit: ABORTED, say: ABORTED, generate: ABORTED, call_tool: ABORTED, \
                   run_agent: ABORTED, generate_chunks: ABORTED, history: fine";
    for agent in ["lingering", "whole"] {
        let server = misbehaving("").start();
        let prompt = r#"call delegate_task {"task":"hi","targetAgents":["lingering"]}"#;
        let frames = server.stream(agent, prompt).finish();
        assert_eq!(
            kinds(&frames).last().map(String::as_str),
            Some("RUN_FINISHED")
        );
        assert_eq!(answers(&server), refused, "{agent}");
    }
    let server = misbehaving("").start();
    let call = server.post("/api/tools/linger/execute").json(&json!({}));
    let _ = call.send().expect(200);
    assert_eq!(answers(&server), refused);
}

#[test]
fn an_event_hook_that_would_wait_for_itself_is_refused_at_once() {
    let server = misbehaving("ask_in_event = true").start();
    let frames = server.stream("plain", "hi").finish();
    assert_eq!(
        kinds(&frames).last().map(String::as_str),
        Some("RUN_FINISHED")
    );
    assert_eq!(
        answers(&server),
        "emit: BAD_REQUEST, say: BAD_REQUEST, generate: BAD_REQUEST, call_tool: BAD_REQUEST, \
         run_agent: BAD_REQUEST, generate_chunks: fine, history: fine"
    );
}

#[test]
fn an_agent_is_told_that_its_run_took_too_long() {
    let server = misbehaving("")
        .variable("MORTISE__RUNS__MAX_DURATION", "300ms")
        .start();
    let reply = server.run("lingering", "stay").send().expect(504);
    assert_code(&reply.json(), "TIMEOUT");
    server.wait_for_log("the agent was told to end");
}
