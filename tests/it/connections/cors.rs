//! Pages of other origins.

use integration_tests::{Request, Server, ServerBuilder};
use serde_json::json;

use crate::support::SCRIPTED;

const PAGE: &str = "https://chat.example";

fn start(cors: &str) -> Server {
    let config = format!("[server]\nsecret = \"s3cret\"\n{cors}\n{SCRIPTED}");
    ServerBuilder::new(&config).start()
}

fn preflight(server: &Server, origin: &str) -> Request {
    server
        .anonymous("OPTIONS", "/api/plain/run")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization")
}

#[test]
fn without_origins_nothing_is_said_and_options_is_a_method_like_others() {
    let server = start("");
    let reply = preflight(&server, PAGE).send().expect(405);
    assert_eq!(reply.header("access-control-allow-origin"), None);
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn without_credentials_pages_of_others_may_not_act() {
    let run = |server: &Server, origin: &str| {
        let run = server.anonymous("POST", "/api/plain/run");
        run.header("content-type", "text/plain; application/json")
            .header("origin", origin)
            .body(r#"{"input":"hi"}"#)
            .send()
            .status()
    };
    let open = ServerBuilder::new(SCRIPTED).start();
    let own = format!("http://{}", open.address());
    let _ = open.run("plain", "hi").send().expect(200);
    assert_eq!(run(&open, &own), 200);
    for other in [PAGE, "null", "http://127.0.0.1:1", "https://", ""] {
        assert_eq!(run(&open, other), 403, "{other}");
    }
    let named = format!("[server.cors]\norigins = [\"{PAGE}\"]\n{SCRIPTED}");
    let named = ServerBuilder::new(&named).start();
    assert_eq!(run(&named, PAGE), 200);
    assert_eq!(run(&named, "https://evil.example"), 403);

    assert_eq!(run(&start(""), PAGE), 401, "a secret is asked for anyway");
}

#[test]
fn without_credentials_a_name_of_somebody_elses_leads_nowhere() {
    let server = ServerBuilder::new(SCRIPTED).start();
    let port = server.address().port();
    let list = |server: &Server, host: &str| {
        let list = server.anonymous("GET", "/api/-/agents");
        list.header("host", host).send().status()
    };
    for own in ["localhost", "127.0.0.1", "[::1]"] {
        assert_eq!(list(&server, &format!("{own}:{port}")), 200, "{own}");
    }
    let evil = format!("evil.example:{port}");
    assert_eq!(list(&server, &evil), 403);
    let run = server.anonymous("POST", "/api/plain/run");
    let run = run.json(&json!({ "input": "hi" })).header("host", &evil);
    let _ = run
        .header("origin", &format!("http://{evil}"))
        .send()
        .expect(403);

    let behind = "[server]\ntrusted_proxies = [\"127.0.0.1\"]";
    let behind = ServerBuilder::new(&format!("{behind}\n{SCRIPTED}")).start();
    assert_eq!(
        list(&behind, "agents.example"),
        200,
        "a proxy says who comes in"
    );
}

#[test]
fn a_preflight_of_a_page_that_may_is_answered_without_the_secret() {
    let server = start("[server.cors]\norigins = [\"https://chat.example\"]");
    let reply = preflight(&server, PAGE).send().expect(204);
    for (name, value) in [
        ("access-control-allow-origin", PAGE),
        (
            "access-control-allow-methods",
            "GET, POST, PUT, PATCH, DELETE",
        ),
        ("access-control-max-age", "600"),
        ("vary", "origin"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    let headers = reply
        .header("access-control-allow-headers")
        .unwrap_or_default();
    for name in ["authorization", "x-trace-id"] {
        assert!(headers.contains(name), "{headers}");
    }

    // Another page, and what is no preflight, go where they always go.
    let other = preflight(&server, "https://evil.example")
        .send()
        .expect(405);
    assert_eq!(other.header("access-control-allow-origin"), None);
    let plain = server.anonymous("OPTIONS", "/api/plain/run");
    let _ = plain.header("origin", PAGE).send().expect(405);
    let _ = server
        .anonymous("OPTIONS", "/nowhere/at/all")
        .send()
        .expect(404);
}

#[test]
fn a_page_reads_the_answer_and_its_ids_refusals_too() {
    let server = start("[server.cors]\norigins = [\"https://chat.example\"]");
    for (token, status) in [("s3cret", 200), ("wrong", 401)] {
        let run = server.run("plain", "hi").bearer(token);
        let reply = run.header("origin", PAGE).send().expect(status);
        assert_eq!(reply.header("access-control-allow-origin"), Some(PAGE));
        let exposed = reply.header("access-control-expose-headers");
        let exposed = exposed.unwrap_or_default();
        for name in [
            "location",
            "x-run-id",
            "x-stream-id",
            "mortise-run-id",
            "x-request-id",
            "x-trace-id",
            "retry-after",
            "x-ratelimit-reset",
        ] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }
}

#[test]
fn every_page_and_credentials_do_not_go_together() {
    for cors in [
        "origins = [\"*\"]\ncredentials = true",
        "origins = [\"*\", \"https://a.example\"]",
        "origins = [\"https://a.example/\"]",
        "origins = [\"a.example\"]",
        "origins = [\"*\"]\nheaders = [\"a b\"]",
    ] {
        let ended = ServerBuilder::new(&format!("[server.cors]\n{cors}\n{SCRIPTED}")).fail();
        assert_eq!(ended.status.code(), Some(2), "{cors}: {}", ended.log);
    }
}
