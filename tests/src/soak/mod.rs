//! The soak: what must hold after a server was killed under load, and for readers that are cut,
//! again and again, at moments that nobody chose.
//!
//! `cargo xtask soak` prints the figures, and a test runs a little of each.

mod arena;
mod audit;
mod client;
mod conversation;
pub mod cuts;
mod findings;
pub mod kills;
mod record;
mod traces;

pub use findings::Findings;
