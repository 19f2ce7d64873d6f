//! The loop that accepts connections, and what each connection is held to.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::layers;
use super::state::HttpState;
use crate::shutdown::Tasks;

/// What a connection may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long a client may take to send a request head.
    pub(crate) header_timeout: Duration,
    /// How many connections are open at once; more wait to be accepted.
    pub(crate) max_connections: usize,
}

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    #[error("port {port} of {host} is in use by another program")]
    Busy { host: String, port: u16 },
    #[error("none of the ports {ports:?} of {host} is free")]
    AllBusy { host: String, ports: Vec<u16> },
    #[error("{host}:{port} is no address to listen on")]
    Refused {
        host: String,
        port: u16,
        #[source]
        source: std::io::Error,
    },
}

/// Runs the requests of HTTP/2 connections, so that a shutdown waits for them too.
#[derive(Clone)]
struct TrackedStreams(Tasks);

/// How long the loop rests after an error of the system, such as too many open files.
const REST: Duration = Duration::from_millis(100);
/// How many requests one HTTP/2 connection may have under way.
const MAX_STREAMS: u32 = 250;
const MAX_HEADER_LIST: u32 = 16 * 1024;
/// A peer that does not answer a ping for this long has gone.
const PING: Duration = Duration::from_secs(20);

/// Listens on the port, or on the first free one of `ports` where there are any.
pub(crate) async fn bind(host: &str, port: u16, ports: &[u16]) -> Result<TcpListener, BindError> {
    if ports.is_empty() {
        return bind_one(host, port).await;
    }
    for &port in ports {
        match bind_one(host, port).await {
            Err(BindError::Busy { .. }) => {
                tracing::warn!(host, port, "the port is in use; trying the next");
            }
            bound_or_refused => return bound_or_refused,
        }
    }
    Err(BindError::AllBusy {
        host: host.to_owned(),
        ports: ports.to_vec(),
    })
}

async fn bind_one(host: &str, port: u16) -> Result<TcpListener, BindError> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let name = bare.unwrap_or(host);
    TcpListener::bind((name, port)).await.map_err(|source| {
        let host = host.to_owned();
        if source.kind() == std::io::ErrorKind::AddrInUse {
            BindError::Busy { host, port }
        } else {
            BindError::Refused { host, port, source }
        }
    })
}

/// Accepts connections until the server is told to stop.
///
/// Connections are tasks of the state's [`Tasks`](crate::shutdown::Tasks): they end with the
/// requests they have, or with the grace period.
pub(crate) async fn serve(listener: TcpListener, state: Arc<HttpState>, limits: Limits) {
    let connections = Arc::new(Semaphore::new(
        limits.max_connections.min(Semaphore::MAX_PERMITS),
    ));
    let builder = Arc::new(builder(limits, state.tasks.clone()));
    let stopping = state.tasks.stopping().clone();
    loop {
        let accepted = stopping.run_until_cancelled(async {
            // The place comes first: a connection that has none stays in the system's queue.
            let place = Arc::clone(&connections).acquire_owned().await;
            (place, listener.accept().await)
        });
        let (place, stream, peer) = match accepted.await {
            None => return,
            Some((place, Ok((stream, peer)))) => (place, stream, peer),
            Some((_, Err(error))) if is_of_one_connection(&error) => continue,
            Some((_, Err(error))) => {
                tracing::error!(%error, "cannot accept connections");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        // A socket for both families tells IPv4 peers in the form of IPv6.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        state.tasks.spawn(connection(
            stream,
            peer,
            Arc::clone(&builder),
            Arc::clone(&state),
            limits.header_timeout,
            place,
        ));
    }
}

impl<F> hyper::rt::Executor<F> for TrackedStreams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, request: F) {
        self.0.spawn(async move {
            request.await;
        });
    }
}

fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

fn builder(limits: Limits, tasks: Tasks) -> auto::Builder<TrackedStreams> {
    let mut builder = auto::Builder::new(TrackedStreams(tasks));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .keep_alive(true)
        // A client that closes its side has gone: its request is dropped, and its run with it.
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST);
    builder
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    builder: Arc<auto::Builder<TrackedStreams>>,
    state: Arc<HttpState>,
    header_timeout: Duration,
    _place: Result<OwnedSemaphorePermit, AcquireError>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
    }
    let stopping = state.tasks.stopping().clone();
    let has_asked = AtomicBool::new(false);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        has_asked.store(true, Ordering::Relaxed);
        let answered = layers::answer(Arc::clone(&state), request.map(Body::new), peer);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // hyper's timeout begins with the protocol, which it does not know before the first bytes.
    let mut silence = pin!(tokio::time::sleep(header_timeout));
    let mut is_watched = true;
    let mut is_stopping = false;
    let ended = loop {
        tokio::select! {
            ended = serving.as_mut() => break ended,
            () = silence.as_mut(), if is_watched => {
                if !has_asked.load(Ordering::Relaxed) {
                    tracing::debug!(%peer, "closed a silent connection");
                    return;
                }
                is_watched = false;
            }
            () = stopping.cancelled(), if !is_stopping => {
                is_stopping = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error = %cause_chain(&*error), "the connection broke");
    }
}

fn cause_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_port_is_named() {
        let taken = bind("127.0.0.1", 0, &[]).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind("127.0.0.1", port, &[]).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("port {port} of 127.0.0.1 is in use by another program")
        );
        let next = bind("[127.0.0.1]", 1, &[port, 0]).await.unwrap();
        assert_ne!(next.local_addr().unwrap().port(), port);
        let error = bind("127.0.0.1", 0, &[port, port]).await.unwrap_err();
        assert!(matches!(error, BindError::AllBusy { .. }));
    }

    #[tokio::test]
    async fn an_address_of_others_is_refused() {
        let error = bind("192.0.2.1", 0, &[]).await.unwrap_err();
        assert!(matches!(error, BindError::Refused { .. }));
    }
}
