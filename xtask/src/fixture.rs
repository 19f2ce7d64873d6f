//! `cargo xtask fixture SYSTEM`: the servers that recorded exchanges are replayed against.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use integration_tests::fixture::Target;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::tools::{Done, build, profile_dir, say};

/// The servers that were started. Stopped when they are dropped.
#[derive(Default)]
struct Servers(Vec<(Target, Child)>);

/// Serves these targets until it is told to end.
pub(crate) fn fixture(targets: &[Target]) -> Done {
    build()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot wait for signals: {error}"))?;
    runtime.block_on(serve(targets))
}

async fn serve(targets: &[Target]) -> Done {
    let failed = |error| format!("cannot wait for signals: {error}");
    // Before anything is started, so that a signal never leaves a server behind.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let folder = TempDir::new().map_err(|error| format!("cannot make a folder: {error}"))?;
    let mut servers = Servers::default();
    for target in targets {
        servers.0.push((*target, start(target, folder.path())?));
    }
    for (target, server) in &mut servers.0 {
        wait_until_ready(target, server)?;
    }
    say("ready; Ctrl-C ends it");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        ended = servers.first_end() => return Err(ended),
    }
    Ok(())
}

fn start(target: &Target, folder: &Path) -> Result<Child, String> {
    let failed = |error| format!("target {} cannot be started: {error}", target.name);
    // Each has its own, for its database.
    let folder = folder.join(target.name);
    fs::create_dir(&folder).map_err(failed)?;
    let config = folder.join("config.toml");
    fs::write(&config, target.config(&profile_dir())).map_err(failed)?;
    for (name, content) in target.files {
        fs::write(folder.join(name), content).map_err(failed)?;
    }
    let mut command = Command::new(profile_dir().join("mortise"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MORTISE__") {
            command.env_remove(name);
        }
    }
    command
        .arg("serve")
        .arg("--config")
        .arg(&config)
        .current_dir(&folder)
        .env("MORTISE__SERVER__PORT", target.port.to_string())
        .env("MORTISE_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)
}

/// Reads the line that a server writes when it listens.
fn wait_until_ready(target: &Target, server: &mut Child) -> Done {
    let output = server.stdout.take();
    let mut line = String::new();
    if let Some(output) = output {
        // An error counts as the end of the output.
        let _ = BufReader::new(output).read_line(&mut line);
    }
    if !line.starts_with("listening on") {
        return Err(format!(
            "target {} has not started; what it said stands above",
            target.name
        ));
    }
    say(&format!("target {}: {}", target.name, line.trim_end()));
    Ok(())
}

// === impl Servers ===

impl Servers {
    /// Waits until one of them ends although nobody asked it to.
    async fn first_end(&mut self) -> String {
        loop {
            for (target, server) in &mut self.0 {
                if let Ok(Some(status)) = server.try_wait() {
                    return format!("target {} ended with {status}", target.name);
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for (_, server) in &mut self.0 {
            // An error means that it has ended already.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}
