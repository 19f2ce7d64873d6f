//! A hook: it lets nobody in who does not name the house, and counts what is said.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::testing::{FakeHost, FakeRequest};

struct Doorman;

impl Plugin for Doorman {
    type Config = Config;
    const NAME: &'static str = "doorman";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(_config: Config, _host: Host) -> Result<Self> {
        Ok(Self)
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.hook(Door);
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {}

struct Door;

impl Hook for Door {
    fn info(&self) -> HookInfo {
        HookInfo::new("door")
            .on(Stage::Guard)
            .answers_at_once()
            .on(Stage::Observe)
            .observes(&["TEXT_MESSAGE_CONTENT"])
    }

    fn guard_now(&self, request: &Request) -> Result<GuardVerdict> {
        match request.header("x-house") {
            Some("mortise") => Ok(GuardVerdict::Pass),
            _ => GuardVerdict::refuse(403, "forbidden", "which house?"),
        }
    }

    async fn observe(&self, observation: Observation) -> Result<()> {
        if let Observation::Event { run, .. } = observation {
            run.host().count("texts_total", 1.0, &[]);
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let host = FakeHost::new("doorman");
    let door = host.load::<Doorman>(json!({}))?.hook("door");

    let stranger = door.guard(FakeRequest::run("echo")).await?;
    assert!(matches!(stranger, GuardVerdict::Respond(response) if response.status() == 403));
    let guest = FakeRequest::run("echo").with_header("x-house", "mortise");
    assert!(matches!(door.guard(guest).await?, GuardVerdict::Pass));

    door.observe_event(Event::TextMessageContent {
        message_id: "msg_1".into(),
        delta: "hello".into(),
        timestamp: 0,
    })
    .await?;
    door.observe_event(Event::data(None, json!("not said")))
        .await?;
    assert_eq!(host.metrics().len(), 1);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_runs() {
        super::main().unwrap();
    }
}
