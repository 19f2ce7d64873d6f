//! A connection: requests one after the other, each with its scripted answer.

use std::{
    fmt::Write as _,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use serde_json::Value;

use super::{
    Call, End, State, Wire,
    answer::{Answer, Content},
};

/// How the wait for the other side ended.
enum Waited {
    Passed,
    Closed,
}

pub(super) fn connection(stream: &TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        stream.set_read_timeout(None)?;
        let Some(call) = request(&mut reader)? else {
            return Ok(());
        };
        let wire = Wire::of(&call.target);
        let (number, answer) = state.begin(call);
        let is_whole = reply(stream, wire, &answer);
        if !matches!(is_whole, Ok(true)) {
            if !matches!(answer.end, End::Cut(_)) {
                state.closed(number);
            }
            return stream.shutdown(Shutdown::Both);
        }
    }
}

/// Reads a request; nothing where the connection is closed between two.
fn request(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Call>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Call {
        target,
        headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        closed: None,
    }))
}

/// Writes an answer; `false` where the other side has gone before its end, or it was cut.
fn reply(mut stream: &TcpStream, wire: Option<Wire>, answer: &Answer) -> io::Result<bool> {
    let Some(wire) = wire else {
        let head = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        return Ok(true);
    };
    let body = match &answer.content {
        Content::Said(said) => wire.write(said),
        Content::Body(body) => body.clone(),
    };
    let kind = match answer.status {
        200 => wire.content_type(),
        _ => "application/json",
    };
    let mut head = format!(
        "HTTP/1.1 {} Scripted\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n",
        answer.status
    );
    for (name, value) in &answer.headers {
        // Writing to a string cannot fail.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    let shown = match answer.end {
        End::Whole => body.len(),
        End::After(bytes) | End::Cut(bytes) | End::Stall(bytes) => bytes.min(body.len()),
    };
    for piece in answer.split.pieces(&body.as_bytes()[..shown]) {
        if piece.is_empty() {
            continue;
        }
        if !answer.pause.is_zero() && matches!(wait(stream, Some(answer.pause))?, Waited::Closed) {
            return Ok(false);
        }
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
        stream.write_all(&chunk)?;
    }
    match answer.end {
        End::Whole | End::After(_) => {
            stream.write_all(b"0\r\n\r\n")?;
            Ok(true)
        }
        End::Cut(_) => Ok(false),
        End::Stall(_) => {
            wait(stream, None)?;
            Ok(false)
        }
    }
}

/// Waits, at most so long, and notices when the other side closes.
fn wait(mut stream: &TcpStream, at_most: Option<Duration>) -> io::Result<Waited> {
    stream.set_read_timeout(at_most)?;
    match stream.read(&mut [0]) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ) =>
        {
            Ok(Waited::Passed)
        }
        // Nobody sends anything while an answer comes: what is read is the end.
        Ok(_) | Err(_) => Ok(Waited::Closed),
    }
}
