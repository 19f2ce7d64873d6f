//! All dialects in one server, with the configuration that the repository starts with.

use std::fs;

use integration_tests::{ServerBuilder, workspace};
use serde_json::json;

use super::TOKEN;

/// Those of these that the repository has are loaded, with a setting where they need one.
const DIALECTS: [(&str, &str); 4] = [
    (
        "chat-api",
        r#"config = { agent = "assistant", token = "s3cret" }"#,
    ),
    (
        "runs-api",
        r#"grants = ["agents", "conversations", "runs"]"#,
    ),
    ("expose", ""),
    ("volt-api", ""),
];

#[test]
fn all_dialects_load_together_and_each_answers() {
    let example = workspace().join("config.toml");
    let mut config = fs::read_to_string(example).expect("config.toml is there");
    let is_there = |name: &str| workspace().join("plugins").join(name).is_dir();
    let dialects: Vec<_> = DIALECTS.iter().filter(|(name, _)| is_there(name)).collect();
    assert!(dialects.len() >= 2, "{dialects:?}");
    for (name, settings) in &dialects {
        config = format!("{config}\n[[plugins.load]]\nname = \"{name}\"\n{settings}\n");
    }

    let server = ServerBuilder::new(&config)
        .variable("MORTISE_SECRET", TOKEN)
        .start()
        .with_token(TOKEN);

    let hello = json!({ "messages": [{ "role": "user", "content": "hello" }] });
    let chat = server.post("/chat/sync").json(&hello).send().expect(200);
    assert_eq!(chat.json()["response"], "Hello world");
    let runs = server
        .post("/api/agents/assistant/runs")
        .json(&json!({ "message": "hello" }))
        .send()
        .expect(200);
    assert_eq!(runs.json()["content"], "Hello world");
    let native = server.run("assistant", "hello").send().expect(200);
    assert!(native.text().contains("Hello world"), "{}", native.text());
    // Nobody takes the routes of another.
    assert_eq!(server.get("/api/-/agents").send().status(), 200);
    assert_eq!(server.get("/api/health").send().status(), 200);
    // The sessions of both, as they are of one principal.
    let sessions = server.get("/sessions").send().expect(200).json();
    assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(2));
    for (name, _) in dialects {
        assert!(server.log().contains(name), "{name} is not in the log");
    }
}
