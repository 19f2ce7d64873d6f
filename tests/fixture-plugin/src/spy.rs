//! Remembers what guards are told of each request that wants something of an agent.

use std::sync::{Arc, Mutex, PoisonError};

use mortise_plugin_api::prelude::*;

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Value>>>);

struct Spy {
    seen: Seen,
}

pub(crate) fn register(registrar: &mut Registrar) {
    let seen = Seen::default();
    let shown = seen.clone();
    registrar.hook(Spy { seen }).mount(
        Mount::at_base().endpoint(
            Endpoint::get("/spy", move |_| {
                let response = Response::json(&shown.all());
                async { response }
            })
            .public(),
        ),
    );
}

impl Hook for Spy {
    fn info(&self) -> HookInfo {
        HookInfo::new("spy").on(Stage::Guard).answers_at_once()
    }

    fn guard_now(&self, request: &Request) -> Result<GuardVerdict> {
        if concerns_an_agent(request.kind()) {
            self.seen.add(json!({
                "mode": request.kind().as_str(),
                "agentName": request.agent(),
                "input": request.json_body(),
            }));
        }
        Ok(GuardVerdict::Pass)
    }
}

fn concerns_an_agent(kind: RequestKind) -> bool {
    matches!(
        kind,
        RequestKind::Run
            | RequestKind::Stream
            | RequestKind::LoadConversation
            | RequestKind::ResumeStream
            | RequestKind::ResumeConversation
            | RequestKind::AbortRun
            | RequestKind::ToolResult
            | RequestKind::ToolApproval
    )
}

// === impl Seen ===

impl Seen {
    fn all(&self) -> Vec<Value> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn add(&self, request: Value) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
    }
}
