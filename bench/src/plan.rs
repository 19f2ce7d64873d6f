//! What is measured, in which turns.

use std::{fs, net::SocketAddr, process::Command};

use crate::{
    complain,
    load::{Kind, fetch},
    rival::Writes,
    sample::{Sample, median},
    say,
    subjects::{Rival, server},
    table::Table,
};

/// How long and how often.
#[derive(Debug, Clone, Copy)]
struct Options {
    rounds: u32,
    seconds: u32,
    connections: u32,
}

/// How many events a run of 64 tokens shows: its tokens and what stands round them.
const EVENTS: f64 = 64.0 + 6.0;

pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    complain("starting the servers");
    let bare = server(0, false);
    let one_guard = server(1, false);
    let ten_guards = server(10, false);
    let event_hook = server(1, true);
    let folder = bare.folder();
    write_answers(one_guard.address(), folder)?;
    let rival = Rival::start(folder, Writes::Frames)?;
    let whole = Rival::start(folder, Writes::Whole)?;

    let mut table = Table::default();
    let [floor, ours] = options.compare(Kind::Json, [rival.address(), one_guard.address()])?;
    table.rate(
        "JSON run, guard and observer",
        &floor,
        &ours,
        "at least 0.50",
    );
    let [floor, whole, ours] = options.compare(
        Kind::Stream,
        [rival.address(), whole.address(), one_guard.address()],
    )?;
    table.p50("64-token stream, p50", &floor, &ours, "at most 2.00");
    table.rate("64-token stream, streams/s", &floor, &ours, "");
    table.p50("the same, floor without frames", &whole, &ours, "");
    let [none, one, ten] = options.compare(
        Kind::Json,
        [bare.address(), one_guard.address(), ten_guards.address()],
    )?;
    table.rate("one guard against none", &none, &one, "");
    table.rate("ten guards against none", &none, &ten, "at least 0.98");
    let guard = (nanoseconds(&ten) - nanoseconds(&none)) / 10.0;
    let [without, with] =
        options.compare(Kind::Stream, [one_guard.address(), event_hook.address()])?;
    table.rate("one event hook against none", &without, &with, "");
    let hook = (nanoseconds(&with) - nanoseconds(&without)) / EVENTS;
    table.note(&format!(
        "a guard: {guard:.0} ns of a request's share of the machine"
    ));
    table.note(&format!("an event hook: {hook:.0} ns for each event"));
    let shown = median(with.iter().map(|it| it.rate * EVENTS).collect());
    table.note(&format!("{shown:.0} events/s through one event hook"));
    say(&table.to_string());
    Ok(())
}

/// The rival answers what the server answered.
fn write_answers(address: SocketAddr, folder: &std::path::Path) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    for kind in [Kind::Json, Kind::Stream] {
        let body = runtime
            .block_on(fetch(address, kind))
            .map_err(|error| format!("the server does not answer: {error}"))?;
        fs::write(folder.join(kind.name()), body)
            .map_err(|error| format!("cannot keep an answer: {error}"))?;
    }
    Ok(())
}

/// The time between two answers.
fn nanoseconds(samples: &[Sample]) -> f64 {
    1e9 / median(samples.iter().map(|it| it.rate).collect())
}

// === impl Options ===

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            rounds: 5,
            seconds: 3,
            connections: 16,
        };
        for pair in arguments.chunks(2) {
            let [name, value] = pair else {
                return Err(format!("{} needs a number", pair[0]));
            };
            let place = match *name {
                "--rounds" => &mut options.rounds,
                "--seconds" => &mut options.seconds,
                "--connections" => &mut options.connections,
                other => return Err(format!("there is no option {other}")),
            };
            *place = value
                .parse()
                .ok()
                .filter(|it| *it > 0)
                .ok_or_else(|| format!("{value:?} is not a number for {name}"))?;
        }
        Ok(options)
    }

    /// Measures each address once in each round, so that what disturbs the machine disturbs all.
    fn compare<const N: usize>(
        self,
        kind: Kind,
        addresses: [SocketAddr; N],
    ) -> Result<[Vec<Sample>; N], String> {
        let mut samples = addresses.map(|_| Vec::new());
        for address in addresses {
            // The first requests fill caches and pools.
            self.measure(kind, address, 1)?;
        }
        for round in 1..=self.rounds {
            complain(&format!(
                "{}: round {round} of {}",
                kind.name(),
                self.rounds
            ));
            for (address, samples) in addresses.iter().zip(&mut samples) {
                samples.push(self.measure(kind, *address, self.seconds)?);
            }
        }
        Ok(samples)
    }

    fn measure(self, kind: Kind, address: SocketAddr, seconds: u32) -> Result<Sample, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let ran = Command::new(program)
            .args(["load", &address.to_string(), kind.name()])
            .args([self.connections.to_string(), seconds.to_string()])
            .output()
            .map_err(|error| format!("the load cannot be run: {error}"))?;
        if !ran.status.success() {
            return Err(String::from_utf8_lossy(&ran.stderr).into_owned());
        }
        String::from_utf8_lossy(&ran.stdout).parse()
    }
}
