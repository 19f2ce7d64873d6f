//! An abort closes the connection to the provider, at once and by itself.

use std::time::Duration;

use integration_tests::provider::{Answer, End, Provider, Said, Wire};
use serde_json::json;

use super::server;

/// The server would drop the call only after this, long past what is measured.
const PATIENT: &str = "[runs]\ncancel_grace = \"30s\"\n";

/// Far below the grace. The goal is 100 ms; the bench measures it, on a machine without tests.
const SOON: Duration = Duration::from_secs(5);

/// Says one thing, and then nothing any more.
fn stalling(wire: Wire) -> Answer {
    let said = [Said::text("first"), Said::text("second")];
    let begun = wire.write(&said).find("second").expect("it is said");
    Answer::saying(said).end(End::Stall(begun))
}

#[test]
fn a_client_that_goes_takes_the_connection_with_it() {
    let provider = Provider::saying([]);
    let server = server(&provider, "", PATIENT);
    for wire in Wire::ALL {
        provider.answer_with([stalling(wire)]);
        let before = provider.calls().len();
        let mut stream = server.stream(wire.name(), "hi");
        stream.wait_for("TEXT_MESSAGE_CONTENT");
        let left = provider.now();
        drop(stream);
        let took = provider.wait_for_close(before).saturating_sub(left);
        assert!(took < SOON, "{wire:?} as a stream: {took:?}");

        // Nothing has come yet, and the client waits for all of it.
        provider.answer_with([Answer::saying([]).end(End::Stall(0))]);
        let run = server.run(wire.name(), "hi");
        let waiting = run.hold();
        provider.wait_for_calls(before + 2);
        let left = provider.now();
        drop(waiting);
        let took = provider.wait_for_close(before + 1).saturating_sub(left);
        assert!(took < SOON, "{wire:?} as JSON: {took:?}");
    }
}

#[test]
fn an_abort_closes_the_connection() {
    let provider = Provider::saying([]);
    let server = server(&provider, "", PATIENT);
    for wire in Wire::ALL {
        provider.answer_with([stalling(wire)]);
        let before = provider.calls().len();
        let mut stream = server.stream(wire.name(), "hi");
        stream.wait_for("TEXT_MESSAGE_CONTENT");
        let aborted = provider.now();
        let path = format!("/api/{}/runs/{}/abort", wire.name(), stream.run_id());
        let _ = server.post(&path).json(&json!({})).send().expect(204);
        let took = provider.wait_for_close(before).saturating_sub(aborted);
        assert!(took < SOON, "{wire:?}: {took:?}");
        stream.wait_for("RUN_ABORTED");
    }
}

#[test]
fn an_abort_ends_the_wait_before_a_request_is_sent_again() {
    let provider = Provider::start([Answer::failing(500, "").header("retry-after", "1")]);
    let config = r#"retries = { max = 100, longest_wait = "1h" }"#;
    let server = server(&provider, config, PATIENT);
    provider.answer_with([Answer::failing(500, "").header("retry-after", "3000")]);
    let mut stream = server.stream("openai", "hi");
    stream.wait_for("STEP_START");
    provider.wait_for_calls(1);

    let path = format!("/api/openai/runs/{}/abort", stream.run_id());
    let _ = server.post(&path).json(&json!({})).send().expect(204);

    stream.wait_for("RUN_ABORTED");
}

#[test]
fn a_client_that_goes_takes_the_connection_of_a_sub_agent_with_it() {
    let lead = "[agents.lead]\nmodel = \"llm/openai/scripted\"\nagents = [\"openai\"]";
    let provider = Provider::saying([]);
    let server = server(&provider, "", &format!("{PATIENT}\n{lead}"));
    let task = r#"{"task":"look it up","targetAgents":["openai"]}"#;
    let handed = || Answer::saying([Said::call("c", "delegate_task", &[task])]);

    provider.answer_with([handed(), stalling(Wire::OpenAI)]);
    let stream = server.stream("lead", "hi");
    provider.wait_for_calls(2);
    let left = provider.now();
    drop(stream);
    let took = provider.wait_for_close(1).saturating_sub(left);
    assert!(took < SOON, "as a stream: {took:?}");

    provider.answer_with([handed(), stalling(Wire::OpenAI)]);
    let run = server.run("lead", "hi");
    let waiting = run.hold();
    provider.wait_for_calls(4);
    let left = provider.now();
    drop(waiting);
    let took = provider.wait_for_close(3).saturating_sub(left);
    assert!(took < SOON, "as JSON: {took:?}");
}
