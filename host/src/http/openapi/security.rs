//! What protected routes ask for, as far as it is known: the secret, and headers of guards.

use mortise_plugin_api::Stage;
use serde_json::{Map, Value, json};

use super::Served;
use crate::config::Auth;

/// What protected routes ask for.
#[derive(Debug)]
pub(super) struct Security {
    pub(super) schemes: Map<String, Value>,
    /// The alternatives; none where nothing is asked for.
    pub(super) alternatives: Vec<Value>,
    /// Whether there are guards, who answer what they like.
    pub(super) has_guards: bool,
}

const SECRET: &str = "secret";

// === impl Security ===

impl Security {
    pub(super) fn of(served: &Served<'_>) -> Self {
        let guards = served.pipeline.at(Stage::Guard);
        let mut schemes = Map::new();
        // For each who asks, the schemes of which one will do.
        let mut asked: Vec<Vec<String>> = Vec::new();
        if served.has_secret {
            let scheme = json!({
                "type": "http",
                "scheme": "bearer",
                "description": "The secret of the server.",
            });
            schemes.insert(SECRET.to_owned(), scheme);
            asked.push(vec![SECRET.to_owned()]);
        }
        for guard in guards {
            let info = guard.capability.info();
            if !info.authenticates {
                continue;
            }
            let mut names = Vec::new();
            // One that names no header may look anywhere; most look here.
            let usual = ["authorization".to_owned()];
            let headers = match &info.credentials[..] {
                [] => &usual[..],
                own => own,
            };
            for header in headers {
                let is_plain = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
                let name = format!("{}.{header}", guard.instance).replace(|it| !is_plain(it), "_");
                let description = format!("What the plugin {} asks for.", guard.instance);
                let scheme = json!({
                    "type": "apiKey",
                    "in": "header",
                    "name": header,
                    "description": description,
                });
                schemes.insert(name.clone(), scheme);
                names.push(name);
            }
            asked.push(names);
        }
        let alternatives = match served.auth {
            Auth::All => together(&asked),
            Auth::Any => asked
                .into_iter()
                .flatten()
                .map(|name| json!({ name: [] }))
                .collect(),
        };
        Self {
            schemes,
            alternatives,
            has_guards: !guards.is_empty(),
        }
    }
}

/// One scheme of each who asks, in all ways.
fn together(asked: &[Vec<String>]) -> Vec<Value> {
    if asked.is_empty() {
        return Vec::new();
    }
    asked.iter().fold(vec![json!({})], |all, names| {
        let with = |one: &Value, name: &String| {
            let mut one = one.clone();
            one[name.as_str()] = json!([]);
            one
        };
        all.iter()
            .flat_map(|one| names.iter().map(move |name| with(one, name)))
            .collect()
    })
}
