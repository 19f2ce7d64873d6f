//! How the process ends, and what it says when that is not well.

use std::io::Write;
use std::process::ExitCode;

use rustix::process::Signal;

use crate::app::StartError;
use crate::config::ConfigError;

/// Why a command did not do what it should.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong, or asks for help.
    Usage(clap::Error),
    /// The configuration is wrong.
    Config(Box<ConfigError>),
    /// The server could not start, or not go on.
    Start(StartError),
}

/// The exit code of a command, after saying what is wrong.
pub(crate) fn code(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => {
            // Help and version are asked for like errors, and go to standard output.
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            let _ = error.print();
            ExitCode::from(code)
        }
        Err(Failure::Config(error)) => {
            report(&miette::Report::new(*error));
            ExitCode::from(2)
        }
        Err(Failure::Start(error)) => {
            let code = if error.is_configuration() { 2 } else { 1 };
            let is_held = error.holds_the_process();
            for report in error.into_reports() {
                self::report(&report);
            }
            if is_held {
                // What the system does at the end of a process would wait for that code.
                let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
            }
            ExitCode::from(code)
        }
    }
}

/// Data for standard output; a closed pipe is nobody's failure.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = out.write_all(b"\n");
    }
    let _ = out.flush();
}

fn report(report: &miette::Report) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{report:?}");
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}
