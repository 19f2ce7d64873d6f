//! `cargo xtask test` and `cargo xtask lint`: what has to hold before anything is merged.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::foreign::need_foreign_programs;
use crate::tools::{Done, build, cargo, finish, whole_workspace};

pub(crate) fn test() -> Done {
    need_nextest()?;
    // The allocator of the server is built with it.
    need_program("make")?;
    // Events are tried through a real proxy.
    need_program("nginx")?;
    need_foreign_programs()?;
    // The tests over HTTP run the real binary with real libraries, which a test build alone
    // does not put where they are looked for.
    build()?;
    for group in whole_workspace() {
        finish(cargo().args(["nextest", "run"]).args(group))?;
    }
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
    for group in whole_workspace() {
        finish(
            cargo()
                .arg("clippy")
                .args(group)
                .args(["--all-targets", "--", "-D", "warnings"]),
        )?;
    }
    for group in whole_workspace() {
        finish(
            cargo()
                .arg("doc")
                .args(group)
                .args(["--no-deps", "--quiet"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        )?;
    }
    // The workspace turns on features of the SDK that its readers may not have.
    finish(
        cargo()
            .args(["doc", "--package", "mortise-plugin-api"])
            .args(["--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

/// A program that Debian and its like install in a few seconds, as the package of its name.
fn need_program(name: &str) -> Done {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/bin"];
    if places.iter().any(|it| Path::new(it).join(name).exists()) {
        return Ok(());
    }
    let is_root = rustix::process::geteuid().is_root();
    let install = |arguments: &[&str]| {
        let mut command = if is_root {
            Command::new("apt-get")
        } else {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", "apt-get"]);
            sudo
        };
        finish(
            command
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    let package = ["install", "--yes", "--no-install-recommends", name];
    // The list of packages may be missing or old.
    install(&package)
        .or_else(|_| install(&["update"]).and_then(|()| install(&package)))
        .map_err(|error| {
            format!("the tests need {name}, and it cannot be installed ({error}); install it")
        })
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
