//! What runs use and cost, and how much somebody may use in a day.

use std::thread;

use integration_tests::{Reply, Request, Server, ServerBuilder};
use serde_json::{Value, json};

use crate::support::{assert_code, kinds, only};

/// Each answer reads 100 tokens and writes 20: 0.0001 and 0.00008.
const PRICES: &str = r#"
[prices."fixture/speaker"]
input = "1"
output = "4.00"
"#;

fn builder(more: &str) -> ServerBuilder {
    ServerBuilder::new(&format!(
        r#"
{more}

[[plugins.load]]
name = "auth"

[plugins.load.config]
keys = [{{ key = "ann", subject = "ann" }}, {{ key = "bob", subject = "bob" }}]

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = {{ tools = true, speaker = true }}

[agents.speaker]
model = "fixture/speaker"
tools = ["add"]
"#
    ))
}

fn run(server: &Server, who: &str, calls: u32) -> Request {
    let input = json!({ "say": ["hi"], "calls": calls }).to_string();
    let request = server.post("/api/speaker/run").header("x-api-key", who);
    request.json(&json!({ "input": input }))
}

fn get(server: &Server, who: &str, target: &str) -> Reply {
    server.get(target).header("x-api-key", who).send()
}

/// What somebody has used today.
fn today(server: &Server, who: &str) -> Value {
    let usage = get(server, who, "/api/-/usage?days=1").expect(200).json();
    let mut day = usage["days"][0].clone();
    if let Some(day) = day.as_object_mut() {
        let date = day.remove("day").unwrap_or_default();
        assert_eq!(date.as_str().map(str::len), Some(10), "{date}");
    }
    day
}

#[test]
fn a_run_of_two_answers_has_used_both() {
    let server = builder(PRICES).start();
    let frames = run(&server, "ann", 1).open().finish();
    let finished = only(&frames, "RUN_FINISHED");
    // The wire of the native API: what the last answer used, and no more.
    assert_eq!(
        finished["result"]["response"]["usage"],
        json!({ "inputTokens": 100, "outputTokens": 20, "totalTokens": 120 })
    );
    assert_eq!(finished["result"].get("usage"), None);
    let run_id = finished["runId"].as_str().unwrap_or_default();
    let shown = get(&server, "ann", &format!("/api/-/runs/{run_id}")).expect(200);
    assert_eq!(
        shown.json()["usage"],
        json!({ "inputTokens": 200, "outputTokens": 40, "totalTokens": 240, "cost": "0.00036" })
    );
    let _ = run(&server, "ann", 0).send().expect(200);
    assert_eq!(
        today(&server, "ann"),
        json!({
            "runs": 2, "inputTokens": 300, "outputTokens": 60, "totalTokens": 360,
            "cost": "0.00054",
        })
    );
    assert_eq!(today(&server, "bob"), Value::Null);
    let _ = get(&server, "ann", "/api/-/usage?days=0").expect(422);
}

#[test]
fn the_last_event_and_the_answer_tell_of_the_whole_run_where_that_is_wanted() {
    let server = builder(&format!("[runs]\ntotal_usage = true\n{PRICES}")).start();
    let total =
        json!({ "inputTokens": 200, "outputTokens": 40, "totalTokens": 240, "cost": "0.00036" });
    let frames = run(&server, "ann", 1).open().finish();
    assert_eq!(only(&frames, "RUN_FINISHED")["result"]["usage"], total);
    let answer = run(&server, "ann", 1).send().expect(200).json();
    assert_eq!(answer["usage"], total);
    assert_eq!(answer["response"]["usage"]["totalTokens"], 120);
}

#[test]
fn a_run_that_fails_has_used_what_it_used() {
    let server = builder(PRICES).start();
    let body = json!({ "input": r#"{"calls":1}"#, "maxSteps": 9, "output": { "schema": { "type": "object" } } });
    let request = server.post("/api/speaker/run").header("x-api-key", "ann");
    let frames = request.json(&body).open().finish();
    let failed = only(&frames, "RUN_ERROR");
    let run_id = failed["runId"].as_str().unwrap_or_default();
    let shown = get(&server, "ann", &format!("/api/-/runs/{run_id}"))
        .expect(200)
        .json();
    assert_eq!(shown["state"], "failed");
    assert_eq!(shown["usage"]["totalTokens"], 240);
}

#[track_caller]
fn assert_used_up(reply: &Reply, limit: &str) {
    let body = reply.json();
    assert_eq!(reply.status(), 429, "{body}");
    assert_code(&body, "RATE_LIMITED");
    assert_eq!(body["retryable"], true);
    assert_eq!(body["context"]["limit"], limit);
    let message = body["message"].as_str().unwrap_or_default();
    assert!(message.contains("a day is used up"), "{message}");
    let wait = reply.header("retry-after").map(str::parse::<u64>);
    assert!(
        wait.is_some_and(|it| it.is_ok_and(|it| (1..=86_400).contains(&it))),
        "{:?}",
        reply.header("retry-after")
    );
}

#[test]
fn of_many_runs_at_once_exactly_so_many_begin() {
    let server = builder("[quota]\nruns_per_day = 7\n").start();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let server = &server;
        let all: Vec<_> = (0..40)
            .map(|_| scope.spawn(|| run(server, "ann", 0).send().status()))
            .collect();
        all.into_iter()
            .map(|one| one.join().expect("it is answered"))
            .collect()
    });
    let count = |status| statuses.iter().filter(|it| **it == status).count();
    assert_eq!((count(200), count(429)), (7, 33));
    assert_used_up(&run(&server, "ann", 0).send(), "runs");
    let streamed = run(&server, "ann", 0).header("accept", "text/event-stream");
    assert_used_up(&streamed.send(), "runs");
    // Somebody else has a day of their own.
    let _ = run(&server, "bob", 0).send().expect(200);
    assert_eq!(today(&server, "ann")["runs"], 7);
}

#[test]
fn what_was_used_outlives_the_process() {
    let server = builder("[quota]\nruns_per_day = 2\n").start();
    let _ = run(&server, "ann", 0).send().expect(200);
    // What can be read is stored.
    assert_eq!(today(&server, "ann")["runs"], 1);
    let server = server.crash_and_restart();
    let _ = run(&server, "ann", 0).send().expect(200);
    assert_used_up(&run(&server, "ann", 0).send(), "runs");
    let server = server.restart();
    assert_used_up(&run(&server, "ann", 0).send(), "runs");
    assert_eq!(today(&server, "ann")["totalTokens"], 240);
}

#[test]
fn a_run_ends_where_the_tokens_do() {
    let server = builder("[quota]\ntokens_per_day = 100\n").start();
    let frames = run(&server, "ann", 1).open().finish();
    assert!(kinds(&frames).contains(&"TOOL_CALL_RESULT".to_owned()));
    let failed = only(&frames, "RUN_ERROR");
    assert_code(&failed["error"], "RATE_LIMITED");
    assert_eq!(failed["error"]["status"], 429);
    assert_used_up(&run(&server, "ann", 0).send(), "tokens");
}

#[test]
fn a_limit_of_money_goes_by_the_prices() {
    let quota = r#"
[quota]
cost_per_day = "0.00019"
principals = [{ subject = "bob", cost_per_day = "0.00018" }]
"#;
    let server = builder(&format!("{quota}{PRICES}")).start();
    let _ = run(&server, "ann", 0).send().expect(200);
    let _ = run(&server, "ann", 0).send().expect(200);
    assert_used_up(&run(&server, "ann", 0).send(), "cost");
    let _ = run(&server, "bob", 0).send().expect(200);
    assert_used_up(&run(&server, "bob", 0).send(), "cost");
}

#[test]
fn a_request_that_is_repeated_with_its_key_is_one_run() {
    let server = builder("[quota]\nruns_per_day = 2\n").start();
    let keyed = |key: &str| run(&server, "ann", 0).header("idempotency-key", key).send();
    for _ in 0..3 {
        let _ = keyed("one").expect(200);
    }
    let _ = keyed("two").expect(200);
    assert_used_up(&keyed("three"), "runs");
    // The key stands for nothing yet: it may come again tomorrow.
    assert_used_up(&keyed("three"), "runs");
    // Those that stand for a run are answered all the same.
    let _ = keyed("one").expect(200);
    let other = run(&server, "ann", 1).header("idempotency-key", "one");
    let _ = other.send().expect(409);
}

#[test]
fn limits_and_prices_that_make_no_sense_stop_the_start_at_their_place() {
    for (config, parts) in [
        (
            "[quota]\ncost_per_day = \"1\"\n",
            &["no model has a price", ":2:"][..],
        ),
        (
            "[quota]\nruns_per_day = 0\n",
            &["must be at least 1", ":2:"],
        ),
        (
            "[quota]\ncost_per_day = 1.5\n",
            &["1.5 is not in quotes", ":2:"],
        ),
        (
            "[prices.\"llm/none\"]\ninput = \"1\"\noutput = \"1\"\n",
            &["there is no model 'llm/none'", ":1:"],
        ),
        (
            "[prices.\"llm/none\"]\ninput = \"cheap\"\noutput = \"1\"\n",
            &["\"cheap\" is not an amount of money", ":2:"],
        ),
        (
            "[[quota.principals]]\nsubject = \"a\"\n[[quota.principals]]\nsubject = \"a\"\n",
            &["has two quotas", ":4:"],
        ),
    ] {
        let ended = ServerBuilder::new(config).fail();
        assert_eq!(ended.status.code(), Some(2), "{config}: {}", ended.log);
        for part in parts {
            assert!(ended.log.contains(part), "{part}: {}", ended.log);
        }
    }
}
