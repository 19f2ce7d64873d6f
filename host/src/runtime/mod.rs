//! Runs: what the routes, the host services and the crate's users ask for.
//!
//! `service.rs` is the face, `start.rs` begins runs and `history.rs` tells of them; `driver.rs` takes
//! a run from its first event to its last, `step.rs` asks the model, `tools.rs` executes its calls,
//! `log.rs` remembers what was shown and `reader.rs` shows it, `checkpoint.rs` and `recovery.rs` let a
//! run outlive the server. `delegation.rs`, `part.rs` and `lineage.rs` let an agent hand tasks to
//! others. `job_run.rs` is what workers ask for, and `alias.rs` the name of a job's run.

mod access;
mod active;
mod agents;
mod alias;
mod answer;
mod api;
mod checkpoint;
mod delegation;
mod driver;
mod engine;
mod failure;
mod history;
mod host_api;
mod idempotency;
mod input;
mod job_run;
mod lineage;
mod log;
mod models;
mod part;
mod quota;
mod reader;
mod recovery;
mod roster;
mod rules;
mod service;
mod start;
mod step;
mod structured;
mod tool_endpoint;
mod tools;
mod usage;

pub(crate) use self::active::{ActiveRuns, Decision};
pub(crate) use self::alias::JOB_ALIAS;
pub(crate) use self::api::*;
pub(crate) use self::engine::Engine;
pub(crate) use self::history::RunQuery;
pub(crate) use self::idempotency::{Once, RequestKey, conflict};
pub(crate) use self::job_run::{Coming, GoingOn, RunEnd};
pub(crate) use self::quota::Quotas;
pub(crate) use self::reader::{CutNotice, Reader};
pub(crate) use self::roster::Roster;
pub(crate) use self::service::Runtime;
pub(crate) use self::usage::Prices;
pub(crate) use crate::store::{EventBatch, RunState};
