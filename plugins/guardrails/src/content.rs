//! The texts in items, answers and values.

use std::sync::Arc;

use mortise_plugin_api::{Content, Item, ModelResponse, Part};
use serde_json::Value;

use crate::rule::{Blocked, Rule, checked};

/// What goes over all texts of something.
pub(crate) struct Check {
    rules: Vec<Arc<Rule>>,
    /// How many characters there were, where a limit is for all texts together.
    sum: Option<usize>,
    pub(crate) has_changed: bool,
}

// === impl Check ===

impl Check {
    /// Limits of length are for all texts together.
    pub(crate) fn together(rules: Vec<Arc<Rule>>) -> Self {
        Self {
            rules,
            sum: Some(0),
            has_changed: false,
        }
    }

    /// Limits of length are for each text.
    pub(crate) fn each(rules: Vec<Arc<Rule>>) -> Self {
        Self {
            rules,
            sum: None,
            has_changed: false,
        }
    }

    /// What a client sends: also what it tells of earlier calls.
    pub(crate) fn input(&mut self, items: &mut [Item]) -> Result<(), Blocked> {
        for item in items {
            match item {
                Item::Message(message) => self.message(&mut message.content)?,
                Item::ToolCall(call) => {
                    self.text(&mut call.arguments)?;
                    if let Some(result) = &mut call.result {
                        self.value(result)?;
                    }
                }
                Item::Other(value) => self.value(value)?,
            }
        }
        Ok(())
    }

    /// What an agent says and thinks. The calls that it makes are for tools, not for readers.
    pub(crate) fn output(&mut self, response: &mut ModelResponse) -> Result<(), Blocked> {
        let had_changed = std::mem::take(&mut self.has_changed);
        for item in &mut response.output {
            if let Item::Message(message) = item {
                self.message(&mut message.content)?;
            }
        }
        if self.has_changed {
            // They hold the same texts as they were.
            response.request = None;
            response.response = None;
        }
        self.has_changed |= had_changed;
        Ok(())
    }

    /// Every text in a value; a number that is found becomes a text.
    pub(crate) fn value(&mut self, value: &mut Value) -> Result<(), Blocked> {
        match value {
            Value::String(text) => self.text(text),
            Value::Number(number) => {
                let before = number.to_string();
                let mut text = before.clone();
                self.text(&mut text)?;
                if text != before {
                    *value = Value::String(text);
                }
                Ok(())
            }
            Value::Array(values) => values.iter_mut().try_for_each(|it| self.value(it)),
            Value::Object(object) => object.values_mut().try_for_each(|it| self.value(it)),
            Value::Null | Value::Bool(_) => Ok(()),
        }
    }

    fn message(&mut self, content: &mut Content) -> Result<(), Blocked> {
        match content {
            Content::Text(text) => self.text(text),
            Content::Parts(parts) => parts.iter_mut().try_for_each(|part| self.part(part)),
        }
    }

    fn part(&mut self, part: &mut Part) -> Result<(), Blocked> {
        match part {
            Part::Text { text } => self.text(text),
            Part::Reasoning { text, provider, .. } => {
                let had_changed = std::mem::take(&mut self.has_changed);
                self.text(text)?;
                if self.has_changed {
                    // A signature of other words.
                    *provider = None;
                }
                self.has_changed |= had_changed;
                Ok(())
            }
            Part::Other(value) => self.texts_of(value),
        }
    }

    /// The texts of an image, a file or a transcript: what stands under `text`, and no data.
    fn texts_of(&mut self, value: &mut Value) -> Result<(), Blocked> {
        match value {
            Value::Object(object) => object.iter_mut().try_for_each(|(key, value)| match value {
                Value::String(text) if key == "text" => self.text(text),
                other => self.texts_of(other),
            }),
            Value::Array(values) => values.iter_mut().try_for_each(|it| self.texts_of(it)),
            _ => Ok(()),
        }
    }

    fn text(&mut self, text: &mut String) -> Result<(), Blocked> {
        let mut count = self.sum.unwrap_or_default();
        let shown = checked(self.rules.iter().map(Arc::clone), text, &mut count)?;
        if self.sum.is_some() {
            self.sum = Some(count);
        }
        if shown != *text {
            self.has_changed = true;
            *text = shown;
        }
        Ok(())
    }
}
