//! Servers over HTTP.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::ExponentialBackoff;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;

use crate::config::Remote;
use crate::connection::LONGEST_MESSAGE;
use crate::error::ConnectError;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);

pub(crate) fn transport(
    remote: &Remote,
) -> Result<StreamableHttpClientTransport<reqwest::Client>, ConnectError> {
    let mut config = StreamableHttpClientTransportConfig::with_uri(remote.url.as_str())
        .custom_headers(remote.headers.clone())
        .max_sse_event_size(LONGEST_MESSAGE);
    if let Some(token) = &remote.token {
        config = config.auth_header(token.trim());
    }
    // The stream of notifications: without it everything works but for news of the lists.
    let mut retry = ExponentialBackoff::default();
    retry.max_delay = Some(Duration::from_secs(60));
    config.retry_config = Arc::new(retry);
    Ok(StreamableHttpClientTransport::with_client(
        client(remote)?,
        config,
    ))
}

fn client(remote: &Remote) -> Result<reqwest::Client, ConnectError> {
    // An error means that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("mortise-mcp/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_LIMIT)
        // A redirection would carry headers to whom they are not meant for.
        .redirect(Policy::none());
    let builder = if remote.ca.is_empty() {
        builder
    } else {
        builder.tls_certs_only(remote.ca.iter().cloned())
    };
    builder
        .build()
        .map_err(|error| ConnectError::Client(error.without_url().to_string()))
}
