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
    subjects::builder,
    table::Table,
    wire::{Connection, Request},
};

/// How many tokens an answer has.
const TOKENS: u32 = 1000;

/// How many answers there are in each round.
const ANSWERS: usize = 100;

/// How many runs are aborted in each round.
const ABORTS: usize = 20;

/// One side of the comparison.
struct Side {
    connection: Connection,
    request: String,
    /// What the first token is known by.
    mark: &'static [u8],
}

/// The milliseconds of all answers of a round.
#[derive(Default)]
struct Times {
    first: Vec<f64>,
    /// For each token.
    token: Vec<f64>,
}

pub(crate) fn measure(options: Options, table: &mut Table) -> Result<(), String> {
    let provider = Provider::start([answer()]);
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
fn answer() -> Answer {
    let said = (0..TOKENS).map(|number| Said::text(&format!("tok{number} ")));
    Answer::saying(said).split(Split::EachFrame)
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
        b"tok0",
    )
    .await?;
    let mut ours = Side::open(
        server.address(),
        &Request::run("asking", "text/event-stream", "hi"),
        b"tok0",
    )
    .await?;
    // The first answers fill caches and pools.
    for _ in 0..10 {
        direct.ask(&mut Times::default()).await?;
        ours.ask(&mut Times::default()).await?;
    }
    let (mut first, mut token) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for _ in 0..options.rounds {
        let (mut without, mut with) = (Times::default(), Times::default());
        for _ in 0..ANSWERS {
            // In turns, so that what disturbs the machine disturbs both.
            direct.ask(&mut without).await?;
            ours.ask(&mut with).await?;
        }
        first.0.extend(Sample::of(without.first, 1.0));
        first.1.extend(Sample::of(with.first, 1.0));
        token.0.extend(Sample::of(without.token, 1.0));
        token.1.extend(Sample::of(with.token, 1.0));
    }
    table.p50(
        "first token of a provider, p50",
        &first.0,
        &first.1,
        "+0.100 ms",
    );
    table.p99("first token of a provider, p99", &first.0, &first.1, "");
    table.p50("each further token, p50", &token.0, &token.1, "+0.020 ms");
    table.p99("each further token, p99", &token.0, &token.1, "");
    for (what, (without, with)) in [("the first token", &first), ("each further token", &token)] {
        table.note(&format!(
            "the server adds to {what}: {:.1} µs (p50), {:.1} µs (p99)",
            added(without, with, |it| it.p50),
            added(without, with, |it| it.p99),
        ));
    }
    Ok(())
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
    async fn open(address: SocketAddr, request: &Request, mark: &'static [u8]) -> io::Result<Self> {
        Ok(Self {
            connection: Connection::open(address).await?,
            request: request.to_text(),
            mark,
        })
    }

    async fn ask(&mut self, times: &mut Times) -> io::Result<()> {
        let mut body = Vec::with_capacity(16 * 1024);
        let began = Instant::now();
        self.connection.ask(&self.request).await?;
        self.connection.read_head().await?;
        let mut first = None;
        loop {
            let goes_on = self.connection.read_chunk(&mut body).await?;
            if first.is_none() {
                let is_there = body.windows(self.mark.len()).any(|it| it == self.mark);
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
        times.first.push(milliseconds(first));
        let rest = milliseconds(whole - first);
        times.token.push(rest / f64::from(TOKENS - 1));
        Ok(())
    }
}
