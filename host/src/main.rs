//! The binary `mortise`; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    mortise_host::cli::main()
}
