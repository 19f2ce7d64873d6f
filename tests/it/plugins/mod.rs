//! What plugins do to a server, and what they cannot do.

mod abi;
mod addresses;
mod auth;
mod auth_modes;
mod chat_api;
mod chat_http;
mod endpoints;
mod expose;
mod guardrails;
mod jwt_auth;
mod llm;
mod loading;
mod mcp;
mod misbehave;
mod ops;
mod own_mount;
mod rate_limit;
mod request_log;
mod runs_api;
mod third_party;
