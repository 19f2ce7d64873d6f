//! How much of a bare HTTP server's speed is left: ratios, measured in turns on one machine.
//!
//! Three kinds of processes, all of this program but the server: `rival` answers the same bytes
//! with nothing behind them, `load` asks, and this one starts them and prints the table.
//!
//! Absolute numbers are of the machine; the ratios are what is compared with a target. Nothing
//! here passes or fails.

mod load;
mod plan;
mod rival;
mod sample;
mod subjects;
mod table;

use std::process::ExitCode;

const USAGE: &str = "mortise-bench [--rounds N] [--seconds N] [--connections N]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["rival", folder, writes] => rival::serve(folder.as_ref(), writes),
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
