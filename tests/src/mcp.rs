//! Real MCP servers, which `cargo xtask test` installs.

use std::path::{Path, PathBuf};

use crate::{target_dir, workspace};

/// Where they are installed, and from what.
pub fn folder() -> PathBuf {
    target_dir().join("mcp-servers")
}

/// What is installed, and our own servers.
pub fn sources() -> PathBuf {
    workspace().join("tests/mcp-servers")
}

/// The server that has everything, from npm; `node` runs it.
///
/// # Panics
/// When it is not installed.
pub fn everything() -> PathBuf {
    let package = "node_modules/@modelcontextprotocol/server-everything/dist/index.js";
    installed(&folder().join(package))
}

/// A Python that has the protocol's SDK.
///
/// # Panics
/// When it is not installed.
pub fn python() -> PathBuf {
    installed(&folder().join("python/bin/python"))
}

#[track_caller]
fn installed(path: &Path) -> PathBuf {
    assert!(
        path.exists(),
        "{} is not there; `cargo xtask test` installs it",
        path.display()
    );
    path.to_owned()
}
