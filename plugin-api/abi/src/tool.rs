//! Tools that a library brings.

use abi_stable::sabi_trait;
use abi_stable::std_types::{RBox, RString};

use crate::{AbiBytes, AbiFuture, AbiResult, RunObject};

pub type ToolObject = Tool_TO<'static, RBox<()>>;

/// A tool; arguments, results and approval answers are JSON.
#[sabi_trait]
pub trait Tool: Send + Sync {
    /// `ToolInfo` as JSON; asked once, at load.
    fn info(&self) -> RString;
    /// `Option<Approval>` for this very call; asked only of tools that decide per call.
    fn approval(&self, run: RunObject, arguments: AbiBytes) -> AbiFuture<AbiResult<AbiBytes>>;
    #[sabi(last_prefix_field)]
    fn call(&self, run: RunObject, arguments: AbiBytes) -> AbiFuture<AbiResult<AbiBytes>>;
}
