//! HTTP/2 frame by frame, written by hand: what a library would not send.

use std::net::{SocketAddr, TcpStream};

use crate::Raw;

/// A connection that speaks HTTP/2 without waiting for anything.
#[derive(Debug)]
pub struct Http2<S>(S);

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http2Frame {
    /// What it is, see [`kind`].
    pub kind: u8,
    /// The flags.
    pub flags: u8,
    /// The stream; 0 is the connection.
    pub stream: u32,
    /// The payload.
    pub payload: Vec<u8>,
}

/// The numbers of frames.
pub mod kind {
    #![expect(missing_docs, reason = "the names are those of RFC 9113")]

    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// The flag of the last frame of a stream's side; also that of an acknowledgement.
pub const END_STREAM: u8 = 1;
/// The flag of the last frame of a head.
pub const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// === impl Http2 ===

impl Http2<TcpStream> {
    /// A connection without TLS, with the client's preface and empty settings sent.
    ///
    /// # Panics
    /// When the server does not accept it.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(Raw::connect(address).into_inner(), &[])
    }
}

impl<S: std::io::Read + std::io::Write> Http2<S> {
    /// The same over a stream that is there, with these settings.
    pub fn over(stream: S, settings: &[(u16, u32)]) -> Self {
        let mut connection = Self(stream);
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        let _ = connection.0.write_all(PREFACE);
        connection.send(kind::SETTINGS, 0, 0, &payload);
        connection
    }

    /// Sends a frame; `false` where the server takes no more.
    ///
    /// # Panics
    /// When it is longer than any frame.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let length = u32::try_from(payload.len()).expect("a frame is short");
        let mut frame = length.to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).is_ok()
    }

    /// Sends the head of a request, and its end where there is no body.
    pub fn ask(&mut self, stream: u32, flags: u8, method: &str, path: &str) -> bool {
        let head = head(method, path, &[("content-type", "application/json")]);
        self.send(kind::HEADERS, END_HEADERS | flags, stream, &head)
    }

    /// The next frame; `None` when the server has closed.
    ///
    /// # Panics
    /// When it is silent for too long.
    #[track_caller]
    pub fn next_frame(&mut self) -> Option<Http2Frame> {
        let mut header = [0; 9];
        self.read(&mut header)?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; length as usize];
        self.read(&mut payload)?;
        let stream = [header[5], header[6], header[7], header[8]];
        Some(Http2Frame {
            kind: header[3],
            flags: header[4],
            stream: u32::from_be_bytes(stream),
            payload,
        })
    }

    /// The next frame of this kind.
    ///
    /// # Panics
    /// When the server closes before it.
    #[track_caller]
    pub fn next_of(&mut self, kind: u8) -> Http2Frame {
        loop {
            let frame = self.next_frame();
            let frame = frame.unwrap_or_else(|| panic!("closed before a frame of kind {kind}"));
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Reads until the server closes; whether it said goodbye with an error, and which.
    #[track_caller]
    pub fn goodbye(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next_frame() {
            if frame.kind == kind::GOAWAY {
                code = Some(frame.code());
            }
        }
        code
    }

    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> Option<()> {
        match self.0.read_exact(buffer) {
            Ok(()) => Some(()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the server is silent and has not closed")
            }
            Err(_) => None,
        }
    }
}

// === impl Http2Frame ===

impl Http2Frame {
    /// The error of a `RST_STREAM` or `GOAWAY`.
    ///
    /// # Panics
    /// When it is neither.
    pub fn code(&self) -> u32 {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        let bytes: [u8; 4] = self.payload[at..at + 4].try_into().expect("four bytes");
        u32::from_be_bytes(bytes)
    }

    /// Whether this is the head of an answer with the status 200.
    pub fn is_ok(&self) -> bool {
        // The static table of HPACK has it at 8.
        self.kind == kind::HEADERS && self.payload.first() == Some(&0x88)
    }
}

/// The head of a request, without Huffman codes and without the dynamic table.
pub fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in [
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
    ]
    .iter()
    .chain(headers)
    {
        head.push(0);
        text(&mut head, name);
        text(&mut head, value);
    }
    head
}

fn text(head: &mut Vec<u8>, text: &str) {
    // Lengths from 127 on continue in groups of seven bits, the lowest first.
    match u8::try_from(text.len()) {
        Ok(short) if short < 127 => head.push(short),
        _ => {
            head.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                head.push(rest.to_le_bytes()[0] | 128);
                rest >>= 7;
            }
            head.push(rest.to_le_bytes()[0]);
        }
    }
    head.extend(text.as_bytes());
}
