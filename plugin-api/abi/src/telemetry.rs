//! The tracing bridge: callsites, events and spans of a plugin become the host's.

use abi_stable::StableAbi;
use abi_stable::sabi_trait;
use abi_stable::std_types::{RArc, ROption, RSlice, RStr};

pub type TelemetryObject = Telemetry_TO<'static, RArc<()>>;

/// Where a log line or a span stands in the plugin's source.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Callsite<'a> {
    pub name: RStr<'a>,
    pub target: RStr<'a>,
    /// 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    pub level: u8,
    pub is_span: bool,
    pub module: ROption<RStr<'a>>,
    pub file: ROption<RStr<'a>>,
    /// 0 where it is not known.
    pub line: u32,
    pub fields: RSlice<'a, RStr<'a>>,
}

/// A field by its index in the callsite, with its value.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Field<'a> {
    pub index: usize,
    pub value: FieldValue<'a>,
}

/// A value; what is no number, boolean or text crosses as its debug text.
#[repr(C, u8)]
#[derive(StableAbi, Clone, Copy)]
pub enum FieldValue<'a> {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Boolean(bool),
    Text(RStr<'a>),
    Debug(RStr<'a>),
}

/// The parent of what belongs to no span of the plugin's: the host's current span.
pub const HOST_SPAN: u64 = 0;
/// The parent of what belongs to no span at all, also the number of a span that nobody wants.
pub const NO_SPAN: u64 = u64::MAX;

/// The host's side of the bridge.
#[sabi_trait]
pub trait Telemetry: Send + Sync {
    /// Registers a callsite for good and returns its number.
    fn register(&self, callsite: Callsite<'_>) -> u64;
    fn is_enabled(&self, callsite: u64) -> bool;
    /// `span` is a span's number, [`HOST_SPAN`] or [`NO_SPAN`].
    fn event(&self, callsite: u64, fields: RSlice<'_, Field<'_>>, span: u64);
    /// Returns the number of the new span; `parent` is as for `event`.
    fn new_span(&self, callsite: u64, fields: RSlice<'_, Field<'_>>, parent: u64) -> u64;
    fn record(&self, span: u64, fields: RSlice<'_, Field<'_>>);
    #[sabi(last_prefix_field)]
    fn close_span(&self, span: u64);
    /// Whether the callsite is wanted never (0), sometimes (1: ask `is_enabled`) or always (2).
    fn interest(&self, callsite: u64) -> u8 {
        u8::from(self.is_enabled(callsite))
    }
}
