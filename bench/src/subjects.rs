//! What is measured: servers in several configurations, and the rival.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use integration_tests::{Server, ServerBuilder};

use crate::rival::Writes;

/// A process of this program that serves. Stopped when it is dropped.
#[derive(Debug)]
pub(crate) struct Rival {
    child: Child,
    address: SocketAddr,
}

/// A server with so many guards that pass at once, an observer, and perhaps an event hook.
pub(crate) fn server(sync_guards: u32, has_event_hook: bool) -> Server {
    let config = format!(
        r#"
[log]
level = "warn"

[store]
url = "memory:"

[[plugins.load]]
name = "request-log"

[[plugins.load]]
name = "scripted"
library = "scripted_model"
config = {{ script = "directive" }}

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = {{ sync_guards = {sync_guards}, editor = {has_event_hook} }}

[agents.bench]
model = "scripted/mock-model"
"#
    );
    ServerBuilder::new(&config).start()
}

// === impl Rival ===

impl Rival {
    /// Serves what is in the folder.
    pub(crate) fn start(folder: &Path, writes: Writes) -> Result<Self, String> {
        let failed =
            |error: &dyn std::fmt::Display| format!("the rival cannot be started: {error}");
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut child = Command::new(program)
            .arg("rival")
            .arg(folder)
            .arg(writes.name())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output)
                .read_line(&mut line)
                .map_err(|error| failed(&error))?;
        }
        let address = line.trim().strip_prefix("listening on http://");
        match address.and_then(|it| it.parse().ok()) {
            Some(address) => Ok(Self { child, address }),
            None => Err(failed(&"it did not say where it listens")),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
