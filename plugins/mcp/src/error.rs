//! What can go wrong with a server, in words that may be shown: no address, no header, no
//! environment.

use std::error::Error as StdError;
use std::time::Duration;

use mortise_plugin_api::Error;
use rmcp::ServiceError;
use rmcp::service::ClientInitializeError;
use rmcp::transport::streamable_http_client::StreamableHttpError;

/// Why there is no connection.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("cannot run {command:?}: {cause}")]
    Run { command: String, cause: String },
    #[error("cannot set up HTTP: {0}")]
    Client(String),
    #[error("no handshake: {0}")]
    Handshake(String),
    #[error("no list of tools: {0}")]
    List(String),
    #[error("it lists more than {0} tools; raise max_tools, or ask for a smaller server")]
    TooMany(usize),
    #[error("not connected within {0:?}")]
    Slow(Duration),
    #[error("its tools cannot be offered: {0}")]
    Offer(String),
}

type Http = StreamableHttpError<reqwest::Error>;

/// As much of a text of others as is worth reading.
const LONGEST: usize = 300;

/// A text of others, on one line and not too long.
pub(crate) fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Why the handshake failed.
pub(crate) fn of_handshake(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::TransportError { error, .. } => root(error),
        ClientInitializeError::ConnectionClosed(_) => "it has closed the connection".to_owned(),
        ClientInitializeError::JsonRpcError(error) => {
            format!(
                "it answers {:?} ({})",
                shortened(&error.message),
                error.code.0
            )
        }
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => of_handshake(fallback),
        ClientInitializeError::ExpectedInitResponse(_)
        | ClientInitializeError::ExpectedInitResult(_)
        | ClientInitializeError::ConflictInitResponseId(..)
        | ClientInitializeError::UncorrelatedErrorResponse { .. } => {
            "its answer is not what the protocol says".to_owned()
        }
        other => shortened(&other.to_string()),
    }
}

/// What went wrong with a request.
pub(crate) fn of_service(error: &ServiceError) -> String {
    match error {
        ServiceError::McpError(error) => {
            format!(
                "it answers {:?} ({})",
                shortened(&error.message),
                error.code.0
            )
        }
        ServiceError::TransportSend(error) => root(error),
        ServiceError::TransportClosed => "it has closed the connection".to_owned(),
        ServiceError::UnexpectedResponse => "its answer is not what the protocol says".to_owned(),
        other => shortened(&other.to_string()),
    }
}

/// Whether the connection may be broken.
pub(crate) fn breaks(error: &ServiceError) -> bool {
    matches!(
        error,
        ServiceError::TransportSend(_) | ServiceError::TransportClosed
    )
}

/// What the model reads of a call that failed.
pub(crate) fn of_call(server: &str, error: &ServiceError) -> Error {
    let cause = of_service(error);
    if breaks(error) {
        return Error::unavailable(format!(
            "The MCP server '{server}' was lost during the call, which may have had its effect: \
             {cause}."
        ));
    }
    Error::upstream(format!("The MCP server '{server}' failed: {cause}.")).with_retryable(false)
}

/// The innermost cause: the outer ones name addresses, which may hold secrets.
fn root(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    loop {
        // This one does not say that it has a cause.
        if let Some(Http::Client(cause)) = innermost.downcast_ref::<Http>() {
            innermost = cause;
        }
        let of_request = innermost.downcast_ref::<reqwest::Error>();
        if let Some(status) = of_request.and_then(reqwest::Error::status) {
            return format!("HTTP status {status}");
        }
        let Some(cause) = innermost.source() else {
            break;
        };
        innermost = cause;
    }
    match innermost.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_timeout() => "it does not answer".to_owned(),
        Some(_) => "the request failed".to_owned(),
        None => shortened(&innermost.to_string()),
    }
}
