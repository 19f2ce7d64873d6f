//! What goes into a run: the input as items, the stored history, and what the model can take.

use std::sync::Arc;

use mortise_plugin_api::{Content, Error, Item, Message, ModelInfo, Part, Result, RunInput, Stage};
use serde_json::{Value, json};

use super::access::Place;
use super::active::ActiveRun;
use super::agents::{AgentKind, AgentSpec};
use super::api::RunRequest;
use super::engine::Engine;
use super::failure;
use crate::store::ConversationKey;

/// The stored history of a run's conversation.
pub(crate) struct History {
    pub(crate) items: Arc<Vec<Item>>,
    /// The version to save over; `None` where nothing was stored.
    pub(crate) version: Option<u64>,
}

/// What was sent, as hooks leave it.
pub(crate) struct Sent {
    pub(crate) items: Vec<Item>,
    /// The same as it is shown, where hooks have changed it.
    pub(crate) changed: Option<Value>,
}

/// The modality that every model has.
const TEXT: &str = "text";

/// The input of a run. What hooks make of it is all that is shown and stored.
pub(crate) async fn sent(engine: &Arc<Engine>, run: &Arc<ActiveRun>) -> Result<Sent> {
    let items = items(&run.request.input)?;
    if !engine.pipeline.has(Stage::BeforeRun) {
        return Ok(Sent {
            items,
            changed: None,
        });
    }
    let mut input = RunInput::new(items.clone());
    let access = engine.access(run, Place::default());
    let replaced = engine
        .pipeline
        .replace(Stage::BeforeRun, &access, &mut input);
    // Boxed: most runs have no such hook.
    Box::pin(replaced).await?;
    let changed = (input.input != items).then(|| match (&run.request.input, &*input.input) {
        // Whoever sent a text is shown one.
        (Value::String(_), [only]) if *only == Item::user(only.text()) => only.text().into(),
        (_, items) => json!(items),
    });
    Ok(Sent {
        items: input.input,
        changed,
    })
}

/// The input as items: a text is a message of the user, an item stands for itself.
pub(crate) fn items(input: &Value) -> Result<Vec<Item>> {
    match input {
        Value::String(text) => Ok(vec![Item::user(text)]),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| one_item(item, index))
            .collect(),
        Value::Object(_) => Ok(vec![one_item(input, 0)?]),
        _ => Err(Error::invalid(
            "The input is a text, a list of items, or an item.",
        )),
    }
}

fn one_item(value: &Value, index: usize) -> Result<Item> {
    let invalid = |place: &str, what: &str| {
        Error::invalid(format!("Input item {index} is invalid: {what}."))
            .with_issue(format!("/input/{index}{place}"), what)
    };
    let mut value = value.clone();
    if let Value::Object(members) = &mut value
        && members.contains_key("type") != members.contains_key("role")
        && members.contains_key("content")
    {
        // As many clients write a message: without its `type`, or without the `role` of the user.
        members.entry("type").or_insert_with(|| "message".into());
        members.entry("role").or_insert_with(|| "user".into());
    }
    let Some(kind) = value.get("type").and_then(Value::as_str).map(str::to_owned) else {
        return Err(invalid("", "an item is an object with a text `type`"));
    };
    // serde would take the number of a type for its name.
    let parts = value.get("content").and_then(Value::as_array);
    let untyped = parts.and_then(|parts| parts.iter().position(|it| !it["type"].is_string()));
    let item = serde_json::from_value(value)
        .map_err(|_| invalid("", "an item is an object with a text `type`"))?;
    match (&item, kind.as_str()) {
        (Item::Other(_), "message") => Err(invalid(
            "",
            "a message has a text `role` and a `content` of text or parts",
        )),
        (Item::Other(_), "tool-call") => Err(invalid(
            "",
            "a tool call has a text `callId` and a text `name`",
        )),
        (Item::Message(Message { content, .. }), _) => {
            let untyped = untyped.map(|part| (part, "a part is an object with a text `type`"));
            match untyped.or_else(|| unreadable_part(content)) {
                Some((part, what)) => Err(invalid(&format!("/content/{part}"), what)),
                None => Ok(item),
            }
        }
        _ => Ok(item),
    }
}

/// The first part that is not what its type says, and why.
fn unreadable_part(content: &Content) -> Option<(usize, &'static str)> {
    let Content::Parts(parts) = content else {
        return None;
    };
    let mut parts = parts.iter().enumerate();
    parts.find_map(|(index, part)| {
        let Part::Other(part) = part else {
            return None;
        };
        let what = match part["type"].as_str() {
            Some("text") => "a part of text has a text `text`",
            Some("reasoning") => {
                "a part of reasoning has a text `text` and a `visibility`, summary or full"
            }
            _ => return None,
        };
        Some((index, what))
    })
}

/// Loads the history of a run's conversation; empty where there is none.
pub(crate) async fn load_history(engine: &Engine, run: &ActiveRun) -> Result<History> {
    let nothing = History {
        items: Arc::default(),
        version: None,
    };
    let Some(id) = run
        .conversation_id()
        .filter(|_| engine.store.keeps().conversations)
    else {
        return Ok(nothing);
    };
    let key = ConversationKey::new(&run.owner, &run.agent.name, id);
    let stored = engine.store.load_conversation(&key).await?;
    Ok(stored.map_or(nothing, |stored| History {
        items: stored.items,
        version: Some(stored.version),
    }))
}

/// Checks what can be checked of a run without beginning it.
pub(crate) fn check(agent: &AgentSpec, request: &RunRequest) -> Result<()> {
    check_context(agent, request)?;
    let items = items(&request.input)?;
    check_model(agent, request, &items)
}

/// Refuses what the agent's model cannot take, or cannot give.
pub(crate) fn check_model(agent: &AgentSpec, request: &RunRequest, heard: &[Item]) -> Result<()> {
    let AgentKind::Declared(model) = &agent.kind else {
        return Ok(());
    };
    check_parts(agent, model.info(), heard)?;
    check_modalities(agent, model.info(), request)?;
    if agent.instructions.is_some() && !model.info().capabilities.instructions {
        return Err(cannot(agent, model.info(), "instructions"));
    }
    Ok(())
}

/// Refuses a context that does not fit the agent.
pub(crate) fn check_context(agent: &AgentSpec, request: &RunRequest) -> Result<()> {
    let Some(schema) = &agent.context_schema else {
        return Ok(());
    };
    let context = request.context.as_ref().unwrap_or(&Value::Null);
    let checked = schema.compiled.validate(context);
    checked.map_err(|issues| failure::invalid("context schema", &issues))
}

/// Refuses parts that the model does not take.
fn check_parts(agent: &AgentSpec, model: &ModelInfo, heard: &[Item]) -> Result<()> {
    for (at, item) in heard.iter().enumerate() {
        let Item::Message(Message {
            content: Content::Parts(parts),
            ..
        }) = item
        else {
            continue;
        };
        for (part_at, part) in parts.iter().enumerate() {
            let Some(modality) = needed_modality(part) else {
                continue;
            };
            if !takes(model, modality) {
                let location = format!("input[{at}].content[{part_at}]");
                let (agent, model) = (&*agent.name, model.name.as_str());
                let message = format!(
                    "Agent '{agent}' model does not accept {modality} input at {location}."
                );
                return Err(Error::invalid(message)
                    .with_context("agentName", agent)
                    .with_context("modelId", model)
                    .with_context("modality", modality)
                    .with_context("location", location));
            }
        }
    }
    Ok(())
}

/// Refuses modalities of the answer that the model does not have.
fn check_modalities(agent: &AgentSpec, model: &ModelInfo, request: &RunRequest) -> Result<()> {
    let Some(wanted) = &request.modalities else {
        return Ok(());
    };
    let gives = |modality: &str| {
        modality == TEXT || model.capabilities.output.iter().any(|own| own == modality)
    };
    if let Some(modality) = wanted.iter().find(|modality| !gives(modality)) {
        let error = cannot(agent, model, &format!("{modality} output"));
        return Err(error.with_context("modality", modality.as_str()));
    }
    let is_structured = request.output.is_some() || agent.output.is_some();
    if is_structured && !wanted.iter().any(|modality| modality == TEXT) {
        let name = &agent.name;
        let message = format!("Structured output requires text output for agent '{name}'.");
        return Err(Error::invalid(message)
            .with_context("agentName", &**name)
            .with_context("modelId", model.name.as_str())
            .with_context("modalities", wanted.clone()));
    }
    Ok(())
}

fn cannot(agent: &AgentSpec, model: &ModelInfo, what: &str) -> Error {
    let name = &agent.name;
    Error::invalid(format!("Agent '{name}' model does not support {what}."))
        .with_context("agentName", &**name)
        .with_context("modelId", model.name.as_str())
}

/// The history as the model sees it again: no calls without their results.
pub(crate) fn replayed(items: &[Item]) -> impl Iterator<Item = &Item> {
    items
        .iter()
        .filter(|item| !matches!(item, Item::ToolCall(call) if call.result.is_none()))
}

/// The item without the parts that the model does not take; nothing where nothing is left.
pub(crate) fn without_unsupported(item: &Item, model: &ModelInfo) -> Option<Item> {
    let mut item = item.clone();
    if let Item::Message(Message {
        content: Content::Parts(parts),
        ..
    }) = &mut item
    {
        parts.retain(|part| needed_modality(part).is_none_or(|it| takes(model, it)));
        if parts.is_empty() {
            return None;
        }
    }
    Some(item)
}

fn takes(model: &ModelInfo, modality: &str) -> bool {
    model.capabilities.input.iter().any(|own| own == modality)
}

fn needed_modality(part: &Part) -> Option<&str> {
    let Part::Other(value) = part else {
        return None;
    };
    let kind = value.get("type")?.as_str()?;
    matches!(kind, "image" | "audio" | "video" | "file" | "embedding").then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_an_item_and_a_list_become_items() {
        let hi = vec![Item::user("hi")];
        assert_eq!(items(&json!("hi")).unwrap(), hi);
        let message = json!({"type": "message", "role": "user", "content": "hi"});
        assert_eq!(items(&message).unwrap(), hi);
        assert_eq!(items(&json!([message])).unwrap(), hi);
        for short in [
            json!([{"role": "user", "content": "hi"}]),
            json!([{"type": "message", "content": "hi"}]),
        ] {
            assert_eq!(items(&short).unwrap(), hi, "{short}");
        }
    }

    #[test]
    fn what_is_no_item_is_refused_with_its_place() {
        for bad in [
            json!([1]),
            json!([{"type": "message"}]),
            json!([{}]),
            json!(["x"]),
            // It would have two types.
            json!([{"type": 5, "role": "user", "content": "hi"}]),
            json!([{"type": "message", "role": "user", "content": 5}]),
            json!([{"type": "tool-call", "content": "hi"}]),
        ] {
            let error = items(&bad).unwrap_err();
            assert_eq!(error.code(), Some("VALIDATION_FAILED"), "{bad}");
            assert_eq!(error.issues()[0].path, "/input/0", "{bad}");
        }
    }

    #[test]
    fn a_message_of_which_nothing_is_left_is_not_read_again() {
        let model = ModelInfo::new("text-only");
        let (image, text) = (
            json!({"type": "image"}),
            json!({"type": "text", "text": "hi"}),
        );
        let left = |parts: Value| {
            let item = items(&json!([{ "role": "user", "content": parts }])).unwrap();
            without_unsupported(&item[0], &model)
        };
        assert_eq!(left(json!([image])), None);
        let kept = left(json!([image, text])).unwrap();
        assert_eq!(kept.text(), "hi");
        assert_eq!(left(json!([text])), Some(kept));
    }

    #[test]
    fn a_part_that_nobody_could_read_is_refused_with_its_place() {
        for bad in [
            json!(5),
            json!({}),
            json!({"type": "text"}),
            json!({"type": 0, "text": "hi"}),
            json!("hi"),
        ] {
            let input = json!([{"role": "user", "content": [{"type": "text", "text": "hi"}, bad]}]);
            let error = items(&input).unwrap_err();
            assert_eq!(error.issues()[0].path, "/input/0/content/1", "{bad}");
        }
        let unknown = json!([{"role": "user", "content": [{"type": "hologram"}]}]);
        assert!(items(&unknown).is_ok(), "the model may know it");
    }
}
