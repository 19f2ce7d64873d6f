//! The server's secret, where it comes from and where it must never go.

use integration_tests::{Raw, ServerBuilder};

use crate::support::SCRIPTED;

/// A secret that is found wherever it is written.
const CANARY: &str = "canary-5up3r-g3h31m";

#[test]
fn a_secret_beyond_ascii_is_compared_byte_by_byte() {
    let config = format!("[server]\nsecret = \"gehéim\"\n{SCRIPTED}");
    let server = ServerBuilder::new(&config).start();
    let status = |secret: &[u8]| {
        let mut request = b"GET /api/-/agents HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                            authorization: Bearer "
            .to_vec();
        request.extend(secret);
        request.extend(b"\r\n\r\n");
        let answered = Raw::sending(server.address(), request).rest();
        answered[9..12].to_owned()
    };
    assert_eq!(status("gehéim".as_bytes()), "200");
    // The same letter in another encoding, and in another form.
    assert_eq!(status(b"geh\xe9im"), "401");
    assert_eq!(status("gehe\u{301}im".as_bytes()), "401");
    assert_eq!(status(b""), "401");
}

#[test]
fn two_credentials_are_none() {
    let config = format!("[server]\nsecret = \"{CANARY}\"\n{SCRIPTED}");
    let server = ServerBuilder::new(&config).start();
    let twice = server
        .anonymous("GET", "/api/-/agents")
        .bearer(CANARY)
        .bearer(CANARY);
    let reply = twice.send().expect(401);
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
}

#[test]
fn neither_the_secret_nor_a_guess_is_written_anywhere() {
    let config = format!(
        "[server]\nsecret = {{ env = \"CANARY\" }}\n{SCRIPTED}\n[[plugins.load]]\n\
         name = \"request-log\"\n"
    );
    let server = ServerBuilder::new(&config)
        .variable("CANARY", CANARY)
        .variable("MORTISE_LOG", "trace")
        .start();
    let mut said = String::new();
    for token in [CANARY, "canary-guess"] {
        for path in ["/api/-/agents", "/api/plain/run", "/nowhere", "/livez"] {
            let reply = server.anonymous("GET", path).bearer(token).send();
            said.push_str(reply.text());
        }
        let request = server.run("plain", "hi").bearer(token);
        said.push_str(request.send().text());
        let broken = server.anonymous("POST", "/api/plain/run").bearer(token);
        said.push_str(broken.body("{").send().text());
    }
    server.signal(rustix::process::Signal::TERM);
    let log = server.wait(crate::support::SOON).log;
    assert!(
        log.contains("/api/plain/run"),
        "the log has the requests: {log}"
    );
    for place in [said, log] {
        let line = place.lines().find(|it| it.contains("canary"));
        assert_eq!(line, None);
    }
}
