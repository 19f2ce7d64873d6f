//! The marker script: markers in square brackets, anywhere in the prompt, decide.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mortise_plugin_api::prelude::*;

use crate::conversation::{result, result_text, role};
use crate::plan::{Call, Plan};

const INPUT_TOKENS: u64 = 150;
const OUTPUT_TOKENS: u64 = 42;
const SLOW_WAIT: Duration = Duration::from_millis(400);
const SHOWN_OF_RESULT: usize = 60;

/// What the script answers. Call ids count on from `last_call`.
pub(crate) fn plan(request: &ModelRequest, last_call: &AtomicU64) -> Plan {
    let prompt = request.prompt();
    let after_tool = request.input.last().and_then(result);

    if prompt.contains("[401]") {
        return Plan::failure(
            Error::upstream("Incorrect API key provided")
                .with_retryable(false)
                .with_context("providerStatus", 401),
        );
    }
    if prompt.contains("[500]") {
        return Plan::failure(
            Error::upstream("upstream exploded").with_context("providerStatus", 500),
        );
    }

    let mut plan = Plan::new();
    if prompt.contains("[think]") && after_tool.is_none() {
        plan = plan.reasoning("Let me ").reasoning("consider...");
    }

    let calls = tool_calls(&prompt);
    if !calls.is_empty() && (after_tool.is_none() || prompt.contains("[loop]")) {
        if prompt.contains("[pretext]") {
            plan = plan.text("Let me check. ");
        }
        return calling(plan, calls, last_call);
    }
    if let (Some(question), None) = (argument(&prompt, "[ask:"), &after_tool) {
        let arguments = json!({ "question": question }).to_string();
        return calling(
            plan,
            vec![("AskUserQuestion".to_owned(), arguments)],
            last_call,
        );
    }
    saying(plan, &prompt, &answer(&prompt, request, after_tool))
}

fn answer(prompt: &str, request: &ModelRequest, after_tool: Option<&Value>) -> String {
    if prompt.contains("[count]") {
        let count = request
            .input
            .iter()
            .filter(|item| item.is_message_of("user"))
            .count();
        return format!("saw {count} user messages");
    }
    if prompt.contains("[roles]") {
        let roles: Vec<&str> = request.input.iter().filter_map(role).collect();
        return roles.join(",");
    }
    match (after_tool, argument(prompt, "[echo:")) {
        (Some(result), _) => {
            let shown: String = result_text(result).chars().take(SHOWN_OF_RESULT).collect();
            format!("Tool said: {shown}")
        }
        (None, Some(echo)) => echo.to_owned(),
        (None, None) => "Hello there!".to_owned(),
    }
}

fn saying(mut plan: Plan, prompt: &str, text: &str) -> Plan {
    let slow = prompt.contains("[slow]");
    let dies = prompt.contains("[die]");
    for word in text.split_inclusive(' ') {
        if slow {
            plan = plan.wait(SLOW_WAIT);
        }
        plan = plan.text(word);
        if dies {
            return plan.fail(Error::upstream("the provider closed the connection"));
        }
    }
    plan.finish(FinishReason::Stop, INPUT_TOKENS, OUTPUT_TOKENS)
}

fn calling(plan: Plan, calls: Vec<(String, String)>, last_call: &AtomicU64) -> Plan {
    calls
        .into_iter()
        .fold(plan, |plan, (name, arguments)| {
            let number = last_call.fetch_add(1, Ordering::Relaxed) + 1;
            plan.call(&Call {
                id: format!("tc_{number}"),
                name,
                arguments,
            })
        })
        .finish(FinishReason::ToolCalls, INPUT_TOKENS, OUTPUT_TOKENS)
}

// The text between `[name:` and the next `]`.
fn argument<'a>(prompt: &'a str, opening: &str) -> Option<&'a str> {
    let (_, rest) = prompt.split_once(opening)?;
    rest.split_once(']').map(|(argument, _)| argument)
}

// Names and arguments of all `[tool:Name {json}]`.
fn tool_calls(prompt: &str) -> Vec<(String, String)> {
    prompt
        .split("[tool:")
        .skip(1)
        .filter_map(|marker| {
            let end = marker.find([' ', ']'])?;
            let (name, rest) = marker.split_at(end);
            Some((name.to_owned(), read_arguments(rest.trim_start())))
        })
        .collect()
}

// `}]` also stands inside of JSON: the marker ends at the first one before which the text is JSON.
// Arguments may be broken on purpose; then the very first one ends them.
fn read_arguments(text: &str) -> String {
    if !text.starts_with('{') {
        return "{}".to_owned();
    }
    let mut candidates = text.match_indices("}]").map(|(at, _)| &text[..=at]);
    let first = candidates.clone().next().unwrap_or(text);
    candidates
        .find(|candidate| serde_json::from_str::<Value>(candidate).is_ok())
        .unwrap_or(first)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::test_support::request;
    use crate::plan::Step;

    fn planned(prompt: &str, results: &[Value]) -> Plan {
        plan(&request(prompt, results), &AtomicU64::new(0))
    }

    fn text_of(plan: &Plan) -> String {
        plan.steps
            .iter()
            .filter_map(|step| match step {
                Step::Say(Chunk::Text { delta }) => Some(delta.as_str()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn texts_follow_the_markers() {
        let long = "x".repeat(100);
        let said = format!("Tool said: {}", "x".repeat(60));
        let table: [(&str, &[Value], &str); 7] = [
            ("hi", &[], "Hello there!"),
            ("[echo:all is well] now", &[], "all is well"),
            ("[count]", &[], "saw 1 user messages"),
            ("[roles]", &[json!(1)], "user,assistant,tool"),
            ("hi", &[json!({"a": 1})], "Tool said: {\"a\":1}"),
            ("[tool:Read {}] [think]", &[json!(long)], &said),
            ("[ask:Why?]", &[json!("so")], "Tool said: so"),
        ];
        for (prompt, results, expected) in table {
            assert_eq!(text_of(&planned(prompt, results)), expected, "{prompt}");
        }
    }

    #[test]
    fn text_comes_in_words_with_their_spaces() {
        let expected =
            Plan::new()
                .text("Hello ")
                .text("there!")
                .finish(FinishReason::Stop, 150, 42);
        assert_eq!(planned("hi", &[]), expected);
    }

    #[test]
    fn tool_markers_become_calls_with_ids_that_count_on() {
        let last_call = AtomicU64::new(4);
        let asked = request(
            "[pretext] [tool:Read {\"path\":\"a\"}] and [tool:Stop]",
            &[],
        );
        let expected = Plan::new()
            .text("Let me check. ")
            .call(&Call {
                id: "tc_5".to_owned(),
                name: "Read".to_owned(),
                arguments: r#"{"path":"a"}"#.to_owned(),
            })
            .call(&Call {
                id: "tc_6".to_owned(),
                name: "Stop".to_owned(),
                arguments: "{}".to_owned(),
            })
            .finish(FinishReason::ToolCalls, 150, 42);
        assert_eq!(plan(&asked, &last_call), expected);
        assert_eq!(last_call.into_inner(), 6);
    }

    #[test]
    fn a_question_is_asked_once() {
        let expected = Plan::new()
            .call(&Call {
                id: "tc_1".to_owned(),
                name: "AskUserQuestion".to_owned(),
                arguments: r#"{"question":"Why?"}"#.to_owned(),
            })
            .finish(FinishReason::ToolCalls, 150, 42);
        assert_eq!(planned("[ask:Why?]", &[]), expected);
    }

    #[test]
    fn a_loop_calls_again_after_a_result() {
        let calls = |prompt| {
            planned(prompt, &[json!(1)])
                .steps
                .iter()
                .any(|step| matches!(step, Step::Say(Chunk::ToolCallStart { .. })))
        };
        assert!(calls("[loop] [tool:Read {}]"));
        assert!(!calls("[tool:Read {}]"));
    }

    #[test]
    fn arguments_end_where_the_json_does() {
        assert_eq!(
            read_arguments(r#"{"a":[{"b":1}]}] rest }]"#),
            r#"{"a":[{"b":1}]}"#
        );
        assert_eq!(read_arguments("{broken}] {}]"), "{broken}");
        assert_eq!(read_arguments("]"), "{}");
    }

    #[test]
    fn failures_come_before_output_and_a_broken_connection_after_a_word() {
        for prompt in ["[401]", "[500]"] {
            assert!(
                matches!(&planned(prompt, &[]).steps[..], [Step::Fail(_)]),
                "{prompt}"
            );
        }
        assert!(matches!(
            &planned("[die]", &[]).steps[..],
            [Step::Say(Chunk::Text { .. }), Step::Fail(_)]
        ));
    }

    #[test]
    fn slow_waits_before_each_word_and_thinking_comes_first() {
        let steps = planned("[slow][think]", &[]).steps;
        assert_eq!(steps[0], Step::Say(Chunk::reasoning("Let me ")));
        assert_eq!(steps[1], Step::Say(Chunk::reasoning("consider...")));
        assert_eq!(steps[2], Step::Wait(SLOW_WAIT));
        assert_eq!(steps[4], Step::Wait(SLOW_WAIT));
    }
}
