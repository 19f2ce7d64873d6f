//! `cargo xtask test` and `cargo xtask lint`: what has to hold before anything is merged.

use std::process::Stdio;

use crate::tools::{Done, build, cargo, finish};

pub(crate) fn test() -> Done {
    need_nextest()?;
    // The tests over HTTP run the real binary with real libraries, which a test build alone
    // does not put where they are looked for.
    build()?;
    finish(cargo().args(["nextest", "run", "--workspace"]))?;
    finish(cargo().args([
        "test",
        "--doc",
        "--package",
        "mortise-plugin-api",
        "--package",
        "mortise-host",
        "--all-features",
    ]))
}

pub(crate) fn lint() -> Done {
    finish(cargo().args(["fmt", "--all", "--check"]))?;
    finish(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    finish(
        cargo()
            .args(["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

fn need_nextest() -> Done {
    let found = cargo()
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if found {
        return Ok(());
    }
    Err(
        "the tests need cargo-nextest, which runs each test in a process of its own; \
         run `cargo install cargo-nextest --locked`"
            .to_owned(),
    )
}
