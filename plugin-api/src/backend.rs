//! The seam below [`Host`](crate::Host) and [`RunContext`](crate::RunContext): the real host over
//! the boundary (`ffi`), or the fake one of `testing`.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde_json::Value;

use crate::error::Result;
use crate::event::Event;
use crate::limit::{Limit, Taken};
use crate::metric::Metric;
use crate::model::{ChunkStream, ModelRequest};
use crate::request::Request;
use crate::run::RunInfo;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What answers for the host.
pub(crate) trait HostBackend: Send + Sync {
    fn instance(&self) -> &str;
    fn now_millis(&self) -> u64;
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;
    fn metric(&self, metric: Metric<'_>);
    fn call<'a>(&'a self, service: &'a str, payload: Value) -> BoxFuture<'a, Result<Value>>;
    fn take(&self, key: &str, limit: Limit, count: u32) -> Result<Taken>;
    fn hold(&self, request: &Request, key: &str, max: u32) -> Result<Taken>;
}

/// What answers for a run.
pub(crate) trait RunBackend: Send + Sync {
    fn info(&self) -> RunInfo;
    fn context(&self) -> Value;
    fn emit(&self, event: Event) -> BoxFuture<'_, Result<()>>;
    fn is_cancelled(&self) -> bool;
    fn cancelled(&self) -> BoxFuture<'_, ()>;
    fn generate<'a>(
        &'a self,
        model: &'a str,
        request: ModelRequest,
    ) -> BoxFuture<'a, Result<ChunkStream>>;
    fn call<'a>(&'a self, service: &'a str, payload: Value) -> BoxFuture<'a, Result<Value>>;
}
