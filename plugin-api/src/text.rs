//! Texts that are said piece by piece.

use serde_json::json;

use crate::error::Result;
use crate::event::Event;
use crate::run::RunContext;

/// A text that is said piece by piece; made by [`RunContext::text`].
///
/// It begins with its first piece. Dropped before [`end`](Self::end), it stays without an end: so
/// does the text of an agent that fails while it speaks.
#[derive(Debug)]
pub struct TextWriter {
    run: RunContext,
    /// The message, once it has begun.
    message_id: Option<String>,
}

// === impl TextWriter ===

impl TextWriter {
    pub(crate) fn new(run: RunContext) -> Self {
        Self {
            run,
            message_id: None,
        }
    }

    /// Says the next piece. An empty one says nothing.
    ///
    /// # Errors
    /// As [`RunContext::emit`].
    pub async fn write(&mut self, piece: &str) -> Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        let message_id = match &self.message_id {
            Some(message_id) => message_id.clone(),
            None => self.begin().await?,
        };
        let content = Event::TextMessageContent {
            message_id,
            delta: piece.to_owned(),
            timestamp: 0,
        };
        self.run.emit(content).await
    }

    /// Ends the text; nothing where nothing was said.
    ///
    /// # Errors
    /// As [`RunContext::emit`].
    pub async fn end(self) -> Result<()> {
        let Self { run, message_id } = self;
        match message_id {
            Some(message_id) => {
                let timestamp = 0;
                run.emit(Event::TextMessageEnd {
                    message_id,
                    timestamp,
                })
                .await
            }
            None => Ok(()),
        }
    }

    /// The host begins it, since ids are its own.
    async fn begin(&mut self) -> Result<String> {
        let begun = self.run.call("run.begin_text", json!({})).await?;
        let message_id: String = serde_json::from_value(begun)?;
        self.message_id = Some(message_id.clone());
        Ok(message_id)
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use crate::prelude::*;
    use crate::testing::FakeHost;

    struct Speech;

    impl Plugin for Speech {
        type Config = NoConfig;
        const NAME: &'static str = "speech";
        const VERSION: &'static str = "0.1.0";

        fn create(_config: NoConfig, _host: Host) -> Result<Self> {
            Ok(Self)
        }

        fn register(&self, registrar: &mut Registrar) {
            registrar.agent(Speech);
        }
    }

    impl Agent for Speech {
        fn info(&self) -> AgentInfo {
            AgentInfo::new("speech", "Says its input word by word")
        }

        async fn run(&self, run: RunContext, input: Vec<Item>) -> Result<RunResult> {
            let wish = input.last().map(Item::text).unwrap_or_default();
            let mut text = run.text();
            for word in wish.split(' ') {
                text.write(word).await?;
            }
            text.end().await?;
            Ok(RunResult::text(wish))
        }
    }

    #[tokio::test]
    async fn a_text_begins_with_its_first_piece() {
        let speech = FakeHost::new("speech").load::<Speech>(json!({})).unwrap();
        let ran = speech.run_agent("speech", "one two").await;
        let (start, content, end) = (
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_END",
        );
        assert_eq!(ran.kinds(), [start, content, content, end]);
        assert_eq!(ran.text(), "onetwo");
        let silent = speech.run_agent("speech", "").await;
        assert!(silent.kinds().is_empty() && silent.result.is_ok());
    }
}
