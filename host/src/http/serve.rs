//! The loop that accepts connections, and what each connection is held to.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::activity::{Activity, Overdue, Waits, Watched};
use super::connections::{Connections, Standing};
use super::layers;
use super::sending::{self, Answer, Streams};
use super::state::HttpState;
use super::tls::Tls;

/// What a connection may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long a client may take to send a request head; for the first one, TLS included.
    pub(crate) header_timeout: Duration,
    /// How long a connection may stay open between requests.
    pub(crate) idle_timeout: Duration,
    /// How long a client may take nothing of what is sent to it.
    pub(crate) write_timeout: Duration,
    /// The size of all headers of a request.
    pub(crate) header_limit: usize,
    pub(crate) uri_limit: usize,
}

/// An address that is listened on, and what is served there.
pub(crate) struct Entrance {
    pub(crate) address: SocketAddr,
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<Tls>,
    pub(crate) state: Arc<HttpState>,
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entrance")
            .field("address", &self.address)
            .field("is_tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

/// What the connections of one entrance share.
struct Shared {
    tls: Option<Tls>,
    state: Arc<HttpState>,
    builder: auto::Builder<Streams>,
    limits: Limits,
}

/// A connection that was accepted.
#[derive(Clone)]
struct Connection {
    peer: SocketAddr,
    activity: Arc<Activity>,
    standing: Standing,
}

/// How long the loop rests after an error of the system, such as too many open files.
const REST: Duration = Duration::from_millis(100);
/// A peer that does not answer a ping for this long has gone.
const PING: Duration = Duration::from_secs(20);
/// How long a peer with HTTP/2 may take to see that its connection ends.
const GOODBYE: Duration = Duration::from_secs(1);

/// How many requests one HTTP/2 connection may have under way.
const MAX_STREAMS: u32 = 100;
/// How much a stream, and a whole connection, may send before it is read.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const SEND_BUFFER: usize = 256 * 1024;
/// How many streams a peer may open and reset before they were looked at.
const RESETS_BY_PEER: usize = 20;
/// How many streams may be reset because of what a peer sends in them.
const RESETS_BY_US: usize = 100;
/// hyper reads at least so much of a head.
const LEAST_HEAD: usize = 8 * 1024;

/// Accepts connections until the server is told to stop.
///
/// Connections are tasks of the state's [`Tasks`](crate::shutdown::Tasks): they end with the
/// requests they have, or with the grace period.
pub(crate) async fn serve(entrance: Entrance, connections: Arc<Connections>, limits: Limits) {
    let Entrance {
        address: _,
        listener,
        tls,
        state,
    } = entrance;
    let tasks = state.tasks.clone();
    let stopping = tasks.stopping().clone();
    let shared = Arc::new(Shared {
        tls,
        builder: builder(limits, &state),
        state,
        limits,
    });
    while let Some(accepted) = stopping.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                tracing::error!(%error, "cannot accept connections");
                connections.make_room();
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        // A socket for both families tells IPv4 peers in the form of IPv6.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let activity = Activity::new();
        let Some(place) = connections.admit(peer.ip(), &activity) else {
            tracing::debug!(%peer, "closed one connection too many");
            continue;
        };
        let connection = Connection {
            peer,
            activity,
            standing: place.standing,
        };
        // In a box: a future around it would have room for it twice.
        let served = Box::pin(served(Arc::clone(&shared), stream, connection));
        tasks.spawn(async move {
            served.await;
            drop(place);
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

fn builder(limits: Limits, state: &HttpState) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(Streams {
        tasks: state.tasks.clone(),
        patience: limits.write_timeout,
    });
    builder
        .http1()
        .timer(TokioTimer::new())
        // Its timer would also run between requests; `Overdue` tells the two apart.
        .header_read_timeout(None)
        .max_buf_size((limits.header_limit + limits.uri_limit).max(LEAST_HEAD))
        .keep_alive(true)
        // A client that closes its side has gone: its request is dropped, and its run with it.
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS_BY_PEER)
        .max_local_error_reset_streams(RESETS_BY_US)
        .max_header_list_size(u32::try_from(limits.header_limit).unwrap_or(u32::MAX));
    builder
}

async fn served(shared: Arc<Shared>, stream: TcpStream, connection: Connection) {
    prepare(&stream, &connection, shared.limits.write_timeout);
    let Some(tls) = &shared.tls else {
        return Box::pin(drive(&shared, stream, &connection)).await;
    };
    let peer = connection.peer;
    let handshake = tokio::select! {
        handshake = Box::pin(tls.accept(stream)) => handshake,
        () = tokio::time::sleep(shared.limits.header_timeout) => {
            return tracing::debug!(%peer, "closed a connection that took too long for TLS");
        }
        () = connection.activity.evicted() => return,
        () = shared.state.tasks.stopping().cancelled() => return,
    };
    match handshake {
        Ok(stream) => Box::pin(drive(&shared, stream, &connection)).await,
        Err(error) => tracing::debug!(%peer, %error, "no TLS with this peer"),
    }
}

/// Sets what the system does for a connection.
fn prepare(stream: &TcpStream, connection: &Connection, write_timeout: Duration) {
    let peer = connection.peer;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
    }
    // Also covers what this process has handed over already: an answer that nobody reads, and a
    // peer that has vanished. A stream that is merely silent has nothing to be taken.
    // The system counts in a signed number of 32 bits.
    let timeout = u32::try_from(write_timeout.as_millis()).unwrap_or(u32::MAX);
    let timeout = timeout.min(i32::MAX.unsigned_abs());
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, timeout) {
        tracing::debug!(%peer, %error, "cannot set TCP_USER_TIMEOUT");
    }
}

/// What ends a connection, or begins to.
enum Turn {
    Ended(Result<(), Box<dyn std::error::Error + Send + Sync>>),
    Overdue,
    Evicted,
    Stopping,
}

async fn drive<I>(shared: &Arc<Shared>, stream: I, connection: &Connection)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Connection {
        peer,
        activity,
        standing,
    } = connection;
    let service = service_fn(|request| answer(Arc::clone(shared), request, connection.clone()));
    let io = TokioIo::new(Watched::new(stream, Arc::clone(activity)));
    let mut serving = pin!(shared.builder.serve_connection(io, service));
    let waits = Waits {
        head: shared.limits.header_timeout,
        idle: shared.limits.idle_timeout,
    };
    let mut overdue = Overdue::new(Arc::clone(activity), waits);
    let mut is_ending = false;
    let ended = loop {
        let turn = tokio::select! {
            biased;
            turn = poll_fn(|context| {
                if let Poll::Ready(ended) = serving.as_mut().poll(context) {
                    return Poll::Ready(Turn::Ended(ended));
                }
                // After the connection was polled, which changes its activity.
                if *standing == Standing::Spare && activity.has_asked() && !is_ending {
                    return Poll::Ready(Turn::Stopping);
                }
                overdue.poll(context).map(|()| Turn::Overdue)
            }) => turn,
            () = shared.state.tasks.stopping().cancelled(), if !is_ending => Turn::Stopping,
            () = activity.evicted() => Turn::Evicted,
        };
        match turn {
            Turn::Ended(ended) => break ended,
            Turn::Stopping => {
                is_ending = true;
                serving.as_mut().graceful_shutdown();
            }
            Turn::Evicted if !activity.is_idle() => {
                // A request came in between. It is answered, and is the last.
                is_ending = true;
                serving.as_mut().graceful_shutdown();
            }
            Turn::Overdue | Turn::Evicted => {
                tracing::debug!(%peer, has_asked = activity.has_asked(), "closed an idle connection");
                serving.as_mut().graceful_shutdown();
                // HTTP/2 says goodbye; HTTP/1 has nothing to say and has ended.
                let _ = tokio::time::timeout(GOODBYE, serving).await;
                return;
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error = %cause_chain(&*error), "the connection broke");
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: hyper::Request<Incoming>,
    connection: Connection,
) -> Answer {
    let under_way = connection.activity.begin(request.version());
    let mut request = request.map(Body::new);
    if connection.standing == Standing::Spare {
        request.extensions_mut().insert(Standing::Spare);
    }
    let answered = layers::answer(Arc::clone(&shared.state), request, connection.peer);
    Ok(sending::watched(answered.await, under_way))
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
