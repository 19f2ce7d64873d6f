//! What plugins may call, as the objects that cross.
//!
//! Every body here runs under a guard: a panic that reached the boundary would end the process.
//! A plugin may poll a host's future on a thread of its own; then the host's runtime is entered
//! first.

mod body;
mod future;
mod host;
mod request;
mod run;

pub(super) use self::body::body_object;
pub(crate) use self::host::HostApiSlot;
pub(super) use self::host::{HostBridge, host_object};
pub(super) use self::run::run_object;
