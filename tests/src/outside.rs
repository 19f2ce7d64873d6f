//! Plugins of somebody else: packages outside of the workspace, built with plain cargo.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{target_dir, workspace};

/// The folder that such packages are built into. It stays, so that only the first build is slow,
/// and all of them share what they depend on.
pub(crate) fn outside_dir() -> PathBuf {
    target_dir().join("third-party")
}

/// Builds a package that is a workspace of its own, with the versions of this workspace and
/// without the network. Returns the folder of the libraries.
///
/// # Panics
/// When it does not build; with what cargo said.
#[track_caller]
pub fn build_outside(package: &Path) -> PathBuf {
    fs::copy(workspace().join("Cargo.lock"), package.join("Cargo.lock"))
        .expect("there is room for a file");
    let target = outside_dir();
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--target-dir"])
        .arg(&target)
        .current_dir(package)
        .output()
        .expect("cargo can be run");
    assert!(
        built.status.success(),
        "{} does not build:\n{}",
        package.display(),
        String::from_utf8_lossy(&built.stderr)
    );
    target.join("debug")
}
