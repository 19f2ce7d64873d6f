//! The directive script: words anywhere in the prompt decide.

use std::time::Duration;

use mortise_plugin_api::prelude::*;

use crate::conversation::results_since_prompt;
use crate::plan::{Call, Plan};

const INPUT_TOKENS: u64 = 7;
const CALL_TOKENS: u64 = 5;
const JSON_PIECE_LENGTH: usize = 8;
/// A prompt of a few bytes must not fill the memory: all texts are there before the first is said.
const MOST_TEXTS: u64 = 200_000;

/// The words of a prompt.
struct Directives<'a>(Vec<&'a str>);

/// What the script answers.
pub(crate) fn plan(request: &ModelRequest) -> Plan {
    let prompt = request.prompt();
    let directives = Directives::read(&prompt);
    let tool_seen = !results_since_prompt(&request.input).is_empty();
    let offers = |name: &str| request.tools.iter().any(|tool| tool.name == name);

    if directives.has("fail") {
        return Plan::failure(provider_failure("mock provider failure"));
    }
    if let Some(wanted) = &request.structured_output {
        let value = if directives.has("badobject") {
            json!({ "wrong": 1 })
        } else {
            example(&wanted.schema, "value")
        };
        return saying(&directives, request.stream, &pieces(&value.to_string()));
    }
    if offers("delegate_task") && !tool_seen && !directives.has("nodelegate") {
        return calling(&directives, &delegation(&directives, &prompt));
    }
    if offers("get_weather")
        && !directives.has("notool")
        && (!tool_seen || directives.has("looptool"))
    {
        return calling(&directives, &weather(&directives));
    }
    saying(&directives, request.stream, &texts(&directives, tool_seen))
}

fn texts(directives: &Directives<'_>, tool_seen: bool) -> Vec<String> {
    if let Some(count) = directives.number("tokens") {
        let count = count.min(MOST_TEXTS);
        return (0..count).map(|index| format!("tok{index} ")).collect();
    }
    let texts = if tool_seen {
        ["Done", " with", " tool", " result."]
    } else {
        ["Hello", " from", " mock", "."]
    };
    texts.map(str::to_owned).to_vec()
}

fn opening(directives: &Directives<'_>) -> Plan {
    let mut plan = Plan::new();
    if directives.has("reason") {
        plan = plan.reasoning("thinking about it");
    }
    if directives.has("source") {
        let part = json!({
            "type": "source", "sourceType": "url", "id": "src_1",
            "url": "https://example.com/a", "title": "A",
        });
        plan = plan.say(Chunk::Part { part });
    }
    plan
}

fn saying(directives: &Directives<'_>, stream: bool, pieces: &[String]) -> Plan {
    let delay = Duration::from_millis(directives.number("delay").unwrap_or_default());
    let fail_after = directives
        .number("fail-mid")
        .filter(|_| stream)
        .and_then(|count| usize::try_from(count).ok())
        .filter(|count| *count <= pieces.len());

    let mut plan = opening(directives);
    if !stream && !delay.is_zero() {
        let count = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        plan = plan.wait(delay.saturating_mul(count));
    }
    for piece in &pieces[..fail_after.unwrap_or(pieces.len())] {
        if stream && !delay.is_zero() {
            plan = plan.wait(delay);
        }
        plan = plan.text(piece);
    }
    if fail_after.is_some() {
        return plan.fail(provider_failure("mock mid-stream failure"));
    }
    plan.finish(FinishReason::Stop, INPUT_TOKENS, pieces.len() as u64)
}

fn calling(directives: &Directives<'_>, call: &Call) -> Plan {
    opening(directives)
        .call(call)
        .finish(FinishReason::ToolCalls, INPUT_TOKENS, CALL_TOKENS)
}

fn delegation(directives: &Directives<'_>, prompt: &str) -> Call {
    let task = if directives.has("subfail") {
        "please fail"
    } else if directives.has("subloop") {
        "looptool"
    } else if prompt.is_empty() {
        "write"
    } else {
        prompt
    };
    let targets = if directives.has("subghost") {
        json!(["Ghost"])
    } else if directives.has("subtwo") {
        json!(["Writer", "Looper"])
    } else if directives.has("subloop") {
        json!(["Looper"])
    } else {
        json!(["Writer"])
    };
    let context = if directives.has("subctx") {
        json!({ "k": "v" })
    } else {
        json!({})
    };
    Call {
        id: "call_delegate_1".to_owned(),
        name: "delegate_task".to_owned(),
        arguments: json!({ "task": task, "targetAgents": targets, "context": context }).to_string(),
    }
}

fn weather(directives: &Directives<'_>) -> Call {
    let location = if directives.has("toolfail") {
        "FAIL"
    } else {
        "Paris"
    };
    Call {
        id: "call_weather_1".to_owned(),
        name: "get_weather".to_owned(),
        arguments: json!({ "location": location }).to_string(),
    }
}

fn provider_failure(message: &str) -> Error {
    Error::upstream(message).with_retryable(false)
}

fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters
        .chunks(JSON_PIECE_LENGTH)
        .map(|piece| piece.iter().collect())
        .collect()
}

// A value that fits the schema; `property` names it in texts.
fn example(schema: &Value, property: &str) -> Value {
    if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
        return first.clone();
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None => None,
    };
    match kind {
        Some("array") => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            json!([example(items, property)])
        }
        Some("number" | "integer") => json!(30),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some("string") => json!(format!("mock {property}")),
        _ => schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, schema)| (name.clone(), example(schema, name)))
            .collect(),
    }
}

// === impl Directives ===

impl<'a> Directives<'a> {
    fn read(prompt: &'a str) -> Self {
        let belongs = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '=');
        Self(prompt.split(|c| !belongs(c)).collect())
    }

    fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.0.iter().find_map(|word| {
            let (own, number) = word.split_once('=')?;
            (own == key).then(|| number.parse().ok())?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::test_support::request;
    use crate::plan::Step;
    use mortise_plugin_api::{StructuredOutput, ToolSpec};

    fn texts_of(plan: &Plan) -> Vec<&str> {
        plan.steps
            .iter()
            .filter_map(|step| match step {
                Step::Say(Chunk::Text { delta }) => Some(delta.as_str()),
                _ => None,
            })
            .collect()
    }

    fn with_tool(prompt: &str, results: &[Value], tool: &str) -> ModelRequest {
        let mut asked = request(prompt, results);
        asked.tools.push(ToolSpec {
            name: tool.to_owned(),
            description: String::new(),
            schema: json!({}),
        });
        asked
    }

    #[test]
    fn texts_follow_the_words_of_the_prompt() {
        let table: [(&str, &[Value], &[&str]); 3] = [
            ("hi", &[], &["Hello", " from", " mock", "."]),
            ("hi", &[json!(1)], &["Done", " with", " tool", " result."]),
            ("say tokens=2, please", &[], &["tok0 ", "tok1 "]),
        ];
        for (prompt, results, expected) in table {
            assert_eq!(
                texts_of(&plan(&request(prompt, results))),
                expected,
                "{prompt}"
            );
        }
    }

    #[test]
    fn a_prompt_cannot_ask_for_any_number_of_texts() {
        let planned = plan(&request("tokens=18446744073709551615", &[]));
        assert_eq!(texts_of(&planned).len(), 200_000);
    }

    #[test]
    fn fail_is_a_word_of_its_own() {
        assert!(matches!(
            &plan(&request("please fail", &[])).steps[..],
            [Step::Fail(error)] if error.message() == "mock provider failure"
        ));
        assert!(!texts_of(&plan(&request("failing is human", &[]))).is_empty());
    }

    #[test]
    fn a_stream_fails_in_the_middle_but_a_blocking_call_does_not() {
        let mut asked = request("tokens=3 fail-mid=2", &[]);
        let planned = plan(&asked);
        assert_eq!(texts_of(&planned), ["tok0 ", "tok1 "]);
        assert!(matches!(planned.steps.last(), Some(Step::Fail(_))));
        asked.stream = false;
        assert_eq!(texts_of(&plan(&asked)).len(), 3);
    }

    #[test]
    fn delays_come_before_each_piece_or_once() {
        let wait = |ms| Step::Wait(Duration::from_millis(ms));
        let mut asked = request("delay=5 tokens=2", &[]);
        let planned = plan(&asked);
        assert_eq!(planned.steps[0], wait(5));
        assert_eq!(planned.steps[2], wait(5));
        asked.stream = false;
        let planned = plan(&asked);
        assert_eq!(planned.steps[0], wait(10));
        assert_eq!(
            planned
                .steps
                .iter()
                .filter(|step| matches!(step, Step::Wait(_)))
                .count(),
            1
        );
    }

    #[test]
    fn an_object_is_made_from_its_schema() {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": {"type": "string"}, "age": {"type": "integer"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "ok": {"type": "boolean"}, "none": {"type": "null"}, "level": {"enum": ["low", "high"]},
            },
        });
        let mut asked = request("an object", &[]);
        asked.structured_output = Some(StructuredOutput {
            name: "it".to_owned(),
            schema,
            strict: None,
        });
        let planned = plan(&asked);
        assert!(
            texts_of(&planned)[..2]
                .iter()
                .all(|piece| piece.chars().count() == 8)
        );
        assert_eq!(
            texts_of(&planned).concat(),
            r#"{"name":"mock name","age":30,"tags":["mock tags"],"ok":true,"none":null,"level":"low"}"#
        );
        asked.input = vec![Item::user("badobject")];
        assert_eq!(texts_of(&plan(&asked)).concat(), r#"{"wrong":1}"#);
    }

    #[test]
    fn calls_follow_the_words_of_the_prompt() {
        let call = |id: &str, name: &str, arguments: &str| {
            Some(Call {
                id: id.to_owned(),
                name: name.to_owned(),
                arguments: arguments.to_owned(),
            })
        };
        let paris = call("call_weather_1", "get_weather", r#"{"location":"Paris"}"#);
        let table: Vec<(&str, &[Value], &str, Option<Call>)> = vec![
            ("hi", &[], "get_weather", paris.clone()),
            ("hi", &[Value::Null], "get_weather", None),
            ("looptool", &[Value::Null], "get_weather", paris),
            ("notool", &[], "get_weather", None),
            (
                "toolfail",
                &[],
                "get_weather",
                call("call_weather_1", "get_weather", r#"{"location":"FAIL"}"#),
            ),
            (
                "subctx do it",
                &[],
                "delegate_task",
                call(
                    "call_delegate_1",
                    "delegate_task",
                    r#"{"task":"subctx do it","targetAgents":["Writer"],"context":{"k":"v"}}"#,
                ),
            ),
            (
                "subloop",
                &[],
                "delegate_task",
                call(
                    "call_delegate_1",
                    "delegate_task",
                    r#"{"task":"looptool","targetAgents":["Looper"],"context":{}}"#,
                ),
            ),
            ("nodelegate", &[], "delegate_task", None),
        ];
        for (prompt, results, tool, expected) in table {
            let planned = plan(&with_tool(prompt, results, tool));
            match expected {
                Some(call) => assert_eq!(
                    planned,
                    calling(&Directives::read(prompt), &call),
                    "{prompt}"
                ),
                None => assert!(!texts_of(&planned).is_empty(), "{prompt}"),
            }
        }
    }

    #[test]
    fn reasoning_and_a_source_come_first() {
        let planned = plan(&request("reason with a source", &[]));
        assert_eq!(
            planned.steps[0],
            Step::Say(Chunk::reasoning("thinking about it"))
        );
        assert!(matches!(
            &planned.steps[1],
            Step::Say(Chunk::Part { part }) if part["url"] == "https://example.com/a"
        ));
    }
}
