//! The hook: input before a run begins, answers and results whole, streams as they come.

use std::sync::Arc;

use mortise_plugin_api::prelude::*;

use crate::config::{Config, Side};
use crate::content::Check;
use crate::open_texts::{OpenTexts, Piece, TextId};
use crate::rule::{Rule, Rules};
use crate::scanner::Chain;

/// The rules, and the texts that are being streamed. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Guardrails {
    rules: Rules,
    open: Arc<OpenTexts>,
}

// === impl Guardrails ===

impl Guardrails {
    pub(crate) fn new(config: Config) -> Result<Self> {
        Ok(Self {
            rules: Rules::new(config.rules)?,
            open: Arc::new(OpenTexts::new(config.streams)),
        })
    }

    fn of(&self, side: Side, run: &RunContext) -> Option<Vec<Arc<Rule>>> {
        let rules: Vec<_> = self.rules.of(side, &run.info().agent).collect();
        (!rules.is_empty()).then_some(rules)
    }

    fn push(&self, run: &RunContext, event: Event) -> Result<EventVerdict> {
        // Made into a list for the first piece alone.
        let mut rules = self.rules.of(Side::Output, &run.info().agent).peekable();
        let (Some(_), Some(id)) = (rules.peek(), text_id(run, &event)) else {
            return Ok(EventVerdict::Keep);
        };
        let (delta, time) = piece(&event);
        let pushed = self.open.push(id, delta, time, || Chain::new(rules, 0));
        match pushed {
            Ok(Piece::First) => Ok(EventVerdict::Hold),
            Ok(Piece::Shown(text)) if text.is_empty() => Ok(EventVerdict::Drop),
            Ok(Piece::Shown(text)) => Ok(EventVerdict::Replace(with_text(event, text, time))),
            Err(blocked) => Err(blocked.into_error(Side::Output, &run.info().run_id)),
        }
    }
}

impl Hook for Guardrails {
    fn info(&self) -> HookInfo {
        let mut info = HookInfo::new("guardrails").on_error(OnError::Deny);
        if self.rules.look_at(Side::Input) {
            info = info.on(Stage::BeforeRun);
        }
        if self.rules.look_at(Side::Output) {
            info = info
                .on(Stage::AfterModel)
                .on(Stage::AfterRun)
                .on(Stage::Event)
                .events(&["TEXT_MESSAGE_CONTENT", "REASONING_MESSAGE_CONTENT"]);
        }
        if self.rules.look_at(Side::ToolResult) {
            info = info.on(Stage::AfterTool);
        }
        info
    }

    async fn before_run(&self, run: RunContext, mut input: RunInput) -> Result<Option<RunInput>> {
        let Some(rules) = self.of(Side::Input, &run) else {
            return Ok(None);
        };
        let mut check = Check::together(rules);
        match check.input(&mut input.input) {
            Ok(()) => Ok(check.has_changed.then_some(input)),
            Err(blocked) => Err(blocked.into_error(Side::Input, &run.info().run_id)),
        }
    }

    async fn after_model(
        &self,
        run: RunContext,
        mut response: ModelResponse,
    ) -> Result<Option<ModelResponse>> {
        let Some(rules) = self.of(Side::Output, &run) else {
            return Ok(None);
        };
        let mut check = Check::each(rules);
        match check.output(&mut response) {
            Ok(()) => Ok(check.has_changed.then_some(response)),
            Err(blocked) => Err(blocked.into_error(Side::Output, &run.info().run_id)),
        }
    }

    async fn after_tool(&self, run: RunContext, mut ended: ToolCallEnded) -> Result<Option<Value>> {
        let Some(rules) = self.of(Side::ToolResult, &run) else {
            return Ok(None);
        };
        let mut check = Check::together(rules);
        match check.value(&mut ended.result) {
            Ok(()) => Ok(check.has_changed.then_some(ended.result)),
            Err(blocked) => Err(blocked.into_error(Side::ToolResult, &run.info().run_id)),
        }
    }

    async fn after_run(&self, run: RunContext, mut result: RunResult) -> Result<Option<RunResult>> {
        let Some(rules) = self.of(Side::Output, &run) else {
            return Ok(None);
        };
        let mut check = Check::each(rules);
        let checked = check.output(&mut result.response).and_then(|()| {
            let structured = result.structured.iter_mut();
            structured.into_iter().try_for_each(|it| check.value(it))
        });
        match checked {
            Ok(()) => Ok(check.has_changed.then_some(result)),
            Err(blocked) => Err(blocked.into_error(Side::Output, &run.info().run_id)),
        }
    }

    async fn event(&self, run: RunContext, event: Event) -> Result<EventVerdict> {
        self.push(&run, event)
    }

    async fn release(&self, run: RunContext, held: Vec<Event>) -> Result<Vec<Event>> {
        let mut shown = Vec::with_capacity(held.len());
        for event in held {
            // Of each text, the first piece was held: the rest of it stands there.
            let Some(id) = text_id(&run, &event) else {
                continue;
            };
            match self.open.finish(&id) {
                Ok(Some((rest, time))) => shown.push(with_text(event, rest, time)),
                Ok(None) => {}
                Err(blocked) => return Err(blocked.into_error(Side::Output, &id.run)),
            }
        }
        Ok(shown)
    }
}

fn text_id(run: &RunContext, event: &Event) -> Option<TextId> {
    let (message, is_reasoning) = match event {
        Event::TextMessageContent { message_id, .. } => (message_id, false),
        Event::ReasoningMessageContent { message_id, .. } => (message_id, true),
        _ => return None,
    };
    Some(TextId {
        run: run.info().run_id.clone(),
        message: message.clone(),
        is_reasoning,
    })
}

fn piece(event: &Event) -> (&str, u64) {
    match event {
        Event::TextMessageContent {
            delta, timestamp, ..
        }
        | Event::ReasoningMessageContent {
            delta, timestamp, ..
        } => (delta, *timestamp),
        _ => ("", 0),
    }
}

fn with_text(mut event: Event, text: String, time: u64) -> Event {
    if let Event::TextMessageContent {
        delta, timestamp, ..
    }
    | Event::ReasoningMessageContent {
        delta, timestamp, ..
    } = &mut event
    {
        *delta = text;
        *timestamp = time;
    }
    event
}

#[cfg(test)]
mod tests;
