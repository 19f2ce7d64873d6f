//! Writes entries with `tracing`, whence they become lines of the server's log.

use mortise_plugin_api::prelude::*;

use crate::config::Level;
use crate::entry::Entry;

// A callsite has one level, fixed when it is compiled, so each level has its own.
macro_rules! write_at {
    ($level:ident, $entry:expr) => {{
        if tracing::enabled!(tracing::Level::$level) {
            let data = $entry.data.to_string();
            tracing::event!(
                tracing::Level::$level,
                event = $entry.event.as_str(),
                request_id = $entry.request_id.as_str(),
                agent = $entry.agent.as_deref(),
                run_id = $entry.run_id.as_deref(),
                conversation_id = $entry.conversation_id.as_deref(),
                data = data.as_str(),
            );
        }
    }};
}

pub(crate) fn write(entry: &Entry) {
    match entry.level {
        Level::Trace => write_at!(TRACE, entry),
        Level::Debug => write_at!(DEBUG, entry),
        Level::Info => write_at!(INFO, entry),
        Level::Warn => write_at!(WARN, entry),
        Level::Error => write_at!(ERROR, entry),
    }
}
