//! Requests as bytes on a kept connection: no client between, which would make paths nice.

use std::{
    fmt::Write as _,
    io::{self, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::http::{BodyReader, Framing, Head};

/// The longest silence. Only a server that hangs comes near it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that is made anew where the server has closed it.
pub(super) struct Connection {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

/// What is sent.
#[derive(Debug, Clone)]
pub(super) struct Wire<'c> {
    pub(super) method: &'c str,
    pub(super) target: &'c str,
    pub(super) version: &'c str,
    /// Whole lines, without their ends.
    pub(super) headers: Vec<&'c str>,
    pub(super) body: &'c str,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Without what is another for every answer: its date and the id of its request.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

// === impl Connection ===

impl Connection {
    pub(super) fn to(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    /// Sends a request and reads the whole answer.
    pub(super) fn exchange(&mut self, wire: &Wire<'_>) -> io::Result<Answer> {
        let bytes = wire.bytes(self.address);
        if let Some(stream) = self.stream.take() {
            // A kept connection may have been closed since; a new one may not.
            if let Ok(answer) = self.exchange_on(stream, &bytes, wire) {
                return Ok(answer);
            }
        }
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        self.exchange_on(BufReader::new(stream), &bytes, wire)
    }

    fn exchange_on(
        &mut self,
        mut stream: BufReader<TcpStream>,
        bytes: &[u8],
        wire: &Wire<'_>,
    ) -> io::Result<Answer> {
        stream.get_mut().write_all(bytes)?;
        let head = Head::read(&mut stream)?;
        let framing = Framing::of(&head, wire.method)?;
        let mut body = Vec::new();
        BodyReader::new(&mut stream, framing).read_to_end(&mut body)?;
        let is_kept = !matches!(framing, Framing::UntilClose)
            && wire.version == "HTTP/1.1"
            && head.header("connection") != Some("close");
        if is_kept {
            self.stream = Some(stream);
        }
        let mut headers = head.headers;
        headers.retain(|(name, _)| name != "date" && name != "x-request-id");
        Ok(Answer {
            status: head.status,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

// === impl Wire ===

impl Wire<'_> {
    fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        // Beside a target that names a host, another `host` would be refused before anything else.
        let named = self.target.strip_prefix("http://");
        let named = named.and_then(|rest| rest.split('/').next());
        let host = named.map_or_else(|| address.to_string(), str::to_owned);
        let mut head = format!(
            "{} {} {}\r\nhost: {host}\r\n",
            self.method, self.target, self.version
        );
        for header in &self.headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        if !self.body.is_empty() {
            head.push_str("content-type: application/json\r\n");
        }
        // Writing to a string cannot fail.
        let _ = write!(
            head,
            "content-length: {}\r\n\r\n{}",
            self.body.len(),
            self.body
        );
        head.into_bytes()
    }
}
