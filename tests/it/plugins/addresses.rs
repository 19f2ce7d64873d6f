//! The client's address: the shipped `ip-allowlist`, behind proxies and without.

use integration_tests::{Request, Server};
use serde_json::json;

use crate::support::{plain, target};

/// Lets in whoever is on this machine.
const LOCAL: &str = r#"
[[plugins.load]]
name = "ip-allowlist"
config = { allow = ["127.0.0.1"] }
"#;

/// Lets in one network, behind a proxy on this machine and one further away.
const BEHIND_PROXIES: &str = r#"
[server]
trusted_proxies = ["127.0.0.1", "10.0.0.0/8"]

[[plugins.load]]
name = "request-log"

[[plugins.load]]
name = "ip-allowlist"
config = { allow = ["8.8.8.0/24", "2001:db8::/32"] }
"#;

fn agents(server: &Server) -> Request {
    server.get("/api/-/agents")
}

fn forwarded(server: &Server, value: &str) -> Request {
    agents(server).header("x-forwarded-for", value)
}

#[test]
fn the_recorded_server_reads_the_address_from_the_header() {
    let server = target("d");
    let run = || {
        let run = server.run("plain", "hi");
        run.header("x-api-key", "k1").header("x-user", "ann")
    };
    let forwarded = |value| run().header("x-forwarded-for", value).send();

    let refused = run().send().expect(403);
    assert_eq!(
        refused.json(),
        json!({ "error": "forbidden", "message": "IP address is not allowed." })
    );
    for outside in ["8.8.8.8", "8.8.8.8, 10.0.0.1", "::ffff:10.1.2.3", "unknown"] {
        assert_eq!(forwarded(outside).status(), 403, "{outside}");
    }
    let _ = forwarded("10.1.2.3").expect(200);
    let _ = forwarded("nobody, 127.0.0.1").expect(200);
}

#[test]
fn without_trusted_proxies_no_header_says_who_is_asking() {
    let mut server = plain(LOCAL).start();
    for name in [
        "x-forwarded-for",
        "forwarded",
        "x-real-ip",
        "x-client-ip",
        "x-user-id",
    ] {
        for value in [
            "8.8.8.8",
            "for=8.8.8.8",
            "unknown",
            "[::1]:99999",
            "127.0.0.1:x",
        ] {
            let _ = agents(&server).header(name, value).send().expect(200);
        }
    }
    server.assert_alive();
}

#[test]
fn a_peer_that_ipv6_maps_is_the_ipv4_host() {
    // A socket of IPv6 at an IPv4 address of this machine.
    let server = "[server]\nhost = \"::ffff:127.0.0.1\"\ninsecure = true\n";
    let server = plain(&format!("{server}{LOCAL}")).start();
    assert!(server.address().is_ipv6(), "{}", server.address());
    let _ = agents(&server).send().expect(200);
}

#[test]
fn behind_trusted_proxies_the_last_address_that_is_none_of_theirs_counts() {
    let mut server = plain(BEHIND_PROXIES).start();
    for (value, status) in [
        ("8.8.8.8", 200),
        ("8.8.8.8, 10.0.0.1", 200),
        ("1.2.3.4, 8.8.8.8, 10.0.0.1, 10.0.0.2", 200),
        ("8.8.8.8:4711", 200),
        ("::ffff:8.8.8.8", 200),
        ("[2001:db8::1]:443", 200),
        // Who writes the allowed address in front is still where it is.
        ("8.8.8.8, 1.2.3.4", 403),
        ("8.8.8.8, 1.2.3.4, 10.0.0.1", 403),
        ("8.8.8.8, unknown", 403),
        ("8.8.8.8, 10.0.0.1x", 403),
        ("unknown", 403),
        ("", 403),
        ("10.0.0.1", 403),
    ] {
        let answered = forwarded(&server, value).send();
        assert_eq!(answered.status(), status, "{value:?}");
    }
    let two = forwarded(&server, "1.2.3.4").header("x-forwarded-for", "8.8.8.8");
    let _ = two.send().expect(200);
    let two = forwarded(&server, "8.8.8.8").header("x-forwarded-for", "1.2.3.4");
    let _ = two.send().expect(403);
    let _ = agents(&server).send().expect(403);

    // As many as fit into the headers of a request.
    let many = "8.8.8.8, ".to_owned() + &"10.0.0.1,".repeat(3_000);
    let _ = forwarded(&server, &many).send().expect(200);
    let broken = "x,".repeat(10_000);
    let _ = forwarded(&server, &broken).send().expect(403);
    server.assert_alive();
}

#[test]
fn the_first_address_counts_where_that_is_asked_for() {
    let config = BEHIND_PROXIES.replace("[server]", "[server]\nclient_ip = \"first\"");
    let server = plain(&config).start();
    let _ = forwarded(&server, "8.8.8.8, 1.2.3.4").send().expect(200);
    let _ = forwarded(&server, "unknown, 8.8.8.8").send().expect(200);
    let _ = forwarded(&server, "1.2.3.4, 8.8.8.8").send().expect(403);
}

#[test]
fn the_log_names_the_same_client_also_of_refused_requests() {
    let server = plain(BEHIND_PROXIES).start();
    let _ = forwarded(&server, "1.2.3.4, 8.8.8.8, 10.0.0.1")
        .send()
        .expect(200);
    let _ = forwarded(&server, "198.51.100.7").send().expect(403);
    let log = server.wait_for_log("198.51.100.7");
    assert!(log.contains(r#"\"clientIp\":\"8.8.8.8\""#), "{log}");
}
