//! Agents whose instructions, model and tools depend on the context of the run; aliases of models.

use integration_tests::{Server, ServerBuilder};
use serde_json::{Value, json};

use super::PLUGINS;
use crate::support::{assert_code, text_of};

const AGENTS: &str = r#"
[[plugins.load]]
name = "other"
library = "scripted_model"
config = { script = "marker", name = "big" }

[models.primary]
model = "scripted/fake-1"
capabilities = ["instructions", "tools", "structured_output"]
defaults = { temperature = 0.2, seed = 7, provider = { tier = "low", region = "eu" } }

[agents.helper]
model = "primary"
instructions = """
Help {{ context.name | default("the user") }}.
{% if context.plan == "pro" %}
Take your time.
{% endif %}
Topics: {{ context.topics }}"""
model_options = { temperature = 0.5, provider = { tier = "high" } }

[agents.tiered]
model = "primary"
tools = ["add"]

[[agents.tiered.rules]]
when = { plan = "pro", beta = true }
model = "other/big"
tools = []

[[agents.tiered.rules]]
when = { plan = ["pro", "team"] }
tools = ["add", "boom"]

[agents.boss]
model = "primary"
agents = ["tiered"]

[[agents.boss.rules]]
when = { plan = "pro" }
tools = ["add"]
"#;

fn start() -> Server {
    ServerBuilder::new(&format!("{PLUGINS}{AGENTS}")).start()
}

/// What the model was asked by a run of this body.
fn asked(server: &Server, agent: &str, body: &Value) -> Value {
    let path = format!("/api/{agent}/run");
    let _ = server.post(&path).json(body).send().expect(200);
    server.get("/api/probe").send().expect(200).json()["last"].clone()
}

#[test]
fn instructions_are_filled_in_from_the_context() {
    let server = start();

    let context = json!({ "name": "Ann", "plan": "pro", "topics": ["a", 1] });
    let last = asked(
        &server,
        "helper",
        &json!({ "input": "hi", "context": context }),
    );
    assert_eq!(
        last["instructions"],
        "Help Ann.\nTake your time.\nTopics: [\"a\",1]"
    );

    let last = asked(&server, "helper", &json!({ "input": "hi" }));
    assert_eq!(last["instructions"], "Help the user.\nTopics: ");
}

#[test]
fn options_come_from_the_alias_the_agent_and_the_request_in_this_order() {
    let server = start();

    let body = json!({ "input": "hi", "modelOptions": { "seed": 8 } });
    let last = asked(&server, "helper", &body);

    assert_eq!(
        last["options"],
        json!({
            "temperature": 0.5, "seed": 8, "provider": { "tier": "high", "region": "eu" },
        })
    );
}

#[test]
fn the_first_rule_that_fits_chooses_the_model_and_the_tools() {
    let server = start();
    let say = |input: &str, context: &Value| {
        let body = json!({ "input": input, "context": context });
        server.post("/api/tiered/run").json(&body)
    };
    let call = r#"call add {"a":1,"b":2}"#;

    for context in [
        json!(null),
        json!({ "plan": "free" }),
        json!({ "plan": ["pro"] }),
    ] {
        let frames = say(call, &context).open().finish();
        assert_eq!(text_of(&frames), r#"Tool said: {"sum":3}"#, "{context}");
        let refused = say("call boom", &context).send().expect(422);
        assert_code(&refused.json(), "VALIDATION_FAILED");
    }
    for plan in ["pro", "team"] {
        let frames = say("call boom", &json!({ "plan": plan })).open().finish();
        assert!(text_of(&frames).starts_with("Tool said: {\"type\":\"tool_error\""));
    }
    // Another model: this one reads markers.
    let big = json!({ "plan": "pro", "beta": true });
    let frames = say("[echo:from the big one]", &big).open().finish();
    assert_eq!(text_of(&frames), "from the big one");
}

#[test]
fn an_agent_that_was_handed_a_task_is_chosen_by_the_same_context() {
    let server = start();
    let task = json!({ "task": "call boom", "targetAgents": ["tiered"] });
    let say = |plan: &str| {
        let input = format!("call delegate_task {task}");
        let body = json!({ "input": input, "context": { "plan": plan } });
        server.post("/api/boss/run").json(&body).send().expect(200)
    };

    assert!(say("free").text().contains("not available for this run"));
    assert!(say("pro").text().contains("tool_error"));
}
