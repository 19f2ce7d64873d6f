//! How much of a bare HTTP server's speed is left, what gatekeepers and the store in a file cost:
//! ratios, measured in turns on one machine.
//!
//! Several kinds of processes, all of this program but the server: `rival` answers the same bytes
//! with nothing behind them, `load` asks, `raw` writes what the store writes with SQLite alone,
//! `idle` holds streams open, and this one starts them and prints the table.
//!
//! Absolute numbers are of the machine; the ratios are what is compared with a target. Nothing
//! here passes or fails.

mod floor;
mod gatekeepers;
mod idle;
mod load;
mod plan;
mod provider;
mod raw;
mod relay;
mod resume;
mod rival;
mod sample;
mod store;
mod subjects;
mod table;
mod wire;

use std::process::ExitCode;

const USAGE: &str = "mortise-bench [--rounds N] [--seconds N] [--connections N] \
    [--only floor|gatekeepers|store|resume|idle|provider]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["rival", folder, writes] => rival::serve(folder.as_ref(), writes),
        ["relay", provider] => relay::serve(provider),
        ["raw", database, durability, seconds] => raw::run(database.as_ref(), durability, seconds),
        ["idle", address, streams] => idle::run(address, streams),
        ["load", ..] => load::run(&arguments[1..]),
        ["--help" | "-h"] => {
            say(USAGE);
            Ok(())
        }
        _ => plan::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stdout,
    reason = "what is measured goes to standard output"
)]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "and everything else to standard error")]
fn complain(line: &str) {
    eprintln!("{line}");
}
