//! One request to one provider, and its answer as it comes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use genai::Client;
use genai::chat::{ChatStream, ChatStreamEvent};
use mortise_plugin_api::ModelRequest;
use mortise_plugin_api::prelude::*;
use serde_json::Map;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, Sleep, sleep};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;

use crate::config::TimeoutsConfig;
use crate::conversation::chat_request;
use crate::failure::Failure;
use crate::frames::Frames;
use crate::names::Names;
use crate::options::options;
use crate::target::Target;
use crate::translate::Translator;

/// An answer that is being read. Dropping it closes the connection.
pub(crate) struct Upstream {
    stream: ChatStream,
    translator: Translator,
    chunks: VecDeque<Chunk>,
    target: Target,
    /// When the next piece is too late. One timer for all of them: making one anew wakes the runtime.
    too_late: Pin<Box<Sleep>>,
    /// How long may pass between two pieces.
    patience: Duration,
    is_over: bool,
}

/// Why there is no answer.
pub(crate) enum NoAnswer {
    /// The provider failed.
    Failed(Failure),
    /// It was not asked: the request is none that it understands.
    NotAsked(Error),
}

// === impl Upstream ===

impl Upstream {
    /// Asks, and waits for the first piece of the answer.
    pub(crate) async fn open(
        client: &Client,
        target: &Target,
        own_options: &Map<String, Value>,
        request: &ModelRequest,
        timeouts: &TimeoutsConfig,
    ) -> Result<Self, NoAnswer> {
        let names = Arc::new(Names::new(&request.tools));
        let frames = Frames::default();
        let chat = chat_request(request, &target.provider, &names)?;
        let sink = Arc::new(frames.clone());
        let options = options(target, own_options, request, &names, sink)?;
        let wanted = target.provider.target(&target.model);
        let opened = quiet(client.exec_chat_stream(wanted, chat, Some(&options))).await;
        let stream = opened
            .map_err(|error| NoAnswer::Failed(Failure::read(&error)))?
            .stream;
        let translator = Translator::new(target.provider.api, &target.provider.name, names, frames);
        let first = timeouts.first_token.0;
        let mut upstream = Self {
            stream,
            too_late: Box::pin(sleep(first)),
            translator,
            chunks: VecDeque::new(),
            target: target.clone(),
            patience: timeouts.between_tokens.0,
            is_over: false,
        };
        while upstream.chunks.is_empty() {
            let pulled = upstream.pull(|| Failure::silent("first token", first));
            pulled.await.map_err(NoAnswer::Failed)?;
        }
        Ok(upstream)
    }

    /// Sends the answer, from its first piece on, to its end.
    pub(crate) async fn send(mut self, chunks: &Sender<Result<Chunk>>) {
        loop {
            for chunk in self.chunks.drain(..) {
                if chunks.send(Ok(chunk)).await.is_err() {
                    return;
                }
            }
            if self.is_over {
                return;
            }
            let patience = self.patience;
            self.too_late.as_mut().reset(Instant::now() + patience);
            let pulled = self.pull(|| Failure::silent("further token", patience));
            if let Err(failure) = pulled.await {
                failure.log(&self.target, "its answer had begun");
                let error = failure.into_error(&self.target);
                // Whoever does not take it has gone.
                return drop(chunks.send(Err(error)).await);
            }
        }
    }

    /// Reads one event, which may mean any number of chunks.
    async fn pull(&mut self, silent: impl FnOnce() -> Failure) -> Result<(), Failure> {
        let event = match select(quiet(self.stream.next()), self.too_late.as_mut()).await {
            Either::Left((event, _)) => event,
            Either::Right(((), _)) => return Err(silent()),
        };
        // Both wires that have an end mark end without an event where it is missing.
        let event = event.ok_or_else(Failure::truncated)?;
        let event = event.map_err(|error| Failure::read(&error))?;
        self.is_over = matches!(event, ChatStreamEvent::End(_));
        self.translator.take(event, &mut self.chunks)
    }
}

impl From<Error> for NoAnswer {
    fn from(error: Error) -> Self {
        Self::NotAsked(error)
    }
}

/// genai logs what providers send, bodies of errors included; a key may be quoted there.
fn quiet<F: Future>(future: F) -> impl Future<Output = F::Output> {
    future.with_subscriber(Dispatch::none())
}
