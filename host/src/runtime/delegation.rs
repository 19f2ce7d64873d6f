//! Delegation: the tool by which a declared agent hands tasks to other agents, and which agents may
//! hand tasks to which.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use mortise_plugin_api::{ApprovalDecision, Error, Result, RunResult, ToolInfo};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::agents::{AgentError, AgentKind, AgentSpec, ToolBody, ToolEntry, apply, entry};
use crate::config::{Config, did_you_mean};
use crate::plugin::capability::{BoxFuture, RunServices, ToolCapability};

/// The name of the tool.
pub(crate) const TOOL: &str = "delegate_task";

/// The tool of one agent.
struct DelegateTask {
    info: ToolInfo,
    from: Arc<str>,
    targets: Vec<Arc<str>>,
}

/// What a model says when it calls the tool.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Handed {
    task: String,
    target_agents: Vec<String>,
    #[serde(default)]
    context: Map<String, Value>,
}

// === impl DelegateTask ===

impl DelegateTask {
    fn new(from: Arc<str>, targets: Vec<(Arc<str>, String)>) -> Self {
        let mut description =
            "Hands a task to other agents and returns what each of them answers. \
                               They see nothing of this conversation but the task and the context. \
                               The agents:"
                .to_owned();
        for (name, purpose) in &targets {
            description.push_str("\n- ");
            description.push_str(name);
            if !purpose.is_empty() {
                description.push_str(": ");
                description.push_str(purpose);
            }
        }
        let schema = json!({
            "type": "object",
            "properties": {
                "task": { "type": "string", "description": "What is to be done" },
                "targetAgents": {
                    "type": "array",
                    "items": { "type": "string" },
                    "description": "The agents that do it, by name; several work at the same time",
                },
                "context": {
                    "type": "object",
                    "description": "What else they have to know",
                },
            },
            "required": ["task", "targetAgents"],
            "additionalProperties": false,
        });
        Self {
            info: ToolInfo::of_schema(TOOL, description, schema),
            from,
            targets: targets.into_iter().map(|(name, _)| name).collect(),
        }
    }

    /// The agents that are meant, each once.
    fn chosen(&self, wanted: &[String]) -> Vec<Arc<str>> {
        let mut chosen: Vec<Arc<str>> = Vec::new();
        for name in wanted {
            match self.targets.iter().find(|target| ***target == **name) {
                Some(target) if chosen.contains(target) => {}
                Some(target) => chosen.push(Arc::clone(target)),
                None => tracing::warn!(
                    agent = &*self.from,
                    target = name,
                    "a task was to be handed to an agent that is not among `agents`"
                ),
            }
        }
        chosen
    }
}

impl ToolCapability for DelegateTask {
    fn info(&self) -> &ToolInfo {
        &self.info
    }

    fn approval(
        &self,
        _run: Arc<dyn RunServices>,
        _arguments: &Value,
    ) -> BoxFuture<'static, Result<ApprovalDecision>> {
        Box::pin(std::future::ready(Ok(ApprovalDecision::default())))
    }

    fn call(
        &self,
        run: Arc<dyn RunServices>,
        arguments: &Value,
    ) -> BoxFuture<'static, Result<Value>> {
        let handed = match Handed::deserialize(arguments) {
            Ok(handed) => handed,
            Err(error) => return Box::pin(std::future::ready(Err(error.into()))),
        };
        if handed.task.trim().is_empty() {
            let refused = Error::bad_request("Task cannot be empty");
            return Box::pin(std::future::ready(Err(refused)));
        }
        let chosen = self.chosen(&handed.target_agents);
        if chosen.is_empty() {
            let available = self.targets.join(", ");
            let error = format!(
                "Failed to delegate task: No valid target agents found. Available agents: {available}"
            );
            let refused = json!({ "error": error, "status": "error" });
            return Box::pin(std::future::ready(Ok(refused)));
        }
        let from = Arc::clone(&self.from);
        Box::pin(async move {
            let asked = chosen.iter().map(|target| {
                let payload = json!({ "agent": target, "input": handed.told(&from, target) });
                Arc::clone(&run).call("run.agent".to_owned(), payload)
            });
            let answers = join_all(asked).await;
            if run.is_cancelled() {
                return Err(Error::aborted("the run was aborted"));
            }
            let answers = chosen.iter().zip(answers);
            Ok(answers
                .map(|(target, answer)| told_back(target, answer))
                .collect())
        })
    }
}

// === impl Handed ===

impl Handed {
    /// What the other agent is told.
    fn told(&self, from: &str, to: &str) -> String {
        if self.context.is_empty() {
            return self.task.clone();
        }
        let context = Value::Object(self.context.clone());
        format!(
            "Task handed off from {from} to {to}:\n{}\n\nContext: {context}",
            self.task
        )
    }
}

/// What the model reads of an agent's answer. One that fails is no failure of the whole.
fn told_back(target: &str, answer: Result<Value>) -> Value {
    let result = answer.and_then(|result| Ok(RunResult::deserialize(result)?));
    match result {
        Ok(result) => {
            let mut told = json!({
                "agentName": target,
                "response": result.response.text_content(),
                "status": "success",
            });
            if let Some(structured) = result.structured {
                told["structured"] = structured;
            }
            told
        }
        Err(error) => json!({
            "agentName": target,
            "response": format!("Error in {target}: {}", error.message()),
            "status": "error",
            "error": error.message(),
        }),
    }
}

// === who may hand tasks to whom ===

/// Gives declared agents the tool, and refuses agents that do not exist, circles, and rows that are
/// too long.
pub(crate) fn connect(
    agents: &mut BTreeMap<Arc<str>, AgentSpec>,
    config: &Config,
    errors: &mut Vec<AgentError>,
) {
    let edges: Edges = agents
        .iter()
        .filter(|(_, agent)| !agent.agents.is_empty())
        .map(|(name, agent)| (Arc::clone(name), agent.agents.clone()))
        .collect();
    let place = |from: &str, index: usize| match config.agents.get(from) {
        Some(section) if !section.agents.is_empty() => format!("/agents/{from}/agents/{index}"),
        Some(_) => format!("/agents/{from}"),
        // A library's agent that the configuration does not mention.
        None => "/plugins".to_owned(),
    };
    for (from, targets) in &edges {
        for (index, target) in targets.iter().enumerate() {
            if !agents.contains_key(target) {
                let known: Vec<&str> = agents.keys().map(|name| &**name).collect();
                errors.push(AgentError {
                    pointer: place(from, index),
                    message: format!(
                        "the agent '{from}' is to hand tasks to '{target}', which does not exist"
                    ),
                    help: did_you_mean(target, &known, "there are"),
                });
            }
        }
    }
    if errors.is_empty() {
        errors.extend(circle(&edges));
    }
    if errors.is_empty() {
        errors.extend(too_deep(&edges, config.runs.max_agent_depth));
    }
    if !errors.is_empty() {
        return;
    }
    for (from, targets) in edges {
        let purposes = targets.iter().map(|target| {
            let purpose = agents.get(target).map(|agent| agent.description.clone());
            (Arc::clone(target), purpose.unwrap_or_default())
        });
        let tool = DelegateTask::new(Arc::clone(&from), purposes.collect());
        if let Some(agent) = agents.get_mut(&from)
            && let Err(error) = offer(agent, tool, config)
        {
            errors.push(error);
        }
    }
}

type Edges = BTreeMap<Arc<str>, Vec<Arc<str>>>;

fn offer(agent: &mut AgentSpec, tool: DelegateTask, config: &Config) -> Result<(), AgentError> {
    if matches!(agent.kind, AgentKind::Coded(_)) {
        return Ok(());
    }
    let pointer = format!("/agents/{}/agents", agent.name);
    let mut info = tool.info.clone();
    let section = config.tools.named.get(TOOL);
    if let Some(section) = section {
        apply(&mut info, section);
    }
    let tool = Arc::new(entry(info, section, ToolBody::Agents(Arc::new(tool)))?);
    let variants = agent.rules.iter_mut().map(|rule| &mut rule.agent);
    for variant in variants {
        // Nobody else has it yet.
        if let Some(variant) = Arc::get_mut(variant) {
            add(variant, &tool, &pointer)?;
        }
    }
    add(agent, &tool, &pointer)
}

fn add(agent: &mut AgentSpec, tool: &Arc<ToolEntry>, pointer: &str) -> Result<(), AgentError> {
    let refused = |message, help: &str| AgentError {
        pointer: pointer.to_owned(),
        message,
        help: Some(help.to_owned()),
    };
    if let AgentKind::Declared(model) = &agent.kind
        && !model.info().capabilities.tools
    {
        let message = format!(
            "the agent '{}' hands tasks to others, and its model '{}' calls no tools",
            agent.name, model.name
        );
        return Err(refused(message, "choose another model, or remove `agents`"));
    }
    if agent.tool(TOOL).is_some() {
        let message = format!("the agent '{}' would have two tools '{TOOL}'", agent.name);
        return Err(refused(message, "the server's own hands tasks to `agents`"));
    }
    agent.tools.push(Arc::clone(tool));
    Ok(())
}

/// The first circle, if there is one.
fn circle(edges: &Edges) -> Option<AgentError> {
    let mut done = Vec::new();
    edges.keys().find_map(|name| {
        let mut path = vec![Arc::clone(name)];
        circle_from(edges, &mut path, &mut done)
    })
}

fn circle_from(
    edges: &Edges,
    path: &mut Vec<Arc<str>>,
    done: &mut Vec<Arc<str>>,
) -> Option<AgentError> {
    let from = Arc::clone(path.last()?);
    if done.contains(&from) {
        return None;
    }
    for (index, target) in edges.get(&from).into_iter().flatten().enumerate() {
        path.push(Arc::clone(target));
        if let Some(begin) = path[..path.len() - 1].iter().position(|it| it == target) {
            return Some(AgentError {
                pointer: format!("/agents/{from}/agents/{index}"),
                message: format!(
                    "agents hand tasks to each other in a circle: {}",
                    path[begin..].join(" → ")
                ),
                help: Some(format!("remove '{target}' from the `agents` of '{from}'")),
            });
        }
        if let Some(found) = circle_from(edges, path, done) {
            return Some(found);
        }
        path.pop();
    }
    done.push(from);
    None
}

/// The longest row, if it is too long. There are no circles.
fn too_deep(edges: &Edges, limit: u32) -> Option<AgentError> {
    let mut rows = BTreeMap::new();
    let longest = edges.keys().map(|name| row_from(edges, name, &mut rows));
    let longest = longest.max_by_key(Vec::len)?;
    if longest.len() <= limit as usize {
        return None;
    }
    let target = edges[&longest[0]].iter().position(|it| *it == longest[1]);
    Some(AgentError {
        pointer: format!(
            "/agents/{}/agents/{}",
            longest[0],
            target.unwrap_or_default()
        ),
        message: format!(
            "{} agents stand in a row: {}",
            longest.len(),
            longest.join(" → ")
        ),
        help: Some(format!("`runs.max_agent_depth` allows {limit}")),
    })
}

/// The longest row that begins with an agent.
fn row_from(
    edges: &Edges,
    name: &Arc<str>,
    rows: &mut BTreeMap<Arc<str>, Vec<Arc<str>>>,
) -> Vec<Arc<str>> {
    if let Some(row) = rows.get(name) {
        return row.clone();
    }
    let targets = edges.get(name).into_iter().flatten();
    let rest = targets.map(|target| row_from(edges, target, rows));
    let mut row = vec![Arc::clone(name)];
    row.extend(rest.max_by_key(Vec::len).unwrap_or_default());
    rows.insert(Arc::clone(name), row.clone());
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(text: &str) -> Edges {
        let name = |name: &str| Arc::<str>::from(name.trim());
        let lines = text.split(';').filter_map(|line| line.split_once('>'));
        lines
            .map(|(from, targets)| (name(from), targets.split(',').map(name).collect()))
            .collect()
    }

    #[test]
    fn a_circle_is_found_and_named_in_its_order() {
        for (text, circle_of, place) in [
            ("a > a", "a → a", "/agents/a/agents/0"),
            ("a > b; b > c; c > d, b", "b → c → b", "/agents/c/agents/1"),
            ("a > b; b > a", "a → b → a", "/agents/b/agents/0"),
        ] {
            let found = circle(&edges(text)).unwrap();
            assert!(found.message.ends_with(circle_of), "{text}: {found}");
            assert_eq!(found.pointer, place, "{text}");
        }
        assert!(circle(&edges("a > b, c; b > d; c > d; d > e")).is_none());
    }

    #[test]
    fn the_longest_row_counts() {
        let edges = edges("a > b, c; b > d; c > x; d > e");
        assert!(too_deep(&edges, 4).is_none());
        let found = too_deep(&edges, 3).unwrap();
        assert!(found.message.ends_with("a → b → d → e"), "{found}");
        assert_eq!(found.pointer, "/agents/a/agents/0");
    }

    #[test]
    fn a_task_carries_its_context() {
        let arguments = json!({ "task": "write", "targetAgents": [], "context": { "k": "v" } });
        let mut handed = Handed::deserialize(&arguments).unwrap();
        assert_eq!(
            handed.told("Boss", "Writer"),
            "Task handed off from Boss to Writer:\nwrite\n\nContext: {\"k\":\"v\"}"
        );
        handed.context.clear();
        assert_eq!(handed.told("Boss", "Writer"), "write");
    }
}
