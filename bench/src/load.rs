//! The load: connections that ask again as soon as they have read an answer to its end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use crate::{
    sample::Sample,
    say,
    wire::{Connection, Request},
};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A run with one short answer, as JSON.
    Json,
    /// A run of 64 tokens, as a stream.
    Stream,
    /// A run of 250 tokens, as a stream.
    LongStream,
}

/// `load ADDRESS KIND CONNECTIONS SECONDS [HEADER…]`: prints one sample.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let [address, kind, connections, seconds, headers @ ..] = arguments else {
        return Err(
            "load ADDRESS json|stream|long-stream CONNECTIONS SECONDS [HEADER…]".to_owned(),
        );
    };
    let wrong = |what: &str| format!("{what:?} is not what load expects");
    let address: SocketAddr = address.parse().map_err(|_| wrong(address))?;
    let kind = Kind::named(kind).ok_or_else(|| wrong(kind))?;
    let connections: usize = connections.parse().map_err(|_| wrong(connections))?;
    let seconds: u64 = seconds.parse().map_err(|_| wrong(seconds))?;
    let request = headers
        .iter()
        .fold(kind.request(), |request, header| request.header(header));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let driven = drive(
        address,
        request.to_text().into(),
        connections,
        Duration::from_secs(seconds),
    );
    let (times, took) = runtime
        .block_on(driven)
        .map_err(|error| format!("the load has failed: {error}"))?;
    let sample = Sample::of(times, took.as_secs_f64())
        .ok_or_else(|| "not one request was finished".to_owned())?;
    say(&sample.to_line());
    Ok(())
}

/// The milliseconds of every request, and how long all of them took: the last ones end later than
/// they are asked to.
async fn drive(
    address: SocketAddr,
    request: Arc<str>,
    connections: usize,
    duration: Duration,
) -> io::Result<(Vec<f64>, Duration)> {
    let began = Instant::now();
    let end = began + duration;
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        workers.spawn(ask_until(end, address, Arc::clone(&request)));
    }
    let mut times = Vec::new();
    while let Some(worker) = workers.join_next().await {
        times.extend(worker.map_err(io::Error::other)??);
    }
    Ok((times, began.elapsed()))
}

async fn ask_until(end: Instant, address: SocketAddr, request: Arc<str>) -> io::Result<Vec<f64>> {
    let mut connection = Connection::open(address).await?;
    let mut times = Vec::with_capacity(100_000);
    let mut body = Vec::with_capacity(64 * 1024);
    loop {
        let began = Instant::now();
        if began > end {
            return Ok(times);
        }
        connection.ask(&request).await?;
        body.clear();
        connection.read_answer(&mut body).await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
}

// === impl Kind ===

impl Kind {
    fn named(name: &str) -> Option<Self> {
        [Self::Json, Self::Stream, Self::LongStream]
            .into_iter()
            .find(|it| it.name() == name)
    }

    /// As `load` is told it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Stream => "stream",
            Self::LongStream => "long-stream",
        }
    }

    /// How many events its run shows: its tokens and what stands round them.
    pub(crate) fn events(self) -> f64 {
        match self {
            Self::Json => 0.0,
            Self::Stream => 64.0 + 6.0,
            Self::LongStream => 250.0 + 6.0,
        }
    }

    pub(crate) fn request(self) -> Request {
        match self {
            Self::Json => Request::run("bench", "application/json", "hi"),
            Self::Stream => Request::run("bench", "text/event-stream", "tokens=64"),
            Self::LongStream => Request::run("bench", "text/event-stream", "tokens=250"),
        }
    }
}
