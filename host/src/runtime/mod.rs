//! Runs: what the routes, the host services and the crate's users ask for.

mod api;
mod service;

pub(crate) use self::api::*;
pub(crate) use self::service::{Decision, Reader, Runtime};
