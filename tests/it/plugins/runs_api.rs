//! The shipped dialect `runs-api`.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Command,
    thread,
};

use integration_tests::{
    Frame, Reply, Request, Server, ServerBuilder, SseReader, fixture::Target, plugin_dir,
};
use serde_json::{Value, json};

use crate::support::eventually;

const RUNS: &str = "/api/agents/finance_agent/runs";
const PRICE: &str = r#"[tool:get_stock_price {"ticker":"NVDA"}]"#;
const TRANSFER: &str = r#"[tool:transfer_funds {"amount":500}]"#;

fn server() -> Server {
    server_with("")
}

/// The conformance target, with more settings of the plugin.
fn server_with(settings: &str) -> Server {
    let config = Target::named("main").config(&plugin_dir());
    let config = config.replace("inactive =", &format!("{settings}\ninactive ="));
    ServerBuilder::new(&config).start().with_token("op-token")
}

fn asks(server: &Server, tail: &str, body: &Value) -> Request {
    server.post(&format!("{RUNS}{tail}")).json(body)
}

#[track_caller]
fn runs(server: &Server, body: &Value) -> Value {
    asks(server, "", body).send().expect(200).json()
}

fn id(body: &Value) -> &str {
    body["runId"].as_str().expect("a run has an id")
}

fn status(server: &Server, run: &str) -> Value {
    let reply = server.get(&format!("{RUNS}/{run}/status")).send();
    reply.expect(200).json()
}

#[track_caller]
fn ended(server: &Server, run: &str) -> Value {
    eventually(|| Some(status(server, run)).filter(|run| !run["completedAt"].is_null()))
}

fn decides(server: &Server, run: &str, action: &str) -> Reply {
    let action = json!({ "action": action });
    asks(server, &format!("/{run}/continue"), &action).send()
}

fn cancels(server: &Server, run: &str) -> Reply {
    let request = server.request("DELETE", &format!("{RUNS}/{run}"));
    request.send()
}

fn transfers(server: &Server) -> Value {
    let probe = server.anonymous("GET", "/api/probe").send();
    probe.json()["transfers"].clone()
}

#[track_caller]
fn assert_problem(reply: &Reply, status: u16, kind: &str) {
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    let body = reply.json();
    let said = (reply.status(), &body["status"], &body["type"]);
    let kind = json!(format!("urn:problem-type:{kind}"));
    assert_eq!(said, (status, &json!(status), &kind), "{body}");
}

/// The next event, and its data.
#[track_caller]
fn next(stream: &mut SseReader) -> (String, String) {
    let frame = stream.next_frame().expect("the stream goes on");
    event(&frame)
}

fn event(frame: &Frame) -> (String, String) {
    let json = frame.json();
    let text = |key: &str| json[key].as_str().expect("a text").to_owned();
    (text("event"), text("data"))
}

fn started(stream: &mut SseReader) -> Value {
    let (kind, data) = next(stream);
    assert_eq!(kind, "START");
    serde_json::from_str(&data).expect("the ids are JSON")
}

#[test]
fn a_stream_shows_a_tool_and_the_answer_and_the_status_tells_the_same_later() {
    let server = server();
    let mut stream = asks(&server, "/stream", &json!({ "message": PRICE })).open();
    let ids = started(&mut stream);
    let mut events: Vec<_> = stream.finish().iter().map(event).collect();

    assert_eq!(events.remove(0).0, "START");
    let call = json!({ "name": "get_stock_price", "arguments": { "ticker": "NVDA" } });
    assert_eq!(events.remove(0), ("TOOL_START".into(), call.to_string()));
    let result = json!({ "name": "get_stock_price", "result": "875.40" });
    assert_eq!(events.remove(0), ("TOOL_END".into(), result.to_string()));
    assert_eq!(events.pop(), Some(("STOP".into(), String::new())));
    assert!(events.iter().all(|(kind, _)| kind == "CONTENT_DELTA"));
    let text: String = events.into_iter().map(|(_, data)| data).collect();
    assert_eq!(text, "Tool said: 875.40");

    let run = ended(&server, id(&ids));
    assert_eq!(
        (
            &run["status"],
            &run["output"],
            &run["input"],
            &run["sessionId"]
        ),
        (
            &json!("COMPLETED"),
            &json!(text),
            &json!(PRICE),
            &ids["sessionId"]
        )
    );
}

#[test]
fn a_session_remembers_and_can_be_looked_at_and_forgotten() {
    let server = server();
    for (message, said) in [("hi", "Hello there!"), ("[count]", "saw 2 user messages")] {
        let body = json!({ "message": message, "sessionId": "s1" });
        assert_eq!(runs(&server, &body)["content"], said);
    }

    let session = server.get("/api/sessions/s1").send().expect(200).json();
    let roles = session["messages"].as_array().expect("messages").iter();
    let roles: Vec<_> = roles.map(|it| it["role"].as_str().unwrap_or("")).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
    let page = server.get("/api/sessions?size=1").send().expect(200).json();
    assert_eq!(
        (&page["totalElements"], &page["content"][0]["id"]),
        (&json!(1), &json!("s1"))
    );
    let of_session = server.get("/api/sessions/s1/runs").send().expect(200);
    assert_eq!(of_session.json().as_array().map(Vec::len), Some(2));

    for _ in 0..2 {
        let _ = server
            .request("DELETE", "/api/sessions/s1")
            .send()
            .expect(204);
    }
    assert_problem(
        &server.get("/api/sessions/s1").send(),
        404,
        "resource-not-found",
    );
    let again = runs(&server, &json!({ "message": "[count]", "sessionId": "s1" }));
    assert_eq!(again["content"], "saw 1 user messages");
}

#[test]
fn what_is_wrong_with_a_request_is_a_problem_that_names_it() {
    let server = server();
    let refused = |body: Value, field: &str| {
        let reply = asks(&server, "", &body).send();
        assert_problem(&reply, 400, "invalid-request");
        assert_eq!(reply.json()["invalidParams"][0]["field"], field, "{body}");
    };
    refused(json!({}), "message");
    refused(json!({ "message": null }), "message");
    refused(json!({ "message": " " }), "message");
    refused(
        json!({ "message": "x", "userId": "x".repeat(256) }),
        "userId",
    );
    for kind in ["", "image", "image/", "a b/c"] {
        refused(
            json!({ "message": "x", "media": [{ "type": kind, "data": "aGk=" }] }),
            "media[0].type",
        );
    }
    refused(json!({ "message": "x", "sessionId": "" }), "sessionId");
    refused(
        json!({ "message": "x", "options": { "temperature": 2.1 } }),
        "options.temperature",
    );
    refused(
        json!({ "message": "x", "options": { "maxTokens": 0 } }),
        "options.maxTokens",
    );
    refused(
        json!({ "message": "x", "media": [{ "type": "a/b", "data": "%" }] }),
        "media[0].data",
    );

    let list = r#"["hi", null, null, null, null, null, null]"#;
    for broken in ["{", "[]", "7", list, "{\"message\":7}"] {
        let request = server.post(RUNS).header("content-type", "application/json");
        let reply = request.body(broken).send();
        assert_problem(&reply, 400, "malformed-request-body");
        assert!(!reply.text().contains("RunBody"), "{}", reply.text());
    }
    let both = json!({ "message": "hi", "session_id": "snake", "sessionId": "camel" });
    assert_eq!(runs(&server, &both)["sessionId"], "camel");
    let other = json!({ "message": "hi", "session_id": "snake" });
    assert_eq!(runs(&server, &other)["sessionId"], "snake");
    let untyped = server.post(RUNS).body("{}").send();
    assert_problem(&untyped, 415, "unsupported-media-type");
    let other = server.get(RUNS).send();
    assert_problem(&other, 405, "method-not-allowed");
    assert_eq!(other.header("allow"), Some("POST"));
    assert_problem(&server.get("/api/agents/a/b").send(), 404, "not-found");
    assert_problem(
        &server.anonymous("GET", "/api/agents").send(),
        401,
        "unauthorized",
    );
    let ids = vec!["x"; 101].join(",");
    for ids in [ids.clone(), ids.replacen(',', "&runIds=", 1)] {
        let many = server.get(&format!("{RUNS}/status?runIds={ids}")).send();
        assert_problem(&many, 400, "invalid-argument");
    }
}

#[test]
fn a_model_is_chosen_from_those_that_the_operator_names() {
    let server = server_with(r#"models = ["fake-2"]"#);
    let with = |model: &str| {
        let body = json!({ "message": "hi", "options": { "model": model, "maxTokens": 9 } });
        asks(&server, "", &body).send()
    };

    assert_problem(&with("fake-9"), 400, "invalid-request");
    let answer = with("fake-2").expect(200).json();
    assert_eq!(answer["metadata"]["model"], "fake-2");
    let probe = server.anonymous("GET", "/api/probe").send().json();
    assert_eq!(
        probe["last"]["options"],
        json!({ "model": "fake-2", "maxTokens": 9 })
    );
}

#[test]
fn agents_that_are_inactive_or_not_there_are_not_run() {
    let server = server();
    for agent in ["retired_agent", "ghost"] {
        for tail in ["", "/stream", "/background"] {
            let path = format!("/api/agents/{agent}/runs{tail}");
            let reply = server.post(&path).json(&json!({ "message": "hi" })).send();
            assert_problem(&reply, 404, "resource-not-found");
        }
    }
}

#[test]
fn another_tenant_reads_what_is_read_of_nothing() {
    let server = server();
    let body = json!({ "message": TRANSFER, "sessionId": "mine", "orgId": "org-b" });
    let run = runs(&server, &body);
    let run = id(&run);
    let other = |method: &str, path: &str| {
        server
            .anonymous(method, path)
            .bearer("op-token-b")
            .json(&json!({ "action": "APPROVE" }))
            .send()
    };

    for (method, path) in [
        ("GET", format!("{RUNS}/RUN/status")),
        ("POST", format!("{RUNS}/RUN/continue")),
        ("DELETE", format!("{RUNS}/RUN")),
    ] {
        let found = other(method, &path.replace("RUN", run));
        let nothing = other(method, &path.replace("RUN", "nothing"));
        assert_eq!(found.status(), 404, "{method} {path}");
        assert_eq!(found.text().replace(run, "nothing"), nothing.text());
    }
    for path in ["/api/sessions/mine", "/api/sessions/mine/runs"] {
        assert_problem(&other("GET", path), 404, "resource-not-found");
    }
    assert_eq!(other("GET", "/api/sessions").json()["totalElements"], 0);
    let batch = format!("{RUNS}/status?runIds={run}");
    assert_eq!(other("GET", &batch).json(), json!([]));
    let _ = other("DELETE", "/api/sessions/mine").expect(204);
    assert_eq!(status(&server, run)["status"], "PAUSED");
    assert_eq!(status(&server, run)["orgId"], "org-a");
}

#[test]
fn a_decision_counts_once_however_many_make_it() {
    let server = server();
    let run = runs(&server, &json!({ "message": TRANSFER }));
    let action = &run["metadata"]["requiredAction"];
    assert_eq!(
        (&run["status"], &action["toolName"]),
        (&json!("PAUSED"), &json!("transfer_funds"))
    );

    let replies: Vec<Reply> = thread::scope(|scope| {
        let deciding = [(); 4].map(|()| scope.spawn(|| decides(&server, id(&run), "APPROVE")));
        deciding
            .map(|it| it.join().expect("a decision is answered"))
            .into()
    });

    let (won, lost): (Vec<_>, Vec<_>) = replies.iter().partition(|it| it.status() == 200);
    assert_eq!((won.len(), lost.len()), (1, 3));
    assert_eq!(won[0].json()["content"], "Tool said: transferred 500");
    for reply in lost {
        assert_problem(reply, 409, "stale-data");
    }
    assert_problem(&decides(&server, id(&run), "APPROVE"), 409, "stale-data");
    assert_problem(
        &decides(&server, id(&run), "PERHAPS"),
        400,
        "malformed-request-body",
    );
    assert_eq!(transfers(&server), 1);
}

#[test]
fn two_calls_that_need_approval_are_decided_one_after_the_other() {
    let server = server();
    let run = runs(
        &server,
        &json!({ "message": format!("{TRANSFER} {TRANSFER}") }),
    );

    let again = decides(&server, id(&run), "REJECT").expect(200).json();
    assert_eq!(again["status"], "PAUSED");
    let action = |run: &Value| run["metadata"]["requiredAction"]["approvalId"].clone();
    assert_ne!(action(&again), action(&run));
    let done = decides(&server, id(&run), "APPROVE").expect(200).json();
    assert_eq!(done["status"], "COMPLETED");
    assert_eq!(transfers(&server), 1);
}

#[test]
fn a_run_that_waits_is_decided_on_after_a_crash() {
    let server = server();
    let run = runs(&server, &json!({ "message": TRANSFER, "sessionId": "s1" }));

    let server = server.crash_and_restart();

    assert_eq!(status(&server, id(&run))["status"], "PAUSED");
    let answer = decides(&server, id(&run), "APPROVE").expect(200).json();
    assert_eq!(answer["content"], "Tool said: transferred 500");
    let again = runs(&server, &json!({ "message": "[count]", "sessionId": "s1" }));
    assert_eq!(again["content"], "saw 2 user messages");
}

#[test]
fn a_run_of_this_api_is_seen_and_approved_over_the_native_one() {
    let server = server();
    let run = runs(&server, &json!({ "message": TRANSFER }));

    let native = json!({
        "runId": id(&run),
        "toolCallId": run["metadata"]["requiredAction"]["approvalId"],
        "decision": "approved",
    });
    let path = "/api/finance_agent/run/tool-approval";
    let _ = server.post(path).json(&native).send().expect(204);

    let entity = ended(&server, id(&run));
    assert_eq!(entity["output"], "Tool said: transferred 500");
    let path = format!(
        "/api/finance_agent/stream-events/resume?streamId={}",
        id(&run)
    );
    let shown = server.get(&path).open().finish();
    assert_eq!(
        shown.last().map(Frame::kind).as_deref(),
        Some("RUN_FINISHED")
    );
}

#[test]
fn a_run_goes_with_its_client_unless_it_is_in_the_background() {
    let server = server();
    let slow = json!({ "message": "[slow] [echo:one two three four]" });
    let mut stream = asks(&server, "/stream", &slow).open();
    let ids = started(&mut stream);
    let _ = next(&mut stream);
    drop(stream);
    assert_eq!(ended(&server, id(&ids))["status"], "CANCELLED");

    let queued = asks(&server, "/background", &slow)
        .send()
        .expect(200)
        .json();
    assert_eq!(queued["status"], "QUEUED");
    let run = ended(&server, id(&queued));
    assert_eq!(
        (&run["status"], &run["output"]),
        (&json!("COMPLETED"), &json!("one two three four"))
    );
}

#[test]
fn what_a_run_has_used_is_the_sum_of_its_steps_however_it_stands() {
    let server = server();
    let used = |body: &Value| (body["inputTokens"].clone(), body["outputTokens"].clone());
    let done = runs(&server, &json!({ "message": PRICE }));
    assert_eq!(used(&done["metrics"]), (json!(300), json!(84)));
    assert_eq!(used(&status(&server, id(&done))), (json!(300), json!(84)));

    let paused = runs(&server, &json!({ "message": TRANSFER }));
    assert_eq!(used(&paused["metrics"]), (json!(150), json!(42)));
    let entity = status(&server, id(&paused));
    assert_eq!(used(&entity), (json!(150), json!(42)));
    assert_eq!(entity["requiredAction"]["toolName"], "transfer_funds");

    let _ = cancels(&server, id(&paused)).expect(204);
    let entity = status(&server, id(&paused));
    assert_eq!(
        (&entity["status"], &entity["requiredAction"]),
        (&json!("CANCELLED"), &Value::Null)
    );
    assert_eq!(used(&entity), (json!(150), json!(42)));
}

#[test]
fn a_run_that_was_cancelled_has_ended_when_that_is_answered() {
    let server = server();
    let slow = json!({ "message": "[slow] [echo:one two three four]" });
    for _ in 0..20 {
        let run = asks(&server, "/background", &slow)
            .send()
            .expect(200)
            .json();
        let _ = cancels(&server, id(&run)).expect(204);
        assert_eq!(status(&server, id(&run))["status"], "CANCELLED");
    }
}

#[test]
fn ids_in_paths_may_be_escaped() {
    let server = server();
    let body = json!({ "message": "hi", "sessionId": "ann@acme:7+1 é" });
    let run = runs(&server, &body);
    let path = "/api/sessions/ann%40acme%3A7+1%20%C3%A9";

    let session = server.get(path).send().expect(200).json();
    assert_eq!(session["id"], body["sessionId"]);
    let runs = server.get(&format!("{path}/runs")).send().expect(200);
    assert_eq!(runs.json()[0]["id"], id(&run));
    let _ = server.request("DELETE", path).send().expect(204);
    assert_problem(&server.get(path).send(), 404, "resource-not-found");

    let agent = server.get("/api/agents/finance%5Fagent").send().expect(200);
    assert_eq!(agent.json()["id"], "finance_agent");
    let escaped = id(&run).replace('_', "%5F");
    let path = format!("/api/agents/finance%5fagent/runs/{escaped}/status");
    assert_eq!(server.get(&path).send().expect(200).json()["id"], id(&run));
}

/// The answers to two requests that are made at the same time.
fn at_once(ask: impl Fn(usize) -> Reply + Sync) -> [Reply; 2] {
    thread::scope(|scope| {
        let asking = [0, 1].map(|place| {
            scope.spawn({
                let ask = &ask;
                move || ask(place)
            })
        });
        asking.map(|it| it.join().expect("it is answered"))
    })
}

fn roles(server: &Server, session: &str) -> Vec<String> {
    let session = server.get(&format!("/api/sessions/{session}")).send();
    let session = session.expect(200).json();
    let messages = session["messages"].as_array().expect("messages").iter();
    let roles = messages.map(|it| it["role"].as_str().unwrap_or_default().to_owned());
    roles.collect()
}

#[test]
fn runs_of_one_session_come_one_after_the_other() {
    let server = server();
    let turns = ["user", "assistant", "user", "assistant"];
    for round in 0..10 {
        let session = format!("new-{round}");
        let body = json!({ "message": "hi", "sessionId": session });
        for reply in at_once(|_| asks(&server, "", &body).send()) {
            assert_eq!(reply.expect(200).json()["content"], "Hello there!");
        }
        assert_eq!(roles(&server, &session), turns);
    }

    let slow = json!({ "message": "[slow] [echo:one two]", "sessionId": "later" });
    let runs = at_once(|_| asks(&server, "/background", &slow).send());
    for run in runs {
        let run = ended(&server, id(&run.expect(200).json()));
        assert_eq!(run["status"], "COMPLETED", "{run}");
    }
    assert_eq!(roles(&server, "later"), turns);
}

#[test]
fn while_a_session_waits_for_a_decision_no_other_run_begins_in_it() {
    let server = server();
    for session in ["new", "known"] {
        if session == "known" {
            let _ = runs(&server, &json!({ "message": "hi", "sessionId": session }));
        }
        let before = transfers(&server);
        let run = runs(
            &server,
            &json!({ "message": TRANSFER, "sessionId": session }),
        );

        let other = json!({ "message": "hi", "sessionId": session });
        for tail in ["", "/stream", "/background"] {
            let refused = asks(&server, tail, &other).send();
            assert_problem(&refused, 409, "stale-data");
            assert_eq!(refused.json()["runId"], run["runId"]);
        }

        let done = decides(&server, id(&run), "APPROVE").expect(200).json();
        assert_eq!(done["status"], "COMPLETED");
        let again = runs(
            &server,
            &json!({ "message": "[count]", "sessionId": session }),
        );
        let said = if session == "new" { 2 } else { 3 };
        assert_eq!(again["content"], format!("saw {said} user messages"));
        assert_eq!(
            transfers(&server).as_u64(),
            before.as_u64().map(|count| count + 1)
        );
    }
}

#[test]
fn a_tool_that_the_model_made_up_and_arguments_that_are_none_are_told_to_the_model() {
    let server = server();
    let run = runs(&server, &json!({ "message": "[tool:nope {}]" }));
    assert_eq!(run["status"], "COMPLETED");
    assert_eq!(run["tools"][0]["isError"], true, "{run}");

    let odd = json!({ "message": "[tool:nope {odd}]" });
    let events = asks(&server, "/stream", &odd).open().finish();
    let (kind, data) = event(&events[1]);
    let data: Value = serde_json::from_str(&data).expect("a call is JSON");
    assert_eq!(kind, "TOOL_START");
    assert_eq!(data, json!({ "name": "nope", "arguments": {} }));
}

#[test]
fn sessions_without_messages_are_listed_and_forgotten_ones_are_not() {
    let server = server();
    let failed = json!({ "message": "[500]", "sessionId": "failed" });
    let _ = asks(&server, "", &failed).send().expect(502);
    for session in ["a", "gone", "b"] {
        let _ = runs(&server, &json!({ "message": "hi", "sessionId": session }));
    }
    let gone = server.request("DELETE", "/api/sessions/gone").send();
    let _ = gone.expect(204);

    let page = |query: &str| {
        let page = server.get(&format!("/api/sessions{query}")).send();
        let page = page.expect(200).json();
        let ids = page["content"].as_array().expect("a list").iter();
        let ids: Vec<Value> = ids.map(|it| it["id"].clone()).collect();
        (
            json!(ids),
            page["totalElements"].clone(),
            page["totalPages"].clone(),
        )
    };
    assert_eq!(page(""), (json!(["b", "a", "failed"]), json!(3), json!(1)));
    assert_eq!(page("?size=2"), (json!(["b", "a"]), json!(3), json!(2)));
    assert_eq!(
        page("?size=2&page=1"),
        (json!(["failed"]), json!(3), json!(2))
    );
    let session = server.get("/api/sessions/failed").send().expect(200).json();
    assert_eq!(session["messages"], json!([]));
    assert!(session["createdAt"].is_string(), "{session}");
    for odd in ["page=-1", "page=x", "size=0", "size="] {
        let refused = server.get(&format!("/api/sessions?{odd}")).send();
        assert_problem(&refused, 400, "invalid-request");
    }
}

#[test]
fn suggestions_of_a_model_stand_in_stop_and_its_failure_leaves_it_empty() {
    let stop = |model: &str| {
        let config = Target::named("main").config(&plugin_dir());
        let fixed = r#"fixed = ["What moved the price?", "How did it do last week?"]"#;
        let config = config.replace(fixed, &format!("model = {model:?}"));
        let server = ServerBuilder::new(&config).start().with_token("op-token");
        let body = json!({ "message": "hi", "generateFollowups": true });
        let events = asks(&server, "/stream", &body).open().finish();
        let listed = server.get("/api/agents").send().text().to_owned();
        assert!(!listed.contains("followups"), "{listed}");
        event(events.last().expect("STOP"))
    };

    let (kind, data) = stop("scripted/fake-1");
    let data: Value = serde_json::from_str(&data).expect("suggestions are JSON");
    assert_eq!(
        (kind.as_str(), &data["followups"]),
        ("STOP", &json!(["Hello there!"]))
    );
    assert_eq!(stop("scripted/none"), ("STOP".to_owned(), String::new()));
}

#[test]
fn media_are_fetched_from_where_they_may_be_and_not_from_where_a_redirect_leads() {
    let files = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = files.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for connection in files.incoming() {
            let Ok(mut connection) = connection else {
                return;
            };
            let mut head = [0; 1024];
            let count = connection.read(&mut head).unwrap_or(0);
            let body = match String::from_utf8_lossy(&head[..count]).split(' ').nth(1) {
                Some("/picture") => "200 OK\r\ncontent-length: 3\r\n\r\npng".to_owned(),
                Some("/large") => format!("200 OK\r\ncontent-length: 65\r\n\r\n{}", "x".repeat(65)),
                Some("/moved") => {
                    "302 Found\r\nlocation: /picture\r\ncontent-length: 0\r\n\r\n".to_owned()
                }
                Some("/folder/moved") => {
                    "302 Found\r\nlocation: ../picture\r\ncontent-length: 0\r\n\r\n".to_owned()
                }
                Some("/lost") => "302 Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
                _ => format!(
                    "302 Found\r\nlocation: http://localhost:{port}/picture\r\ncontent-length: 0\r\n\r\n"
                ),
            };
            // The client may have gone.
            let _ = connection.write_all(format!("HTTP/1.1 {body}").as_bytes());
        }
    });
    let server = server_with("media_private_hosts = [\"127.0.0.1\"]\nmedia_max_bytes = 64");
    let with = |address: &str| {
        let media = json!([{ "type": "image/png", "data": address }]);
        asks(&server, "", &json!({ "message": "hi", "media": media })).send()
    };

    for path in ["picture", "moved", "folder/moved"] {
        let run = with(&format!("http://127.0.0.1:{port}/{path}"))
            .expect(200)
            .json();
        let path = format!(
            "/api/finance_agent/stream-events/resume?streamId={}",
            id(&run)
        );
        let shown = server.get(&path).open().finish();
        let input = &shown[0].json()["runInput"]["input"][0]["content"][1];
        let source = json!({ "kind": "base64", "data": "cG5n", "mimeType": "image/png" });
        assert_eq!(
            (&input["type"], &input["source"]),
            (&json!("image"), &source)
        );
    }
    for data in ["cG5n", " cG\n5n ", "data:image/png;base64,cG5n"] {
        let _ = with(data).expect(200);
    }
    for address in [
        format!("http://127.0.0.1:{port}/large"),
        format!("http://127.0.0.1:{port}/elsewhere"),
        format!("http://localhost:{port}/picture"),
        format!("http://[::1]:{port}/picture"),
        "http://169.254.169.254/latest".to_owned(),
        "http://2130706433/".to_owned(),
    ] {
        assert_problem(&with(&address), 400, "invalid-request");
    }
    let lost = with(&format!("http://127.0.0.1:{port}/lost")).expect(400);
    let said = "redirects without saying where to";
    assert!(lost.text().contains(said), "{}", lost.text());
}

/// A reader as simple as can be: each read is taken for whole events.
const SIMPLE_READER: &str = r#"
const [origin] = process.argv.slice(2);
const message = `[slow] [echo:${("x".repeat(10_239) + " ").repeat(10)}]`;
const response = await fetch(`${origin}/api/agents/finance_agent/runs/stream`, {
  method: "POST",
  headers: { authorization: "Bearer op-token", "content-type": "application/json" },
  body: JSON.stringify({ message, sessionId: crypto.randomUUID() }),
});
const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
let text = "", last = "";
for (;;) {
  const { done, value } = await reader.read();
  if (done) break;
  for (const line of value.split("\n")) {
    if (!line.startsWith("data:")) continue;
    const event = JSON.parse(line.slice(5).trim());
    if (event.event === "CONTENT_DELTA") text += event.data;
    last = event.event;
  }
}
console.log(JSON.stringify({ length: text.length, last }));
"#;

#[test]
fn a_reader_that_takes_each_read_for_whole_events_gets_through_a_long_run() {
    let server = server();
    let script = server.folder().join("reader.mjs");
    fs::write(&script, SIMPLE_READER).expect("the folder can be written");

    let node = Command::new("node")
        .arg(&script)
        .arg(format!("http://{}", server.address()))
        .output()
        .expect("node is installed");

    let said: Value = serde_json::from_slice(&node.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&node.stderr)));
    assert_eq!(said, json!({ "length": 10 * 10_240, "last": "STOP" }));
}
