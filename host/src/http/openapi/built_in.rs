//! The server's own routes, in the order of the router.

use http::Method;
use serde_json::{Map, Value, json};

use super::parts::{
    agent_parameter, answer, any_agent, body, conversation_parameter, cursor_parameter, events,
    nothing, number, path_parameter, query_parameter, refusal, schema_named,
};
use super::references::Mover;
use super::refusals::{self, Form};
use super::security::Security;
use super::{Document, shapes};
use crate::http::handlers::{self, DOCUMENT, Handler, PROBES};
use crate::runtime::{AgentSummary, ToolSummary};
use crate::schema::escaped;

/// What routes that read a body may refuse it with.
const BODY: [u16; 2] = [415, 422];

/// What becomes of runs and calls of tools, besides.
const FAILED: [u16; 7] = [404, 409, 429, 499, 502, 503, 504];

/// The routes below the base path, with it.
pub(super) fn routes(
    base_path: &str,
) -> impl Iterator<Item = (&'static Method, String, Handler)> + use<'_> {
    let routes = handlers::routes();
    routes.map(move |(method, path, handler)| (method, format!("{base_path}{path}"), handler))
}

/// All of them, with these agents and tools.
pub(super) fn paths(
    document: &Document,
    agents: &[AgentSummary],
    tools: &[ToolSummary],
) -> Map<String, Value> {
    let mut paths = Map::new();
    let mut add = |method: &Method, path: &str, mut operation: Value, is_protected: bool| {
        settle(&mut operation, &document.security, is_protected);
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[method.as_str().to_ascii_lowercase()] = operation;
    };
    for (method, path, handler) in routes(&document.base_path) {
        match handler {
            Handler::Run => {
                for agent in agents {
                    let path = path.replace("{name}", &agent.name);
                    add(method, &path, run(agent, &path), true);
                }
            }
            Handler::EnqueueJob => {
                for agent in agents {
                    let path = path.replace("{name}", &agent.name);
                    add(method, &path, enqueue(agent, &path), true);
                }
            }
            Handler::ExecuteTool => {
                for tool in tools {
                    let path = path.replace("{tool}", &tool.name);
                    add(method, &path, execute(tool, &path), true);
                }
            }
            other => add(method, &path, operation(other, agents), true),
        }
    }
    add(&Method::GET, DOCUMENT, show_document(), !document.is_open);
    for path in PROBES {
        add(&Method::GET, path, probe(path), false);
    }
    paths
}

/// What holds for all of them.
fn settle(operation: &mut Value, security: &Security, is_protected: bool) {
    let Value::Object(operation) = operation else {
        return;
    };
    let asks = is_protected && !security.alternatives.is_empty();
    let mut statuses = refusals::ALWAYS.to_vec();
    if asks {
        operation.insert("security".to_owned(), json!(security.alternatives));
        statuses.push(401);
    }
    let in_path = |it: &Value| it["in"] == "path";
    let parameters = operation.get("parameters").and_then(Value::as_array);
    if parameters.is_some_and(|it| it.iter().any(in_path)) {
        statuses.push(404);
    }
    if operation.contains_key("requestBody") {
        statuses.extend(BODY);
    }
    operation.entry("tags").or_insert_with(|| json!(["server"]));
    let responses = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut);
    if let Some(responses) = responses {
        refusals::add(responses, &statuses, &Form::Native);
        if is_protected && security.has_guards {
            refusals::add_guards(responses);
        }
    }
}

fn operation(handler: Handler, agents: &[AgentSummary]) -> Value {
    let own_agent = || agent_parameter(agents);
    match handler {
        Handler::LoadConversation => json!({
            "operationId": "loadConversation",
            "summary": "What is stored of a conversation",
            "parameters": [own_agent(), conversation_parameter()],
            "responses": {
                "200": answer("The items", &shapes::list_of("items", "Item")),
                "204": nothing("Nothing is stored."),
                "422": refusal("VALIDATION_FAILED"),
            },
        }),
        Handler::ResumeStream => resume_stream(),
        Handler::ResumeConversation => json!({
            "operationId": "resumeConversation",
            "summary": "The events of the run that a conversation has at present",
            "parameters": [own_agent(), conversation_parameter(), cursor_parameter()],
            "responses": {
                "200": events("The events"),
                "204": nothing("There is no such run."),
                "422": refusal("VALIDATION_FAILED"),
            },
        }),
        Handler::AbortRun => json!({
            "operationId": "abortRun",
            "summary": "Ends a run",
            "parameters": [any_agent(), path_parameter("runId", "The run.")],
            "responses": { "204": nothing("Whether there was such a run or not.") },
        }),
        Handler::ToolResult => json!({
            "operationId": "submitToolResult",
            "summary": "The client's answer to a call of a client tool",
            "parameters": [any_agent()],
            "requestBody": body(&schema_named("ToolResult")),
            "responses": { "204": nothing("The run goes on.") },
        }),
        Handler::ToolApproval => json!({
            "operationId": "submitToolApproval",
            "summary": "Whether a tool may be called",
            "parameters": [any_agent()],
            "requestBody": body(&schema_named("ToolApproval")),
            "responses": { "204": nothing("It is decided.") },
        }),
        Handler::ListAgents => json!({
            "operationId": "listAgents",
            "summary": "The agents that may be run",
            "responses": { "200": answer("The agents", &shapes::list_of("agents", "Agent")) },
        }),
        Handler::ListRuns => list_runs(),
        Handler::ShowRun => json!({
            "operationId": "showRun",
            "summary": "How a run stands",
            "parameters": [path_parameter("runId", "The run.")],
            "responses": { "200": answer("The run", &schema_named("Run")) },
        }),
        Handler::ListJobs => list_jobs(),
        Handler::ShowJob => show_job(),
        Handler::CancelJob => cancel_job(),
        Handler::ListApprovals => json!({
            "operationId": "listApprovals",
            "summary": "The calls that wait for a decision",
            "parameters": [query_parameter(
                "state",
                "Only these can be listed.",
                &json!({ "enum": ["pending"] }),
            )],
            "responses": {
                "200": answer("The calls", &shapes::list_of("approvals", "Approval")),
                "422": refusal("VALIDATION_FAILED"),
            },
        }),
        Handler::ShowUsage => json!({
            "operationId": "showUsage",
            "summary": "What one has used, day by day",
            "parameters": [query_parameter("days", "So many days.", &number(1, 366, 30))],
            "responses": {
                "200": answer("The days", &shapes::list_of("days", "UsageOfDay")),
                "422": refusal("VALIDATION_FAILED"),
            },
        }),
        Handler::DeleteConversation => json!({
            "operationId": "deleteConversation",
            "summary": "Forgets a conversation",
            "parameters": [own_agent(), conversation_parameter()],
            "responses": {
                "204": nothing("It is forgotten."),
                "422": refusal("VALIDATION_FAILED"),
            },
        }),
        // One for each agent, one for each tool, and at the root.
        Handler::Run | Handler::EnqueueJob | Handler::ExecuteTool | Handler::ShowDocument => {
            Value::Null
        }
    }
}

fn list_runs() -> Value {
    let conversation = json!({ "type": "string" });
    let state = json!({ "enum": ["running", "finished", "failed", "aborted"] });
    let mut listed = page_of("runs", "Run", &state);
    listed["operationId"] = "listRuns".into();
    if let Some(parameters) = listed["parameters"].as_array_mut() {
        let name = "conversationId";
        parameters.push(query_parameter(
            name,
            "Of this conversation.",
            &conversation,
        ));
    }
    listed
}

fn list_jobs() -> Value {
    let mut listed = page_of("jobs", "Job", &schema_named("JobState"));
    listed["operationId"] = "listJobs".into();
    listed
}

/// A list of one's own, page by page.
fn page_of(what: &str, schema: &str, state: &Value) -> Value {
    let text = json!({ "type": "string" });
    json!({
        "summary": format!("One's own {what}, the youngest first"),
        "parameters": [
            query_parameter("agent", "Of this agent.", &text),
            query_parameter("state", "Which stand so.", state),
            query_parameter("limit", "At most so many.", &number(1, 200, 50)),
            query_parameter("before", "The `next` of the page before.", &text),
        ],
        "responses": {
            "200": answer(&format!("A page of {what}"), &shapes::page_of(what, schema)),
            "422": refusal("VALIDATION_FAILED"),
        },
    })
}

fn show_job() -> Value {
    json!({
        "operationId": "showJob",
        "summary": "How a job stands",
        "parameters": [path_parameter("jobId", "The job.")],
        "responses": { "200": answer("The job", &schema_named("Job")) },
    })
}

fn cancel_job() -> Value {
    json!({
        "operationId": "cancelJob",
        "summary": "Cancels a job and aborts its run",
        "parameters": [path_parameter("jobId", "The job.")],
        "responses": {
            "204": nothing("It is cancelled."),
            "409": refusal("CONFLICT"),
        },
    })
}

fn resume_stream() -> Value {
    json!({
        "operationId": "resumeStream",
        "summary": "The events of a streamed run, from a cursor on",
        "parameters": [
            any_agent(),
            {
                "name": "streamId",
                "in": "query",
                "required": true,
                "description": "The id of the run.",
                "schema": { "type": "string", "pattern": "\\S" },
            },
            cursor_parameter(),
        ],
        "responses": {
            "200": events("The events; none where there is no such run."),
            "204": nothing("Streams are not kept."),
            "422": refusal("VALIDATION_FAILED"),
        },
    })
}

fn run(agent: &AgentSummary, path: &str) -> Value {
    // Somebody has to be asked in between, which only a stream can.
    let is_interactive = agent
        .tools
        .iter()
        .any(|tool| tool.target == "client" || tool.approval);
    let mut answered = json!({
        "description": "What the agent answers; events where `accept` holds `text/event-stream`.",
        "headers": {
            "x-run-id": { "description": "Of a stream.", "schema": { "type": "string" } },
            "x-stream-id": { "description": "Of a stream.", "schema": { "type": "string" } },
        },
        "content": {
            "application/json": { "schema": shapes::run_answer(agent) },
            "text/event-stream": { "schema": schema_named("StreamedEvent") },
        },
    });
    if is_interactive {
        answered["description"] = json!(
            "The events. The agent may have to ask somebody: without `accept: text/event-stream` \
             the answer is 400."
        );
        answered["content"] =
            json!({ "text/event-stream": { "schema": schema_named("StreamedEvent") } });
    }
    let mut operation = json!({
        "operationId": format!("run:{}", agent.name),
        "summary": format!("Runs the agent {}", agent.name),
        "description": agent.description,
        "tags": ["agents"],
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "The same request with the same key gets the first run again.",
                "schema": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 255,
                    "pattern": "^[!-~](?:[\\t -~]*[!-~])?$",
                },
            },
            query_parameter(
                "ids",
                "With 1, events of a stream have ids.",
                &json!({ "type": "string" }),
            ),
        ],
        "requestBody": body(&shapes::run_body(agent)),
        "responses": { "200": answered },
    });
    add_failures(&mut operation);
    keep_references(
        &mut operation,
        path,
        &[
            "/requestBody/content/application~1json/schema/properties/context",
            "/responses/200/content/application~1json/schema/properties/structured",
        ],
    );
    operation
}

fn enqueue(agent: &AgentSummary, path: &str) -> Value {
    let mut accepted = answer("The job, which waits for a worker", &schema_named("Job"));
    accepted["headers"] = json!({
        "location": { "description": "Where it is found.", "schema": { "type": "string" } },
    });
    let mut operation = json!({
        "operationId": format!("enqueueJob:{}", agent.name),
        "summary": format!("Runs the agent {} later", agent.name),
        "tags": ["jobs"],
        "requestBody": body(&shapes::job_body(agent)),
        "responses": { "202": accepted },
    });
    let context = "/requestBody/content/application~1json/schema/properties/context";
    keep_references(&mut operation, path, &[context]);
    operation
}

fn execute(tool: &ToolSummary, path: &str) -> Value {
    let mut operation = json!({
        "operationId": format!("executeTool:{}", tool.name),
        "summary": format!("Calls the tool {}", tool.name),
        "description": tool.description,
        "tags": ["tools"],
        "requestBody": body(&shapes::tool_body(tool)),
        "responses": { "200": answer("What the tool returns", &shapes::tool_answer()) },
    });
    add_failures(&mut operation);
    let input = "/requestBody/content/application~1json/schema/properties/input";
    keep_references(&mut operation, path, &[input]);
    operation
}

/// Schemas of others refer to themselves.
fn keep_references(operation: &mut Value, path: &str, schemas: &[&str]) {
    let at = format!("/paths/{}/post", escaped(path));
    for inside in schemas {
        if let Some(schema) = operation.pointer_mut(inside) {
            Mover::of_nobody().schema(schema, &format!("{at}{inside}"));
        }
    }
}

fn show_document() -> Value {
    json!({
        "operationId": "showDocument",
        "summary": "This document",
        "responses": { "200": answer("The document", &json!({ "type": "object" })) },
    })
}

fn probe(path: &str) -> Value {
    let name = path.trim_start_matches('/');
    let mut responses = json!({ "200": answer("It does.", &schema_named("Status")) });
    if name == "readyz" {
        responses["503"] = answer(
            "It does not.",
            &json!({
                "anyOf": [schema_named("Status"), schema_named("Error")],
            }),
        );
    }
    json!({
        "operationId": name,
        "summary": if name == "readyz" {
            "Whether the server takes requests"
        } else {
            "Whether the process answers"
        },
        "responses": responses,
    })
}

fn add_failures(operation: &mut Value) {
    if let Some(responses) = operation["responses"].as_object_mut() {
        refusals::add(responses, &FAILED, &Form::Native);
    }
}
