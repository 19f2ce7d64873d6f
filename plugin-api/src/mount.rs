//! Mounts: a plugin's HTTP routes under one prefix.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::backend::BoxFuture;
use crate::error::{Error, Issue, Result};
use crate::hook::GuardVerdict;
use crate::request::{Body, Principal, Request, Response, form_pairs};

/// HTTP routes under one prefix, with one way to let clients in and one way to render errors.
///
/// ```
/// use mortise_plugin_api::prelude::*;
///
/// fn mount() -> Mount {
///     Mount::at_base()
///         .endpoint(Endpoint::get("/health", |_| async { Response::json(&json!({"ok": true})) }).public())
///         .endpoint(Endpoint::get("/books/:id", |call| async move {
///             let id = call.request.param("id").unwrap_or_default().to_owned();
///             Response::json(&json!({ "id": id }))
///         }))
/// }
/// ```
pub struct Mount {
    pub(crate) info: MountInfo,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) authenticate: Option<Authenticate>,
    pub(crate) render_error: Option<RenderError>,
}

pub(crate) type Handle =
    Arc<dyn Fn(EndpointCall) -> BoxFuture<'static, Result<Response>> + Send + Sync>;
pub(crate) type Authenticate =
    Arc<dyn Fn(Request) -> BoxFuture<'static, Result<GuardVerdict>> + Send + Sync>;
pub(crate) type RenderError = Arc<dyn Fn(&RouteError) -> Response + Send + Sync>;

/// What the host must know of a mount.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MountInfo {
    /// The prefix of all its paths.
    pub prefix: Prefix,
    /// Who lets clients in.
    #[serde(default)]
    pub access: Access,
    /// Whether double and trailing slashes matter.
    #[serde(default)]
    pub slashes: Slashes,
    /// What a known path answers to a method it does not have.
    #[serde(default)]
    pub method_mismatch: MethodMismatch,
    /// Whether somebody must be let in before it is said that there is no such path or method.
    #[serde(default)]
    pub hides_routes: bool,
    /// Whether the mount renders errors itself.
    #[serde(default)]
    pub renders_errors: bool,
    /// The OpenAPI components that the operations of its endpoints refer to.
    #[serde(default)]
    pub components: Option<Value>,
    /// Its endpoints; the host names them by their place in this list.
    #[serde(default)]
    pub endpoints: Vec<EndpointInfo>,
}

/// What the host must know of an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EndpointInfo {
    /// The methods, in upper case.
    pub methods: Vec<String>,
    /// The path below the prefix; `:id` and `{id}` match one segment.
    pub path: String,
    /// Whether neither the secret nor guards apply.
    #[serde(default)]
    pub public: bool,
    /// The OpenAPI operation, without its path and method.
    #[serde(default)]
    pub operation: Option<Value>,
}

/// A prefix of paths in a `config` table: empty, or with a slash at its beginning. One at its end
/// does not count.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct PathPrefix(String);

/// Where a mount's paths begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prefix {
    /// Below the server's base path, and this prefix.
    Base(String),
    /// Below this prefix, whatever the base path is.
    Absolute(String),
}

/// Who lets clients into a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// The server: its secret and every guard.
    #[default]
    Protected,
    /// The mount itself; guards that do not authenticate still run.
    Own,
    /// Nobody: everybody may come in.
    Public,
}

/// Whether double and trailing slashes matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slashes {
    /// `/a//b/` is `/a/b`.
    #[default]
    Lenient,
    /// It is another path.
    Strict,
}

/// What a known path answers to a method it does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum MethodMismatch {
    /// 405 with an `allow` header.
    #[default]
    #[serde(rename = "405")]
    MethodNotAllowed,
    /// 404, as if there were no such path.
    #[serde(rename = "404")]
    NotFound,
}

/// One route: methods, a path, and what answers.
#[derive(Clone)]
pub struct Endpoint {
    pub(crate) info: EndpointInfo,
    pub(crate) handle: Handle,
}

/// A call of an endpoint.
#[derive(Debug)]
#[non_exhaustive]
pub struct EndpointCall {
    /// The request: path parameters, query, headers, principal.
    pub request: Request,
    /// Its body, untouched.
    pub body: Body,
}

/// An error that a mount renders its own way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RouteError {
    /// The status that the host would answer.
    pub status: u16,
    /// The stable code, such as `NOT_FOUND`.
    pub code: String,
    /// A sentence for the client.
    pub message: String,
    /// Which agent, tool or value it is about.
    #[serde(default)]
    pub context: Option<Value>,
    /// What is wrong with the value, one by one.
    #[serde(default)]
    pub issues: Vec<Issue>,
    /// The request; absent where an older host does not tell.
    #[serde(default)]
    pub request: Option<RouteRequest>,
}

/// A request that ends in an error.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RouteRequest {
    /// The request id.
    pub id: String,
    /// The path as it was sent.
    pub path: String,
    headers: Vec<(String, String)>,
}

// === impl Mount ===

impl Mount {
    /// Routes directly below the server's base path.
    pub fn at_base() -> Self {
        Self::with_prefix(Prefix::Base(String::new()))
    }

    /// Routes below `prefix`, below the server's base path.
    pub fn below_base(prefix: impl Into<String>) -> Self {
        Self::with_prefix(Prefix::Base(prefix.into()))
    }

    /// Routes below `prefix`, wherever the base path is.
    pub fn absolute(prefix: impl Into<String>) -> Self {
        Self::with_prefix(Prefix::Absolute(prefix.into()))
    }

    fn with_prefix(prefix: Prefix) -> Self {
        let info = MountInfo {
            prefix,
            access: Access::default(),
            slashes: Slashes::default(),
            method_mismatch: MethodMismatch::default(),
            hides_routes: false,
            renders_errors: false,
            components: None,
            endpoints: Vec::new(),
        };
        Self {
            info,
            endpoints: Vec::new(),
            authenticate: None,
            render_error: None,
        }
    }

    /// Adds an endpoint.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.info.endpoints.push(endpoint.info.clone());
        self.endpoints.push(endpoint);
        self
    }

    /// Lets everybody in, without the secret and without guards.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.info.access = Access::Public;
        self
    }

    /// Authenticates by itself: the server's secret and authenticating guards do not apply.
    ///
    /// `Pass` and `NoCredentials` let nobody in: the answer must be `Authenticated` or `Respond`.
    #[must_use]
    pub fn authenticated_by<A, F>(mut self, authenticate: A) -> Self
    where
        A: Fn(Request) -> F + Send + Sync + 'static,
        F: Future<Output = Result<GuardVerdict>> + Send + 'static,
    {
        self.info.access = Access::Own;
        self.authenticate = Some(Arc::new(move |request| Box::pin(authenticate(request))));
        self
    }

    /// Renders its errors by itself, also those that the host or a guard raises.
    #[must_use]
    pub fn render_error(
        mut self,
        render: impl Fn(&RouteError) -> Response + Send + Sync + 'static,
    ) -> Self {
        self.info.renders_errors = true;
        self.render_error = Some(Arc::new(render));
        self
    }

    /// The OpenAPI `components` that operations of this mount refer to, as in
    /// `"$ref": "#/components/schemas/Book"`. In the document of the server their names begin with
    /// that of the instance.
    ///
    /// Where the mount renders errors, `responses.Error` says how they look: it stands at every
    /// operation for what the server itself refuses.
    #[must_use]
    pub fn components(mut self, components: Value) -> Self {
        self.info.components = Some(components);
        self
    }

    /// Takes double and trailing slashes seriously.
    #[must_use]
    pub fn strict_slashes(mut self) -> Self {
        self.info.slashes = Slashes::Strict;
        self
    }

    /// Authenticates also who asks for a path or a method that nobody has, below the prefix of this
    /// mount: strangers do not learn what there is. For mounts that authenticate by themselves and
    /// render their errors.
    #[must_use]
    pub fn hide_routes(mut self) -> Self {
        self.info.hides_routes = true;
        self
    }

    /// Gives its endpoints their OpenAPI operations, by method and path as they are written, such as
    /// `GET /books/:id`. Those that are not named keep what they have.
    #[must_use]
    pub fn operations(mut self, operations: &Value) -> Self {
        for (endpoint, info) in self.endpoints.iter_mut().zip(&mut self.info.endpoints) {
            let named = |method: &String| operations.get(format!("{method} {}", info.path));
            if let Some(operation) = info.methods.iter().find_map(named) {
                info.operation = Some(operation.clone());
                endpoint.info.operation = Some(operation.clone());
            }
        }
        self
    }

    /// Answers 404 instead of 405 to a method that a path does not have.
    #[must_use]
    pub fn method_mismatch_is_not_found(mut self) -> Self {
        self.info.method_mismatch = MethodMismatch::NotFound;
        self
    }
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mount")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// A handler that shares something with others:
///
/// ```
/// use std::sync::Arc;
///
/// use mortise_plugin_api::prelude::*;
/// use mortise_plugin_api::with_state;
///
/// struct Shelf(Vec<String>);
///
/// async fn books(shelf: Arc<Shelf>, _: EndpointCall) -> Result<Response> {
///     Response::json(&shelf.0)
/// }
///
/// fn mount(shelf: &Arc<Shelf>) -> Mount {
///     Mount::at_base().endpoint(Endpoint::get("/books", with_state(shelf, books)))
/// }
/// ```
pub fn with_state<S, H, F>(
    state: &Arc<S>,
    handle: H,
) -> impl Fn(EndpointCall) -> F + Send + Sync + 'static
where
    S: Send + Sync + 'static,
    H: Fn(Arc<S>, EndpointCall) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response>> + Send + 'static,
{
    let state = Arc::clone(state);
    move |call| handle(Arc::clone(&state), call)
}

// === impl PathPrefix ===

impl TryFrom<String> for PathPrefix {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let text = text.trim_end_matches('/');
        if text.is_empty() || text.starts_with('/') {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("{text:?} does not begin with `/`"))
    }
}

impl From<&str> for PathPrefix {
    /// For defaults: the text is taken as it is.
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// An endpoint for these methods.
    pub fn new<H, F>(methods: &[&str], path: impl Into<String>, handle: H) -> Self
    where
        H: Fn(EndpointCall) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        let info = EndpointInfo {
            methods: methods
                .iter()
                .map(|method| method.to_ascii_uppercase())
                .collect(),
            path: path.into(),
            public: false,
            operation: None,
        };
        Self {
            info,
            handle: Arc::new(move |call| Box::pin(handle(call))),
        }
    }

    /// An endpoint for GET.
    pub fn get<H, F>(path: impl Into<String>, handle: H) -> Self
    where
        H: Fn(EndpointCall) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        Self::new(&["GET"], path, handle)
    }

    /// An endpoint for DELETE.
    pub fn delete<H, F>(path: impl Into<String>, handle: H) -> Self
    where
        H: Fn(EndpointCall) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        Self::new(&["DELETE"], path, handle)
    }

    /// An endpoint for POST.
    pub fn post<H, F>(path: impl Into<String>, handle: H) -> Self
    where
        H: Fn(EndpointCall) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        Self::new(&["POST"], path, handle)
    }

    /// Open to everybody: exactly these methods of exactly this path.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.info.public = true;
        self
    }

    /// Its OpenAPI operation, without path and method: what it takes and answers.
    ///
    /// The server adds what it does itself: path parameters that are missing, what it may refuse
    /// with, and `security` where it asks for credentials. A mount that authenticates by itself
    /// names one of its own `securitySchemes`.
    ///
    /// ```
    /// # use mortise_plugin_api::prelude::*;
    /// let find = Endpoint::get("/books/:id", |_| async { Response::json(&json!({ "id": "7" })) })
    ///     .operation(json!({
    ///         "operationId": "findBook",
    ///         "summary": "A book",
    ///         "responses": {
    ///             "200": {
    ///                 "description": "The book",
    ///                 "content": { "application/json": {
    ///                     "schema": { "$ref": "#/components/schemas/Book" },
    ///                 } },
    ///             },
    ///         },
    ///     }));
    /// ```
    #[must_use]
    pub fn operation(mut self, operation: Value) -> Self {
        self.info.operation = Some(operation);
        self
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

// === impl EndpointCall ===

impl EndpointCall {
    pub(crate) fn new(request: Request, body: Body) -> Self {
        Self { request, body }
    }

    /// A path parameter, as it was sent; empty where the path has none of this name.
    pub fn param(&self, name: &str) -> &str {
        self.request.param(name).unwrap_or_default()
    }

    /// Who is asking.
    pub fn principal(&self) -> Principal {
        self.request.principal().unwrap_or_default()
    }

    /// The body as JSON of this form, of a client that says that it is JSON.
    ///
    /// The server's limit of bodies holds, and no other.
    ///
    /// # Errors
    /// `UNSUPPORTED_MEDIA_TYPE` for another content type, `BAD_REQUEST` without an issue for what
    /// is no JSON, and `BAD_REQUEST` with an issue that names the place for what does not fit `T`.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let kind = self.request.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let message = "Content-Type must be application/json.";
            return Err(Error::new("UNSUPPORTED_MEDIA_TYPE", message));
        }
        let bytes = self.body.bytes(usize::MAX).await?;
        let body: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Error::bad_request(format!("The body is no JSON: {error}.")))?;
        fitting(body)
    }

    /// The body of a client whose content type contains this one: JSON as it is, a form as an
    /// object of texts, anything else as a text.
    ///
    /// # Errors
    /// `BAD_REQUEST` for another content type, and for what is not of this kind.
    pub async fn content(self, wanted: &str) -> Result<Value> {
        let kind = self.request.header("content-type").unwrap_or_default();
        if !kind.to_ascii_lowercase().contains(wanted) {
            let message = format!("The content type is '{kind}', and must contain '{wanted}'.");
            return Err(Error::bad_request(message));
        }
        let bytes = self.body.bytes(usize::MAX).await?;
        if wanted.contains("json") {
            return serde_json::from_slice(&bytes)
                .map_err(|error| Error::bad_request(format!("The body is no JSON: {error}.")));
        }
        let text = String::from_utf8(bytes.into())
            .map_err(|_| Error::bad_request("The body is no text in UTF-8."))?;
        if wanted.contains("x-www-form-urlencoded") {
            let fields = form_pairs(&text).map(|(name, value)| (name, value.into()));
            return Ok(Value::Object(fields.collect()));
        }
        Ok(text.into())
    }
}

/// A place as a JSON pointer.
pub(crate) fn pointer(place: &serde_path_to_error::Path) -> String {
    let segments = place.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{key}")),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    segments.collect()
}

/// The value as a `T`, or what is wrong and where.
fn fitting<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut path = pointer(error.path());
        let mut message = error.inner().to_string();
        // serde names a field that is missing between backticks, and where it would belong.
        let missing = message.strip_prefix("missing field `");
        if let Some(field) = missing.and_then(|rest| rest.split('`').next()) {
            path = format!("{path}/{field}");
            "is required".clone_into(&mut message);
        }
        let place = if path.is_empty() { "it" } else { &path };
        Error::bad_request(format!(
            "The body is not what is expected: {place}: {message}."
        ))
        .with_issue(path, message)
    })
}

// === impl RouteError ===

impl RouteError {
    /// An error with the status that the host would answer.
    pub fn new(status: u16, error: &Error) -> Self {
        Self {
            status,
            code: error.code().unwrap_or("INTERNAL").to_owned(),
            message: error.message().to_owned(),
            context: error.context().cloned().map(Value::Object),
            issues: error.issues().to_vec(),
            request: None,
        }
    }

    /// With the request.
    #[must_use]
    pub fn with_request(mut self, request: RouteRequest) -> Self {
        self.request = Some(request);
        self
    }
}

// === impl RouteRequest ===

impl RouteRequest {
    /// A request with those of its headers that are text.
    pub fn new(
        id: impl Into<String>,
        path: impl Into<String>,
        headers: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self {
            id: id.into(),
            path: path.into(),
            headers: headers.into_iter().collect(),
        }
    }

    /// The first value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        Some(value)
    }
}

impl fmt::Debug for RouteRequest {
    // Headers hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteRequest")
            .field("id", &self.id)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "read for its errors")]
    struct Order {
        books: Vec<Book>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "read for its errors")]
    struct Book {
        id: u32,
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        let wrong = |value: Value| {
            let error = fitting::<Order>(value).unwrap_err();
            assert_eq!(error.code(), Some("BAD_REQUEST"));
            let [issue] = error.issues() else {
                panic!("one thing is wrong");
            };
            (issue.path.clone(), issue.message.clone())
        };
        let (path, message) = wrong(json!({ "books": [{ "id": 1 }, { "id": "x" }] }));
        assert_eq!(path, "/books/1/id");
        assert!(message.contains("expected u32"), "{message}");
        let missing = |path: &str| (path.to_owned(), "is required".to_owned());
        assert_eq!(wrong(json!({ "books": [{}] })), missing("/books/0/id"));
        assert_eq!(wrong(json!({})), missing("/books"));
        assert_eq!(wrong(json!([])).0, "");
    }
}
