//! What a stream takes of the server's memory while nothing happens in it.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    process::{Command, Stdio},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    complain,
    plan::Options,
    say,
    subjects::builder,
    table::Table,
    wire::{Connection, Request},
};

/// How many streams there are, where the system allows it.
const STREAMS: u64 = 10_000;

/// What else a process has open.
const OTHER_FILES: u64 = 200;

/// How many are begun at once.
const WORKERS: usize = 64;

/// Runs that wait for a result of their client, as long as it likes.
const WAITING: &str = r#"
[server]
max_connections = 20_000

[runs]
client_tool_result_timeout = "never"

[tools.get_weather]
client = true

[tools.get_weather.schema]
type = "object"

[agents.waiting]
model = "scripted/mock-model"
tools = ["get_weather"]
"#;

pub(crate) fn measure(_options: Options, table: &mut Table) -> Result<(), String> {
    let streams = allowed_streams();
    let server = builder("sqlite:runs.db", WAITING).start();
    let before = resident(server.pid())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let failed = |error: io::Error| format!("the streams cannot be opened: {error}");
    let mut client = Command::new(program)
        .args(["idle", &server.address().to_string(), &streams.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut line = String::new();
    if let Some(output) = client.stdout.take() {
        BufReader::new(output)
            .read_line(&mut line)
            .map_err(failed)?;
    }
    let after = resident(server.pid())?;
    // The end of its standard input ends it.
    drop(client.stdin.take());
    let ended = client.wait().map_err(failed)?;
    if !ended.success() {
        return Err("the streams were not opened".to_owned());
    }
    #[expect(clippy::cast_precision_loss, reason = "no server has 2^52 KiB")]
    let each = after.saturating_sub(before) as f64 / streams as f64;
    table.note(&format!(
        "{streams} idle streams: {each:.1} KiB each of the server's memory ({before} KiB without): \
         the target is at most 24"
    ));
    if streams < STREAMS {
        table.note(&format!("the system allows no {STREAMS} open files"));
    }
    Ok(())
}

/// `idle ADDRESS COUNT`: opens the streams, prints a line, and holds them until its standard input
/// ends.
pub(crate) fn run(address: &str, count: &str) -> Result<(), String> {
    let wrong = |what: &str| format!("{what:?} is not what idle expects");
    let address = address.parse().map_err(|_| wrong(address))?;
    let count = count.parse().map_err(|_| wrong(count))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let held = runtime
        .block_on(open(address, count))
        .map_err(|error| format!("a stream cannot be opened: {error}"))?;
    say(&format!("{} streams", held.len()));
    io::stdin()
        .read_to_end(&mut Vec::new())
        .map_err(|error| error.to_string())?;
    drop(held);
    Ok(())
}

async fn open(address: SocketAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    let mut held = Vec::with_capacity(count);
    let mut opening = JoinSet::new();
    for _ in 0..count {
        if opening.len() >= WORKERS
            && let Some(opened) = opening.join_next().await
        {
            held.push(opened.map_err(io::Error::other)??);
        }
        opening.spawn(open_one(address));
    }
    while let Some(opened) = opening.join_next().await {
        held.push(opened.map_err(io::Error::other)??);
    }
    Ok(held)
}

/// A stream whose run waits for its client.
async fn open_one(address: SocketAddr) -> io::Result<TcpStream> {
    let request = Request::run("waiting", "text/event-stream", "hi").to_text();
    let mut connection = Connection::open(address).await?;
    connection.ask(&request).await?;
    connection.read_head().await?;
    let mut body = Vec::new();
    while !body.windows(13).any(|it| it == b"TOOL_CALL_END") {
        if !connection.read_chunk(&mut body).await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(connection.into_stream())
}

/// As many streams as files may be open; the limit is raised as far as it goes, for the processes
/// that this one starts too.
fn allowed_streams() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        complain(&format!("the limit of open files stays: {error}"));
    }
    let files = getrlimit(Resource::Nofile).current;
    files.map_or(STREAMS, |files| {
        files.saturating_sub(OTHER_FILES).clamp(1, STREAMS)
    })
}

/// The KiB that a process has in memory.
fn resident(process: u32) -> Result<u64, String> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let size = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    size.ok_or_else(|| format!("{path} does not say how much is resident"))
}
