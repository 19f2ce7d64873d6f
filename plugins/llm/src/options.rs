//! Generation options, from their names here to those of a provider.

use std::sync::Arc;

use genai::chat::{
    ChatFrameSink, ChatOptions, ChatResponseFormat, JsonSpec, ReasoningEffort, ServiceTier,
    Verbosity,
};
use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{ModelRequest, ToolChoice};
use serde::de::DeserializeOwned;
use serde_json::Map;

use crate::names::{self, Names};
use crate::target::Target;

/// The options of a request to this model. `own` are those of the model, which the request's go
/// before.
///
/// # Errors
/// `VALIDATION_FAILED` for an option that is not what it must be.
pub(crate) fn options(
    target: &Target,
    own: &Map<String, Value>,
    request: &ModelRequest,
    names: &Names,
    frames: Arc<dyn ChatFrameSink>,
) -> Result<ChatOptions> {
    let mut given = own.clone();
    given.extend(request.options.clone());
    let mut options = ChatOptions::default()
        .with_capture_usage(true)
        .with_capture_reasoning_content(true)
        .with_extra_headers(target.provider.headers());
    options.raw_frame_sink = Some(frames);
    let mut extra = Map::new();
    for (name, value) in given {
        // What is switched off is as if it had not been said.
        if value.is_null() {
            continue;
        }
        match snake(&name).as_str() {
            "temperature" => options.temperature = Some(read(&name, value)?),
            "top_p" => options.top_p = Some(read(&name, value)?),
            "max_tokens" | "max_output_tokens" | "max_completion_tokens" => {
                options.max_tokens = Some(read(&name, value)?);
            }
            "seed" => options.seed = Some(read(&name, value)?),
            "stop" | "stop_sequences" => {
                options.stop_sequences = match value {
                    Value::String(one) => vec![one],
                    several => read(&name, several)?,
                };
            }
            "reasoning_effort" => options.reasoning_effort = Some(effort(&name, &value)?),
            "verbosity" => {
                options.verbosity = Some(word(&name, &value, Verbosity::from_keyword)?);
            }
            "service_tier" => {
                options.service_tier = Some(word(&name, &value, ServiceTier::from_keyword)?);
            }
            "prompt_cache_key" => options.prompt_cache_key = Some(read(&name, value)?),
            "extra" => extra.extend(read::<Map<String, Value>>(&name, value)?),
            // A provider's own: its name is written as the provider writes it.
            _ => {
                extra.insert(name, value);
            }
        }
    }
    fit(target, &mut options, &extra)?;
    if !extra.is_empty() {
        options.extra_body = Some(Value::Object(extra));
    }
    if !request.tools.is_empty() {
        options.tool_choice = Some(match &request.tool_choice {
            ToolChoice::Auto => genai::chat::ToolChoice::Auto,
            ToolChoice::None => genai::chat::ToolChoice::None,
            ToolChoice::Required => genai::chat::ToolChoice::Required,
            ToolChoice::Tool { name } => genai::chat::ToolChoice::tool(names.on_the_wire(name)),
        });
    }
    options.response_format = request.structured_output.as_ref().map(|wanted| {
        // Ollama's adapter knows no schemas: it gets one as an instruction, and JSON is enforced.
        if target.provider.api == crate::Api::Ollama {
            ChatResponseFormat::JsonMode
        } else {
            let name = names::plain(&wanted.name);
            ChatResponseFormat::JsonSpec(JsonSpec::new(name, wanted.schema.clone()))
        }
    });
    Ok(options)
}

/// What has to be said differently, or cannot be said, to this provider.
fn fit(target: &Target, options: &mut ChatOptions, extra: &Map<String, Value>) -> Result<()> {
    match target.provider.api {
        // Without an effort genai looks for one at the end of the model's name, and cuts it off:
        // "qwen3-max" would become "qwen3". A budget is an effort that this API has no word for.
        crate::Api::OpenAI if options.reasoning_effort.is_none() => {
            options.reasoning_effort = Some(ReasoningEffort::Budget(0));
        }
        crate::Api::Ollama => {
            if let Some(name) = extra.keys().next() {
                let message = format!(
                    "The option '{name}' does not reach Ollama by its own API; reach it by \
                     OpenAI's, as a provider with the address http://…:11434/v1."
                );
                return Err(Error::invalid(message).with_context("option", name.as_str()));
            }
        }
        _ => {}
    }
    Ok(())
}

fn effort(name: &str, value: &Value) -> Result<ReasoningEffort> {
    if let Some(budget) = value.as_u64().and_then(|it| u32::try_from(it).ok()) {
        return Ok(ReasoningEffort::Budget(budget));
    }
    word(name, value, ReasoningEffort::from_keyword)
}

fn word<T>(name: &str, value: &Value, known: impl Fn(&str) -> Option<T>) -> Result<T> {
    value
        .as_str()
        .and_then(known)
        .ok_or_else(|| wrong(name, "is not one of its words"))
}

fn read<T: DeserializeOwned>(name: &str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| wrong(name, &error.to_string()))
}

fn wrong(name: &str, what: &str) -> Error {
    Error::invalid(format!("The model option '{name}' is wrong: {what}."))
        .with_context("option", name)
}

/// `maxTokens` as `max_tokens`: clients write one, files the other.
fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 2);
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}
