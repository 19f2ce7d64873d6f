//! The load: connections that ask again as soon as they have read an answer to its end.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};

use crate::{sample::Sample, say};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A run with one short answer, as JSON.
    Json,
    /// A run of 64 tokens, as a stream.
    Stream,
}

type Connection = BufReader<TcpStream>;

/// `load ADDRESS KIND CONNECTIONS SECONDS`: prints one sample.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let [address, kind, connections, seconds] = arguments else {
        return Err("load ADDRESS json|stream CONNECTIONS SECONDS".to_owned());
    };
    let wrong = |what: &str| format!("{what:?} is not what load expects");
    let address: SocketAddr = address.parse().map_err(|_| wrong(address))?;
    let kind = Kind::named(kind).ok_or_else(|| wrong(kind))?;
    let connections: usize = connections.parse().map_err(|_| wrong(connections))?;
    let seconds: u64 = seconds.parse().map_err(|_| wrong(seconds))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let duration = Duration::from_secs(seconds);
    let times = runtime
        .block_on(drive(address, kind, connections, duration))
        .map_err(|error| format!("the load has failed: {error}"))?;
    let sample = Sample::of(times, duration.as_secs_f64())
        .ok_or_else(|| "not one request was finished".to_owned())?;
    say(&sample.to_line());
    Ok(())
}

/// The milliseconds of every request that was finished in time.
async fn drive(
    address: SocketAddr,
    kind: Kind,
    connections: usize,
    duration: Duration,
) -> io::Result<Vec<f64>> {
    let end = Instant::now() + duration;
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        workers.spawn(ask_until(end, address, kind));
    }
    let mut times = Vec::new();
    while let Some(worker) = workers.join_next().await {
        times.extend(worker.map_err(io::Error::other)??);
    }
    Ok(times)
}

async fn ask_until(end: Instant, address: SocketAddr, kind: Kind) -> io::Result<Vec<f64>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut connection = BufReader::with_capacity(64 * 1024, stream);
    let request = kind.request();
    let mut times = Vec::with_capacity(100_000);
    let mut body = Vec::with_capacity(64 * 1024);
    loop {
        let began = Instant::now();
        connection.get_mut().write_all(request.as_bytes()).await?;
        body.clear();
        read_answer(&mut connection, &mut body).await?;
        let ended = Instant::now();
        if ended > end {
            return Ok(times);
        }
        times.push((ended - began).as_secs_f64() * 1000.0);
    }
}

/// One answer of each kind, as it is.
pub(crate) async fn fetch(address: SocketAddr, kind: Kind) -> io::Result<Vec<u8>> {
    let mut connection = BufReader::new(TcpStream::connect(address).await?);
    connection
        .get_mut()
        .write_all(kind.request().as_bytes())
        .await?;
    let mut body = Vec::new();
    read_answer(&mut connection, &mut body).await?;
    Ok(body)
}

async fn read_answer(connection: &mut Connection, body: &mut Vec<u8>) -> io::Result<()> {
    let mut line = String::new();
    next_line(connection, &mut line).await?;
    if !line.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(format!("an answer begins with {line:?}")));
    }
    let mut length = None;
    loop {
        next_line(connection, &mut line).await?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
    match length {
        Some(length) => read_part(connection, body, length).await,
        None => read_chunks(connection, body, &mut line).await,
    }
}

async fn read_chunks(
    connection: &mut Connection,
    body: &mut Vec<u8>,
    line: &mut String,
) -> io::Result<()> {
    loop {
        next_line(connection, line).await?;
        let size = usize::from_str_radix(line, 16).map_err(io::Error::other)?;
        read_part(connection, body, size).await?;
        next_line(connection, line).await?;
        if size == 0 {
            return Ok(());
        }
    }
}

async fn read_part(
    connection: &mut Connection,
    body: &mut Vec<u8>,
    length: usize,
) -> io::Result<()> {
    let start = body.len();
    body.resize(start + length, 0);
    connection.read_exact(&mut body[start..]).await?;
    Ok(())
}

async fn next_line(connection: &mut Connection, line: &mut String) -> io::Result<()> {
    line.clear();
    if connection.read_line(line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end().len());
    Ok(())
}

// === impl Kind ===

impl Kind {
    fn named(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "stream" => Some(Self::Stream),
            _ => None,
        }
    }

    /// As `load` is told it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Stream => "stream",
        }
    }

    fn request(self) -> String {
        let (accept, body) = match self {
            Self::Json => ("application/json", r#"{"input":"hi"}"#),
            Self::Stream => ("text/event-stream", r#"{"input":"tokens=64"}"#),
        };
        format!(
            "POST /api/bench/run HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: {accept}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}
