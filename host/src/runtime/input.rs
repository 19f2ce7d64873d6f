//! What goes into a run: the input as items, the stored history, and what the model can take.

use std::sync::Arc;

use mortise_plugin_api::{
    Content, Error, Item, Message, ModelCapabilities, Part, Result, RunInput, Stage,
};
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
    let invalid = |what: &str| {
        Error::invalid(format!("Input item {index} is invalid: {what}."))
            .with_issue(format!("/input/{index}"), what)
    };
    let kind = value.get("type").and_then(Value::as_str);
    match (serde_json::from_value::<Item>(value.clone()), kind) {
        (Ok(Item::Other(_)), Some("message")) => Err(invalid(
            "a message has a text `role` and a `content` of text or parts",
        )),
        (Ok(Item::Other(_)), Some("tool-call")) => {
            Err(invalid("a tool call has a text `callId` and a text `name`"))
        }
        (Ok(_), None) if value.get("type").is_none() && value.get("role").is_some() => {
            // A message without its `type`, as many clients write it.
            let message: Message = serde_json::from_value(value.clone())
                .map_err(|_| invalid("a message has a text `role` and a `content`"))?;
            Ok(Item::Message(message))
        }
        (Ok(item), Some(_)) => Ok(item),
        _ => Err(invalid("an item is an object with a text `type`")),
    }
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
    let stored = engine.store.load_conversation(&key).await;
    let stored = stored.map_err(|error| Error::internal(error.to_string()))?;
    Ok(stored.map_or(nothing, |stored| History {
        items: stored.items,
        version: Some(stored.version),
    }))
}

/// Checks what can be checked of a run without beginning it.
pub(crate) fn check(agent: &AgentSpec, request: &RunRequest) -> Result<()> {
    check_context(agent, request)?;
    let items = items(&request.input)?;
    match &agent.kind {
        AgentKind::Declared(model) => {
            let info = model.info();
            check_capabilities(&items, &info.capabilities, &agent.name, &info.name)
        }
        AgentKind::Coded(_) | AgentKind::ToolEndpoint => Ok(()),
    }
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
pub(crate) fn check_capabilities(
    items: &[Item],
    capabilities: &ModelCapabilities,
    agent: &str,
    model: &str,
) -> Result<()> {
    for (at, item) in items.iter().enumerate() {
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
            if !capabilities.input.iter().any(|own| own == modality) {
                let location = format!("input[{at}].content[{part_at}]");
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

/// The history as the model sees it again: no calls without their results, and, unless the
/// request says otherwise, no parts that the model does not take.
pub(crate) fn replayed(items: &[Item], capabilities: &ModelCapabilities, omit: bool) -> Vec<Item> {
    items
        .iter()
        .filter(|item| !matches!(item, Item::ToolCall(call) if call.result.is_none()))
        .map(|item| match item {
            Item::Message(message) if omit => {
                Item::Message(without_unsupported(message, capabilities))
            }
            other => other.clone(),
        })
        .collect()
}

fn without_unsupported(message: &Message, capabilities: &ModelCapabilities) -> Message {
    let mut message = message.clone();
    if let Content::Parts(parts) = &mut message.content {
        parts.retain(|part| {
            needed_modality(part)
                .is_none_or(|modality| capabilities.input.iter().any(|own| own == modality))
        });
    }
    message
}

fn needed_modality(part: &Part) -> Option<&str> {
    let Part::Other(value) = part else {
        return None;
    };
    let kind = value.get("type")?.as_str()?;
    matches!(kind, "image" | "audio" | "video" | "file").then_some(kind)
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
        assert_eq!(
            items(&json!([{"role": "user", "content": "hi"}])).unwrap(),
            hi
        );
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
        ] {
            let error = items(&bad).unwrap_err();
            assert_eq!(error.code(), Some("VALIDATION_FAILED"), "{bad}");
            assert_eq!(error.issues()[0].path, "/input/0", "{bad}");
        }
    }
}
