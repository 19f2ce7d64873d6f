//! Clients as users have them, run as they are: replaced are origin, token, agent and run ids.

use std::process::Output;

use integration_tests::clients::{client, run_shell, run_typescript, text};
use integration_tests::{Server, ServerBuilder};
use serde_json::{Value, json};

/// Of `runs-api` and `chat-api`, whose clients these are.
const CONFIG: &str = r#"
[server]
secret = "op-token"

[[plugins.load]]
name = "runs-api"
grants = ["agents", "conversations", "runs"]

[[plugins.load]]
name = "chat-api"
config = { agent = "finance_agent", token = "secret" }

[[plugins.load]]
name = "scripted"
library = "scripted_model"
config = { script = "marker" }

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = { novelist = 102400 }

[agents.finance_agent]
model = "scripted/fake-1"

[agents.novelist]
model = "fixture/novelist"
"#;

fn start() -> Server {
    ServerBuilder::new(CONFIG).start().with_token("op-token")
}

fn origin(server: &Server) -> String {
    format!("http://{}", server.address())
}

#[track_caller]
fn output(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs the TypeScript client of the runs API.
#[track_caller]
fn reads(server: &Server, agent: &str) -> String {
    let origin = origin(server);
    let replaced = [
        ("http://localhost:8080", origin.as_str()),
        ("{token}", "op-token"),
        ("\"finance_agent\"", &json!(agent).to_string()),
    ];
    output(&run_typescript(&client("operativus.ts", &replaced)))
}

#[test]
fn the_reader_of_the_runs_api_shows_a_run() {
    let said = reads(&start(), "finance_agent");
    assert!(said.starts_with("Stream started: {"), "{said}");
    assert!(said.contains("runId: 'run_"), "{said}");
    assert!(said.contains("\n[stream complete]\n"), "{said}");
    assert!(said.ends_with("Full response: Hello there!\n"), "{said}");
}

#[test]
fn a_reader_that_takes_each_read_for_whole_events_gets_through_a_long_run() {
    // An event that is cut is no JSON for it, and it ends.
    let said = reads(&start(), "novelist");
    let (_, whole) = said.split_once("Full response: ").expect("it has ended");
    let expected: String = (0..)
        .map(|it| format!("line {it:05}\n"))
        .take(10_000)
        .collect();
    let is_whole = whole.strip_suffix('\n') == expected.get(..102_400);
    assert!(is_whole, "{} bytes, and others", whole.len());
}

#[test]
fn the_commands_of_the_runs_api_ask_how_runs_stand() {
    let server = start();
    let begin = || {
        let path = "/api/agents/finance_agent/runs";
        let run = server.post(path).json(&json!({ "message": "hi" })).send();
        run.expect(200).json()["runId"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    let (first, second) = (begin(), begin());

    let origin = origin(&server);
    let replaced = [
        ("http://localhost:8080", origin.as_str()),
        ("{token}", "op-token"),
        ("run_abc123", &first),
        ("run_def456", &second),
    ];
    let said = output(&run_shell(&client("operativus.sh", &replaced)));

    let answers = serde_json::Deserializer::from_str(&said).into_iter::<Value>();
    let answers: Vec<_> = answers.map(|it| it.expect("it is JSON")).collect();
    assert_eq!(answers[0]["status"], "COMPLETED");
    let rows = answers[1].as_array().expect("it is a list");
    let ids: Vec<_> = rows.iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, [&json!(first), &json!(second)]);
}

#[test]
fn the_commands_of_the_chat_api_chat() {
    let server = start();
    let origin = origin(&server);
    let replaced = [("http://localhost:3000", origin.as_str())];
    let said = output(&run_shell(&client("ra.sh", &replaced)));

    let (stream, answer) = said.split_once("\n\n{").expect("a stream and an answer");
    assert!(
        stream.starts_with(r#"data: {"type":"text","delta":"#),
        "{said}"
    );
    assert!(
        stream.contains(r#"data: {"type":"done","usage":"#),
        "{said}"
    );
    assert!(answer.contains(r#""response":"Hello there!""#), "{said}");
}
