//! Tools: one for each thing that can happen to a call.

mod add;
mod approved;
mod client;
mod failing;
mod working;
mod workspace;

use mortise_plugin_api::prelude::*;

pub(crate) fn register(registrar: &mut Registrar) {
    registrar
        .tool(add::Add)
        .tool(failing::Boom)
        .tool(failing::BoomThrow)
        .tool(working::Emitter)
        .tool(working::SlowTool)
        .client_tool(client::confirm())
        .tool(approved::Wipe)
        .tool(approved::WipeFast)
        .tool(approved::Maybe)
        .client_tool(client::confirm_gate());
}

pub(crate) fn register_workspace(registrar: &mut Registrar) {
    registrar.tool(workspace::Read).tool(workspace::Bash);
}
