//! Readers that are cut anywhere, also within a frame, and come back with `Last-Event-ID`.

use std::{
    fmt, io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::json;
use tokio::time::Instant;

use super::{
    Findings,
    arena::{Arena, Place},
    audit,
    record::{End, Record},
};
use crate::{ServerBuilder, SseReader};

/// How many readers there are at once.
const READERS: usize = 6;

/// How many bytes a reader gets at most, one of these chosen each time: some frames come alone,
/// some reads take the whole log.
const BYTES: [u64; 5] = [64, 256, 1024, 4096, 65_536];

const CONFIG: &str = r#"
[log]
level = "warn"

[runs]
on_request_disconnect = "continue"

[[plugins.load]]
name = "directed"
library = "scripted_model"
config = { script = "directive" }

[agents.talker]
model = "directed/mock-model"
"#;

/// A run of some hundred events, which takes about a second.
const PROMPT: &str = "tokens=400 delay=1";

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// How often a reader was cut and came back.
    pub cuts: usize,
    /// How many of the cuts were in runs that were under way.
    pub live: usize,
    /// What was not as it must be.
    pub findings: Findings,
    /// How many cuts were within a frame.
    torn: usize,
    runs: usize,
    events: usize,
}

/// A reader of its own runs.
struct Cutter<'a> {
    place: Place,
    is_enough: &'a (dyn Fn() -> bool + Sync),
    cuts: &'a AtomicUsize,
    random: fastrand::Rng,
    report: Report,
}

/// Cuts readers so often, and until so much time has passed.
///
/// # Panics
/// When the server does not start.
pub fn run(cuts: usize, at_least: Duration) -> Report {
    let server = ServerBuilder::new(CONFIG).start();
    let arena = Arena::default();
    arena.open(server.address());
    let place = arena.place().expect("it has just been opened");
    let began = Instant::now();
    let made = AtomicUsize::new(0);
    let is_enough = || made.load(Ordering::Relaxed) >= cuts && began.elapsed() >= at_least;
    let report = Mutex::<Report>::default();
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let mut cutter = Cutter {
                    place,
                    is_enough: &is_enough,
                    cuts: &made,
                    random: fastrand::Rng::new(),
                    report: Report::default(),
                };
                while !is_enough() {
                    if let Err(finding) = cutter.read_a_run() {
                        cutter.report.findings.add(finding);
                    }
                }
                let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                report.add(cutter.report);
            });
        }
    });
    report.into_inner().unwrap_or_else(PoisonError::into_inner)
}

// === impl Cutter ===

impl Cutter<'_> {
    /// Reads a run while it is under way, then the same run, which has ended, as often as it takes
    /// for as many cuts.
    fn read_a_run(&mut self) -> Result<(), String> {
        let body = json!({ "input": PROMPT });
        let request = self.place.post("/api/talker/run?ids=1").json(&body);
        let opened = request.try_open().map_err(|error| error.to_string())?;
        let run_id = opened.run_id();
        let mut live = Record::new(&*run_id);
        let cuts = self.report.cuts;
        self.read_in_pieces(&mut live, Some(opened))?;
        let made = self.report.cuts - cuts;
        self.report.live += made;
        let whole = audit::replay(self.place, &run_id)?;
        self.compare(&live, &whole);
        let until = self.report.cuts + made;
        while self.report.cuts < until && !(self.is_enough)() {
            let mut later = Record::new(&*run_id);
            self.read_in_pieces(&mut later, None)?;
            self.compare(&later, &whole);
        }
        self.report.runs += 1;
        self.report.events += whole.events.len();
        Ok(())
    }

    fn compare(&mut self, read: &Record, whole: &Record) {
        let is_whole = read.events == whole.events && whole.end() == Some(End::Finished);
        self.report.findings.expect(is_whole, || {
            let (some, all) = (read.events.len(), whole.events.len());
            format!("{}: {some} of {all} events, or others", read.run_id)
        });
    }

    /// Reads a run to its end, cut again and again.
    fn read_in_pieces(
        &mut self,
        record: &mut Record,
        mut opened: Option<SseReader>,
    ) -> Result<(), String> {
        let failed = |error: io::Error| error.to_string();
        loop {
            let most = BYTES[self.random.usize(..BYTES.len())];
            let bytes = self.random.u64(1..=most);
            let reader = match opened.take() {
                Some(reader) => reader,
                None => self.resume(record).map_err(failed)?,
            };
            let mut reader = reader.cut_after(bytes);
            let mut next = record.events.len();
            let is_torn = loop {
                match reader.try_next_frame() {
                    Ok(Some(frame)) if frame.comment.is_some() => {}
                    Ok(Some(frame)) => {
                        let is_new = record.take(&frame, &mut next)?;
                        if !is_new {
                            return Err(format!("{}: {next} comes twice", record.run_id));
                        }
                    }
                    Ok(None) => break false,
                    Err(_) if reader.is_cut() => break true,
                    Err(error) => return Err(failed(error)),
                }
            };
            if !reader.is_cut() {
                return Ok(());
            }
            self.report.cuts += 1;
            self.report.torn += usize::from(is_torn);
            self.cuts.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn resume(&self, record: &Record) -> io::Result<SseReader> {
        let run_id = &record.run_id;
        let target = format!("/api/talker/stream-events/resume?streamId={run_id}");
        let mut request = self.place.get(&target);
        if let Some(last) = record.events.len().checked_sub(1) {
            request = request.header("last-event-id", &last.to_string());
        }
        request.try_open()
    }
}

// === impl Report ===

impl Report {
    fn add(&mut self, other: Self) {
        let Self {
            cuts,
            live,
            findings,
            torn,
            runs,
            events,
        } = other;
        self.cuts += cuts;
        self.live += live;
        self.findings.append(findings);
        self.torn += torn;
        self.runs += runs;
        self.events += events;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cuts,
            live,
            findings,
            torn,
            runs,
            events,
        } = self;
        write!(
            f,
            "{cuts} cuts, {torn} of them within a frame: {live} in runs that were under way, {} in \
             runs that had ended\n  {runs} runs of {events} events, each compared with its replay\n  \
             {findings}",
            cuts - live,
        )
    }
}
