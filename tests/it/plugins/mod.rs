//! What plugins do to a server, and what they cannot do.

mod abi;
mod auth;
mod endpoints;
mod jwt_auth;
mod loading;
mod misbehave;
mod ops;
mod request_log;
mod third_party;
