//! Instances of the real library and of plugins that are linked into the tests.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{ApprovalDecision, RunInfo};

use crate::plugin::capability::{BoxFuture, HostApi, RunServices};
use crate::plugin::instance::{shutdown_all, start_all};

#[tokio::test]
async fn the_real_library_runs_an_agent() {
    let folder = folder_with_echo();
    let loaded = load_config(folder.path(), "[[plugins.load]]\nname = \"echo-agent\"")
        .await
        .unwrap();
    start_all(&loaded.instances).await.unwrap();
    let agent = &loaded.catalog.agents[0];
    assert_eq!(&*agent.instance, "echo-agent");
    assert_eq!(agent.capability.info().name, "echo");
    let run = FakeRun::new();
    let input = [Item::user("hello there")];
    let result = agent.capability.run(run.clone(), &input).await.unwrap();
    assert_eq!(result.response.text_content(), "hello there");
    assert_eq!(*run.called.lock().unwrap(), ["run.say"]);
    shutdown_all(&loaded.instances).await;
}

/// A run that knows `run.say` alone.
struct FakeRun {
    called: Mutex<Vec<String>>,
}

impl FakeRun {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            called: Mutex::default(),
        })
    }
}

impl RunServices for FakeRun {
    fn info(&self) -> Arc<RunInfo> {
        Arc::default()
    }

    fn emit(self: Arc<Self>, event: Event) -> BoxFuture<'static, Result<()>> {
        self.called.lock().unwrap().push(event.kind().to_owned());
        Box::pin(async { Ok(()) })
    }

    fn is_cancelled(&self) -> bool {
        false
    }

    fn cancelled(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn generate(
        self: Arc<Self>,
        model: String,
        _request: ModelRequest,
    ) -> BoxFuture<'static, Result<ChunkStream>> {
        Box::pin(async move { panic!("the model {model} panicked") })
    }

    fn call(self: Arc<Self>, service: String, _payload: Value) -> BoxFuture<'static, Result<Value>> {
        self.called.lock().unwrap().push(service);
        Box::pin(async { Ok(Value::Null) })
    }
}
