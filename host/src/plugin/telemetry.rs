//! The tracing bridge, seen from the host: callsites, events and spans of libraries become real
//! ones, so that filters, formats, typed fields and the enclosing spans of the host hold for them.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use mortise_plugin_api::ffi::abi::stable::{ROption, RSlice, RStr, TD_Opaque};
use mortise_plugin_api::ffi::abi::{
    self, FieldValue, HOST_SPAN, NO_SPAN, Telemetry_TO, TelemetryObject,
};
use mortise_plugin_api::ffi::guard::guarded;
use mortise_plugin_api::ffi::telemetry::this_image_is_the_host;
use tracing::callsite::{self, Callsite, Identifier};
use tracing::field::{DisplayValue, FieldSet, Value, ValueSet};
use tracing::metadata::Kind;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Span, dispatcher};

/// The host's end of the bridge, for any number of libraries.
pub(crate) fn telemetry() -> TelemetryObject {
    this_image_is_the_host();
    Telemetry_TO::from_ptr(abi::stable::RArc::new(Telemetry::default()), TD_Opaque)
}

/// What libraries registered and opened.
#[derive(Default)]
struct Telemetry {
    spans: Mutex<HashMap<u64, Span>>,
}

/// All callsites of all libraries, by number. They are never forgotten, since tracing keeps them
/// for good; a library that is loaded again finds its own.
static CALLSITES: RwLock<Callsites> = RwLock::new(Callsites {
    by_place: None,
    by_number: Vec::new(),
});

struct Callsites {
    by_place: Option<HashMap<Place, u64>>,
    by_number: Vec<&'static ForeignCallsite>,
}

/// What makes a callsite the same after a reload.
#[derive(PartialEq, Eq, Hash)]
struct Place {
    name: String,
    target: String,
    level: u8,
    is_span: bool,
    file: Option<String>,
    line: u32,
    fields: Vec<String>,
}

/// A callsite in a library.
struct ForeignCallsite {
    interest: AtomicU8,
    metadata: OnceLock<Metadata<'static>>,
}

const NEVER: u8 = 0;
const SOMETIMES: u8 = 1;
const ALWAYS: u8 = 2;

// === impl Telemetry ===

impl Telemetry {
    fn spans(&self) -> MutexGuard<'_, HashMap<u64, Span>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle, so that no lock is held while a subscriber works with the span.
    fn span(&self, number: u64) -> Span {
        self.spans()
            .get(&number)
            .cloned()
            .unwrap_or_else(Span::none)
    }
}

// A panic that left one of these would end the process.
impl abi::Telemetry for Telemetry {
    fn register(&self, callsite: abi::Callsite<'_>) -> u64 {
        guarded(|| register(&callsite)).unwrap_or(u64::MAX)
    }

    fn is_enabled(&self, number: u64) -> bool {
        guarded(|| find(number).is_some_and(ForeignCallsite::is_enabled)).unwrap_or(false)
    }

    fn event(&self, number: u64, fields: RSlice<'_, abi::Field<'_>>, span: u64) {
        // A panic in a subscriber costs the event.
        let _ = guarded(|| match span {
            HOST_SPAN => dispatch(number, &fields, |metadata, values| {
                Event::dispatch(metadata, values);
            }),
            NO_SPAN => dispatch(number, &fields, |metadata, values| {
                Event::child_of(None, metadata, values);
            }),
            // Entered, since formats and filters look at the current span, not at the parent.
            span => self.span(span).in_scope(|| {
                dispatch(number, &fields, |metadata, values| {
                    Event::dispatch(metadata, values);
                });
            }),
        });
    }

    fn new_span(&self, number: u64, fields: RSlice<'_, abi::Field<'_>>, parent: u64) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        guarded(|| {
            let Some(callsite) = find(number).filter(|callsite| callsite.is_enabled()) else {
                return NO_SPAN;
            };
            let metadata = callsite.known();
            let span = with_values(metadata.fields(), &fields, |values| match parent {
                HOST_SPAN => Span::new(metadata, values),
                NO_SPAN => Span::new_root(metadata, values),
                parent => match self.span(parent).id() {
                    Some(parent) => Span::child_of(parent, metadata, values),
                    None => Span::new(metadata, values),
                },
            });
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            self.spans().insert(number, span);
            number
        })
        .unwrap_or(NO_SPAN)
    }

    fn record(&self, span: u64, fields: RSlice<'_, abi::Field<'_>>) {
        let _ = guarded(|| {
            let span = self.span(span);
            if let Some(metadata) = span.metadata() {
                with_values(metadata.fields(), &fields, |values| {
                    span.record_all(values);
                });
            }
        });
    }

    fn close_span(&self, span: u64) {
        let _ = guarded(|| {
            // Bound first, so that the lock is free when the subscriber hears of the end.
            let closed = self.spans().remove(&span);
            drop(closed);
        });
    }

    fn interest(&self, number: u64) -> u8 {
        guarded(|| find(number).map_or(NEVER, |callsite| callsite.interest.load(Ordering::Relaxed)))
            .unwrap_or(NEVER)
    }
}

fn dispatch(
    callsite: u64,
    fields: &[abi::Field<'_>],
    dispatch: impl FnOnce(&'static Metadata<'static>, &ValueSet<'_>),
) {
    if let Some(callsite) = find(callsite).filter(|callsite| callsite.is_enabled()) {
        let metadata = callsite.known();
        with_values(metadata.fields(), fields, |values| {
            dispatch(metadata, values);
        });
    }
}

// === callsites ===

fn find(number: u64) -> Option<&'static ForeignCallsite> {
    let callsites = CALLSITES.read().unwrap_or_else(PoisonError::into_inner);
    let callsite = callsites.by_number.get(usize::try_from(number).ok()?)?;
    Some(callsite)
}

fn register(callsite: &abi::Callsite<'_>) -> u64 {
    let place = Place::of(callsite);
    let (number, new) = {
        let mut callsites = CALLSITES.write().unwrap_or_else(PoisonError::into_inner);
        let Callsites {
            by_place,
            by_number,
        } = &mut *callsites;
        let by_place = by_place.get_or_insert_default();
        if let Some(number) = by_place.get(&place) {
            return *number;
        }
        let new = ForeignCallsite::leaked(callsite);
        let number = by_number.len() as u64;
        by_number.push(new);
        by_place.insert(place, number);
        (number, new)
    };
    // Not under the lock: this asks the subscriber.
    callsite::register(new);
    number
}

impl Place {
    fn of(callsite: &abi::Callsite<'_>) -> Self {
        Self {
            name: callsite.name.into(),
            target: callsite.target.into(),
            level: callsite.level,
            is_span: callsite.is_span,
            file: callsite.file.map(Into::into).into_option(),
            line: callsite.line,
            fields: callsite.fields.iter().map(|&name| name.into()).collect(),
        }
    }
}

impl ForeignCallsite {
    fn leaked(callsite: &abi::Callsite<'_>) -> &'static Self {
        let own: &'static Self = Box::leak(Box::new(Self {
            interest: AtomicU8::new(SOMETIMES),
            metadata: OnceLock::new(),
        }));
        let names: Vec<&'static str> = callsite.fields.iter().map(|name| leaked(name)).collect();
        let kind = if callsite.is_span {
            Kind::SPAN
        } else {
            Kind::EVENT
        };
        own.metadata.get_or_init(|| {
            Metadata::new(
                leaked(&callsite.name),
                leaked(&callsite.target),
                level(callsite.level),
                leaked_option(callsite.file),
                (callsite.line > 0).then_some(callsite.line),
                leaked_option(callsite.module),
                FieldSet::new(names.leak(), Identifier(own)),
                kind,
            )
        });
        own
    }

    fn known(&self) -> &Metadata<'static> {
        self.metadata
            .get()
            .expect("set before anybody sees the callsite")
    }

    fn is_enabled(&self) -> bool {
        match self.interest.load(Ordering::Relaxed) {
            NEVER => false,
            ALWAYS => true,
            _ => dispatcher::get_default(|dispatch| dispatch.enabled(self.known())),
        }
    }
}

impl Callsite for ForeignCallsite {
    fn set_interest(&self, interest: Interest) {
        let interest = if interest.is_never() {
            NEVER
        } else if interest.is_always() {
            ALWAYS
        } else {
            SOMETIMES
        };
        self.interest.store(interest, Ordering::Relaxed);
    }

    fn metadata(&self) -> &Metadata<'_> {
        self.known()
    }
}

fn level(number: u8) -> Level {
    match number {
        1 => Level::ERROR,
        2 => Level::WARN,
        3 => Level::INFO,
        4 => Level::DEBUG,
        _ => Level::TRACE,
    }
}

fn leaked(text: &str) -> &'static str {
    Box::leak(Box::from(text))
}

fn leaked_option(text: ROption<RStr<'_>>) -> Option<&'static str> {
    text.into_option().map(|text| leaked(text.as_str()))
}

// === values ===

/// A value on this side, with an address that a [`ValueSet`] can point to.
enum Crossed<'a> {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Boolean(bool),
    Text(&'a str),
    // Its debug text, which must not be quoted again.
    Debug(DisplayValue<&'a str>),
}

fn with_values<T>(
    names: &FieldSet,
    fields: &[abi::Field<'_>],
    call: impl FnOnce(&ValueSet<'_>) -> T,
) -> T {
    let mut crossed: Vec<Option<Crossed<'_>>> = Vec::new();
    crossed.resize_with(names.len(), || None);
    for field in fields {
        if let Some(place) = crossed.get_mut(field.index) {
            *place = Some(Crossed::of(&field.value));
        }
    }
    let values: Vec<Option<&dyn Value>> = crossed
        .iter()
        .map(|value| value.as_ref().map(Crossed::as_value))
        .collect();
    call(&names.value_set_all(&values))
}

impl<'a> Crossed<'a> {
    fn of(value: &FieldValue<'a>) -> Self {
        match *value {
            FieldValue::Signed(value) => Self::Signed(value),
            FieldValue::Unsigned(value) => Self::Unsigned(value),
            FieldValue::Float(value) => Self::Float(value),
            FieldValue::Boolean(value) => Self::Boolean(value),
            FieldValue::Text(text) => Self::Text(text.as_str()),
            FieldValue::Debug(text) => Self::Debug(tracing::field::display(text.as_str())),
        }
    }

    fn as_value(&self) -> &dyn Value {
        match self {
            Self::Signed(value) => value,
            Self::Unsigned(value) => value,
            Self::Float(value) => value,
            Self::Boolean(value) => value,
            Self::Text(value) => value,
            Self::Debug(value) => value,
        }
    }
}

impl fmt::Debug for ForeignCallsite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForeignCallsite")
            .field(&self.metadata.get())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use serde_json::Value as Json;
    use tracing_subscriber::EnvFilter;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Lines {
        fn json(&self) -> Vec<Json> {
            let bytes = self.0.lock().unwrap().clone();
            let text = String::from_utf8(bytes).unwrap();
            text.lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect()
        }
    }

    fn logged(filter: &str, log: impl FnOnce(&TelemetryObject)) -> Vec<Json> {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_env_filter(EnvFilter::new(filter))
            .with_writer(lines.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || log(&telemetry()));
        lines.json()
    }

    fn callsite<'a>(target: &'a str, level: u8, fields: &'a [RStr<'a>]) -> abi::Callsite<'a> {
        abi::Callsite {
            name: "here".into(),
            target: target.into(),
            level,
            is_span: false,
            module: ROption::RNone,
            file: ROption::RSome("src/lib.rs".into()),
            line: 7,
            fields: RSlice::from_slice(fields),
        }
    }

    fn field(index: usize, value: FieldValue<'_>) -> abi::Field<'_> {
        abi::Field { index, value }
    }

    #[test]
    fn an_event_keeps_its_types_and_stands_in_the_spans_of_host_and_library() {
        let names = [
            "message".into(),
            "books".into(),
            "ok".into(),
            "title".into(),
        ];
        let span_names = ["shelf".into(), "late".into()];
        let lines = logged("debug", |bridge| {
            let _request = tracing::info_span!("request", request_id = "req-1").entered();
            let span_site = bridge.register(abi::Callsite {
                is_span: true,
                ..callsite("shop", 3, &span_names)
            });
            let shelf = [field(0, FieldValue::Text("history".into()))];
            let span = bridge.new_span(span_site, RSlice::from_slice(&shelf), HOST_SPAN);
            let late = [field(1, FieldValue::Unsigned(9))];
            bridge.record(span, RSlice::from_slice(&late));
            let site = bridge.register(callsite("shop", 3, &names));
            let fields = [
                field(0, FieldValue::Debug("lent \"out\"".into())),
                field(1, FieldValue::Signed(-3)),
                field(2, FieldValue::Boolean(true)),
                field(3, FieldValue::Text("Emma".into())),
            ];
            bridge.event(site, RSlice::from_slice(&fields), span);
            bridge.close_span(span);
            bridge.event(site, RSlice::from_slice(&fields[..1]), NO_SPAN);
        });

        let [inside, outside] = lines.as_slice() else {
            panic!("two lines: {lines:#?}");
        };
        assert_eq!(inside["target"], "shop");
        assert_eq!(inside["fields"]["message"], "lent \"out\"");
        assert_eq!(inside["fields"]["books"], -3);
        assert_eq!(inside["fields"]["ok"], true);
        assert_eq!(inside["fields"]["title"], "Emma");
        assert_eq!(inside["spans"][0]["request_id"], "req-1");
        assert_eq!(inside["spans"][1]["shelf"], "history");
        assert_eq!(inside["span"]["shelf"], "history");
        assert_eq!(inside["span"]["late"], 9);
        assert_eq!(outside["fields"]["message"], "lent \"out\"");
    }

    #[test]
    fn the_filter_of_the_host_holds_for_libraries() {
        let names = ["message".into()];
        let lines = logged("info,quiet=warn", |bridge| {
            let loud = bridge.register(callsite("loud", 3, &names));
            let quiet = bridge.register(callsite("quiet", 3, &names));
            assert!(bridge.is_enabled(loud));
            assert!(!bridge.is_enabled(quiet));
            let fields = [field(0, FieldValue::Debug("hello".into()))];
            for site in [loud, quiet, 9_999_999] {
                bridge.event(site, RSlice::from_slice(&fields), HOST_SPAN);
            }
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["target"], "loud");
    }

    #[test]
    fn a_callsite_that_comes_again_is_the_same() {
        let names = ["message".into()];
        let bridge = telemetry();
        let first = bridge.register(callsite("reloaded", 3, &names));
        assert_eq!(bridge.register(callsite("reloaded", 3, &names)), first);
        assert_ne!(bridge.register(callsite("reloaded", 4, &names)), first);
    }
}
