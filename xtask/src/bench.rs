//! `cargo xtask bench`: builds what is compared in release mode, then compares it.

use crate::tools::{Done, cargo, finish, grouped, shipped_libraries};

/// What is measured: the server, its libraries, and the program that measures.
const PACKAGES: [&str; 8] = [
    "mortise-host",
    "mortise-plugin-scripted-model",
    "mortise-plugin-request-log",
    "mortise-plugin-ip-allowlist",
    "mortise-plugin-jwt-auth",
    "mortise-plugin-rate-limit",
    "mortise-test-fixture-plugin",
    "mortise-bench",
];

pub(crate) fn bench(arguments: &[&str]) -> Done {
    // Fails early, and readably, where the plugins are not where they belong.
    shipped_libraries()?;
    for group in grouped(&PACKAGES) {
        finish(cargo().args(["build", "--release"]).args(group))?;
    }
    finish(
        std::process::Command::new(integration_tests::target_dir().join("release/mortise-bench"))
            .args(arguments),
    )
}
