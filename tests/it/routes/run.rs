//! `POST /{agent}/run`, answered with JSON.

use serde_json::json;

use crate::support::{assert_code, target};

#[test]
fn a_run_answers_with_what_the_model_said() {
    let server = target("a");

    let reply = server.run("plain", "hi").send().expect(200);

    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(
        reply.json(),
        json!({ "response": {
            "output": [{
                "type": "message",
                "role": "assistant",
                "content": [{ "type": "text", "text": "Hello world" }],
            }],
            "finishReason": "stop",
            "usage": { "inputTokens": 3, "outputTokens": 5, "totalTokens": 8 },
        }})
    );
}

#[test]
fn every_answer_has_a_request_id_of_its_own() {
    let server = target("a");

    let ids: Vec<_> = (0..3)
        .map(|_| {
            let reply = server.run("plain", "hi").send();
            reply.header("x-request-id").map(str::to_owned)
        })
        .collect();

    assert!(ids.iter().all(Option::is_some), "{ids:?}");
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
}

#[test]
fn a_tool_result_reaches_the_model() {
    let server = target("a");

    let reply = server.run("assistant", r#"call add {"a":1,"b":2}"#).send();

    let body = reply.expect(200).json();
    let text = &body["response"]["output"][0]["content"][0]["text"];
    assert_eq!(text, r#"Tool said: {"sum":3}"#, "{body}");
}

#[test]
fn a_structured_answer_is_parsed() {
    let server = target("a");

    let reply = server.run("extractor", r#"json {"name":"Ada"}"#).send();

    assert_eq!(
        reply.expect(200).json()["structured"],
        json!({ "name": "Ada" })
    );
}

#[test]
fn an_answer_that_breaks_its_schema_fails_the_run() {
    let server = target("a");

    let reply = server.run("extractor", r#"json {"name":1}"#).send();

    assert_code(&reply.expect(422).json(), "VALIDATION_FAILED");
}

#[test]
fn blanks_are_no_structured_answer() {
    let server = target("a");

    let body = server.run("extractor", "json   ").send().expect(422).json();

    assert_eq!(
        body["message"],
        "Run failed: Structured output was requested, but the model did not return JSON text."
    );
}

#[test]
fn what_the_model_cannot_take_or_give_is_refused() {
    let server = target("a");
    let refused = |body: serde_json::Value| {
        let reply = server.post("/api/plain/run").json(&body).send();
        reply.expect(422).json()
    };

    let image = refused(json!({ "input": "hi", "modalities": ["text", "image"] }));
    assert_eq!(
        image["message"],
        "Run failed: Agent 'plain' model does not support image output."
    );
    assert_eq!(image["context"]["modality"], "image");

    let schema = json!({ "schema": { "type": "object" } });
    let both = refused(json!({ "input": "hi", "modalities": ["image"], "output": schema }));
    assert_eq!(both["context"]["modality"], "image", "{both}");

    for kind in ["image", "embedding"] {
        let part = json!({ "type": kind, "source": {}, "embedding": [1, 2] });
        let message = json!({ "type": "message", "content": [part] });
        let refused = refused(json!({ "input": [message] }));
        let expected = format!(
            "Run failed: Agent 'plain' model does not accept {kind} input at input[0].content[0]."
        );
        assert_eq!(refused["message"], expected.as_str());
    }
}

#[test]
fn a_short_schema_that_says_too_much_is_refused() {
    let server = target("a");
    let mut definitions = serde_json::Map::new();
    for level in 0..40 {
        let next = json!({ "$ref": format!("#/$defs/a{}", level + 1) });
        definitions.insert(format!("a{level}"), json!({ "allOf": [next, next] }));
    }
    definitions.insert("a40".into(), json!({ "type": "object" }));
    let schema = json!({ "$defs": definitions, "$ref": "#/$defs/a0" });
    let body = json!({ "input": r#"json {"a":1}"#, "output": { "schema": schema } });

    let refused = server
        .post("/api/plain/run")
        .json(&body)
        .send()
        .expect(422)
        .json();

    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("more than 100000 parts"),
        "{refused}"
    );
}

#[test]
fn the_step_limit_ends_a_run_in_success() {
    let server = target("a");

    let body = server.run("looper", "loop").send().expect(200).json();

    assert_eq!(body["response"]["finishReason"], "tool-calls", "{body}");
}

#[test]
fn an_agent_with_client_tools_refuses_to_run_without_a_stream() {
    let server = target("a");

    let body = server.run("interactive", "hi").send().expect(400).json();

    assert_code(&body, "BAD_REQUEST");
    assert_eq!(
        body["message"],
        "Run failed: Non-stream runs do not support interactive tools. \
         Use stream() for client tool 'confirm'."
    );
}

#[test]
fn a_failure_of_the_model_keeps_its_code_and_a_crash_does_not() {
    let server = target("a");

    let failed = server.run("plain", "fail").send().expect(502).json();
    assert_code(&failed, "UPSTREAM_FAILED");
    assert_eq!(failed["retryable"], true);
    assert_eq!(failed["context"], json!({ "provider": "fake" }));

    let crashed = server.run("plain", "crash").send().expect(500);
    assert_code(&crashed.json(), "INTERNAL");
    assert!(
        !crashed.text().contains("boom in model"),
        "{}",
        crashed.text()
    );
}

#[test]
fn a_tool_that_fails_does_not_fail_the_run_unless_it_says_so() {
    let server = target("a");

    let told = server.run("assistant", "call boom").send().expect(200);
    assert!(told.text().contains("tool exploded"), "{}", told.text());

    let _ = server
        .run("assistant", "call boom_throw")
        .send()
        .expect(500);
}

#[test]
fn a_context_is_checked_against_the_schema_of_the_agent() {
    let server = target("a");
    let run = |context| {
        let body = json!({ "input": "hi", "context": context });
        server.post("/api/ctx/run").json(&body).send()
    };

    let _ = run(json!({ "userId": "ada" })).expect(200);
    assert_code(
        &run(json!({ "userId": 1 })).expect(422).json(),
        "VALIDATION_FAILED",
    );
    assert_code(&run(json!({})).expect(422).json(), "VALIDATION_FAILED");
}
