//! Why a plugin does not load: which file, what is wrong with it, and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use miette::Diagnostic;

use crate::config::{ConfigError, nearest};
use crate::schema::SchemaError;

/// The stage in which a library is opened.
pub(super) const LOADING: &str = "loading";

/// Why an instance does not load or start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("cannot load plugin '{instance}' from {}", .path.display())]
    Library {
        instance: String,
        path: PathBuf,
        source: Box<LibraryError>,
    },
    #[error("cannot read the plugin folder {}", .path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Settings(#[from] Box<ConfigError>),
    #[error("the configuration of plugin '{instance}' is wrong: {message}")]
    SettingsElsewhere { instance: String, message: String },
    #[error("plugin '{instance}' brings a schema for its configuration that is none")]
    SettingsSchema {
        instance: String,
        source: SchemaError,
    },
    #[error("plugin '{instance}' cannot say what it is: {message}")]
    Told { instance: String, message: String },
    #[error("plugin '{instance}' cannot be created: {message}")]
    Create { instance: String, message: String },
    #[error("plugin '{instance}' panicked in {place}: {message}")]
    Panicked {
        instance: String,
        place: String,
        message: String,
    },
    #[error("plugin '{instance}' did not end its {stage} within {} s", .limit.as_secs())]
    Hung {
        instance: String,
        stage: &'static str,
        limit: Duration,
    },
    #[error("plugin '{instance}' cannot start: {message}")]
    Start { instance: String, message: String },
    #[error("plugin '{instance}' offers {kind} with a name that cannot be: {message}")]
    Name {
        instance: String,
        kind: &'static str,
        message: String,
    },
    #[error("two plugins are named '{instance}': {first} and {second}")]
    TwoInstances {
        instance: String,
        first: String,
        second: String,
    },
    #[error("plugin '{second}' offers {what}, which {} offers already", owner(.first, .second))]
    Taken {
        what: String,
        first: String,
        second: String,
    },
    #[error("plugin '{instance}' takes {what}, a route of the server itself")]
    TakesNative { instance: String, what: String },
    #[error("plugin '{instance}' has an endpoint that cannot be: {message}")]
    Endpoint { instance: String, message: String },
}

/// Why a file is no library that this server can load.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LibraryError {
    // The file.
    #[error("there is no such file")]
    Missing,
    #[error("the file cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("it is {0}, not a file")]
    NotAFile(&'static str),
    #[error("it is larger than {} MiB", .limit >> 20)]
    TooLarge { limit: u64 },
    #[error("it leads out of the plugin folder, to {}", .target.display())]
    LeadsOut { target: PathBuf },
    #[error("every user of this machine may change {what}")]
    OthersMayWrite { what: &'static str },
    #[error("{what} belongs to user {owner}, neither to root nor to the user of this server")]
    ForeignOwner { what: &'static str, owner: u32 },

    // Its bytes.
    #[error("it is not the file that `sha256` says: it has {found}")]
    OtherDigest { found: String },
    #[error("it is not a library: {0}")]
    NotALibrary(&'static str),
    #[error("it is cut off: it should have {needed} bytes and has {found}")]
    Truncated { needed: u64, found: u64 },
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("it is built for {built_for}, this host is {host}")]
    WrongTarget { built_for: String, host: String },
    #[error("it is {0}, not a shared library")]
    NotShared(&'static str),
    #[error("it uses initial-exec thread-local storage, of which a process has little")]
    StaticTls,
    #[error("it is not a Mortise plugin: it has no section `.mortise`")]
    NotAPlugin,
    #[error("what it says of itself in the section `.mortise` is not readable")]
    Manifest(#[source] serde_json::Error),

    // Whether it fits.
    #[error("it speaks plugin API {plugin}, this host speaks {host}")]
    WrongApi { plugin: String, host: &'static str },
    #[error("it is built with panic = \"{0}\": its first panic would end the server")]
    Aborts(String),
    #[error("its types are laid out differently: {0}")]
    Layout(String),

    // Opening it.
    #[error("the system cannot load it: {0}")]
    Open(String),
    #[error("it is not a Mortise plugin: it exports no root module")]
    NoRootModule,
    #[error("it was made with another version of the boundary: {0}")]
    Boundary(String),
    #[error("no private copy of it can be made")]
    Copy(#[source] io::Error),
}

/// All that keeps the server from its plugins, at least one.
#[derive(Debug)]
pub(crate) struct LoadErrors {
    first: LoadError,
    rest: Vec<LoadError>,
}

/// The bare name of a library in the same folder that is named nearly so.
fn near(path: &Path) -> Option<String> {
    let bare = |path: &Path| {
        let name = path.file_stem()?.to_str()?.strip_prefix("lib")?;
        path.extension()?.eq("so").then(|| name.to_owned())
    };
    let files = path.parent()?.read_dir().ok()?.flatten();
    let there: Vec<String> = files.filter_map(|it| bare(&it.path())).collect();
    let there: Vec<&str> = there.iter().map(String::as_str).collect();
    nearest(&bare(path)?, &there).map(str::to_owned)
}

fn owner(first: &str, second: &str) -> String {
    if first == second {
        "it".to_owned()
    } else {
        format!("plugin '{first}'")
    }
}

/// An error and its causes in one line, for the log.
pub(crate) fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}

// === impl LoadError ===

impl LoadError {
    pub(super) fn library(instance: &str, path: PathBuf, source: LibraryError) -> Self {
        Self::Library {
            instance: instance.to_owned(),
            path,
            source: Box::new(source),
        }
    }

    /// Whether a plugin's settings are to blame.
    pub(crate) fn is_settings(&self) -> bool {
        matches!(self, Self::Settings(_) | Self::SettingsElsewhere { .. })
    }

    /// Whether the server must not go on without the plugin, even where it is not required: what was
    /// written down is wrong, and nobody knows yet whether it would guard.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Library { source, .. } => matches!(**source, LibraryError::OtherDigest { .. }),
            Self::Create { .. } => true,
            other => other.is_settings() || other.holds_the_loader(),
        }
    }

    /// Whether code of the library still runs while it is opened: nothing else can be loaded, and the
    /// process cannot end in order.
    pub(crate) fn holds_the_loader(&self) -> bool {
        matches!(self, Self::Hung { stage, .. } if *stage == LOADING)
    }

    /// What to do about it.
    pub(crate) fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Library { path, source, .. } => {
                let is_missing = matches!(**source, LibraryError::Missing);
                match is_missing.then(|| near(path)).flatten() {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => source.remedy().to_owned(),
                }
            }
            Self::Folder { .. } => "set plugins.dir to the folder of the libraries".to_owned(),
            Self::Settings(error) => return error.help().map(|help| help.to_string()),
            Self::SettingsElsewhere { .. } => {
                "write a [[plugins.load]] entry for it with a `config` table".to_owned()
            }
            Self::SettingsSchema { .. } | Self::Told { .. } | Self::Panicked { .. } => {
                "this is a mistake in the plugin; tell its author".to_owned()
            }
            Self::Create { .. } => "see the plugin's documentation".to_owned(),
            Self::Start { .. } => {
                "see the plugin's documentation; `required = false` in its entry starts the \
                 server without it"
                    .to_owned()
            }
            Self::Hung { stage, .. } if *stage == "start" => {
                "see whether what it connects to answers; `required = false` in its entry starts \
                 the server without it"
                    .to_owned()
            }
            Self::Hung { .. } if self.holds_the_loader() => {
                "code of the library runs when it is opened, and does not return; tell its author"
                    .to_owned()
            }
            Self::Hung { .. } => {
                "`create` must not wait for anything: files, threads and network belong in `start`"
                    .to_owned()
            }
            Self::Name { .. } | Self::Endpoint { .. } => {
                "if it comes from the plugin's `config`, change it there; else tell its author"
                    .to_owned()
            }
            Self::TwoInstances { .. } => {
                "give each instance a name of its own; `library` says which file it is from"
                    .to_owned()
            }
            Self::Taken { first, second, .. } if first == second => {
                "if it comes from the plugin's `config`, change it there; else tell its author"
                    .to_owned()
            }
            Self::Taken { .. } => {
                "remove one of the two from [[plugins.load]], or have its `config` offer something \
                 else"
                    .to_owned()
            }
            Self::TakesNative { .. } => "give the mount a prefix of its own".to_owned(),
        })
    }
}

impl Diagnostic for LoadError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.remedy()
            .map(|remedy| Box::new(remedy) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        match self {
            Self::Settings(error) => error.source_code(),
            _ => None,
        }
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        match self {
            Self::Settings(error) => error.labels(),
            _ => None,
        }
    }
}

// === impl LibraryError ===

impl LibraryError {
    /// What to do about it.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Missing => {
                "copy the library there, or say which it is: with `library` in its entry, or behind \
                 --plugin"
            }
            Self::Unreadable(_) => "see that the user of this server may read it",
            Self::NotAFile(_) | Self::NotALibrary(_) | Self::NotShared(_) => {
                "put the .so file of a plugin there: crate-type = [\"cdylib\"]"
            }
            Self::TooLarge { .. } => "strip it: strip = true in the release profile",
            Self::LeadsOut { .. } => "copy the library into the folder instead of linking to it",
            Self::OthersMayWrite { .. } => "run chmod o-w on that folder or file",
            Self::ForeignOwner { .. } => {
                "run chown on that folder or file, to root or to the user of this server"
            }
            Self::OtherDigest { .. } => {
                "put the file there that was meant; if it is this one, write its digest into the entry"
            }
            Self::Truncated { .. } | Self::Damaged(_) => "copy or build it again",
            Self::WrongTarget { .. } => "build it for this host: cargo build --target",
            Self::StaticTls => {
                "build it without a global allocator, or mimalloc with the feature \
                 local_dynamic_tls"
            }
            Self::NotAPlugin | Self::NoRootModule => {
                "if it is a plugin, it was built without the feature `dylib`; build it with it"
            }
            Self::Manifest(_) | Self::Boundary(_) | Self::Layout(_) => {
                "rebuild it with the mortise-plugin-api of this server"
            }
            Self::WrongApi { .. } => {
                "rebuild it with a mortise-plugin-api of this server's major API version"
            }
            Self::Aborts(_) => "build it with panic = \"unwind\", the default",
            Self::Open(_) => "install what is missing, or build it on a system like this one",
            Self::Copy(_) => {
                "see that /proc is mounted and the folder for temporary files has room"
            }
        }
    }
}

// === impl LoadErrors ===

impl LoadErrors {
    /// Nothing if there are none.
    pub(super) fn collect(errors: impl IntoIterator<Item = LoadError>) -> Result<(), Self> {
        let mut errors = errors.into_iter();
        match errors.next() {
            None => Ok(()),
            Some(first) => Err(Self {
                first,
                rest: errors.collect(),
            }),
        }
    }

    /// Every error, in the order in which they were found.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &LoadError> {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

impl IntoIterator for LoadErrors {
    type Item = LoadError;
    type IntoIter = std::iter::Chain<std::iter::Once<LoadError>, std::vec::IntoIter<LoadError>>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self.first).chain(self.rest)
    }
}

impl From<LoadError> for LoadErrors {
    fn from(first: LoadError) -> Self {
        Self {
            first,
            rest: Vec::new(),
        }
    }
}

/// The first error in a sentence; a report shows the others too.
impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)
    }
}

impl std::error::Error for LoadErrors {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.first.source()
    }
}

impl Diagnostic for LoadErrors {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.first.help()
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.first.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        self.first.labels()
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.rest.is_empty() {
            return None;
        }
        Some(Box::new(self.rest.iter().map(|it| it as &dyn Diagnostic)))
    }
}
