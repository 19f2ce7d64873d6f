//! The loop that accepts connections, and what each connection is held to.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

use super::activity::{Activity, Overdue, Waits, Watched};
use super::connections::{Connections, Standing};
use super::layers;
use super::sending::{Answer, Sending, Streams};
use super::state::HttpState;
use super::tls::Tls;

/// How long a connection may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// To send a request head; for the first one, TLS included.
    pub(crate) head: Duration,
    /// Between requests.
    pub(crate) idle: Duration,
    /// To take anything of what is sent.
    pub(crate) write: Duration,
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
    builders: Builders,
    timeouts: Timeouts,
}

/// What serves a connection, by its protocol. hyper-util's, which tells the two apart by itself,
/// would take 8 KiB more of each: hyper reads on behind the bytes that were looked at.
struct Builders {
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
}

/// What a client speaks, by its first bytes or the handshake of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
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
/// What a connection with HTTP/2 begins with.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long the rest of a preface is waited for before it is looked at again; twice as long each time,
/// up to the most.
const PREFACE_PAUSE: Duration = Duration::from_millis(5);
const PREFACE_PAUSE_MOST: Duration = Duration::from_millis(250);

/// Accepts connections until the server is told to stop.
///
/// Connections are tasks of the state's [`Tasks`](crate::shutdown::Tasks): they end with the
/// requests they have, or with the grace period.
pub(crate) async fn serve(entrance: Entrance, connections: Arc<Connections>, timeouts: Timeouts) {
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
        builders: Builders::new(timeouts, &state),
        state,
        timeouts,
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
        let served = served(Arc::clone(&shared), stream, connection);
        tasks.spawn(async move {
            served.await;
            drop(place);
        });
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

async fn served(shared: Arc<Shared>, stream: TcpStream, connection: Connection) {
    prepare(&stream, &connection, shared.timeouts.write);
    // Each in a box of its own, so that a connection has room for one of them at a time.
    let begun = Box::pin(begin(&shared, stream, &connection)).await;
    match begun {
        Some((Socket::Plain(stream), protocol)) => {
            speak(&shared, stream, protocol, &connection).await;
        }
        Some((Socket::Tls(stream), protocol)) => {
            speak(&shared, stream, protocol, &connection).await;
        }
        None => {}
    }
}

/// Answers the requests of a connection in the protocol of its client.
async fn speak<I>(shared: &Arc<Shared>, stream: I, protocol: Protocol, connection: &Connection)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // In a box: a connection keeps the room for it while the body is sent, and between requests.
    let service =
        service_fn(|request| Box::pin(answer(Arc::clone(shared), request, connection.clone())));
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&connection.activity)));
    match protocol {
        Protocol::Http1 => {
            let serving = shared.builders.http1.serve_connection(io, service);
            let end = http1::Connection::graceful_shutdown;
            Box::pin(drive(shared, serving, end, connection)).await;
        }
        Protocol::Http2 => {
            let serving = shared.builders.http2.serve_connection(io, service);
            let end = http2::Connection::graceful_shutdown;
            Box::pin(drive(shared, serving, end, connection)).await;
        }
    }
}

/// A connection as its requests are read from it.
enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Waits until the client shows what it speaks; `None` where the connection ends before.
async fn begin(
    shared: &Shared,
    stream: TcpStream,
    connection: &Connection,
) -> Option<(Socket, Protocol)> {
    let peer = connection.peer;
    let begun = tokio::select! {
        begun = first_words(shared, stream) => begun,
        () = tokio::time::sleep(shared.timeouts.head) => {
            tracing::debug!(%peer, "closed a connection that took too long to begin");
            return None;
        }
        () = connection.activity.evicted() => return None,
        () = shared.state.tasks.stopping().cancelled() => return None,
    };
    begun
        .inspect_err(|error| tracing::debug!(%peer, %error, "the connection did not begin"))
        .ok()
}

async fn first_words(shared: &Shared, stream: TcpStream) -> io::Result<(Socket, Protocol)> {
    let Some(tls) = &shared.tls else {
        let mut first = [0; PREFACE.len()];
        let mut pause = PREFACE_PAUSE;
        loop {
            let seen = stream.peek(&mut first).await?;
            if let Some(protocol) = Protocol::by_bytes(&first[..seen]) {
                return Ok((Socket::Plain(stream), protocol));
            }
            tokio::time::sleep(pause).await;
            pause = PREFACE_PAUSE_MOST.min(pause * 2);
        }
    };
    let stream = tls.accept(stream).await?;
    let protocol = Protocol::by_alpn(stream.get_ref().1.alpn_protocol());
    Ok((Socket::Tls(Box::new(stream)), protocol))
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
    Ended(hyper::Result<()>),
    Overdue,
    Evicted,
    Stopping,
}

async fn drive<C>(
    shared: &Arc<Shared>,
    serving: C,
    end: impl Fn(Pin<&mut C>),
    connection: &Connection,
) where
    C: Future<Output = hyper::Result<()>>,
{
    let Connection {
        peer,
        activity,
        standing,
    } = connection;
    let mut serving = pin!(serving);
    let waits = Waits {
        head: shared.timeouts.head,
        idle: shared.timeouts.idle,
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
                end(serving.as_mut());
            }
            Turn::Overdue | Turn::Evicted => {
                is_ending = true;
                end(serving.as_mut());
                // HTTP/2 says goodbye; HTTP/1 goes on reading its first head.
                match tokio::time::timeout(GOODBYE, serving.as_mut()).await {
                    Ok(ended) => break ended,
                    Err(_) if activity.is_idle() => {
                        tracing::debug!(%peer, has_asked = activity.has_asked(), "closed an idle connection");
                        return;
                    }
                    // A request came in between. It is answered, and is the last.
                    Err(_) => {}
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error = %cause_chain(&error), "the connection broke");
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
    Ok(Sending::of(answered.await, under_way))
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

// === impl Builders ===

impl Builders {
    fn new(timeouts: Timeouts, state: &HttpState) -> Self {
        let head = state.settings.head_limits;
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            // Its timer would also run between requests; `Overdue` tells the two apart.
            .header_read_timeout(None)
            .max_buf_size((head.headers + head.uri).max(LEAST_HEAD))
            .keep_alive(true)
            // A client that closes its side has gone: its request is dropped, and its run with it.
            .half_close(false);
        let mut http2 = http2::Builder::new(Streams {
            tasks: state.tasks.clone(),
            patience: timeouts.write,
        });
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(RESETS_BY_PEER)
            .max_local_error_reset_streams(RESETS_BY_US)
            .max_header_list_size(u32::try_from(head.headers).unwrap_or(u32::MAX));
        Self { http1, http2 }
    }
}

// === impl Protocol ===

impl Protocol {
    /// `None` while its first bytes could become either.
    fn by_bytes(first: &[u8]) -> Option<Self> {
        match PREFACE.strip_prefix(first) {
            Some([]) => Some(Self::Http2),
            // A connection that was closed at once has none.
            Some(_) if !first.is_empty() => None,
            _ => Some(Self::Http1),
        }
    }

    fn by_alpn(chosen: Option<&[u8]>) -> Self {
        if chosen == Some(b"h2") {
            Self::Http2
        } else {
            Self::Http1
        }
    }
}
