//! The error of the SDK: a code for clients, a sentence, and whether to try again.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::problem::Problem;

/// The result of everything that may fail in a plugin.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something did not work.
///
/// An error **with a code** is meant for the client: its message, context and retryability are
/// shown. An error **without a code** is an internal failure: clients read a masked `INTERNAL`
/// error, the model reads that the tool failed, and the message goes to the log only. Every
/// `std::error::Error` becomes one of the second kind through `?`:
///
/// ```
/// use mortise_plugin_api::{Error, Result};
///
/// fn parse(text: &str) -> Result<u32> {
///     let number: u32 = text.parse()?; // internal: nobody outside reads why
///     if number > 100 {
///         return Err(Error::new("CONFLICT", "the shelf holds at most 100 books"));
///     }
///     Ok(number)
/// }
///
/// assert_eq!(parse("200").unwrap_err().code(), Some("CONFLICT"));
/// assert_eq!(parse("many").unwrap_err().code(), None);
/// ```
///
/// `Box<dyn std::error::Error + Send + Sync>` and `anyhow::Error` are none themselves: there, write
/// `.map_err(|error| Error::internal(format!("{error:#}")))?`. Clients are shown nothing of it either.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Error {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) retryable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // Boxed, so that a `Result` stays small.
    pub(crate) context: Option<Box<Map<String, Value>>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) issues: Vec<Issue>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) refusal: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
}

/// One thing that is wrong with a value, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// What is wrong.
    pub message: String,
    /// Where: a JSON pointer, `/` for the whole value.
    pub path: String,
}

// === impl Error ===

impl Error {
    /// The code of a panic that was contained.
    pub const PANIC: &'static str = "PANIC";
    /// The code of a service that this host does not offer, or not now.
    pub const UNAVAILABLE: &'static str = "UNAVAILABLE";
    /// The code of a setting that is wrong.
    pub const CONFIG: &'static str = "CONFIG";
    /// The code of a tool's failure that has none of its own.
    pub const TOOL: &'static str = "TOOL_EXECUTION_FAILED";
    /// The code of a call that was not approved.
    pub const DENIED: &'static str = "DENIED";
    /// The code of whatever was cancelled.
    pub const ABORTED: &'static str = "ABORTED";
    /// The code that clients read of a failure whose text stays inside.
    pub const INTERNAL: &'static str = "INTERNAL";

    /// An error for the client, with a stable code in upper case such as `CONFLICT`.
    ///
    /// `RATE_LIMITED`, `UPSTREAM_FAILED`, `TIMEOUT` and `UNAVAILABLE` are retryable unless
    /// [`with_retryable`](Self::with_retryable) says otherwise.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        let code = code.into();
        let retryable = matches!(
            code.as_str(),
            "RATE_LIMITED" | "UPSTREAM_FAILED" | "TIMEOUT" | "UNAVAILABLE"
        );
        Self {
            code: Some(code),
            message: message.into(),
            retryable,
            context: None,
            issues: Vec::new(),
            refusal: false,
            status: None,
        }
    }

    /// What a hook fails a run with on purpose: the client reads this code and message, whatever
    /// `on_error` says of failures of the hook.
    ///
    /// For any stage of a run. A guard answers [`GuardVerdict::Respond`](crate::GuardVerdict)
    /// instead. `FORBIDDEN`, `RATE_LIMITED`, `GUARDRAIL_INPUT_BLOCKED` and
    /// `GUARDRAIL_OUTPUT_BLOCKED` are codes that clients may know. Any code will do; its status is that
    /// of [`status`](Self::status).
    pub fn refusal(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            refusal: true,
            ..Self::new(code, message)
        }
    }

    /// An internal failure: clients see a masked error, the log sees the message.
    pub fn internal(message: impl Into<String>) -> Self {
        Self {
            code: None,
            message: message.into(),
            retryable: false,
            context: None,
            issues: Vec::new(),
            refusal: false,
            status: None,
        }
    }

    /// 400: the request cannot be served as it is.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new("BAD_REQUEST", message)
    }

    /// 404: there is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new("NOT_FOUND", message)
    }

    /// 422: a value does not fit its schema.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new("VALIDATION_FAILED", message)
    }

    /// For [`Plugin::create`](crate::Plugin::create): a setting that its schema allows and that is
    /// wrong all the same. The operator is shown the place in the file.
    ///
    /// `path` is a JSON pointer into the plugin's `config` table, and the message follows the
    /// setting's name: `Error::config("/prefix", "does not begin with a slash")`. It stands in the
    /// log, so it shows no secret.
    pub fn config(path: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::new(Self::CONFIG, message.clone()).with_issue(path, message)
    }

    /// 502: a service that this one depends on failed.
    pub fn upstream(message: impl Into<String>) -> Self {
        Self::new("UPSTREAM_FAILED", message)
    }

    /// What a tool tells the model of a call that failed, and no more: not whether to try again.
    ///
    /// Clients that watch the run read it too. A tool may as well fail with any other code; of an
    /// error without a code the model reads only that the tool failed, and the log reads why.
    pub fn tool(message: impl Into<String>) -> Self {
        Self::new(Self::TOOL, message)
    }

    /// 504: a deadline passed.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new("TIMEOUT", message)
    }

    /// 499: the run was cancelled.
    pub fn aborted(message: impl Into<String>) -> Self {
        Self::new(Self::ABORTED, message)
    }

    /// 503: the host does not offer this, or not now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Self::UNAVAILABLE, message)
    }

    /// What a run failed with, from the problem in its last event.
    pub(crate) fn of_problem(problem: &Value) -> Self {
        let message = failure_of(problem);
        let code = problem["code"]
            .as_str()
            .filter(|code| *code != Self::INTERNAL);
        let Some(code) = code else {
            return Self::internal(message);
        };
        let context = problem["context"].as_object().cloned();
        let status = problem["status"]
            .as_u64()
            .and_then(|it| u16::try_from(it).ok());
        let error = Self {
            retryable: problem["retryable"] == true,
            context: context.map(Box::new),
            ..Self::new(code, message)
        };
        match status.filter(|status| *status != error.status()) {
            Some(status) => error.with_status(status),
            None => error,
        }
    }

    /// Says whether the same call may succeed later.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// The status that clients read, from 400 to 599, where it is not that of the code.
    ///
    /// Any other number is no status of an error, and changes nothing. What is masked stays 500.
    ///
    /// ```
    /// use mortise_plugin_api::Error;
    ///
    /// let lent = Error::new("BOOK_LENT", "the book is lent already");
    /// assert_eq!(lent.status(), 500); // the server does not know the code
    /// assert_eq!(lent.with_status(409).status(), 409);
    /// ```
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        if (400..=599).contains(&status) {
            self.status = Some(status);
        }
        self
    }

    /// Adds a value to the context that clients are shown.
    #[must_use]
    pub fn with_context(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.context
            .get_or_insert_default()
            .insert(key.into(), value.into());
        self
    }

    /// Adds one thing that is wrong with a value.
    #[must_use]
    pub fn with_issue(mut self, path: impl Into<String>, message: impl Into<String>) -> Self {
        self.issues.push(Issue {
            message: message.into(),
            path: path.into(),
        });
        self
    }

    /// The stable code, `None` for internal failures.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The code that clients read: [`INTERNAL`](Self::INTERNAL) for a panic and for what has none.
    pub fn public_code(&self) -> &str {
        match self.code() {
            Some(code) if code != Self::PANIC => code,
            _ => Self::INTERNAL,
        }
    }

    /// The status that clients read: its own, or what its code
    /// [means](crate::Problem::meaning).
    pub fn status(&self) -> u16 {
        match self.public_code() {
            Self::INTERNAL => 500,
            code => self.status.unwrap_or_else(|| Problem::meaning(code).0),
        }
    }

    /// The error as clients may read it: a panic, or what has no code, is masked.
    ///
    /// For whoever writes errors into answers of its own. The server does this to what an endpoint
    /// returns, and to what a mount renders.
    #[must_use]
    pub fn for_clients(&self) -> Self {
        if self.public_code() == Self::INTERNAL {
            return Self::new(Self::INTERNAL, "Server request failed.");
        }
        self.clone()
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// Whether a hook fails a run with this on purpose.
    pub fn is_refusal(&self) -> bool {
        self.refusal
    }

    /// Whether this is a contained panic.
    pub fn is_panic(&self) -> bool {
        self.code() == Some(Self::PANIC)
    }

    /// What clients are shown beside the message.
    pub fn context(&self) -> Option<&Map<String, Value>> {
        self.context.as_deref()
    }

    /// What is wrong with the value, one by one.
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// The same error with another message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{} ({code})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("code", &self.code)
            .field("message", &self.message)
            .field("retryable", &self.retryable)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

// `Error` itself is no `std::error::Error`, as otherwise this conversion would overlap with the
// reflexive one.
impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::internal(message)
    }
}

/// Why a run failed, from the problem in its last event: as it was said, before the server put words
/// in front of it.
pub(crate) fn failure_of(problem: &Value) -> &str {
    let detail = problem["detail"].as_str().unwrap_or_default();
    detail.strip_prefix("Run failed: ").unwrap_or(detail)
}
