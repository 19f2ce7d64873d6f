//! Endpoints: the routes of a mount, and what a call of one brings.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, forward_to_deserialize_any};
use serde_json::Value;

use crate::backend::BoxFuture;
use crate::body::Body;
use crate::error::{Error, Result};
use crate::pointer;
use crate::principal::Principal;
use crate::request::{Request, form_pairs};
use crate::response::Response;

/// One route: methods, a path, and what answers.
#[derive(Clone)]
pub struct Endpoint {
    pub(crate) info: EndpointInfo,
    pub(crate) handle: Handle,
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

/// A call of an endpoint.
#[derive(Debug)]
#[non_exhaustive]
pub struct EndpointCall {
    /// The request: path parameters, query, headers, principal.
    pub request: Request,
    /// Its body, untouched.
    pub body: Body,
}

pub(crate) type Handle =
    Arc<dyn Fn(EndpointCall) -> BoxFuture<'static, Result<Response>> + Send + Sync>;

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

    /// An endpoint for PUT.
    pub fn put<H, F>(path: impl Into<String>, handle: H) -> Self
    where
        H: Fn(EndpointCall) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        Self::new(&["PUT"], path, handle)
    }

    /// An endpoint for PATCH.
    pub fn patch<H, F>(path: impl Into<String>, handle: H) -> Self
    where
        H: Fn(EndpointCall) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        Self::new(&["PATCH"], path, handle)
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
    /// It documents and checks nothing: a body that its schema does not allow reaches the endpoint.
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

    /// A path parameter, as it was sent: of `/a%20b` it is `a%20b`, and
    /// [`decoded_param`](Request::decoded_param) is `a b`. Empty where the path has none of this
    /// name.
    pub fn param(&self, name: &str) -> &str {
        self.request.param(name).unwrap_or_default()
    }

    /// Who is asking.
    pub fn principal(&self) -> Principal {
        self.request.principal().unwrap_or_default()
    }

    /// The body as JSON of this form, of a client that says that it is JSON.
    ///
    /// The server's limit of bodies holds, and no other. The body is read once: what is left of the
    /// call is the request.
    ///
    /// # Errors
    /// `UNSUPPORTED_MEDIA_TYPE` for another content type, `BAD_REQUEST` without an issue for what
    /// is no JSON, and `BAD_REQUEST` with an issue that names the place for what does not fit `T`.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        let kind = self.request.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let message = "Content-Type must be application/json.";
            return Err(Error::new("UNSUPPORTED_MEDIA_TYPE", message));
        }
        self.take_body().json().await
    }

    /// The body of a client whose content type contains this one: JSON as it is, a form as an
    /// object of texts, anything else as a text.
    ///
    /// # Errors
    /// `BAD_REQUEST` for another content type, and for what is not of this kind.
    pub async fn content(&mut self, wanted: &str) -> Result<Value> {
        let kind = self.request.header("content-type").unwrap_or_default();
        let lower = wanted.to_ascii_lowercase();
        if !kind.to_ascii_lowercase().contains(&lower) {
            let message = format!("The content type is '{kind}', and must contain '{wanted}'.");
            return Err(Error::bad_request(message));
        }
        let bytes = self.take_body().bytes(usize::MAX).await?;
        if lower.contains("json") {
            return serde_json::from_slice(&bytes)
                .map_err(|error| Error::bad_request(format!("The body is no JSON: {error}.")));
        }
        let text = String::from_utf8(bytes.into())
            .map_err(|_| Error::bad_request("The body is no text in UTF-8."))?;
        if lower.contains("x-www-form-urlencoded") {
            let fields = form_pairs(&text).map(|(name, value)| (name, value.into()));
            return Ok(Value::Object(fields.collect()));
        }
        Ok(text.into())
    }

    fn take_body(&mut self) -> Body {
        std::mem::replace(&mut self.body, Body::empty())
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

/// The value as a `T`, or what `refuse` says of what is wrong and where.
pub(crate) fn fitting<T: DeserializeOwned>(
    value: Value,
    refuse: impl FnOnce(String) -> Error,
) -> Result<T> {
    serde_path_to_error::deserialize(Whole(value)).map_err(|error| {
        let mut path = pointer::of_place(error.path());
        let mut message = error.inner().to_string();
        // serde names a field that is missing between backticks, and where it would belong.
        let missing = message.strip_prefix("missing field `");
        if let Some(field) = missing.and_then(|rest| rest.split('`').next()) {
            path = format!("{path}/{}", pointer::escaped(field));
            "is required".clone_into(&mut message);
        }
        let place = if path.is_empty() { "it" } else { &path };
        refuse(format!("{place}: {message}.")).with_issue(path, message)
    })
}

/// A whole body: where an object is wanted, it is one. serde also takes a list, for the members in
/// their order, and speaks of Rust's types.
struct Whole(Value);

// === impl Whole ===

impl Whole {
    fn object(self) -> Result<Value, serde_json::Error> {
        let error = || serde_json::Error::custom("must be a JSON object");
        Some(self.0).filter(Value::is_object).ok_or_else(error)
    }
}

impl<'de> Deserializer<'de> for Whole {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.object()?.deserialize_map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.object()?.deserialize_struct(name, fields, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.0.deserialize_option(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct identifier ignored_any
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
            let error = fitting::<Order>(value, Error::bad_request).unwrap_err();
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
        for other in [json!([[{ "id": 1 }]]), json!([]), json!(7), Value::Null] {
            let whole = (String::new(), "must be a JSON object".to_owned());
            assert_eq!(wrong(other), whole);
        }
        assert_eq!(
            fitting::<Vec<u8>>(json!([1, 2]), Error::bad_request).unwrap(),
            [1, 2]
        );
        assert_eq!(
            fitting::<Option<u8>>(Value::Null, Error::bad_request).unwrap(),
            None
        );
    }
}
