//! The shipped `ops-endpoints`.

use serde_json::json;

use crate::support::plain;

const OPS: &str = r#"
[server]
secret = "s3cret"

[[plugins.load]]
name = "ops-endpoints"
"#;

#[test]
fn health_is_public_and_the_rest_is_not() {
    let server = plain(OPS).start();

    let _ = server.anonymous("GET", "/api/health").send().expect(200);
    for (method, path) in [
        ("GET", "/api/ops/x"),
        ("GET", "/api/ops-ticks"),
        ("POST", "/api/ops-raw"),
    ] {
        let _ = server.anonymous(method, path).send().expect(401);
    }
}

#[test]
fn a_plugin_streams_its_own_events() {
    let server = plain(OPS).start().with_token("s3cret");

    let frames = server.get("/api/ops-ticks?n=3").open().finish();

    let ticks: Vec<_> = frames.iter().map(|it| it.json()["tick"].clone()).collect();
    assert_eq!(ticks, [0, 1, 2]);
}

#[test]
fn a_stream_of_a_plugin_ends_when_its_reader_hangs_up() {
    let mut server = plain(OPS).start().with_token("s3cret");

    for _ in 0..20 {
        server.get("/api/ops-ticks?n=100").hang_up();
    }

    server.assert_alive();
}

#[test]
fn a_plugin_reads_a_body_of_any_kind() {
    let server = plain(OPS).start().with_token("s3cret");

    let reply = server
        .post("/api/ops-raw")
        .header("content-type", "application/octet-stream")
        .body(vec![0xff; 100_000])
        .send();

    assert_eq!(
        reply.expect(200).json(),
        json!({ "bytes": 100_000, "contentType": "application/octet-stream" })
    );
}

#[test]
fn the_prefix_of_a_mount_is_configured() {
    let config = OPS.replace(
        "name = \"ops-endpoints\"",
        "name = \"ops-endpoints\"\nconfig = { prefix = \"/internal\" }",
    );
    let server = plain(&config).start();

    let _ = server
        .anonymous("GET", "/api/internal/health")
        .send()
        .expect(200);
    let _ = server.anonymous("GET", "/api/health").send().expect(404);
}

#[test]
fn a_setting_that_the_plugin_refuses_is_shown_where_it_is_written() {
    let ended = plain(
        r#"
[[plugins.load]]
name = "ops-endpoints"
config = { prefix = "ops" }
"#,
    )
    .fail();

    assert_eq!(ended.status.code(), Some(2), "{}", ended.log);
    for part in [
        "`prefix` of plugin 'ops-endpoints'",
        "does not begin with `/`",
        "config.toml:4",
    ] {
        assert!(ended.log.contains(part), "no {part:?} in {}", ended.log);
    }
}
