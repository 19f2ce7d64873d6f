//! Server-sent events: frames around the bytes of logged events, which are not encoded again.

use std::collections::VecDeque;
use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::runtime::{CutNotice, EventBatch, ReadOutcome, Reader};

/// Ready frames share a write up to this size; a larger frame has one of its own.
const WRITE: usize = 16 * 1024;

const HEARTBEAT: &[u8] = b":\n\n";

/// How events look on the wire.
#[derive(Debug, Clone)]
pub(super) enum Framing {
    /// A live stream: only data, as clients of the native API expect.
    Live,
    /// A live stream whose client wants to resume it: numbers, and the run in every event.
    Numbered {
        /// As JSON.
        run_id: Arc<str>,
    },
    /// A resumed stream: numbers, also in the events.
    Resumed,
}

/// A stream of events that is being sent.
struct Frames<R> {
    source: R,
    framing: Framing,
    /// For the comment that tells where to go on.
    run_id: Option<Arc<str>>,
    ready: VecDeque<EventBatch>,
    heartbeat: Interval,
    ended: bool,
}

/// Where events come from; the reader of a run, but for tests.
pub(super) trait Source: Send + 'static {
    /// Waits for what comes next; nothing is lost when the wait is dropped.
    fn next(&mut self) -> impl Future<Output = ReadOutcome> + Send;

    /// How to tell it that the server cuts the stream, if it wants to know.
    fn cut_notice(&self) -> Option<CutNotice> {
        None
    }
}

impl Source for Reader {
    fn next(&mut self) -> impl Future<Output = ReadOutcome> + Send {
        Reader::next(self)
    }

    fn cut_notice(&self) -> Option<CutNotice> {
        Reader::cut_notice(self)
    }
}

/// The response that sends what the source yields. Dropping its body drops the source.
pub(super) fn response(
    source: impl Source,
    framing: Framing,
    run_id: Option<Arc<str>>,
    heartbeat: Duration,
) -> Response {
    let cut_notice = source.cut_notice();
    let chunks = chunks(source, framing, run_id, heartbeat);
    let mut response = Response::new(Body::from_stream(chunks));
    set_headers(&mut response);
    if let Some(notice) = cut_notice {
        response.extensions_mut().insert(notice);
    }
    response
}

/// A stream in which nothing happens.
pub(super) fn empty_response() -> Response {
    let mut response = Response::new(Body::empty());
    set_headers(&mut response);
    response
}

fn set_headers(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
}

fn chunks(
    source: impl Source,
    framing: Framing,
    run_id: Option<Arc<str>>,
    period: Duration,
) -> impl futures_core::Stream<Item = Result<Bytes, std::convert::Infallible>> + Send {
    let mut heartbeat = tokio::time::interval_at(Instant::now() + period, period);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let frames = Frames {
        source,
        framing,
        run_id,
        ready: VecDeque::new(),
        heartbeat,
        ended: false,
    };
    futures_util::stream::unfold(frames, |mut frames| async move {
        let chunk = frames.next().await?;
        Some((Ok(chunk), frames))
    })
}

// === impl Frames ===

impl<R: Source> Frames<R> {
    /// The next write, of whole frames.
    async fn next(&mut self) -> Option<Bytes> {
        while self.ready.is_empty() {
            if self.ended {
                return None;
            }
            let outcome = tokio::select! {
                // Heartbeats first: they come regardless of traffic.
                biased;
                _ = self.heartbeat.tick() => return Some(Bytes::from_static(HEARTBEAT)),
                outcome = self.source.next() => outcome,
            };
            match outcome {
                ReadOutcome::Events(batches) => self.ready = batches.into(),
                ReadOutcome::Lagged { last } => {
                    self.ended = true;
                    return Some(lagged_comment(self.run_id.as_deref(), last));
                }
                ReadOutcome::End { failure } => {
                    self.ended = true;
                    if let Some(message) = failure {
                        return Some(failure_frame(&message));
                    }
                }
            }
        }
        Some(coalesce(&mut self.ready, &self.framing))
    }
}

/// As many whole frames as fit one write, at least one.
fn coalesce(ready: &mut VecDeque<EventBatch>, framing: &Framing) -> Bytes {
    let bounds = ready.iter().map(|batch| framing.size_bound(batch));
    let mut out = BytesMut::with_capacity(bounds.sum::<usize>().min(WRITE));
    while let Some(batch) = ready.front_mut() {
        while let Some((number, json)) = batch.peek() {
            if !out.is_empty() && out.len() + framing.frame_bound(json) > WRITE {
                return out.freeze();
            }
            framing.write(number, json, &mut out);
            batch.pop();
        }
        ready.pop_front();
    }
    out.freeze()
}

// === impl Framing ===

impl Framing {
    /// Numbers, and this run in every event.
    pub(super) fn numbered(run_id: &str) -> Self {
        let run_id = serde_json::Value::from(run_id).to_string();
        Self::Numbered {
            run_id: run_id.into(),
        }
    }

    /// At most how long the frames of a batch are.
    fn size_bound(&self, batch: &EventBatch) -> usize {
        let count = usize::try_from(batch.len()).unwrap_or(usize::MAX);
        batch.lines().len() + count.saturating_mul(self.frame_bound(&[]))
    }

    /// At most how long the frame of an event is.
    fn frame_bound(&self, json: &[u8]) -> usize {
        let around = match self {
            Self::Live => "data: \n\n".len(),
            // "id: " + 20 digits + "\ndata: " + the event + ",\"seq\":" + 20 digits + "\n\n".
            Self::Resumed => 64,
            Self::Numbered { run_id } => 64 + r#","runId":"#.len() + run_id.len(),
        };
        json.len() + around
    }

    fn write(&self, number: u64, json: &[u8], out: &mut BytesMut) {
        match self {
            Self::Live => out.put_slice(b"data: "),
            Self::Numbered { .. } | Self::Resumed => {
                let _ = write!(out, "id: {number}\ndata: ");
            }
        }
        match self {
            Self::Live => out.put_slice(json),
            Self::Resumed => splice(json, "seq", number, out),
            Self::Numbered { .. } if has_key(json, b"runId") => out.put_slice(json),
            Self::Numbered { run_id } => splice(json, "runId", run_id, out),
        }
        out.put_slice(b"\n\n");
    }
}

/// Writes a JSON object with one more member at its end.
fn splice(object: &[u8], key: &str, value: impl Display, out: &mut BytesMut) {
    let Some(brace) = object.iter().rposition(|&byte| byte == b'}') else {
        out.put_slice(object);
        return;
    };
    let members = object[..brace].trim_ascii_end();
    out.put_slice(members);
    if !members.ends_with(b"{") {
        out.put_u8(b',');
    }
    let _ = write!(out, "\"{key}\":{value}}}");
}

/// Whether a JSON object has this key, not counting objects inside it.
fn has_key(object: &[u8], key: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut rest = object;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let end = string_end(rest);
                let (text, after) = rest.split_at(end);
                rest = after.get(1..).unwrap_or_default();
                let is_key = rest.trim_ascii_start().starts_with(b":");
                if depth == 1 && is_key && text == key {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

/// Where a string ends whose opening quote has been read.
fn string_end(text: &[u8]) -> usize {
    let mut is_escaped = false;
    for (index, byte) in text.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return index,
            _ => {}
        }
    }
    text.len()
}

fn failure_frame(message: &str) -> Bytes {
    let data = serde_json::json!({ "type": "error", "message": message });
    format!("event: error\ndata: {data}\n\n").into()
}

/// Tells a client that was too slow where to go on; `-1` is the beginning.
fn lagged_comment(run_id: Option<&str>, last: Option<u64>) -> Bytes {
    let last = last.map_or_else(|| "-1".to_owned(), |last| last.to_string());
    match run_id {
        Some(run_id) => format!(": resume {run_id} {last}\n\n").into(),
        None => format!(": resume {last}\n\n").into(),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    /// Outcomes in order, then silence.
    struct Script(VecDeque<ReadOutcome>);

    impl Source for Script {
        async fn next(&mut self) -> ReadOutcome {
            match self.0.pop_front() {
                Some(outcome) => outcome,
                None => std::future::pending().await,
            }
        }
    }

    fn event(number: u64, json: &str) -> EventBatch {
        EventBatch::new(number, format!("{json}\n").into())
    }

    fn frame(framing: &Framing, json: &str) -> String {
        let mut out = BytesMut::new();
        framing.write(7, json.as_bytes(), &mut out);
        assert!(out.len() <= framing.size_bound(&event(7, json)));
        String::from_utf8(out.to_vec()).unwrap()
    }

    async fn sent(framing: Framing, outcomes: Vec<ReadOutcome>) -> Vec<String> {
        let run_id = Some(Arc::from("run_1"));
        let script = Script(outcomes.into());
        chunks(script, framing, run_id, Duration::from_secs(15))
            .map(|chunk| String::from_utf8(chunk.unwrap().to_vec()).unwrap())
            .collect()
            .await
    }

    #[test]
    fn live_frames_are_the_bytes_of_the_event() {
        let json = r#"{"type":"TEXT_MESSAGE_CONTENT","delta":"a\nb } \" \u2028 data: x"}"#;
        assert_eq!(frame(&Framing::Live, json), format!("data: {json}\n\n"));
    }

    #[test]
    fn resumed_frames_carry_their_number_twice() {
        assert_eq!(
            frame(&Framing::Resumed, r#"{"type":"A","data":{"b":{}}}"#),
            "id: 7\ndata: {\"type\":\"A\",\"data\":{\"b\":{}},\"seq\":7}\n\n"
        );
        assert_eq!(
            frame(&Framing::Resumed, r#"{"delta":"}"}"#),
            "id: 7\ndata: {\"delta\":\"}\",\"seq\":7}\n\n"
        );
        assert_eq!(
            frame(&Framing::Resumed, "{}"),
            "id: 7\ndata: {\"seq\":7}\n\n"
        );
    }

    #[test]
    fn numbered_frames_name_their_run_once() {
        let framing = Framing::numbered("run_1");
        for json in [
            r#"{"type":"A","runId":"run_1","x":[{"y":1}]}"#,
            r#"{"x":{"z":"}"},"runId" : "run_1"}"#,
        ] {
            assert_eq!(frame(&framing, json), format!("id: 7\ndata: {json}\n\n"));
        }
        for json in [
            r#"{"type":"A","data":{"runId":"other"}}"#,
            r#"{"type":"runId","text":"\"runId\":"}"#,
            r#"{"list":["runId"]}"#,
        ] {
            let members = json.strip_suffix('}').unwrap();
            assert_eq!(
                frame(&framing, json),
                format!("id: 7\ndata: {members},\"runId\":\"run_1\"}}\n\n")
            );
        }
    }

    #[test]
    fn ready_frames_share_a_write_of_at_most_16_kib() {
        let json = format!(r#"{{"delta":"{}"}}"#, "x".repeat(1000));
        let mut ready: VecDeque<_> = (0..40).map(|seq| event(seq, &json)).collect();
        let mut total = 0;
        while !ready.is_empty() {
            let write = coalesce(&mut ready, &Framing::Resumed);
            assert!(write.len() <= WRITE && write.ends_with(b"}\n\n"));
            assert!(write.starts_with(b"id: "));
            total += write.windows(4).filter(|it| it == b"id: ").count();
        }
        assert_eq!(total, 40);
    }

    #[test]
    fn a_large_frame_has_a_write_of_its_own() {
        let large = format!(r#"{{"delta":"{}"}}"#, "x".repeat(40_000));
        let mut ready = VecDeque::from([event(0, "{}"), event(1, &large), event(2, "{}")]);
        assert_eq!(&coalesce(&mut ready, &Framing::Live)[..], b"data: {}\n\n");
        assert!(coalesce(&mut ready, &Framing::Live).len() > 40_000);
        assert_eq!(&coalesce(&mut ready, &Framing::Live)[..], b"data: {}\n\n");
    }

    #[tokio::test]
    async fn a_failed_live_run_ends_with_an_error_frame() {
        let outcomes = vec![
            ReadOutcome::Events(vec![event(0, r#"{"a":1}"#), event(1, r#"{"b":2}"#)]),
            ReadOutcome::End {
                failure: Some("Run failed: \"x\"\n".into()),
            },
        ];
        assert_eq!(
            sent(Framing::Live, outcomes).await,
            [
                "data: {\"a\":1}\n\ndata: {\"b\":2}\n\n",
                "event: error\ndata: {\"type\":\"error\",\"message\":\"Run failed: \\\"x\\\"\\n\"}\n\n",
            ]
        );
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_where_to_go_on() {
        let outcomes = vec![ReadOutcome::Lagged { last: Some(41) }];
        assert_eq!(
            sent(Framing::Live, outcomes).await,
            [": resume run_1 41\n\n"]
        );
        let outcomes = vec![ReadOutcome::Lagged { last: None }];
        assert_eq!(
            sent(Framing::Live, outcomes).await,
            [": resume run_1 -1\n\n"]
        );
    }

    #[tokio::test]
    async fn silence_is_filled_with_heartbeats() {
        let started = Instant::now();
        let script = Script(VecDeque::new());
        let chunks = chunks(script, Framing::Live, None, Duration::from_millis(5));
        let beats: Vec<_> = chunks.take(4).collect().await;
        assert!(beats.iter().all(|beat| beat.as_deref() == Ok(HEARTBEAT)));
        assert!(started.elapsed() >= Duration::from_millis(20));
    }
}
