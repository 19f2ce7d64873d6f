//! Test plugin: the tools, endpoints and hooks of the contract tests.
//!
//! One library; the configuration chooses what an instance registers.

mod bad_guard;
mod chief;
mod clerk;
mod counter;
mod editor;
mod gate;
mod meter;
mod ops;
mod own;
mod pass;
mod speaker;
mod spy;
mod tickets;
mod tokens;
mod tools;
mod trace;
mod tracker;
mod who;

use std::path::PathBuf;

use mortise_plugin_api::AgentName;
use mortise_plugin_api::prelude::*;

/// The plugin.
#[derive(Debug)]
pub struct Fixture {
    config: Config,
    host: Host,
}

/// The `config` table: what to register.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "one switch for each part")]
pub struct Config {
    /// Server tools and client tools.
    pub tools: bool,
    /// `GET /health`, `/ops/:thing`, and two endpoints that fail.
    pub endpoints: bool,
    /// Tools that leave a line in this file for each call: `trace`, `trace_again`, `trace_approved`.
    pub trace: Option<PathBuf>,
    /// Remembers the id of the run that began last, for `GET /last-run`.
    pub tracker: bool,
    /// The model `speaker` and the agent `orator`, which say what they are told to; `GET /heard` says
    /// what the model has read last, and how often it was asked.
    pub speaker: bool,
    /// The model `novelist`, whose every answer has so many bytes.
    pub novelist: Option<usize>,
    /// Remembers what guards are told, for `GET /spy`.
    pub spy: bool,
    /// Changes instructions, tool calls, events and what is saved.
    pub editor: bool,
    /// A guard that fails where the context says `explode`.
    pub bad_guard: bool,
    /// Enqueues jobs at `POST /clerk`, and writes what it hears of any into this file.
    pub clerk: Option<PathBuf>,
    /// The agent `chief`, which asks the agent `worker`.
    pub chief: bool,
    /// Counts two calls of each key, for `POST /count/:key`.
    pub counter: bool,
    /// Reports the numbers that are sent to `POST /meter`.
    pub meter: bool,
    /// A guard that authenticates by `authorization: Bearer token-NAME`.
    pub tokens: bool,
    /// A guard that refuses or fails where the header `x-gate` says so.
    pub gate: bool,
    /// Routes below `/own` that authenticate by themselves and render their errors.
    pub own: bool,
    /// Agents whose payload is a ticket.
    pub tickets: bool,
    /// Whatever knows who is asking: an agent, a tool, hooks, `GET /who` and `GET /who/heard`.
    pub who: bool,
    /// Tools that read files of the folder that the server works in: `Read`, and `Bash`, which runs
    /// nothing.
    pub workspace: bool,
    /// Begins a slow run of this agent when it starts.
    pub begins: Option<AgentName>,
    /// How many guards to register that let everything pass, at once.
    pub sync_guards: u32,
}

impl Plugin for Fixture {
    type Config = Config;
    const NAME: &'static str = "fixture-plugin";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, host: Host) -> Result<Self> {
        Ok(Self { config, host })
    }

    fn register(&self, registrar: &mut Registrar) {
        if self.config.tools {
            tools::register(registrar);
        }
        if self.config.endpoints {
            registrar.mount(ops::mount());
        }
        if let Some(file) = &self.config.trace {
            trace::register(registrar, file);
        }
        if self.config.tracker {
            tracker::register(registrar);
        }
        if self.config.speaker {
            speaker::register(registrar);
        }
        if let Some(bytes) = self.config.novelist {
            speaker::register_novelist(registrar, bytes);
        }
        if self.config.spy {
            spy::register(registrar);
        }
        if self.config.editor {
            registrar.hook(editor::Editor);
        }
        if self.config.bad_guard {
            registrar.hook(bad_guard::BadGuard);
        }
        if let Some(file) = &self.config.clerk {
            clerk::register(registrar, file, &self.host);
        }
        if self.config.chief {
            registrar.agent(chief::Chief);
        }
        if self.config.counter {
            registrar.mount(counter::mount(&self.host));
        }
        if self.config.meter {
            registrar.mount(meter::mount(&self.host));
        }
        if self.config.tokens {
            registrar.hook(tokens::Tokens);
        }
        if self.config.gate {
            registrar.hook(gate::Gate);
        }
        if self.config.own {
            registrar.mount(own::mount());
        }
        if self.config.tickets {
            tickets::register(registrar);
        }
        if self.config.who {
            who::register(registrar);
        }
        if self.config.workspace {
            tools::register_workspace(registrar);
        }
        for number in 0..self.config.sync_guards {
            registrar.hook(pass::Pass::new(number));
        }
    }

    async fn start(&self) -> Result<()> {
        if let Some(agent) = &self.config.begins {
            let request = RunRequest::new(&**agent, "slow");
            let _ = self.host.start_agent(&request).await?;
        }
        Ok(())
    }
}

export_plugin!(Fixture);
