//! A plugin that is linked into the tests and misbehaves as its configuration says.

use std::time::Duration;

use mortise_plugin_api::prelude::*;

use crate::plugin::linked::LinkedPlugin;

pub(super) struct Odd {
    does: Vec<String>,
    host: Host,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// What it does wrong.
    does: Vec<String>,
    nested: Nested,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Nested {
    /// At most 10.
    #[schemars(range(max = 10))]
    _count: u32,
}

/// An instance that does these things.
pub(super) fn odd(name: &str, does: &[&str]) -> LinkedPlugin {
    LinkedPlugin::of::<Odd>(name, json!({ "does": does }))
}

impl Plugin for Odd {
    type Config = Settings;
    const NAME: &'static str = "odd";
    const VERSION: &'static str = "0.0.1";

    fn create(settings: Settings, host: Host) -> Result<Self> {
        let Settings { does, .. } = settings;
        for does in &does {
            match does.as_str() {
                "panic in create" => panic!("the drawer is stuck"),
                "fail in create" => return Err(Error::internal("the drawer is locked")),
                "hang in create" => std::thread::sleep(Duration::from_hours(1)),
                _ => {}
            }
        }
        Ok(Self { does, host })
    }

    fn register(&self, registrar: &mut Registrar) {
        for does in &self.does {
            let Some((kind, name)) = does.split_once(' ') else {
                continue;
            };
            let own = name.to_owned();
            match kind {
                "agent" => registrar.agent(Named(own)),
                "counter" => registrar.hook(Counter(self.host.clone())),
                "tool" => registrar.tool(Hammer(own, self.host.clone())),
                "model" => registrar.model(Parrot(own)),
                "hook" => registrar.hook(Doorman(own)),
                "base" => registrar.mount(Mount::at_base().endpoint(echo(name))),
                "absolute" => registrar.mount(Mount::absolute("").endpoint(echo(name))),
                _ => continue,
            };
        }
    }

    async fn start(&self) -> Result<()> {
        if self.does.iter().any(|does| does == "fail in start") {
            return Err(Error::internal("the lamp is broken"));
        }
        Ok(())
    }
}

fn echo(path: &str) -> Endpoint {
    Endpoint::post(path, |call| async move {
        let who = call.request.header("x-who").unwrap_or("nobody").to_owned();
        let heard = call.body.bytes(1024).await?;
        Ok(Response::stream("text/plain", |writer| async move {
            writer.write(format!("{who}: ")).await?;
            writer.write(heard).await?;
            panic!("out of ink")
        })
        .with_status(201))
    })
}

struct Named(String);

impl Agent for Named {
    fn info(&self) -> AgentInfo {
        assert_ne!(self.0, "panics", "who am I?");
        AgentInfo::new(&self.0, "")
    }

    async fn run(&self, run: RunContext, _input: Vec<Item>) -> Result<RunResult> {
        run.emit_data(None, json!({ "cancelled": run.is_cancelled() }))
            .await?;
        run.cancelled().await;
        // The host panics: it must come back as an error.
        let error = run
            .generate_chunks("any/model", ModelRequest::new(Vec::new()))
            .await
            .err();
        Ok(RunResult::text(
            error.map(|it| it.to_string()).unwrap_or_default(),
        ))
    }
}

struct Hammer(String, Host);

impl Tool for Hammer {
    fn info(&self) -> ToolInfo {
        ToolInfo::new::<NoConfig>(&self.0, "Hits")
    }

    async fn call(&self, _run: RunContext, arguments: Value) -> Result<Value> {
        match arguments["hit"].as_str() {
            Some("thumb") => panic!("ouch"),
            Some("host") => self.1.call("any.service", arguments).await,
            Some("clock") => {
                // On a thread that knows nothing of the host's runtime.
                let host = self.1.clone();
                let (sender, receiver) = tokio::sync::oneshot::channel();
                std::thread::spawn(move || {
                    let slept = host.sleep(Duration::from_millis(5));
                    futures_util::FutureExt::now_or_never(slept);
                    let slept = host.sleep(Duration::from_millis(5));
                    let runtime = tokio::runtime::Builder::new_current_thread().build();
                    runtime.unwrap().block_on(slept);
                    let _ = sender.send(host.now_millis());
                });
                Ok(json!(receiver.await?))
            }
            _ => Ok(arguments),
        }
    }
}

struct Parrot(String);

impl Model for Parrot {
    fn info(&self) -> ModelInfo {
        ModelInfo::new(&self.0)
    }

    async fn generate(&self, _run: RunContext, request: ModelRequest) -> Result<ChunkStream> {
        let said = Chunk::text(request.prompt());
        Ok(ChunkStream::from_chunks([
            said,
            Chunk::finish(FinishReason::Stop),
        ]))
    }
}

/// Lets two through for each address.
struct Counter(Host);

impl Hook for Counter {
    fn info(&self) -> HookInfo {
        HookInfo::new("counter").on(Stage::Guard)
    }

    fn guard_now(&self, request: &Request) -> Result<GuardVerdict> {
        let client = request.client_ip().map(|it| it.to_string());
        let client = client.unwrap_or_default();
        assert_eq!(client, "192.0.2.7");
        let taken = match request.path() {
            "/take" => {
                let limit = Limit::window(2, Duration::from_hours(1));
                self.0.take_now(&client, limit, 1)?
            }
            _ => self.0.hold(request, &client, 2)?,
        };
        if taken.is_allowed {
            return Ok(GuardVerdict::Pass);
        }
        GuardVerdict::refuse(429, "rate_limited", "not today")
    }
}

struct Doorman(String);

impl Hook for Doorman {
    fn info(&self) -> HookInfo {
        HookInfo::new(&self.0)
            .on(Stage::Guard)
            .on(Stage::Event)
            .on(Stage::AfterModel)
    }

    fn guard_now(&self, request: &Request) -> Result<GuardVerdict> {
        assert_ne!(request.path(), "/panic", "a strange path");
        if request.principal().is_some_and(|it| it.subject == "ann") {
            return Ok(GuardVerdict::Pass);
        }
        GuardVerdict::refuse(403, "FORBIDDEN", &format!("not you, {}", request.peer()))
    }

    async fn event(&self, _run: RunContext, event: Event) -> Result<EventVerdict> {
        match event {
            Event::TextMessageContent {
                message_id,
                timestamp,
                ..
            } => Ok(EventVerdict::Replace(Event::TextMessageContent {
                message_id,
                delta: "…".to_owned(),
                timestamp,
            })),
            _ => Ok(EventVerdict::Keep),
        }
    }

    async fn after_model(
        &self,
        _run: RunContext,
        _response: ModelResponse,
    ) -> Result<Option<ModelResponse>> {
        Ok(Some(ModelResponse::text("replaced")))
    }
}
