//! Enqueues jobs for whoever asks, and writes down what it hears of any.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mortise_plugin_api::prelude::*;

/// Leaves a line of JSON for each thing it hears. It is slow where a file `NAME.slow` is there.
struct Clerk {
    file: PathBuf,
    host: Host,
}

pub(crate) fn register(registrar: &mut Registrar, file: &Path, host: &Host) {
    registrar.hook(Clerk {
        file: file.to_owned(),
        host: host.clone(),
    });
    let (enqueue, show, watch, cancel) = (host.clone(), host.clone(), host.clone(), host.clone());
    registrar.mount(
        Mount::at_base()
            .endpoint(Endpoint::post("/clerk", move |call| {
                later(enqueue.clone(), call)
            }))
            .endpoint(Endpoint::get("/clerk/:id", move |call| {
                stands(show.clone(), call)
            }))
            .endpoint(Endpoint::get("/clerk/:id/events", move |call| {
                seen(watch.clone(), call)
            }))
            .endpoint(Endpoint::new(&["DELETE"], "/clerk/:id", move |call| {
                cancelled(cancel.clone(), call)
            })),
    );
}

impl Hook for Clerk {
    fn info(&self) -> HookInfo {
        HookInfo::new("clerk").on(Stage::OnJob)
    }

    async fn on_job(&self, event: JobEvent) -> Result<()> {
        let line = format!("{}\n", serde_json::to_string(&event)?);
        File::options()
            .create(true)
            .append(true)
            .open(&self.file)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(|error| Error::internal(format!("nothing was written down: {error}")))?;
        if self.file.with_extension("slow").exists() {
            self.host.sleep(Duration::from_secs(60)).await;
        }
        Ok(())
    }
}

/// The body is a job; it is that of whoever asks.
async fn later(host: Host, call: EndpointCall) -> Result<Response> {
    let principal = call.request.principal().unwrap_or_default();
    let mut request: JobRequest = call.body.json().await?;
    request.run.principal = Some(principal);
    Response::json(&host.enqueue_job(&request).await?)
}

/// The job and its run, as the host knows them.
async fn stands(host: Host, call: EndpointCall) -> Result<Response> {
    let id = call.request.param("id").unwrap_or_default();
    let job = host.job(id).await?;
    let run = host.run_status(&format!("run:{id}")).await?;
    Response::json(&json!({ "job": job, "run": run }))
}

/// The types of all events of its run, from before it begins.
async fn seen(host: Host, call: EndpointCall) -> Result<Response> {
    let id = call.request.param("id").unwrap_or_default();
    let mut events = host.events(format!("run:{id}"), None);
    let mut kinds = Vec::new();
    while let Some(event) = events.next().await {
        kinds.push(event?.event.kind().to_owned());
    }
    Response::json(&kinds)
}

async fn cancelled(host: Host, call: EndpointCall) -> Result<Response> {
    let id = call.request.param("id").unwrap_or_default();
    let principal = call.request.principal().unwrap_or_default();
    Response::json(&host.cancel_job_for(id, &principal).await?)
}
