//! Rows of the store in a file: against memory, and against the engine below it.

use std::path::Path;

use crate::{
    load::Kind,
    plan::Options,
    sample::{Sample, median},
    subjects::{Subject, builder},
    table::Table,
};

/// How many clients watch a run at once when events are counted.
const WRITERS: u32 = 200;

const DATABASE: &str = "runs.db";

pub(crate) fn measure(options: Options, table: &mut Table) -> Result<(), String> {
    let url = format!("sqlite:{DATABASE}");
    let memory = builder("memory:", "").start();
    let fast = builder(&url, "").start();
    let full = builder(&url, "")
        .variable("MORTISE__STORE__DURABILITY", "full")
        .start();
    let [memory_there, fast_there, full_there] =
        [&memory, &fast, &full].map(|it| Subject::at(it.address()));

    let [in_memory, in_file] = options.compare(Kind::Stream, [&memory_there, &fast_there])?;
    table.p50(
        "64-token stream, file against memory, p50",
        &in_memory,
        &in_file,
        "at most 3.00",
    );

    let mut writers = options;
    writers.connections = WRITERS;
    for (durability, server, there, target) in [
        ("fast", &fast, &fast_there, 50_000),
        ("full", &full, &full_there, 20_000),
    ] {
        let database = server.folder().join(DATABASE);
        let raw = Subject::raw(&database, durability);
        let [runs, raw] = writers.compare(Kind::LongStream, [there, &raw])?;
        let events: Vec<Sample> = runs
            .into_iter()
            .map(|it| Sample {
                rate: it.rate * Kind::LongStream.events(),
                ..it
            })
            .collect();
        table.rate(
            &format!("persisted events/s, {durability}, floor SQLite alone"),
            &raw,
            &events,
            "",
        );
        let reached = median(events.iter().map(|it| it.rate).collect());
        table.note(&format!(
            "{reached:.0} persisted events/s with `{durability}`, {WRITERS} clients: the target is at least {target}"
        ));
        table.note(&batches(&database, durability)?);
    }
    Ok(())
}

/// How the server gathered the events of its last run.
fn batches(database: &Path, durability: &str) -> Result<String, String> {
    let rows = crate::raw::rows(database)?;
    let events: i64 = rows.iter().map(|row| row.count).sum();
    let bytes: usize = rows.iter().map(|row| row.lines.len()).sum();
    Ok(format!(
        "a row of `{durability}` has {} events in {} bytes, SQLite alone writes the same rows",
        events / i64::try_from(rows.len().max(1)).unwrap_or(i64::MAX),
        bytes / rows.len().max(1),
    ))
}
