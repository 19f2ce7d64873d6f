//! An event stream, read frame by frame while it is written.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read as _},
};

use serde_json::Value;

use crate::http::{BodyReader, Head};

/// A stream that is being read. Dropping it hangs up.
pub struct SseReader {
    head: Head,
    lines: BufReader<io::Take<BodyReader>>,
    /// What was read until now, comments left out.
    seen: Vec<Frame>,
}

/// One frame: what stands between two blank lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// The text after the colon, of a comment.
    pub comment: Option<String>,
    /// The `id:` line.
    pub id: Option<String>,
    /// The `event:` line.
    pub event: Option<String>,
    /// The `data:` lines.
    pub data: String,
}

// === impl SseReader ===

impl SseReader {
    pub(crate) fn new(head: Head, body: BodyReader) -> Self {
        Self {
            head,
            lines: BufReader::new(body.take(u64::MAX)),
            seen: Vec::new(),
        }
    }

    /// The first value of a header of the response.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The run that is shown.
    ///
    /// # Panics
    /// When the response does not name it.
    #[track_caller]
    pub fn run_id(&self) -> String {
        let own = self.header("x-run-id");
        let of_dialect = || self.header("mortise-run-id");
        own.or_else(of_dialect)
            .expect("a stream names its run")
            .to_owned()
    }

    /// Reads no more than so many bytes of what comes: the stream is cut there.
    #[must_use]
    pub fn cut_after(mut self, bytes: u64) -> Self {
        self.lines.get_mut().set_limit(bytes);
        self
    }

    /// Whether as much was read as may be.
    pub fn is_cut(&self) -> bool {
        self.lines.get_ref().limit() == 0
    }

    /// The next frame, comments included; `None` when the server has closed the stream.
    ///
    /// # Panics
    /// When the stream is cut, or silent for too long.
    #[track_caller]
    pub fn next_frame(&mut self) -> Option<Frame> {
        let next = self.try_next_frame();
        next.expect("the stream goes on or is closed in order")
    }

    /// The same; an error where the stream is cut, also within a frame, or silent for too long.
    pub fn try_next_frame(&mut self) -> io::Result<Option<Frame>> {
        let mut frame = Frame::default();
        let mut is_empty = true;
        loop {
            let mut line = String::new();
            let count = self.lines.read_line(&mut line)?;
            if count == 0 && is_empty {
                return Ok(None);
            }
            let Some(line) = line.strip_suffix('\n') else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            if line.is_empty() {
                if is_empty {
                    continue;
                }
                if frame.comment.is_none() {
                    self.seen.push(frame.clone());
                }
                return Ok(Some(frame));
            }
            is_empty = false;
            frame.add(line);
        }
    }

    /// Reads until an event of this type, which is returned.
    ///
    /// # Panics
    /// When the stream ends before.
    #[track_caller]
    pub fn wait_for(&mut self, kind: &str) -> Value {
        loop {
            let Some(frame) = self.next_frame() else {
                panic!("the stream has ended without {kind}: {:#?}", self.seen);
            };
            if frame.kind() == kind {
                return frame.json();
            }
        }
    }

    /// Reads to the end: everything that was shown, comments left out.
    #[track_caller]
    pub fn finish(mut self) -> Vec<Frame> {
        while self.next_frame().is_some() {}
        self.seen
    }
}

impl fmt::Debug for SseReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseReader")
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

// === impl Frame ===

impl Frame {
    /// What the frame is: its `event:`, or else the `type` of its data.
    pub fn kind(&self) -> String {
        if let Some(event) = &self.event {
            return event.clone();
        }
        let data: Value = serde_json::from_str(&self.data).unwrap_or_default();
        data["type"].as_str().unwrap_or_default().to_owned()
    }

    /// The data as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.data))
    }

    fn add(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" => self.comment = Some(value.to_owned()),
            "id" => self.id = Some(value.to_owned()),
            "event" => self.event = Some(value.to_owned()),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            other => panic!("a frame has no {other:?}"),
        }
    }
}
