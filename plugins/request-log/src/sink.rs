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

/// Whether the server's log has lines of this level; its filter holds for the life of an instance.
pub(crate) fn is_written(level: Level) -> bool {
    match level {
        Level::Trace => tracing::enabled!(tracing::Level::TRACE),
        Level::Debug => tracing::enabled!(tracing::Level::DEBUG),
        Level::Info => tracing::enabled!(tracing::Level::INFO),
        Level::Warn => tracing::enabled!(tracing::Level::WARN),
        Level::Error => tracing::enabled!(tracing::Level::ERROR),
    }
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
