//! Everything a contributor types: `cargo xtask COMMAND`.

mod authz_matrix;
mod bench;
mod check;
mod fixture;
mod foreign;
mod fuzz_openapi;
mod run;
mod smoke;
mod soak;
mod tools;

use std::process::ExitCode;

use integration_tests::fixture::{BETTER_AGENT, OPERATIVUS, PURISTA, RA};

const USAGE: &str = "\
cargo xtask COMMAND

  run                     build everything and serve config.toml
  build                   build everything, libraries included
  test                    build everything, then every test
  lint                    formatting, clippy, documentation
  ci                      test, then lint
  authz-matrix            every route with every credential, written in every way
  fixture better-agent    serve the six conformance targets on ports 4101 to 4106
  fixture operativus      serve the targets main and limited on ports 4501 and 4502
  fixture purista         serve the target main on port 4401
  fixture ra              serve those of the chat API on ports 4301 and 4302
  soak                    kill the server under load, and cut readers of its streams;
                          --kills N (100), --cuts N (10000), --seconds S: each for S at least
  fuzz-openapi            calls that are generated from /openapi.json; --calls N (10000)
  smoke [MODEL…]          ask real providers whose keys are set, or these models: openai/gpt-4.1-mini
  bench                   compare with a bare HTTP server, in release mode
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["run"] => run::run(),
        ["build"] => tools::build(),
        ["test"] => check::test(),
        ["lint"] => check::lint(),
        ["ci"] => check::test().and_then(|()| check::lint()),
        ["authz-matrix"] => authz_matrix::authz_matrix(),
        ["fixture", "better-agent"] => fixture::fixture(&BETTER_AGENT),
        ["fixture", "operativus"] => fixture::fixture(&OPERATIVUS),
        ["fixture", "purista"] => fixture::fixture(&PURISTA),
        ["fixture", "ra"] => fixture::fixture(&RA),
        ["soak", ..] => soak::soak(&arguments[1..]),
        ["fuzz-openapi", ..] => fuzz_openapi::fuzz_openapi(&arguments[1..]),
        ["smoke", ..] => smoke::smoke(&arguments[1..]),
        ["bench", ..] => bench::bench(&arguments[1..]),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            tools::say(&message);
            ExitCode::FAILURE
        }
    }
}
