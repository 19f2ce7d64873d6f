//! Mounts: a plugin's HTTP routes under one prefix.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backend::BoxFuture;
use crate::endpoint::{Endpoint, EndpointInfo};
use crate::error::Result;
use crate::hook::GuardVerdict;
use crate::request::Request;
use crate::response::Response;
use crate::route_error::RouteError;

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
