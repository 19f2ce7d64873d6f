//! `mortise config`: what can be said of the configuration without a file.

use super::ConfigCommand;
use super::exit;
use crate::config;

pub(super) fn run(command: &ConfigCommand) {
    match command {
        ConfigCommand::Schema => {
            let schema = config::schema();
            exit::print(
                &serde_json::to_string_pretty(&schema).unwrap_or_else(|_| schema.to_string()),
            );
        }
        ConfigCommand::Reference => exit::print(&config::reference()),
    }
}
