//! Agents, from the author's trait to the one that crosses.

use std::sync::Arc;

use super::abi::stable::{RString, TD_Opaque};
use super::abi::{self, AbiBytes, AbiFuture, AbiResult, AgentObject, RunObject};
use super::convert;
use super::guard::{self, Safe};
use crate::agent::{Agent, AgentInfo};
use crate::backend::BoxFuture;
use crate::error::Result;
use crate::event::RunResult;
use crate::host::Host;
use crate::message::Item;
use crate::run::RunContext;

/// [`Agent`], as an object.
pub(crate) trait DynAgent: Send + Sync {
    fn info(&self) -> AgentInfo;
    fn run(
        self: Arc<Self>,
        run: RunContext,
        input: Vec<Item>,
    ) -> BoxFuture<'static, Result<RunResult>>;
}

impl<A: Agent> DynAgent for A {
    fn info(&self) -> AgentInfo {
        Agent::info(self)
    }

    fn run(
        self: Arc<Self>,
        run: RunContext,
        input: Vec<Item>,
    ) -> BoxFuture<'static, Result<RunResult>> {
        Box::pin(async move { Agent::run(&*self, run, input).await })
    }
}

struct Adapter {
    agent: Safe<Arc<dyn DynAgent>>,
    host: Host,
}

pub(super) fn to_abi(agent: Arc<dyn DynAgent>, host: Host) -> AgentObject {
    abi::Agent_TO::from_value(
        Adapter {
            agent: Safe::new(agent),
            host,
        },
        TD_Opaque,
    )
}

impl abi::Agent for Adapter {
    fn info(&self) -> RString {
        super::plugin::info_text(|| self.agent.info())
    }

    fn run(&self, run: RunObject, input: AbiBytes) -> AbiFuture<AbiResult<AbiBytes>> {
        let (agent, host) = (Arc::clone(&self.agent), self.host.clone());
        let run = Box::pin(async move {
            let run = convert::run_from_abi(run, host);
            agent.run(run, convert::from_json(&input)?).await
        });
        guard::future(run, |result| convert::to_json(&result))
    }
}
