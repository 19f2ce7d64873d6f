//! A dialect for Mortise: agents with runs, sessions and approvals below `/api/agents`.
//!
//! Nothing is kept here: runs, sessions and approvals are the server's, so that a run can be
//! watched, approved and cancelled over any other API too.

mod agents;
mod config;
mod followups;
mod media;
mod problem;
mod request;
mod runs;
mod sessions;
mod status;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{Fetcher, Queue};

pub use crate::config::{Config, Followups};

/// How long fetching one medium may take.
const MEDIA_TIMEOUT: Duration = Duration::from_secs(10);

/// The plugin: its mounts, and an agent that suggests questions where a model does.
#[derive(Debug)]
pub struct RunsApi {
    api: Arc<Api>,
}

/// What all endpoints share.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) host: Host,
    pub(crate) config: Config,
    pub(crate) fetcher: Fetcher,
    /// Requests of one session are let in one after the other.
    pub(crate) queue: Queue,
}

impl Plugin for RunsApi {
    type Config = Config;
    const NAME: &'static str = "runs-api";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const GRANTS: &'static [&'static str] = &["agents", "conversations", "runs"];

    fn create(config: Config, host: Host) -> Result<Self> {
        if config.followups == Some(Followups::Fixed(Vec::new())) {
            return Err(Error::config("/followups/fixed", "is empty: name one"));
        }
        let (limit, hosts) = (config.media_max_bytes, &config.media_private_hosts);
        let api = Api {
            fetcher: Fetcher::new(limit, MEDIA_TIMEOUT, hosts),
            host,
            config,
            queue: Queue::default(),
        };
        Ok(Self { api: Arc::new(api) })
    }

    fn register(&self, registrar: &mut Registrar) {
        let api = &self.api;
        if let Some(Followups::Model(model)) = &api.config.followups {
            registrar.agent(followups::prompt(&api.host, model));
        }
        let openapi: Value = serde_json::from_str(include_str!("openapi.json"))
            .expect("the file beside this one is JSON");
        let mount = |name: &str| {
            Mount::absolute(format!("{}/{name}", api.config.prefix))
                .render_error(problem::render)
                .components(openapi["components"].clone())
        };
        let agents = runs::register(agents::register(mount("agents"), api), api);
        let sessions = sessions::register(mount("sessions"), api);
        registrar
            .mount(agents.operations(&openapi["agents"]))
            .mount(sessions.operations(&openapi["sessions"]));
    }
}

export_plugin!(RunsApi);
