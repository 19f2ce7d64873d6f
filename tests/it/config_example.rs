//! The `config.toml` that the repository starts with: complete, and it runs.

use std::{fs, process::Command};

use integration_tests::{Server, ServerBuilder, binary, workspace};
use serde_json::json;

use crate::support::{kinds, only};

const SECRET: &str = "a-secret-for-tests";

fn example() -> String {
    fs::read_to_string(workspace().join("config.toml")).expect("config.toml is there")
}

fn start() -> Server {
    ServerBuilder::new(&example())
        .variable("MORTISE_SECRET", SECRET)
        .start()
        .with_token(SECRET)
}

#[test]
fn every_key_is_in_the_example_or_in_the_reference() {
    let reference = Command::new(binary())
        .args(["config", "reference"])
        .output()
        .expect("the server can be run");
    let reference = String::from_utf8(reference.stdout).expect("it is text");
    let page =
        fs::read_to_string(workspace().join("docs/configuration.md")).expect("the page is there");
    let example = example();

    let keys: Vec<_> = reference
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();

    assert!(keys.len() > 30, "{keys:?}");
    for key in keys {
        let last = key.rsplit('.').next().unwrap_or(key);
        assert!(
            page.contains(&format!("`{key}`")) || example.contains(&format!("{last} =")),
            "{key} is neither in config.toml nor in docs/configuration.md"
        );
    }
}

#[test]
fn every_section_is_shown() {
    let example = example();

    for section in [
        "[server]",
        "[admin]",
        "[runs]",
        "[store]",
        "[jobs]",
        "[log]",
        "[plugins]",
        "[[plugins.load]]",
        "[tools.",
        "[agents.",
    ] {
        assert!(example.contains(section), "no {section} in config.toml");
    }
}

#[test]
fn the_example_runs_as_it_is() {
    let server = start();

    let said = server.run("assistant", "hi").send().expect(200);
    assert!(said.text().contains("Hello world"), "{}", said.text());
    let _ = server.anonymous("GET", "/api/health").send().expect(200);
    let _ = server.anonymous("GET", "/api/-/agents").send().expect(401);
    let _ = server.run("echo", "say it again").send().expect(200);
}

#[test]
fn what_is_commented_out_may_be_written() {
    // What belongs to a table that is commented out itself has no place without it.
    let example = example();
    let mut is_of_comment = false;
    let lines = example.lines().map(|line| {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        is_of_comment = match line {
            "" => false,
            _ => is_of_comment || bare != line && bare.starts_with('['),
        };
        let is_key = bare
            .split_once(" = ")
            .is_some_and(|(key, _)| !key.contains(' '));
        if is_key && !is_of_comment { bare } else { line }.to_owned()
    });
    let uncommented = lines.collect::<Vec<_>>().join("\n");
    assert!(uncommented.contains("\nkeep_finished_for = "));

    let server = ServerBuilder::new(&uncommented)
        .variable("MORTISE_SECRET", SECRET)
        .start();

    let _ = server.get("/api/health").send().expect(200);
}

#[test]
fn the_dialects_of_the_example_load_together() {
    let mut example = example();
    for name in ["chat-api", "expose", "runs-api"] {
        let entry = format!("# [[plugins.load]]\n# name = \"{name}\"\n");
        let (before, from) = example.split_once(&entry).expect("it is a comment");
        let (rest, after) = from.split_once("\n\n").expect("it ends");
        let rest = rest.lines().map(|line| line.trim_start_matches("# "));
        let rest = rest.collect::<Vec<_>>().join("\n");
        example = format!("{before}[[plugins.load]]\nname = \"{name}\"\n{rest}\n\n{after}");
    }
    let server = ServerBuilder::new(&example)
        .variable("MORTISE_SECRET", SECRET)
        .variable("CHAT_TOKEN", "a-token-for-tests")
        .start()
        .with_token(SECRET);

    let asked = server.post("/agents/ask").json(&json!({ "text": "hi" }));
    assert_eq!(asked.send().expect(200).json(), "Hello world");
    let run = server.post("/api/agents/assistant/runs");
    let run = run.json(&json!({ "message": "hi" })).send().expect(200);
    assert_eq!(run.json()["content"], "Hello world");
    let chat = server
        .anonymous("POST", "/chat/sync")
        .bearer("a-token-for-tests");
    let chat = chat.json(&json!({ "messages": [{ "role": "user", "content": "hi" }] }));
    assert_eq!(chat.send().expect(200).json()["response"], "Hello world");
    let _ = server.run("assistant", "hi").send().expect(200);
}

#[test]
fn the_tools_of_the_example_work() {
    let server = start();

    let added = server
        .stream("assistant", r#"call add {"a":1,"b":2}"#)
        .finish();
    assert_eq!(
        only(&added, "TOOL_CALL_RESULT")["result"],
        json!({ "sum": 3 })
    );
    let clock = server.stream("assistant", "call clock").finish();
    assert!(only(&clock, "TOOL_CALL_RESULT").get("isError").is_none());
}

#[test]
fn what_is_remembered_with_consent_is_recalled() {
    let server = start();
    let mut stream = server.stream("interactive", r#"call remember {"note":"buy milk"}"#);
    stream.wait_for("TOOL_APPROVAL_UPDATED");
    let decision = json!({
        "runId": stream.run_id(), "toolCallId": "call_1", "decision": "approved",
    });

    let path = "/api/interactive/run/tool-approval";
    let _ = server.post(path).json(&decision).send().expect(204);
    assert!(kinds(&stream.finish()).contains(&"RUN_FINISHED".to_owned()));

    let recalled = server.run("assistant", "call recall").send().expect(200);
    assert!(recalled.text().contains("buy milk"), "{}", recalled.text());
}

#[test]
fn the_client_tool_of_the_example_waits_for_the_client() {
    let server = start();
    let mut stream = server.stream("interactive", r#"call confirm {"q":"sure?"}"#);
    assert_eq!(stream.wait_for("TOOL_CALL_END")["toolTarget"], "client");
    let answer = json!({
        "runId": stream.run_id(), "toolCallId": "call_1", "status": "success", "result": true,
    });

    let path = "/api/interactive/run/tool-result";
    let _ = server.post(path).json(&answer).send().expect(204);

    let result = only(&stream.finish(), "TOOL_CALL_RESULT");
    assert_eq!(result["result"], true);
}

#[test]
fn without_its_secret_the_example_does_not_start() {
    let ended = ServerBuilder::new(&example()).fail();

    assert_eq!(ended.status.code(), Some(2), "{ended:#?}");
    assert!(ended.log.contains("MORTISE_SECRET"), "{}", ended.log);
}
