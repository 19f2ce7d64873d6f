//! What is measured: servers in several configurations, and the rival.

use std::{
    ffi::{OsStr, OsString},
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use integration_tests::{Server, ServerBuilder};

use crate::{load::Kind, rival::Writes};

/// A process of this program that serves. Stopped when it is dropped.
#[derive(Debug)]
pub(crate) struct Rival {
    child: Child,
    address: SocketAddr,
}

/// Something that is measured by a process of this program, which prints one sample.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    /// It answers requests, which have these headers more.
    Server {
        address: SocketAddr,
        headers: Vec<String>,
    },
    /// SQLite alone, with the rows of a server's database.
    Raw {
        database: PathBuf,
        durability: &'static str,
    },
}

/// A server with so many guards that pass at once, an observer, and perhaps an event hook.
pub(crate) fn server(sync_guards: u32, has_event_hook: bool) -> Server {
    let plugins = format!(
        r#"
[[plugins.load]]
name = "request-log"

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = {{ sync_guards = {sync_guards}, editor = {has_event_hook} }}
"#
    );
    builder("memory:", &plugins).start()
}

/// A server with a model, this store, and more.
pub(crate) fn builder(store: &str, more: &str) -> ServerBuilder {
    let config = format!(
        r#"
[log]
level = "warn"

[store]
url = "{store}"

[[plugins.load]]
name = "scripted"
library = "scripted_model"
config = {{ script = "directive" }}

[agents.bench]
model = "scripted/mock-model"
{more}"#
    );
    ServerBuilder::new(&config)
}

// === impl Subject ===

impl Subject {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self::Server {
            address,
            headers: Vec::new(),
        }
    }

    pub(crate) fn raw(database: &Path, durability: &'static str) -> Self {
        Self::Raw {
            database: database.to_owned(),
            durability,
        }
    }

    /// Requests have this header too.
    pub(crate) fn header(mut self, header: &str) -> Self {
        if let Self::Server { headers, .. } = &mut self {
            headers.push(header.to_owned());
        }
        self
    }

    /// What this program is told to measure it.
    pub(crate) fn arguments(&self, kind: Kind, connections: u32, seconds: u32) -> Vec<OsString> {
        let [connections, seconds] = [connections, seconds].map(|it| it.to_string());
        match self {
            Self::Server { address, headers } => {
                let address = address.to_string();
                let told = ["load", &address, kind.name(), &connections, &seconds];
                let headers = headers.iter().map(OsString::from);
                told.map(OsString::from)
                    .into_iter()
                    .chain(headers)
                    .collect()
            }
            Self::Raw {
                database,
                durability,
            } => vec![
                "raw".into(),
                database.into(),
                durability.into(),
                seconds.into(),
            ],
        }
    }
}

// === impl Rival ===

impl Rival {
    /// Serves what is in the folder.
    pub(crate) fn start(folder: &Path, writes: Writes) -> Result<Self, String> {
        Self::spawn(["rival".as_ref(), folder.as_os_str(), writes.name().as_ref()])
    }

    /// Asks this provider for whoever asks.
    pub(crate) fn relay(provider: SocketAddr) -> Result<Self, String> {
        Self::spawn(["relay".as_ref(), provider.to_string().as_ref()])
    }

    fn spawn<const N: usize>(arguments: [&OsStr; N]) -> Result<Self, String> {
        let failed =
            |error: &dyn std::fmt::Display| format!("the rival cannot be started: {error}");
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut child = Command::new(program)
            .args(arguments)
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
