//! What must hold when all is over: every run that the server knows, from its beginning to its end.

use std::{collections::HashMap, path::Path};

use serde_json::Value;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use super::{
    Findings,
    arena::{Arena, Place},
    client::Client,
    record::{End, Record, kind},
    traces::Traces,
};

/// Every run in this state, the youngest first; those of all states where none is named.
pub(super) fn runs(place: Place, state: Option<&str>) -> Result<Vec<Value>, String> {
    let state = state.map_or_else(String::new, |state| format!("&state={state}"));
    let mut all = Vec::new();
    let mut before = String::new();
    loop {
        let target = format!("/api/-/runs?limit=200{state}&before={before}");
        let reply = place.get(&target).try_send();
        let reply = reply.map_err(|error| format!("{target}: {error}"))?;
        if reply.status() != 200 {
            return Err(format!("{target}: {} {}", reply.status(), reply.text()));
        }
        let mut page = reply.json();
        if let Some(runs) = page["runs"].as_array_mut() {
            all.append(runs);
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut before),
            None => return Ok(all),
        }
    }
}

/// Answers what runs ask whose clients have never heard of them, until nothing is under way.
pub(super) fn finish_the_rest(arena: &Arena) -> Result<Vec<Record>, String> {
    let place = arena.place()?;
    let mut client = Client::new(arena, usize::MAX);
    for run in runs(place, Some("running"))? {
        if let Err(finding) = client.follow(Record::new(text(&run, "runId")), None) {
            arena.findings().add(finding);
        }
    }
    for run in runs(place, Some("running"))? {
        arena.findings().add(format!("left under way: {run}"));
    }
    Ok(client.records)
}

/// Compares every run with what was read of it, and with its traces; how each ended.
pub(super) fn check_all(
    arena: &Arena,
    place: Place,
    read: &[Record],
    traces: &Traces,
) -> Result<Vec<End>, String> {
    let findings = &mut *arena.findings();
    let mut read: HashMap<&str, &Record> = read.iter().map(|it| (it.run_id.as_str(), it)).collect();
    let mut ends = Vec::new();
    for run in runs(place, None)? {
        let state = text(&run, "state");
        if text(&run, "answer") == "json" {
            findings.expect(matches!(state, "finished" | "failed"), || run.to_string());
            continue;
        }
        let whole = replay(place, text(&run, "runId"))?;
        let end = whole.end();
        let expected = match end {
            Some(End::Finished) => "finished",
            Some(End::Interrupted) => "failed",
            Some(End::Other) | None => "neither finished nor interrupted",
        };
        findings.expect(state == expected, || {
            format!("{run} ends with {:?}", whole.events.last())
        });
        check_order(&whole, findings);
        traces.check(&whole, findings);
        let known = read.remove(whole.run_id.as_str());
        if let Some(known) = known.filter(|it| it.events != whole.events) {
            let (was, is) = (known.events.len(), whole.events.len());
            findings.add(format!("{run}: {was} events were read, and there are {is}"));
        }
        ends.extend(end);
    }
    for lost in read.values().filter(|it| !it.events.is_empty()) {
        findings.add(format!("{} was shown and is gone", lost.run_id));
    }
    Ok(ends)
}

/// A run from its first event on, as the server has it.
pub(super) fn replay(place: Place, run_id: &str) -> Result<Record, String> {
    let target = format!("/api/any/stream-events/resume?streamId={run_id}");
    let failed = |error| format!("{run_id}: {error}");
    let mut reader = place.get(&target).try_open().map_err(failed)?;
    let mut record = Record::new(run_id);
    let mut next = 0;
    while let Some(frame) = reader.try_next_frame().map_err(failed)? {
        if frame.comment.is_none() {
            record.take(&frame, &mut next)?;
        }
    }
    Ok(record)
}

/// One beginning at the beginning, one end at the end, one result for a call.
fn check_order(record: &Record, findings: &mut Findings) {
    let kinds: Vec<&str> = record.events.iter().map(kind).collect();
    let count = |kind: &str| kinds.iter().filter(|it| **it == kind).count();
    let ends = count("RUN_FINISHED") + count("RUN_ERROR") + count("RUN_ABORTED");
    // A run that was killed at once has its end alone.
    let begins = kinds.first() == Some(&"RUN_STARTED") || kinds == ["RUN_ERROR"];
    findings.expect(
        ends == 1 && count("RUN_STARTED") <= 1 && begins && record.end().is_some(),
        || format!("{}: {kinds:?}", record.run_id),
    );
    let mut results = Vec::new();
    for event in &record.events {
        if kind(event) == "TOOL_CALL_RESULT" {
            let call_id = &event["toolCallId"];
            findings.expect(!results.contains(&call_id), || {
                format!("{}: two results of {call_id}", record.run_id)
            });
            results.push(call_id);
        }
    }
}

/// Asks the database that no server has open whether it is whole.
pub(super) fn check_integrity(database: &Path, findings: &mut Findings) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let url = format!("sqlite:{}", database.display());
    let answered: Result<Vec<String>, sqlx::Error> = runtime.block_on(async {
        let mut connection = SqliteConnection::connect(&url).await?;
        let rows = sqlx::query("pragma integrity_check");
        let rows = rows.fetch_all(&mut connection).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    });
    let answered = answered.map_err(|error| format!("{url}: {error}"))?;
    findings.expect(answered == ["ok"], || format!("integrity: {answered:?}"));
    Ok(())
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}
