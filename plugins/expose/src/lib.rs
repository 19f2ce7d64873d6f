//! A dialect for Mortise: agents on methods and paths of the configuration, with schemas.
//!
//! Nothing is kept here: runs, conversations and jobs are the server's.

mod check;
mod config;
mod exposure;
mod invocation;
mod jobs;
mod openapi;
mod path;
mod problem;
mod request;
mod routes;
mod stream;

use std::collections::BTreeSet;
use std::sync::Arc;

use mortise_plugin_api::prelude::*;

pub use crate::config::{Config, Exposed, Mode};
use crate::exposure::Exposure;
use crate::invocation::Invocation;
pub use crate::path::RoutePath;
use crate::request::Asked;
use crate::routes::Routes;

/// The plugin: its mounts, and an agent `name.version` for each that is exposed.
#[derive(Debug)]
pub struct Expose {
    config: Arc<Config>,
    exposures: Vec<Arc<Exposure>>,
}

impl Plugin for Expose {
    type Config = Config;
    const NAME: &'static str = "expose";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const GRANTS: &'static [&'static str] = &["agents", "jobs", "runs"];

    fn create(config: Config, host: Host) -> Result<Self> {
        config.check()?;
        let config = Arc::new(config);
        let places = 0..config.endpoints.len();
        let exposures = places.map(|place| Arc::new(Exposure::new(&host, &config, place)));
        Ok(Self {
            exposures: exposures.collect(),
            config,
        })
    }

    fn register(&self, registrar: &mut Registrar) {
        let (mut names, mut states) = (BTreeSet::new(), BTreeSet::new());
        let mut routes = Routes::default();
        for exposure in &self.exposures {
            let exposed = exposure.exposed();
            if names.insert(exposed.name()) {
                registrar.agent(Invocation::new(Arc::clone(exposure)));
            }
            let place = (&*exposed.method(), exposed.path.as_str());
            routes.add(exposure, place, &openapi::operation(exposure), answer);
            let path = exposed.status_path();
            let path = path.as_str();
            if exposed.mode == Mode::Accepted && states.insert(path.to_owned()) {
                let [shown, cancelled] = openapi::job_operations(exposure);
                routes.add(exposure, ("GET", path), &shown, jobs::show);
                routes.add(exposure, ("DELETE", path), &cancelled, jobs::cancel);
            }
        }
        routes.register(&self.config, registrar);
    }
}

/// Checks what a client asks, and runs the agent or has it run.
async fn answer(exposure: Arc<Exposure>, call: EndpointCall) -> Result<Response> {
    let request = call.request.clone();
    let asked = Asked::read(exposure.exposed(), call).await?;
    let run = exposure.run(&asked, request.principal().unwrap_or_default())?;
    match exposure.exposed().mode {
        Mode::Aggregate => aggregate(&exposure, &run).await,
        Mode::Stream => stream::stream(exposure, &run).await,
        Mode::Accepted => jobs::accept(&exposure, &request, run).await,
    }
}

/// Runs the agent and answers with its output alone.
async fn aggregate(exposure: &Exposure, run: &RunRequest) -> Result<Response> {
    let run_id = exposure.host.start_agent(run).await?;
    let mut guard = exposure.host.leave_on_drop(&*run_id);
    let outcome = exposure.host.outcome(&run_id).await;
    guard.release();
    let output = exposure.output(&outcome?)?;
    if output.is_null() || output == "" {
        return Ok(Response::new(204));
    }
    let kind = exposure.exposed().response_content_type();
    let body = match output {
        Value::String(text) if !kind.contains("json") => text,
        output => output.to_string(),
    };
    let response = Response::new(200).with_header("content-type", kind.to_owned());
    Ok(response.with_body(body))
}

export_plugin!(Expose);
