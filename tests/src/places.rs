//! Where the things under test are.

use std::path::{Path, PathBuf};

/// The root of the workspace.
///
/// # Panics
/// Never: a member of a workspace is a folder in it.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package is a folder of the workspace")
}

/// The folder that cargo builds into: the one that this very program is in.
///
/// # Panics
/// When the program is not where cargo puts programs.
pub fn target_dir() -> PathBuf {
    let profile = profile_dir();
    profile
        .parent()
        .expect("a profile is a folder of the target folder")
        .to_owned()
}

/// The folder of the libraries that cargo has built.
///
/// # Panics
/// When they are not built.
pub fn plugin_dir() -> PathBuf {
    let folder = profile_dir();
    let library = folder.join("libscripted_model.so");
    assert!(
        library.exists(),
        "{} is not there; `cargo xtask test` builds it",
        library.display()
    );
    folder
}

/// The server.
///
/// # Panics
/// When it is not built.
pub fn binary() -> PathBuf {
    let binary = profile_dir().join("mortise");
    assert!(
        binary.exists(),
        "{} is not there; `cargo xtask test` builds it",
        binary.display()
    );
    binary
}

/// `target/debug`, from `target/debug/deps/it-1234` or `target/debug/xtask`.
fn profile_dir() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    let folder = program.parent().expect("a program is in a folder");
    if folder.ends_with("deps") {
        folder.parent().expect("deps is in a folder").to_owned()
    } else {
        folder.to_owned()
    }
}
