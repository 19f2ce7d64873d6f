//! Hooks: guards, events and observations typed, the rarer stages as JSON.

use abi_stable::StableAbi;
use abi_stable::sabi_trait;
use abi_stable::std_types::{RBox, ROption, RStr, RString};

use crate::{AbiBytes, AbiFuture, AbiResult, Event_NE, RequestObject, Response, RunObject};

pub type HookObject = Hook_TO<'static, RBox<()>>;

/// What a guard says of a request.
#[repr(u8)]
#[derive(StableAbi)]
#[sabi(kind(WithNonExhaustive(size = [usize; 8], traits(Send))))]
pub enum Verdict {
    Pass,
    Respond {
        response: RBox<Response>,
    },
    /// The principal as JSON.
    Authenticated {
        principal: RString,
    },
    NoCredentials,
}

/// What a hook says of an event.
#[repr(u8)]
#[derive(StableAbi, Debug)]
#[sabi(kind(WithNonExhaustive(size = [usize; 8], traits(Send, Debug))))]
pub enum EventAnswer {
    Keep,
    Replace { event: RBox<Event_NE> },
    Drop,
    Hold,
    Abort { reason: RString },
}

/// What an observer is told.
#[repr(u8)]
#[derive(StableAbi)]
#[sabi(kind(WithNonExhaustive(size = [usize; 16], traits(Send))))]
pub enum Observation {
    Event {
        run: RunObject,
        event: RBox<Event_NE>,
    },
    /// `Observation` as JSON.
    Json { json: RString },
}

/// A hook. `info` says which stages it has; the host calls no other.
#[sabi_trait]
pub trait Hook: Send + Sync {
    /// `HookInfo` as JSON; asked once, at load.
    fn info(&self) -> RString;
    /// The guard of hooks that say they answer at once. `RNone` lets the request pass, as nearly
    /// every guard does with nearly everything; the rest is rare and large, so it is in a box.
    fn guard_now(&self, request: &RequestObject) -> ROption<RBox<AbiResult<Verdict_NE>>>;
    fn guard(&self, request: RequestObject) -> AbiFuture<AbiResult<Verdict_NE>>;
    fn event(&self, run: RunObject, event: Event_NE) -> AbiFuture<AbiResult<EventAnswer_NE>>;
    fn observe(&self, observation: Observation_NE) -> AbiFuture<AbiResult<()>>;
    /// Every other stage: a JSON payload in, a JSON answer out.
    #[sabi(last_prefix_field)]
    fn stage(
        &self,
        stage: RStr<'_>,
        run: ROption<RunObject>,
        payload: AbiBytes,
    ) -> AbiFuture<AbiResult<AbiBytes>>;
}
