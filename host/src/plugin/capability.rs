//! What plugins offer and what they may ask, without a trace of the boundary.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use mortise_plugin_api::{
    AgentInfo, ApprovalDecision, Body, ChunkStream, Event, EventVerdict, GuardVerdict, HookInfo,
    Item, Limit, ModelInfo, ModelRequest, MountInfo, OnError, Response, Result, RouteError,
    RunInfo, RunResult, Taken, ToolInfo,
};
use serde_json::Value;

use super::request::RequestView;
use super::routes::Routes;
use crate::metrics::InstanceMeters;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Something that an instance offers.
pub(crate) struct Offered<T: ?Sized> {
    /// The instance's name in the configuration.
    pub(crate) instance: Arc<str>,
    pub(crate) capability: Arc<T>,
}

/// A hook and what becomes of its own failures.
pub(crate) struct OfferedHook {
    pub(crate) instance: Arc<str>,
    pub(crate) capability: Arc<dyn HookCapability>,
    pub(crate) on_error: OnError,
    /// Those of its instance.
    pub(crate) meters: InstanceMeters,
}

/// A mount and its routes, which are in nobody's way. Clones share it.
#[derive(Clone)]
pub(crate) struct OfferedMount {
    pub(crate) instance: Arc<str>,
    pub(crate) capability: Arc<dyn MountCapability>,
    pub(crate) routes: Routes,
}

/// Everything that the loaded instances offer, in the order of the configuration.
#[derive(Default)]
pub(crate) struct Catalog {
    pub(crate) agents: Vec<Offered<dyn AgentCapability>>,
    pub(crate) models: Vec<Offered<dyn ModelCapability>>,
    pub(crate) tools: Vec<Offered<dyn ToolCapability>>,
    /// The instances whose tools come and go.
    pub(crate) toolsets: Vec<Offered<dyn ToolsetCapability>>,
    pub(crate) hooks: Vec<OfferedHook>,
    pub(crate) mounts: Vec<OfferedMount>,
}

pub(crate) trait AgentCapability: Send + Sync {
    fn info(&self) -> &AgentInfo;
    fn run(
        &self,
        run: Arc<dyn RunServices>,
        input: &[Item],
    ) -> BoxFuture<'static, Result<RunResult>>;
}

pub(crate) trait ModelCapability: Send + Sync {
    fn info(&self) -> &ModelInfo;
    fn generate(
        &self,
        run: Arc<dyn RunServices>,
        request: &ModelRequest,
    ) -> BoxFuture<'static, Result<ChunkStream>>;
}

pub(crate) trait ToolCapability: Send + Sync {
    fn info(&self) -> &ToolInfo;
    fn approval(
        &self,
        run: Arc<dyn RunServices>,
        arguments: &Value,
    ) -> BoxFuture<'static, Result<ApprovalDecision>>;
    fn call(
        &self,
        run: Arc<dyn RunServices>,
        arguments: &Value,
    ) -> BoxFuture<'static, Result<Value>>;
}

/// An instance whose tools come and go.
pub(crate) trait ToolsetCapability: Send + Sync {
    /// All the tools that it has now.
    fn tools(&self) -> Result<Vec<Arc<dyn ToolCapability>>>;
}

pub(crate) trait HookCapability: Send + Sync {
    fn info(&self) -> &HookInfo;
    /// `None` lets the request pass; the rest is rare, and large.
    fn guard_now(&self, request: &Arc<RequestView>) -> Result<Option<Box<GuardVerdict>>>;
    fn guard(&self, request: &Arc<RequestView>) -> BoxFuture<'static, Result<GuardVerdict>>;
    fn event(
        &self,
        run: Arc<dyn RunServices>,
        event: Event,
    ) -> BoxFuture<'static, Result<EventVerdict>>;
    fn observe(&self, observed: Observed) -> BoxFuture<'static, Result<()>>;
    /// Any other stage by its name, with a JSON payload and a JSON answer.
    fn stage(
        &self,
        stage: &'static str,
        run: Option<Arc<dyn RunServices>>,
        payload: Vec<u8>,
    ) -> BoxFuture<'static, Result<Bytes>>;
}

pub(crate) trait MountCapability: Send + Sync {
    fn info(&self) -> &MountInfo;
    fn authenticate(&self, request: &Arc<RequestView>) -> BoxFuture<'static, Result<GuardVerdict>>;
    fn render_error(&self, error: &RouteError) -> Result<Response>;
    fn handle(
        &self,
        endpoint: usize,
        request: &Arc<RequestView>,
        body: Body,
    ) -> BoxFuture<'static, Result<Response>>;
}

/// What an observer is told.
#[derive(Clone)]
pub(crate) enum Observed {
    Event {
        run: Arc<dyn RunServices>,
        event: Arc<Event>,
    },
    /// `ObservationJson`, encoded once for all observers.
    Json(Arc<str>),
}

/// What the run at hand offers to plugins.
pub(crate) trait RunServices: Send + Sync {
    fn info(&self) -> Arc<RunInfo>;
    /// What the client sent with the run.
    fn context(&self) -> Option<&Value>;
    fn emit(self: Arc<Self>, event: Event) -> BoxFuture<'static, Result<()>>;
    fn is_cancelled(&self) -> bool;
    fn cancelled(self: Arc<Self>) -> BoxFuture<'static, ()>;
    fn generate(
        self: Arc<Self>,
        model: String,
        request: ModelRequest,
    ) -> BoxFuture<'static, Result<ChunkStream>>;
    fn call(self: Arc<Self>, service: String, payload: Value) -> BoxFuture<'static, Result<Value>>;
}

/// What the host offers to plugins, by name; attached once everything is built.
pub(crate) trait HostApi: Send + Sync {
    fn call(
        &self,
        instance: Arc<str>,
        service: String,
        payload: Value,
    ) -> BoxFuture<'static, Result<Value>>;
    /// Takes of what a key of an instance may take, at once.
    fn take(&self, instance: &str, key: &str, limit: Limit, count: u32) -> Result<Taken>;
}
