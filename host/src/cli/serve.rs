//! `mortise serve`.

use std::ffi::OsString;
use std::mem::ManuallyDrop;

use super::exit::{self, Failure};
use super::{HttpArgs, ServeArgs};
use crate::app::{App, AppBuilder, StartCause, StartError};
use crate::config::{self, Config, ConfigError, ConfigSource, Environment, ProcessEnvironment};

/// The variables of this process, and what the command line says as variables: it is laid over the
/// file like them, and errors name it.
struct WithArguments(Vec<Argument>);

struct Argument {
    name: &'static str,
    variable: &'static str,
    value: OsString,
}

pub(super) fn run(arguments: &ServeArgs) -> Result<(), Failure> {
    let environment = arguments.http.environment()?;
    let config = load_config(source(arguments, &environment)?, &environment)?;
    if arguments.http.http_token.is_some() {
        tracing::warn!(
            "--http-token is shown to whoever lists the processes of this machine; set \
             MORTISE_HTTP_TOKEN or give --http-token-file instead"
        );
    }
    // Never dropped: a plugin may hold a blocking thread for ever, and the process does not wait for
    // it; and the tasks of libraries, which nobody ends, may go on asking for timers of this one.
    let runtime = ManuallyDrop::new(runtime()?);
    let served = runtime.block_on(async {
        let builder = App::builder(config);
        let builder = arguments.plugins.iter().fold(builder, AppBuilder::library);
        let server = builder.build().await?.listen().await?;
        for url in server.urls() {
            exit::print(&format!("listening on {url}"));
        }
        if let Some(url) = server.metrics_url() {
            exit::print(&format!("metrics on {url}"));
        }
        server.serve().await;
        Ok::<(), StartError>(())
    });
    Ok(served?)
}

/// What is served where there is no file: enough to try a library.
const WITHOUT_FILE: &str = "tools.endpoints = [\"*\"]";

/// The configuration file, or one for the libraries that are tried without any.
fn source(
    arguments: &ServeArgs,
    environment: &dyn Environment,
) -> Result<ConfigSource, ConfigError> {
    match config::find(arguments.config.config.clone(), environment) {
        Ok(path) => Ok(ConfigSource::File(path)),
        Err(ConfigError::NotFound { .. }) if !arguments.plugins.is_empty() => {
            Ok(ConfigSource::text(WITHOUT_FILE))
        }
        Err(error) => Err(error),
    }
}

/// Reads the configuration, and starts the log that it asks for.
pub(super) fn load_config(
    source: ConfigSource,
    environment: &dyn Environment,
) -> Result<Config, Failure> {
    let config = Config::load(source, environment)?;
    let overriding = std::env::var(super::log::LOG_VARIABLE).ok();
    super::log::start(&config.log, overriding.as_deref()).map_err(|cause| {
        let place = match overriding {
            Some(_) => "the variable MORTISE_LOG",
            None => "log.targets",
        };
        StartError::from(StartCause::Log { place, cause })
    })?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(config)
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    Ok(runtime.map_err(StartCause::Runtime)?)
}

// === impl HttpArgs ===

impl HttpArgs {
    fn environment(&self) -> Result<WithArguments, Failure> {
        let mut laid_over = Vec::new();
        let mut lay = |name, variable, value| {
            laid_over.push(Argument {
                name,
                variable,
                value,
            });
        };
        if self.http {
            lay("--http", "MORTISE__HTTP__ENABLED", "true".into());
        }
        if let Some(port) = self.http_port {
            lay(
                "--http-port",
                "MORTISE__HTTP__PORT",
                port.to_string().into(),
            );
        }
        if let Some(token) = &self.http_token {
            lay("--http-token", "MORTISE__HTTP__TOKEN", token.into());
        }
        if let Some(file) = &self.http_token_file {
            // Relative to where the command is given, not to the configuration file.
            let file = std::path::absolute(file).map_err(StartCause::Runtime);
            let file = file.map_err(StartError::from)?;
            let file = serde_json::json!(file.to_string_lossy());
            lay(
                "--http-token-file",
                "MORTISE__HTTP__TOKEN",
                format!("{{ file = {file} }}").into(),
            );
        }
        Ok(WithArguments(laid_over))
    }
}

// === impl WithArguments ===

impl WithArguments {
    fn argument(&self, variable: &str) -> Option<&Argument> {
        self.0.iter().find(|own| own.variable == variable)
    }
}

impl Environment for WithArguments {
    fn get(&self, name: &str) -> Option<OsString> {
        let own = self.argument(name).map(|own| own.value.clone());
        own.or_else(|| ProcessEnvironment.get(name))
    }

    fn vars(&self) -> Vec<(OsString, OsString)> {
        let mut vars = ProcessEnvironment.vars();
        vars.retain(|(name, _)| self.0.iter().all(|own| own.variable != name));
        let own = |own: &Argument| (own.variable.into(), own.value.clone());
        vars.extend(self.0.iter().map(own));
        vars
    }

    fn source(&self, name: &str) -> String {
        match self.argument(name) {
            Some(own) => format!("the argument {}", own.name),
            None => ProcessEnvironment.source(name),
        }
    }
}
