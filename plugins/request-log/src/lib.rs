//! Structured log entries for requests, runs, steps, model and tool calls.
//!
//! An observer: nothing waits for it. What is written is decided in [`wanted`], which asks for it;
//! [`entry`] makes the entry, [`sink`] writes it.

mod config;
mod entry;
mod redact;
mod sink;
mod wanted;

use std::sync::Arc;

use mortise_plugin_api::prelude::*;

pub use crate::config::{Config, Include, Level};
use crate::entry::Scribe;

/// The plugin: one observer.
#[derive(Debug)]
pub struct RequestLog {
    scribe: Arc<Scribe>,
}

struct Observer {
    scribe: Arc<Scribe>,
}

impl Plugin for RequestLog {
    type Config = Config;
    const NAME: &'static str = "request-log";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, _host: Host) -> Result<Self> {
        Ok(Self {
            scribe: Arc::new(Scribe::new(config)),
        })
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.hook(Observer {
            scribe: Arc::clone(&self.scribe),
        });
    }
}

impl Hook for Observer {
    fn info(&self) -> HookInfo {
        let info = HookInfo::new("request-log");
        let wanted = wanted::wanted(self.scribe.config(), sink::is_written);
        let info = if wanted.is_empty() {
            info
        } else {
            info.on(Stage::Observe).observes(&wanted)
        };
        // A response that was sent is told of like the request.
        if wanted.contains(&"request") {
            info.on(Stage::Completed)
        } else {
            info
        }
    }

    async fn observe(&self, observation: Observation) -> Result<()> {
        let entry = match observation {
            Observation::Request(request) => Some(self.scribe.request(request)),
            Observation::Event { run, event } => Some(self.scribe.event(run.info(), &event)),
            Observation::Phase(phase) => self.scribe.phase(phase),
            _ => None,
        };
        if let Some(entry) = entry {
            sink::write(&entry);
        }
        Ok(())
    }

    async fn completed(&self, completed: Completed) -> Result<()> {
        sink::write(&self.scribe.completed(&completed));
        Ok(())
    }
}

export_plugin!(RequestLog);
