//! Guardrails for Mortise: rules for what agents are told and what they say, in streams too.
//!
//! A rule finds something in a text and blocks it or puts something else in its place. What a
//! client is shown, what is stored and what a run comes to are the same text.

mod config;
mod content;
mod finder;
mod hook;
mod open_texts;
mod personal;
mod rule;
mod scanner;

use mortise_plugin_api::prelude::*;

pub use crate::config::{Action, Config, Detect, RuleConfig, Side, Streams};
use crate::hook::Guardrails as GuardrailsHook;

/// The plugin: one hook.
#[derive(Debug)]
pub struct Guardrails {
    hook: GuardrailsHook,
}

impl Plugin for Guardrails {
    type Config = Config;
    const NAME: &'static str = "guardrails";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, _host: Host) -> Result<Self> {
        Ok(Self {
            hook: GuardrailsHook::new(config)?,
        })
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.hook(self.hook.clone());
    }
}

export_plugin!(Guardrails);
