//! What servers have to say beside the protocol, in the log.

#![expect(
    deprecated,
    reason = "the new protocol has no log; servers of the old one write to it"
)]

use mortise_plugin_api::tracing;
use rmcp::model::{LoggingLevel, LoggingMessageNotificationParam};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::time::{Duration, Instant};

use crate::error::shortened;

/// How many lines of a server are logged in one second: one that talks without end must not fill
/// the disk.
const LINES: u32 = 100;
/// Of a longer line the beginning is logged.
const LONGEST_LINE: usize = 4 * 1024;

/// How much a server has said in this second.
#[derive(Debug)]
pub(crate) struct Budget {
    since: Instant,
    lines: u32,
}

/// Copies what a program writes to its standard error, to its end.
pub(crate) async fn copy(server: String, stderr: impl AsyncRead + Unpin) {
    let mut reader = BufReader::new(stderr);
    let (mut budget, mut line) = (Budget::new(), Vec::new());
    loop {
        let Ok(bytes) = reader.fill_buf().await else {
            return;
        };
        if bytes.is_empty() {
            break;
        }
        let end = bytes.iter().position(|it| *it == b'\n');
        let length = end.unwrap_or(bytes.len());
        let left = LONGEST_LINE.saturating_sub(line.len());
        line.extend_from_slice(&bytes[..length.min(left)]);
        reader.consume(end.map_or(length, |end| end + 1));
        if end.is_some() {
            write(&server, &mut budget, &line);
            line.clear();
        }
    }
    write(&server, &mut budget, &line);
}

fn write(server: &str, budget: &mut Budget, line: &[u8]) {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    if !text.is_empty() && budget.take(server) {
        tracing::info!(server, "stderr: {text}");
    }
}

/// Writes a message that a server sends to be logged.
pub(crate) fn message(server: &str, budget: &mut Budget, said: &LoggingMessageNotificationParam) {
    if !budget.take(server) {
        return;
    }
    let text = match said.data.as_str() {
        Some(text) => shortened(text),
        None => shortened(&said.data.to_string()),
    };
    match said.level {
        LoggingLevel::Debug => tracing::debug!(server, "says: {text}"),
        LoggingLevel::Info | LoggingLevel::Notice => tracing::info!(server, "says: {text}"),
        _ => tracing::warn!(server, "says: {text}"),
    }
}

// === impl Budget ===

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            lines: 0,
        }
    }

    fn take(&mut self, server: &str) -> bool {
        if self.since.elapsed() >= Duration::from_secs(1) {
            *self = Self::new();
        }
        self.lines = self.lines.saturating_add(1);
        if self.lines == LINES + 1 {
            tracing::warn!(
                server,
                "says more than {LINES} lines in a second; the rest is left out"
            );
        }
        self.lines <= LINES
    }
}
