//! A part of a run: an agent that another one has handed a task to.
//!
//! It is driven like any run, in the task of the run that it is a part of, so that it ends with
//! it. Nobody can resume it, and it is no run of the store: the whole is.

use std::collections::HashMap;
use std::sync::Arc;

use mortise_plugin_api::{Error, Result, RunResult};
use serde_json::Value;

use super::active::{ActiveRun, Beginning, Entered};
use super::agents::AgentSpec;
use super::api::{Caller, RunRequest};
use super::driver::{self, Begin};
use super::engine::Engine;
use super::lineage::Parent;
use super::log::EventLog;
use super::usage::Spent;
use crate::plugin::capability::BoxFuture;

/// Runs an agent as a part of another run, and waits for what it comes to. Dropping the future
/// drops what the part does.
pub(crate) fn run_part(
    engine: Arc<Engine>,
    parent: Parent,
    name: &str,
    asked: Asked,
) -> BoxFuture<'static, Result<RunResult>> {
    let agent = match allowed(&engine, &parent.run.agent, name) {
        Ok(agent) => agent,
        Err(error) => return Box::pin(std::future::ready(Err(error))),
    };
    Box::pin(async move {
        let part = open(&engine, parent, agent, asked);
        let _entered = Entered::new(&engine, &part);
        let ended = driver::drive(&engine, &part, Begin::Anew).await;
        // Whoever waits for this part may have to wait for others too.
        part.log.flush();
        ended
    })
}

/// What the other agent is asked.
pub(crate) struct Asked {
    pub(crate) input: Value,
    /// That of the whole run where it has none of its own.
    pub(crate) context: Option<Value>,
}

fn allowed(engine: &Engine, from: &AgentSpec, name: &str) -> Result<Arc<AgentSpec>> {
    let is_named = from.agents.iter().any(|own| &**own == name);
    let agents = engine.agents.now();
    let agent = agents.get(name).filter(|_| is_named);
    agent.cloned().ok_or_else(|| {
        Error::not_found(format!(
            "the agent '{}' may not hand tasks to '{name}': it is not among its `agents`",
            from.name
        ))
    })
}

fn open(
    engine: &Arc<Engine>,
    parent: Parent,
    agent: Arc<AgentSpec>,
    asked: Asked,
) -> Arc<ActiveRun> {
    let whole = &parent.run;
    let context = asked.context.or_else(|| whole.request.context.clone());
    let request = RunRequest {
        input: asked.input,
        context,
        client_tool_result_timeout: whole.request.client_tool_result_timeout,
        tool_approval_timeout: whole.request.tool_approval_timeout,
        ..RunRequest::default()
    };
    let id: Arc<str> = engine.ids.run().into();
    let agent_name = Arc::clone(&agent.name);
    ActiveRun::new(Beginning {
        id: Arc::clone(&id),
        agent: agent.for_context(request.context.as_ref()),
        request,
        answer: whole.answer,
        caller: Caller {
            principal: Arc::clone(&whole.owner),
            request_id: Arc::clone(&whole.request_id),
        },
        created_at: engine.clock.now_millis(),
        log: EventLog::within(id, &whole.log),
        meters: engine.meters_of(&agent_name),
        parent: Some(parent),
        progress: HashMap::new(),
        spent: Spent::default(),
    })
}
