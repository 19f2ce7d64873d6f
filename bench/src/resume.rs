//! How fast the store gives back a long run.

use std::{io, net::SocketAddr};

use tokio::time::Instant;

use crate::{
    plan::Options,
    sample::median,
    subjects::builder,
    table::Table,
    wire::{Connection, Request, fetch},
};

/// How many tokens the run has.
const TOKENS: u32 = 100_000;

/// One resume from the beginning.
#[derive(Debug, Clone, Copy)]
struct Resumed {
    /// The milliseconds until the first event was there.
    first: f64,
    rate: f64,
    events: usize,
}

pub(crate) fn measure(options: Options, table: &mut Table) -> Result<(), String> {
    let server = builder("sqlite:runs.db", "").start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let resumed = runtime
        .block_on(resume_often(server.address(), options.rounds))
        .map_err(|error| format!("the run cannot be resumed: {error}"))?;
    let events = resumed.last().map_or(0, |it| it.events);
    let rate = median(resumed.iter().map(|it| it.rate).collect());
    let first = median(resumed.iter().map(|it| it.first).collect());
    table.note(&format!(
        "resume of a run of {events} events: {rate:.0} events/s, the first after {first:.1} ms"
    ));
    Ok(())
}

async fn resume_often(address: SocketAddr, rounds: u32) -> io::Result<Vec<Resumed>> {
    let run = Request::run("bench", "text/event-stream", &format!("tokens={TOKENS}"));
    let (head, _) = fetch(address, &run).await?;
    let run_id = head.run_id.ok_or(io::ErrorKind::InvalidData)?;
    let path = format!("/api/bench/stream-events/resume?streamId={run_id}");
    let request = Request::get(&path).to_text();
    let mut resumed = Vec::new();
    for _ in 0..rounds {
        resumed.push(resume(address, &request).await?);
    }
    Ok(resumed)
}

async fn resume(address: SocketAddr, request: &str) -> io::Result<Resumed> {
    let mut connection = Connection::open(address).await?;
    let mut body = Vec::with_capacity(64 * 1024);
    let began = Instant::now();
    connection.ask(request).await?;
    connection.read_head().await?;
    let mut goes_on = connection.read_chunk(&mut body).await?;
    let first = began.elapsed();
    let mut events = count(&body);
    while goes_on {
        body.clear();
        goes_on = connection.read_chunk(&mut body).await?;
        events += count(&body);
    }
    #[expect(clippy::cast_precision_loss, reason = "no run has 2^52 events")]
    let rate = events as f64 / began.elapsed().as_secs_f64();
    Ok(Resumed {
        first: first.as_secs_f64() * 1000.0,
        rate,
        events,
    })
}

/// Chunks are of whole frames.
fn count(frames: &[u8]) -> usize {
    frames.windows(7).filter(|it| it == b"\ndata: ").count()
}
