//! As much of HTTP/1.1 as a client of the bench needs.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

/// A request that is not sent yet.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    head: String,
    body: String,
}

/// The head of an answer, as far as it is looked at.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// `None` for a body in chunks.
    length: Option<usize>,
    /// The run that is shown.
    pub(crate) run_id: Option<String>,
}

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
}

/// The whole answer to one request, on a connection of its own.
pub(crate) async fn fetch(address: SocketAddr, request: &Request) -> io::Result<(Head, Vec<u8>)> {
    let mut connection = Connection::open(address).await?;
    connection.ask(&request.to_text()).await?;
    let mut body = Vec::new();
    let head = connection.read_answer(&mut body).await?;
    Ok((head, body))
}

// === impl Request ===

impl Request {
    /// A run of an agent with this prompt, which must need no escapes.
    pub(crate) fn run(agent: &str, accept: &str, prompt: &str) -> Self {
        let body = format!(r#"{{"input":"{prompt}"}}"#);
        let line = format!("POST /api/{agent}/run");
        Self::new(&line, body)
            .header(&format!("accept: {accept}"))
            .header("content-type: application/json")
    }

    pub(crate) fn post(path: &str, body: String) -> Self {
        Self::new(&format!("POST {path}"), body).header("content-type: application/json")
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new(&format!("GET {path}"), String::new())
    }

    fn new(line: &str, body: String) -> Self {
        Self {
            head: format!("{line} HTTP/1.1\r\nhost: 127.0.0.1\r\n"),
            body,
        }
    }

    /// Adds `NAME: VALUE`.
    pub(crate) fn header(mut self, header: &str) -> Self {
        self.head.push_str(header);
        self.head.push_str("\r\n");
        self
    }

    pub(crate) fn to_text(&self) -> String {
        let Self { head, body } = self;
        format!("{head}content-length: {}\r\n\r\n{body}", body.len())
    }
}

// === impl Connection ===

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::with_capacity(64 * 1024, stream),
            line: String::new(),
        })
    }

    pub(crate) async fn ask(&mut self, request: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(request.as_bytes()).await
    }

    /// Reads an answer to its end.
    pub(crate) async fn read_answer(&mut self, body: &mut Vec<u8>) -> io::Result<Head> {
        let head = self.read_head().await?;
        match head.length {
            Some(length) => self.read_part(body, length).await?,
            None => while self.read_chunk(body).await? {},
        }
        Ok(head)
    }

    pub(crate) async fn read_head(&mut self) -> io::Result<Head> {
        self.next_line().await?;
        if !self.line.starts_with("HTTP/1.1 200") {
            let line = &self.line;
            return Err(io::Error::other(format!("an answer begins with {line:?}")));
        }
        let mut head = Head::default();
        loop {
            self.next_line().await?;
            match self.line.split_once(':') {
                None => return Ok(head),
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    head.length = value.trim().parse().ok();
                }
                Some((name, value)) if name.eq_ignore_ascii_case("x-run-id") => {
                    head.run_id = Some(value.trim().to_owned());
                }
                Some(_) => {}
            }
        }
    }

    /// Adds the next chunk to the body; whether it was not the last.
    pub(crate) async fn read_chunk(&mut self, body: &mut Vec<u8>) -> io::Result<bool> {
        self.next_line().await?;
        let size = usize::from_str_radix(&self.line, 16).map_err(io::Error::other)?;
        self.read_part(body, size).await?;
        self.next_line().await?;
        Ok(size > 0)
    }

    /// What is left of the connection when nothing more is read.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream.into_inner()
    }

    async fn read_part(&mut self, body: &mut Vec<u8>, length: usize) -> io::Result<()> {
        let start = body.len();
        body.resize(start + length, 0);
        self.stream.read_exact(&mut body[start..]).await?;
        Ok(())
    }

    async fn next_line(&mut self) -> io::Result<()> {
        self.line.clear();
        if self.stream.read_line(&mut self.line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.line.truncate(self.line.trim_end().len());
        Ok(())
    }
}
