//! Agents that hand tasks to others: what a stream shows, one budget, one cancellation.

use integration_tests::{Frame, Server, ServerBuilder};
use serde_json::{Value, json};

use super::{PLUGINS, handing, kinds_told, told_of};
use crate::support::{kinds, only, text_of};

const AGENTS: &str = r#"
[[plugins.load]]
name = "coded"
library = "fixture_plugin"
config = { chief = true }

[agents.boss]
model = "scripted/fake-1"
agents = ["writer", "looper", "lead"]

[agents.tight]
model = "scripted/fake-1"
agents = ["looper", "writer"]
max_steps = 4

[agents.lead]
model = "scripted/fake-1"
agents = ["writer"]

[agents.writer]
model = "scripted/fake-1"
description = "Writes"
instructions = "Write for {{ context.user }}."

[agents.looper]
model = "scripted/fake-1"
tools = ["add"]
exposed = false

[agents.worker]
model = "scripted/fake-1"
"#;

fn start() -> Server {
    ServerBuilder::new(&format!("{PLUGINS}{AGENTS}")).start()
}

fn result_of(frames: &[Frame]) -> Value {
    let own = frames.iter().map(Frame::json);
    let mut results =
        own.filter(|it| it["type"] == "TOOL_CALL_RESULT" && it["toolCallName"] == "delegate_task");
    results.next_back().expect("the task came back")["result"].clone()
}

#[test]
fn a_task_is_handed_over_and_its_answer_comes_back() {
    let server = start();

    let frames = server.stream("boss", &handing("hi", &["writer"])).finish();

    assert_eq!(
        result_of(&frames),
        json!([{ "agentName": "writer", "response": "Hello world", "status": "success" }])
    );
    assert!(text_of(&frames).starts_with("Tool said: [{"));
    assert_eq!(kinds(&frames).last().unwrap(), "RUN_FINISHED");
}

#[test]
fn the_stream_tells_what_the_other_agent_does_and_whose_it_is() {
    let server = start();
    let mut run = server.stream("boss", &handing("hi", &["writer"]));
    let run_id = run.run_id();
    let call = run.wait_for("TOOL_CALL_START");

    let frames = run.finish();

    let told = told_of(&frames, "writer");
    assert_eq!(
        kinds_told(&told),
        [
            "RUN_STARTED",
            "STEP_START",
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_END",
            "STEP_FINISH",
            "RUN_FINISHED",
        ]
    );
    let child = told[0]["runId"].as_str().expect("it has a run");
    assert!(child.starts_with("run_") && child != run_id, "{child}");
    for data in &told {
        assert_eq!(data["runId"], child);
        assert_eq!(data["parentRunId"], run_id.as_str());
        assert_eq!(data["toolCallId"], call["toolCallId"]);
    }
    assert_eq!(told[0]["event"]["runId"], child);
    // Nobody takes them for events of the run itself.
    for kind in ["RUN_STARTED", "RUN_FINISHED"] {
        assert_eq!(only(&frames, kind)["runId"], run_id.as_str());
    }
    assert!(!text_of(&frames).starts_with("Hello"));
}

#[test]
fn calls_of_the_other_agent_are_shown_as_they_are_with_its_own_ids() {
    let server = start();

    let frames = server
        .stream("boss", &handing(r#"call add {"a":1,"b":2}"#, &["looper"]))
        .finish();

    let results: Vec<Value> = frames
        .iter()
        .map(Frame::json)
        .filter(|it| it["type"] == "TOOL_CALL_RESULT")
        .collect();
    assert_eq!(results.len(), 2, "{results:?}");
    assert_eq!(results[0]["agentName"], "looper");
    assert_eq!(results[0]["runId"], told_of(&frames, "looper")[0]["runId"]);
    assert_eq!(results[1]["agentName"], "boss");
    assert_ne!(results[0]["toolCallId"], results[1]["toolCallId"]);
}

#[test]
fn several_agents_work_at_the_same_time() {
    let server = start();

    let frames = server
        .stream("boss", &handing("slow", &["writer", "lead", "writer"]))
        .finish();

    let result = result_of(&frames);
    let names: Vec<_> = result
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["agentName"])
        .collect();
    assert_eq!(
        names,
        ["writer", "lead"],
        "each once, in the order of the call"
    );
    let first_end = frames
        .iter()
        .position(|it| it.json()["data"]["event"]["type"] == "RUN_FINISHED")
        .expect("they ended");
    let begun = told_of(&frames[..first_end], "lead").len();
    assert!(begun > 2, "lead was at work before writer had ended");
}

#[test]
fn an_agent_that_was_handed_a_task_may_hand_it_on() {
    let server = start();

    let frames = server
        .stream("boss", &handing(&handing("hi", &["writer"]), &["lead"]))
        .finish();

    let lead = told_of(&frames, "lead");
    let writer = told_of(&frames, "writer");
    assert_eq!(writer[0]["parentRunId"], lead[0]["runId"]);
    assert_eq!(kinds_told(&lead).last(), Some(&"RUN_FINISHED"));
    assert!(
        result_of(&frames)[0]["response"]
            .as_str()
            .unwrap()
            .contains("Hello world")
    );
}

#[test]
fn a_json_run_hands_tasks_over_as_well() {
    let server = start();

    let reply = server
        .run("boss", &handing("hi", &["writer", "looper"]))
        .send()
        .expect(200);

    let said = reply.text();
    assert!(said.contains("Tool said: "), "{said}");
    assert_eq!(said.matches("Hello world").count(), 2, "{said}");
}

#[test]
fn the_context_of_the_run_is_that_of_the_other_agent() {
    let server = start();
    let body = json!({ "input": handing("hi", &["writer"]), "context": { "user": "Ann" } });

    let frames = server.post("/api/boss/run").json(&body).open().finish();

    let told = told_of(&frames, "writer");
    assert_eq!(
        told[0]["event"]["runInput"]["context"],
        json!({ "user": "Ann" })
    );
}

#[test]
fn what_else_the_agent_has_to_know_stands_behind_the_task() {
    let server = start();
    let arguments = json!({
        "task": "hist", "targetAgents": ["writer"], "context": { "k": "v" },
    });

    let frames = server
        .stream("boss", &format!("call delegate_task {arguments}"))
        .finish();

    assert_eq!(
        told_of(&frames, "writer")[0]["event"]["runInput"]["input"],
        "Task handed off from boss to writer:\nhist\n\nContext: {\"k\":\"v\"}"
    );
}

#[test]
fn an_agent_that_fails_does_not_fail_the_run() {
    let server = start();

    let frames = server
        .stream("boss", &handing("fail", &["writer"]))
        .finish();

    let result = &result_of(&frames)[0];
    assert_eq!(result["status"], "error");
    assert_eq!(
        result["response"],
        "Error in writer: Run failed: Fake upstream failed."
    );
    assert_eq!(
        kinds_told(&told_of(&frames, "writer")).last(),
        Some(&"RUN_ERROR")
    );
    assert_eq!(kinds(&frames).last().unwrap(), "RUN_FINISHED");
}

#[test]
fn an_agent_that_is_not_among_them_is_not_asked() {
    let server = start();

    let frames = server
        .stream("boss", &handing("hi", &["ghost", "boss", "worker"]))
        .finish();
    assert_eq!(
        result_of(&frames),
        json!({
            "error": "Failed to delegate task: No valid target agents found. \
                      Available agents: writer, looper, lead",
            "status": "error",
        })
    );

    let blank = server.stream("boss", &handing(" ", &["writer"])).finish();
    assert_eq!(result_of(&blank)["message"], "Task cannot be empty");
}

#[test]
fn the_steps_of_all_agents_are_one_budget() {
    let server = start();

    // One step of its own, three of the other: none is left to read the answer.
    let frames = server
        .stream("tight", &handing("loop", &["looper"]))
        .finish();

    let steps = |told: &[&str]| told.iter().filter(|it| **it == "STEP_START").count();
    let told = told_of(&frames, "looper");
    assert_eq!(steps(&kinds_told(&told)), 3);
    let own = kinds(&frames);
    assert_eq!(own.iter().filter(|it| *it == "STEP_START").count(), 1);
    let last = only(&frames, "STEP_FINISH");
    assert_eq!(last["terminationReason"], "max_steps");
    assert_eq!(own.last().unwrap(), "RUN_FINISHED");
}

#[test]
fn the_steps_that_a_request_asks_for_are_those_of_all_agents() {
    let server = start();
    let body = json!({ "input": handing("loop", &["looper"]), "maxSteps": 2 });

    let frames = server.post("/api/boss/run").json(&body).open().finish();

    let told = told_of(&frames, "looper");
    let begun = kinds_told(&told)
        .into_iter()
        .filter(|it| *it == "STEP_START");
    assert_eq!(begun.count(), 1);

    let body = json!({ "input": handing("hi", &["looper"]), "maxSteps": 1 });
    let frames = server.post("/api/boss/run").json(&body).open().finish();
    let refused = &result_of(&frames)[0];
    assert_eq!(
        refused["error"],
        "Run failed: The steps of the run are used up: its agents share one budget."
    );
}

#[test]
fn what_other_agents_use_is_used_by_the_run() {
    let server = start();
    let run = server.stream("boss", &handing("hi", &["writer", "looper"]));
    let run_id = run.run_id();
    run.finish();

    let path = format!("/api/-/runs/{run_id}");
    let known = server.get(&path).send().expect(200).json();

    // Two answers of its own, one of each of the others.
    assert_eq!(
        known["usage"],
        json!({ "inputTokens": 12, "outputTokens": 20, "totalTokens": 32 })
    );
}

#[test]
fn the_agents_of_a_library_ask_others_in_the_same_way() {
    let server = start();

    let frames = server
        .stream("chief", "worker: hi + hist + boss: hi")
        .finish();

    assert_eq!(
        text_of(&frames),
        "Hello world | history=1 | NOT_FOUND: the agent 'chief' may not hand tasks to 'boss': it is \
         not among its `agents`"
    );
    let told = told_of(&frames, "worker");
    let begun = told
        .iter()
        .filter(|it| it["event"]["type"] == "RUN_STARTED");
    assert_eq!(begun.count(), 2);
    assert_eq!(told[0].get("toolCallId"), None);
}

#[test]
fn a_resumed_stream_tells_the_same() {
    let server = start();
    let run = server.stream("boss", &handing("hi", &["writer"]));
    let path = format!("/api/boss/stream-events/resume?streamId={}", run.run_id());
    let live = run.finish();

    let resumed = server.get(&path).open().finish();

    let told = told_of(&live, "writer");
    assert_eq!(told, told_of(&resumed, "writer"));
    let child = told[0]["runId"].as_str().unwrap();
    // A part is not a run that somebody asked for.
    let path = format!("/api/writer/stream-events/resume?streamId={child}");
    assert!(server.get(&path).open().finish().is_empty());
    let runs = server.get("/api/-/runs").send().expect(200);
    assert!(!runs.text().contains(child), "{}", runs.text());
    let _ = server
        .get(&format!("/api/-/runs/{child}"))
        .send()
        .expect(404);
}

#[test]
fn agents_are_listed_with_whom_they_hand_tasks_to() {
    let server = start();

    let body = server.get("/api/-/agents").send().expect(200).json();

    let agents = body["agents"].as_array().expect("a list");
    let of = |name: &str| {
        agents
            .iter()
            .find(|it| it["name"] == name)
            .expect("it is listed")
    };
    assert_eq!(of("boss")["agents"], json!(["writer", "looper", "lead"]));
    assert_eq!(of("chief")["agents"], json!(["worker"]));
    assert_eq!(of("writer").get("agents"), None);
    let tool = &of("lead")["tools"][0];
    assert_eq!(tool["name"], "delegate_task");
    let description = tool["description"].as_str().unwrap();
    assert!(description.ends_with("\n- writer: Writes"), "{description}");
}
