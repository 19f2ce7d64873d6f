//! The log: what is written, and how it looks. Always on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use super::standard_error::{Looks, StandardError};
use crate::config::{Level, Log, LogFormat};

/// The variable that overrides the configured levels.
pub(super) const LOG_VARIABLE: &str = "MORTISE_LOG";

/// A library of a plugin's that writes at `info` every notification that it receives, whole.
const TALKATIVE: &str = "rmcp=error";

/// Starts the log; a second start in one process changes nothing.
///
/// # Errors
/// When `MORTISE_LOG` or a configured target is no valid filter.
pub(super) fn start(log: &Log, overriding: Option<&str>) -> Result<(), ParseError> {
    let filter = match overriding {
        Some(directives) => EnvFilter::builder().parse(directives)?,
        None => EnvFilter::builder().parse(directives(log))?,
    };
    let looks = match log.format {
        LogFormat::Pretty => Looks::Pretty,
        LogFormat::Auto if std::io::stderr().is_terminal() => Looks::Pretty,
        LogFormat::Auto | LogFormat::Json => Looks::Json,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(StandardError::new(looks));
    // An embedding program may have a subscriber of its own: it is kept.
    let _ = if looks == Looks::Pretty {
        builder
            .with_ansi(std::io::stderr().is_terminal())
            .try_init()
    } else {
        builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init()
    };
    Ok(())
}

fn directives(log: &Log) -> String {
    let targets = log
        .targets
        .iter()
        .map(|(target, level)| format!("{target}={}", level.as_str()));
    // Before the targets of the configuration, which win.
    let quieter = (log.level == Level::Info).then(|| TALKATIVE.to_owned());
    std::iter::once(log.level.as_str().to_owned())
        .chain(quieter)
        .chain(targets)
        .collect::<Vec<_>>()
        .join(",")
}
