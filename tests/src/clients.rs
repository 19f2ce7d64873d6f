//! Clients as users have them: scripts in TypeScript and shell, with what runs them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::{target_dir, workspace};

/// Where what runs them is installed; `cargo xtask test` does it.
pub fn folder() -> PathBuf {
    target_dir().join("clients")
}

/// The clients, and what is installed.
pub fn sources() -> PathBuf {
    workspace().join("tests/clients")
}

/// A client with each of these texts replaced by another.
///
/// # Panics
/// When there is no such file, or a text is not in it.
#[track_caller]
pub fn client(name: &str, replaced: &[(&str, &str)]) -> String {
    let client = fs::read_to_string(sources().join(name)).expect("the client is there");
    replaced.iter().fold(client, |client, (from, to)| {
        assert!(client.contains(from), "{from:?} is not in {name}");
        client.replace(from, to)
    })
}

/// Runs TypeScript under Node, freed of its types.
///
/// # Panics
/// When Node or the compiler is not there.
#[track_caller]
pub fn run_typescript(source: &str) -> Output {
    let work = tempfile::tempdir().expect("there is room for a folder");
    let (typed, plain) = (
        work.path().join("client.ts"),
        work.path().join("client.mjs"),
    );
    fs::write(&typed, source).expect("there is room for a file");
    let esbuild = folder().join("node_modules/esbuild/bin/esbuild");
    assert!(
        esbuild.exists(),
        "{} is not there; `cargo xtask test` installs it",
        esbuild.display()
    );
    let stripped = run(Command::new("node")
        .arg(esbuild)
        .arg(&typed)
        .arg(format!("--outfile={}", plain.display())));
    assert!(stripped.status.success(), "{}", text(&stripped.stderr));
    run(Command::new("node").arg(plain).current_dir(work.path()))
}

/// Runs shell commands; each must succeed.
#[track_caller]
pub fn run_shell(script: &str) -> Output {
    run(Command::new("sh").args(["-e", "-c", script]))
}

/// What a program has written.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    command.output().expect("the program can be run")
}
