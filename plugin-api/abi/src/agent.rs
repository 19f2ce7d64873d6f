//! Agents that a library brings.

use abi_stable::sabi_trait;
use abi_stable::std_types::{RBox, RString};

use crate::{AbiBytes, AbiFuture, AbiResult, RunObject};

pub type AgentObject = Agent_TO<'static, RBox<()>>;

/// A coded agent.
#[sabi_trait]
pub trait Agent: Send + Sync {
    /// `AgentInfo` as JSON; asked once, at load.
    fn info(&self) -> RString;
    /// Takes the input items as JSON, answers `RunOutput` as JSON.
    #[sabi(last_prefix_field)]
    fn run(&self, run: RunObject, input: AbiBytes) -> AbiFuture<AbiResult<AbiBytes>>;
}
