//! An endpoint whose response is written bit by bit, as server-sent events.

use std::time::Duration;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::testing::{FakeHost, FakeRequest};

struct Countdown;

impl Plugin for Countdown {
    type Config = NoConfig;
    const NAME: &'static str = "countdown";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn create(_config: NoConfig, _host: Host) -> Result<Self> {
        Ok(Self)
    }

    fn register(&self, registrar: &mut Registrar) {
        registrar.mount(Mount::at_base().endpoint(Endpoint::get("/count/:from", count).public()));
    }
}

async fn count(call: EndpointCall) -> Result<Response> {
    let from: u32 = call
        .request
        .param("from")
        .and_then(|from| from.parse().ok())
        .ok_or_else(|| Error::bad_request("count from what number?"))?;
    Ok(Response::stream(
        "text/event-stream",
        move |writer| async move {
            for number in (0..=from).rev() {
                // Waits for the reader, and fails once the client has gone.
                writer.write_event(&json!({ "number": number })).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        },
    ))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let plugin = FakeHost::new("countdown").load::<Countdown>(json!({}))?;

    let response = plugin.call_endpoint(FakeRequest::get("/count/2")).await;
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    let mut body = response.into_body();
    let first = body.next().await.expect("there is a first event")?;
    assert_eq!(first, "data: {\"number\":2}\n\n");
    assert_eq!(body.text().await?.matches("data: ").count(), 2);

    let response = plugin.call_endpoint(FakeRequest::get("/count/down")).await;
    assert_eq!(response.status(), 400);
    let response = plugin.call_endpoint(FakeRequest::post("/count/2")).await;
    assert_eq!(response.status(), 405);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_runs() {
        super::main().unwrap();
    }
}
