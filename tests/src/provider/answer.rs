//! An answer: what is said, how it is cut into pieces, and how it ends.

use std::time::Duration;

use super::Said;

/// An answer to one request.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) content: Content,
    pub(super) split: Split,
    pub(super) end: End,
    /// What is waited before each piece.
    pub(super) pause: Duration,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    /// In the wire of the request.
    Said(Vec<Said>),
    /// As it is.
    Body(String),
}

/// Where an answer is cut into pieces; each is written on its own.
#[derive(Debug, Clone, Default)]
pub enum Split {
    /// Nowhere.
    #[default]
    Nowhere,
    /// After each byte.
    EachByte,
    /// After each frame.
    EachFrame,
    /// At these places, modulo its length.
    At(Vec<usize>),
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In order.
    Whole,
    /// In order as far as HTTP knows, after so many bytes.
    After(usize),
    /// The connection breaks after so many bytes.
    Cut(usize),
    /// After so many bytes nothing comes, until the other side goes.
    Stall(usize),
}

// === impl Answer ===

impl Answer {
    /// The model says this.
    pub fn saying(said: impl IntoIterator<Item = Said>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            content: Content::Said(said.into_iter().collect()),
            split: Split::Nowhere,
            end: End::Whole,
            pause: Duration::ZERO,
        }
    }

    /// An error with this body.
    pub fn failing(status: u16, body: &str) -> Self {
        Self {
            status,
            content: Content::Body(body.to_owned()),
            ..Self::saying([])
        }
    }

    /// A stream of these bytes.
    pub fn stream(body: &str) -> Self {
        Self {
            content: Content::Body(body.to_owned()),
            ..Self::saying([])
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Cuts it into pieces.
    #[must_use]
    pub fn split(mut self, split: Split) -> Self {
        self.split = split;
        self
    }

    /// Ends it otherwise.
    #[must_use]
    pub fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// Waits before each piece.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }
}

// === impl Split ===

impl Split {
    pub(super) fn pieces<'a>(&self, body: &'a [u8]) -> Vec<&'a [u8]> {
        match self {
            Self::Nowhere => vec![body],
            Self::EachByte => body.chunks(1).collect(),
            Self::EachFrame => {
                let frames = body.split_inclusive(|it| *it == b'\n');
                frames.collect()
            }
            Self::At(places) => {
                let mut places: Vec<_> = places.iter().map(|it| it % (body.len() + 1)).collect();
                places.sort_unstable();
                let mut pieces = Vec::new();
                let mut from = 0;
                for place in places {
                    pieces.push(&body[from..place]);
                    from = place;
                }
                pieces.push(&body[from..]);
                pieces
            }
        }
    }
}
