//! The tracing bridge, seen from the library: its callsites, events and spans become the host's.
//!
//! Every library has a tracing of its own, with its own default subscriber. [`install`] makes
//! that default one that forwards to the host. Formatting and filtering are the host's.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError, RwLock};

use tracing::field::Visit;
use tracing_core::callsite::{self, Identifier};
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::{Dispatch, Event, Field, Interest, Level, Metadata, Subscriber, dispatcher};

use super::abi::stable::{ROption, RSlice, RStr};
use super::abi::{self, FieldValue, HOST_SPAN, NO_SPAN, TelemetryObject};

/// Whether this image is the host's own: its events need no bridge.
static HOST_IMAGE: AtomicBool = AtomicBool::new(false);

/// Whether the events of this image go over the bridge.
static BRIDGED: AtomicBool = AtomicBool::new(false);

/// Says that this image is the host's. A plugin that is linked in would otherwise make the bridge
/// the host's own subscriber, and each event would go in a circle.
pub fn this_image_is_the_host() {
    HOST_IMAGE.store(true, Ordering::Relaxed);
}

/// Sends the events of this image to the host; the first instance decides.
pub(crate) fn install(telemetry: TelemetryObject) {
    static INSTALLED: Once = Once::new();
    if HOST_IMAGE.load(Ordering::Relaxed) {
        return;
    }
    INSTALLED.call_once(|| {
        // Fails where the image has a subscriber already: then its owner has other plans.
        let bridge = Dispatch::new(Bridge::new(telemetry));
        BRIDGED.store(
            dispatcher::set_global_default(bridge).is_ok(),
            Ordering::Relaxed,
        );
    });
}

/// Whether the events of this image go over the bridge.
pub(super) fn is_bridged() -> bool {
    BRIDGED.load(Ordering::Relaxed)
}

/// The host's filter changed: ask again which callsites are wanted.
pub(crate) fn filter_changed() {
    if !HOST_IMAGE.load(Ordering::Relaxed) {
        callsite::rebuild_interest_cache();
    }
}

/// The subscriber of an image.
struct Bridge {
    host: TelemetryObject,
    // No lock is ever held while the host is called: it may ask for a span of ours in turn.
    callsites: RwLock<HashMap<Identifier, u64>>,
    spans: Mutex<HashMap<u64, Span>>,
}

/// A span that somebody holds.
struct Span {
    metadata: &'static Metadata<'static>,
    handles: usize,
}

thread_local! {
    /// The spans that this thread is in, the innermost last.
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

// === impl Bridge ===

impl Bridge {
    fn new(host: TelemetryObject) -> Self {
        Self {
            host,
            callsites: RwLock::default(),
            spans: Mutex::default(),
        }
    }

    /// The host's number of a callsite; the host is told of it at the first sight.
    fn number(&self, metadata: &Metadata<'_>) -> u64 {
        let callsite = metadata.callsite();
        let known = self
            .callsites
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&callsite)
            .copied();
        // Two threads may both tell: the host gives them the same number.
        known.unwrap_or_else(|| {
            let number = self.register(metadata);
            self.callsites
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(callsite, number);
            number
        })
    }

    fn register(&self, metadata: &Metadata<'_>) -> u64 {
        let fields: Vec<RStr<'_>> = metadata
            .fields()
            .iter()
            .map(|field| RStr::from_str(field.name()))
            .collect();
        self.host.register(abi::Callsite {
            name: metadata.name().into(),
            target: metadata.target().into(),
            level: level_number(*metadata.level()),
            is_span: metadata.is_span(),
            module: optional(metadata.module_path()),
            file: optional(metadata.file()),
            line: metadata.line().unwrap_or(0),
            fields: RSlice::from_slice(&fields),
        })
    }

    fn spans(&self) -> MutexGuard<'_, HashMap<u64, Span>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Bridge {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.host.interest(self.number(metadata)) {
            0 => Interest::never(),
            1 => Interest::sometimes(),
            _ => Interest::always(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.host.is_enabled(self.number(metadata))
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let metadata = attributes.metadata();
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let parent = parent(
            attributes.parent(),
            attributes.is_contextual(),
            self.number(metadata),
        );
        let span = fields.with(|fields| self.host.new_span(parent.callsite, fields, parent.span));
        // The host gives 0 where it could not make a span; here an id must be something else.
        let span = if span == HOST_SPAN { NO_SPAN } else { span };
        if span != NO_SPAN {
            let handles = 1;
            self.spans().insert(span, Span { metadata, handles });
        }
        Id::from_u64(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        if span.into_u64() != NO_SPAN {
            let mut fields = Fields::default();
            values.record(&mut fields);
            fields.with(|fields| self.host.record(span.into_u64(), fields));
        }
    }

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let parent = parent(
            event.parent(),
            event.is_contextual(),
            self.number(event.metadata()),
        );
        fields.with(|fields| self.host.event(parent.callsite, fields, parent.span));
    }

    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| {
            // Usually the last one; not so where guards are dropped out of order.
            if let Some(place) = entered.iter().rposition(|own| *own == span.into_u64()) {
                entered.remove(place);
            }
        });
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(span) = self.spans().get_mut(&id.into_u64()) {
            span.handles += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let number = id.into_u64();
        let closed = {
            let mut spans = self.spans();
            let Some(span) = spans.get_mut(&number) else {
                return false;
            };
            span.handles -= 1;
            span.handles == 0 && spans.remove(&number).is_some()
        };
        if closed {
            self.host.close_span(number);
        }
        closed
    }

    fn current_span(&self) -> Current {
        let number = innermost();
        match self.spans().get(&number) {
            Some(span) => Current::new(Id::from_u64(number), span.metadata),
            None => Current::none(),
        }
    }
}

/// What an event or a span belongs to.
struct Place {
    callsite: u64,
    span: u64,
}

fn parent(explicit: Option<&Id>, contextual: bool, callsite: u64) -> Place {
    let span = match explicit {
        Some(parent) => parent.into_u64(),
        None if contextual => innermost(),
        None => NO_SPAN,
    };
    Place { callsite, span }
}

/// The span that this thread is in. A span that nobody wants is as if it were not there.
fn innermost() -> u64 {
    ENTERED.with_borrow(|entered| {
        let wanted = entered.iter().rev().find(|span| **span != NO_SPAN);
        wanted.copied().unwrap_or(HOST_SPAN)
    })
}

fn level_number(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        _ => 5,
    }
}

fn optional(text: Option<&str>) -> ROption<RStr<'_>> {
    text.map(RStr::from_str).into()
}

/// Field values, collected before they cross; their texts stand in one buffer.
#[derive(Default)]
struct Fields {
    text: String,
    values: Vec<(usize, Collected)>,
}

enum Collected {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Boolean(bool),
    Text(Range<usize>),
    Debug(Range<usize>),
}

// === impl Fields ===

impl Fields {
    fn with<T>(&self, call: impl FnOnce(RSlice<'_, abi::Field<'_>>) -> T) -> T {
        let text = |range: &Range<usize>| RStr::from_str(&self.text[range.clone()]);
        let fields: Vec<abi::Field<'_>> = self
            .values
            .iter()
            .map(|(index, value)| abi::Field {
                index: *index,
                value: match value {
                    Collected::Signed(value) => FieldValue::Signed(*value),
                    Collected::Unsigned(value) => FieldValue::Unsigned(*value),
                    Collected::Float(value) => FieldValue::Float(*value),
                    Collected::Boolean(value) => FieldValue::Boolean(*value),
                    Collected::Text(range) => FieldValue::Text(text(range)),
                    Collected::Debug(range) => FieldValue::Debug(text(range)),
                },
            })
            .collect();
        call(RSlice::from_slice(&fields))
    }

    fn push(&mut self, field: &Field, value: Collected) {
        self.values.push((field.index(), value));
    }

    fn push_text(&mut self, write: impl FnOnce(&mut String)) -> Range<usize> {
        let start = self.text.len();
        write(&mut self.text);
        start..self.text.len()
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, Collected::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, Collected::Unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, Collected::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, Collected::Boolean(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let range = self.push_text(|text| text.push_str(value));
        self.push(field, Collected::Text(range));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let range = self.push_text(|text| {
            // A `Debug` that fails leaves what it wrote before.
            let _ = fmt::Write::write_fmt(text, format_args!("{value:?}"));
        });
        self.push(field, Collected::Debug(range));
    }
}
