//! Rows against a bare HTTP server, and of what a guard and a hook cost.

use std::{fs, net::SocketAddr, path::Path};

use crate::{
    load::Kind,
    plan::Options,
    rival::Writes,
    sample::{Sample, median},
    subjects::{Rival, Subject, server},
    table::Table,
    wire::fetch,
};

pub(crate) fn measure(options: Options, table: &mut Table) -> Result<(), String> {
    let bare = server(0, false);
    let one_guard = server(1, false);
    let ten_guards = server(10, false);
    let hundred_guards = server(100, false);
    let event_hook = server(1, true);
    let folder = bare.folder();
    write_answers(one_guard.address(), folder)?;
    let rival = Rival::start(folder, Writes::Frames)?;
    let whole = Rival::start(folder, Writes::Whole)?;
    let [rival_there, whole_there] = [&rival, &whole].map(|it| Subject::at(it.address()));
    let [bare_there, one_there, ten_there, hundred_there, hook_there] =
        [&bare, &one_guard, &ten_guards, &hundred_guards, &event_hook]
            .map(|it| Subject::at(it.address()));

    let [floor, ours] = options.compare(Kind::Json, [&rival_there, &one_there])?;
    table.rate(
        "JSON run, guard and observer",
        &floor,
        &ours,
        "at least 0.50",
    );
    let [floor, whole, ours] =
        options.compare(Kind::Stream, [&rival_there, &whole_there, &one_there])?;
    table.p50("64-token stream, p50", &floor, &ours, "at most 2.00");
    table.rate("64-token stream, streams/s", &floor, &ours, "");
    table.p50("the same, floor without frames", &whole, &ours, "");
    let [none, one, ten, hundred] = options.compare(
        Kind::Json,
        [&bare_there, &one_there, &ten_there, &hundred_there],
    )?;
    table.rate("one guard against none", &none, &one, "");
    table.rate("ten guards against none", &none, &ten, "at least 0.98");
    // So many that what one costs stands out of what rounds differ by.
    let guard = (nanoseconds(&hundred) - nanoseconds(&none)) / 100.0;
    let [without, with] = options.compare(Kind::Stream, [&one_there, &hook_there])?;
    table.rate("one event hook against none", &without, &with, "");
    let events = Kind::Stream.events();
    let hook = (nanoseconds(&with) - nanoseconds(&without)) / events;
    table.note(&format!(
        "a guard: {guard:.0} ns of a request's share of the machine"
    ));
    table.note(&format!("an event hook: {hook:.0} ns for each event"));
    let shown = median(with.iter().map(|it| it.rate * events).collect());
    table.note(&format!("{shown:.0} events/s through one event hook"));
    Ok(())
}

/// The rival answers what the server answered.
fn write_answers(address: SocketAddr, folder: &Path) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    for kind in [Kind::Json, Kind::Stream] {
        let (_, body) = runtime
            .block_on(fetch(address, &kind.request()))
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
