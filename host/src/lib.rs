//! Host.

pub mod config;
mod schema;
