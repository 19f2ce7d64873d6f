//! Tools that clients call themselves: only those that the operator opens, with hooks and checks.

use integration_tests::{Reply, Server, ServerBuilder};
use serde_json::{Value, json};

use crate::support::{SECRET, assert_code, plain, target};

fn start(tools: &str, fixture: &str) -> Server {
    ServerBuilder::new(&format!(
        r#"
[server]
secret = "{SECRET}"

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = {{ tools = true{fixture} }}

[tools]
{tools}
"#
    ))
    .start()
    .with_token(SECRET)
}

fn call(server: &Server, tool: &str, input: &Value) -> Reply {
    let target = format!("/api/tools/{tool}/execute");
    server.post(&target).json(&json!({ "input": input })).send()
}

#[test]
fn a_tool_that_is_open_answers_with_its_result() {
    let server = start(r#"endpoints = ["add"]"#, "");
    let reply = call(&server, "add", &json!({ "a": 1, "b": 2 }))
        .expect(200)
        .json();
    assert_eq!(reply["toolName"], "add");
    assert_eq!(reply["result"], json!({ "sum": 3 }));
    assert!(reply["executionTime"].is_u64(), "{reply}");
    assert!(
        reply["timestamp"]
            .as_str()
            .is_some_and(|it| it.ends_with('Z'))
    );
    // Also without the base path, like every route.
    let bare = server.post("/tools/add/execute");
    let _ = bare
        .json(&json!({ "input": { "a": 1, "b": 2 } }))
        .send()
        .expect(200);
    // It is no run that anybody could find.
    let runs = server.get("/api/-/runs").send().expect(200).json();
    assert_eq!(runs["runs"], json!([]));
}

#[test]
fn nothing_is_open_that_the_operator_has_not_opened() {
    let server = start(r#"endpoints = ["add"]"#, "");
    let mut closed = call(&server, "boom", &json!({})).expect(404).json();
    let mut absent = call(&server, "ghost", &json!({})).expect(404).json();
    for (reply, name) in [(&mut closed, "boom"), (&mut absent, "ghost")] {
        let text = reply.to_string().replace(name, "NAME");
        *reply = serde_json::from_str(&text).expect("it is JSON still");
    }
    assert_eq!(closed, absent, "nobody learns which tools there are");
    let anonymous = server.anonymous("POST", "/api/tools/add/execute");
    let _ = anonymous.json(&json!({ "input": {} })).send().expect(401);
    let _ = server.get("/api/tools/add/execute").send().expect(405);

    let server = plain("").start();
    let none = server
        .post("/api/tools/add/execute")
        .json(&json!({}))
        .send();
    assert_eq!(none.expect(404).json()["message"], "Route not found.");
    let _ = server.get("/api/tools/add/execute").send().expect(404);
}

#[test]
fn what_is_wrong_with_a_call_is_said_with_its_place() {
    let server = start(r#"endpoints = ["add", "boom"]"#, "");
    let reply = call(&server, "add", &json!({ "a": "x", "b": 2 }))
        .expect(422)
        .json();
    assert_code(&reply, "VALIDATION_FAILED");
    assert_eq!(reply["issues"][0]["path"], "/a");
    let reply = call(&server, "boom", &json!({})).expect(500).json();
    assert_code(&reply, "TOOL_EXECUTION_FAILED");
    assert_ne!(reply["message"], "Server request failed.");
    let target = "/api/tools/add/execute";
    let _ = server.post(target).body("x").send().expect(415);
    let request = server
        .post(target)
        .header("content-type", "application/json");
    let _ = request.body("[]").send().expect(422);
    // Without an input it is called with none.
    let reply = server
        .post(target)
        .json(&json!({}))
        .send()
        .expect(422)
        .json();
    assert_code(&reply, "VALIDATION_FAILED");
}

#[test]
fn tools_that_need_somebody_are_refused() {
    let server = start(r#"endpoints = ["*"]"#, "");
    for (tool, why) in [
        ("confirm", "the client runs it"),
        ("wipe", "need an approval"),
    ] {
        let reply = call(&server, tool, &json!({})).expect(400).json();
        assert_code(&reply, "BAD_REQUEST");
        let message = reply["message"].as_str().unwrap_or_default();
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn hooks_see_a_call_as_in_a_run() {
    let server = start(r#"endpoints = ["add", "boom"]"#, ", editor = true");
    let skipped = call(&server, "add", &json!({ "a": 99 })).expect(200).json();
    assert_eq!(skipped["result"], json!({ "skipped": true }));
}

#[test]
fn guards_are_asked_before_a_tool() {
    let server = start(r#"endpoints = ["add"]"#, ", gate = true");
    let request = server
        .post("/api/tools/add/execute")
        .header("x-gate", "refuse");
    let reply = request.json(&json!({ "input": { "a": 1, "b": 2 } })).send();
    assert!((400..500).contains(&reply.status()), "{}", reply.status());
}

#[test]
fn a_tool_that_is_not_there_cannot_be_opened() {
    let config = "[tools]\nendpoints = [\"nothing\"]\n";
    let ended = ServerBuilder::new(config).fail();
    assert_eq!(ended.status.code(), Some(2));
    for part in ["`tools.endpoints` names a tool 'nothing'", ":2:"] {
        assert!(ended.log.contains(part), "{part}: {}", ended.log);
    }
}

#[test]
fn a_recorded_server_has_no_such_route() {
    let server = target("a");
    let _ = call(&server, "add", &json!({})).expect(404);
}
