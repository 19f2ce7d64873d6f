//! The log: what is written, and how it looks. Always on standard error.

use std::fmt::{self, Debug, Write as _};
use std::io::IsTerminal;

use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

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
pub(super) fn start(log: &Log, overriding: Option<&str>) -> Result<(), String> {
    let filter = match overriding {
        Some(directives) => parse(directives)?,
        None => parse(&directives(log))?,
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
            .fmt_fields(debug_fn(write_field).delimited(" "))
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

/// A word alone would be taken for a target, and all else would be silent.
fn parse(directives: &str) -> Result<EnvFilter, String> {
    let is_level = |word: &&str| word.is_empty() || word.parse::<LevelFilter>().is_ok();
    let mut words = directives.split(',').map(str::trim);
    if let Some(word) = words.find(|it| !it.contains(['=', '[']) && !is_level(it)) {
        return Err(format!("{word:?} is no level"));
    }
    let parsed = EnvFilter::builder().parse(directives);
    parsed.map_err(|error| error.to_string())
}

/// Writes a field for people: models and clients, whose words may be in it, cannot begin a line of
/// their own or tell the terminal what to do.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(
            Escaped {
                writer,
                lines: true
            },
            "{value:?}"
        ),
        name => write!(
            Escaped {
                writer,
                lines: false
            },
            "{name}={value:?}"
        ),
    }
}

/// Writes control characters as their escapes.
struct Escaped<'a, 'w> {
    writer: &'a mut Writer<'w>,
    /// Whether ends of lines stay.
    lines: bool,
}

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            let plain = part.trim_end_matches(char::is_control);
            self.writer.write_str(plain)?;
            for control in part[plain.len()..].chars() {
                if control == '\n' && self.lines {
                    self.writer.write_char(control)?;
                } else {
                    write!(self.writer, "{}", control.escape_default())?;
                }
            }
        }
        Ok(())
    }
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
