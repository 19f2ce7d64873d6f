//! How a server starts and ends.

use std::{iter, net::TcpListener};

use integration_tests::{Server, ServerBuilder, SseReader};
use rustix::process::Signal;

use crate::support::{SOON, eventually, kinds, plain};

#[test]
fn a_signal_ends_an_idle_server_in_success() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = plain("").start();
        server.signal(signal);

        let ended = server.wait(SOON);

        assert_eq!(ended.status.code(), Some(0), "{ended:#?}");
    }
}

#[test]
fn a_hangup_is_told_and_the_server_goes_on() {
    let mut server = plain("").start();

    server.signal(Signal::HUP);

    let log = server.wait_for_log("SIGHUP");
    assert!(log.contains("restart the server"), "{log}");
    server.assert_alive();
    server.signal(Signal::TERM);
    assert_eq!(server.wait(SOON).status.code(), Some(0));
}

#[test]
fn a_run_at_hand_is_finished_before_the_end() {
    let server = plain("").start();
    let mut stream = server.stream("plain", "slow");
    stream.wait_for("TEXT_MESSAGE_CONTENT");

    server.signal(Signal::TERM);
    let frames = stream.finish();

    assert_eq!(
        kinds(&frames).last().map(String::as_str),
        Some("RUN_FINISHED")
    );
    assert_eq!(server.wait(SOON).status.code(), Some(0));
}

#[test]
fn the_end_does_not_wait_longer_than_the_grace() {
    let server = plain("[server]\nshutdown_grace = \"500ms\"").start();
    let mut stream = server.stream("plain", "slow");
    stream.wait_for("TEXT_MESSAGE_CONTENT");

    server.signal(Signal::TERM);

    assert_ends_before_the_run(server, stream);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let server = plain("").start();
    let mut stream = server.stream("plain", "slow");
    stream.wait_for("TEXT_MESSAGE_CONTENT");

    server.signal(Signal::INT);
    // The kernel merges two signals that arrive before the first is read.
    eventually(|| (!is_ready(&server)).then_some(()));
    server.signal(Signal::INT);

    assert_ends_before_the_run(server, stream);
}

/// A run takes three seconds; a server that does not wait for it ends its stream before.
#[track_caller]
fn assert_ends_before_the_run(server: Server, mut stream: SseReader) {
    // It may be cut.
    let rest = iter::from_fn(|| stream.try_next_frame().ok().flatten());
    let kinds: Vec<_> = rest.map(|frame| frame.kind()).collect();
    assert!(!kinds.iter().any(|it| it == "RUN_FINISHED"), "{kinds:?}");
    let ended = server.wait(SOON);
    assert_eq!(ended.status.code(), Some(0), "{ended:#?}");
}

/// Whether new requests are served: a server that is ending says no, or does not answer.
fn is_ready(server: &Server) -> bool {
    let asked = server.get("/readyz").try_send();
    asked.is_ok_and(|it| it.status() == 200)
}

#[test]
fn a_busy_port_is_named_and_ends_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = taken.local_addr().expect("it listens").port().to_string();

    let ended = plain("")
        .variable("MORTISE__SERVER__PORT", port.clone())
        .fail();

    assert_eq!(ended.status.code(), Some(1), "{ended:#?}");
    assert!(ended.log.contains(&port), "{}", ended.log);
}

#[test]
fn of_several_ports_the_first_free_one_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = taken.local_addr().expect("it listens").port();

    let server = plain(&format!("[server]\nports = [{port}, 0]"))
        .without_port()
        .start();

    assert_ne!(server.address().port(), port);
}

#[test]
fn an_invalid_configuration_ends_the_start_with_2() {
    let ended = ServerBuilder::new("[server]\nprot = 1\n").fail();

    assert_eq!(ended.status.code(), Some(2), "{ended:#?}");
}

#[test]
fn the_address_is_logged_as_a_field() {
    let server = plain("").start();

    let log = server.wait_for_log("listening");

    let address = server.address().to_string();
    let line = log.lines().find(|it| it.contains("listening"));
    assert!(line.is_some_and(|it| it.contains(&address)), "{log}");
}
