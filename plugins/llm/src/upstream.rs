//! One request to one provider, and its answer as it comes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use futures_util::stream;
use genai::Client;
use genai::chat::{ChatStream, ChatStreamEvent};
use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{ChunkStream, ModelRequest};
use serde_json::Map;
use tokio::time::{Instant, timeout_at};
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
    cancelled: Pin<Box<dyn Future<Output = ()> + Send>>,
    translator: Translator,
    chunks: VecDeque<Chunk>,
    target: Target,
    /// How long may pass between two pieces.
    patience: Duration,
    is_over: bool,
}

/// Why there is no answer.
pub(crate) enum NoAnswer {
    /// The provider failed.
    Failed(Failure),
    /// It was not the provider: the request cannot be sent, or nobody wants the answer any more.
    Ended(Error),
}

// === impl Upstream ===

impl Upstream {
    /// Asks, and waits for the first piece of the answer.
    pub(crate) async fn open(
        client: &Client,
        run: &RunContext,
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
        let run = run.clone();
        let mut upstream = Self {
            stream,
            cancelled: Box::pin(async move { run.cancelled().await }),
            translator,
            chunks: VecDeque::new(),
            target: target.clone(),
            patience: timeouts.between_tokens.0,
            is_over: false,
        };
        let first = timeouts.first_token.0;
        let deadline = Instant::now() + first;
        while upstream.chunks.is_empty() {
            upstream
                .pull(deadline, || Failure::silent("first token", first))
                .await?;
        }
        Ok(upstream)
    }

    /// The answer, from its first piece on.
    pub(crate) fn into_chunks(self) -> ChunkStream {
        ChunkStream::new(stream::unfold(self, |mut upstream| async move {
            let chunk = upstream.next().await?;
            Some((chunk, upstream))
        }))
    }

    async fn next(&mut self) -> Option<Result<Chunk>> {
        loop {
            if let Some(chunk) = self.chunks.pop_front() {
                return Some(Ok(chunk));
            }
            if self.is_over {
                return None;
            }
            let patience = self.patience;
            let deadline = Instant::now() + patience;
            let silent = || Failure::silent("further token", patience);
            if let Err(no_answer) = self.pull(deadline, silent).await {
                self.is_over = true;
                return Some(Err(match no_answer {
                    NoAnswer::Ended(error) => error,
                    NoAnswer::Failed(failure) => {
                        failure.log(&self.target, "its answer had begun");
                        failure.into_error(&self.target)
                    }
                }));
            }
        }
    }

    /// Reads one event, which may mean any number of chunks.
    async fn pull(
        &mut self,
        deadline: Instant,
        silent: impl FnOnce() -> Failure,
    ) -> Result<(), NoAnswer> {
        let event = {
            let read = std::pin::pin!(quiet(timeout_at(deadline, self.stream.next())));
            match select(read, &mut self.cancelled).await {
                Either::Left((event, _)) => event,
                Either::Right(((), _)) => {
                    return Err(NoAnswer::Ended(Error::aborted("the run was aborted")));
                }
            }
        };
        let event = event.map_err(|_| NoAnswer::Failed(silent()))?;
        // Both wires that have an end mark end without an event where it is missing.
        let event = event.ok_or_else(|| NoAnswer::Failed(Failure::truncated()))?;
        let event = event.map_err(|error| NoAnswer::Failed(Failure::read(&error)))?;
        self.is_over = matches!(event, ChatStreamEvent::End(_));
        self.translator
            .take(event, &mut self.chunks)
            .map_err(NoAnswer::Failed)
    }
}

impl From<Error> for NoAnswer {
    fn from(error: Error) -> Self {
        Self::Ended(error)
    }
}

/// genai logs what providers send, bodies of errors included; a key may be quoted there.
fn quiet<F: Future>(future: F) -> impl Future<Output = F::Output> {
    future.with_subscriber(Dispatch::none())
}
