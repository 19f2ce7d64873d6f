//! What code of the same program may ask for, without HTTP in between.

#![expect(
    clippy::unused_async,
    reason = "what is answered from memory today is asked of a store that servers share tomorrow"
)]

use std::sync::Arc;

use mortise_plugin_api::{Error, Principal, Result, RunResult};
use serde_json::Value;

use super::App;
use super::options::{Conversation, Decision, RunOptions};
use super::watch::{RunEvents, RunStream};
use crate::runtime::{Caller, Resume, RunRequest};

/// Runs, and what belongs to them.
///
/// What fails, fails with the error that a client would read, before it is masked.
impl App {
    /// Runs an agent and waits for the result. Dropping the future aborts the run.
    ///
    /// As over HTTP, agents whose tools need a client or an approval want to be
    /// [streamed](Self::stream).
    ///
    /// # Errors
    /// `NOT_FOUND` for an agent that does not exist, `UNAVAILABLE` once the app is being stopped,
    /// and whatever the run fails with.
    pub async fn run(&self, agent: &str, options: impl Into<RunOptions>) -> Result<RunResult> {
        let (request, caller) = self.asked(options.into())?;
        self.runtime.run(agent, request, caller).await
    }

    /// Starts a run, and shows its events while they come.
    ///
    /// # Errors
    /// `NOT_FOUND` for an agent that does not exist, `UNAVAILABLE` once the app is being stopped.
    /// What the run fails with is its [result](RunStream::result).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn stream(&self, agent: &str, options: impl Into<RunOptions>) -> Result<RunStream> {
        let (request, caller) = self.asked(options.into())?;
        Ok(self.runtime.watch(agent, request, caller).await?.into())
    }

    /// The stored conversation, `None` where nothing is stored.
    ///
    /// # Errors
    /// `NOT_FOUND` for an agent that does not exist; a store that fails.
    pub async fn load_conversation(&self, agent: &str, id: &str) -> Result<Option<Conversation>> {
        let items = self
            .runtime
            .conversation(agent, id, &self.principal)
            .await?;
        Ok(items.map(|items| Conversation { items }))
    }

    /// The events of a streamed run after that number, then live; `None` where no such stream is
    /// stored.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn resume_stream(
        &self,
        run_id: &str,
        after: Option<u64>,
    ) -> Result<Option<RunEvents>> {
        let resumed = self
            .runtime
            .resume_stream(run_id, after, &self.principal)
            .await?;
        Ok(match resumed {
            Resume::Reader(reader) => Some(RunEvents::resumed(reader)),
            Resume::NoStore | Resume::Unknown => None,
        })
    }

    /// The events of the streamed run that the conversation is in, after that number, then live;
    /// `None` where there is none.
    ///
    /// # Errors
    /// `NOT_FOUND` for an agent that does not exist.
    pub async fn resume_conversation(
        &self,
        agent: &str,
        id: &str,
        after: Option<u64>,
    ) -> Result<Option<RunEvents>> {
        let reader = self
            .runtime
            .resume_conversation(agent, id, after, &self.principal)?;
        Ok(reader.map(RunEvents::resumed))
    }

    /// Aborts a run, and says whether there was one to abort.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn abort_run(&self, run_id: &str) -> Result<bool> {
        self.runtime.abort(run_id, &self.principal).await
    }

    /// Answers a client tool with its result, or with why there is none; says whether the call
    /// was pending.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn submit_tool_result(
        &self,
        run_id: &str,
        tool_call_id: &str,
        result: Result<Value, String>,
    ) -> Result<bool> {
        let runtime = &self.runtime;
        runtime
            .submit_tool_result(run_id, tool_call_id, result, &self.principal)
            .await
    }

    /// Decides on an approval, and says whether it was pending.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn submit_tool_approval(
        &self,
        run_id: &str,
        tool_call_id: &str,
        decision: Decision,
    ) -> Result<bool> {
        let runtime = &self.runtime;
        runtime
            .submit_approval(run_id, tool_call_id, decision.into(), &self.principal)
            .await
    }

    /// Whose runs and conversations these are.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    fn asked(&self, options: RunOptions) -> Result<(RunRequest, Caller)> {
        if self.inner.tasks.stopping().is_cancelled() {
            return Err(Error::unavailable("the app is being stopped"));
        }
        let (request, request_id) = options.checked()?;
        let caller = Caller {
            principal: Arc::clone(&self.principal),
            request_id: request_id
                .unwrap_or_else(|| self.inner.ids.request())
                .into(),
        };
        Ok((request, caller))
    }
}
