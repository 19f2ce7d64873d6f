//! A host made of nothing but the types that cross, and an executor that is not tokio's.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use mortise_plugin_api::Event;
use mortise_plugin_api::ffi::abi::stable::{
    FfiFuture, RArc, RResult, RSlice, RStr, RString, TD_Opaque,
};
use mortise_plugin_api::ffi::abi::{
    AbiBytes, AbiError, AbiFuture, AbiResult, Callsite, ChunkStreamObject, CreateRequest, Event_NE,
    Field, FieldValue, HOST_SPAN, HostServices, HostServices_TO, NO_SPAN, RunObject, RunServices,
    RunServices_TO, Telemetry, Telemetry_TO,
};
use mortise_plugin_api::ffi::convert;
use serde_json::{Value, json};

// === an executor ===

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread, with no runtime at hand.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Polls once.
pub(crate) fn try_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(future).poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

// === the host ===

struct FakeHost(String);

pub(crate) fn create_request(instance: &str, config: &Value) -> CreateRequest {
    CreateRequest {
        instance: instance.into(),
        config: config.to_string().into(),
        host: HostServices_TO::from_ptr(RArc::new(FakeHost(instance.to_owned())), TD_Opaque),
        telemetry: Telemetry_TO::from_ptr(RArc::new(FakeTelemetry), TD_Opaque),
    }
}

fn unavailable() -> AbiError {
    AbiError {
        code: "UNAVAILABLE".into(),
        message: "not here".into(),
        retryable: true,
        details: RString::new(),
    }
}

impl HostServices for FakeHost {
    fn instance(&self) -> RStr<'_> {
        RStr::from_str(&self.0)
    }

    fn now_millis(&self) -> u64 {
        0
    }

    fn sleep(&self, _millis: u64) -> AbiFuture<()> {
        FfiFuture::new(std::future::ready(()))
    }

    fn metric(&self, _kind: u8, _name: RStr<'_>, _value: f64, _labels: RStr<'_>) {}

    /// Knows one service, and that for one instance.
    fn call(&self, service: RStr<'_>, _request: AbiBytes) -> AbiFuture<AbiResult<AbiBytes>> {
        let is_known = service == "tools.changed" && self.0 == "growing";
        let answer = if is_known {
            RResult::ROk("null".to_owned().into())
        } else {
            RResult::RErr(unavailable())
        };
        FfiFuture::new(std::future::ready(answer))
    }
}

// === a run ===

/// A run that writes down what it is asked.
#[derive(Default)]
pub(crate) struct FakeRun {
    seen: Mutex<Vec<String>>,
    cancelled: AtomicBool,
    waiting: AtomicUsize,
}

struct SharedRun(Arc<FakeRun>);

/// Somebody waits for the run to be cancelled.
struct Waiting(Arc<FakeRun>);

impl FakeRun {
    pub(crate) fn object() -> RunObject {
        Self::object_of(&Arc::default())
    }

    pub(crate) fn object_of(run: &Arc<Self>) -> RunObject {
        RunServices_TO::from_ptr(RArc::new(SharedRun(Arc::clone(run))), TD_Opaque)
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }
}

impl RunServices for SharedRun {
    fn info(&self) -> RString {
        json!({ "runId": "run_1" }).to_string().into()
    }

    fn context(&self) -> RString {
        self.0.seen.lock().unwrap().push("context".to_owned());
        json!({ "n": 1 }).to_string().into()
    }

    fn emit(&self, event: Event_NE) -> AbiFuture<AbiResult<()>> {
        let run = Arc::clone(&self.0);
        FfiFuture::new(async move {
            if let Event::DataPart { data, .. } = convert::event_from_abi(event).unwrap() {
                run.seen.lock().unwrap().push(format!("emit {data}"));
            }
            RResult::ROk(())
        })
    }

    fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    fn cancelled(&self) -> AbiFuture<()> {
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        FfiFuture::new(Waiting(Arc::clone(&self.0)))
    }

    fn generate(
        &self,
        _model: RStr<'_>,
        _request: AbiBytes,
    ) -> AbiFuture<AbiResult<ChunkStreamObject>> {
        FfiFuture::new(std::future::ready(RResult::RErr(unavailable())))
    }

    fn call(&self, service: RStr<'_>, request: AbiBytes) -> AbiFuture<AbiResult<AbiBytes>> {
        let payload = String::from_utf8_lossy(request.as_slice());
        let seen = format!("call {service} {payload}");
        self.0.seen.lock().unwrap().push(seen);
        let answer = json!({ "result": "called" });
        FfiFuture::new(std::future::ready(convert::to_json(&answer).map_or_else(
            |error| RResult::RErr(convert::error_to_abi(error)),
            RResult::ROk,
        )))
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<()> {
        if self.0.cancelled.load(Ordering::SeqCst) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

// === telemetry ===

/// One for the whole process, as the subscriber of an image is.
struct FakeTelemetry;

#[derive(Default)]
struct Log {
    callsites: Vec<KnownCallsite>,
    spans: HashMap<u64, usize>,
    next_span: u64,
    lines: Vec<(String, String)>,
}

#[derive(Clone)]
struct KnownCallsite {
    name: String,
    target: String,
    level: u8,
    fields: Vec<String>,
}

static LOG: LazyLock<Mutex<Log>> = LazyLock::new(Mutex::default);

/// What was logged under a target.
pub(crate) fn logged(target: &str) -> Vec<String> {
    let log = LOG.lock().unwrap();
    let lines = log.lines.iter().filter(|(own, _)| own == target);
    lines.map(|(_, line)| line.clone()).collect()
}

impl Log {
    fn callsite(&self, number: u64) -> KnownCallsite {
        self.callsites[usize::try_from(number).unwrap()].clone()
    }

    fn of_span(&self, span: u64) -> KnownCallsite {
        self.callsites[self.spans[&span]].clone()
    }

    fn place(&self, span: u64) -> String {
        match span {
            HOST_SPAN => "0".to_owned(),
            NO_SPAN => "none".to_owned(),
            span => self.of_span(span).name,
        }
    }

    fn push(&mut self, callsite: &KnownCallsite, line: String) {
        self.lines.push((callsite.target.clone(), line));
    }
}

fn text(callsite: &KnownCallsite, fields: &[Field<'_>]) -> String {
    let mut text = String::new();
    for field in fields {
        let name = &callsite.fields[field.index];
        let _ = match field.value {
            FieldValue::Signed(value) => write!(text, " {name}={value}"),
            FieldValue::Unsigned(value) => write!(text, " {name}={value}"),
            FieldValue::Float(value) => write!(text, " {name}={value}"),
            FieldValue::Boolean(value) => write!(text, " {name}={value}"),
            FieldValue::Text(value) => write!(text, " {name}={:?}", value.as_str()),
            FieldValue::Debug(value) => write!(text, " {name}={value}"),
        };
    }
    text
}

impl Telemetry for FakeTelemetry {
    fn register(&self, callsite: Callsite<'_>) -> u64 {
        let mut log = LOG.lock().unwrap();
        log.callsites.push(KnownCallsite {
            name: callsite.name.into(),
            target: callsite.target.into(),
            level: callsite.level,
            fields: callsite.fields.iter().map(|&name| name.into()).collect(),
        });
        log.callsites.len() as u64 - 1
    }

    fn is_enabled(&self, callsite: u64) -> bool {
        LOG.lock().unwrap().callsite(callsite).level <= 3
    }

    #[expect(clippy::print_stderr, reason = "this is where tests look for panics")]
    fn event(&self, callsite: u64, fields: RSlice<'_, Field<'_>>, span: u64) {
        let mut log = LOG.lock().unwrap();
        let callsite = log.callsite(callsite);
        let line = format!("event in {}:{}", log.place(span), text(&callsite, &fields));
        if callsite.level == 1 {
            // The panic of a test is told here too, as that of a plugin's task is.
            eprintln!("{line}");
        }
        log.push(&callsite, line);
    }

    fn new_span(&self, callsite: u64, fields: RSlice<'_, Field<'_>>, parent: u64) -> u64 {
        let mut log = LOG.lock().unwrap();
        log.next_span += 1;
        let span = log.next_span;
        log.spans.insert(span, usize::try_from(callsite).unwrap());
        let callsite = log.callsite(callsite);
        let place = log.place(parent);
        let line = format!(
            "open {} in {place}:{}",
            callsite.name,
            text(&callsite, &fields)
        );
        log.push(&callsite, line);
        span
    }

    fn record(&self, span: u64, fields: RSlice<'_, Field<'_>>) {
        let mut log = LOG.lock().unwrap();
        let callsite = log.of_span(span);
        let line = format!("record:{}", text(&callsite, &fields));
        log.push(&callsite, line);
    }

    fn close_span(&self, span: u64) {
        let mut log = LOG.lock().unwrap();
        let callsite = log.of_span(span);
        let line = format!("close {}", callsite.name);
        log.push(&callsite, line);
    }
}
