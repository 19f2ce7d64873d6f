//! `/openapi.json`: what it says, who may read it, and whether it is true.

use integration_tests::{ServerBuilder, openapi};
use serde_json::{Value, json};

use crate::support::{SECRET, plain};

/// The operations of a document: method, path and what is said.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().expect("there are paths");
    let all = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().expect("a path has operations");
        item.iter()
            .map(move |(method, operation)| (method.clone(), path.clone(), operation))
    });
    all.collect()
}

#[test]
fn it_is_openapi_and_names_every_route_once() {
    let server = openapi::server();

    let reply = server.anonymous("GET", "/openapi.json").send().expect(200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(openapi::objections(reply.text()), "");

    let document = reply.json();
    let operations = operations(&document);
    let has = |method: &str, path: &str| {
        let found = operations.iter().any(|it| it.0 == method && it.1 == path);
        assert!(found, "no {method} {path}");
    };
    for (method, path) in [
        ("post", "/api/assistant/run"),
        ("get", "/api/{name}/conversations/{id}"),
        ("get", "/api/-/runs"),
        ("post", "/api/tools/add/execute"),
        ("get", "/readyz"),
        ("get", "/openapi.json"),
        ("get", "/api/health"),
        ("post", "/api/ops/{thing}"),
        ("post", "/chat"),
        ("post", "/api/agents/{agentId}/runs/stream"),
    ] {
        has(method, path);
    }
    let mut ids: Vec<_> = operations.iter().map(|it| &it.2["operationId"]).collect();
    ids.sort_by_key(ToString::to_string);
    ids.dedup();
    assert_eq!(ids.len(), operations.len());
    assert!(ids.iter().all(|id| id.is_string()), "{ids:?}");
}

#[test]
fn an_agent_is_described_with_its_schemas() {
    let server = openapi::server();

    let document = server.get("/openapi.json").send().expect(200).json();

    let run = &document["paths"]["/api/triage/run"]["post"];
    let body = &run["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["required"], json!(["input", "context"]));
    // Its references lead to where the schema stands now.
    let context = "/paths/~1api~1triage~1run/post/requestBody/content/application~1json/schema\
                   /properties/context";
    let ticket = document.pointer(&format!("{context}/properties/ticket/$ref"));
    assert_eq!(ticket, Some(&json!(format!("#{context}/$defs/ticket"))));
    let answer = &run["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(
        answer["properties"]["structured"]["properties"]["priority"],
        json!({ "enum": ["low", "high"] })
    );
    // Somebody has to be asked, which a JSON answer cannot.
    let interactive = &document["paths"]["/api/interactive/run"]["post"]["responses"]["200"];
    assert!(interactive["content"]["application/json"].is_null());
    assert!(interactive["content"]["text/event-stream"].is_object());
}

#[test]
fn what_is_protected_says_so_and_nothing_else_does() {
    let server = openapi::server();
    let document = server.get("/openapi.json").send().expect(200).json();
    for (method, path, operation) in operations(&document) {
        let expected = match path.as_str() {
            "/livez" | "/readyz" | "/openapi.json" | "/api/openapi.json" | "/api/health" => {
                Value::Null
            }
            "/chat" | "/chat/sync" | "/sessions" => json!([{ "chat-api.token": [] }]),
            _ => json!([{ "secret": [] }]),
        };
        assert_eq!(operation["security"], expected, "{method} {path}");
        let responses = &operation["responses"];
        let is_told = !responses["401"].is_null() || !responses["default"].is_null();
        assert!(is_told || expected.is_null(), "{method} {path}");
        assert!(
            responses["401"].is_null() || !expected.is_null(),
            "{method} {path}"
        );
    }

    let open = plain("").start();
    let document = open.get("/openapi.json").send().expect(200).json();
    for (method, path, operation) in operations(&document) {
        assert!(operation["security"].is_null(), "{method} {path}");
    }
}

#[test]
fn guards_that_authenticate_are_asked_together_or_one_of_them() {
    let config = |auth: &str| {
        plain(&format!(
            r#"
[server]
secret = "s3cret"
auth = "{auth}"

[[plugins.load]]
name = "keys"
library = "auth"
config = {{ keys = [{{ key = "k", subject = "ann" }}] }}
"#
        ))
    };
    for (auth, expected) in [
        ("all", json!([{ "secret": [], "keys.x-api-key": [] }])),
        ("any", json!([{ "secret": [] }, { "keys.x-api-key": [] }])),
    ] {
        let server = config(auth).start();
        let document = server.get("/openapi.json").send().expect(200).json();
        let run = &document["paths"]["/api/plain/run"]["post"];
        assert_eq!(run["security"], expected);
        assert_eq!(
            document["components"]["securitySchemes"]["keys.x-api-key"]["name"],
            "x-api-key"
        );
        // A guard answers what it likes.
        assert!(run["responses"]["default"].is_object());
    }
}

#[test]
fn in_production_it_is_for_those_who_are_let_in() {
    let config = r#"
mode = "production"

[server]
secret = "s3cret"
"#;
    let server = plain(config).start().with_token(SECRET);

    let _ = server.anonymous("GET", "/openapi.json").send().expect(401);
    let document = server.get("/openapi.json").send().expect(200).json();
    assert_eq!(
        document["paths"]["/openapi.json"]["get"]["security"],
        json!([{ "secret": [] }])
    );
    assert_eq!(
        server
            .request("POST", "/openapi.json")
            .send()
            .expect(405)
            .header("allow"),
        Some("GET")
    );
}

#[test]
fn an_address_of_some_plugins_has_none() {
    let config = r#"
[[server.listen]]
address = "127.0.0.1:0"
mounts = ["ops-endpoints"]

[[plugins.load]]
name = "ops-endpoints"
"#;
    let server = plain(config).start();
    let further = server.next_address();

    let reply = integration_tests::Request::new(further, "GET", "/openapi.json").send();
    let _ = reply.expect(404);
}

#[test]
fn without_a_base_path_it_is_the_same_one() {
    let server = ServerBuilder::new(crate::support::SCRIPTED)
        .variable("MORTISE__SERVER__BASE_PATH", "")
        .start();

    let document = server.get("/openapi.json").send().expect(200).json();

    assert!(document["paths"]["/plain/run"].is_object());
    assert_eq!(openapi::objections(&document.to_string()), "");
}

#[test]
fn no_generated_call_finds_the_document_wrong() {
    let fuzzed = openapi::fuzz(1000);

    assert!(fuzzed.calls >= 1000, "{fuzzed}");
    assert!(fuzzed.failures.is_empty(), "{fuzzed}");
}
