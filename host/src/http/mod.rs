//! HTTP: the native API, the routes of plugins, and the loop that accepts connections.
//!
//! This is the only place that knows axum, server-sent events and status codes.
//!
//! A request goes through [`serve`] (connections), [`layers`] (what holds for every request),
//! [`router`] (all built-in routes on one page) and ends in [`routes`] or [`plugin_call`]. What
//! fails on the way becomes a response in [`error`], and nowhere else.

mod activity;
mod auth;
mod body;
mod connections;
mod cors;
mod embedded;
mod error;
mod escapes;
mod exchange;
mod handlers;
mod head;
mod json;
mod layers;
mod listen;
mod meters;
mod openapi;
mod pages;
mod params;
mod plugin_call;
mod plugin_response;
mod plugin_routes;
mod router;
mod routes;
mod schemas;
mod sending;
mod serve;
mod sse;
mod state;
mod tls;

pub(crate) use body::BodyLimits;
pub(crate) use connections::Connections;
pub use embedded::{HttpBody, HttpRouter, HttpService};
pub(crate) use handlers::is_reserved;
pub(crate) use head::HeadLimits;
pub(crate) use listen::{BindError, bind, bind_address};
pub(crate) use openapi::DocumentError;
pub(crate) use pages::Names;
pub(crate) use plugin_routes::RouteTable;
pub(crate) use serve::{Entrance, Timeouts, serve};
pub(crate) use state::{HttpState, Serves, Settings};
pub(crate) use tls::Tls;
