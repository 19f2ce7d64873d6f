//! The server's own routes, and what each of them takes of a request.

use std::borrow::Cow;

use axum::body::Body;
use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, Method, Uri};
use mortise_plugin_api::RequestKind;

use super::body::{self, BodyLimits, JsonBody};
use super::error::Failure;
use super::escapes;
use super::router;
use crate::plugin::routes::without_empty_segments;
use crate::runtime::JOB_ALIAS;

/// A built-in route: a method, a pattern of segments, and what answers.
pub(super) struct Route {
    pub(super) method: Method,
    pattern: &'static str,
    pub(super) handler: Handler,
}

/// What answers a built-in route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handler {
    Run,
    LoadConversation,
    ResumeStream,
    ResumeConversation,
    AbortRun,
    ToolResult,
    ToolApproval,
    ListAgents,
    ListRuns,
    ShowRun,
    ListApprovals,
    ShowUsage,
    EnqueueJob,
    ListJobs,
    ShowJob,
    CancelJob,
    DeleteConversation,
    ExecuteTool,
    ShowDocument,
}

/// The routes below the base path; they also answer without it.
pub(super) static ROUTES: [Route; 18] = [
    Route::new(Method::POST, "/:name/run", Handler::Run),
    Route::new(
        Method::GET,
        "/:name/conversations/:id",
        Handler::LoadConversation,
    ),
    Route::new(
        Method::GET,
        "/:name/stream-events/resume",
        Handler::ResumeStream,
    ),
    Route::new(
        Method::GET,
        "/:name/conversations/:id/resume",
        Handler::ResumeConversation,
    ),
    Route::new(Method::POST, "/:name/runs/:runId/abort", Handler::AbortRun),
    Route::new(Method::POST, "/:name/run/tool-result", Handler::ToolResult),
    Route::new(
        Method::POST,
        "/:name/run/tool-approval",
        Handler::ToolApproval,
    ),
    Route::new(Method::GET, "/-/agents", Handler::ListAgents),
    Route::new(Method::GET, "/-/runs", Handler::ListRuns),
    Route::new(Method::GET, "/-/runs/:runId", Handler::ShowRun),
    Route::new(Method::GET, "/-/approvals", Handler::ListApprovals),
    Route::new(Method::GET, "/-/usage", Handler::ShowUsage),
    Route::new(Method::POST, "/-/agents/:name/jobs", Handler::EnqueueJob),
    Route::new(Method::GET, "/-/jobs", Handler::ListJobs),
    Route::new(Method::GET, "/-/jobs/:jobId", Handler::ShowJob),
    Route::new(Method::DELETE, "/-/jobs/:jobId", Handler::CancelJob),
    Route::new(
        Method::DELETE,
        "/-/conversations/:name/:id",
        Handler::DeleteConversation,
    ),
    Route::new(Method::POST, "/tools/:tool/execute", Handler::ExecuteTool),
];

/// The routes at the root, for whoever watches the server: no secret, no guards.
pub(super) const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// What is served, as an OpenAPI document; at the root too.
pub(super) const DOCUMENT: &str = "/openapi.json";

/// Below the base path, everything under this is the server's.
const OWN_FOLDER: &str = "/-/";

/// Whether the server itself answers a method of a whole path, which has `{}` for parameters.
pub(crate) fn is_reserved(method: &Method, path: &str, base_path: &str) -> bool {
    if PROBES.contains(&path) || path == DOCUMENT {
        return *method == Method::GET || *method == Method::HEAD;
    }
    let path = without_empty_segments(path);
    let path = router::cut_base(&path, base_path);
    let is_in_own_folder = path.below_base.starts_with(OWN_FOLDER);
    is_in_own_folder && (path.has_base || base_path.is_empty())
        || ROUTES.iter().any(|own| {
            // Where no tool is open, the path is free.
            own.handler != Handler::ExecuteTool
                && own.method == method
                && own.braced(|_| "{}".to_owned()) == path.below_base
        })
}

/// The routes below the base path, parameters in braces.
pub(super) fn routes() -> impl Iterator<Item = (&'static Method, String, Handler)> {
    ROUTES.iter().map(|route| {
        let path = route.braced(|name| format!("{{{name}}}"));
        (&route.method, path, route.handler)
    })
}

// === impl Route ===

impl Route {
    const fn new(method: Method, pattern: &'static str, handler: Handler) -> Self {
        Self {
            method,
            pattern,
            handler,
        }
    }

    /// The path, with this for each parameter.
    fn braced(&self, parameter: impl Fn(&str) -> String) -> String {
        let segments = self.pattern.split('/');
        let braced = segments.map(|segment| match segment.strip_prefix(':') {
            Some(name) => parameter(name),
            None => segment.to_owned(),
        });
        braced.collect::<Vec<_>>().join("/")
    }

    /// The parameters, if the segments fit.
    pub(super) fn captures<'p>(
        &self,
        segments: &[&'p str],
    ) -> Option<Vec<(&'static str, &'p str)>> {
        let mut params = Vec::new();
        let mut rest = segments.iter();
        for own in self.pattern.split('/').skip(1) {
            let segment = *rest.next()?;
            match own.strip_prefix(':') {
                Some(name) => params.push((name, segment)),
                None if own == segment => {}
                None => return None,
            }
        }
        rest.next().is_none().then_some(params)
    }
}

// === impl Handler ===

impl Handler {
    /// How many there are; each is its own place among them.
    pub(super) const COUNT: usize = Self::ShowDocument as usize + 1;

    pub(super) fn kind(self, headers: &HeaderMap) -> RequestKind {
        match self {
            Self::Run if wants_stream(headers) => RequestKind::Stream,
            // What may run an agent now may run it later, and nobody else.
            Self::Run | Self::EnqueueJob => RequestKind::Run,
            Self::LoadConversation => RequestKind::LoadConversation,
            Self::ResumeStream => RequestKind::ResumeStream,
            Self::ResumeConversation => RequestKind::ResumeConversation,
            Self::AbortRun => RequestKind::AbortRun,
            Self::ToolResult => RequestKind::ToolResult,
            Self::ToolApproval => RequestKind::ToolApproval,
            Self::ListAgents
            | Self::ListRuns
            | Self::ShowRun
            | Self::ListApprovals
            | Self::ShowUsage
            | Self::ListJobs
            | Self::ShowJob
            | Self::CancelJob
            | Self::DeleteConversation
            | Self::ExecuteTool
            | Self::ShowDocument => RequestKind::BuiltIn,
        }
    }

    /// The run that a request is about. Guards judge it by the agent of that run: the one in the
    /// path does not matter to these routes, so that anybody may write any other.
    pub(super) fn run_id<'r>(
        self,
        params: &[(&'static str, &'r str)],
        uri: &Uri,
        body: &'r JsonBody,
    ) -> Option<Cow<'r, str>> {
        match self {
            Self::AbortRun | Self::ShowRun => param(params, "runId").map(unescaped),
            Self::ShowJob | Self::CancelJob => {
                param(params, "jobId").map(|id| format!("{JOB_ALIAS}{id}").into())
            }
            Self::ToolResult | Self::ToolApproval => body.text("runId").map(Cow::Borrowed),
            Self::ResumeStream => escapes::query_param(uri.query(), "streamId").map(Cow::Owned),
            _ => None,
        }
    }

    /// The body of a JSON route, as bytes for guards (only an object) and parsed; other routes
    /// leave theirs unread.
    pub(super) async fn read(
        self,
        headers: &HeaderMap,
        body: Body,
        limits: BodyLimits,
    ) -> Result<(Bytes, JsonBody), Failure> {
        if !matches!(
            self,
            Self::Run
                | Self::ToolResult
                | Self::ToolApproval
                | Self::ExecuteTool
                | Self::EnqueueJob
        ) {
            return Ok((Bytes::new(), JsonBody::Empty));
        }
        let bytes = body::buffer(headers, body, limits).await?;
        match JsonBody::parse(&bytes) {
            JsonBody::Object(object) => Ok((bytes, JsonBody::Object(object))),
            other => Ok((Bytes::new(), other)),
        }
    }
}

fn wants_stream(headers: &HeaderMap) -> bool {
    body::mentions(headers, &ACCEPT, "text/event-stream")
}

/// The id of a run in a path. That of a job has a colon, which some clients escape.
pub(super) fn unescaped(sent: &str) -> Cow<'_, str> {
    match escapes::decode(sent) {
        Some(decoded) if decoded.starts_with(JOB_ALIAS) => decoded.into(),
        _ => sent.into(),
    }
}

/// What a segment of the path is, by the name in its pattern.
pub(super) fn param<'p>(params: &[(&'static str, &'p str)], name: &str) -> Option<&'p str> {
    let found = params.iter().find(|(own, _)| *own == name);
    found.map(|&(_, value)| value)
}
