//! Where the text of a configuration comes from, and what is accepted as text at all.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use super::{ConfigError, Environment, Problem};

/// No hand-written file comes near this; a wrong path (a log, a library) does.
const LIMIT: u64 = 1024 * 1024;

/// Where a configuration is read from.
#[derive(Debug, Clone)]
pub enum ConfigSource {
    /// A file.
    File(PathBuf),
    /// A text at hand.
    Text {
        /// What errors call it.
        name: String,
        /// The TOML.
        text: String,
        /// The folder that relative paths start from.
        folder: PathBuf,
    },
}

/// A text that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) folder: PathBuf,
    pub(super) world_readable: bool,
}

/// The file to read: the explicit one, the one `MORTISE_CONFIG` names, or the first usual place
/// where there is one.
pub fn find(
    explicit: Option<PathBuf>,
    environment: &dyn Environment,
) -> Result<PathBuf, ConfigError> {
    let named = explicit.or_else(|| {
        let path = environment.get("MORTISE_CONFIG")?;
        (!path.is_empty()).then(|| path.into())
    });
    if let Some(path) = named {
        return Ok(path);
    }
    first_existing(["./config.toml".into(), "/etc/mortise/config.toml".into()].into())
}

pub(super) fn first_existing(places: Vec<PathBuf>) -> Result<PathBuf, ConfigError> {
    match places.iter().find(|path| path.exists()) {
        Some(path) => Ok(path.clone()),
        None => Err(ConfigError::NotFound { places }),
    }
}

// === impl ConfigSource ===

impl ConfigSource {
    /// A text at hand, of a program that brings its configuration; relative paths in it start from
    /// the folder that the program runs in.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text {
            name: "the configuration".to_owned(),
            text: text.into(),
            folder: PathBuf::from("."),
        }
    }

    pub(super) fn read(self) -> Result<Read, ConfigError> {
        match self {
            Self::File(path) => read_file(&path),
            Self::Text { name, text, folder } => Ok(Read {
                name,
                text: without_byte_order_mark(text),
                folder,
                world_readable: false,
            }),
        }
    }
}

fn read_file(path: &Path) -> Result<Read, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let path_in_full = std::path::absolute(path).map_err(unreadable)?;
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells "too large" from "just fits", for pipes too.
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > LIMIT {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
            limit: LIMIT,
        });
    }
    let name = path.display().to_string();
    Ok(Read {
        text: without_byte_order_mark(text(&name, bytes)?),
        name,
        folder: path_in_full.parent().unwrap_or(Path::new("/")).to_owned(),
        world_readable: is_world_readable(&metadata),
    })
}

fn text(name: &str, bytes: Vec<u8>) -> Result<String, Problem> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let shown = String::from_utf8_lossy(error.as_bytes());
        Problem::new(
            "the file is not UTF-8 text",
            Some("save it as UTF-8; TOML has no other encoding".to_owned()),
        )
        .at(
            name,
            &super::mask::masked(&shown),
            at..at + char::REPLACEMENT_CHARACTER.len_utf8(),
        )
    })
}

fn without_byte_order_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

#[cfg(unix)]
fn is_world_readable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn is_world_readable(_metadata: &std::fs::Metadata) -> bool {
    false
}
