//! Plugins that panic: only the request at hand fails, and the process goes on.
//!
//! The library is `tests/misbehaving`. Its `config` says where it panics: `panic_in`, one of the
//! places below. It offers the tool `bad_tool`, the model `bad-model`, the agent `bad-agent` and
//! the endpoint `GET /bad`, which are well-behaved unless named.

use integration_tests::{Reply, Server};
use serde_json::json;

use crate::support::{assert_code, kinds, plain};

/// A server whose plugin panics in this place.
fn panicking_in(place: &str) -> Server {
    plain(&format!(
        r#"
[[plugins.load]]
name = "bad"
library = "misbehaving"
config = {{ panic_in = "{place}" }}

[agents.tooled]
model = "scripted/fake-1"
tools = ["bad_tool"]

[agents.modelled]
model = "bad/bad-model"
"#
    ))
    .start()
}

/// The request has failed without telling why, and the log tells it.
#[track_caller]
fn assert_masked(server: &Server, reply: Reply) {
    let reply = reply.expect(500);
    assert_code(&reply.json(), "INTERNAL");
    assert!(!reply.text().contains("panic"), "{}", reply.text());
    let log = server.wait_for_log("panic");
    assert!(log.contains("bad"), "the log names the plugin: {log}");
}

/// The same process answers everything else as before.
#[track_caller]
fn assert_unharmed(server: &mut Server, pid: u32) {
    server.assert_alive();
    assert_eq!(server.pid(), pid);
    let _ = server.get("/api/-/agents").send().expect(200);
}

#[test]
fn a_panic_in_an_endpoint_fails_that_request_alone() {
    let mut server = panicking_in("endpoint");
    let pid = server.pid();

    let reply = server.get("/api/bad").send();
    assert_masked(&server, reply);

    let _ = server.run("plain", "hi").send().expect(200);
    assert_unharmed(&mut server, pid);
}

#[test]
fn a_panic_in_a_tool_is_told_to_the_model() {
    let mut server = panicking_in("tool");
    let pid = server.pid();

    let frames = server.stream("tooled", "call bad_tool").finish();

    let kinds = kinds(&frames);
    assert!(kinds.contains(&"TOOL_CALL_RESULT".to_owned()), "{kinds:?}");
    assert!(kinds.contains(&"RUN_FINISHED".to_owned()), "{kinds:?}");
    let _ = server.run("plain", "hi").send().expect(200);
    assert_unharmed(&mut server, pid);
}

#[test]
fn a_panic_in_a_model_fails_that_run_alone() {
    let mut server = panicking_in("model");
    let pid = server.pid();

    let reply = server.run("modelled", "hi").send();
    assert_masked(&server, reply);
    let frames = server.stream("modelled", "hi").finish();
    assert!(kinds(&frames).contains(&"RUN_ERROR".to_owned()));

    let _ = server.run("plain", "hi").send().expect(200);
    assert_unharmed(&mut server, pid);
}

#[test]
fn a_panic_in_a_coded_agent_fails_that_run_alone() {
    let mut server = panicking_in("agent");
    let pid = server.pid();

    let reply = server.run("bad-agent", "hi").send();
    assert_masked(&server, reply);

    let _ = server.run("plain", "hi").send().expect(200);
    assert_unharmed(&mut server, pid);
}

#[test]
fn a_panic_in_a_guard_refuses_the_request() {
    let mut server = panicking_in("guard");
    let pid = server.pid();

    let reply = server.run("plain", "hi").send();
    assert_masked(&server, reply);

    server.assert_alive();
    assert_eq!(server.pid(), pid);
}

#[test]
fn a_panic_in_an_observer_is_noticed_by_nobody_but_the_log() {
    let mut server = panicking_in("observe");
    let pid = server.pid();

    let _ = server.run("plain", "hi").send().expect(200);
    server.wait_for_log("panic");

    assert_unharmed(&mut server, pid);
}

#[test]
fn a_panic_in_an_event_filter_does_not_stop_the_run() {
    let mut server = panicking_in("event");
    let pid = server.pid();

    let frames = server.stream("plain", "hi").finish();

    assert!(kinds(&frames).contains(&"RUN_FINISHED".to_owned()));
    assert_unharmed(&mut server, pid);
}

#[test]
fn a_panic_in_a_drop_fails_nothing() {
    let mut server = panicking_in("drop");
    let pid = server.pid();

    for _ in 0..3 {
        server.get("/api/bad").send();
    }

    let _ = server.run("plain", "hi").send().expect(200);
    assert_unharmed(&mut server, pid);
}

#[test]
fn a_panic_while_it_is_made_refuses_the_plugin() {
    let config = format!(
        "[[plugins.load]]\nname = \"bad\"\nlibrary = \"misbehaving\"\n\
         config = {{ panic_in = \"create\" }}\n{}",
        crate::support::SCRIPTED
    );

    let ended = integration_tests::ServerBuilder::new(&config).fail();

    assert_eq!(ended.status.code(), Some(1), "{ended:#?}");
    assert!(ended.log.contains("bad"), "{}", ended.log);
}

#[test]
fn a_plugin_that_panics_again_and_again_is_still_contained() {
    let mut server = panicking_in("endpoint");
    let pid = server.pid();

    for _ in 0..50 {
        let status = server.get("/api/bad").send().status();
        assert!(status >= 500, "{status}");
    }

    assert_unharmed(&mut server, pid);
    let body = json!({ "input": "hi" });
    let _ = server.post("/api/plain/run").json(&body).send().expect(200);
}
