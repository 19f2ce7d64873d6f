//! A fake host, so that a plugin can be tested without a server.
//!
//! [`FakeHost::load`] creates an instance the way the server does; [`Loaded`] then calls what the
//! instance offers: its agents, tools, models, hooks and endpoints. Nothing crosses a boundary, so
//! a panic in the plugin is a panic of the test, with its backtrace.
//!
//! What the fake does not check, and the server does: tool arguments against their schemas, the
//! input and the context of an agent, approvals, whether an agent that is named in a job or a run of
//! the host exists, grants, names that two plugins take, deadlines and sizes. It has no loop of
//! declared agents, no order of several hooks, and no `retry-after` header.
//!
//! # Services
//!
//! [`FakeHost::with_service`] answers what a [`Host`](crate::Host) or [`RunContext`](crate::RunContext)
//! asks of the server, by the name of the service. The payload is what the method was given, with
//! camel case keys; [`FakeHost::calls`] shows each. What the test answers is read as the server's:
//!
//! | service | asked by | payload | answer |
//! |---|---|---|---|
//! | `agents.list`, `agents.get` | [`agents`](crate::Host::agents), [`agent`](crate::Host::agent) | `agent` | [`AgentSummary`](crate::AgentSummary), all or one |
//! | `agents.run` | [`run_agent`](crate::Host::run_agent) | a [`RunRequest`](crate::RunRequest) | a [`RunResult`](crate::RunResult) |
//! | `agents.start` | [`start_agent`](crate::Host::start_agent) | a [`RunRequest`](crate::RunRequest) | the id of the run |
//! | `runs.events` | [`events`](crate::Host::events), [`outcome`](crate::Host::outcome) | `runId`, `after` | `{ events, ended }`, each event with its `seq`, from 0; asked again until `ended` |
//! | `runs.status`, `runs.list` | [`run_status`](crate::Host::run_status), [`runs`](crate::Host::runs) | `runId`; a [`RunQuery`](crate::RunQuery) | [`RunStatus`](crate::RunStatus), one or a list |
//! | `runs.abort`, `runs.leave` | [`abort_run`](crate::Host::abort_run), [`leave_run`](crate::Host::leave_run) | `runId`, `principal` | whether it was running; nothing |
//! | `runs.of_conversation` | [`run_of_conversation`](crate::Host::run_of_conversation) | `agent`, `conversationId`, `principal` | a [`RunStatus`](crate::RunStatus) or null |
//! | `runs.tool_result`, `runs.approval` | [`submit_tool_result`](crate::Host::submit_tool_result), [`submit_approval`](crate::Host::submit_approval) | `runId`, `toolCallId` and the answer | whether it was awaited |
//! | `conversations.load`, `conversations.delete` | [`conversation`](crate::Host::conversation), [`delete_conversation`](crate::Host::delete_conversation) | `agent`, `conversationId`, `principal` | a list of [`Item`](crate::Item) or null; whether there was one |
//! | `run.agent` | [`RunContext::run_agent`](crate::RunContext::run_agent) | `agent`, `input`, `context` | a [`RunResult`](crate::RunResult) |
//! | `run.history` | [`RunContext::history`](crate::RunContext::history) | null | a list of [`Item`](crate::Item) |
//!
//! A run that another agent does:
//!
//! ```
//! use mortise_plugin_api::prelude::*;
//! use mortise_plugin_api::testing::FakeHost;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let host = FakeHost::new("desk")
//!     .with_service("agents.start", |asked| Ok(json!(format!("run of {}", asked["agent"]))))
//!     .with_service("runs.events", |_| Ok(json!({
//!         "events": [{ "seq": 0, "type": "NOTED" }],
//!         "ended": true,
//!     })));
//! let desk = host.host();
//! let run = desk.start_agent(&RunRequest::new("writer", "Hello")).await?;
//! let mut events = desk.events(&run, None);
//! assert_eq!(events.next().await.unwrap()?.event.kind(), "NOTED");
//! assert!(events.next().await.is_none());
//! assert_eq!(host.calls()[0].0, "agents.start");
//! # Ok(())
//! # }
//! ```
//!
//! # An example
//!
//! ```
//! use mortise_plugin_api::prelude::*;
//! use mortise_plugin_api::testing::{FakeHost, FakeRequest};
//!
//! struct Library {
//!     host: Host,
//! }
//!
//! impl Plugin for Library {
//!     type Config = NoConfig;
//!     const NAME: &'static str = "library";
//!     const VERSION: &'static str = "0.1.0";
//!     const GRANTS: &'static [&'static str] = &["state"];
//!
//!     fn create(_config: NoConfig, host: Host) -> Result<Self> {
//!         Ok(Self { host })
//!     }
//!
//!     fn register(&self, registrar: &mut Registrar) {
//!         let host = self.host.clone();
//!         registrar
//!             .agent(Librarian)
//!             .tool(Lend(self.host.clone()))
//!             .mount(Mount::at_base().endpoint(Endpoint::get("/books/:title", move |call| {
//!                 let host = host.clone();
//!                 async move {
//!                     let title = call.request.decoded_param("title").unwrap_or_default();
//!                     let lent = host.state_get(&title).await?.is_some();
//!                     Response::json(&json!({ "title": title, "lent": lent }))
//!                 }
//!             })));
//!     }
//! }
//!
//! struct Lend(Host);
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Book {
//!     title: String,
//! }
//!
//! impl Tool for Lend {
//!     fn info(&self) -> ToolInfo {
//!         ToolInfo::new::<Book>("lend", "Lends a book")
//!     }
//!
//!     async fn call(&self, _run: RunContext, arguments: Value) -> Result<Value> {
//!         let Book { title } = read_arguments(arguments)?;
//!         if !self.0.state_compare_and_set(&title, None, json!(self.0.now_millis())).await? {
//!             return Err(Error::new("CONFLICT", "the book is lent already"));
//!         }
//!         self.0.count("books_lent_total", 1.0, &[]);
//!         Ok(json!({ "lent": title }))
//!     }
//! }
//!
//! struct Librarian;
//!
//! impl Agent for Librarian {
//!     fn info(&self) -> AgentInfo {
//!         AgentInfo::new("librarian", "Lends what it is asked for").with_tool("lend")
//!     }
//!
//!     async fn run(&self, run: RunContext, input: Vec<Item>) -> Result<RunResult> {
//!         let title = input.last().map(Item::text).unwrap_or_default();
//!         run.call_tool("lend", json!({ "title": title })).await?;
//!         run.say("Here you are.").await?;
//!         Ok(RunResult::text("Here you are."))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let host = FakeHost::new("library");
//! let library = host.load::<Library>(json!({}))?;
//!
//! let ran = library.run_agent("librarian", "Emma").await;
//! assert_eq!(ran.text(), "Here you are.");
//! assert_eq!(ran.kinds()[..4], [
//!     "TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT",
//! ]);
//! assert_eq!(ran.result?, RunResult::text("Here you are."));
//!
//! let again = library.call_tool("lend", json!({ "title": "Emma" })).await;
//! assert_eq!(again.unwrap_err().code(), Some("CONFLICT"));
//! assert_eq!(host.metric("books_lent_total"), 1.0);
//!
//! let response = library.call_endpoint(FakeRequest::get("/books/Emma")).await;
//! assert_eq!(response.status(), 200);
//! assert_eq!(response.into_body().text().await?, r#"{"title":"Emma","lent":true}"#);
//! # Ok(())
//! # }
//! ```

mod hook;
mod host;
mod jobs;
mod limits;
mod loaded;
mod request;
mod routes;
mod run;
#[cfg(test)]
mod tests;

pub use self::hook::LoadedHook;
pub use self::host::{FakeHost, RecordedMetric};
pub use self::loaded::Loaded;
pub use self::request::FakeRequest;
pub use self::run::Ran;
