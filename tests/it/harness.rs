//! The client of these tests, against answers that are written here byte by byte.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    thread::{self, JoinHandle},
};

use integration_tests::Request;

/// Answers one connection with these pieces, each in a packet of its own.
fn answer_once(pieces: &'static [&'static str]) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it listens");
    let answering = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody asks");
        stream.set_nodelay(true).expect("the socket is ours");
        let mut request = vec![0; 4096];
        let count = stream.read(&mut request).expect("the request comes");
        for piece in pieces {
            stream
                .write_all(piece.as_bytes())
                .expect("the client reads");
        }
        String::from_utf8_lossy(&request[..count]).into_owned()
    });
    (address, answering)
}

#[test]
fn a_request_is_written_with_its_headers_and_its_length() {
    let (address, answering) = answer_once(&["HTTP/1.1 204 No Content\r\n\r\n"]);

    let reply = Request::new(address, "POST", "/x")
        .bearer("t")
        .body("12345")
        .send();

    assert_eq!(reply.expect(204).text(), "");
    let request = answering.join().expect("it was answered");
    assert!(request.starts_with("POST /x HTTP/1.1\r\n"), "{request}");
    for line in ["authorization: Bearer t", "content-length: 5"] {
        assert!(request.contains(line), "{request}");
    }
}

#[test]
fn chunks_are_put_together_however_they_are_cut() {
    let (address, _) = answer_once(&[
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
        "\r\n5\r\nhel",
        "lo\r\n6\r\n wo",
        "rld\r\n0\r",
        "\n\r\n",
    ]);

    assert_eq!(
        Request::new(address, "GET", "/").send().text(),
        "hello world"
    );
}

#[test]
fn a_cut_answer_is_an_error() {
    let (chunked, _) =
        answer_once(&["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"]);
    let (counted, _) = answer_once(&["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"]);

    for address in [chunked, counted] {
        assert!(Request::new(address, "GET", "/").try_send().is_err());
    }
}

#[test]
fn a_stream_is_read_frame_by_frame() {
    let (address, _) = answer_once(&[
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n",
        ":\n\nid: 1\nda",
        "ta: {\"type\":\"A\"}\n\nevent: error\ndata: 1\ndata: 2\n\n",
    ]);
    let mut stream = Request::new(address, "GET", "/").open();

    let heartbeat = stream.next_frame().expect("there is a frame");
    let first = stream.next_frame().expect("there is a frame");
    let frames = stream.finish();

    assert_eq!(heartbeat.comment.as_deref(), Some(""));
    assert_eq!(
        (first.id.as_deref(), first.kind().as_str()),
        (Some("1"), "A")
    );
    assert_eq!(frames.len(), 2, "comments are no events: {frames:?}");
    assert_eq!(
        (frames[1].kind().as_str(), frames[1].data.as_str()),
        ("error", "1\n2")
    );
}
