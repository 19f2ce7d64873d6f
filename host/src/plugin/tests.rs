//! Loading, with the real library `libecho_agent.so` where one is needed.

mod bridge;
mod capabilities;
mod files;
mod instances;
mod libraries;
mod odd;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use mortise_plugin_api::{
    ChunkStream, Event, GuardVerdict, ModelRequest, Result as PluginResult, RunInfo,
};
use serde_json::Value;

use super::bridge::HostApiSlot;
use super::capability::{BoxFuture, HookCapability, RunServices};
use super::error::{LoadError, LoadErrors, in_one_line};
use super::linked::LinkedPlugin;
use super::loader::{HostParts, Loaded, load};
use super::request::RequestView;
use crate::clock::Clock;
use crate::config::{Config, ConfigSource, Environment};
use crate::metrics::Metrics;

struct NoVariables;

impl Environment for NoVariables {
    fn get(&self, _name: &str) -> Option<OsString> {
        None
    }

    fn vars(&self) -> Vec<(OsString, OsString)> {
        Vec::new()
    }
}

/// The configuration of a text, in a folder.
fn config(folder: &Path, text: &str) -> Config {
    let source = ConfigSource::Text {
        name: "config.toml".to_owned(),
        text: text.to_owned(),
        folder: folder.to_owned(),
    };
    Config::load(source, &NoVariables).unwrap()
}

/// What a guard says at once.
fn guard_now(
    hook: &Arc<dyn HookCapability>,
    request: &Arc<RequestView>,
) -> PluginResult<GuardVerdict> {
    let said = hook.guard_now(request)?;
    Ok(said.map_or(GuardVerdict::Pass, |said| *said))
}

/// The library that `cargo build -p mortise-plugin-echo-agent` makes.
fn echo_library() -> PathBuf {
    let test_binary = std::env::current_exe().unwrap();
    // target/debug/deps/mortise_host-…
    let folder = test_binary.parent().and_then(Path::parent).unwrap();
    let path = folder.join("libecho_agent.so");
    assert!(
        path.exists(),
        "{} is missing: run `cargo build -p mortise-plugin-echo-agent` first",
        path.display()
    );
    path
}

/// A folder with `plugins/libecho_agent.so` in it.
fn folder_with_echo() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    std::fs::copy(echo_library(), plugins.join("libecho_agent.so")).unwrap();
    folder
}

async fn load_config(folder: &Path, text: &str) -> Result<Loaded, LoadErrors> {
    let config = config(folder, text);
    load(&config, Vec::new(), &[], &host(&HostApiSlot::new())).await
}

async fn load_linked(linked: Vec<LinkedPlugin>) -> Result<Loaded, LoadErrors> {
    let config = Config::default();
    load(&config, linked, &[], &host(&HostApiSlot::new())).await
}

/// What instances get: these services.
fn host(slot: &Arc<HostApiSlot>) -> HostParts {
    HostParts {
        api: Arc::clone(slot),
        clock: Clock::SYSTEM,
        metrics: Metrics::default(),
        is_reserved: |_, path, _| path == "/api/mine/{}",
    }
}

/// All errors, each in one line with its remedy.
fn told(result: Result<Loaded, LoadErrors>) -> Vec<String> {
    let Err(errors) = result else {
        panic!("it loaded");
    };
    errors
        .iter()
        .map(|error| {
            let remedy = error.remedy().unwrap_or_default();
            format!("{}; {remedy}", in_one_line(error))
        })
        .collect()
}

/// A run that notes what it is asked.
#[derive(Default)]
struct FakeRun {
    asked: Mutex<Vec<String>>,
}

impl FakeRun {
    fn services(self: &Arc<Self>) -> Arc<dyn RunServices> {
        Arc::<Self>::clone(self)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn note(&self, asked: impl Into<String>) {
        self.asked.lock().unwrap().push(asked.into());
    }
}

impl RunServices for FakeRun {
    fn info(&self) -> Arc<RunInfo> {
        Arc::default()
    }

    fn context(&self) -> Option<&Value> {
        None
    }

    fn emit(self: Arc<Self>, event: Event) -> BoxFuture<'static, PluginResult<()>> {
        self.note(event.kind());
        Box::pin(async { Ok(()) })
    }

    fn is_cancelled(&self) -> bool {
        true
    }

    fn cancelled(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn generate(
        self: Arc<Self>,
        model: String,
        _request: ModelRequest,
    ) -> BoxFuture<'static, PluginResult<ChunkStream>> {
        Box::pin(async move { panic!("no model {model}") })
    }

    fn call(
        self: Arc<Self>,
        service: String,
        _payload: Value,
    ) -> BoxFuture<'static, PluginResult<Value>> {
        self.note(service);
        Box::pin(async { Ok(Value::Null) })
    }
}
