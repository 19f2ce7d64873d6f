//! The `[agents.NAME]` sections: the agents that the server offers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AgentName, CapabilityName, Deadline, FreeTable, ModelName, ToolErrorMode, ToolPattern,
};

/// An agent: declared here with a model, or a library's agent under this name.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Agent {
    /// What the agent is for, for people and other agents.
    pub description: Option<String>,
    /// The model that a declared agent thinks with: an alias of `[models]`, or
    /// `"instance/model"`.
    pub model: Option<ModelName>,
    /// The library's agent that is offered under this name, as `"instance/agent"`.
    pub agent: Option<CapabilityName>,
    /// What the model is told first: a template in which `{{ context.key }}` is filled in from the
    /// run's context.
    pub instructions: Option<String>,
    /// The tools that the agent may call; `*` stands for any characters.
    pub tools: Vec<ToolPattern>,
    /// The agents that it may hand tasks to. Its model is offered the tool `delegate_task`.
    pub agents: Vec<AgentName>,
    /// Another model or other tools for some runs: the first rule whose `when` fits holds.
    pub rules: Vec<Rule>,
    /// How many times the model may be asked in one run, those of the agents that it hands tasks to
    /// included. Unset means that there is no limit but `runs.max_duration`.
    #[schemars(range(min = 1))]
    pub max_steps: Option<u32>,
    /// What a failing tool does to the run, unless the tool says it itself. Unset means
    /// `"tool_error"`.
    pub tool_error_mode: Option<ToolErrorMode>,
    /// The JSON Schema of the answer.
    pub output_schema: Option<FreeTable>,
    /// What the model is told the answer is called.
    pub output_name: Option<String>,
    /// Ask the model to keep to the schema exactly.
    pub output_strict: Option<bool>,
    /// What an answer that breaks the schema does to the run.
    pub output_error_mode: OutputErrorMode,
    /// How many times a broken answer may be repaired.
    pub max_repairs: u32,
    /// The JSON Schema of the request's context.
    pub context_schema: Option<FreeTable>,
    /// What is handed to the model with every request. `{ env = "NAME" }` and
    /// `{ file = "path" }` stand for a secret, at any depth.
    pub model_options: FreeTable,
    /// How long a run waits for a client tool. Unset means `runs.client_tool_result_timeout`.
    pub client_tool_result_timeout: Option<Deadline>,
    /// How long a run waits for an approval. Unset means `runs.tool_approval_timeout`.
    pub tool_approval_timeout: Option<Deadline>,
    /// Whether clients may run it; otherwise only code may: other agents, plugins, and a program
    /// that embeds the server.
    pub exposed: bool,
}

/// Another model or other tools for the runs whose context fits.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rule {
    /// What the context has to hold, key by key: a text, a number, true or false, or a list of
    /// those that fit.
    pub when: FreeTable,
    /// The model in place of the agent's own.
    #[serde(default)]
    pub model: Option<ModelName>,
    /// The tools in place of the agent's own.
    #[serde(default)]
    pub tools: Option<Vec<ToolPattern>>,
}

/// What an answer that breaks its schema does to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputErrorMode {
    /// The run fails.
    Throw,
    /// The model is asked again, with what was wrong.
    Repair,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            description: None,
            model: None,
            agent: None,
            instructions: None,
            tools: Vec::new(),
            agents: Vec::new(),
            rules: Vec::new(),
            max_steps: None,
            tool_error_mode: None,
            output_schema: None,
            output_name: None,
            output_strict: None,
            output_error_mode: OutputErrorMode::Throw,
            max_repairs: 1,
            context_schema: None,
            model_options: FreeTable::default(),
            client_tool_result_timeout: None,
            tool_approval_timeout: None,
            exposed: true,
        }
    }
}
