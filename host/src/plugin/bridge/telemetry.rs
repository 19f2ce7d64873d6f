//! A telemetry object that wants nothing, for as long as there is no other.

use mortise_plugin_abi::stable::{RArc, RSlice, TD_Opaque};
use mortise_plugin_abi::{Callsite, Field, Telemetry, Telemetry_TO, TelemetryObject};

struct Deaf;

pub(in crate::plugin) fn telemetry() -> TelemetryObject {
    Telemetry_TO::from_ptr(RArc::new(Deaf), TD_Opaque)
}

impl Telemetry for Deaf {
    fn register(&self, _callsite: Callsite<'_>) -> u64 {
        0
    }

    fn is_enabled(&self, _callsite: u64) -> bool {
        false
    }

    fn event(&self, _callsite: u64, _fields: RSlice<'_, Field<'_>>, _span: u64) {}

    fn new_span(&self, _callsite: u64, _fields: RSlice<'_, Field<'_>>, _parent: u64) -> u64 {
        0
    }

    fn record(&self, _span: u64, _fields: RSlice<'_, Field<'_>>) {}

    fn close_span(&self, _span: u64) {}
}
