//! The log has a reader that is slow, goes away, or was never there: the server goes on.

use std::{
    fs::{self, File, Permissions},
    io::{PipeReader, PipeWriter, Read as _, Write as _, pipe},
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
    thread,
};

use integration_tests::{Server, binary};
use rustix::{io::ioctl_fionbio, process::Signal};

use crate::support::{SOON, eventually, plain};

const LOUD: &str = "[[plugins.load]]\nname = \"request-log\"\n";

/// A pipe that takes nothing more.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().expect("there is room for a pipe");
    ioctl_fionbio(&writer, true).expect("a pipe may be asked not to wait");
    while writer.write(&[b'\n'; 4096]).is_ok() {}
    ioctl_fionbio(&writer, false).expect("and to wait");
    (reader, writer)
}

#[track_caller]
fn make_noise(server: &Server) {
    for _ in 0..5 {
        let _ = server.run("plain", "hi").send().expect(200);
        let _ = server.get("/livez").send().expect(200);
    }
}

#[track_caller]
fn assert_ends_in_order(server: Server) {
    server.signal(Signal::TERM);
    let ended = server.wait(SOON);
    assert_eq!(ended.status.code(), Some(0), "{ended:#?}");
}

#[test]
fn a_log_that_nobody_reads_stops_nothing_and_tells_later_what_is_missing() {
    let (mut reader, writer) = full_pipe();
    let server = plain(LOUD).log_to(writer).start();

    make_noise(&server);

    let read = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&read);
    let reading = thread::spawn(move || {
        let mut part = vec![0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut part) {
            let part = String::from_utf8_lossy(&part[..count]);
            sink.lock().expect("nobody panics with it").push_str(&part);
        }
    });
    let notice = eventually(|| {
        let _ = server.run("plain", "hi").send().expect(200);
        let read = read.lock().expect("nobody panics with it");
        let notice = read.lines().find(|it| it.contains("missing here"));
        notice.map(str::to_owned)
    });
    let notice: serde_json::Value = serde_json::from_str(&notice).expect("it is JSON");
    assert_eq!(notice["level"], "WARN");
    assert!(notice["lines"].as_u64() > Some(1), "{notice}");
    assert_ends_in_order(server);
    reading.join().expect("the reader saw the end");
}

#[test]
fn a_server_that_nobody_reads_any_more_ends_in_order() {
    let (_reader, writer) = full_pipe();
    let server = plain(LOUD).log_to(writer).start();

    make_noise(&server);

    assert_ends_in_order(server);
}

#[test]
fn a_reader_of_the_log_that_goes_away_takes_no_request_with_it() {
    let (reader, writer) = pipe().expect("there is room for a pipe");
    let server = plain(LOUD).log_to(writer).start();
    let _ = server.run("plain", "hi").send().expect(200);

    drop(reader);

    make_noise(&server);
    assert_ends_in_order(server);
}

#[test]
fn a_log_on_a_full_disk_stops_nothing() {
    let full = File::options().write(true).open("/dev/full");
    let server = plain(LOUD).log_to(full.expect("it is there")).start();

    make_noise(&server);

    assert_ends_in_order(server);
}

#[test]
fn a_server_without_a_standard_error_serves() {
    let server = plain(LOUD);
    let script = server.folder().join("start.sh");
    let text = format!("#!/bin/sh\nexec '{}' \"$@\" 2>&-\n", binary().display());
    fs::write(&script, text).expect("there is room for a file");
    fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("it is ours");
    let server = server.binary(script).start();

    make_noise(&server);

    assert_ends_in_order(server);
}

#[test]
fn nobody_writes_a_line_of_the_log_for_people_or_moves_its_cursor() {
    let server = plain("[log]\nformat = \"pretty\"\n").start();
    let prompt = "call nosuch\u{1b}[31m\nINFO-forged {}";

    let _ = server.run("plain", prompt).send().expect(422);

    let log = server.wait_for_log("nosuch");
    assert!(!log.contains('\u{1b}'), "{log}");
    assert!(
        !log.lines().any(|line| line.starts_with("INFO-forged")),
        "{log}"
    );
}

#[test]
fn warnings_say_of_which_request_they_are_where_somebody_asks_for_it() {
    let log = "[log]\nlevel = \"warn\"\ntargets = { \"mortise::request\" = \"info\" }\n";
    let server = plain(log).start();
    let reply = server.run("plain", "fail").send().expect(502);
    let id = reply.header("x-request-id").expect("every reply has one");
    let log = server.wait_for_log("the request failed");
    assert!(log.contains(id), "no {id} in {log}");
    assert!(!log.contains("INFO"), "{log}");
}
