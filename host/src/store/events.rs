//! Events as they are kept and passed on: many of them in one piece of memory.

use bytes::{Buf as _, Bytes};

/// Consecutive events of a run: each is a line, its JSON object without `seq`.
///
/// Compact JSON holds no line break, so lines need no lengths beside them. A clone shares the
/// memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventBatch {
    first: u64,
    count: u64,
    lines: Bytes,
}

// === impl EventBatch ===

impl EventBatch {
    /// The events in these lines, the first of which has this number.
    pub(crate) fn new(first: u64, lines: Bytes) -> Self {
        let count = memchr::memchr_iter(b'\n', &lines).count() as u64;
        Self {
            first,
            count,
            lines,
        }
    }

    /// The number of the first event.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The number of the event that comes after these.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.count
    }

    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    pub(crate) fn lines(&self) -> &Bytes {
        &self.lines
    }

    /// The first event: its number and its JSON.
    pub(crate) fn peek(&self) -> Option<(u64, &[u8])> {
        let end = memchr::memchr(b'\n', &self.lines)?;
        Some((self.first, &self.lines[..end]))
    }

    /// Lets the first event go.
    pub(crate) fn pop(&mut self) {
        if let Some(end) = memchr::memchr(b'\n', &self.lines) {
            self.lines.advance(end + 1);
            self.first += 1;
            self.count -= 1;
        }
    }

    /// Lets the events go whose numbers are smaller.
    pub(crate) fn advance_to(&mut self, number: u64) {
        while self.count > 0 && self.first < number {
            self.pop();
        }
    }
}

impl Iterator for EventBatch {
    type Item = (u64, Bytes);

    fn next(&mut self) -> Option<Self::Item> {
        let (number, json) = self.peek()?;
        let event = (number, self.lines.slice_ref(json));
        self.pop();
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_in_order_with_their_numbers() {
        let mut batch = EventBatch::new(7, Bytes::from_static(b"{\"a\":1}\n{}\n[]\n"));
        assert_eq!((batch.first(), batch.len(), batch.end()), (7, 3, 10));
        batch.advance_to(8);
        assert_eq!(batch.peek(), Some((8, &b"{}"[..])));
        let rest: Vec<_> = batch
            .map(|(number, json)| (number, json.to_vec()))
            .collect();
        assert_eq!(rest, [(8, b"{}".to_vec()), (9, b"[]".to_vec())]);
    }

    #[test]
    fn a_batch_can_be_advanced_past_its_end() {
        let mut batch = EventBatch::new(0, Bytes::from_static(b"{}\n"));
        batch.advance_to(u64::MAX);
        assert_eq!((batch.peek(), batch.len(), batch.end()), (None, 0, 1));
    }
}
