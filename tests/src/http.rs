//! A small HTTP/1.1 client over a blocking socket: one connection a request, no pool, no retries.

use std::{
    fmt::Write as _,
    io::{self, BufRead, BufReader, Read, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

use crate::SseReader;

/// The longest silence on a connection. Only a server that hangs comes near it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request that is being written.
#[derive(Debug, Clone)]
#[must_use = "a request is sent by `send`, `open` or `hang_up`"]
pub struct Request {
    address: SocketAddr,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    /// Whether the body brings its own framing.
    is_framed: bool,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    head: Head,
    body: Vec<u8>,
}

/// Status and headers.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
}

/// The bytes of a body, freed of their framing.
#[derive(Debug)]
pub(crate) struct BodyReader<S = BufReader<TcpStream>> {
    stream: S,
    framing: Framing,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Framing {
    Length(u64),
    /// What is left of the chunk.
    Chunked(u64),
    UntilClose,
    Ended,
}

// === impl Request ===

impl Request {
    /// A request without headers and body.
    pub fn new(address: SocketAddr, method: &str, target: &str) -> Self {
        Self {
            address,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: None,
            is_framed: false,
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The bearer token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// A JSON body with its content type.
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// A body without a content type.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// A body as it goes over the wire, with its framing; a header says which.
    pub fn raw_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.is_framed = true;
        self.body(body)
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Panics
    /// When the server does not answer with HTTP.
    #[track_caller]
    pub fn send(&self) -> Reply {
        let (head, mut reader) = self.begin().expect("the server answers");
        let mut body = Vec::new();
        reader
            .read_to_end(&mut body)
            .expect("the answer is complete");
        Reply { head, body }
    }

    /// Sends it and reads the answer as an event stream, while it is written.
    ///
    /// # Panics
    /// When the answer is no event stream.
    #[track_caller]
    pub fn open(self) -> SseReader {
        self.try_open().expect("the server answers with a stream")
    }

    /// The same; an error where the connection is refused or cut, or the answer is no stream.
    pub fn try_open(self) -> io::Result<SseReader> {
        let request = self.header("accept", "text/event-stream");
        let (head, mut reader) = request.begin()?;
        let kind = head.header("content-type").unwrap_or_default();
        if head.status != 200 || !kind.starts_with("text/event-stream") {
            let mut body = String::new();
            reader.read_to_string(&mut body)?;
            return Err(invalid(format!("{} and no stream: {body}", head.status)));
        }
        Ok(SseReader::new(head, reader))
    }

    /// Sends it; an error where the connection is refused or cut.
    pub fn try_send(&self) -> io::Result<Reply> {
        let (head, mut reader) = self.begin()?;
        let mut body = Vec::new();
        reader.read_to_end(&mut body)?;
        Ok(Reply { head, body })
    }

    /// Sends the request and closes the connection without reading.
    ///
    /// # Panics
    /// When the server does not accept the connection.
    pub fn hang_up(&self) {
        drop(self.hold());
    }

    /// Sends the request and does not read: dropping what is returned hangs up.
    ///
    /// # Panics
    /// When the server does not accept the connection.
    #[track_caller]
    #[must_use]
    pub fn hold(&self) -> TcpStream {
        self.connect().expect("the server accepts")
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        // Writing to a string cannot fail.
        if !self.has_header("host") {
            let _ = write!(head, "host: {}\r\n", self.address);
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if self.is_framed {
            // A header of the request says where the body ends.
        } else if let Some(body) = &self.body {
            let _ = write!(head, "content-length: {}\r\n", body.len());
        } else if self.method == "POST" {
            head.push_str("content-length: 0\r\n");
        }
        head.push_str("connection: close\r\n\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        stream.write_all(&bytes)?;
        Ok(stream)
    }

    fn has_header(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(own, _)| own.eq_ignore_ascii_case(name))
    }

    fn begin(&self) -> io::Result<(Head, BodyReader)> {
        let mut stream = BufReader::new(self.connect()?);
        let head = Head::read(&mut stream)?;
        let framing = Framing::of(&head, &self.method)?;
        Ok((head, BodyReader::new(stream, framing)))
    }
}

// === impl Reply ===

impl Reply {
    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The same answer, if its status is this.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.head.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        self
    }
}

// === impl Head ===

impl Head {
    pub(crate) fn read(stream: &mut impl BufRead) -> io::Result<Self> {
        let first = line(stream)?;
        let status = first.split(' ').nth(1).and_then(|it| it.parse().ok());
        let status = status.ok_or_else(|| invalid(format!("no status in {first:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = line(stream)?;
            if line.is_empty() {
                return Ok(Self { status, headers });
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| invalid(format!("no header: {line:?}")))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .headers
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        Some(value)
    }
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

// === impl Framing ===

impl Framing {
    /// How the body of an answer to this method is framed.
    pub(crate) fn of(head: &Head, method: &str) -> io::Result<Self> {
        Ok(if head.status == 204 || method == "HEAD" {
            Self::Ended
        } else if head.header("transfer-encoding") == Some("chunked") {
            Self::Chunked(0)
        } else if let Some(length) = head.header("content-length") {
            Self::Length(length.parse().map_err(invalid)?)
        } else {
            Self::UntilClose
        })
    }
}

// === impl BodyReader ===

impl<S> BodyReader<S> {
    pub(crate) fn new(stream: S, framing: Framing) -> Self {
        Self { stream, framing }
    }
}

impl<S: BufRead> Read for BodyReader<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.framing {
            Framing::Ended | Framing::Length(0) => Ok(0),
            Framing::UntilClose => self.stream.read(buffer),
            Framing::Length(left) => {
                let count = (&mut self.stream).take(*left).read(buffer)?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *left -= count as u64;
                Ok(count)
            }
            Framing::Chunked(left) => {
                if *left == 0 {
                    let size = line(&mut self.stream)?;
                    *left = u64::from_str_radix(&size, 16).map_err(invalid)?;
                }
                if *left == 0 {
                    line(&mut self.stream)?;
                    self.framing = Framing::Ended;
                    return Ok(0);
                }
                let count = (&mut self.stream).take(*left).read(buffer)?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *left -= count as u64;
                if *left == 0 {
                    line(&mut self.stream)?;
                }
                Ok(count)
            }
        }
    }
}
