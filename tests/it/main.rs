//! The tests over HTTP, as one program: from the user's side, through real libraries.

mod agents;
mod authz_matrix;
mod cli;
mod config_example;
mod connections;
mod embedding;
mod harness;
mod jobs;
mod layers;
mod log;
mod metrics;
mod openapi;
mod plugins;
mod readme;
mod recovery;
mod routes;
mod secrets;
mod shutdown;
mod soak;
mod store_faults;
mod support;
mod tidy;
mod wires;
