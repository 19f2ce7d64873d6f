//! How a server starts and ends.

use std::{net::TcpListener, thread, time::Duration};

use integration_tests::{Server, ServerBuilder};
use rustix::process::Signal;

use crate::support::{SOON, kinds, plain};

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

    // The run takes three seconds; the grace and what cancelling takes are less.
    let ended = server.wait(Duration::from_millis(2_500));
    assert_eq!(ended.status.code(), Some(0), "{ended:#?}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let server = plain("").start();
    let mut stream = server.stream("plain", "slow");
    stream.wait_for("TEXT_MESSAGE_CONTENT");

    server.signal(Signal::INT);
    // The kernel merges two signals that arrive before the first is read.
    while is_ready(&server) {
        thread::yield_now();
    }
    server.signal(Signal::INT);

    server.wait(Duration::from_secs(2));
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
