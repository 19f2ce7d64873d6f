//! The `config` table.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::schema::Schema;
use mortise_plugin_api::{AgentName, ResultPolicy, Template, VisibleTo};

/// The `config` table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The service that the agents belong to; names queues and events.
    pub service: String,
    /// The version of the service: paths are below `<mount>/v<version>`.
    pub version: u32,
    /// What versioned paths begin with, wherever the server's base path is.
    pub mount: String,
    /// Whether the paths answer without mount and version too.
    pub bare: bool,
    /// Who sees a job: the `tenant` of whoever enqueued it, or that `subject` alone.
    pub visibility: VisibleTo,
    /// What is exposed.
    pub endpoints: Vec<Exposed>,
}

/// An agent on a method and a path.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exposed {
    /// The agent.
    pub agent: AgentName,
    /// Its name in the service, where it is another: `name.version` invokes it.
    pub name: Option<String>,
    /// What it does, for OpenAPI.
    #[serde(default)]
    pub summary: String,
    /// The method.
    #[serde(default = "post")]
    pub method: String,
    /// The path, such as `agents/triage-ticket`; `:id` stands for a parameter.
    pub path: String,
    /// Whether the answer is the output (`aggregate`), a `stream` of events, or a job (`accepted`).
    #[serde(default)]
    pub mode: Mode,
    /// Whether neither the secret nor guards apply.
    #[serde(default)]
    pub public: bool,
    /// A template of `payload` and `parameter`: what the agent is told; the payload as JSON where
    /// absent.
    pub input: Option<Template>,
    /// A template of the same: which conversation it continues; none where absent.
    pub conversation: Option<Template>,
    /// The JSON Schema of the payload.
    pub payload: Option<Schema>,
    /// The JSON Schema of the parameter: an object of texts, from the query and the path.
    pub parameter: Option<Schema>,
    /// The JSON Schema of the output.
    pub output: Option<Schema>,
    /// What the content type of a request must contain: JSON, a form, or else a text.
    #[serde(default = "json_type")]
    pub request_content_type: String,
    /// The content type of the output of `aggregate`.
    #[serde(default = "json_type")]
    pub response_content_type: String,
    /// The path of a job's state, for `accepted`; `<path>/runs/:jobId` where absent.
    pub status_url: Option<String>,
    /// Where the result of a job is to be found: `state`, `event`, `state-and-event`, `none`.
    #[serde(default)]
    pub result_policy: ResultPolicy,
    /// How often a job is tried: 1 to 100 times.
    #[serde(default = "attempts")]
    pub max_attempts: u32,
    /// Jobs with a higher one come first.
    #[serde(default)]
    pub priority: i32,
}

/// How an agent answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// With its output, once it has finished.
    #[default]
    Aggregate,
    /// With events, while it works.
    Stream,
    /// With a job, at once.
    Accepted,
}

/// More attempts are none that the server makes.
const MOST_ATTEMPTS: u32 = 100;

fn post() -> String {
    "POST".to_owned()
}

fn json_type() -> String {
    "application/json".to_owned()
}

fn attempts() -> u32 {
    3
}

// === impl Config ===

impl Config {
    /// What versioned paths begin with.
    pub(crate) fn prefix(&self) -> String {
        format!("{}/v{}", self.mount.trim_end_matches('/'), self.version)
    }

    /// Refuses what no schema can.
    pub(crate) fn check(&self) -> Result<()> {
        if !self.mount.is_empty() && !self.mount.starts_with('/') {
            return Err(Error::config("/mount", "does not begin with `/`"));
        }
        for (place, exposed) in self.endpoints.iter().enumerate() {
            let (path, states) = (exposed.path(), exposed.status_path());
            let takes_all = |path: &str| self.bare && path[1..].starts_with([':', '{']);
            let (key, message) = if path == "/" {
                ("path", "is blank")
            } else if takes_all(&path) || takes_all(&states) {
                let message = "begins with a parameter, which takes every path: set `bare = false`";
                ("path", message)
            } else if exposed.payload.is_some() && !exposed.has_body() {
                ("payload", "is given, and the method has no body")
            } else if !states.contains("/:jobId") {
                ("status_url", "names no `:jobId`")
            } else if !(1..=MOST_ATTEMPTS).contains(&exposed.max_attempts) {
                ("max_attempts", "is not between 1 and 100")
            } else {
                continue;
            };
            return Err(Error::config(format!("/endpoints/{place}/{key}"), message));
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            service: "agents".to_owned(),
            version: 1,
            mount: "/api".to_owned(),
            bare: true,
            visibility: VisibleTo::Tenant,
            endpoints: Vec::new(),
        }
    }
}

// === impl Exposed ===

impl Exposed {
    /// Its name in the service.
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.agent)
    }

    /// Its path, with a leading slash.
    pub(crate) fn path(&self) -> String {
        format!("/{}", self.path.trim_matches('/'))
    }

    /// The path of its jobs, with a leading slash and `:jobId`.
    pub(crate) fn status_path(&self) -> String {
        match &self.status_url {
            Some(url) => format!("/{}", url.trim_matches('/')),
            None => format!("{}/runs/:jobId", self.path()),
        }
    }

    /// Whether requests have a body.
    pub(crate) fn has_body(&self) -> bool {
        ["POST", "PUT", "PATCH"].contains(&&*self.method.to_ascii_uppercase())
    }
}
