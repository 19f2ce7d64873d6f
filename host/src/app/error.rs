//! What keeps an app from starting.

use crate::config::ConfigError;
use crate::http::{BindError, DocumentError};
use crate::plugin::{self, LoadError, LoadErrors};
use crate::store::{OpenError, StoreError};

/// Why the app did not start.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StartError(#[from] StartCause);

/// What kept the app from starting.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartCause {
    #[error("{place} is no filter of the log: {cause}")]
    Log {
        /// Where it is written.
        place: &'static str,
        cause: String,
    },
    #[error("no threads can be started: {0}")]
    Runtime(#[source] std::io::Error),
    #[error(
        "--plugin is for development, and this server is in production: copy the library into \
         plugins.dir and name it in [[plugins.load]]"
    )]
    FilesInProduction,
    #[error("the plugins cannot be loaded: {}", listed(.0.iter()))]
    Plugins(LoadErrors),
    #[error("everybody could come in: {}", listed(.0.iter()))]
    Open(Vec<ConfigError>),
    #[error("the configuration names what does not exist: {}", listed(.0.iter()))]
    Agents(Vec<ConfigError>),
    #[error("an address to listen on cannot be served: {}", listed(.0.iter()))]
    Entrances(Vec<ConfigError>),
    #[error("/openapi.json cannot be made: {0}")]
    Document(DocumentError),
    #[error(transparent)]
    Bind(BindError),
    #[error("the store cannot be used: {0}")]
    Store(OpenError),
    #[error("the runs of the last server cannot be taken up: {0}")]
    Recovery(#[source] StoreError),
    #[error("a plugin did not start: {0}")]
    Start(#[source] LoadError),
    #[error("the system does not let the server listen: {0}")]
    System(#[source] std::io::Error),
}

/// All of them in one line, each with its causes.
fn listed<'a, E: std::error::Error + 'a>(errors: impl Iterator<Item = &'a E>) -> String {
    let errors: Vec<String> = errors.map(|error| plugin::in_one_line(error)).collect();
    errors.join("; ")
}

// === impl StartError ===

impl StartError {
    /// Whether the configuration is to blame.
    pub(crate) fn is_configuration(&self) -> bool {
        match &self.0 {
            StartCause::Log { .. }
            | StartCause::Open(_)
            | StartCause::Agents(_)
            | StartCause::Entrances(_) => true,
            StartCause::Plugins(errors) => errors.iter().all(LoadError::is_settings),
            _ => false,
        }
    }

    /// Whether code of a library still runs that keeps the process from ending in order.
    pub(crate) fn holds_the_process(&self) -> bool {
        match &self.0 {
            StartCause::Plugins(errors) => errors.iter().any(LoadError::holds_the_loader),
            _ => false,
        }
    }

    /// Every mistake, for the terminal.
    pub(crate) fn into_reports(self) -> Vec<miette::Report> {
        match self.0 {
            StartCause::Plugins(errors) => errors.into_iter().map(miette::Report::new).collect(),
            StartCause::Start(error) => vec![miette::Report::new(error)],
            StartCause::Open(errors)
            | StartCause::Agents(errors)
            | StartCause::Entrances(errors) => {
                errors.into_iter().map(miette::Report::new).collect()
            }
            StartCause::Store(error) => {
                let help = error.help();
                vec![miette::miette!(
                    help = help,
                    "the store cannot be used: {error}"
                )]
            }
            StartCause::Bind(error) => {
                let help = "stop the other program, or set another port: server.port, server.ports, \
                            server.listen or admin.listen";
                vec![miette::miette!(help = help, "{error}")]
            }
            error @ StartCause::Log { .. } => {
                let help = "write levels (off, error, warn, info, debug, trace) and targets with \
                            theirs, such as info,mortise_host::runtime=debug";
                vec![miette::miette!(help = help, "{error}")]
            }
            other => vec![miette::miette!("{other}")],
        }
    }
}
