//! What becomes of providers that fail, for clients and in the log.

use integration_tests::{
    Server,
    provider::{Answer, End, Provider, Said, Split, Wire},
};
use serde_json::Value;

use super::{HASTY, add, server};
use crate::support::{kinds, only, text_of};

/// The error of a run that must fail with this status.
#[track_caller]
fn failed(server: &Server, agent: &str, status: u16) -> Value {
    server.run(agent, "hi").send().expect(status).json()
}

#[test]
fn what_passes_is_waited_for_and_asked_again() {
    let provider = Provider::saying([]);
    let server = server(&provider, HASTY, "");
    for (status, body) in [
        (429, r#"{"error":{"code":"rate_limit_exceeded"}}"#),
        (500, "<html>broken</html>"),
        (408, ""),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
        ),
    ] {
        for wire in Wire::ALL {
            let before = provider.calls().len();
            provider.answer_with([
                Answer::failing(status, body).header("retry-after-ms", "20"),
                Answer::saying([Said::text("here")]),
            ]);
            let frames = server.stream(wire.name(), "hi").finish();
            assert_eq!(text_of(&frames), "here", "{wire:?} {status}");
            assert_eq!(provider.calls().len(), before + 2, "{wire:?} {status}");
        }
    }
}

#[test]
fn a_wait_that_is_too_long_is_told_to_the_client() {
    let provider =
        Provider::start([
            Answer::failing(429, r#"{"error":{"message":"slow down, org-1234"}}"#)
                .header("retry-after", "3600"),
        ]);
    let server = server(&provider, HASTY, "");

    for wire in Wire::ALL {
        let before = provider.calls().len();
        let error = failed(&server, wire.name(), 429);
        assert_eq!(error["code"], "RATE_LIMITED", "{wire:?}");
        assert_eq!(error["context"]["cause"], "rate_limited", "{wire:?}");
        assert_eq!(error["context"]["retryAfterMs"], 3_600_000, "{wire:?}");
        assert_eq!(provider.calls().len(), before + 1, "{wire:?}");
        assert!(!error.to_string().contains("org-1234"), "{error}");
    }
}

#[test]
fn causes_are_told_apart_and_nothing_of_the_provider_is_shown() {
    let provider = Provider::saying([]);
    let server = server(&provider, HASTY, "");
    let table = [
        (
            401,
            r#"{"error":{"message":"Incorrect API key: a-secret-key"}}"#,
            502,
            "auth",
        ),
        (
            400,
            r#"{"error":{"code":"context_length_exceeded","message":"inner words"}}"#,
            422,
            "context_too_long",
        ),
        (
            400,
            r#"{"error":{"code":"content_filter","message":"inner words"}}"#,
            422,
            "refused",
        ),
        (
            404,
            r#"{"error":{"message":"inner words: no such model"}}"#,
            502,
            "rejected",
        ),
        (500, "inner words", 502, "upstream"),
        (503, "inner words", 502, "overloaded"),
    ];
    for (status, body, shown, cause) in table {
        provider.answer_with([Answer::failing(status, body)]);
        for wire in Wire::ALL {
            let error = failed(&server, wire.name(), shown);
            assert_eq!(
                error["context"]["cause"], cause,
                "{wire:?} {status} {error}"
            );
            assert_eq!(error["context"]["provider"], wire.name());
            for inner in ["inner words", "a-secret-key"] {
                assert!(!error.to_string().contains(inner), "{error}");
            }
        }
    }
    let log = server.wait_for_log("auth");
    assert!(log.contains("no such model"), "{log}");
    assert!(!log.contains("a-secret-key"), "{log}");
}

#[test]
fn a_stream_without_its_end_is_an_error_on_each_wire() {
    let provider = Provider::saying([]);
    let server = server(&provider, "", "");
    for wire in Wire::ALL {
        let said = [Said::text("half of it"), Said::text(" and more")];
        let whole = wire.write(&said).len();
        let end_mark = match wire {
            Wire::OpenAI => "data: [DONE]\n\n".len(),
            Wire::Anthropic => "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".len(),
            // The last line of both says why it ends.
            Wire::Gemini | Wire::Ollama => 150,
        };
        for end in [End::After(whole - end_mark), End::Cut(whole - end_mark)] {
            provider.answer_with([Answer::saying(said.clone()).end(end)]);
            let frames = server.stream(wire.name(), "hi").finish();
            let seen = kinds(&frames);
            assert!(
                !seen.contains(&"RUN_FINISHED".to_owned()),
                "{wire:?} {end:?} {seen:?}"
            );
            let error = &only(&frames, "RUN_ERROR")["error"];
            assert_eq!(error["code"], "UPSTREAM_FAILED", "{wire:?} {end:?} {error}");
            let cause = &error["context"]["cause"];
            // A line of JSON that is cut in two is none, if its end is an end.
            let is_cut_line = matches!((wire, end), (Wire::Gemini | Wire::Ollama, End::After(_)));
            if !is_cut_line {
                assert_eq!(cause, "upstream_truncated", "{wire:?} {end:?} {error}");
            }
        }
    }
}

#[test]
fn nothing_is_asked_again_once_a_piece_was_shown() {
    let said = [Said::text("begun"), Said::text("second")];
    let cut = Wire::OpenAI
        .write(&said)
        .find("second")
        .expect("it is said");
    let provider = Provider::start([
        Answer::saying(said).end(End::Cut(cut)),
        Answer::saying([Said::text("never")]),
    ]);
    let server = server(&provider, HASTY, "");

    let frames = server.stream("openai", "hi").finish();

    assert_eq!(text_of(&frames), "begun", "{frames:#?}");
    assert_eq!(provider.calls().len(), 1);
}

#[test]
fn silence_has_an_end_before_and_between_tokens() {
    let provider = Provider::saying([]);
    let config = r#"timeouts = { first_token = "100ms", between_tokens = "150ms" }"#;
    let server = server(&provider, config, "");
    for wire in Wire::ALL {
        for (after, text) in [
            (0, ""),
            (wire.write(&[Said::text("begun")]).len() / 2, "begun"),
        ] {
            provider.answer_with([Answer::saying([Said::text("begun")])
                .split(Split::EachFrame)
                .end(End::Stall(after))]);
            let before = provider.calls().len();
            let frames = server.stream(wire.name(), "hi").finish();
            let error = &only(&frames, "RUN_ERROR")["error"];
            assert_eq!(error["code"], "TIMEOUT", "{wire:?} {error}");
            assert_eq!(error["context"]["cause"], "timeout", "{wire:?}");
            assert!(
                text_of(&frames).is_empty() || text_of(&frames) == text,
                "{wire:?}"
            );
            provider.wait_for_close(before);
        }
    }
}

#[test]
fn another_model_answers_in_place_of_one_that_does_not() {
    let provider = Provider::start([
        Answer::failing(401, "{}"),
        Answer::failing(529, r#"{"error":{"type":"overloaded_error"}}"#),
        Answer::saying([Said::text("the third")]),
    ]);
    let config = r#"
        retries = { max = 0 }
        models.safe = { model = "openai/a", fallback = ["anthropic/b", "ollama/c"] }
    "#;
    let server = server(&provider, config, "[agents.safe]\nmodel = \"llm/safe\"");

    let frames = server.stream("safe", "hi").finish();

    assert_eq!(text_of(&frames), "the third");
    let targets: Vec<_> = provider.calls().into_iter().map(|it| it.target).collect();
    assert_eq!(
        targets,
        ["/v1/chat/completions", "/v1/messages", "/api/chat"]
    );
    let log = server.wait_for_log("is asked instead");
    assert!(log.contains("anthropic/b is asked instead"), "{log}");
}

#[test]
fn what_is_refused_is_not_asked_of_another() {
    let provider = Provider::start([Answer::failing(
        400,
        r#"{"error":{"code":"content_filter"}}"#,
    )]);
    let config = r#"models.safe = { model = "openai/a", fallback = ["ollama/c"] }"#;
    let server = server(&provider, config, "[agents.safe]\nmodel = \"llm/safe\"");

    let error = failed(&server, "safe", 422);

    assert_eq!(error["context"]["cause"], "refused");
    assert_eq!(provider.calls().len(), 1);
}

#[test]
fn an_error_within_a_stream_is_one() {
    let provider = Provider::start([Answer::stream(
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"inner words\"}}\n\n",
    )]);
    let server = server(&provider, HASTY, "");

    let error = failed(&server, "anthropic", 502);

    assert_eq!(error["context"]["cause"], "overloaded");
    assert_eq!(provider.calls().len(), 3, "it had not begun");
}

#[test]
fn what_is_no_stream_of_a_provider_harms_nobody() {
    let provider = Provider::saying([]);
    let mut server = server(&provider, "retries = { max = 0 }", "");
    let far = r#"data: {"choices":[{"delta":{"tool_calls":[{"index":4294967295,"id":"a","function":{"name":"add","arguments":"{}"}}]}}]}"#;
    let far = format!("{far}\n\ndata: [DONE]\n\n");
    for body in [
        "",
        "data: {",
        "data: []\n\n",
        "\u{0}\n\n",
        "null\n",
        "data: {\"choices\":7}\n\n",
        &far,
    ] {
        provider.answer_with([Answer::stream(body), Answer::saying([Said::text("x")])]);
        for wire in Wire::ALL {
            let frames = server.stream(wire.name(), "hi").finish();
            let last = kinds(&frames);
            assert!(
                last.iter().any(|it| it.starts_with("RUN_")),
                "{wire:?} {body:?} {last:?}"
            );
        }
    }
    server.assert_alive();
}

#[test]
fn a_call_that_is_cut_is_not_run() {
    let said = [add("call_1", &["{\"a\":1,", "\"b\":2}"])];
    let whole = Wire::OpenAI.write(&said);
    let cut = whole.find("\\\"b\\\"").expect("it is there");
    let provider = Provider::start([Answer::saying(said).end(End::After(cut))]);
    let server = server(&provider, "retries = { max = 0 }", "");

    let frames = server.stream("openai", "add").finish();

    let seen = kinds(&frames);
    assert!(!seen.contains(&"TOOL_CALL_RESULT".to_owned()), "{seen:?}");
    assert!(!seen.contains(&"RUN_FINISHED".to_owned()), "{seen:?}");
}
