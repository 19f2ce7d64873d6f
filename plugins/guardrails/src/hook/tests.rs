//! The hook, stage by stage.

use mortise_plugin_api::testing::{FakeHost, Loaded};
use serde_json::json;

use super::*;

fn load(config: Value) -> Result<Loaded> {
    FakeHost::new("guardrails").load::<crate::Guardrails>(config)
}

#[test]
fn a_configuration_that_makes_no_sense_says_where_and_why() {
    for (rule, place, why) in [
        (
            json!({ "detect": "card", "pattern": "x" }),
            "/rules/0",
            "exactly one",
        ),
        (json!({}), "/rules/0", "exactly one"),
        (
            json!({ "pattern": "(" }),
            "/rules/0/pattern",
            "unclosed group",
        ),
        (json!({ "pattern": "a*" }), "/rules/0/pattern", "empty text"),
        (
            json!({ "pattern": "x{9}{9}{9}{9}{9}{9}{9}{9}{9}" }),
            "/rules/0/pattern",
            "size limit",
        ),
        (json!({ "max_chars": 0 }), "/rules/0/max_chars", ">= 1"),
        (
            json!({ "max_chars": 9, "action": "redact" }),
            "/rules/0/action",
            "only be blocked",
        ),
        (
            json!({ "pattern": "x", "replacement": "y" }),
            "/rules/0/replacement",
            "blocks",
        ),
        (
            json!({ "pattern": "x", "action": "redact", "replacement": "xx" }),
            "/rules/0/replacement",
            "again",
        ),
        (
            json!({ "pattern": "x", "action": "redact", "message": "no" }),
            "/rules/0/message",
            "nobody",
        ),
        (json!({ "pattern": "x", "on": [] }), "/rules/0/on", "empty"),
        (
            json!({ "pattern": "x", "name": " " }),
            "/rules/0/name",
            "blank",
        ),
    ] {
        let mut whole = json!({ "name": "rule", "action": "block" });
        for (key, value) in rule.as_object().unwrap() {
            whole[key] = value.clone();
        }
        let refused = load(json!({ "rules": [whole] })).map(drop).unwrap_err();
        assert_eq!(refused.issues()[0].path, place, "{rule}");
        assert!(refused.message().contains(why), "{refused}");
    }
    assert!(load(json!({})).is_err());
    let twice = json!({ "name": "a", "detect": "ip", "action": "block" });
    let refused = load(json!({ "rules": [twice, twice] }))
        .map(drop)
        .unwrap_err();
    assert_eq!(refused.issues()[0].path, "/rules/1/name");
}

#[tokio::test]
async fn a_hook_has_only_the_stages_that_its_rules_need_and_denies() {
    for (on, stages) in [
        ("input", &[Stage::BeforeRun][..]),
        (
            "output",
            &[Stage::AfterModel, Stage::AfterRun, Stage::Event],
        ),
        ("tool_result", &[Stage::AfterTool]),
    ] {
        let rule = json!({ "name": "a", "detect": "ip", "action": "block", "on": [on] });
        let loaded = load(json!({ "rules": [rule] })).unwrap();
        let hook = loaded.hook("guardrails");
        assert_eq!(hook.info().stages, stages);
        assert_eq!(hook.info().on_error, OnError::Deny);
    }
}

#[tokio::test]
async fn every_text_of_an_input_is_looked_at_and_lengths_are_summed() {
    let loaded = load(json!({ "rules": [
        { "name": "mail", "detect": "email", "action": "redact" },
        { "name": "size", "max_chars": 60, "action": "block" },
    ] }))
    .unwrap();
    let hook = loaded.hook("guardrails");
    let items = |text: &str| -> Vec<Item> {
        serde_json::from_value(json!([
            { "type": "message", "role": "user", "content": text },
            { "type": "message", "role": "user", "content": [
                { "type": "text", "text": text },
                { "type": "file", "name": "a", "data": "YUBiLmRl" },
            ] },
            { "type": "tool-call", "callId": "c", "name": "n", "arguments": "{}", "result": { "a": [text, 5] } },
        ]))
        .unwrap()
    };
    let changed = hook.before_run(RunInput::new(items("to a@b.de"))).await;
    assert_eq!(changed.unwrap().unwrap().input, items("to [mail]"));
    assert_eq!(
        hook.before_run(RunInput::new(items("hi"))).await.unwrap(),
        None
    );
    let long = "x".repeat(25);
    let refused = hook
        .before_run(RunInput::new(items(&long)))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some("GUARDRAIL_INPUT_BLOCKED"));
    assert!(refused.is_refusal());
}

#[tokio::test]
async fn a_thought_in_other_words_has_no_signature() {
    let loaded = load(json!({ "rules": [
        { "name": "mail", "detect": "email", "action": "redact" },
    ] }))
    .unwrap();
    let hook = loaded.hook("guardrails");
    let response = |text: &str, provider: Value| -> ModelResponse {
        let mut thought = json!({ "type": "reasoning", "text": text, "visibility": "full" });
        if !provider.is_null() {
            thought["provider"] = provider;
        }
        serde_json::from_value(json!({
            "output": [{ "type": "message", "role": "assistant", "content": [thought] }],
            "finishReason": "stop",
        }))
        .unwrap()
    };
    let mut said = response("a@b.de", json!({ "signature": "s" }));
    said.response = Some(json!({ "raw": "a@b.de" }));
    let changed = hook.after_model(said).await.unwrap().unwrap();
    assert_eq!(changed, response("[mail]", Value::Null));
    let same = response("fine", json!({ "signature": "s" }));
    assert_eq!(hook.after_model(same).await.unwrap(), None);
}

fn delta(message: &str, text: &str, timestamp: u64) -> Event {
    Event::TextMessageContent {
        message_id: message.into(),
        delta: text.into(),
        timestamp,
    }
}

#[tokio::test]
async fn the_first_piece_is_held_and_what_is_sure_is_shown_in_place_of_the_others() {
    let loaded = load(json!({ "rules": [
        { "name": "mail", "detect": "email", "action": "redact" },
    ] }))
    .unwrap();
    let hook = loaded.hook("guardrails");
    let first = delta("m", "write to a", 1);
    assert_eq!(hook.event(first.clone()).await.unwrap(), EventVerdict::Hold);
    assert_eq!(
        hook.event(delta("m", "nn@b", 2)).await.unwrap(),
        EventVerdict::Replace(delta("m", "write to ", 2))
    );
    assert_eq!(
        hook.event(delta("m", ".de", 3)).await.unwrap(),
        EventVerdict::Drop
    );
    // Another text meanwhile.
    let other = delta("n", "hello", 4);
    assert_eq!(hook.event(other.clone()).await.unwrap(), EventVerdict::Hold);
    assert_eq!(
        hook.release(vec![first]).await.unwrap(),
        [delta("m", "[mail]", 3)]
    );
    assert_eq!(hook.release(vec![other.clone()]).await.unwrap(), [other]);
}

#[tokio::test]
async fn whole_texts_are_held_where_that_is_wanted() {
    let loaded = load(json!({ "streams": "whole", "rules": [
        { "name": "mail", "detect": "email", "action": "redact" },
    ] }))
    .unwrap();
    let hook = loaded.hook("guardrails");
    let first = delta("m", "one ", 1);
    assert_eq!(hook.event(first.clone()).await.unwrap(), EventVerdict::Hold);
    for time in 2..5 {
        let verdict = hook.event(delta("m", "more ", time)).await.unwrap();
        assert_eq!(verdict, EventVerdict::Drop);
    }
    assert_eq!(
        hook.release(vec![first]).await.unwrap(),
        [delta("m", "one more more more ", 4)]
    );
}

#[tokio::test]
async fn nothing_of_a_blocked_text_is_released() {
    let loaded = load(json!({ "rules": [
        { "name": "word", "pattern": "password", "action": "block", "message": "No." },
    ] }))
    .unwrap();
    let hook = loaded.hook("guardrails");
    let first = delta("m", "the pass", 1);
    assert_eq!(hook.event(first.clone()).await.unwrap(), EventVerdict::Hold);
    let refused = hook.event(delta("m", "word is", 2)).await.unwrap_err();
    assert_eq!(refused.code(), Some("GUARDRAIL_OUTPUT_BLOCKED"));
    assert_eq!(refused.message(), "No.");
    assert_eq!(hook.release(vec![first]).await.unwrap(), []);
}
