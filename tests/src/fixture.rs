//! The servers that recorded exchanges are replayed against: six of the native API, and those of the
//! dialects.
//!
//! Texts, numbers and delays here are compared with recordings: change none of them on its own.

use std::{fmt::Write as _, path::Path};

macro_rules! operativus_plugins {
    () => {
        r#"
[[plugins.load]]
name = "runs-api"
grants = ["agents", "conversations", "runs"]

[plugins.load.config]
inactive = ["retired_agent"]
followups = { fixed = ["What moved the price?", "How did it do last week?"] }

[[plugins.load]]
name = "auth"

[plugins.load.config]
header = "authorization"
keys = [
    { key = "Bearer op-token", subject = "user-a", tenant = "org-a" },
    { key = "Bearer op-token-b", subject = "user-b", tenant = "org-b" },
]
"#
    };
}

/// An agent of a ticket: what it is asked, and what `$more` and `$output` say.
macro_rules! exposed {
    ($agent:literal, $more:literal, $output:expr) => {
        concat!(
            "\n[[plugins.load.config.endpoints]]\nagent = \"",
            $agent,
            "\"\n",
            $more,
            r#"
payload = { type = "object", properties = { text = { type = "string", minLength = 3 }, mode = { type = "string" } }, required = ["text"] }
parameter = { type = "object", properties = { dryRun = { type = "string", maxLength = 20 } } }
"#,
            $output
        )
    };
}

macro_rules! triage {
    () => {
        r#"output = { type = "object", properties = { priority = { enum = ["low", "normal", "high"] }, reason = { type = "string" } }, required = ["priority", "reason"] }
"#
    };
}

macro_rules! answer {
    () => {
        r#"output = { type = "object", properties = { answer = { type = "string" } }, required = ["answer"] }
"#
    };
}

/// One server: a name, a port by agreement, and a configuration.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Target {
    /// `a` to `f`, or what it is for.
    pub name: &'static str,
    /// Where `cargo xtask fixture` serves it.
    pub port: u16,
    /// The files of the folder that it works in.
    pub files: &'static [(&'static str, &'static str)],
    sections: &'static str,
    /// The `config` of the scripted model.
    script: &'static str,
    /// The `config` of the fixture plugin, and the plugins behind it.
    plugins: &'static str,
    agents: &'static str,
}

/// The targets of the system whose API the native routes speak.
pub const BETTER_AGENT: [Target; 6] = [
    Target {
        name: "a",
        port: 4101,
        files: &[],
        script: r#"script = "native""#,
        sections: r#"
[server]
base_path = "/api"
secret = "s3cret"

[runs]
sse_heartbeat = "15s"
"#,
        plugins: r"
config = { tools = true, endpoints = true, tracker = true }
",
        agents: AGENTS,
    },
    Target {
        name: "b",
        port: 4102,
        files: &[],
        script: r#"script = "native""#,
        sections: r#"
[server]
base_path = ""

[store]
url = "none"

[runs]
sse_heartbeat = "150ms"
client_tool_result_timeout = "400ms"
tool_approval_timeout = "400ms"
"#,
        plugins: r"
config = { tools = true }
",
        agents: AGENTS,
    },
    Target {
        name: "c",
        port: 4103,
        files: &[],
        script: r#"script = "native""#,
        sections: r#"
[server]
base_path = "http://localhost:4103/api"

[runs]
on_request_disconnect = "continue"
"#,
        plugins: r"
config = { tools = true }
",
        agents: AGENTS,
    },
    Target {
        name: "d",
        port: 4104,
        files: &[],
        script: r#"script = "native""#,
        sections: r#"
[server]
base_path = "/api"
secret = "s3cret"
"#,
        plugins: r#"
config = { tools = true, spy = true }

[[plugins.load]]
name = "auth"
config = { keys = [{ key = "k1", subject = "k1" }] }

[[plugins.load]]
name = "ip-allowlist"
config = { allow = ["127.0.0.1", "10.0.0.0/8"], headers = ["x-forwarded-for"] }

[[plugins.load]]
name = "rate-limit"

[[plugins.load.config.rules]]
max = 3
window = "600s"
key = ["header:x-user"]
absent = "anon"
"#,
        agents: AGENTS,
    },
    Target {
        name: "e",
        port: 4105,
        files: &[],
        script: r#"script = "native""#,
        sections: r#"
[server]
base_path = ""
"#,
        plugins: r"
config = { tools = true, editor = true, bad_guard = true }
",
        agents: AGENTS,
    },
    Target {
        name: "f",
        port: 4106,
        files: &[],
        script: r#"script = "native""#,
        sections: r#"
[server]
base_path = ""

[store]
url = "none"
"#,
        plugins: r"
config = { tools = true }
",
        agents: r#"
[tools]
shared = ["add"]

[agents.plain]
model = "scripted/fake-1"
"#,
    },
];

/// The targets of the chat API.
pub const RA: [Target; 2] = [
    Target {
        name: "open",
        port: 4301,
        files: CHAT_FILES,
        script: r#"script = "marker", probe = true"#,
        sections: "",
        plugins: r#"
config = { workspace = true }

[[plugins.load]]
name = "chat-api"
"#,
        agents: CHAT_AGENT,
    },
    Target {
        name: "token",
        port: 4302,
        files: CHAT_FILES,
        script: r#"script = "marker", probe = true"#,
        sections: "",
        plugins: r#"
config = { workspace = true }

[[plugins.load]]
name = "chat-api"
config = { token = "secret" }
"#,
        agents: CHAT_AGENT,
    },
];

/// The targets of the system whose API `runs-api` speaks.
pub const OPERATIVUS: [Target; 2] = [
    Target {
        name: "main",
        port: 4501,
        files: &[],
        script: OPERATIVUS_SCRIPT,
        sections: "",
        plugins: operativus_plugins!(),
        agents: OPERATIVUS_AGENTS,
    },
    Target {
        name: "limited",
        port: 4502,
        files: &[],
        script: OPERATIVUS_SCRIPT,
        sections: "",
        plugins: concat!(
            operativus_plugins!(),
            r#"
[[plugins.load]]
name = "rate-limit"
config = { rules = [{ max = 3, window = "1s", key = ["principal"] }] }
"#
        ),
        agents: OPERATIVUS_AGENTS,
    },
];

/// The target of the system whose API `expose` speaks.
pub const PURISTA: [Target; 1] = [Target {
    name: "main",
    port: 4401,
    files: &[],
    script: r#"script = "marker", probe = true"#,
    sections: r#"
[server]
base_path = "/api"
body_limit = "1 MiB"
"#,
    plugins: concat!(
        r#"
config = { tickets = true }

[[plugins.load]]
name = "auth"

[plugins.load.config]
header = "authorization"
keys = [{ key = "Bearer good", subject = "user-1", tenant = "tenant-a" }]

[[plugins.load]]
name = "expose"
grants = ["agents", "jobs", "runs"]

[plugins.load.config]
service = "support"
"#,
        exposed!(
            "triageTicket",
            r#"path = "agents/triage-ticket""#,
            triage!()
        ),
        exposed!(
            "publicTriage",
            r#"path = "agents/public-triage"
public = true"#,
            triage!()
        ),
        exposed!("triageNoOut", r#"path = "agents/no-output""#, ""),
        exposed!(
            "supportAgent",
            r#"path = "agents/support"
mode = "stream""#,
            answer!()
        ),
        exposed!(
            "harnessAgent",
            r#"path = "agents/harness"
mode = "stream""#,
            answer!()
        ),
        exposed!(
            "longAgent",
            r#"path = "agents/support-long"
mode = "accepted"
status_url = "/agents/support/runs/:jobId"
max_attempts = 2"#,
            triage!()
        ),
        exposed!(
            "longAgent2",
            r#"path = "agents/support-long2"
mode = "accepted"
status_url = "/agents/support/runs/:jobId"
max_attempts = 2"#,
            ""
        ),
    ),
    agents: "",
}];

const OPERATIVUS_SCRIPT: &str = r#"script = "marker", probe = true, tools = [
    { name = "get_stock_price", arguments = { ticker = "string" }, answer = "875.40" },
    { name = "transfer_funds", arguments = { amount = "number" }, answer = "transferred {amount}", approval = true, counted_as = "transfers" },
]"#;

const OPERATIVUS_AGENTS: &str = r#"
[agents.finance_agent]
description = "Knows prices and moves money"
model = "scripted/fake-1"
tools = ["get_stock_price", "transfer_funds"]

[agents.web_agent]
description = "Reads the web"
model = "scripted/fake-1"

[agents.retired_agent]
description = "Has done its work"
model = "scripted/fake-1"
"#;

const CHAT_FILES: &[(&str, &str)] = &[
    ("note.txt", "hello from file\n"),
    ("other.txt", "another file\n"),
];

const CHAT_AGENT: &str = r#"
[agents.chat]
model = "scripted/fake-1"
instructions = "You are a test agent."
tools = ["Read", "Bash", "AskUserQuestion"]
max_steps = 5
"#;

const AGENTS: &str = r#"
[agents.assistant]
model = "scripted/fake-1"
instructions = "Be brief."
tools = ["add", "boom", "boom_throw", "emitter", "slow_tool"]

[agents.plain]
model = "scripted/fake-1"

[agents.interactive]
model = "scripted/fake-1"
tools = ["add", "confirm", "wipe", "wipe_fast", "maybe", "confirm_gate"]

[agents.extractor]
model = "scripted/fake-1"

[agents.extractor.output_schema]
type = "object"
properties = { name = { type = "string" } }
required = ["name"]
additionalProperties = false

[agents.ctx]
model = "scripted/fake-1"
instructions = "User {{context.userId}}"

[agents.ctx.context_schema]
type = "object"
properties = { userId = { type = "string" } }
required = ["userId"]
additionalProperties = false

[agents.looper]
model = "scripted/fake-1"
tools = ["add"]
max_steps = 2
"#;

// === impl Target ===

impl Target {
    /// The target of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn named(name: &str) -> Self {
        BETTER_AGENT
            .into_iter()
            .chain(OPERATIVUS)
            .chain(RA)
            .find(|it| it.name == name)
            .unwrap_or_else(|| panic!("there is no target {name:?}"))
    }

    /// Its `config.toml`; the port is laid over it by a variable.
    pub fn config(&self, plugin_dir: &Path) -> String {
        let mut config = self.sections.trim_start().to_owned();
        // Writing to a string cannot fail. A JSON text is a TOML text too.
        let dir = serde_json::json!(plugin_dir.to_string_lossy());
        let _ = write!(
            config,
            r#"
[plugins]
dir = {dir}

[[plugins.load]]
name = "scripted"
library = "scripted_model"
config = {{ {} }}

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"{}{}"#,
            self.script, self.plugins, self.agents
        );
        config
    }
}
