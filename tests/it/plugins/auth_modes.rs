//! `server.auth`: the secret, keys and tokens together or as alternatives, and who is asking then.

use integration_tests::{Raw, Reply, Server, ServerBuilder};
use serde_json::{Value, json};

use crate::support::{SCRIPTED, eventually};

/// The secret, keys, tokens, a guard that does not authenticate, and whatever knows who asks.
const GUARDED: &str = r#"
[[plugins.load]]
name = "gate"
library = "fixture_plugin"
config = { gate = true }

[[plugins.load]]
name = "auth"
config = { keys = [{ key = "ann-key", subject = "ann", tenant = "acme" }] }

[[plugins.load]]
name = "tokens"
library = "fixture_plugin"
config = { tokens = true }

[[plugins.load]]
name = "own"
library = "fixture_plugin"
config = { own = true }

[[plugins.load]]
name = "who"
library = "fixture_plugin"
config = { who = true }

[agents.asker]
model = "scripted/fake-1"
tools = ["who"]
"#;

fn server(section: &str) -> Server {
    builder(section).start()
}

fn builder(section: &str) -> ServerBuilder {
    ServerBuilder::new(&format!("[server]\n{section}\n{SCRIPTED}{GUARDED}"))
}

/// Asks a protected endpoint who is asking.
fn who(server: &Server, headers: &[(&str, &str)]) -> Reply {
    let request = server.anonymous("GET", "/api/who");
    headers
        .iter()
        .fold(request, |request, (name, value)| {
            request.header(name, value)
        })
        .send()
}

/// `"200 acme/ann"`, or the status and what refused.
fn outcome(reply: &Reply) -> String {
    let body = reply.json();
    let said = match reply.status() {
        200 => format!(
            "{}/{}",
            body["tenant"].as_str().unwrap_or_default(),
            body["subject"].as_str().unwrap_or_default()
        ),
        _ => body["message"].as_str().unwrap_or_default().to_owned(),
    };
    format!("{} {said}", reply.status())
}

const SECRET: (&str, &str) = ("authorization", "Bearer s3cret");
const TOKEN: (&str, &str) = ("authorization", "Bearer token-bob");
const WRONG_TOKEN: (&str, &str) = ("authorization", "Bearer nonsense");
const BASIC: (&str, &str) = ("authorization", "Basic czNjcmV0");
const KEY: (&str, &str) = ("x-api-key", "ann-key");
const WRONG_KEY: (&str, &str) = ("x-api-key", "eve-key");

const UNKNOWN: &str = "401 Missing or invalid bearer token.";

#[test]
fn any_one_credential_lets_in_and_a_wrong_one_never_does() {
    let server = server("auth = \"any\"\nsecret = \"s3cret\"");
    let cases: [(&[(&str, &str)], &str); 16] = [
        (&[SECRET], "200 default/operator"),
        (&[KEY], "200 acme/ann"),
        (&[TOKEN], "200 tokens/bob"),
        // What guards say goes over the secret.
        (&[SECRET, KEY], "200 acme/ann"),
        (&[KEY, TOKEN], "200 tokens/bob"),
        (&[], UNKNOWN),
        (&[("x-api-key", " ")], UNKNOWN),
        (&[WRONG_TOKEN], "401 Invalid token."),
        (&[WRONG_KEY], "401 Invalid API key."),
        (&[BASIC], UNKNOWN),
        // Nothing falls through to a credential that is right.
        (&[SECRET, WRONG_KEY], "401 Invalid API key."),
        (&[KEY, WRONG_TOKEN], "401 Invalid token."),
        (&[KEY, BASIC], UNKNOWN),
        // Twice is not once.
        (&[SECRET, SECRET], UNKNOWN),
        (&[SECRET, TOKEN], UNKNOWN),
        (&[KEY, KEY], UNKNOWN),
    ];
    for (headers, expected) in cases {
        assert_eq!(outcome(&who(&server, headers)), expected, "{headers:?}");
    }
    let unknown = who(&server, &[BASIC]);
    assert_eq!(unknown.header("www-authenticate"), Some("Bearer"));
}

#[test]
fn a_bearer_token_that_nobody_reads_is_a_wrong_secret() {
    let keys_alone = format!(
        r#"[server]
auth = "any"
secret = "s3cret"
{SCRIPTED}
[[plugins.load]]
name = "auth"
config = {{ keys = [{{ key = "ann-key", subject = "ann", tenant = "acme" }}] }}

[[plugins.load]]
name = "who"
library = "fixture_plugin"
config = {{ who = true }}
"#
    );
    let server = ServerBuilder::new(&keys_alone).start();

    for (headers, expected) in [
        (&[KEY][..], "200 acme/ann"),
        (&[TOKEN], UNKNOWN),
        (&[KEY, TOKEN], UNKNOWN),
    ] {
        assert_eq!(outcome(&who(&server, headers)), expected, "{headers:?}");
    }
}

#[test]
fn without_a_secret_one_of_the_guards_has_to_accept() {
    let server = server("auth = \"any\"");

    for (headers, expected) in [
        (&[KEY][..], "200 acme/ann"),
        (&[TOKEN], "200 tokens/bob"),
        (&[], UNKNOWN),
        (&[SECRET], "401 Invalid token."),
        (&[BASIC], UNKNOWN),
        (&[TOKEN, TOKEN], UNKNOWN),
        (&[TOKEN, WRONG_TOKEN], UNKNOWN),
    ] {
        assert_eq!(outcome(&who(&server, headers)), expected, "{headers:?}");
    }
}

#[test]
fn by_default_every_credential_is_asked_for_the_secret_first() {
    // A token and the secret share a header, so that no request can have both.
    let config = format!(
        r#"[server]
secret = "s3cret"
{SCRIPTED}
[[plugins.load]]
name = "auth"
config = {{ keys = [{{ key = "ann-key", subject = "ann", tenant = "acme" }}] }}

[[plugins.load]]
name = "who"
library = "fixture_plugin"
config = {{ who = true }}
"#
    );
    let server = ServerBuilder::new(&config).start();

    for (headers, expected) in [
        (&[SECRET, KEY][..], "200 acme/ann"),
        (&[KEY], UNKNOWN),
        (&[SECRET], "401 Invalid API key."),
        (&[SECRET, WRONG_KEY], "401 Invalid API key."),
        (&[SECRET, KEY, KEY], UNKNOWN),
        (&[WRONG_TOKEN, KEY], UNKNOWN),
    ] {
        assert_eq!(outcome(&who(&server, headers)), expected, "{headers:?}");
    }
}

#[test]
fn a_secret_and_a_guard_in_one_header_are_warned_of() {
    let clashing = |auth: &str| {
        let config = format!(
            "[server]\nsecret = \"s3cret\"\nauth = \"{auth}\"\n{SCRIPTED}\n\
             [[plugins.load]]\nname = \"auth\"\n\
             config = {{ header = \"authorization\", keys = [{{ key = \"k3y\", subject = \"ann\" }}] }}"
        );
        ServerBuilder::new(&config).start().log()
    };
    assert!(clashing("all").contains("nobody can come in"));
    assert!(!clashing("any").contains("nobody can come in"));
}

#[test]
fn a_guard_that_finds_no_credential_refuses_where_all_are_asked() {
    let config = format!(
        r#"{SCRIPTED}
[[plugins.load]]
name = "tokens"
library = "fixture_plugin"
config = {{ tokens = true, who = true }}
"#
    );
    let server = ServerBuilder::new(&config).start();

    assert_eq!(outcome(&who(&server, &[])), UNKNOWN);
    assert_eq!(outcome(&who(&server, &[BASIC])), UNKNOWN);
    assert_eq!(outcome(&who(&server, &[TOKEN])), "200 tokens/bob");
}

#[test]
fn other_guards_run_in_both_modes_and_one_that_fails_refuses() {
    for mode in ["all", "any"] {
        let server = server(&format!("auth = {mode:?}"));
        let with_gate = |gate: &'static str| who(&server, &[KEY, TOKEN, ("x-gate", gate)]);

        assert_eq!(outcome(&with_gate("open")), "200 tokens/bob", "{mode}");
        assert_eq!(
            outcome(&with_gate("refuse")),
            "403 The gate is closed.",
            "{mode}"
        );
        assert_eq!(
            outcome(&with_gate("fail")),
            "500 Server request failed.",
            "{mode}"
        );
    }
}

#[test]
fn the_alternatives_cover_every_protected_route() {
    let server = server("auth = \"any\"\nsecret = \"s3cret\"");
    let body = json!({ "input": "hi" });
    for (method, path) in [
        ("POST", "/api/plain/run"),
        ("POST", "/plain/run"),
        ("GET", "/api/plain/conversations/c"),
        ("GET", "/api/plain/conversations/c/resume"),
        ("GET", "/api/plain/stream-events/resume?streamId=x"),
        ("POST", "/api/plain/runs/r/abort"),
        ("POST", "/api/plain/run/tool-result"),
        ("POST", "/api/plain/run/tool-approval"),
        ("GET", "/api/-/agents"),
        ("GET", "/api/who"),
    ] {
        let refused = server.anonymous(method, path).json(&body).send();
        assert_eq!(outcome(&refused), UNKNOWN, "{path}");
        for (name, value) in [SECRET, KEY, TOKEN] {
            let reply = server
                .anonymous(method, path)
                .header(name, value)
                .json(&body)
                .send();
            assert_ne!(reply.status(), 401, "{path}");
        }
    }
    // Neither is asked for.
    let _ = server.anonymous("GET", "/own/open").send().expect(200);
    let wrong = server.anonymous("GET", "/own/open").bearer("nonsense");
    let _ = wrong.send().expect(200);
}

#[test]
fn a_body_is_not_read_of_whoever_presents_nothing() {
    let server = server("auth = \"any\"\nsecret = \"s3cret\"\nbody_limit = \"1 KiB\"");
    let large = "x".repeat(2048);

    let stranger = server
        .anonymous("POST", "/api/plain/run")
        .body(large.clone());
    let _ = stranger.send().expect(401);
    let known = server.anonymous("POST", "/api/plain/run").body(large);
    let _ = known.header(KEY.0, KEY.1).send().expect(413);
}

#[test]
fn the_holder_of_the_secret_has_the_name_that_the_configuration_gives() {
    let named = r#"auth = "any"
secret = "s3cret"
principal = { tenant = "acme", subject = "ops", scopes = ["runs:approve"] }"#;
    let server = server(named);

    let reply = who(&server, &[SECRET]).expect(200).json();

    assert_eq!(
        reply,
        json!({ "tenant": "acme", "subject": "ops", "scopes": ["runs:approve"] })
    );
}

#[test]
fn who_is_asking_is_known_to_hooks_agents_tools_and_the_log() {
    for (mode, headers, tenant, subject) in [
        ("any", &[SECRET][..], "default", "operator"),
        ("any", &[KEY], "acme", "ann"),
        ("all", &[KEY, TOKEN], "tokens", "bob"),
    ] {
        let secret = if mode == "any" {
            "secret = \"s3cret\""
        } else {
            ""
        };
        let server = builder(&format!("auth = {mode:?}\n{secret}"))
            .variable("MORTISE_LOG", "info")
            .start();
        let principal = json!({ "tenant": tenant, "subject": subject });
        let run = |agent: &str, input: &str, stream: bool| {
            let request = server.anonymous("POST", &format!("/api/{agent}/run"));
            let request = headers
                .iter()
                .fold(request, |request, (name, value)| {
                    request.header(name, value)
                })
                .json(&json!({ "input": input, "conversationId": "c" }));
            if stream {
                request.open().finish();
                return String::new();
            }
            request.send().expect(200).text().to_owned()
        };

        let said = run("who", "hi", false);
        assert!(said.contains(&quoted(&principal)), "the agent: {said}");
        let said = run("asker", "call who", false);
        assert!(said.contains(&quoted(&principal)), "the tool: {said}");
        run("plain", "hi", true);

        for (place, principals) in heard(&server) {
            assert!(
                principals.iter().all(|it| *it == principal),
                "{place}: {principals:?}"
            );
        }
        let log = server.wait_for_log("the agent runs");
        let line = log.lines().find(|it| it.contains("the agent runs"));
        let line: Value = serde_json::from_str(line.unwrap_or_default()).expect("a line of JSON");
        let span = &line["span"];
        assert_eq!(
            (&span["tenant"], &span["subject"]),
            (&json!(tenant), &json!(subject)),
            "{line}"
        );
        assert_records_are_theirs(&server, headers);
    }
}

/// What every stage has heard, as soon as all have.
#[track_caller]
fn heard(server: &Server) -> Vec<(&'static str, Vec<Value>)> {
    let places = [
        "guard",
        "request",
        "before_model",
        "before_tool",
        "event",
        "observe",
        "completed",
    ];
    // Those who only watch are told in their own time.
    eventually(|| {
        let heard = server.anonymous("GET", "/api/who/heard").send().json();
        let of = |place: &str| {
            let heard = heard.as_array().into_iter().flatten();
            let of_place = heard.filter(|it| it[0] == place);
            of_place.map(|it| it[1].clone()).collect::<Vec<_>>()
        };
        let all = places.map(|place| (place, of(place)));
        let have_all = all.iter().all(|(_, principals)| !principals.is_empty());
        have_all.then(|| all.into())
    })
}

/// What was stored belongs to the one who asked, and to nobody else.
fn assert_records_are_theirs(server: &Server, headers: &[(&str, &str)]) {
    let load = |headers: &[(&str, &str)]| {
        let request = server.anonymous("GET", "/api/who/conversations/c");
        headers
            .iter()
            .fold(request, |request, (name, value)| {
                request.header(name, value)
            })
            .send()
    };
    let _ = load(headers).expect(200);
    let other = ("authorization", "Bearer token-eve");
    let mut others: Vec<_> = headers
        .iter()
        .filter(|it| it.0 != other.0)
        .copied()
        .collect();
    others.push(other);
    let _ = load(&others).expect(204);
}

/// A JSON text as it stands in a text in JSON.
fn quoted(value: &Value) -> String {
    let text = value.to_string();
    let quoted = json!(text).to_string();
    quoted.trim_matches('"').to_owned()
}

#[test]
fn a_secret_beyond_ascii_is_compared_byte_by_byte() {
    let config = format!("[server]\nsecret = \"gehéim\"\n{SCRIPTED}");
    let server = ServerBuilder::new(&config).start();
    let status = |secret: &[u8]| {
        let mut request = b"GET /api/-/agents HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
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
