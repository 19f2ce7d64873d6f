//! One run, any wire: what begins in one dialect is watched, decided and ended in others.

mod clients;
mod parts;
mod property;
mod shown;
mod together;

use integration_tests::{Server, ServerBuilder};

/// The secret of the server and the token of the chat: who presents either is the operator.
const TOKEN: &str = "s3cret";

/// The dialects and the native API, with one agent that moves money and asks.
const WIRES: &str = r#"
[server]
secret = "s3cret"

[runs]
on_request_disconnect = "continue"
tool_approval_timeout = "20s"
client_tool_result_timeout = "20s"

[[plugins.load]]
name = "chat-api"
config = { agent = "clerk", token = "s3cret" }

[[plugins.load]]
name = "runs-api"
grants = ["agents", "conversations", "runs"]
config = { cancel_on_disconnect = false }

[[plugins.load]]
name = "expose"
grants = ["agents", "jobs", "runs"]

[[plugins.load.config.endpoints]]
agent = "clerk"
name = "waits"
path = "clerk/wait"
input = "{{ payload.text }}"
conversation = "{{ payload.session }}"

[[plugins.load.config.endpoints]]
agent = "clerk"
name = "streams"
path = "clerk/stream"
mode = "stream"
input = "{{ payload.text }}"
conversation = "{{ payload.session }}"

[[plugins.load.config.endpoints]]
agent = "clerk"
name = "later"
path = "clerk/later"
mode = "accepted"
input = "{{ payload.text }}"
conversation = "{{ payload.session }}"

[[plugins.load]]
name = "scripted"
library = "scripted_model"

[plugins.load.config]
script = "marker"
probe = true
tools = [
    { name = "transfer", arguments = { amount = "number" }, answer = "moved {amount}", approval = true, counted_as = "transfers" },
]

[agents.clerk]
model = "scripted/fake-1"
tools = ["transfer", "AskUserQuestion"]
"#;

/// A prompt that makes the model move money, which somebody has to approve.
const TRANSFER: &str = r#"[think] [tool:transfer {"amount":5}]"#;

fn start() -> Server {
    ServerBuilder::new(WIRES).start().with_token(TOKEN)
}

/// How often money was moved.
#[track_caller]
fn transfers(server: &Server) -> u64 {
    let probe = server.anonymous("GET", "/api/probe").send().expect(200);
    probe.json()["transfers"].as_u64().unwrap_or_default()
}
