//! The native script: the first word, or the whole prompt, decides.

use std::time::Duration;

use mortise_plugin_api::prelude::*;

use crate::conversation::results_since_prompt;
use crate::plan::{Call, Plan};

const INPUT_TOKENS: u64 = 3;
const OUTPUT_TOKENS: u64 = 5;

const SLOW_TEXTS: u32 = 30;
const SLOW_WAIT: Duration = Duration::from_millis(100);

/// What the script answers.
pub(crate) fn plan(request: &ModelRequest) -> Plan {
    let prompt = request.prompt();
    let results = results_since_prompt(&request.input);

    if prompt.starts_with("loop") {
        let call = Call {
            id: format!("call_{}", results.len() + 1),
            name: "add".to_owned(),
            arguments: r#"{"a":1,"b":2}"#.to_owned(),
        };
        return calling(&[call]);
    }
    if let Some(last) = results.last() {
        return saying(["Tool said: ", &last.to_string()]);
    }
    if let Some(calls) = prompt.strip_prefix("call ") {
        return calling(&read_calls(calls));
    }
    if let Some(json) = prompt.strip_prefix("json ") {
        return saying([json]);
    }
    match prompt.as_str() {
        "reason" => finish(
            Plan::new().reasoning("think").reasoning("ing").text("done"),
            FinishReason::Stop,
        ),
        "slow" => slow(request.stream),
        "fail" => failing(
            request.stream,
            Error::upstream("Fake upstream failed.").with_context("provider", "fake"),
        ),
        "crash" => failing(request.stream, Error::internal("boom in model")),
        "hist" => saying([format!("history={}", request.input.len()).as_str()]),
        _ => saying(["Hello", " world"]),
    }
}

fn saying<'a>(deltas: impl IntoIterator<Item = &'a str>) -> Plan {
    let plan = deltas.into_iter().fold(Plan::new(), Plan::text);
    finish(plan, FinishReason::Stop)
}

fn calling(calls: &[Call]) -> Plan {
    finish(
        calls.iter().fold(Plan::new(), Plan::call),
        FinishReason::ToolCalls,
    )
}

// A stream waits before each text; without one, nobody could tell, so it waits once.
fn slow(stream: bool) -> Plan {
    let mut plan = Plan::new();
    if !stream {
        plan = plan.wait(SLOW_WAIT * SLOW_TEXTS);
    }
    for index in 0..SLOW_TEXTS {
        if stream {
            plan = plan.wait(SLOW_WAIT);
        }
        plan = plan.text(format!("t{index} "));
    }
    finish(plan, FinishReason::Stop)
}

fn failing(stream: bool, error: Error) -> Plan {
    if stream {
        Plan::new().text("part").fail(error)
    } else {
        Plan::failure(error)
    }
}

fn finish(plan: Plan, reason: FinishReason) -> Plan {
    plan.finish(reason, INPUT_TOKENS, OUTPUT_TOKENS)
}

fn read_calls(text: &str) -> Vec<Call> {
    text.split(" && ")
        .enumerate()
        .map(|(index, call)| {
            let (name, arguments) = call.split_once(' ').unwrap_or((call, "{}"));
            Call {
                id: format!("call_{}", index + 1),
                name: name.to_owned(),
                arguments: arguments.to_owned(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::test_support::request;
    use crate::plan::Step;

    fn stop(plan: Plan) -> Plan {
        finish(plan, FinishReason::Stop)
    }

    fn add(id: &str) -> Call {
        Call {
            id: id.to_owned(),
            name: "add".to_owned(),
            arguments: r#"{"a":1,"b":2}"#.to_owned(),
        }
    }

    #[test]
    fn each_prompt_has_its_answer() {
        let sum = json!({"sum": 3});
        let table: Vec<(&str, Vec<Value>, Plan)> = vec![
            ("hi", vec![], stop(Plan::new().text("Hello").text(" world"))),
            ("hist", vec![], stop(Plan::new().text("history=1"))),
            (
                "json {\"a\": 1}",
                vec![],
                stop(Plan::new().text("{\"a\": 1}")),
            ),
            (
                "reason",
                vec![],
                stop(Plan::new().reasoning("think").reasoning("ing").text("done")),
            ),
            (
                "call add {\"a\":1,\"b\":2}",
                vec![sum.clone()],
                stop(Plan::new().text("Tool said: ").text("{\"sum\":3}")),
            ),
            (
                "call add {\"a\":1,\"b\":2}",
                vec![],
                calling(&[add("call_1")]),
            ),
            ("loop", vec![], calling(&[add("call_1")])),
            ("loop", vec![sum.clone(), sum], calling(&[add("call_3")])),
            (
                "call boom && add {\"a\":1,\"b\":2}",
                vec![],
                calling(&[
                    Call {
                        id: "call_1".to_owned(),
                        name: "boom".to_owned(),
                        arguments: "{}".to_owned(),
                    },
                    add("call_2"),
                ]),
            ),
        ];
        for (prompt, results, expected) in table {
            let planned = plan(&request(prompt, &results));
            assert_eq!(planned, expected, "{prompt}");
        }
    }

    #[test]
    fn a_result_that_is_null_is_a_result() {
        let planned = plan(&request("call boom", &[Value::Null]));
        assert_eq!(planned, stop(Plan::new().text("Tool said: ").text("null")));
    }

    #[test]
    fn a_result_before_the_last_user_message_does_not_count() {
        let mut asked = request("call add {}", &[json!(1)]);
        asked.input.push(Item::user("hist"));
        assert_eq!(plan(&asked), stop(Plan::new().text("history=4")));
    }

    #[test]
    fn slow_waits_before_each_text_of_a_stream_and_once_without_one() {
        let mut asked = request("slow", &[]);
        let waits = |plan: &Plan| -> Vec<Duration> {
            plan.steps
                .iter()
                .filter_map(|step| match step {
                    Step::Wait(duration) => Some(*duration),
                    _ => None,
                })
                .collect()
        };
        assert_eq!(waits(&plan(&asked)), [SLOW_WAIT; 30]);
        asked.stream = false;
        assert_eq!(waits(&plan(&asked)), [Duration::from_secs(3)]);
    }

    #[test]
    fn failures_come_after_a_part_of_a_stream_and_at_once_without_one() {
        for (prompt, code) in [("fail", Some("UPSTREAM_FAILED")), ("crash", None)] {
            let mut asked = request(prompt, &[]);
            let steps = plan(&asked).steps;
            assert_eq!(steps[0], Step::Say(Chunk::text("part")));
            assert!(matches!(&steps[1], Step::Fail(error) if error.code() == code));

            asked.stream = false;
            let steps = plan(&asked).steps;
            assert!(matches!(&steps[..], [Step::Fail(error)] if error.code() == code));
        }
    }
}
