//! Jobs: runs that are accepted now and done later, over HTTP and through a plugin.

mod attempts;
mod cancelling;
mod order;
mod owners;
mod plugins;
mod restart;

use std::fs;
use std::path::Path;

use integration_tests::{Server, ServerBuilder};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

use crate::support::eventually;

/// Four agents: one that only speaks, two with tools, one that asks first. Tools leave their lines in
/// `traces`, the plugin what it hears of jobs in `heard`.
const CONFIG: &str = r#"
[server]
shutdown_grace = "1s"

[jobs]
agents = { pair = 2 }

[[plugins.load]]
name = "scripted"
library = "scripted_model"

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = { trace = "traces", clerk = "heard" }

[agents.plain]
model = "scripted/fake-1"

[agents.worker]
model = "scripted/fake-1"
tools = ["trace", "trace_approved"]

[agents.pair]
model = "scripted/fake-1"
tools = ["trace"]
"#;

/// A tool call that is at work for longer than any test.
const FOR_LONG: &str = r#"call trace {"ms":600000}"#;

fn start() -> Server {
    ServerBuilder::new(CONFIG).start()
}

/// Enqueues a job with an agent and returns it.
#[track_caller]
fn enqueue(server: &Server, agent: &str, input: &str) -> Value {
    enqueue_with(server, agent, input, json!({}))
}

/// The same with more in the body.
#[track_caller]
fn enqueue_with(server: &Server, agent: &str, input: &str, more: Value) -> Value {
    let mut body = more;
    body["input"] = input.into();
    server
        .post(&format!("/api/-/agents/{agent}/jobs"))
        .json(&body)
        .send()
        .expect(202)
        .json()
}

#[track_caller]
fn job(server: &Server, job: &Value) -> Value {
    let target = format!("/api/-/jobs/{}", id(job));
    server.get(&target).send().expect(200).json()
}

#[track_caller]
fn id(job: &Value) -> &str {
    job["id"].as_str().expect("a job has an id")
}

/// The job, once it stands so.
#[track_caller]
fn once(server: &Server, wanted: &Value, state: &str) -> Value {
    eventually(|| {
        let job = job(server, wanted);
        let is_over = job.get("completedAt").is_some();
        assert!(
            !is_over || job["state"] == state,
            "it did not become {state}: {job}"
        );
        (job["state"] == state).then_some(job)
    })
}

#[track_caller]
fn cancel(server: &Server, job: &Value, status: u16) {
    let target = format!("/api/-/jobs/{}", id(job));
    let _ = server.request("DELETE", &target).send().expect(status);
}

/// Asks the database of a server, which need not run.
#[track_caller]
fn query(server: &Path, sql: &'static str) -> Option<String> {
    let url = format!("sqlite:{}", server.join("data/mortise.db").display());
    let asked = async {
        let mut database = SqliteConnection::connect(&url).await?;
        let row = sqlx::query_scalar(sql)
            .fetch_optional(&mut database)
            .await?;
        database.close().await?;
        Ok::<_, sqlx::Error>(row)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let answer = runtime.expect("there is room for it").block_on(asked);
    answer.expect("the database can be asked")
}

/// The lines that tools have left: of each, the run that called it.
fn traces(server: &Server) -> Vec<String> {
    let text = fs::read_to_string(server.folder().join("traces")).unwrap_or_default();
    let runs = text.lines().filter_map(|line| line.split(' ').next());
    runs.map(str::to_owned).collect()
}

/// The lines, once there are so many.
#[track_caller]
fn traced(server: &Server, count: usize) -> Vec<String> {
    let traces = eventually(|| Some(traces(server)).filter(|it| it.len() >= count));
    assert_eq!(traces.len(), count, "{traces:?}");
    traces
}

/// What the plugin has heard: the ids of events, with their names.
fn heard(server: &Server) -> Vec<Value> {
    let text = fs::read_to_string(server.folder().join("heard")).unwrap_or_default();
    // A line that is being written is no JSON yet.
    let lines = text
        .lines()
        .map_while(|line| serde_json::from_str(line).ok());
    lines.collect()
}

/// What the plugin has heard under this id, once it has.
#[track_caller]
fn heard_of(server: &Server, job: &Value, state: &str) -> Value {
    let event_id = format!("{}:{state}", id(job));
    eventually(|| heard(server).into_iter().find(|it| it["id"] == *event_id))
}
