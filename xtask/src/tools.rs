//! What every command needs: running cargo, and saying things.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use integration_tests::workspace;

/// What cargo builds in a call of its own: one call unifies the features of all that it builds, and
/// these turn on features of shared dependencies that the server must not have.
const APART: &[&str] = &["mortise-plugin-llm", "mortise-plugin-mcp"];

/// Why a command did not work, as it is shown.
pub(crate) type Done = Result<(), String>;

/// Writes a line for the person at the terminal.
#[expect(
    clippy::print_stderr,
    reason = "a program for a terminal talks to the terminal"
)]
pub(crate) fn say(line: &str) {
    eprintln!("{}", line.trim_end());
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

/// Runs a command to its end, its output shown.
pub(crate) fn finish(command: &mut Command) -> Done {
    let shown = shown(command);
    say(&format!("$ {shown}"));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` ended with {status}")),
        Err(error) => Err(format!("`{shown}` cannot be run: {error}")),
    }
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    std::iter::once(program)
        .chain(command.get_args())
        .map(|it| it.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Builds the server and every library, test libraries included.
///
/// Grouped as the tests are: a crate that is built with other features of its dependencies would
/// be built twice.
pub(crate) fn build() -> Done {
    for group in whole_workspace() {
        finish(cargo().arg("build").args(group))?;
    }
    Ok(())
}

/// The workspace as arguments of cargo, one call for each: all but [`APART`], then these one by
/// one.
pub(crate) fn whole_workspace() -> Vec<Vec<&'static str>> {
    let mut rest = vec!["--workspace"];
    rest.extend(APART.iter().flat_map(|package| ["--exclude", package]));
    with_apart(rest, APART)
}

/// These packages as arguments of cargo, in calls as [`whole_workspace`] makes them.
pub(crate) fn grouped(packages: &[&'static str]) -> Vec<Vec<&'static str>> {
    let (apart, rest): (Vec<&str>, Vec<&str>) =
        packages.iter().partition(|package| APART.contains(package));
    let rest = rest.into_iter().flat_map(|it| ["--package", it]).collect();
    with_apart(rest, &apart)
}

fn with_apart(rest: Vec<&'static str>, apart: &[&'static str]) -> Vec<Vec<&'static str>> {
    let apart = apart.iter().map(|package| vec!["--package", package]);
    std::iter::once(rest).chain(apart).collect()
}

/// The folder that cargo builds into.
pub(crate) fn profile_dir() -> PathBuf {
    integration_tests::target_dir().join("debug")
}

/// The shipped libraries: what `plugins/*` is called as a library.
pub(crate) fn shipped_libraries() -> Result<Vec<String>, String> {
    let folder = workspace().join("plugins");
    let unreadable = |error| format!("cannot read {}: {error}", folder.display());
    let mut libraries = Vec::new();
    for entry in fs::read_dir(&folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.path().join("Cargo.toml").exists() {
            let name = entry.file_name().to_string_lossy().replace('-', "_");
            libraries.push(format!("lib{name}.so"));
        }
    }
    libraries.sort();
    Ok(libraries)
}
