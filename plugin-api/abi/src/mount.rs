//! HTTP routes that a library brings.

use abi_stable::sabi_trait;
use abi_stable::std_types::{RBox, RString};

use crate::{AbiBytes, AbiFuture, AbiResult, BodyObject, RequestObject, Response, Verdict_NE};

pub type MountObject = Mount_TO<'static, RBox<()>>;

/// A mount and its endpoints.
#[sabi_trait]
pub trait Mount: Send + Sync {
    /// `MountInfo` as JSON; asked once, at load.
    fn info(&self) -> RString;
    /// The mount's own authentication, where its access is `own`.
    fn authenticate(&self, request: RequestObject) -> AbiFuture<AbiResult<Verdict_NE>>;
    /// Renders an error (as JSON) the way this mount's clients know it.
    fn render_error(&self, error: AbiBytes) -> AbiResult<Response>;
    /// Handles a request to the endpoint of this index.
    #[sabi(last_prefix_field)]
    fn handle(
        &self,
        endpoint: usize,
        request: RequestObject,
        body: BodyObject,
    ) -> AbiFuture<AbiResult<Response>>;
}
