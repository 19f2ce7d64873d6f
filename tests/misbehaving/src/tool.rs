//! The tools `misbehave`, and `bad_result`, whose result no JSON reader takes.

use mortise_plugin_api::prelude::*;

use crate::Config;
use crate::place::{LastBomb, Place, Spot};

// serde_json reads 128 levels.
const LEVELS: usize = 500;

pub(crate) struct Misbehave {
    config: Config,
}

pub(crate) struct BadResult;

/// Fails with what nobody outside may read.
pub(crate) struct Leaky;

// === impl Misbehave ===

impl Misbehave {
    pub(crate) fn new(config: Config) -> Self {
        Self { config }
    }
}

impl Tool for Misbehave {
    fn info(&self) -> ToolInfo {
        self.config.panic_at(Place::Info);
        ToolInfo::of_schema("misbehave", "Panics or hangs", json!({ "type": "object" }))
    }

    async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
        let _bomb = self.config.bomb_at(Place::ToolDrop);
        self.config.panic_at(Place::Tool);
        if self.config.panic_in == Some(Place::ToolTwice) {
            let _bomb = LastBomb;
            self.config.panic_at(Place::ToolTwice);
        }
        self.config.hang_at(Spot::Tool).await;
        Ok(json!("behaved"))
    }
}

impl Tool for BadResult {
    fn info(&self) -> ToolInfo {
        ToolInfo::of_schema(
            "bad_result",
            "Nests its result too deeply",
            json!({ "type": "object" }),
        )
    }

    async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
        Ok(nested())
    }
}

impl Tool for Leaky {
    fn info(&self) -> ToolInfo {
        ToolInfo::without_arguments("leaky", "Fails with a secret")
    }

    async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
        Err(std::io::Error::other("postgres://user:hunter2@db"))?
    }
}

fn nested() -> Value {
    (0..LEVELS).fold(Value::Null, |inner, _| json!([inner]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bad_result_can_be_written_but_not_read() {
        let written = nested().to_string();
        assert!(serde_json::from_str::<Value>(&written).is_err());
    }
}
