//! Links plugins in: an agent, a guard and an endpoint of this program, without a library.

#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use http_body_util::{BodyExt as _, Empty};
use mortise_host::App;
use mortise_host::config::{Config, ConfigSource, ProcessEnvironment};
use mortise_host::plugin_api::prelude::*;

/// The same type could be exported with `export_plugin!` and loaded as a library.
struct Greeting {
    greeting: String,
}

/// The `config` table.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    greeting: String,
}

impl Plugin for Greeting {
    type Config = Settings;
    const NAME: &'static str = "greeting";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(config: Settings, _host: Host) -> Result<Self> {
        let greeting = config.greeting;
        Ok(Self { greeting })
    }

    fn register(&self, registrar: &mut Registrar) {
        let greeting = self.greeting.clone();
        let shown = self.greeting.clone();
        registrar
            .agent(Greeter { greeting })
            .hook(NobodyFromMars)
            .mount(
                Mount::at_base().endpoint(Endpoint::get("/greeting", move |_| {
                    let shown = shown.clone();
                    async move { Ok(Response::text(shown)) }
                })),
            );
    }
}

struct Greeter {
    greeting: String,
}

impl Agent for Greeter {
    fn info(&self) -> AgentInfo {
        AgentInfo::new("greeter", "Greets whoever comes")
    }

    async fn run(&self, run: RunContext, input: Vec<Item>) -> Result<RunResult> {
        let name = input.last().map(Item::text).unwrap_or_default();
        let answer = format!("{}, {name}!", self.greeting);
        run.say(&answer).await?;
        Ok(RunResult::text(answer))
    }
}

struct NobodyFromMars;

impl Hook for NobodyFromMars {
    fn info(&self) -> HookInfo {
        HookInfo::new("nobody-from-mars")
            .on(Stage::Guard)
            .answers_at_once()
    }

    fn guard_now(&self, request: &Request) -> Result<GuardVerdict> {
        match request.header("x-planet") {
            Some("mars") => GuardVerdict::refuse(403, "FORBIDDEN", "not you"),
            _ => Ok(GuardVerdict::Pass),
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let config = Config::load(ConfigSource::text(""), &ProcessEnvironment)?;
    let app = App::builder(config)
        .plugin::<Greeting>("greeting", json!({ "greeting": "Hello" }))
        .build()
        .await?
        .start()
        .await?;

    let result = app.run("greeter", "Ann").await?;
    println!("{}", result.response.text_content());

    for planet in ["earth", "mars"] {
        let request = http::Request::get("/greeting")
            .header("x-planet", planet)
            .body(Empty::<Bytes>::new())?;
        let response = app.handle(request).await;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        println!("{planet}: {status} {}", String::from_utf8_lossy(&body));
    }
    app.stop().await;

    // A mistake in the table ends the start, as it does for a library.
    let config = Config::load(ConfigSource::text(""), &ProcessEnvironment)?;
    let built = App::builder(config)
        .plugin::<Greeting>("greeting", json!({ "greting": "Hello" }))
        .build()
        .await;
    if let Err(error) = built {
        println!("{error}");
    }
    Ok(())
}
