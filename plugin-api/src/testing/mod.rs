//! A fake host, so that a plugin can be tested without a server.
//!
//! [`FakeHost::load`] creates an instance the way the server does; [`Loaded`] then calls what the
//! instance offers: its agents, tools, models, hooks and endpoints. Nothing crosses a boundary, so
//! a panic in the plugin is a panic of the test, with its backtrace.
//!
//! What the fake leaves out: validation of tool arguments against their schemas, approvals, the
//! loop of declared agents, and the order of several hooks.
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
//!                     let title = call.request.param("title").unwrap_or_default();
//!                     let lent = host.state_get(title).await?.is_some();
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
//!         let Book { title } = serde_json::from_value(arguments)?;
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

pub use self::hook::LoadedHook;
pub use self::host::{FakeHost, RecordedMetric};
pub use self::loaded::Loaded;
pub use self::request::FakeRequest;
pub use self::run::Ran;
