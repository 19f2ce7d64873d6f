//! The binary `mortise`; everything is in the library.

use std::process::ExitCode;

/// A run allocates often, and little each time, on every thread. Libraries keep their own allocator:
/// what they made is freed by them.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    mortise_host::cli::main()
}
