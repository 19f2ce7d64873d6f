//! The shipped `rate-limit`: exactly so many, however they come.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
};

use integration_tests::{Request, Server};

use crate::support::{eventually, plain, target};

/// How many requests come at the same time: so many on each connection.
const CONNECTIONS: usize = 200;
const ON_EACH: usize = 50;

/// One rule, with these keys.
fn limited(rule: &str) -> Server {
    let plugin = "[[plugins.load]]\nname = \"rate-limit\"";
    plain(&format!("{plugin}\nconfig = {{ rules = [{rule}] }}")).start()
}

fn agents(server: &Server) -> Request {
    server.get("/api/-/agents")
}

/// How many of many requests pass and how many are refused; each connection sends all of its own
/// before it reads.
fn flood(server: &Server, requests_of: impl Fn(usize) -> String + Sync) -> (usize, usize) {
    let count = |connection: usize| {
        let mut stream = TcpStream::connect(server.address()).expect("the server accepts");
        stream
            .write_all(requests_of(connection).as_bytes())
            .expect("the server reads");
        let mut answers = String::new();
        stream
            .read_to_string(&mut answers)
            .expect("the server answers");
        let with = |status: &str| answers.matches(&format!("HTTP/1.1 {status} ")).count();
        (with("200"), with("429"))
    };
    thread::scope(|scope| {
        let count = &count;
        let all: Vec<_> = (0..CONNECTIONS)
            .map(|connection| scope.spawn(move || count(connection)))
            .collect();
        all.into_iter()
            .map(|one| one.join().expect("all are answered"))
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    })
}

/// Runs with these headers, the last of which closes the connection.
fn runs(headers: &str) -> String {
    let body = r#"{"input":"hi"}"#;
    let run = |last: &str| {
        format!(
            "POST /api/plain/run HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             {headers}{last}content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    run("").repeat(ON_EACH - 1) + &run("connection: close\r\n")
}

#[test]
fn of_ten_thousand_requests_at_once_exactly_so_many_pass() {
    // No window ends and no token comes back while this runs.
    for limit in ["window", "bucket"] {
        let rule = format!(r#"{{ limit = "{limit}", max = 137, window = "3650 days" }}"#);
        let server = limited(&rule);
        let (passed, refused) = flood(&server, |_| runs(""));
        assert_eq!(
            (passed, refused),
            (137, CONNECTIONS * ON_EACH - 137),
            "{limit}"
        );
    }
}

#[test]
fn each_key_has_as_many_for_itself() {
    let rule = r#"{ max = 7, window = "3650 days", key = ["header:x-user"] }"#;
    let server = limited(rule);
    // Ten users, on twenty connections each.
    let (passed, refused) = flood(&server, |connection| {
        runs(&format!("x-user: user-{}\r\n", connection % 10))
    });
    assert_eq!((passed, refused), (70, CONNECTIONS * ON_EACH - 70));
}

#[test]
fn the_recorded_server_counts_each_user() {
    let server = target("d");
    let run = |user: &str| {
        let run = server.run("plain", "hi").header("x-api-key", "k1");
        run.header("x-forwarded-for", "10.0.0.1")
            .header("x-user", user)
    };
    // Four in one window: one may have ended in between, but not two.
    let statuses = [(); 7].map(|()| run("ann").send().status());
    assert_eq!(statuses[..3], [200; 3]);
    assert!(statuses.contains(&429), "{statuses:?}");
    let _ = run("bob").send().expect(200);
}

#[test]
fn rules_before_and_behind_a_guard_that_authenticates_count_what_they_see() {
    let server = plain(
        r#"
[[plugins.load]]
name = "by-address"
library = "rate_limit"
config = { rules = [{ max = 5, window = "3650 days", key = ["ip"] }] }

[[plugins.load]]
name = "auth"
config = { keys = [{ key = "ann-key", subject = "ann" }, { key = "bob-key", subject = "bob" }] }

[[plugins.load]]
name = "by-principal"
library = "rate_limit"
config = { rules = [{ max = 1, window = "3650 days", key = ["principal"] }] }
"#,
    )
    .start();
    let with = |key: &str| agents(&server).header("x-api-key", key).send();
    let _ = with("ann-key").expect(200);
    let again = with("ann-key").expect(429);
    assert_eq!(again.json()["key"], "default/ann");
    let _ = with("bob-key").expect(200);
    let _ = with("wrong").expect(401);
    let _ = with("wrong").expect(401);
    // Guesses are counted too, so that keys cannot be tried without end.
    let flooded = with("wrong").expect(429);
    assert_eq!(flooded.json()["key"], "127.0.0.1");
}

#[test]
fn a_place_is_free_when_the_stream_ends_or_its_client_goes() {
    let server = limited(r#"{ limit = "concurrent", max = 1, key = ["ip"] }"#);
    // Who reads the end of a response finds the place free.
    for _ in 0..20 {
        let _ = server.stream("plain", "reason").finish();
        let _ = agents(&server).send().expect(200);
    }

    let mut stream = server.stream("plain", "slow");
    stream.wait_for("TEXT_MESSAGE_CONTENT");
    let refused = agents(&server).send().expect(429);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.json()["limit"], 1);
    drop(stream);
    wait_until_free(&server);
}

#[test]
fn a_place_is_free_when_the_client_goes_before_it_was_answered() {
    let server = plain(
        r#"
[[plugins.load]]
name = "rate-limit"
config = { rules = [{ limit = "concurrent", max = 1, key = ["ip"] }] }

[[plugins.load]]
name = "bad"
library = "misbehaving"
config = { hang_in = "agent" }

[[plugins.load]]
name = "request-log"
"#,
    )
    .start();
    // It never answers: nothing but the end of the connection frees the place.
    let body = r#"{"input":"hi"}"#;
    let mut asking = TcpStream::connect(server.address()).expect("the server accepts");
    let head =
        "POST /api/misbehaving/run HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
    write!(
        asking,
        "{head}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("the server reads");
    server.wait_for_log("request.received");
    let _ = agents(&server).send().expect(429);
    drop(asking);
    wait_until_free(&server);
}

#[track_caller]
fn wait_until_free(server: &Server) {
    eventually(|| (agents(server).send().status() == 200).then_some(()));
}

#[test]
fn headers_come_with_refusals_and_with_every_reply_where_that_is_asked_for() {
    let rule = r#"{ max = 2, window = "3650 days" }"#;
    let server = limited(rule);
    let passed = agents(&server).send().expect(200);
    assert_eq!(passed.header("x-ratelimit-limit"), None);

    let plugin = "[[plugins.load]]\nname = \"rate-limit\"";
    let config = format!("{plugin}\nconfig = {{ headers = \"always\", rules = [{rule}] }}");
    let server = plain(&config).start();
    let told = |status| {
        let reply = agents(&server).send().expect(status);
        assert!(reply.header("x-ratelimit-reset").is_some());
        let of = |name: &str| reply.header(name).map(str::to_owned);
        (of("x-ratelimit-limit"), of("x-ratelimit-remaining"))
    };
    let standing = |remaining: &str| (Some("2".to_owned()), Some(remaining.to_owned()));
    assert_eq!(told(200), standing("1"));
    assert_eq!(told(200), standing("0"));
    assert_eq!(told(429), standing("0"));
    let probe = server.get("/livez").send().expect(200);
    assert_eq!(probe.header("x-ratelimit-limit"), None, "nobody counts it");
}

#[test]
fn hostile_keys_are_keys_like_any_other() {
    let rule = r#"{ max = 1, window = "3650 days", key = ["header:x-user", "agent"] }"#;
    let mut server = limited(rule);
    // As long as a header may be.
    let long = "k".repeat(30_000);
    for key in [
        "a",
        "a:b",
        "a|1:b",
        "../../etc",
        "%0d%0a",
        "\u{fffd}",
        &long,
    ] {
        let as_user = || agents(&server).header("x-user", key).send();
        let _ = as_user().expect(200);
        let refused = as_user().expect(429);
        assert!(
            refused.text().len() < 2_000,
            "{} bytes",
            refused.text().len()
        );
    }
    server.assert_alive();
}

#[test]
fn a_plugin_that_waits_for_the_count_gets_the_same() {
    let fixture = "[[plugins.load]]\nname = \"fixture\"\nlibrary = \"fixture_plugin\"\n";
    let server = plain(&format!("{fixture}config = {{ counter = true }}")).start();
    let count = |key: &str| {
        let counted = server.post(&format!("/api/count/{key}")).send().expect(200);
        counted.json()
    };
    for (allowed, remaining) in [(true, 1), (true, 0), (false, 0)] {
        let counted = count("a");
        assert_eq!(counted["isAllowed"], allowed, "{counted}");
        assert_eq!(counted["remaining"], remaining, "{counted}");
    }
    assert_eq!(count("b")["isAllowed"], true);
}
