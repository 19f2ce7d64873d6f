//! The stages of a request, against scripted hooks.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use mortise_plugin_api::{Event, EventVerdict, HookInfo, OnError, RequestKind, Result};

use super::*;
use crate::clock::Clock;
use crate::ledger::{Ledger, Places};
use crate::metrics::InstanceMeters;
use crate::plugin::capability::{BoxFuture, HookCapability, Observed, RunServices};
use crate::plugin::request::RequestParts;
use crate::shutdown::Tasks;

const SECOND: Duration = Duration::from_secs(1);

/// A hook that gives its one answer, and notes what it was asked.
struct Scripted {
    info: HookInfo,
    verdict: fn() -> Result<GuardVerdict>,
    stage: fn() -> Result<Bytes>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl HookCapability for Scripted {
    fn info(&self) -> &HookInfo {
        &self.info
    }

    fn guard_now(&self, _: &Arc<RequestView>) -> Result<Option<Box<GuardVerdict>>> {
        self.asked
            .lock()
            .unwrap()
            .push(format!("{} now", self.info.name));
        match (self.verdict)() {
            Ok(GuardVerdict::Pass) => Ok(None),
            said => said.map(Box::new).map(Some),
        }
    }

    fn guard(&self, _: &Arc<RequestView>) -> BoxFuture<'static, Result<GuardVerdict>> {
        self.asked.lock().unwrap().push(self.info.name.clone());
        let verdict = (self.verdict)();
        if self.info.name == "stuck" {
            return Box::pin(std::future::pending());
        }
        Box::pin(async { verdict })
    }

    fn event(&self, _: Arc<dyn RunServices>, _: Event) -> BoxFuture<'static, Result<EventVerdict>> {
        unreachable!()
    }

    fn observe(&self, _: Observed) -> BoxFuture<'static, Result<()>> {
        unreachable!()
    }

    fn stage(
        &self,
        stage: &'static str,
        _: Option<Arc<dyn RunServices>>,
        payload: Vec<u8>,
    ) -> BoxFuture<'static, Result<Bytes>> {
        let payload = String::from_utf8(payload).unwrap();
        self.asked
            .lock()
            .unwrap()
            .push(format!("{stage} {payload}"));
        let answer = (self.stage)();
        Box::pin(async { answer })
    }
}

#[derive(Default)]
struct Hooks {
    hooks: Vec<OfferedHook>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hooks {
    fn with(mut self, info: HookInfo, verdict: fn() -> Result<GuardVerdict>) -> Self {
        self.push(info, verdict, || Ok("null".into()));
        self
    }

    fn with_stage(mut self, info: HookInfo, stage: fn() -> Result<Bytes>) -> Self {
        self.push(info, || unreachable!(), stage);
        self
    }

    fn push(
        &mut self,
        info: HookInfo,
        verdict: fn() -> Result<GuardVerdict>,
        stage: fn() -> Result<Bytes>,
    ) {
        self.hooks.push(OfferedHook {
            meters: InstanceMeters::default(),
            instance: "plugin".into(),
            on_error: info.on_error,
            capability: Arc::new(Scripted {
                info,
                verdict,
                stage,
                asked: Arc::clone(&self.asked),
            }),
        });
    }

    /// Asks them about a request with these headers, of nobody but the holder of the secret.
    async fn any(
        self,
        authorization: Authorization,
        headers: &[(&'static str, &str)],
    ) -> (String, Vec<String>) {
        let request = request_with(headers);
        if authorization == Authorization::Secret {
            request.set_principal(Principal::operator());
        }
        let pipeline = Pipeline::new(self.hooks, SECOND, &Tasks::new());
        let outcome = match pipeline.guard(&request, Guards::Any(authorization)).await {
            GuardOutcome::Admitted => request.principal().unwrap().subject.clone(),
            GuardOutcome::Answered(response) => response.status().to_string(),
            GuardOutcome::Unauthenticated => "401 of the server".to_owned(),
            GuardOutcome::Failed(_) => "failed".to_owned(),
        };
        if outcome == "401 of the server" && self.asked.lock().unwrap().is_empty() {
            let is_seen_early = !pipeline.may_accept(&request.headers, authorization);
            assert!(is_seen_early, "the body need not be read for this");
        }
        let asked = self.asked.lock().unwrap().clone();
        (outcome, asked)
    }

    async fn guard(self, guards: Guards) -> (GuardOutcome, String, Vec<String>) {
        let request = request();
        let limit = Duration::from_millis(20);
        let pipeline = Pipeline::new(self.hooks, limit, &Tasks::new());
        let outcome = pipeline.guard(&request, guards).await;
        let subject = request.principal().unwrap().subject.clone();
        let asked = self.asked.lock().unwrap().clone();
        (outcome, subject, asked)
    }
}

fn guard(name: &str) -> HookInfo {
    HookInfo::new(name).on(Stage::Guard)
}

fn request() -> Arc<RequestView> {
    let request = request_with(&[("authorization", "Bearer s3cret"), ("x-user", "ann")]);
    request.set_principal(Principal::operator());
    request
}

fn request_with(values: &[(&'static str, &str)]) -> Arc<RequestView> {
    let mut headers = HeaderMap::new();
    for (name, value) in values {
        headers.append(*name, value.parse().unwrap());
    }
    RequestView::new(RequestParts {
        id: "req_1".into(),
        method: Method::POST,
        uri: Uri::from_static("/api/plain/run?x=1"),
        headers,
        peer: "127.0.0.1:1".parse().unwrap(),
        client_ip: [127, 0, 0, 1].into(),
        kind: RequestKind::Run,
        agent: Some("plain".into()),
        mount: None,
        params: Vec::new(),
        body: Bytes::from_static(b"{\"input\":\"hi\"}"),
        places: Places::of(Ledger::new(Clock::SYSTEM)),
    })
}

fn head() -> Head {
    Head {
        request_id: "req_1".into(),
        method: "GET".into(),
        path: "/".into(),
        status: 200,
        headers: vec![("x".into(), "y".into())],
    }
}

#[tokio::test]
async fn guards_are_asked_in_order_until_one_answers() {
    let (outcome, subject, asked) = Hooks::default()
        .with(guard("a"), || Ok(GuardVerdict::Pass))
        .with(guard("b").answers_at_once(), || Ok(GuardVerdict::Pass))
        .with(guard("c"), || GuardVerdict::refuse(403, "forbidden", "No."))
        .with(guard("d"), || unreachable!())
        .guard(Guards::All)
        .await;
    assert!(matches!(outcome, GuardOutcome::Answered(response) if response.status() == 403));
    assert_eq!(subject, "operator");
    assert_eq!(asked, ["a", "b now", "c"]);
}

#[tokio::test]
async fn who_asks_is_what_an_authenticating_guard_says() {
    let ann = || Ok(GuardVerdict::Authenticated(Principal::new("ann")));
    let (outcome, subject, _) = Hooks::default()
        .with(guard("auth").authenticates(), ann)
        .guard(Guards::All)
        .await;
    assert!(matches!(outcome, GuardOutcome::Admitted));
    assert_eq!(subject, "ann");

    let (outcome, subject, asked) = Hooks::default()
        .with(guard("auth").authenticates(), ann)
        .with(guard("limit"), || Ok(GuardVerdict::Pass))
        .guard(Guards::NonAuthenticating)
        .await;
    assert!(matches!(outcome, GuardOutcome::Admitted));
    assert_eq!(
        (subject.as_str(), asked),
        ("operator", vec!["limit".to_owned()])
    );

    let (outcome, ..) = Hooks::default()
        .with(guard("auth").authenticates(), || {
            Ok(GuardVerdict::NoCredentials)
        })
        .guard(Guards::All)
        .await;
    assert!(matches!(outcome, GuardOutcome::Unauthenticated));
}

/// A guard for keys and one for tokens, as alternatives, and one that only counts.
fn alternatives(key: Verdicts, token: Verdicts) -> Hooks {
    Hooks::default()
        .with(guard("count"), || Ok(GuardVerdict::Pass))
        .with(guard("key").authenticates_by(&["X-Key"]), key)
        .with(guard("token").authenticates_by(&["Authorization"]), token)
}

type Verdicts = fn() -> Result<GuardVerdict>;
type Header = (&'static str, &'static str);

const ANN: Verdicts = || Ok(GuardVerdict::Authenticated(Principal::new("ann")));
const BOB: Verdicts = || Ok(GuardVerdict::Authenticated(Principal::new("bob")));
const REFUSES: Verdicts = || GuardVerdict::refuse(403, "forbidden", "No.");

const KEY: Header = ("x-key", "k");
const TOKEN: Header = ("authorization", "Bearer t");

#[tokio::test]
async fn one_of_several_credentials_is_enough() {
    use Authorization::{Free, Other, Secret};

    let cases: [(Authorization, &[Header], &str, &[&str]); 8] = [
        (Secret, &[TOKEN], "operator", &["count"]),
        (Free, &[KEY], "ann", &["key", "count"]),
        (Other, &[TOKEN], "bob", &["token", "count"]),
        (Free, &[TOKEN], "bob", &["token", "count"]),
        // Who accepts last says who is asking, as where all are asked.
        (Secret, &[TOKEN, KEY], "ann", &["key", "count"]),
        (Other, &[KEY, TOKEN], "bob", &["key", "token", "count"]),
        // Nothing was presented.
        (Free, &[], "401 of the server", &[]),
        (Free, &[("x-key", " ")], "401 of the server", &[]),
    ];
    for (authorization, headers, outcome, asked) in cases {
        let said = alternatives(ANN, BOB).any(authorization, headers).await;
        let asked = asked.iter().map(|&it| it.to_owned()).collect();
        assert_eq!(said, (outcome.to_owned(), asked), "{headers:?}");
    }
}

#[tokio::test]
async fn a_credential_that_is_wrong_refuses_whatever_else_is_presented() {
    use Authorization::{Free, Other, Secret};

    let said = alternatives(REFUSES, BOB).any(Other, &[KEY, TOKEN]).await;
    assert_eq!(said, ("403".to_owned(), vec!["key".to_owned()]));
    let said = alternatives(REFUSES, BOB).any(Secret, &[KEY, TOKEN]).await;
    assert_eq!(said.0, "403");
    let said = alternatives(ANN, REFUSES).any(Other, &[KEY, TOKEN]).await;
    assert_eq!(said.0, "403");

    // It is no token either, and the key does not make up for it.
    let unknown = || Ok(GuardVerdict::NoCredentials);
    let said = alternatives(ANN, unknown).any(Other, &[KEY, TOKEN]).await;
    assert_eq!(said.0, "401 of the server");
    let keys_alone = Hooks::default().with(guard("key").authenticates_by(&["x-key"]), ANN);
    let said = keys_alone.any(Other, &[KEY, TOKEN]).await;
    assert_eq!(said.0, "401 of the server");

    // Without a secret, a header that nobody reads is no credential.
    let keys_alone = Hooks::default().with(guard("key").authenticates_by(&["x-key"]), ANN);
    assert_eq!(keys_alone.any(Free, &[KEY, TOKEN]).await.0, "ann");
}

#[tokio::test]
async fn a_credential_that_is_there_twice_is_none() {
    for guards in [Guards::All, Guards::Any(Authorization::Free)] {
        let hooks = alternatives(ANN, BOB);
        let request = request_with(&[KEY, KEY]);
        let pipeline = Pipeline::new(hooks.hooks, SECOND, &Tasks::new());
        let outcome = pipeline.guard(&request, guards).await;
        assert!(matches!(outcome, GuardOutcome::Unauthenticated));
    }
}

#[tokio::test]
async fn where_one_must_accept_nothing_else_lets_in() {
    let failing = |on_error| {
        let info = guard("key").authenticates_by(&["x-key"]).on_error(on_error);
        Hooks::default().with(info, || Err(Error::internal("down")))
    };
    let passing = Hooks::default().with(guard("any").authenticates(), || Ok(GuardVerdict::Pass));
    for (hooks, outcome) in [
        (failing(OnError::Deny), "failed"),
        (failing(OnError::Skip), "401 of the server"),
        (passing, "401 of the server"),
        // Whoever names no header is asked of every request, and may take up the token.
        (
            Hooks::default().with(guard("any").authenticates(), ANN),
            "ann",
        ),
    ] {
        assert_eq!(
            hooks.any(Authorization::Other, &[KEY, TOKEN]).await.0,
            outcome
        );
    }
    // And a guard that does not authenticate still refuses.
    let hooks = Hooks::default()
        .with(guard("full"), REFUSES)
        .with(guard("key").authenticates_by(&["x-key"]), ANN);
    assert_eq!(hooks.any(Authorization::Free, &[KEY]).await.0, "403");
}

#[tokio::test]
async fn a_guard_that_does_not_authenticate_makes_nobody_known() {
    let (outcome, subject, _) = Hooks::default()
        .with(guard("sly"), || {
            Ok(GuardVerdict::Authenticated(Principal::new("root")))
        })
        .guard(Guards::All)
        .await;
    assert!(matches!(outcome, GuardOutcome::Failed(_)));
    assert_eq!(subject, "operator");
}

#[tokio::test]
async fn a_guard_that_fails_denies_and_its_words_stay_inside() {
    for (name, verdict) in [
        (
            "typed",
            (|| Err(Error::new("CONFLICT", "secret"))) as fn() -> _,
        ),
        ("panics", || Err(Error::new(Error::PANIC, "secret"))),
        ("stuck", || Ok(GuardVerdict::Pass)),
    ] {
        let (outcome, ..) = Hooks::default()
            .with(guard(name), verdict)
            .guard(Guards::All)
            .await;
        let GuardOutcome::Failed(error) = outcome else {
            panic!("{name} let the request pass");
        };
        assert_eq!(error.code(), None, "{name}");
        assert!(!error.message().contains("secret"));

        let (outcome, ..) = Hooks::default()
            .with(guard(name).on_error(OnError::Skip), verdict)
            .guard(Guards::All)
            .await;
        assert!(matches!(outcome, GuardOutcome::Admitted), "{name}");
    }
}

#[tokio::test]
async fn the_head_of_a_response_goes_from_hook_to_hook() {
    let info = || HookInfo::new("head").on(Stage::Response);
    let teapot = || {
        Ok(r#"{"requestId":"req_1","method":"GET","path":"/","status":418,"headers":[]}"#.into())
    };
    let hooks = Hooks::default()
        .with_stage(info(), || Err(Error::internal("skipped")))
        .with_stage(info(), teapot)
        .with_stage(info(), || Ok("null".into()));
    let asked = Arc::clone(&hooks.asked);
    let changed = Pipeline::new(hooks.hooks, SECOND, &Tasks::new())
        .response(head())
        .await;
    assert_eq!(changed.unwrap().unwrap().status, 418);
    assert!(asked.lock().unwrap()[2].contains(r#""status":418"#));

    let untouched = Hooks::default().with_stage(info(), || Ok("null".into()));
    let pipeline = Pipeline::new(untouched.hooks, SECOND, &Tasks::new());
    assert_eq!(pipeline.response(head()).await.unwrap(), None);

    let denying = Hooks::default().with_stage(info().on_error(OnError::Deny), || Ok("{".into()));
    let pipeline = Pipeline::new(denying.hooks, SECOND, &Tasks::new());
    assert!(pipeline.response(head()).await.is_err());
}

#[test]
fn observers_read_no_credentials() {
    let hidden = observed(&request(), &["x-user".to_owned()]);
    assert_eq!(hidden["headers"][1], json!(["x-user", "[REDACTED]"]));
    let observed = observed(&request(), &[]);
    assert_eq!(
        observed,
        json!({
            "observed": "request",
            "requestId": "req_1",
            "kind": "run",
            "method": "POST",
            "path": "/api/plain/run",
            "agent": "plain",
            "principal": { "tenant": "default", "subject": "operator" },
            "clientIp": "127.0.0.1",
            "headers": [["authorization", "[REDACTED]"], ["x-user", "ann"]],
            "body": { "input": "hi" },
        })
    );
    let read: mortise_plugin_api::ObservedRequest = serde_json::from_value(observed).unwrap();
    assert_eq!((&*read.request_id, read.kind), ("req_1", RequestKind::Run));
    assert_eq!(read.client_ip, Some([127, 0, 0, 1].into()));
}
