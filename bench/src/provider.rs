//! What stands between a client and a provider of models: the time to the first token and the time
//! of each, through the server and without it; and how soon an abort reaches the provider.

use std::{io, net::SocketAddr, time::Duration};

use integration_tests::{
    Server,
    provider::{Answer, End, Provider, Said, Split, Wire},
};
use tokio::time::Instant;

use crate::{
    plan::Options,
    sample::{Sample, median},
    subjects::{Rival, builder},
    table::Table,
    wire::{Connection, Request},
};

/// What the first token is known by.
const FIRST: &[u8] = b"tok0";

/// How many tokens an answer has whose first one is waited for: few, so that the others take no time
/// from it.
const FEW: u32 = 8;

/// How many tokens an answer has that are measured one by one.
const MANY: u32 = 1000;

/// How many answers there are in each round.
const ANSWERS: usize = 100;

/// How many runs are aborted in each round.
const ABORTS: usize = 20;

/// One side of the comparison.
struct Side {
    connection: Connection,
    request: String,
}

/// The milliseconds of one answer.
#[derive(Clone, Copy)]
struct Times {
    first: f64,
    /// From the first token to the last.
    rest: f64,
}

pub(crate) fn measure(options: Options, table: &mut Table) -> Result<(), String> {
    let provider = Provider::start([answer(FEW)]);
    let server = builder(
        "memory:",
        &format!(
            "[agents.asking]\nmodel = \"llm/openai/scripted\"\n{}",
            provider.plugin("")
        ),
    )
    .start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime
        .block_on(compare(options, &provider, &server, table))
        .map_err(|error| format!("the provider cannot be asked: {error}"))?;
    aborts(options, &provider, &server, table);
    Ok(())
}

/// Each token is written on its own, as providers do.
fn answer(tokens: u32) -> Answer {
    let said: Vec<_> = (0..tokens)
        .map(|number| Said::text(&format!("tok{number} ")))
        .collect();
    Answer::stream(&Wire::OpenAI.write(&said)).split(Split::EachFrame)
}

async fn compare(
    options: Options,
    provider: &Provider,
    server: &Server,
    table: &mut Table,
) -> io::Result<()> {
    let body = r#"{"model":"scripted","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let mut direct = Side::open(
        provider.address(),
        &Request::post("/v1/chat/completions", body.to_owned()),
    )
    .await?;
    let mut ours = Side::open(
        server.address(),
        &Request::run("asking", "text/event-stream", "hi"),
    )
    .await?;
    let relay = Rival::relay(provider.address()).map_err(io::Error::other)?;
    let mut relayed = Side::open(
        relay.address(),
        &Request::run("asking", "text/event-stream", "hi"),
    )
    .await?;
    let mut sides = [&mut direct, &mut relayed, &mut ours];
    let first = rounds(options, &mut sides, |it| it.first).await?;
    provider.answer_with([answer(MANY)]);
    let token = rounds(options, &mut sides, |it| it.rest / f64::from(MANY - 1)).await?;
    for (what, [without, least, with], target, target_beside) in [
        (
            "the first token of a provider",
            &first,
            "+0.100 ms",
            "at most 2.00",
        ),
        ("each further token", &token, "+0.020 ms", ""),
    ] {
        table.p50(&format!("{what}, p50"), without, with, target);
        table.p99(&format!("{what}, p99"), without, with, "");
        table.p50("the same, floor a bare relay", least, with, target_beside);
        for (who, with) in [("the server", with), ("a bare relay", least)] {
            table.note(&format!(
                "{who} adds to {what}: {:.1} µs (p50), {:.1} µs (p99)",
                added(without, with, |it| it.p50),
                added(without, with, |it| it.p99),
            ));
        }
    }
    Ok(())
}

/// What is measured of the answers of each round, side by side.
async fn rounds<const SIDES: usize>(
    options: Options,
    sides: &mut [&mut Side; SIDES],
    value: impl Fn(Times) -> f64,
) -> io::Result<[Vec<Sample>; SIDES]> {
    // The first answers fill caches and pools.
    for _ in 0..10 {
        for side in &mut *sides {
            side.ask().await?;
        }
    }
    let mut samples = [(); SIDES].map(|()| Vec::new());
    for _ in 0..options.rounds {
        let mut times = [(); SIDES].map(|()| Vec::new());
        for _ in 0..ANSWERS {
            // In turns, so that what disturbs the machine disturbs all.
            for (side, times) in sides.iter_mut().zip(&mut times) {
                times.push(value(side.ask().await?));
            }
        }
        for (samples, times) in samples.iter_mut().zip(times) {
            samples.extend(Sample::of(times, 1.0));
        }
    }
    Ok(samples)
}

/// The microseconds between two sides.
fn added(without: &[Sample], with: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
    let rounds = without.iter().zip(with);
    median(
        rounds
            .map(|(without, with)| (value(with) - value(without)) * 1000.0)
            .collect(),
    )
}

/// Readers that go away while their model is silent.
fn aborts(options: Options, provider: &Provider, server: &Server, table: &mut Table) {
    let said = [Said::text("first"), Said::text("second")];
    let begun = Wire::OpenAI.write(&said).find("second").unwrap_or_default();
    let stalls = Answer::saying(said).end(End::Stall(begun));
    provider.answer_with([stalls]);
    let mut took = Vec::new();
    for _ in 0..options.rounds as usize * ABORTS {
        let call = provider.calls().len();
        let mut stream = server.stream("asking", "hi");
        stream.wait_for("TEXT_MESSAGE_CONTENT");
        let left = provider.now();
        drop(stream);
        took.push(milliseconds(
            provider.wait_for_close(call).saturating_sub(left),
        ));
    }
    if let Some(sample) = Sample::of(took, 1.0) {
        table.note(&format!(
            "a client goes: the provider's connection is closed after {:.2} ms (p50), {:.2} ms (p99); \
             the goal is 100 ms",
            sample.p50, sample.p99
        ));
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

// === impl Side ===

impl Side {
    async fn open(address: SocketAddr, request: &Request) -> io::Result<Self> {
        Ok(Self {
            connection: Connection::open(address).await?,
            request: request.to_text(),
        })
    }

    async fn ask(&mut self) -> io::Result<Times> {
        let mut body = Vec::with_capacity(16 * 1024);
        let began = Instant::now();
        self.connection.ask(&self.request).await?;
        self.connection.read_head().await?;
        let mut first = None;
        loop {
            let goes_on = self.connection.read_chunk(&mut body).await?;
            if first.is_none() {
                let is_there = body.windows(FIRST.len()).any(|it| it == FIRST);
                first = is_there.then(|| began.elapsed());
            } else {
                body.clear();
            }
            if !goes_on {
                break;
            }
        }
        let first = first.ok_or(io::ErrorKind::InvalidData)?;
        let whole = began.elapsed();
        Ok(Times {
            first: milliseconds(first),
            rest: milliseconds(whole.saturating_sub(first)),
        })
    }
}
