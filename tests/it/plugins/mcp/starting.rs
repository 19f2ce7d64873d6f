//! Servers that are not there when the server starts.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::{fs, thread};

use integration_tests::{binary, plugin_dir};
use serde_json::json;

use super::{OverHttp, called, names_of, program, remote, rogue, tools_of, with_servers};
use crate::support::eventually;

#[test]
fn a_server_that_is_required_and_not_there_stops_the_start() {
    let address = OverHttp::address();
    for (table, says) in [
        (
            program("docs", "no-such-program", &[], ""),
            r#"cannot run "no-such-program": No such file"#,
        ),
        (remote("docs", address, ""), "Connection refused"),
        (
            rogue("leaves", "").replace("rogue]", "docs]"),
            "it has closed the connection",
        ),
        (
            rogue("silent", "connect_timeout = \"1s\"").replace("rogue]", "docs]"),
            "not connected within 1s",
        ),
        (
            rogue("endless-list", "max_tools = 20").replace("rogue]", "docs]"),
            "more than 20 tools",
        ),
    ] {
        let ended = with_servers(&table).fail();
        let log = &ended.log;
        // The report is wrapped.
        let plain = |text: &str| text.replace([' ', '\n', '│'], "");
        for says in ["MCP server 'docs'", says, "`required = false`"] {
            assert!(plain(log).contains(&plain(says)), "{says}: {log}");
        }
        assert_eq!(ended.status.code(), Some(1), "{log}");
    }
}

#[test]
fn a_check_of_the_configuration_runs_no_server() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let file = folder.path().join("config.toml");
    let table = program("docs", "no-such-program", &[], "");
    let config = format!("[[plugins.load]]\nname = \"mcp\"\n{table}");
    fs::write(&file, config).expect("there is room for a file");
    let checked = Command::new(binary())
        .args(["check", "--config"])
        .arg(file)
        .env("MORTISE__PLUGINS__DIR", plugin_dir())
        .output()
        .expect("the server can be run");
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}

#[test]
fn a_server_that_comes_later_brings_its_tools() {
    let address = OverHttp::address();
    let server = with_servers(&remote("far", address, "required = false")).start();
    server.wait_for_log("MCP server not connected");
    assert!(tools_of(&server, "plain").is_empty());
    let _http = OverHttp::notes(address);
    eventually(|| {
        names_of(&tools_of(&server, "plain"))
            .contains(&"far_add_note")
            .then_some(())
    });
    let added = called(&server, r#"far_add_note {"title":"a","text":"b"}"#);
    assert_eq!(added, json!({ "notes": 2 }));
    let _ = server.stop();
}

#[test]
fn a_server_that_stumbles_over_the_new_protocol_is_asked_in_the_old_one() {
    let server = with_servers(&rogue("touchy", "")).start();
    assert_eq!(called(&server, "rogue_work {}"), json!("done"));
    let _ = server.stop();
}

#[test]
fn a_token_and_headers_are_sent_and_shown_to_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it has an address");
    let heads = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        let mut head = vec![0; 16 * 1024];
        let length = stream.read(&mut head).expect("there is a request");
        stream
            .write_all(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .expect("the answer is read");
        String::from_utf8_lossy(&head[..length]).to_ascii_lowercase()
    });
    let more = "token = { env = \"DOCS_TOKEN\" }\nprotocol = \"2026-07-28\"\n\
                headers = { x-tenant = { env = \"DOCS_TENANT\" } }";
    let ended = with_servers(&remote("docs", address, more).replace("/mcp", "/mcp?key=geheim-url"))
        .variable("DOCS_TOKEN", "geheim-token")
        .variable("DOCS_TENANT", "geheim-tenant")
        .variable(
            "MORTISE_LOG",
            "trace,hyper=off,hyper_util=off,h2=off,reqwest=off",
        )
        .fail();
    let head = heads.join().expect("the request was read");
    assert!(
        head.contains("authorization: bearer geheim-token"),
        "{head}"
    );
    assert!(head.contains("x-tenant: geheim-tenant"), "{head}");
    assert!(ended.log.contains("401"), "{}", ended.log);
    assert!(!ended.log.contains("geheim"), "{}", ended.log);
}
