//! `GET /misbehave`, and `GET /misbehave-ok`, which shows that the instance still serves.

use mortise_plugin_api::prelude::*;

use crate::Config;
use crate::place::{Place, Spot};

pub(crate) fn mount(config: Config) -> Mount {
    Mount::at_base()
        .endpoint(Endpoint::get("/misbehave", move |_| misbehave(config)).public())
        .endpoint(
            Endpoint::get("/misbehave-ok", |_| async {
                Response::json(&json!({ "ok": true }))
            })
            .public(),
        )
}

async fn misbehave(config: Config) -> Result<Response> {
    config.panic_at(Place::Endpoint);
    config.hang_at(Spot::Endpoint).await;
    if let Some(bomb) = config.bomb_at(Place::EndpointBytes) {
        return Ok(Response::new(200).with_body(Bytes::from_owner(bomb)));
    }
    if config.panic_in == Some(Place::EndpointTask) {
        #[expect(clippy::disallowed_methods, reason = "this is what is tested")]
        let _task = tokio::spawn(async move { config.panic_at(Place::EndpointTask) });
    }
    Ok(Response::stream("text/plain", move |writer| async move {
        writer.write("part").await?;
        let _last_words = LastWords;
        // The server looks twice whether the body is whole before it sends the head.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        tracing::info!("misbehaving while it writes");
        config.panic_at(Place::EndpointStream);
        writer.write(" whole").await
    }))
}

/// Logs when it is dropped.
struct LastWords;

impl Drop for LastWords {
    fn drop(&mut self) {
        tracing::info!("misbehaving has written");
    }
}
