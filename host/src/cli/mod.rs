//! The command line: data on standard output, everything else on standard error.

mod check;
mod config;
mod exit;
mod log;
mod serve;
mod standard_error;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use self::exit::Failure;

const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (plugin API 1.0, commit ",
    env!("MORTISE_COMMIT"),
    ", ",
    env!("MORTISE_TARGET"),
    ")",
);

const EXIT_CODES: &str = "\
Exit codes: 0 ended well · 1 could not start or serve · 2 wrong usage or configuration";

/// An agent server that is extended by dropping libraries into it.
#[derive(Debug, Parser)]
#[command(name = "mortise", version = VERSION, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the agents of a configuration.
    #[command(after_help = "Example: mortise serve --config /etc/mortise/config.toml")]
    Serve(ServeArgs),
    /// Reads the configuration, loads the plugins, builds everything and looks at the database.
    ///
    /// It starts no plugin and binds no port: what a plugin finds only when it starts is not seen.
    #[command(
        after_help = "Example: mortise check --config config.toml && systemctl restart mortise"
    )]
    Check(ConfigArgs),
    /// Tells of the configuration.
    #[command(
        subcommand,
        after_help = "Example: mortise config schema > config.schema.json"
    )]
    Config(ConfigCommand),
}

/// Which configuration.
#[derive(Debug, clap::Args)]
struct ConfigArgs {
    /// The configuration file. Without it: `MORTISE_CONFIG`, ./config.toml,
    /// /etc/mortise/config.toml, in this order.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Also load this library, wherever it is, under its own name and with its default
    /// configuration. In development mode only; may be given several times. Where there is no
    /// configuration file, the server listens on this machine alone, keeps everything in memory, and
    /// lets clients call every tool.
    #[arg(long = "plugin", value_name = "FILE")]
    plugins: Vec<PathBuf>,
    #[command(flatten)]
    http: HttpArgs,
}

/// The chat API on a port of its own: what `[http]` says in the configuration.
#[derive(Debug, clap::Args)]
struct HttpArgs {
    /// Also serve the chat API, by the plugin `chat-api`, on a port of its own.
    #[arg(long)]
    http: bool,
    /// The port of the chat API. Without it: `http.port`, or 3000.
    #[arg(long, value_name = "PORT", requires = "http")]
    http_port: Option<u16>,
    /// The bearer token of the chat API. Everybody who lists the processes of this machine can see
    /// it: better set `MORTISE_HTTP_TOKEN`, or give `--http-token-file`.
    #[arg(
        long,
        value_name = "TOKEN",
        requires = "http",
        conflicts_with = "http_token_file"
    )]
    http_token: Option<String>,
    /// The file that holds the bearer token of the chat API.
    #[arg(long, value_name = "FILE", requires = "http")]
    http_token_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Prints the JSON Schema of the configuration file.
    #[command(after_help = "Example: mortise config schema > config.schema.json")]
    Schema,
    /// Prints every key with its type, default and meaning, as Markdown.
    #[command(after_help = "Example: mortise config reference | less")]
    Reference,
}

/// Runs the command of this process.
pub fn main() -> ExitCode {
    exit::code(run(std::env::args_os()))
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let cli = Cli::try_parse_from(arguments).map_err(Failure::Usage)?;
    match cli.command {
        Some(Command::Serve(arguments)) => serve::run(&arguments),
        Some(Command::Check(arguments)) => check::run(&arguments),
        Some(Command::Config(command)) => {
            config::run(&command);
            Ok(())
        }
        None => {
            // Nobody may read it, and there is nothing else to do.
            let _ = Cli::command().print_help();
            Ok(())
        }
    }
}
