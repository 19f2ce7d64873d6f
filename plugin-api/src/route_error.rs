//! Errors as a mount renders them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Issue};

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

// === impl RouteError ===

impl RouteError {
    /// An error with the status that the host would answer.
    pub fn new(status: u16, error: &Error) -> Self {
        Self {
            status,
            code: error.public_code().to_owned(),
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
