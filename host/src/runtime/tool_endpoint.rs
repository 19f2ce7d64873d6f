//! A tool as an endpoint: one call, made by a client and not by a model.
//!
//! It is validated, and hooks see it, as in a run; there is no run around it that anybody could
//! watch or find later, and nobody who could approve it.

use std::collections::HashMap;
use std::sync::Arc;

use mortise_plugin_api::Error;
use serde_json::Value;
use tokio::sync::oneshot;

use super::active::{ActiveRun, Beginning, Entered};
use super::agents::AgentSpec;
use super::api::{Caller, RunOutcome, RunRequest};
use super::engine::Engine;
use super::log::EventLog;
use super::service::Runtime;
use super::tools::{self, CallOutcome, PendingCall};
use super::usage::Spent;
use crate::store::AnswerKind;

// === impl Runtime ===

impl Runtime {
    /// Whether any tool may be called this way.
    pub(crate) fn has_tool_endpoints(&self) -> bool {
        self.engine.agents.has_endpoints()
    }

    /// Calls a tool; dropping the future cancels the call.
    ///
    /// # Errors
    /// `NOT_FOUND` for a tool that is not there or not open, `BAD_REQUEST` for one that a client
    /// runs or somebody has to approve, and what the tool or a hook fails with.
    pub(crate) async fn call_tool(
        &self,
        name: &str,
        arguments: &Value,
        caller: Caller,
    ) -> RunOutcome<Value> {
        let engine = &self.engine;
        let Some(agent) = engine.agents.now().endpoint(name).cloned() else {
            let message = format!("Tool '{name}' does not exist.");
            return Err(Error::not_found(message).with_context("toolName", name));
        };
        refuse_interactive(&agent, name)?;
        let mut call = PendingCall::new(engine.ids.call(), name, &engine.ids.message());
        call.arguments = serde_json::to_string(arguments)?;
        let run = self.around_call(agent, caller);
        // The client has gone when this future is dropped: the call may still end in order, in its
        // own task.
        let gone = run.cancel.clone().drop_guard();
        let (sender, receiver) = oneshot::channel();
        let entered = Entered::new(engine, &run);
        let engine = Arc::clone(engine);
        let task = async move {
            let outcome = show_and_execute(&engine, &run, call).await;
            drop(entered);
            // Nobody may be waiting any more.
            let _ = sender.send(outcome);
        };
        self.engine.tasks.spawn(task);
        let outcome = receiver.await;
        gone.disarm();
        let CallOutcome {
            result, is_error, ..
        } = outcome.unwrap_or_else(|_| Err(Error::internal("the call's task was lost")))?;
        if !is_error {
            return Ok(result);
        }
        // A hook has said what a model would read.
        let message = result["message"].as_str().unwrap_or("The tool failed.");
        Err(Error::tool(message).with_context("toolName", name))
    }

    /// What a call needs around it. It is not stored and has no events that anybody may come back
    /// to, but ends with the server like a run.
    fn around_call(&self, agent: Arc<AgentSpec>, caller: Caller) -> Arc<ActiveRun> {
        let engine = &self.engine;
        let id: Arc<str> = engine.ids.run().into();
        ActiveRun::new(Beginning {
            log: EventLog::new(Arc::clone(&id), None, engine.limits.event_queue),
            id,
            meters: engine.meters_of(&agent.name),
            agent,
            request: RunRequest::default(),
            answer: AnswerKind::Json,
            caller,
            created_at: engine.clock.now_millis(),
            progress: HashMap::new(),
            parent: None,
            spent: Spent::default(),
        })
    }
}

async fn show_and_execute(
    engine: &Arc<Engine>,
    run: &Arc<ActiveRun>,
    mut call: PendingCall,
) -> RunOutcome<CallOutcome> {
    if engine.is_watched(run) {
        tools::show_call(engine, run, &mut call).await?;
    }
    tools::execute(engine, run, call, 0).await
}

/// Nobody could answer: there is no stream that shows what is asked for.
fn refuse_interactive(agent: &AgentSpec, name: &str) -> RunOutcome<()> {
    let Some(tool) = agent.tool(name) else {
        return Ok(());
    };
    let why = if tool.is_client() {
        "the client runs it"
    } else if tool.info.approval.is_some() {
        "its calls need an approval"
    } else {
        return Ok(());
    };
    let message = format!("Tool '{name}' cannot be called here: {why}. Use it in a streamed run.");
    Err(Error::bad_request(message).with_context("toolName", name))
}
