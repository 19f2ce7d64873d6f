//! The `config` table.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::schema::Schema;
use mortise_plugin_api::{AgentName, ResultPolicy, Template, VisibleTo};

use crate::path::RoutePath;

/// The `config` table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The service that the agents belong to; names queues and events.
    pub service: String,
    /// The version of the service: paths are below `<mount>/v<version>`.
    pub version: u32,
    /// What versioned paths begin with, wherever the server's base path is.
    pub mount: RoutePath,
    /// Whether the paths answer without mount and version too.
    pub bare: bool,
    /// Who sees a job: the `tenant` of whoever enqueued it, or that `subject` alone.
    pub visibility: VisibleTo,
    /// Where the versioned paths are described, for everybody; `<mount>/openapi.json` where absent.
    pub document: Option<RoutePath>,
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
    pub path: RoutePath,
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
    /// The content type of the output of `aggregate`; JSON where absent.
    pub response_content_type: Option<String>,
    /// The path of a job's state, for `accepted`; `<path>/runs/:jobId` where absent.
    pub status_url: Option<RoutePath>,
    /// Where the result of a job is to be found: `state`, `event`, `state-and-event` where absent,
    /// `none`.
    pub result_policy: Option<ResultPolicy>,
    /// How often a job is tried: 1 to 100 times, 3 where absent.
    pub max_attempts: Option<u32>,
    /// Jobs with a higher one come first; 0 where absent.
    pub priority: Option<i32>,
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

/// The parameter of a path that stands for a job.
pub(crate) const JOB_ID: &str = "jobId";

const JSON: &str = "application/json";

fn post() -> String {
    "POST".to_owned()
}

fn json_type() -> String {
    JSON.to_owned()
}

// === impl Config ===

impl Config {
    /// What versioned paths begin with.
    pub(crate) fn prefix(&self) -> String {
        format!("{}/v{}", self.mount, self.version)
    }

    /// Where the versioned paths are described.
    pub(crate) fn document(&self) -> RoutePath {
        let own = || self.mount.below("/openapi.json");
        self.document.clone().unwrap_or_else(own)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            service: "agents".to_owned(),
            version: 1,
            mount: RoutePath::default().below("/api"),
            bare: true,
            visibility: VisibleTo::Tenant,
            document: None,
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

    /// Its method, in upper case.
    pub(crate) fn method(&self) -> String {
        self.method.to_ascii_uppercase()
    }

    /// The path of its jobs, with `:jobId`.
    pub(crate) fn status_path(&self) -> RoutePath {
        let own = || self.path.below("/runs/:jobId");
        self.status_url.clone().unwrap_or_else(own)
    }

    /// The content type of an output.
    pub(crate) fn response_content_type(&self) -> &str {
        self.response_content_type.as_deref().unwrap_or(JSON)
    }

    /// Whether requests have a body.
    pub(crate) fn has_body(&self) -> bool {
        ["POST", "PUT", "PATCH"].contains(&&*self.method())
    }
}
