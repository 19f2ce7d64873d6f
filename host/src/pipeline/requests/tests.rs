//! The stages of a request, against scripted hooks.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use mortise_plugin_api::{Event, EventVerdict, HookInfo, RequestKind, Result};

use super::*;
use crate::clock::Clock;
use crate::ledger::{Ledger, Places};
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

    fn guard_now(&self, _: &Arc<RequestView>) -> Result<GuardVerdict> {
        self.asked
            .lock()
            .unwrap()
            .push(format!("{} now", self.info.name));
        (self.verdict)()
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
    let mut headers = HeaderMap::new();
    headers.insert("authorization", "Bearer s3cret".parse().unwrap());
    headers.insert("x-user", "ann".parse().unwrap());
    let request = RequestView::new(RequestParts {
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
    });
    request.set_principal(Principal::operator());
    request
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
    let observed = observed(&request());
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
    assert_eq!(read.request_id, "req_1");
    assert_eq!(read.client_ip, Some([127, 0, 0, 1].into()));
}
