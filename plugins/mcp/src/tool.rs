//! The tools of a server, for agents.

use std::sync::Arc;

use mortise_plugin_api::prelude::*;
use rmcp::model::{
    CallToolRequestParams, GetPromptRequestParams, JsonObject, PaginatedRequestParams,
    ReadResourceRequestParams, ServerCapabilities,
};

use crate::config::Settings;
use crate::line::Line;
use crate::naming::Names;
use crate::pattern;
use crate::result;

/// A tool of a server, or one that reads its resources and prompts.
pub(crate) struct McpTool {
    line: Arc<Line>,
    info: ToolInfo,
    kind: Kind,
}

enum Kind {
    /// A tool of the server, by the server's name for it.
    Own(String),
    ListResources,
    ReadResource,
    ListPrompts,
    GetPrompt,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Page {
    /// The `nextCursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfResource {
    /// The URI of the resource.
    uri: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfPrompt {
    /// The name of the prompt.
    name: String,
    /// What the prompt wants to know.
    #[serde(default)]
    arguments: JsonObject,
}

/// What of a server is offered to agents.
pub(crate) fn offered(
    settings: &Settings,
    line: &Arc<Line>,
    capabilities: &ServerCapabilities,
    tools: Vec<rmcp::model::Tool>,
) -> Vec<McpTool> {
    let mut offered = Vec::new();
    let mut names = Names::default();
    let mut offer = |own: &str, mut info: ToolInfo, kind: Kind| {
        info.name = names.give(&settings.prefix, own);
        info = info.with_path(format!("{}.{own}", settings.name));
        if pattern::any(&settings.approve, own) {
            info = info.with_approval();
        }
        let line = Arc::clone(line);
        offered.push(McpTool { line, info, kind });
    };
    for tool in tools {
        let own = tool.name.into_owned();
        if !pattern::any(&settings.allow, &own) || pattern::any(&settings.deny, &own) {
            continue;
        }
        let description = tool.description.map(Into::into).or(tool.title);
        let schema = Value::Object(JsonObject::clone(&tool.input_schema));
        let info = ToolInfo::of_schema("", description.unwrap_or_default(), schema);
        offer(&own, info, Kind::Own(own.clone()));
    }
    let server = &settings.name;
    if settings.resources && capabilities.resources.is_some() {
        let says = format!("Lists what can be read of '{server}'");
        let info = ToolInfo::new::<Page>("", says).idempotent();
        offer("list_resources", info, Kind::ListResources);
        let says = format!("Reads a resource of '{server}'");
        let info = ToolInfo::new::<OfResource>("", says).idempotent();
        offer("read_resource", info, Kind::ReadResource);
    }
    if settings.prompts && capabilities.prompts.is_some() {
        let says = format!("Lists the prompts of '{server}' and their arguments");
        let info = ToolInfo::new::<Page>("", says).idempotent();
        offer("list_prompts", info, Kind::ListPrompts);
        let says = format!("Gets a prompt of '{server}', filled in");
        let info = ToolInfo::new::<OfPrompt>("", says).idempotent();
        offer("get_prompt", info, Kind::GetPrompt);
    }
    offered
}

// === impl McpTool ===

impl Tool for McpTool {
    fn info(&self) -> ToolInfo {
        self.info.clone()
    }

    async fn call(&self, run: RunContext, arguments: Value) -> Result<Value> {
        let (line, server) = (&self.line, self.line.server());
        match &self.kind {
            Kind::Own(name) => {
                let mut params = CallToolRequestParams::new(name.clone());
                match arguments {
                    Value::Object(arguments) => params = params.with_arguments(arguments),
                    Value::Null => {}
                    _ => return Err(Error::invalid("The arguments must be an object.")),
                }
                let ask = |peer: rmcp::Peer<_>| async move { peer.call_tool_once(params).await };
                result::of_tool(server, line.ask(&run, ask).await?)
            }
            Kind::ListResources => {
                let Page { cursor } = read_arguments(arguments)?;
                let is_first = cursor.is_none();
                let params = page(cursor);
                let listed = line
                    .ask(&run, |peer| async move {
                        let listed = peer.list_resources(Some(params)).await?;
                        // Not every server has templates, or says so.
                        let templates = match peer.list_resource_templates(None).await {
                            Ok(templates) if is_first => templates.resource_templates,
                            _ => Vec::new(),
                        };
                        Ok((listed, templates))
                    })
                    .await?;
                let (listed, templates) = listed;
                let list = json!({
                    "resources": listed.resources,
                    "templates": templates,
                    "nextCursor": listed.next_cursor,
                });
                result::of_list(server, list)
            }
            Kind::ReadResource => {
                let OfResource { uri } = read_arguments(arguments)?;
                let params = ReadResourceRequestParams::new(uri);
                let ask =
                    |peer: rmcp::Peer<_>| async move { peer.read_resource_once(params).await };
                result::of_resource(server, line.ask(&run, ask).await?)
            }
            Kind::ListPrompts => {
                let Page { cursor } = read_arguments(arguments)?;
                let params = page(cursor);
                let ask =
                    |peer: rmcp::Peer<_>| async move { peer.list_prompts(Some(params)).await };
                let listed = line.ask(&run, ask).await?;
                let list = json!({ "prompts": listed.prompts, "nextCursor": listed.next_cursor });
                result::of_list(server, list)
            }
            Kind::GetPrompt => {
                let OfPrompt { name, arguments } = read_arguments(arguments)?;
                let params = GetPromptRequestParams::new(name).with_arguments(arguments);
                let ask = |peer: rmcp::Peer<_>| async move { peer.get_prompt_once(params).await };
                result::of_prompt(server, line.ask(&run, ask).await?)
            }
        }
    }
}

fn page(cursor: Option<String>) -> PaginatedRequestParams {
    let mut params = PaginatedRequestParams::default();
    params.cursor = cursor;
    params
}
