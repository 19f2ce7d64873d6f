//! The built-in routes, a file for what a client wants.

mod abort;
mod agents;
mod at_once;
mod conversations;
mod duration;
mod errors;
mod gone;
mod resume;
mod run;
mod runs;
mod stream;
mod tool_endpoints;
mod tools;
mod usage;
