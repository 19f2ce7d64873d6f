//! A plugin of somebody else: written from the SDK's page, built with plain cargo outside of the
//! workspace, loaded from a folder.

use std::{fs, path::Path};

use integration_tests::{ServerBuilder, build_outside, workspace};
use serde_json::json;

use crate::support::SCRIPTED;

const SOURCE: &str = r#"//! Rolls dice.

use mortise_plugin_api::prelude::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// How many sides a die has.
    sides: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { sides: 6 }
    }
}

struct Dice {
    sides: u32,
}

impl Plugin for Dice {
    type Config = Config;
    const NAME: &'static str = "dice";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Config, _host: Host) -> Result<Self> {
        Ok(Self { sides: config.sides })
    }

    fn register(&self, registrar: &mut Registrar) {
        let sides = self.sides;
        registrar.tool(Roll { sides }).mount(Mount::at_base().endpoint(
            Endpoint::get("/dice", move |_| async move {
                Response::json(&json!({ "sides": sides }))
            })
            .public(),
        ));
    }
}

struct Roll {
    sides: u32,
}

impl Tool for Roll {
    fn info(&self) -> ToolInfo {
        ToolInfo::new::<NoConfig>("roll", "Rolls a die")
    }

    async fn call(&self, _run: RunContext, _arguments: Value) -> Result<Value> {
        Ok(json!({ "rolled": self.sides }))
    }
}

export_plugin!(Dice);
"#;

/// Writes the package of a plugin author.
fn write_package(folder: &Path) {
    let sdk = json!(workspace().join("plugin-api").display().to_string());
    let manifest = format!(
        r#"[package]
name = "dice"
version = "3.2.1"
edition = "2024"

[workspace]

[lib]
crate-type = ["cdylib", "rlib"]

[features]
default = ["dylib"]
dylib = []

[dependencies]
mortise-plugin-api = {{ path = {sdk} }}
schemars = "1"
serde = {{ version = "1", features = ["derive"] }}
"#
    );
    fs::create_dir_all(folder.join("src")).expect("there is room for a folder");
    fs::write(folder.join("Cargo.toml"), manifest).expect("there is room for a file");
    fs::write(folder.join("src/lib.rs"), SOURCE).expect("there is room for a file");
}

#[test]
fn a_plugin_that_was_built_elsewhere_loads_and_answers() {
    let package = tempfile::tempdir().expect("there is room for a folder");
    write_package(package.path());
    let built = build_outside(package.path());
    let config = format!(
        r#"{SCRIPTED}
[agents.gambler]
model = "scripted/fake-1"
tools = ["roll"]

[[plugins.load]]
name = "loaded-dice"
library = "dice"
config = {{ sides = 20 }}
"#
    );
    let server = ServerBuilder::new(&config);
    let folder = server.folder().join("plugins");
    fs::create_dir(&folder).expect("there is room for a folder");
    for (from, library) in [
        (built, "libdice.so"),
        (integration_tests::plugin_dir(), "libscripted_model.so"),
    ] {
        fs::copy(from.join(library), folder.join(library)).expect("the library was built");
    }

    let server = server
        .variable("MORTISE__PLUGINS__DIR", folder.display().to_string())
        .start();

    let sides = server.get("/api/dice").send().expect(200).json();
    assert_eq!(sides, json!({ "sides": 20 }));
    let told = server.run("gambler", "call roll").send().expect(200);
    assert!(
        told.text().contains(r#"{\"rolled\":20}"#),
        "{}",
        told.text()
    );
}
