//! The `[http]` section: the chat API on a port of its own, without its plugin being spelled out.

use std::net::{IpAddr, Ipv4Addr};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    AgentName, Config, ConfigError, Environment, FreeTable, InstanceName, LibraryName, Listen,
    PluginEntry, Problem, Secret, secret,
};

/// The chat API on a port of its own: the plugin `chat-api` and an address for it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Http {
    /// Whether it is served. `serve --http` says so too.
    pub enabled: bool,
    /// The port, on `server.host`.
    pub port: u16,
    /// The bearer token that all requests carry. Unset means the variable `MORTISE_HTTP_TOKEN`;
    /// without either, everybody on this machine may chat, and with `server.insecure` everybody.
    pub token: Option<Secret>,
    /// The agent who answers. Unset means the only one that clients may run.
    pub agent: Option<AgentName>,
}

/// The token, where neither the file nor the command line holds it.
const TOKEN: &str = "MORTISE_HTTP_TOKEN";

/// What the command line lays over the file.
const OVERLAID_TOKEN: &str = "MORTISE__HTTP__TOKEN";

const INSTANCE: &str = "chat-api";

impl Default for Http {
    fn default() -> Self {
        Self {
            enabled: true,
            port: 3000,
            token: None,
            agent: None,
        }
    }
}

// === impl Http ===

impl Http {
    /// Says the same in sections that the server knows.
    pub(super) fn spell_out(
        config: &mut Config,
        environment: &dyn Environment,
    ) -> Result<(), ConfigError> {
        let Some(http) = config.http.clone().filter(|http| http.enabled) else {
            return Ok(());
        };
        let mut settings = Map::new();
        if let Some(token) = http.token(environment)? {
            settings.insert("token".into(), token.into());
        }
        if let Some(agent) = &http.agent {
            settings.insert("agent".into(), agent.to_string().into());
        }
        let entry = chat_entry(&mut config.plugins.load)?;
        if let Value::Object(own) = entry.config.value() {
            let mut merged = own.clone();
            merged.extend(settings);
            entry.config = FreeTable::from(merged);
        }
        let host = &config.server.host;
        let host = match config.server.address() {
            Some(address) => address,
            None if host.eq_ignore_ascii_case("localhost") => IpAddr::from(Ipv4Addr::LOCALHOST),
            None => {
                let message = format!("`http` needs an address in server.host, not {host:?}");
                let help = Some("write \"127.0.0.1\" or \"0.0.0.0\"".to_owned());
                return Err(Problem::new(message, help).into());
            }
        };
        let has_token = |settings: &Value| settings.get("token").is_some_and(|it| !it.is_null());
        if !host.is_loopback() && !config.server.insecure && !has_token(entry.config.value()) {
            let message = format!("other machines reach {host}, and `http` has no token");
            let help = format!(
                "set http.token or the variable {TOKEN}, listen on \"127.0.0.1\", or accept it with \
                 server.insecure = true"
            );
            return Err(Problem::new(message, Some(help)).into());
        }
        config.server.listen.push(Listen {
            address: (host, http.port).into(),
            mounts: Some(vec![entry.name.clone()]),
            tls: config.server.tls.clone(),
        });
        Ok(())
    }

    /// The command line goes before the variable, and the variable before the file.
    fn token(&self, environment: &dyn Environment) -> Result<Option<String>, ConfigError> {
        let own = self.token.as_ref();
        let own = own.map(|token| String::from_utf8_lossy(token.as_bytes()).into_owned());
        let variable = environment.get(TOKEN);
        match variable.filter(|_| environment.get(OVERLAID_TOKEN).is_none()) {
            None => Ok(own),
            // Nobody who has set it means that everybody may chat.
            Some(token) => {
                let token = token.into_string().map(secret::without_line_end);
                let token = token.map_err(|_| "it is not UTF-8 text");
                let valid = token.and_then(|it| Secret::try_from(it.clone()).map(|_| it));
                valid.map(Some).map_err(|error| {
                    let message = format!("the variable {TOKEN}: {error}");
                    let help = Some("give it a token, or unset it".to_owned());
                    Problem::new(message, help).into()
                })
            }
        }
    }
}

/// The instance of the chat API: the one that is there, or a new one.
fn chat_entry(load: &mut Vec<PluginEntry>) -> Result<&mut PluginEntry, ConfigError> {
    let name =
        InstanceName::try_from(INSTANCE.to_owned()).map_err(|error| Problem::new(error, None))?;
    let library = LibraryName::of_instance(&name);
    let place = load.iter().position(|entry| entry.library() == library);
    let place = place.unwrap_or_else(|| {
        load.push(PluginEntry::new(name));
        load.len() - 1
    });
    Ok(&mut load[place])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    use super::*;
    use crate::config::ConfigSource;

    type Variables<'a> = &'a [(&'a str, &'a str)];

    fn load(text: &str, variables: Variables<'_>) -> Result<Config, ConfigError> {
        let variables = variables.iter();
        let variables = variables.map(|&(name, value)| (name.to_owned(), OsString::from(value)));
        let variables: BTreeMap<_, _> = variables.collect();
        Config::load(ConfigSource::text(text), &variables)
    }

    fn settings(text: &str, variables: Variables<'_>) -> Value {
        let config = load(text, variables).unwrap();
        assert_eq!(config.plugins.load.len(), 1);
        config.plugins.load[0].config.value().clone()
    }

    #[test]
    fn nobody_chats_from_other_machines_without_a_token() {
        let reached = |more: &str| {
            let text = format!("[server]\nhost = \"0.0.0.0\"\nsecret = \"s3cret\"\n{more}");
            load(&text, &[])
                .map(drop)
                .map_err(|error| error.to_string())
        };
        let error = reached("[http]").unwrap_err();
        assert!(error.contains("`http` has no token"), "{error}");
        for accepted in ["insecure = true\n[http]", "[http]\ntoken = \"t0ken\""] {
            assert_eq!(reached(accepted), Ok(()));
        }
    }

    #[test]
    fn the_plugin_is_loaded_once_and_served_on_a_port_of_its_own() {
        let config = load("[http]", &[]).unwrap();
        let listen = &config.server.listen[0];
        assert_eq!(listen.address, "127.0.0.1:3000".parse().unwrap());
        let mounts = listen.mounts.as_ref().unwrap();
        assert_eq!(mounts[0].as_str(), "chat-api");
        assert_eq!(config.plugins.load[0].name.as_str(), "chat-api");

        let named = "[[plugins.load]]\nname = \"talk\"\nlibrary = \"chat_api\"\n\
                     config = { prefix = \"/x\" }\n[http]\nport = 8080\nagent = \"a\"";
        let config = load(named, &[]).unwrap();
        assert_eq!(config.server.listen[0].address.port(), 8080);
        assert_eq!(
            settings(named, &[]),
            serde_json::json!({ "prefix": "/x", "agent": "a" })
        );

        for (host, address) in [("[::1]", "[::1]:3000"), ("LocalHost", "127.0.0.1:3000")] {
            let config = load(&format!("[server]\nhost = {host:?}\n[http]"), &[]).unwrap();
            assert_eq!(config.server.listen[0].address, address.parse().unwrap());
        }

        assert!(
            load("[http]\nenabled = false", &[])
                .unwrap()
                .plugins
                .load
                .is_empty()
        );
    }

    #[test]
    fn the_command_line_goes_before_the_variable_and_that_before_the_file() {
        let file = "[http]\ntoken = \"file\"";
        let variable = ("MORTISE_HTTP_TOKEN", "variable");
        let overlaid = ("MORTISE__HTTP__TOKEN", "12345");
        let token = |variables: Variables<'_>| settings(file, variables)["token"].clone();
        assert_eq!(token(&[]), "file");
        assert_eq!(token(&[variable]), "variable");
        assert_eq!(token(&[variable, overlaid]), "12345");
        assert!(load("", &[variable]).unwrap().plugins.load.is_empty());
    }

    #[test]
    fn an_empty_variable_opens_no_door() {
        let error = load("[http]", &[("MORTISE_HTTP_TOKEN", "")]).unwrap_err();
        assert!(error.to_string().contains("MORTISE_HTTP_TOKEN"), "{error}");
    }
}
