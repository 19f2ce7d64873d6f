//! Key sets of a server on this machine, as it should be and as it should not.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use futures_util::future::{FutureExt as _, join_all};
use mortise_plugin_api::serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::refusal::Refused;
use crate::testing::{jwk, raw, test_key};
use crate::token::Token;

/// A server that answers every connection with one and the same text.
struct Publisher {
    address: SocketAddr,
    shared: Arc<Published>,
    task: JoinSet<()>,
}

#[derive(Default)]
struct Published {
    answer: Mutex<Vec<u8>>,
    connections: AtomicUsize,
    /// Nothing is answered while this is held.
    gate: tokio::sync::Mutex<()>,
}

impl Publisher {
    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Published::default());
        let published = Arc::clone(&shared);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut serving = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                published.connections.fetch_add(1, Ordering::SeqCst);
                let (published, tls) = (Arc::clone(&published), tls.clone());
                serving.spawn(async move {
                    match tls {
                        None => published.serve(stream).await,
                        // A client that does not trust us hangs up.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                published.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            shared,
            task,
        }
    }

    fn publish(&self, status: &str, more: &str, body: &str) {
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{more}\r\n{body}");
        *self.shared.answer.lock().unwrap() = answer.into_bytes();
    }

    fn publish_keys(&self, keys: &[Value]) {
        self.publish("200 OK", "", &json!({ "keys": keys }).to_string());
    }

    async fn stop(mut self) {
        self.task.shutdown().await;
    }

    fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    fn settings(&self, scheme: &str) -> Settings {
        let url = format!("{scheme}://localhost:{}/jwks", self.address.port());
        Settings {
            place: Place::parse(&url).unwrap(),
            ca: None,
            algorithms: vec![Algorithm::ES256],
            refresh: Duration::from_secs(3600),
            cooldown: Duration::from_secs(3600),
            timeout: Duration::from_secs(5),
        }
    }
}

impl Published {
    async fn serve(&self, mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let _open = self.gate.lock().await;
        let answer = self.answer.lock().unwrap().clone();
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
    }
}

fn source(settings: &Settings) -> Source {
    Source::open(
        settings.place.clone(),
        settings.ca.as_deref(),
        settings.timeout,
    )
    .unwrap()
}

fn a() -> Value {
    jwk("a", test_key!("es256-a.pub"))
}

fn b() -> Value {
    jwk("b", test_key!("es256-b.pub"))
}

/// A token of one of the two keys.
fn by(kid: &str) -> String {
    let key = if kid == "a" {
        test_key!("es256-a")
    } else {
        test_key!("es256-b")
    };
    let header = json!({ "alg": "ES256", "kid": kid }).to_string();
    raw(jsonwebtoken::Algorithm::ES256, key, &header, "{}")
}

fn verifies(set: &KeySet, token: &str) -> Result<(), Refused> {
    let token = Token::parse(token.as_bytes()).unwrap();
    set.keys().ok_or(Refused::NoKeysYet)?.verify(&token)
}

#[tokio::test]
async fn a_thousand_requests_for_a_new_key_make_one_reading() {
    let publisher = Publisher::start(None).await;
    publisher.publish_keys(&[a()]);
    let generation = Arc::new(Generation::default());
    let set = KeySet::new(publisher.settings("http"), Arc::clone(&generation));
    let set = Arc::new(set);
    let mut reading = JoinSet::new();
    reading.spawn(set.start().await.unwrap());
    assert_eq!((publisher.connections(), generation.now()), (1, 1));
    assert_eq!(verifies(&set, &by("a")), Ok(()));

    // Just read, so that nobody makes it be read again.
    for _ in 0..1000 {
        let read = set.read_again().now_or_never();
        assert_eq!(read, Some(false), "nobody waits");
    }
    assert_eq!(publisher.connections(), 1);

    // The cool-down is over.
    set.state.send_modify(|state| state.not_before = None);
    publisher.publish_keys(&[a(), b()]);
    assert_eq!(verifies(&set, &by("b")), Err(Refused::UnknownKey));
    let gate = publisher.shared.gate.lock().await;
    let asking = join_all((0..1000).map(|_| set.read_again()));
    let opening = async {
        while set.state.receiver_count() < 1000 || publisher.connections() < 2 {
            tokio::task::yield_now().await;
        }
        // One more, while it is being read.
        let mut late = Box::pin(set.read_again());
        assert!(futures_util::poll!(&mut late).is_pending());
        drop(gate);
        assert!(late.await);
    };
    let (read, ()) = tokio::join!(asking, opening);
    assert!(read.iter().all(|read| *read));
    assert_eq!((publisher.connections(), generation.now()), (2, 2));
    assert_eq!(verifies(&set, &by("b")), Ok(()));
    // Those who asked meanwhile were answered by that reading.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let state = set.state.borrow();
    assert_eq!((state.readings, state.is_reading), (2, false));
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_end_a_reading() {
    let publisher = Publisher::start(None).await;
    publisher.publish_keys(&[a()]);
    let set = Arc::new(KeySet::new(publisher.settings("http"), Arc::default()));
    let mut reading = JoinSet::new();
    reading.spawn(set.start().await.unwrap());
    publisher.publish_keys(&[b()]);
    set.state.send_modify(|state| state.not_before = None);

    let mut state = set.state.subscribe();
    let gate = publisher.shared.gate.lock().await;
    let mut gone = Box::pin(set.read_again());
    assert!(futures_util::poll!(&mut gone).is_pending());
    drop(gone);
    drop(gate);
    state.wait_for(|state| state.readings == 2).await.unwrap();
    assert_eq!(verifies(&set, &by("b")), Ok(()));
}

#[tokio::test]
async fn what_cannot_be_used_leaves_the_last_good_keys() {
    let publisher = Publisher::start(None).await;
    let elsewhere = Publisher::start(None).await;
    elsewhere.publish_keys(&[b()]);
    let mut settings = publisher.settings("http");
    settings.timeout = Duration::from_secs(1);
    let source = source(&settings);
    let generation = Arc::new(Generation::default());
    let set = KeySet::new(settings, Arc::clone(&generation));
    let keys = |keys: &Value| json!({ "keys": keys }).to_string();
    let secret = json!({ "kty": "oct", "k": "AAAA", "kid": "s", "alg": "HS256" });
    let mut encrypting = b();
    encrypting["use"] = "enc".into();
    let mut signing = b();
    signing["key_ops"] = json!(["sign"]);
    let mut private = b();
    private["d"] = "AAAA".into();
    let mut other = b();
    other["alg"] = "ES384".into();
    let mut bent = b();
    bent["y"] = a()["y"].clone();
    let mut short = b();
    short["x"] = "AAAA".into();
    let redirect = format!("location: http://{}/jwks\r\n", elsewhere.address);
    let bad = [
        ("500 Internal Server Error", "", keys(&json!([b()]))),
        ("302 Found", redirect.as_str(), keys(&json!([b()]))),
        (
            "301 Moved",
            "location: file:///etc/passwd\r\n",
            String::new(),
        ),
        ("204 No Content", "", String::new()),
        ("200 OK", "", "<!doctype html><html></html>".to_owned()),
        ("200 OK", "", String::new()),
        ("200 OK", "", "[]".to_owned()),
        ("200 OK", "", "{}".to_owned()),
        ("200 OK", "", keys(&json!({}))),
        ("200 OK", "", keys(&json!([]))),
        ("200 OK", "", keys(&json!([1]))),
        ("200 OK", "", format!(r#"{{"keys":[],"keys":[{}]}}"#, b())),
        ("200 OK", "", keys(&json!([secret]))),
        ("200 OK", "", keys(&json!([encrypting]))),
        ("200 OK", "", keys(&json!([signing]))),
        ("200 OK", "", keys(&json!([private]))),
        ("200 OK", "", keys(&json!([other]))),
        ("200 OK", "", keys(&json!([bent]))),
        ("200 OK", "", keys(&json!([short]))),
        ("200 OK", "", keys(&json!(vec![b(); 101]))),
        ("200 OK", "", keys(&json!([b()])) + &" ".repeat(600 * 1024)),
    ];

    for loaded in [false, true] {
        for (status, more, body) in &bad {
            publisher.publish(status, more, body);
            let error = set.read(&source).await.unwrap_err();
            assert_eq!(set.keys().is_some(), loaded, "{status} {body:.60}: {error}");
            assert_eq!(verifies(&set, &by("a")).is_ok(), loaded);
            assert!(verifies(&set, &by("b")).is_err());
        }
        publisher.publish_keys(&[a()]);
        set.read(&source).await.unwrap();
    }
    assert_eq!(generation.now(), 1, "the same keys again are not new ones");
    assert_eq!(elsewhere.connections(), 0, "no redirect is followed");

    // One that never answers, and one that is not there.
    let gate = publisher.shared.gate.lock().await;
    let error = set.read(&source).await.unwrap_err();
    assert!(
        matches!(error, KeySetError::Read(ReadError::Timeout(_))),
        "{error}"
    );
    drop(gate);
    publisher.stop().await;
    let error = set.read(&source).await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
    assert_eq!(verifies(&set, &by("a")), Ok(()));
}

#[test]
fn a_set_may_hold_more_than_our_keys_and_the_first_of_a_name_counts() {
    let secret = json!({ "kty": "oct", "k": "AAAA", "kid": "s" });
    let unknown = json!({ "kty": "AKP", "kid": "x", "pub": "AAAA" });
    let mut same = b();
    same["kid"] = "a".into();
    let mut nameless = b();
    nameless.as_object_mut().unwrap().remove("kid");
    let text = json!({ "keys": [secret, unknown, a(), same, nameless.clone()] }).to_string();
    let ring = keys(text.as_bytes(), &[Algorithm::ES256, Algorithm::RS256]).unwrap();
    let verify =
        |ring: &Keyring, token: &str| ring.verify(&Token::parse(token.as_bytes()).unwrap());

    assert_eq!(verify(&ring, &by("a")), Ok(()));
    let by_second = raw(
        jsonwebtoken::Algorithm::ES256,
        test_key!("es256-b"),
        r#"{"alg":"ES256","kid":"a"}"#,
        "{}",
    );
    assert_eq!(verify(&ring, &by_second), Err(Refused::Signature));
    assert_eq!(verify(&ring, &by("b")), Err(Refused::UnknownKey));

    let alone = json!({ "keys": [nameless] }).to_string();
    let ring = keys(alone.as_bytes(), &[Algorithm::ES256]).unwrap();
    assert_eq!(verify(&ring, &by("b")), Ok(()));
}

#[tokio::test]
async fn an_encrypted_address_must_be_who_it_says() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certified.cert.der().clone()],
            certified.signing_key.into(),
        )
        .unwrap();
    let publisher = Publisher::start(Some(TlsAcceptor::from(Arc::new(tls)))).await;
    publisher.publish_keys(&[a()]);

    for (ca, is_trusted) in [
        (Some(certified.cert.pem()), true),
        (Some(stranger.cert.pem()), false),
        (None, false),
    ] {
        let mut settings = publisher.settings("https");
        settings.ca = ca;
        let source = source(&settings);
        let set = KeySet::new(settings, Arc::default());
        let read = set.read(&source).await;
        assert_eq!(read.is_ok(), is_trusted, "{read:?}");
        assert_eq!(set.keys().is_some(), is_trusted);
    }
    let mut settings = publisher.settings("https");
    settings.ca = Some("no certificate".to_owned());
    let set = Arc::new(KeySet::new(settings, Arc::default()));
    assert!(set.start().await.is_err(), "a mistake in the configuration");
}

#[tokio::test]
async fn a_file_must_be_there_at_start_and_a_network_need_not() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["missing.json", ""] {
        let url = format!("file://{}", folder.path().join(name).display());
        let publisher = Publisher::start(None).await;
        let mut settings = publisher.settings("http");
        settings.place = Place::parse(&url).unwrap();
        let set = Arc::new(KeySet::new(settings, Arc::default()));
        assert!(set.start().await.is_err(), "{url}");
    }
    let publisher = Publisher::start(None).await;
    publisher.publish("503 Service Unavailable", "", "");
    let mut settings = publisher.settings("http");
    settings.cooldown = Duration::from_millis(10);
    let set = Arc::new(KeySet::new(settings, Arc::default()));
    let mut state = set.state.subscribe();
    let mut reading = JoinSet::new();
    reading.spawn(set.start().await.unwrap());
    assert_eq!(verifies(&set, &by("a")), Err(Refused::NoKeysYet));
    // Nobody asks: it is tried again by itself.
    publisher.publish_keys(&[a()]);
    state.wait_for(|state| state.keys.is_some()).await.unwrap();
    assert_eq!(verifies(&set, &by("a")), Ok(()));
}
