//! Standard error as the log writes it: nobody who reads it slowly, or not at all, holds the server
//! up, and nobody who goes away ends it.
//!
//! A thread that writes would do so too, but the last lines before a crash would be lost with it.

use std::io::{Stderr, Write, stderr};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::clock::Clock;

/// What a pipe takes without a wait once it says that it takes something: `PIPE_BUF`.
const AT_ONCE: usize = 4096;

/// Where the lines of the log go: those that cannot be written at once are counted instead.
pub(super) struct StandardError<F = Stderr> {
    file: F,
    looks: Looks,
    missing: Mutex<Missing>,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    Pretty,
    Json,
}

/// What was not written since something was.
#[derive(Debug, Default)]
struct Missing {
    lines: u64,
    /// A line ends in its middle.
    is_torn: bool,
}

// === impl StandardError ===

impl StandardError {
    pub(super) fn new(looks: Looks) -> Self {
        Self::of(stderr(), looks)
    }
}

impl<F: AsFd> StandardError<F> {
    fn of(file: F, looks: Looks) -> Self {
        Self {
            file,
            looks,
            missing: Mutex::default(),
        }
    }

    fn line(&self, line: &[u8]) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if missing.lines > 0 {
            let notice = missing.notice(self.looks);
            let written = self.put(&notice);
            if written < notice.len() {
                missing.lines += 1;
                missing.is_torn |= written > 0;
                return;
            }
            *missing = Missing::default();
        }
        let written = self.put(line);
        if written < line.len() {
            missing.lines = 1;
            missing.is_torn = written > 0;
        }
    }

    /// Writes as much as can be written at once.
    fn put(&self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() && self.takes_something() {
            let rest = &bytes[written..];
            let part = &rest[..rest.len().min(AT_ONCE)];
            match retry_on_intr(|| rustix::io::write(&self.file, part)) {
                Ok(count) if count > 0 => written += count,
                // There is nobody to tell.
                _ => break,
            }
        }
        written
    }

    fn takes_something(&self) -> bool {
        let mut asked = [PollFd::new(&self.file, PollFlags::OUT)];
        let polled = retry_on_intr(|| poll(&mut asked, Some(&Timespec::default())));
        polled.is_ok() && asked[0].revents().contains(PollFlags::OUT)
    }
}

impl<'a, F: AsFd + 'a> MakeWriter<'a> for StandardError<F> {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Each write is a line.
impl<F: AsFd> Write for &StandardError<F> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.line(line);
        // An error would be printed, and where that fails, end the process.
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

// === impl Missing ===

impl Missing {
    fn notice(&self, looks: Looks) -> Vec<u8> {
        let now = UNIX_EPOCH + Duration::from_millis(Clock::SYSTEM.now_millis());
        let now = humantime::format_rfc3339_micros(now);
        let count = self.lines;
        let message = format!("the log could not be written; lines that are missing here: {count}");
        let target = module_path!();
        let line_end = if self.is_torn { "\n" } else { "" };
        let line = match looks {
            Looks::Pretty => format!("{line_end}{now}  WARN {target}: {message}\n"),
            Looks::Json => {
                let line = json!({
                    "timestamp": now.to_string(), "level": "WARN", "message": message,
                    "lines": count, "target": target,
                });
                format!("{line_end}{line}\n")
            }
        };
        line.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, PipeWriter, Read as _, pipe};

    use super::*;

    fn in_a_pipe() -> (PipeReader, StandardError<PipeWriter>) {
        let (reader, writer) = pipe().unwrap();
        (reader, StandardError::of(writer, Looks::Pretty))
    }

    fn read(mut reader: PipeReader, log: StandardError<PipeWriter>) -> String {
        drop(log);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn lines_that_do_not_fit_into_a_pipe_are_counted_where_they_are_missing() {
        let (mut reader, log) = in_a_pipe();
        let line = format!("{}\n", "x".repeat(999));
        for _ in 0..100 {
            log.line(line.as_bytes());
        }
        let count = log.missing.lock().unwrap().lines;
        assert!((1..100).contains(&count), "{count}");
        let mut room = vec![0; 16 * 1024];
        reader.read_exact(&mut room).unwrap();
        log.line(b"again\n");
        log.line(b"and again\n");
        let text = read(reader, log);
        let notice = format!("lines that are missing here: {count}");
        let mut last = text.lines().rev();
        assert_eq!(last.next(), Some("and again"));
        assert_eq!(last.next(), Some("again"));
        assert!(last.next().unwrap().contains(&notice), "{text}");
    }

    #[test]
    fn a_torn_line_ends_before_the_next_one_begins() {
        let (mut reader, log) = in_a_pipe();
        log.line("x".repeat(1024 * 1024).as_bytes());
        let mut room = vec![0; 32 * 1024];
        reader.read_exact(&mut room).unwrap();
        log.line(b"again\n");
        let text = read(reader, log);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].ends_with("missing here: 1"), "{}", lines[1]);
        assert_eq!(lines[2], "again");
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error() {
        let (reader, log) = in_a_pipe();
        log.line(b"heard\n");
        drop(reader);
        assert!((&log).write_all(b"unheard\n").is_ok());
    }
}
