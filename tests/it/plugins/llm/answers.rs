//! What providers say, as clients read it.

use integration_tests::provider::{Answer, Provider, Said, Split, Wire};
use serde_json::{Value, json};

use super::{USAGE, add, messages, server};
use crate::support::{kinds, only, text_of};

#[test]
fn a_text_comes_over_each_wire_as_it_is_said() {
    let said = [
        Said::KeepAlive,
        Said::text("Grüße, "),
        Said::KeepAlive,
        Said::text("世界 🦀"),
        Said::Usage(USAGE),
    ];
    let provider = Provider::start([Answer::saying(said).split(Split::EachByte)]);
    let server = server(&provider, "", "");

    for wire in Wire::ALL {
        let frames = server.stream(wire.name(), "hi").finish();
        assert_eq!(text_of(&frames), "Grüße, 世界 🦀", "{wire:?}");
        let usage = &only(&frames, "RUN_FINISHED")["result"]["response"]["usage"];
        let reasoning = match wire {
            // It does not tell.
            Wire::Ollama => Value::Null,
            _ => json!(2),
        };
        assert_eq!(usage["inputTokens"], 10, "{wire:?} {usage}");
        assert_eq!(usage["outputTokens"], 7, "{wire:?} {usage}");
        assert_eq!(usage["totalTokens"], 17, "{wire:?} {usage}");
        assert_eq!(usage["cachedInputTokens"], 4, "{wire:?} {usage}");
        assert_eq!(usage["reasoningTokens"], reasoning, "{wire:?} {usage}");

        let reply = server.run(wire.name(), "hi").send().expect(200).json();
        let output = &reply["response"]["output"];
        assert_eq!(
            output[0]["content"][0]["text"], "Grüße, 世界 🦀",
            "{wire:?}"
        );
        assert_eq!(reply["response"]["finishReason"], "stop", "{wire:?}");
    }
}

#[test]
fn thoughts_are_shown_apart_from_the_text() {
    let provider = Provider::saying([
        Said::thought("hm, "),
        Said::thought("so"),
        Said::text("Yes."),
    ]);
    let server = server(&provider, "", "");

    for wire in Wire::ALL {
        let frames = server.stream(wire.name(), "hi").finish();
        let thoughts: String = frames
            .iter()
            .filter(|it| it.kind() == "REASONING_MESSAGE_CONTENT")
            .map(|it| it.json()["delta"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(thoughts, "hm, so", "{wire:?}");
        assert_eq!(text_of(&frames), "Yes.", "{wire:?}");
    }
}

#[test]
fn calls_of_one_answer_are_run_and_answered_on_each_wire() {
    let both = Said::Together(vec![
        add("call_a", &["{\"a\":", "1,", "\"b\":2}"]),
        add("call_b", &["{\"a\":3,", "\"b\":4}"]),
    ]);
    let provider = Provider::saying([both.clone()]);
    let server = server(&provider, "", "");

    for (number, wire) in Wire::ALL.into_iter().enumerate() {
        provider.answer_with([
            Answer::saying([Said::text("Both:"), both.clone()]).split(Split::EachByte),
            Answer::saying([Said::text("3 and 7")]),
        ]);
        let frames = server.stream(wire.name(), "add").finish();

        let results: Vec<_> = frames
            .iter()
            .filter(|it| it.kind() == "TOOL_CALL_RESULT")
            .map(|it| it.json()["result"].clone())
            .collect();
        assert_eq!(results, [json!({"sum": 3}), json!({"sum": 7})], "{wire:?}");
        assert!(text_of(&frames).ends_with("3 and 7"), "{wire:?}");
        let calls = provider.calls();
        let told = messages(wire, &calls[2 * number + 1].body);
        let told = Value::from(told.clone()).to_string();
        for sum in ["sum", "3", "7"] {
            assert!(told.contains(sum), "{wire:?}: {told}");
        }
    }
}

#[test]
fn ids_of_calls_are_unique_whatever_the_provider_gives() {
    let same = add("call_1", &["{\"a\":1,\"b\":2}"]);
    let nameless = Said::Call {
        id: None,
        name: "add".to_owned(),
        pieces: vec!["{\"a\":1,\"b\":2}".to_owned()],
    };
    let provider = Provider::saying([]);
    let server = server(&provider, "", "");

    for wire in Wire::ALL {
        let mut two = vec![same.clone(), same.clone()];
        if matches!(wire, Wire::OpenAI) {
            two.push(nameless.clone());
        }
        provider.answer_with([
            Answer::saying(two.clone()),
            Answer::saying([same.clone()]),
            Answer::saying([Said::text("done")]),
        ]);
        let frames = server.stream(wire.name(), "add").finish();
        let mut ids: Vec<_> = frames
            .iter()
            .filter(|it| it.kind() == "TOOL_CALL_START")
            .map(|it| it.json()["toolCallId"].to_string())
            .collect();
        assert_eq!(ids.len(), two.len() + 1, "{wire:?} {:?}", kinds(&frames));
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), two.len() + 1, "{wire:?} {ids:?}");
        assert_eq!(text_of(&frames), "done", "{wire:?}");
    }
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    let provider = Provider::saying([]);
    let server = server(&provider, "", "");
    for wire in [Wire::OpenAI, Wire::Anthropic] {
        provider.answer_with([
            Answer::saying([Said::call("call_1", "clock", &[])]),
            Answer::saying([Said::text("done")]),
        ]);
        let frames = server.stream(wire.name(), "time").finish();
        assert_eq!(only(&frames, "TOOL_CALL_ARGS")["delta"], "{}", "{wire:?}");
    }
}

#[test]
fn signatures_go_back_to_their_provider_with_the_next_step() {
    let said = [
        Said::thought("two numbers"),
        Said::Signature("c2lnbmVk".to_owned()),
        add("call_1", &["{\"a\":1,\"b\":2}"]),
    ];
    let provider = Provider::saying([]);
    let server = server(&provider, "", "");

    for (number, wire) in [Wire::Anthropic, Wire::Gemini].into_iter().enumerate() {
        provider.answer_with([
            Answer::saying(said.clone()).split(Split::EachByte),
            Answer::saying([Said::text("3")]),
        ]);
        let frames = server.stream(wire.name(), "add").finish();
        assert_eq!(text_of(&frames), "3", "{wire:?}");

        let body = &provider.calls()[2 * number + 1].body;
        let told = messages(wire, body);
        if wire == Wire::Anthropic {
            let thought = json!({
                "type": "thinking", "thinking": "two numbers", "signature": "c2lnbmVk",
            });
            assert_eq!(told[1]["content"][0], thought, "{body}");
        } else {
            let parts = told[1]["parts"].as_array().expect("it has parts");
            let call = parts.iter().find(|it| it.get("functionCall").is_some());
            let call = call.expect("the call is there");
            assert_eq!(call["thoughtSignature"], "c2lnbmVk", "{body}");
        }
    }
}

#[test]
fn what_one_provider_has_signed_is_not_shown_to_another() {
    let provider = Provider::start([
        Answer::saying([
            Said::thought("secret thought"),
            Said::Signature("c2lnbmVk".to_owned()),
            add("call_1", &["{\"a\":1,\"b\":2}"]),
        ]),
        Answer::failing(401, "{}"),
        Answer::saying([Said::text("3")]),
    ]);
    let models = r#"models.both = { model = "anthropic/a", fallback = ["openai/b"] }"#;
    let agent = "[agents.both]\nmodel = \"llm/both\"\ntools = [\"add\"]";
    let server = server(&provider, models, agent);

    let frames = server.stream("both", "add").finish();

    assert_eq!(text_of(&frames), "3");
    let calls = provider.calls();
    assert!(calls[1].target.ends_with("/messages"));
    assert!(calls[1].body.to_string().contains("c2lnbmVk"));
    assert!(calls[2].target.ends_with("/chat/completions"));
    assert!(!calls[2].body.to_string().contains("c2lnbmVk"));
    assert!(!calls[2].body.to_string().contains("secret thought"));
}

#[test]
fn a_flood_of_twenty_thousand_pieces_arrives_whole() {
    let pieces: Vec<_> = (0..20_000).map(|number| format!("{number} ")).collect();
    let provider = Provider::saying(pieces.iter().map(|it| Said::text(it)));
    let server = server(&provider, "", "");
    let expected = pieces.concat();

    for wire in Wire::ALL {
        let reply = server.run(wire.name(), "much").send().expect(200).json();
        let text = &reply["response"]["output"][0]["content"][0]["text"];
        assert_eq!(
            text.as_str().map(str::len),
            Some(expected.len()),
            "{wire:?}"
        );
        assert_eq!(text.as_str(), Some(expected.as_str()), "{wire:?}");
    }
}
