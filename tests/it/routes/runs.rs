//! What there was and what waits, for those who may see it; and requests that are repeated.

use integration_tests::{Reply, Server, ServerBuilder, SseReader};
use serde_json::{Value, json};

use crate::support::{assert_code, kinds, only};

const CONFIG: &str = r#"
[server]
auth = "any"

[[plugins.load]]
name = "auth"

[plugins.load.config]
keys = [
    { key = "ann", subject = "ann" },
    { key = "bob", subject = "bob" },
    { key = "chief", subject = "chief", scopes = ["runs:approve"] },
    { key = "foreign", subject = "chief", tenant = "other", scopes = ["runs:approve"] },
]

[[plugins.load]]
name = "scripted"
library = "scripted_model"

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = { tools = true }

[agents.interactive]
model = "scripted/fake-1"
tools = ["add", "wipe", "wipe_fast"]

[agents.plain]
model = "scripted/fake-1"

[tools.wipe_fast.approval]
timeout = "30s"
excludes_owner = true
scope = "wipes:approve"
"#;

fn start() -> Server {
    ServerBuilder::new(CONFIG).start()
}

fn get(server: &Server, who: &str, target: &str) -> Reply {
    server.get(target).header("x-api-key", who).send()
}

fn run(server: &Server, who: &str, agent: &str, body: &Value) -> integration_tests::Request {
    server
        .post(&format!("/api/{agent}/run"))
        .header("x-api-key", who)
        .json(body)
}

/// A run of ann that waits for a decision on its first call.
#[track_caller]
fn waiting(server: &Server, prompt: &str) -> SseReader {
    let mut stream = run(server, "ann", "interactive", &json!({ "input": prompt })).open();
    stream.wait_for("TOOL_APPROVAL_UPDATED");
    stream
}

fn decide(server: &Server, who: &str, run_id: &str) -> Reply {
    let body = json!({ "runId": run_id, "toolCallId": "call_1", "decision": "approved" });
    server
        .post("/api/interactive/run/tool-approval")
        .header("x-api-key", who)
        .json(&body)
        .send()
}

#[test]
fn runs_are_listed_for_their_owner_page_by_page() {
    let server = start();
    for (who, input) in [("ann", "hi"), ("ann", "fail"), ("bob", "hi")] {
        let body = json!({ "input": input, "conversationId": "c1" });
        run(&server, who, "plain", &body).open().finish();
    }
    let _ = run(&server, "ann", "plain", &json!({ "input": "hi" }))
        .send()
        .expect(200);

    let page = get(&server, "ann", "/api/-/runs?limit=2")
        .expect(200)
        .json();
    let rest = format!(
        "/api/-/runs?limit=2&before={}",
        page["next"].as_str().unwrap()
    );
    let rest = get(&server, "ann", &rest).expect(200).json();
    let failed = get(&server, "ann", "/api/-/runs?state=failed&conversationId=c1");
    let failed = failed.expect(200).json();

    let states = |page: &Value| -> Vec<(String, String)> {
        let runs = page["runs"].as_array().unwrap().iter();
        runs.map(|run| {
            let text = |key: &str| run[key].as_str().unwrap().to_owned();
            (text("answer"), text("state"))
        })
        .collect()
    };
    let pair = |answer: &str, state: &str| (answer.to_owned(), state.to_owned());
    assert_eq!(
        states(&page),
        [pair("json", "finished"), pair("stream", "failed")]
    );
    assert_eq!(states(&rest), [pair("stream", "finished")]);
    assert_eq!(rest["next"], Value::Null);
    assert_eq!(states(&failed), [pair("stream", "failed")]);
    assert_eq!(rest["runs"][0]["usage"]["totalTokens"], 8);
    assert!(rest["runs"][0]["endedAt"].as_u64() >= rest["runs"][0]["createdAt"].as_u64());

    let run_id = page["runs"][0]["runId"].as_str().unwrap();
    let own = get(&server, "ann", &format!("/api/-/runs/{run_id}")).expect(200);
    assert_eq!(own.json(), page["runs"][0]);
    let foreign = get(&server, "bob", &format!("/api/-/runs/{run_id}")).expect(404);
    let absent = get(&server, "bob", "/api/-/runs/run_nobody").expect(404);
    assert_eq!(foreign.text(), absent.text());
    for wrong in ["state=lost", "limit=0", "limit=201", "limit=x"] {
        let refused = get(&server, "ann", &format!("/api/-/runs?{wrong}"));
        assert_code(&refused.expect(422).json(), "VALIDATION_FAILED");
    }
}

#[test]
fn approvals_are_seen_and_decided_by_the_owner_and_by_those_with_the_scope() {
    let server = start();
    let stream = waiting(&server, r#"call wipe {"path":"/x"}"#);
    let run_id = stream.run_id();

    for (who, count) in [("ann", 1), ("chief", 1), ("bob", 0), ("foreign", 0)] {
        let seen = get(&server, who, "/api/-/approvals?state=pending")
            .expect(200)
            .json();
        let seen = seen["approvals"].as_array().unwrap();
        assert_eq!(seen.len(), count, "{who}: {seen:?}");
        if let Some(approval) = seen.first() {
            assert_eq!(approval["runId"], run_id.as_str());
            assert_eq!(approval["toolName"], "wipe");
            assert_eq!(approval["toolInput"], json!({ "path": "/x" }));
            assert_eq!(approval["meta"], json!({ "risk": "high" }));
        }
    }
    for who in ["bob", "foreign"] {
        let refused = decide(&server, who, &run_id).expect(404);
        let absent = decide(&server, who, "run_nobody").expect(404);
        assert_eq!(refused.text(), absent.text());
    }
    let _ = decide(&server, "chief", &run_id).expect(204);
    let _ = decide(&server, "ann", &run_id).expect(404);
    let frames = stream.finish();

    assert_eq!(
        only(&frames, "TOOL_CALL_RESULT")["result"],
        json!({ "wiped": "/x" })
    );
    let audit = server.wait_for_log("\"action\":\"approve\"");
    let line = audit
        .lines()
        .find(|line| line.contains("\"action\":\"approve\""))
        .unwrap();
    assert!(
        line.contains("\"subject\":\"chief\"") && line.contains(&run_id),
        "{line}"
    );
    let none = get(&server, "ann", "/api/-/approvals").expect(200).json();
    assert_eq!(none["approvals"], json!([]));
    let _ = get(&server, "ann", "/api/-/approvals?state=approved").expect(422);
}

#[test]
fn a_tool_may_leave_its_owner_out_and_ask_for_a_scope_of_its_own() {
    let server = start();
    let stream = waiting(&server, "call wipe_fast {}");
    let run_id = stream.run_id();
    for who in ["ann", "chief"] {
        let _ = decide(&server, who, &run_id).expect(404);
    }
    drop(stream);
}

#[test]
fn a_conversation_can_be_deleted_by_its_owner_only() {
    let server = start();
    let body = json!({ "input": "hi", "conversationId": "c 1" });
    let _ = run(&server, "ann", "plain", &body).send().expect(200);
    let delete = |who: &str, target: &str| {
        let request = server.request("DELETE", target).header("x-api-key", who);
        request.send()
    };
    let target = "/api/-/conversations/plain/c%201";

    let _ = delete("bob", target).expect(404);
    let _ = delete("ann", target).expect(204);
    let _ = delete("ann", target).expect(404);
    let _ = delete("ann", "/api/-/conversations/nobody/c").expect(404);
    let _ = delete("ann", "/api/-/conversations/plain/%20").expect(422);
    let _ = get(&server, "ann", "/api/plain/conversations/c%201").expect(204);
}

#[test]
fn a_repeated_request_gets_the_first_answer() {
    let server = start();
    let ask = |who: &str, input: &str, key: &str| {
        run(&server, who, "plain", &json!({ "input": input })).header("idempotency-key", key)
    };
    let first = ask("ann", "hi", "k1").send().expect(200);
    let again = ask("ann", "hi", "k1").send().expect(200);
    assert_eq!(first.text(), again.text());
    let listed = || {
        let runs = get(&server, "ann", "/api/-/runs").expect(200).json();
        runs["runs"].as_array().unwrap().len()
    };
    assert_eq!(listed(), 1);

    assert_code(
        &ask("ann", "other", "k1").send().expect(409).json(),
        "CONFLICT",
    );
    let _ = ask("bob", "other", "k1").send().expect(200);
    let failed = ask("ann", "fail", "k2").send().expect(502);
    let again = ask("ann", "fail", "k2").send().expect(502);
    assert_eq!(failed.text(), again.text());
    // Its answer is stored, and yet it is no stream that somebody could resume.
    let run_id = get(&server, "ann", "/api/-/runs").expect(200).json()["runs"][0]["runId"].clone();
    let run_id = run_id.as_str().unwrap();
    let _ = get(&server, "ann", &format!("/api/plain/resume/{run_id}")).expect(404);
    for wrong in ["", " ", &"x".repeat(256)] {
        let _ = ask("ann", "hi", wrong).send().expect(400);
    }
    assert_eq!(listed(), 2);
}

#[test]
fn a_repeated_request_is_told_everything_that_was_wrong() {
    let server = start();
    let schema = json!({
        "type": "object",
        "properties": { "name": { "type": "string" }, "age": { "type": "number" } },
    });
    let body = json!({ "input": r#"json {"name":1,"age":"x"}"#, "output": { "schema": schema } });
    let ask = || run(&server, "ann", "plain", &body).header("idempotency-key", "k");
    let first = ask().send().expect(422);
    assert_eq!(first.json()["issues"].as_array().unwrap().len(), 2);
    let again = ask().send().expect(422);
    assert_eq!(again.json(), first.json());
}

#[test]
fn a_repeated_stream_is_shown_from_its_first_event() {
    let server = start();
    let ask =
        || run(&server, "ann", "plain", &json!({ "input": "hi" })).header("idempotency-key", "k");
    let first = ask().open();
    let run_id = first.run_id();
    let first = first.finish();
    let again = ask().open();
    assert_eq!(again.run_id(), run_id);
    assert_eq!(again.finish(), first);
    assert_eq!(
        kinds(&first).last().map(String::as_str),
        Some("RUN_FINISHED")
    );

    let server = server.crash_and_restart();
    let after = run(&server, "ann", "plain", &json!({ "input": "hi" }))
        .header("idempotency-key", "k")
        .open();
    assert_eq!(after.run_id(), run_id);
    assert_eq!(after.finish(), first);
}
