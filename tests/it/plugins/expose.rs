//! The shipped dialect `expose`.

use std::fs;

use integration_tests::{
    Frame, Reply, Request, Server, ServerBuilder, fixture::PURISTA, plugin_dir, workspace,
};
use serde_json::{Value, json};

use crate::readme::assert_prints;
use crate::support::{SECRET, eventually};

const TRIAGE: &str = "/api/v1/agents/triage-ticket";
const SUPPORT: &str = "/api/v1/agents/support";
const LONG: &str = "/api/v1/agents/support-long";

/// More endpoints and agents than the conformance target has.
const MORE: &str = r#"
[[plugins.load.config.endpoints]]
agent = "chat"
method = "PUT"
path = "chats/:session"
public = true
input = "{{ payload.text }}"
conversation = "{{ parameter.session }}"
request_content_type = "application/x-www-form-urlencoded"
response_content_type = "text/plain"

[[plugins.load.config.endpoints]]
agent = "chat"
name = "greeting"
method = "GET"
path = "greet"
public = true
input = "[echo:{{ parameter.name }}]"
parameter = { type = "object", properties = { name = { type = "string" } }, required = ["name"] }

[[plugins.load.config.endpoints]]
agent = "sorter"
path = "sort"
public = true
input = "{{ payload.say }}"
output = { type = "object", properties = { priority = { enum = ["low", "high"] } }, required = ["priority"] }

[[plugins.load.config.endpoints]]
agent = "chat"
path = "desks/:desk/{kind}"
mode = "accepted"
public = true
status_url = "/desks/{desk}/jobs/:kind/:jobId"

[[plugins.load.config.endpoints]]
agent = "payer"
path = "pay"
mode = "stream"
input = "{{ payload.text }}"

[agents.payer]
model = "scripted/fake-1"
tools = ["pay"]

[agents.chat]
model = "scripted/fake-1"

[agents.sorter]
model = "scripted/fake-1"
output_error_mode = "throw"
"#;

fn config() -> String {
    let config = PURISTA[0].config(&plugin_dir());
    let other = r#"keys = [{ key = "Bearer other", subject = "user-2", tenant = "tenant-b" }, "#;
    let tools = r#"probe = true, tools = [
    { name = "pay", arguments = { amount = "number" }, answer = "paid", approval = true },
]"#;
    let config = config.replace("probe = true", tools);
    config.replace("keys = [", other) + MORE
}

fn server() -> Server {
    ServerBuilder::new(&config()).start().with_token("good")
}

fn ticket(mode: &str) -> Value {
    json!({ "text": "printer on fire", "mode": mode })
}

fn asks(server: &Server, path: &str, body: &Value) -> Reply {
    server.post(path).json(body).send()
}

fn probe(server: &Server) -> Value {
    server.anonymous("GET", "/api/probe").send().json()
}

#[track_caller]
fn assert_problem(reply: &Reply, status: u16) -> Value {
    let kind = reply.header("content-type");
    assert_eq!(kind, Some("application/problem+json; charset=utf-8"));
    assert_eq!(reply.header("vary"), Some("accept"));
    let body = reply.json();
    let said = (reply.status(), &body["status"]);
    assert_eq!(said, (status, &json!(status)), "{body}");
    for key in ["type", "title", "detail", "instance", "traceId"] {
        assert!(body[key].is_string(), "{key} of {body}");
    }
    body
}

/// The data of the frames of a stream that keeps the rules of all streams.
#[track_caller]
fn events(frames: &[Frame]) -> Vec<Value> {
    let events: Vec<Value> = frames.iter().map(Frame::json).collect();
    for (at, (frame, event)) in frames.iter().zip(&events).enumerate() {
        assert_eq!(frame.event.as_deref(), event["type"].as_str());
        assert_eq!(event["sequence_number"], at + 1, "{event}");
        assert_eq!(event["run_id"], events[0]["run_id"]);
        assert_eq!(event["response_id"], event["run_id"]);
    }
    let types: Vec<_> = events.iter().map(|event| &event["type"]).collect();
    assert_eq!(types[0], "response.created");
    let ends = ["response.completed", "error"];
    let is_end = |kind: &&&Value| ends.iter().any(|end| ***kind == **end);
    assert_eq!(types.iter().filter(is_end).count(), 1, "{types:?}");
    assert!(is_end(&types.last().expect("it has an end")), "{types:?}");
    events
}

#[track_caller]
fn streamed(server: &Server, path: &str, body: &Value) -> Vec<Value> {
    events(&server.post(path).json(body).open().finish())
}

fn text_of(events: &[Value]) -> String {
    let deltas = events
        .iter()
        .filter(|it| it["type"] == "response.output_text.delta");
    deltas.filter_map(|it| it["delta"].as_str()).collect()
}

fn state(server: &Server, handle: &Value) -> Value {
    let url = handle["statusUrl"].as_str().expect("a handle has a URL");
    server.get(url).send().expect(200).json()
}

#[track_caller]
fn ended(server: &Server, handle: &Value) -> Value {
    eventually(|| Some(state(server, handle)).filter(|job| !job["completedAt"].is_null()))
}

#[test]
fn an_output_stands_alone_at_every_path_of_its_agent() {
    let server = server();
    for path in [TRIAGE, "/agents/triage-ticket", "/agents//triage-ticket/"] {
        let reply = asks(&server, path, &ticket("")).expect(200);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        let output = json!({ "priority": "high", "reason": "Hello there!" });
        assert_eq!(reply.json(), output);
    }
    let nothing = asks(&server, "/agents/no-output", &ticket("empty")).expect(204);
    assert_eq!(nothing.text(), "");
    for path in ["/api/v1/agents/ghost", "/api/v1", "/agents/ghost"] {
        assert_problem(&server.get(path).send(), 404);
    }
    assert_problem(&server.get(TRIAGE).send(), 404);
}

#[test]
fn query_and_path_become_the_parameter() {
    let server = server();
    let reply = asks(
        &server,
        &format!("{TRIAGE}?dryRun=a%20b&x=1&x=2"),
        &ticket("param"),
    );
    let reason = json!({ "parameter": { "dryRun": "a b", "x": "2" } }).to_string();
    assert_eq!(reply.expect(200).json()["reason"], reason);

    let long = format!("{TRIAGE}?dryRun={}", "y".repeat(40));
    let problem = assert_problem(&asks(&server, &long, &ticket("")), 400);
    assert_eq!(problem["errors"][0]["path"], json!(["dryRun"]));
    assert_eq!(problem["errors"][0]["code"], "too_big");

    let greeted = server
        .anonymous("GET", "/greet?name=Ann")
        .send()
        .expect(200);
    assert_eq!(greeted.json(), "Ann");
    let problem = assert_problem(&server.anonymous("GET", "/greet").send(), 400);
    assert_eq!(problem["errors"][0]["path"], json!(["name"]));
    assert_eq!(problem["errors"][0]["code"], "invalid_type");
}

#[test]
fn what_does_not_fit_is_refused_before_a_model_is_asked() {
    let server = server();
    let before = probe(&server);
    for path in [TRIAGE, SUPPORT, LONG] {
        let problem = assert_problem(&asks(&server, path, &json!({ "text": "x" })), 400);
        assert_eq!(problem["instance"], path);
        let error = &problem["errors"][0];
        assert_eq!(
            (&error["path"], &error["code"]),
            (&json!(["text"]), &json!("too_small"))
        );
        assert!(error["message"].is_string(), "{error}");

        let typed = |kind: &str, body: &str| {
            let request = server.post(path).header("content-type", kind);
            request.body(body).send()
        };
        assert_problem(&typed("text/plain", "{}"), 400);
        assert_problem(&typed("application/json", "{"), 400);
        assert_problem(&typed("application/json", ""), 400);
        let large = json!({ "text": "x".repeat(1024 * 1024) });
        assert_problem(&asks(&server, path, &large), 413);
    }
    assert_eq!(probe(&server)["started"], before["started"]);
    let jobs = server.get("/api/-/jobs").send().expect(200).json();
    assert_eq!(jobs["jobs"], json!([]), "{jobs}");
}

#[test]
fn who_is_not_let_in_learns_nothing_and_reaches_nothing() {
    let server = server();
    let before = probe(&server);
    for path in [TRIAGE, SUPPORT, LONG, "/agents/support/runs/job_1"] {
        let method = if path.contains("/runs/") {
            "GET"
        } else {
            "POST"
        };
        for request in [
            server.anonymous(method, path),
            server.anonymous(method, path).bearer("wrong"),
        ] {
            let reply = request.json(&ticket("")).send();
            assert_problem(&reply, 401);
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        }
    }
    assert_eq!(probe(&server)["started"], before["started"]);
    let public = server.anonymous("POST", "/api/v1/agents/public-triage");
    let _ = public.json(&ticket("")).send().expect(200);
}

#[test]
fn an_error_of_the_agent_is_told_and_any_other_is_masked() {
    let server = server();
    let traced = server.post(TRIAGE).header("x-trace-id", "trace-9");
    let reply = traced.json(&ticket("handled")).send();
    let problem = assert_problem(&reply, 404);
    assert_eq!(reply.header("x-trace-id"), Some("trace-9"));
    assert_eq!(
        (&problem["detail"], &problem["details"], &problem["traceId"]),
        (
            &json!("ticket not found"),
            &json!({ "ticket": 7 }),
            &json!("trace-9")
        )
    );

    for (body, cause) in [
        (ticket("boom"), "secret internals"),
        (ticket("badout"), "does not fit `output`"),
        (json!({ "text": "say [500]" }), "UPSTREAM_FAILED"),
    ] {
        let problem = assert_problem(&asks(&server, TRIAGE, &body), 500);
        assert_eq!(problem["detail"], "Internal Server Error");
        assert!(
            problem.get("errors").or(problem.get("details")).is_none(),
            "{problem}"
        );
        for inside in ["secret internals", "urgent", "upstream exploded"] {
            assert!(!problem.to_string().contains(inside), "{problem}");
        }
        let _ = server.wait_for_log(cause);
    }

    let either = "application/json, text/markdown;q=0.5";
    let either = server.post(TRIAGE).header("accept", either);
    assert_problem(&either.json(&json!({ "text": "x" })).send(), 400);
    let markdown = server.post(TRIAGE).header("accept", "text/markdown");
    let reply = markdown.json(&json!({ "text": "x" })).send();
    assert_eq!(
        reply.header("content-type"),
        Some("text/markdown; charset=utf-8")
    );
    assert!(
        reply.text().starts_with("# Bad Request\n"),
        "{}",
        reply.text()
    );
}

#[test]
fn a_stream_shows_texts_and_tools_and_ends_with_the_output() {
    let server = server();
    let shown = streamed(&server, SUPPORT, &ticket(""));
    assert_eq!(text_of(&shown), "Hello there!");
    let last = &shown.last().expect("it has an end")["response"];
    assert_eq!(
        (&last["status"], &last["object"], &last["output"]),
        (
            &json!("completed"),
            &json!("response"),
            &json!({ "answer": "Hello there!" })
        )
    );
    let silent = streamed(&server, "/agents/support", &ticket("silent"));
    assert_eq!(text_of(&silent), "");
    let last = &silent.last().expect("it has an end")["response"];
    assert_eq!(last["output"], json!({ "answer": "Hello there!" }));

    let shown = streamed(&server, "/agents/harness", &ticket(""));
    let call = |kind: &str| {
        let mut of_kind = shown.iter().filter(|it| it["type"] == kind);
        of_kind.next().expect("there is a tool call")
    };
    let (began, done) = (
        call("response.tool_call.started"),
        call("response.tool_call.completed"),
    );
    assert_eq!(began["item_id"], done["item_id"]);
    assert_eq!(began["input"], json!({ "q": "printer on fire" }));
    assert_eq!(
        (&done["tool_name"], &done["output"]),
        (&json!("lookup"), &json!({ "hits": 1 }))
    );
    assert_eq!(text_of(&shown), "hello");
}

#[test]
fn a_stream_that_fails_ends_with_an_error_that_tells_no_more_than_it_may() {
    let server = server();
    for (body, text, message, is_handled) in [
        (ticket("handled"), "", "ticket not found", true),
        (ticket("boom"), "", "Internal Server Error", false),
        (
            ticket("late"),
            "Hello there!",
            "Internal Server Error",
            false,
        ),
        (
            json!({ "text": "say [500]" }),
            "",
            "Internal Server Error",
            false,
        ),
    ] {
        let shown = streamed(&server, SUPPORT, &body);
        assert_eq!(text_of(&shown), text);
        let error = &shown.last().expect("it has an end")["error"];
        assert_eq!(
            (&error["message"], &error["isHandledError"]),
            (&json!(message), &json!(is_handled))
        );
        assert_eq!(error["status"], if is_handled { 404 } else { 500 });
        let data = is_handled.then(|| json!({ "ticket": 7 }));
        assert_eq!(error.get("data"), data.as_ref());
    }
}

#[test]
fn an_approval_is_told_once_when_it_is_wanted_and_once_when_it_is_decided() {
    let server = server();
    let body = json!({ "text": r#"[tool:pay {"amount":7}]"# });
    let mut stream = server.post("/pay").json(&body).open();
    while stream.next_frame().expect("it goes on").json()["delta"]["type"] != "approval" {}
    let asked = eventually(|| {
        let pending = server.get("/api/-/approvals").send().expect(200).json();
        pending["approvals"].get(0).cloned()
    });
    let decision = json!({
        "runId": asked["runId"], "toolCallId": asked["toolCallId"], "decision": "approved",
    });
    let approve = server.post("/api/payer/run/tool-approval").json(&decision);
    let _ = approve.send().expect(204);

    let shown = events(&stream.finish());
    let approvals = shown.iter().filter(|it| it["delta"]["type"] == "approval");
    let states: Vec<_> = approvals.map(|it| &it["delta"]["state"]).collect();
    assert_eq!(states, ["requested", "approved"]);
}

#[test]
fn who_hangs_up_stops_the_model_whatever_the_answer_would_have_been() {
    let server = server();
    let slow = json!({ "text": "[slow] [echo:one two three four five six]" });
    let mut stream = server.post(SUPPORT).json(&slow).open();
    while !text_of(&[stream.next_frame().expect("it goes on").json()]).contains("one") {}
    drop(stream);
    eventually(|| (probe(&server)["aborted"] == 1).then_some(()));

    let begun = server.post(TRIAGE).json(&slow).hold();
    eventually(|| (probe(&server)["started"] == 2).then_some(()));
    drop(begun);
    eventually(|| (probe(&server)["aborted"] == 2).then_some(()));
}

#[test]
fn a_job_is_accepted_at_once_and_comes_to_what_the_agent_would_have_answered() {
    let server = server();
    let reply = asks(&server, LONG, &ticket("")).expect(202);
    let handle = reply.json();
    let id = handle["jobId"].as_str().expect("a handle has an id");
    let url = format!("/agents/support/runs/{id}");
    assert_eq!(
        (&handle["runId"], &handle["status"], &handle["statusUrl"]),
        (&json!(format!("run:{id}")), &json!("queued"), &json!(url))
    );
    assert_eq!(reply.header("location"), Some(&*url));
    assert_eq!(handle["queueName"], "agent:support:1:longAgent");

    let job = ended(&server, &handle);
    let output = json!({ "priority": "low", "reason": "async printer on fire" });
    assert_eq!(
        (&job["status"], &job["attempt"], &job["result"]),
        (&json!("success"), &json!(1), &output)
    );
    let mounted = server.get(&format!("/api/v1{url}")).send().expect(200);
    assert_eq!(mounted.json(), job);
    let late = server.request("DELETE", &url).send();
    assert_problem(&late, 409);
}

#[test]
fn a_handle_says_where_the_job_is_also_where_the_path_has_parameters() {
    let server = server();
    let ask = server.anonymous("POST", "/desks/a%20b/x:jobId");
    let reply = ask.json(&ticket("")).send().expect(202);
    let handle = reply.json();
    let id = handle["jobId"].as_str().expect("a handle has an id");
    let url = format!("/desks/a%20b/jobs/x:jobId/{id}");
    assert_eq!(handle["statusUrl"], url);
    assert_eq!(reply.header("location"), Some(&*url));
    assert_eq!(state(&server, &handle)["jobId"], id);
}

#[test]
fn what_follows_a_request_is_sent_back_also_by_the_routes_of_a_job() {
    let server = server();
    let handle = asks(&server, LONG, &ticket("")).expect(202).json();
    let url = handle["statusUrl"].as_str().expect("a handle has a URL");
    let traced = |method: &str, trace: &str| {
        let request = server.request(method, url);
        request.header("x-trace-id", trace).send()
    };
    for (method, status) in [("GET", 200), ("DELETE", 204), ("DELETE", 409)] {
        let reply = traced(method, "trace-7").expect(status);
        assert_eq!(reply.header("x-trace-id"), Some("trace-7"), "{method}");
    }
    let blank = traced("DELETE", "");
    let problem = assert_problem(&blank, 409);
    assert_eq!(blank.header("x-trace-id"), None);
    assert_eq!(problem["traceId"].as_str(), blank.header("x-request-id"));
}

#[test]
fn two_versions_stand_side_by_side() {
    let endpoint = r#"
[[plugins.load.config.endpoints]]
agent = "chat"
path = "ask"
public = true
input = "{{ payload.text }}"
"#;
    let instance = |name: &str, config: &str| {
        let load = format!("[[plugins.load]]\nname = \"{name}\"\nlibrary = \"expose\"");
        format!("\n{load}\n\n[plugins.load.config]\n{config}\n{endpoint}")
    };
    let both = [
        "[[plugins.load]]\nname = \"scripted\"\nlibrary = \"scripted_model\"",
        "config = { script = \"marker\" }",
        &instance("one", ""),
        &instance(
            "two",
            "version = 2\nbare = false\ndocument = \"/api/v2/openapi.json\"",
        ),
        "[agents.chat]\nmodel = \"scripted/fake-1\"",
    ];
    let server = ServerBuilder::new(&both.join("\n")).start();
    for path in ["/ask", "/api/v1/ask", "/api/v2/ask"] {
        let answer = server.post(path).json(&json!({ "text": "hi" })).send();
        assert_eq!(answer.expect(200).json(), "Hello there!");
    }
    for (page, path) in [
        ("/api/openapi.json", "/api/v1/ask"),
        ("/api/v2/openapi.json", "/api/v2/ask"),
    ] {
        let page = server.get(page).send().expect(200).json();
        assert!(page["paths"][path]["post"].is_object(), "{page}");
    }
}

#[test]
fn a_job_that_fails_is_tried_again_and_then_put_aside() {
    let server = server();
    let handle = asks(&server, "/agents/support-long2", &ticket("fail")).expect(202);

    let job = ended(&server, &handle.json());

    assert_eq!(
        (&job["status"], &job["attempt"]),
        (&json!("dead-lettered"), &json!(2))
    );
    let (created, completed) = (job["createdAt"].as_u64(), job["completedAt"].as_u64());
    assert!(completed >= created.map(|it| it + 1000), "{job}");
    assert!(!job.to_string().contains("worker exploded"), "{job}");
}

#[test]
fn a_job_is_cancelled_once_and_outlives_a_crash() {
    let server = server();
    let accept = |server: &Server| asks(server, LONG, &ticket("")).expect(202).json();
    let (unwanted, wanted) = (accept(&server), accept(&server));
    let url = unwanted["statusUrl"].as_str().expect("a handle has a URL");
    let _ = server.request("DELETE", url).send().expect(204);
    assert_eq!(state(&server, &unwanted)["status"], "cancelled");
    assert_problem(&server.request("DELETE", url).send(), 409);

    let server = server.crash_and_restart();

    assert_eq!(ended(&server, &wanted)["status"], "success");
    assert_eq!(state(&server, &unwanted)["status"], "cancelled");
}

#[test]
fn another_tenant_reads_of_a_job_what_is_read_of_nothing() {
    let server = server();
    let handle = asks(&server, LONG, &ticket("")).expect(202).json();
    let url = handle["statusUrl"].as_str().expect("a handle has a URL");
    let id = handle["jobId"].as_str().expect("a handle has an id");
    let other = |method: &str, url: &str| {
        let request = server.anonymous(method, url).bearer("other");
        request.header("x-trace-id", "t").send()
    };
    for method in ["GET", "DELETE"] {
        let (found, nothing) = (
            other(method, url),
            other(method, "/agents/support/runs/nope"),
        );
        assert_problem(&found, 404);
        assert_eq!(found.text().replace(id, "nope"), nothing.text());
    }
    assert_eq!(ended(&server, &handle)["status"], "success");
}

#[test]
fn an_agent_asks_another_by_name_and_version_and_both_sides_are_checked() {
    let server = server();
    let asked = |task: &Value| server.run("desk", &task.to_string()).send();

    let task = json!({ "payload": { "text": "printer on fire", "mode": "param" }, "parameter": { "dryRun": "1" } });
    let answer = asked(&task).expect(200).json();
    let reason = json!({ "parameter": { "dryRun": "1" } }).to_string();
    assert_eq!(
        answer["structured"],
        json!({ "priority": "low", "reason": reason })
    );

    for (task, said) in [
        (
            json!({ "payload": { "text": "x" } }),
            "fewer than 3 characters",
        ),
        (
            json!({ "payload": ticket(""), "parameter": { "dryRun": 1 } }),
            "must be string",
        ),
        (json!({ "text": "printer on fire" }), "is asked with"),
    ] {
        let refused = asked(&task).expect(400).json();
        let message = refused["message"].as_str().unwrap_or_default();
        assert!(message.contains(said), "{refused}");
    }
    let broken = asked(&json!({ "payload": ticket("badout") })).expect(500);
    assert!(!broken.text().contains("urgent"), "{}", broken.text());
}

#[test]
fn a_conversation_is_that_of_the_template_and_of_nobody_else() {
    let server = server();
    let says = |session: &str, text: &str| {
        let request = server.anonymous("PUT", &format!("/api/v1/chats/{session}"));
        let form = request.header("content-type", "application/x-www-form-urlencoded");
        let reply = form.body(format!("text={text}")).send().expect(200);
        assert_eq!(reply.header("content-type"), Some("text/plain"));
        reply.text().to_owned()
    };
    assert_eq!(says("one", "Hi+there"), "Hello there!");
    assert_eq!(says("one", "%5Bcount%5D"), "saw 2 user messages");
    assert_eq!(says("two", "%5Bcount%5D"), "saw 1 user messages");
    let blank = server.anonymous("PUT", "/chats/%20");
    let blank = blank.header("content-type", "application/x-www-form-urlencoded");
    assert_problem(&blank.body("text=hi").send(), 400);
}

#[test]
fn a_model_answers_in_the_form_of_the_output() {
    let server = server();
    let says = |text: &str| {
        let request = server.anonymous("POST", "/sort");
        request
            .json(&json!({ "say": format!("[echo:{text}]") }))
            .send()
    };
    let output = says(r#"{"priority":"low"}"#).expect(200);
    assert_eq!(output.json(), json!({ "priority": "low" }));
    for wrong in [r#"{"priority":"medium"}"#, "low"] {
        let problem = assert_problem(&says(wrong), 500);
        assert!(!problem.to_string().contains("medium"), "{problem}");
    }
}

#[test]
fn the_page_describes_what_is_exposed() {
    let server = server();
    let page = server.anonymous("GET", "/api/openapi.json").send();
    let page = page.expect(200).json();
    assert_eq!(page["openapi"], "3.1.0");
    let operation = |method: &str, path: &str| {
        let operation = &page["paths"][format!("/api/v1{path}")][method];
        assert!(operation.is_object(), "{method} {path} in {page}");
        operation
    };
    let triage = operation("post", "/agents/triage-ticket");
    let body = &triage["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["properties"]["text"]["minLength"], 3);
    let output = &triage["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(output["required"], json!(["priority", "reason"]));
    assert_eq!(triage["parameters"][0]["name"], "dryRun");
    assert_eq!(triage["security"], json!([{ "bearer": [] }]));
    assert_eq!(triage["operationId"], "post_api_v1_agents_triage_ticket");
    assert_eq!(triage["x-purista-command-name"], "triageTicket");
    let problem = &triage["responses"]["default"]["content"]["application/problem+json"];
    assert_eq!(problem["schema"]["properties"]["status"]["type"], "integer");

    let public = operation("post", "/agents/public-triage");
    assert!(public.get("security").is_none(), "{public}");
    let stream = operation("post", "/agents/support");
    assert!(stream["responses"]["200"]["content"]["text/event-stream"].is_object());
    let accepted = operation("post", "/agents/support-long");
    let handle = &accepted["responses"]["202"]["content"]["application/json"]["schema"];
    assert_eq!(handle["properties"]["statusUrl"]["type"], "string");
    for (operation, name, mode) in [
        (triage, "command", "sync"),
        (stream, "stream", "stream"),
        (accepted, "command", "async-job"),
    ] {
        assert!(operation[format!("x-purista-{name}-name")].is_string());
        assert_eq!(operation["x-purista-runtime-mode"], mode);
    }
    let job = operation("get", "/agents/support/runs/{jobId}");
    let shown = &job["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(shown["properties"]["completedAt"]["type"], "integer");
    assert_eq!(job["parameters"][0]["name"], "jobId");
    let chat = operation("put", "/chats/{session}");
    assert!(chat["requestBody"]["content"]["application/x-www-form-urlencoded"].is_object());
    assert!(chat["responses"]["200"]["content"]["text/plain"].is_object());
}

/// The server does not start once this of its configuration is that.
#[track_caller]
fn fails(right: &str, wrong: &str, said: &[&str]) {
    let config = config();
    assert!(config.contains(right), "{right}");
    let ended = ServerBuilder::new(&config.replacen(right, wrong, 1)).fail();
    assert_eq!(ended.status.code(), Some(2), "{ended:#?}");
    // Long lines are broken for people.
    let words = ended.log.split_whitespace().filter(|word| *word != "│");
    let log = words.collect::<Vec<_>>().join(" ");
    for said in said {
        assert!(log.contains(said), "no {said:?} in {}", ended.log);
    }
}

#[test]
fn a_mistake_in_the_configuration_ends_the_start_with_its_place() {
    fails(
        r#"agent = "sorter""#,
        r#"agent = "sortre""#,
        &["endpoints.9.agent", "must be one of", "sorter"],
    );
    fails(
        "minLength = 3",
        "minLength = -3",
        &["endpoints.0.payload", "minLength"],
    );
    fails(
        "{{ payload.text }}",
        "{{ payload.text",
        &["endpoints.7.input", "is no template"],
    );
    fails(
        "chats/:session",
        ":session/chats",
        &["endpoints.7.path", "bare = false"],
    );
    fails(
        r#"method = "GET""#,
        "payload = {}\nmethod = \"GET\"",
        &["endpoints.8.payload", "has no"],
    );
    for attempts in ["0", "101"] {
        let wrong = format!("max_attempts = {attempts}");
        let said = ["endpoints.5.max_attempts", "between 1 and 100"];
        fails("max_attempts = 2", &wrong, &said);
    }
    // A setting of the plugin, of its first endpoint, and of the first whose jobs have a path.
    let of_all = r#"service = "support""#;
    for (wrong, said) in [
        (
            r#"service = "a b""#,
            ["`service` of plugin", "not a name of events"],
        ),
        ("mount = \"//api\"", ["`mount` of plugin", "empty segment"]),
        ("mount = \"/:x\"", ["`mount` of plugin", "has a parameter"]),
        ("mount = \"\"", ["`mount` of plugin", "set `document`"]),
        ("document = \"/\"", ["`document` of plugin", "is blank"]),
    ] {
        fails(of_all, wrong, &said);
    }
    let path = r#"path = "agents/triage-ticket""#;
    for (wrong, said) in [
        ("method = \"HEAD\"", ["method", "is none of GET"]),
        ("name = \"a b\"", ["name", "is not a name"]),
        (
            "request_content_type = \"\"",
            ["request_content_type", "no content type"],
        ),
        (
            "request_content_type = \"multipart/form-data\"",
            ["request_content_type", "is multipart"],
        ),
        (
            "response_content_type = \"text\"",
            ["response_content_type", "no media type"],
        ),
        (
            "response_content_type = \"text/plain\"\nmode = \"stream\"",
            ["response_content_type", "not `aggregate`"],
        ),
        (
            "status_url = \"/x/:jobId\"",
            ["status_url", "not `accepted`"],
        ),
        (
            "result_policy = \"none\"",
            ["result_policy", "not `accepted`"],
        ),
    ] {
        let place = format!("endpoints.0.{}", said[0]);
        fails(path, &format!("{path}\n{wrong}"), &[&place, said[1]]);
    }
    for (wrong, said) in [
        ("agents/x:id", "not a whole segment"),
        ("agents/:a/:a", "twice"),
        ("{*all}", "not a name of a parameter"),
    ] {
        fails(
            path,
            &format!("path = \"{wrong}\""),
            &["endpoints.0.path", said],
        );
    }
}

#[test]
fn names_routes_and_jobs_of_several_endpoints_have_to_agree() {
    let named = "path = \"agents/triage-ticket\"\nname = \"publicTriage\"";
    let another = ["endpoints.1.agent", "another agent at `endpoints.0`"];
    fails("path = \"agents/triage-ticket\"", named, &another);
    let taken = [
        "endpoints.1.path",
        "takes POST /agents/triage-ticket",
        "`endpoints.0` has",
    ];
    fails("agents/public-triage", "agents/triage-ticket", &taken);
    let of_jobs = "/agents/support/runs/:jobId";
    for (wrong, said) in [
        ("/agents/support/runs", "names no `:jobId`"),
        ("/agents/support/:jobIdentity", "names no `:jobId`"),
        (
            "/agents/:desk/runs/:jobId",
            "names `:desk`, which `path` does not",
        ),
        ("/:jobId", "bare = false"),
        ("https://a.example/:jobId", "is a URL"),
    ] {
        fails(of_jobs, wrong, &["endpoints.5.status_url", said]);
    }
    let of_both = "/desks/{desk}/jobs/:kind/:jobId";
    let one_is_public = ["endpoints.10.status_url", "only one of the two is public"];
    fails(of_both, of_jobs, &one_is_public);
    let takes_a_job = ["endpoints.8.path", "takes GET /agents/support/runs/:id"];
    fails("\"greet\"", "\"agents/support/runs/:id\"", &takes_a_job);
}

#[test]
fn a_path_that_another_has_whole_is_told_as_something_to_change_in_the_configuration() {
    let twice = config().replacen("agents/triage-ticket", "api/v1/sort", 1);
    let ended = ServerBuilder::new(&twice).fail();
    for said in [
        "offers POST /api/v1/sort",
        "if it comes from the plugin's `config`",
    ] {
        assert!(ended.log.contains(said), "{}", ended.log);
    }
}

#[test]
fn the_commands_of_the_readme_print_what_it_shows() {
    let path = workspace().join("plugins/expose/README.md");
    let readme = fs::read_to_string(path).expect("it is there");
    let (_, rest) = readme
        .split_once("```toml\n")
        .expect("it has a configuration");
    let (shown, _) = rest.split_once("```").expect("it ends");
    let scripted = r#"
[server]
secret = { env = "MORTISE_SECRET" }

[[plugins.load]]
name = "scripted"
library = "scripted_model"
config = { script = "directive" }
"#;
    let server = ServerBuilder::new(&format!("{scripted}\n{shown}"))
        .variable("MORTISE_SECRET", SECRET)
        .start();
    assert!(assert_prints(&readme, &server) >= 5);
}

#[test]
fn a_run_that_is_exposed_is_a_run_of_the_server() {
    let server = server();
    let shown = streamed(&server, SUPPORT, &ticket(""));
    let run = shown[0]["run_id"].as_str().expect("a run has an id");

    let listed = server.get(&format!("/api/-/runs/{run}")).send().expect(200);
    assert_eq!(listed.json()["agentName"], "supportAgent");
    let resumed = Request::new(
        server.address(),
        "GET",
        &format!("/api/supportAgent/stream-events/resume?streamId={run}"),
    );
    let replayed = resumed.bearer("good").open().finish();
    assert_eq!(
        replayed.last().map(Frame::kind).as_deref(),
        Some("RUN_FINISHED")
    );
}
