//! The shipped `guardrails`: what is shown, what is stored and what a run comes to are the same.

use integration_tests::{Frame, Server, ServerBuilder};
use serde_json::{Value, json};

use crate::support::{assert_code, kinds, only, text_of};

const CARD: &str = "4111 1111 1111 1111";

fn start(rules: &str, more: &str) -> Server {
    ServerBuilder::new(&format!(
        r#"
[[plugins.load]]
name = "guardrails"

[plugins.load.config]
{more}
rules = [{rules}]

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = {{ tools = true, speaker = true }}

[agents.speaker]
model = "fixture/speaker"
tools = ["add"]

[agents.free]
model = "fixture/speaker"

[agents.objects]
model = "fixture/speaker"
output_schema = {{ type = "object", properties = {{ mail = {{ type = "string" }} }} }}
"#
    ))
    .start()
}

const REDACT: &str = r#"
    { name = "card", detect = "card", action = "redact", agents = ["speaker", "orator"] },
    { name = "mail", detect = "email", action = "redact", agents = ["speaker", "orator", "objects"] },
"#;

fn script(say: &[&str]) -> String {
    json!({ "think": ["ann@", "b.de ", "knows"], "say": say }).to_string()
}

fn body(say: &[&str]) -> Value {
    json!({ "input": script(say), "conversationId": "c" })
}

fn stored(server: &Server, agent: &str) -> String {
    let target = format!("/api/{agent}/conversations/c");
    server.get(&target).send().expect(200).text().to_owned()
}

fn stream(server: &Server, agent: &str, body: &Value) -> Vec<Frame> {
    let request = server.post(&format!("/api/{agent}/run")).json(body);
    request.open().finish()
}

fn everything(frames: &[Frame]) -> String {
    frames.iter().map(|it| it.json().to_string()).collect()
}

#[test]
fn a_pattern_that_is_cut_into_deltas_is_never_shown() {
    let server = start(REDACT, "");
    let pieces: Vec<String> = format!("pay with {CARD}, write to ann@example.org.")
        .chars()
        .map(String::from)
        .collect();
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    // What is sent holds no card: it is cut there too.
    let frames = stream(&server, "speaker", &body(&pieces));
    assert_eq!(text_of(&frames), "pay with [card], write to [mail].");
    let shown = everything(&frames);
    for secret in ["4111", "example", "ann@"] {
        let mut shown = shown.replace(&json!(pieces).to_string(), "");
        shown = shown.replace("\\\"ann@\\\"", "");
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    let thoughts: String = frames
        .iter()
        .filter(|it| it.kind() == "REASONING_MESSAGE_CONTENT")
        .map(|it| it.json()["delta"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(thoughts, "[mail] knows");
    // More than one piece: what is harmless is not held to the end.
    let texts = kinds(&frames)
        .iter()
        .filter(|it| *it == "TEXT_MESSAGE_CONTENT")
        .count();
    assert!(texts > 3, "{texts}");

    let finished = only(&frames, "RUN_FINISHED");
    let parts = &finished["result"]["response"]["output"][0]["content"];
    assert_eq!(parts[0]["text"], "[mail] knows");
    assert_eq!(parts[1]["text"], "pay with [card], write to [mail].");
    let stored = stored(&server, "speaker");
    assert!(
        stored.contains("pay with [card], write to [mail]."),
        "{stored}"
    );
    // A replay is what was shown.
    let run_id = finished["runId"].as_str().unwrap_or_default();
    let target = format!("/api/speaker/stream-events/resume?streamId={run_id}");
    let replayed = server.get(&target).open().finish();
    assert_eq!(text_of(&replayed), text_of(&frames));
}

#[test]
fn a_json_run_answers_what_a_stream_shows() {
    let server = start(REDACT, "");
    let said = format!("pay with {CARD}");
    let request = server.post("/api/speaker/run");
    let reply = request
        .json(&body(&["x ", "ann@b", ".de"]))
        .send()
        .expect(200);
    let parts = &reply.json()["response"]["output"][0]["content"];
    assert_eq!(parts[1]["text"], "x [mail]");
    // Other agents say what they like.
    let request = server.post("/api/free/run").json(&body(&[&said]));
    let reply = request.send().expect(200);
    assert_eq!(
        reply.json()["response"]["output"][0]["content"][1]["text"],
        said
    );
}

#[test]
fn what_is_taken_out_of_the_input_is_neither_shown_nor_stored_nor_read_by_the_model() {
    let server = start(REDACT, "");
    let input = format!("{{\"say\":[\"ok\"]}} and my card is {CARD}");
    let frames = stream(
        &server,
        "speaker",
        &json!({ "input": input, "conversationId": "c" }),
    );
    let started = only(&frames, "RUN_STARTED");
    assert_eq!(
        started["runInput"]["input"],
        "{\"say\":[\"ok\"]} and my card is [card]"
    );
    let heard = server.get("/api/heard").send().expect(200);
    for place in [
        everything(&frames),
        stored(&server, "speaker"),
        heard.text().to_owned(),
    ] {
        assert!(!place.contains("4111"), "{place}");
        assert!(place.contains("my card is [card]"), "{place}");
    }
    let folder = std::fs::read(server.folder().join("data/mortise.db"));
    let wal = std::fs::read(server.folder().join("data/mortise.db-wal"));
    for bytes in [folder, wal].into_iter().flatten() {
        assert!(!String::from_utf8_lossy(&bytes).contains("4111"));
    }
    // Items are looked at like texts.
    let items = json!([{ "role": "user", "content": [{ "type": "text", "text": CARD }] }]);
    let frames = stream(&server, "speaker", &json!({ "input": items }));
    let started = only(&frames, "RUN_STARTED");
    assert_eq!(
        started["runInput"]["input"][0]["content"][0]["text"],
        "[card]"
    );
}

#[test]
fn a_coded_agent_shows_stores_and_returns_the_same() {
    let server = start(REDACT, "");
    let said = ["write to ", "ann@b", ".de"];
    let frames = stream(&server, "orator", &body(&said));
    assert_eq!(text_of(&frames), "write to [mail]");
    let finished = only(&frames, "RUN_FINISHED");
    let result = &finished["result"];
    assert_eq!(
        result["structured"],
        json!({ "said": ["write to [mail]", 5] })
    );
    assert_eq!(
        result["response"]["output"][0]["content"][0]["text"],
        "write to [mail]"
    );
    assert!(stored(&server, "orator").contains("write to [mail]"));
}

#[test]
fn structured_output_is_made_of_what_is_left() {
    let server = start(REDACT, "");
    let frames = stream(&server, "objects", &body(&["{\"mail\":\"ann@b", ".de\"}"]));
    let finished = only(&frames, "RUN_FINISHED");
    assert_eq!(
        finished["result"]["structured"],
        json!({ "mail": "[mail]" })
    );
    assert_eq!(text_of(&frames), "{\"mail\":\"[mail]\"}");
}

const BLOCK: &str = r#"
    { name = "word", pattern = '(?i)\bpassword\b', on = ["output"], action = "block" },
    { name = "topic", pattern = "weapons", on = ["input"], action = "block", message = "Not here." },
    { name = "size", max_chars = 400, on = ["input"], action = "block" },
"#;

#[test]
fn blocked_input_never_reaches_the_model() {
    let server = start(BLOCK, "");
    let request = server.run("speaker", "about weapons");
    let reply = request.send().expect(422).json();
    assert_code(&reply, "GUARDRAIL_INPUT_BLOCKED");
    assert_eq!(reply["message"], "Run failed: Not here.");
    assert_eq!(reply["context"], json!({ "guardrail": "topic" }));
    assert_eq!(reply["retryable"], false);

    let frames = server.stream("speaker", "about weapons").finish();
    assert_eq!(kinds(&frames), ["RUN_ERROR", "error"]);
    let error = &frames[0].json()["error"];
    assert_eq!(
        (&error["code"], &error["status"]),
        (&json!("GUARDRAIL_INPUT_BLOCKED"), &json!(422))
    );

    let reply = server
        .run("speaker", &"x".repeat(401))
        .send()
        .expect(422)
        .json();
    assert_eq!(reply["context"], json!({ "guardrail": "size" }));
    assert_eq!(server.get("/api/heard").send().json()["times"], 0);
}

#[test]
fn a_stream_ends_before_what_is_blocked_and_stores_nothing() {
    let server = start(BLOCK, "");
    let said = body(&["the pass", "word is ", "swordfish"]);
    let frames = stream(&server, "speaker", &said);
    let shown = text_of(&frames);
    assert!("the ".starts_with(&shown), "{shown:?}");
    assert_eq!(
        kinds(&frames)[kinds(&frames).len() - 3..],
        ["STEP_ERROR", "RUN_ERROR", "error"]
    );
    let error = only(&frames, "RUN_ERROR");
    assert_code(&error["error"], "GUARDRAIL_OUTPUT_BLOCKED");
    assert_eq!(
        error["error"]["detail"],
        "Run failed: The output was blocked by the guardrail 'word'."
    );
    let _ = server
        .get("/api/speaker/conversations/c")
        .send()
        .expect(204);

    let reply = server.post("/api/speaker/run").json(&said).send();
    assert_code(&reply.expect(422).json(), "GUARDRAIL_OUTPUT_BLOCKED");
    // The end of the text is its last chance.
    let frames = stream(&server, "speaker", &body(&["the pass", "word"]));
    assert_code(
        &only(&frames, "RUN_ERROR")["error"],
        "GUARDRAIL_OUTPUT_BLOCKED",
    );
    assert!(!text_of(&frames).contains("pass"));
    assert!(!server.log().contains("swordfish"));
}

#[test]
fn whole_texts_are_held_back_where_the_operator_says_so() {
    let server = start(BLOCK, "streams = \"whole\"");
    let frames = stream(&server, "speaker", &body(&["one ", "two ", "three"]));
    let texts: Vec<Value> = frames
        .iter()
        .filter(|it| it.kind() == "TEXT_MESSAGE_CONTENT")
        .map(|it| it.json()["delta"].clone())
        .collect();
    assert_eq!(texts, ["one two three"]);
    let frames = stream(
        &server,
        "speaker",
        &body(&["a lot of text and a password", "."]),
    );
    assert_eq!(text_of(&frames), "");
}

#[test]
fn what_a_tool_returns_is_looked_at_before_anybody_reads_it() {
    let rules = r#"{ name = "sum", pattern = '^3$', on = ["tool_result"], action = "redact" }"#;
    let server = start(rules, "");
    let input = json!({ "say": ["ok"], "calls": 1 }).to_string();
    let frames = stream(&server, "speaker", &json!({ "input": input }));
    let result = only(&frames, "TOOL_CALL_RESULT");
    assert_eq!(result["result"], json!({ "sum": "[sum]" }));
    let heard = server.get("/api/heard").send().expect(200);
    assert!(
        heard.text().contains(r#"{"sum":"[sum]"}"#),
        "{}",
        heard.text()
    );

    let server = start(&rules.replace("redact", "block"), "");
    let frames = stream(&server, "speaker", &json!({ "input": input }));
    let error = &only(&frames, "RUN_ERROR")["error"];
    assert_code(error, "GUARDRAIL_OUTPUT_BLOCKED");
    assert!(!kinds(&frames).contains(&"TOOL_CALL_RESULT".to_owned()));
}

#[test]
fn rules_that_cannot_be_used_stop_the_start_at_their_place() {
    let config = r#"
[[plugins.load]]
name = "guardrails"

[plugins.load.config]
rules = [
    { name = "word", pattern = "(", action = "block" },
]
"#;
    let ended = ServerBuilder::new(config).fail();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.log);
    for part in ["rules.0.pattern", "unclosed group", ":7:"] {
        assert!(ended.log.contains(part), "{part}: {}", ended.log);
    }
}
