//! The shipped `jwt-auth` plugin: whose tokens come in, and how the others are refused.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use integration_tests::tokens::{Signer, TOKEN_SECRET, raw_token, test_key, token, token_with};
use integration_tests::{Reply, Server, Stopwatch};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::support::{eventually, plain};

/// A server that trusts a secret and an ES256 key.
fn guarded(more: &str) -> Server {
    let config = format!(
        r#"
[[plugins.load]]
name = "jwt-auth"

[plugins.load.config]
{more}

[[plugins.load.config.issuers]]
issuer = "https://id.example"
audience = ["mortise"]
tenant_claim = "org"
keys = [
    {{ id = "s1", algorithms = ["HS256"], secret = {{ env = "TOKEN_SECRET" }} }},
    {{ id = "e1", algorithms = ["ES256"], key = {{ file = "es256.pem" }} }},
]
"#
    );
    let server = plain(&config)
        .variable("TOKEN_SECRET", TOKEN_SECRET)
        .variable("MORTISE__LOG__LEVEL", "debug");
    std::fs::write(
        server.folder().join("es256.pem"),
        test_key("es256-a.pub.pem"),
    )
    .expect("the folder can be written");
    server.start()
}

fn now() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the server's clock is the real one"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is later than 1970").as_secs()
}

/// Claims that are accepted.
fn ann() -> Value {
    json!({
        "iss": "https://id.example", "aud": "mortise", "sub": "ann", "org": "acme",
        "exp": now() + 600,
    })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn by_secret(claims: &Value) -> String {
    token_with(
        Signer::Secret(TOKEN_SECRET.as_bytes()),
        &json!({ "kid": "s1" }),
        claims,
    )
}

fn run_with(server: &Server, authorization: &str) -> Reply {
    server
        .run("plain", "hi")
        .header("authorization", authorization)
        .send()
}

#[track_caller]
fn assert_invalid(reply: Reply) {
    let reply = reply.expect(401);
    assert_eq!(
        reply.header("www-authenticate"),
        Some("Bearer error=\"invalid_token\"")
    );
    assert_eq!(
        reply.json(),
        json!({
            "code": "UNAUTHORIZED", "message": "Missing or invalid bearer token.", "status": 401,
        })
    );
}

#[test]
fn tokens_of_both_keys_come_in_and_no_token_does_not() {
    let server = guarded("");
    let elliptic = test_key("es256-a.pem");
    let by_curve = token_with(
        Signer::Pem(Algorithm::ES256, &elliptic),
        &json!({ "kid": "e1", "typ": "JWT" }),
        &ann(),
    );

    for token in [by_secret(&ann()), by_curve] {
        let _ = run_with(&server, &format!("Bearer {token}")).expect(200);
        let again = run_with(&server, &format!("bearer {token}"));
        let _ = again.expect(200);
    }

    let without = server.run("plain", "hi").send().expect(401);
    assert_eq!(without.header("www-authenticate"), Some("Bearer"));
    let _ = run_with(&server, "Basic YW5uOmFubg==").expect(401);
}

#[test]
fn what_a_token_says_must_be_right() {
    let server = guarded("");
    let wrong = [
        with(ann(), "exp", (now() - 60).into()),
        with(ann(), "exp", Value::Null),
        with(ann(), "nbf", (now() + 600).into()),
        with(ann(), "iss", "https://id.example/".into()),
        with(ann(), "aud", "other".into()),
        with(ann(), "org", Value::Null),
        with(ann(), "sub", "".into()),
    ];
    for claims in wrong {
        assert_invalid(run_with(&server, &format!("Bearer {}", by_secret(&claims))));
    }
    let unnamed = token(Signer::Secret(TOKEN_SECRET.as_bytes()), &ann());
    assert_invalid(run_with(&server, &format!("Bearer {unnamed}")));
}

#[test]
fn a_missing_scope_is_told_to_whoever_is_known() {
    let server = guarded(r#"rules = [{ kinds = ["run"], scopes = ["runs:start"] }]"#);

    let plain = by_secret(&ann());
    let refused = run_with(&server, &format!("Bearer {plain}")).expect(403);
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Bearer error=\"insufficient_scope\", scope=\"runs:start\"")
    );
    assert_eq!(refused.json()["code"], "FORBIDDEN");

    let scoped = by_secret(&with(ann(), "scope", "other runs:start".into()));
    let _ = run_with(&server, &format!("Bearer {scoped}")).expect(200);
}

#[test]
fn a_rule_for_an_agent_holds_for_its_runs_under_whatever_name_they_are_asked_for() {
    let server = guarded(r#"rules = [{ agents = ["plain"], scopes = ["plain"] }]"#);
    let scoped = by_secret(&with(ann(), "scope", "plain".into()));
    let bearer = |token: &str| format!("Bearer {token}");
    let mut stream = server
        .run("plain", "slow")
        .header("authorization", &bearer(&scoped))
        .open();
    stream.wait_for("TEXT_MESSAGE_CONTENT");
    let run = stream.run_id();

    let enqueue = server.post("/api/-/agents/plain/jobs");
    let enqueue = enqueue.header("authorization", &bearer(&scoped));
    let job = enqueue.json(&json!({ "input": "slow" })).send().expect(202);
    let job = job.json()["id"]
        .as_str()
        .expect("a job has an id")
        .to_owned();
    for name in ["plain", "other", "-", "no%20agent"] {
        let asked = [
            server.post(&format!("/api/{name}/runs/{run}/abort")),
            server.get(&format!("/api/{name}/stream-events/resume?streamId={run}")),
            server
                .post(&format!("/api/{name}/run/tool-approval"))
                .json(&json!({ "runId": run, "toolCallId": "c", "decision": "approved" })),
            server.post(&format!("/api/{name}/run/tool-result")).json(
                &json!({ "runId": run, "toolCallId": "c", "status": "success", "result": 1 }),
            ),
            server.get(&format!("/api/-/runs/{run}")),
            server.get(&format!("/api/-/jobs/{job}")),
            server.request("DELETE", &format!("/api/-/jobs/{job}")),
        ];
        for request in asked {
            let request = request.header("authorization", &bearer(&by_secret(&ann())));
            let refused = request.send().expect(403);
            assert_eq!(refused.json()["code"], "FORBIDDEN");
        }
    }
    let abort = server.post(&format!("/api/other/runs/{run}/abort"));
    let _ = abort
        .header("authorization", &bearer(&scoped))
        .send()
        .expect(204);
    stream.finish();
}

#[test]
fn no_trick_of_the_header_opens_the_door() {
    let server = guarded("");
    let good = by_secret(&ann());
    let (message, signature) = good.rsplit_once('.').expect("a token has parts");
    let (header, claims) = message.split_once('.').expect("a token has parts");
    let secret = Signer::Secret(TOKEN_SECRET.as_bytes());
    let public = test_key("es256-a.pub.pem");
    let exp = now() + 600;

    let unsigned = raw_token(secret, r#"{"alg":"none","kid":"s1"}"#, &ann().to_string());
    let confused = token_with(
        Signer::Secret(public.as_bytes()),
        &json!({ "kid": "e1" }),
        &ann(),
    );
    let twice = format!(
        r#"{{"iss":"https://id.example","aud":"mortise","org":"acme","sub":"eve","sub":"ann","exp":{exp}}}"#
    );
    let twice = raw_token(secret, r#"{"alg":"HS256","kid":"s1"}"#, &twice);
    let critical = token_with(
        secret,
        &json!({ "kid": "s1", "crit": ["x"], "x": 1 }),
        &ann(),
    );
    let astray = token_with(secret, &json!({ "kid": "../../etc/passwd" }), &ann());
    let padded = by_secret(&with(ann(), "pad", "x".repeat(7000).into()));
    assert!(padded.len() > 8 * 1024);
    for token in [
        unsigned.as_str(),
        &confused,
        &twice,
        &critical,
        &astray,
        &padded,
        &format!("{message}."),
        &format!("{header}.{claims}"),
        &format!(" {good}"),
        &format!("{good},{good}"),
        &format!("{header}=.{claims}.{signature}"),
        "x",
        "\u{e9}",
    ] {
        assert_invalid(run_with(&server, &format!("Bearer {token}")));
    }
    assert_invalid(run_with(&server, "Bearer"));

    let two = server
        .run("plain", "hi")
        .header("authorization", &format!("Bearer {good}"));
    // The server itself refuses a credential that is there twice.
    let _ = two.header("authorization", "Bearer x").send().expect(401);
    let query = format!("/api/plain/run?access_token={good}");
    let elsewhere = server.post(&query).json(&json!({ "input": "hi" }));
    let _ = elsewhere
        .header("cookie", &format!("access_token={good}"))
        .send()
        .expect(401);
    let _ = run_with(&server, &format!("Bearer {good}")).expect(200);
}

#[test]
fn two_people_of_one_name_are_two_where_their_tenants_are() {
    let server = guarded("");
    let as_one_of = |tenant: &str| {
        let token = by_secret(&with(ann(), "org", tenant.into()));
        format!("Bearer {token}")
    };
    let mine = server
        .post("/api/plain/run")
        .json(&json!({ "input": "hi", "conversationId": "mine" }));
    let _ = mine
        .header("authorization", &as_one_of("acme"))
        .send()
        .expect(200);
    let load = |tenant: &str| {
        let load = server.get("/api/plain/conversations/mine");
        load.header("authorization", &as_one_of(tenant)).send()
    };

    let _ = load("acme").expect(200);
    let _ = load("other").expect(204);
}

#[test]
fn the_log_says_why_and_shows_neither_tokens_nor_keys() {
    let server = guarded("");
    let expired = by_secret(&with(ann(), "exp", (now() - 60).into()));
    let good = by_secret(&ann());
    assert_invalid(run_with(&server, &format!("Bearer {expired}")));
    let _ = run_with(&server, &format!("Bearer {good}")).expect(200);

    let log = server.wait_for_log("it has expired");
    for secret in [&expired, &good, TOKEN_SECRET] {
        let part = secret.rsplit('.').find(|it| !it.is_empty());
        let part = part.expect("it has a part");
        assert!(!log.contains(secret) && !log.contains(part), "{log}");
    }
}

// === key sets ===

/// Answers whatever is asked with one text, and counts.
struct Publisher {
    address: SocketAddr,
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Publisher {
    /// The thread ends with the process of the test.
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let answer = Arc::new(Mutex::new(String::new()));
        let asked = Arc::new(AtomicUsize::new(0));
        let (answers, counter) = (Arc::clone(&answer), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::SeqCst);
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|it| it > 2) {
                    line.clear();
                }
                let answer = answers.lock().expect("no test panics in here").clone();
                let _ = stream.get_mut().write_all(answer.as_bytes());
            }
        });
        Self {
            address,
            answer,
            asked,
        }
    }

    fn say(&self, status: &str, body: &str) {
        let length = body.len();
        *self.answer.lock().expect("no test panics in here") = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
    }

    fn publish(&self, ids: &[&str]) {
        let keys: Vec<_> = ids.iter().map(|id| public_jwk(id)).collect();
        self.say("200 OK", &json!({ "keys": keys }).to_string());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn server(&self) -> Server {
        plain(&format!(
            r#"
[[plugins.load]]
name = "jwt-auth"

[[plugins.load.config.issuers]]
jwks = {{ url = "http://{}/jwks", algorithms = ["ES256"], cooldown = "1s" }}
"#,
            self.address
        ))
        .start()
    }
}

/// `a` or `b` of the test keys.
fn public_jwk(id: &str) -> Value {
    let pem = test_key(&format!("es256-{id}.pub.pem"));
    let key = jsonwebtoken::DecodingKey::from_ec_pem(pem.as_bytes()).expect("it is a key");
    let jwk = jsonwebtoken::jwk::Jwk::from_decoding_key(&key, None).expect("it is a key");
    with(
        serde_json::to_value(jwk).expect("it is JSON"),
        "kid",
        id.into(),
    )
}

fn by(id: &str) -> String {
    let pem = test_key(&format!("es256-{id}.pem"));
    let claims = json!({ "sub": "ann", "exp": now() + 600 });
    let token = token_with(
        Signer::Pem(Algorithm::ES256, &pem),
        &json!({ "kid": id }),
        &claims,
    );
    format!("Bearer {token}")
}

/// Asks until it is answered like that, and no other way before than `meanwhile`.
#[track_caller]
fn becomes(server: &Server, authorization: &str, meanwhile: u16, then: u16) {
    eventually(|| {
        let status = run_with(server, authorization).status();
        if status == then {
            return Some(());
        }
        assert_eq!(status, meanwhile);
        None
    });
}

#[test]
fn a_new_key_of_the_issuer_is_found_and_a_flood_of_unknown_ones_asks_seldom() {
    let publisher = Publisher::start();
    publisher.publish(&["a"]);
    let server = publisher.server();
    let _ = run_with(&server, &by("a")).expect(200);

    publisher.publish(&["a", "b"]);
    becomes(&server, &by("b"), 401, 200);
    let _ = run_with(&server, &by("a")).expect(200);

    publisher.publish(&["b"]);
    let before = publisher.asked();
    let pem = test_key("es256-a.pem");
    let flood = Stopwatch::start();
    for number in 0..100 {
        let header = json!({ "kid": format!("k{number}") });
        let claims = json!({ "sub": "ann", "exp": now() + 600 });
        let unknown = token_with(Signer::Pem(Algorithm::ES256, &pem), &header, &claims);
        assert_invalid(run_with(&server, &format!("Bearer {unknown}")));
    }
    let seconds = usize::try_from(flood.elapsed().as_secs()).expect("it is short");
    assert!(publisher.asked() - before <= seconds + 1);
}

#[test]
fn an_issuer_that_is_down_at_start_is_waited_for() {
    let publisher = Publisher::start();
    publisher.say("500 Internal Server Error", "");
    let server = publisher.server();
    let put_off = run_with(&server, &by("a")).expect(503);
    assert_eq!(put_off.json()["code"], "UNAVAILABLE");
    assert!(put_off.header("retry-after").is_some());

    publisher.publish(&["a"]);
    becomes(&server, &by("a"), 503, 200);
    // Down again: what was known stays known.
    publisher.say("500 Internal Server Error", "");
    assert_invalid(run_with(&server, &by("b")));
    let _ = run_with(&server, &by("a")).expect(200);
}

#[test]
fn addresses_in_a_token_are_never_called() {
    let publisher = Publisher::start();
    publisher.publish(&["a"]);
    let server = guarded("");
    let url = format!("http://{}/jwks", publisher.address);
    let header = json!({ "kid": "a", "jku": url, "x5u": url, "jwk": public_jwk("a") });
    let pem = test_key("es256-a.pem");
    let led = token_with(Signer::Pem(Algorithm::ES256, &pem), &header, &ann());

    assert_invalid(run_with(&server, &format!("Bearer {led}")));
    assert_eq!(publisher.asked(), 0);
}

#[test]
fn a_configuration_that_would_be_unsafe_ends_the_start() {
    for (key, reason) in [
        (
            r#"{ algorithms = ["HS256"], secret = "short" }"#,
            "at least 32 bytes",
        ),
        (
            r#"{ algorithms = ["RS256", "HS256"], secret = "0123456789abcdef0123456789abcdef" }"#,
            "needs an RSA key",
        ),
        (
            r#"{ algorithms = ["none"], secret = "x" }"#,
            "algorithms.0` of plugin 'jwt-auth' must be one of",
        ),
    ] {
        let config = format!(
            "[[plugins.load]]\nname = \"jwt-auth\"\nconfig = {{ issuers = [{{ keys = [{key}] }}] }}\n"
        );
        let ended = plain(&config).fail();
        assert!(ended.log.contains(reason), "{}", ended.log);
    }
}
