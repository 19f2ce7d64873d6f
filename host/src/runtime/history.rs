//! What there was and what there is, for those who may see it: runs and their events, approvals that
//! wait, and conversations to their end.

use std::sync::Arc;

use mortise_plugin_api::{Principal, TotalUsage};
use serde::Serialize;
use serde_json::Value;

use super::active::ActiveRun;
use super::alias::{self, Named};
use super::api::{Conversation, Resume, RunOutcome};
use super::quota;
use super::reader::Reader;
use super::service::Runtime;
use crate::config::Money;
use crate::store::{
    AnswerKind, ConversationKey, DailyUsage, RunFilter, RunState, StoredRun, Whose,
};

/// Which runs are wanted, the youngest first.
#[derive(Debug, Default)]
pub(crate) struct RunQuery {
    pub(crate) agent: Option<String>,
    pub(crate) conversation_id: Option<String>,
    pub(crate) state: Option<RunState>,
    /// The last run of the page before.
    pub(crate) before: Option<String>,
    pub(crate) limit: u32,
}

/// How a run looks from outside.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunSummary {
    pub(crate) run_id: Arc<str>,
    pub(crate) agent_name: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) conversation_id: Option<String>,
    /// `json` or `stream`.
    pub(crate) answer: &'static str,
    /// `running`, `finished`, `failed` or `aborted`; `queued` for that of a job that has not begun.
    pub(crate) state: &'static str,
    /// In milliseconds since 1970, like all times.
    pub(crate) created_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<TotalUsage>,
}

/// What somebody has used on a day of UTC, as it looks from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageOfDay {
    /// Such as `2026-11-21`.
    pub(crate) day: String,
    pub(crate) runs: u64,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) total_tokens: u64,
    pub(crate) cost: Money,
}

/// A tool call that waits for a decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PendingApproval {
    pub(crate) run_id: Arc<str>,
    pub(crate) agent_name: Arc<str>,
    pub(crate) tool_call_id: String,
    pub(crate) tool_name: String,
    /// The exact arguments that are to be approved.
    pub(crate) tool_input: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) meta: Option<Value>,
    pub(crate) requested_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<u64>,
}

// === impl Runtime ===

impl Runtime {
    /// The runs of this principal, a page of them.
    pub(crate) async fn runs(
        &self,
        query: RunQuery,
        principal: &Arc<Principal>,
    ) -> RunOutcome<Vec<RunSummary>> {
        let filter = RunFilter {
            whose: Whose::Principal(Arc::clone(principal)),
            agent: query.agent,
            conversation_id: query.conversation_id,
            state: query.state,
            before: query.before,
            limit: query.limit,
        };
        let runs = self.engine.store.runs(filter).await?;
        Ok(runs.into_iter().map(RunSummary::from).collect())
    }

    /// The run, if it is this principal's.
    pub(crate) async fn run_summary(
        &self,
        run_id: &str,
        principal: &Principal,
    ) -> RunOutcome<Option<RunSummary>> {
        let run_id = &*match self.named(run_id).await? {
            Named::Run(run_id) => run_id,
            Named::Unbegun(job) => {
                let is_own = self.reaches(&job.job.principal, principal);
                return Ok(is_own.then(|| alias::summary(&job)));
            }
        };
        if let Some(run) = self.active(run_id, principal) {
            let summary = (!run.lineage.is_part()).then(|| RunSummary::from(&*run));
            return Ok(summary);
        }
        let run = self.engine.store.run(run_id).await?;
        let own = run.filter(|run| self.reaches(&run.owner, principal));
        Ok(own.map(RunSummary::from))
    }

    /// The agent of a run, whoever owns it; `None` where there is no such run.
    pub(crate) async fn agent_of(&self, run_id: &str) -> RunOutcome<Option<Arc<str>>> {
        if let Some(job) = self.job_of_alias(run_id).await? {
            return Ok(Some(job.job.agent.into()));
        }
        if let Some(run) = self.engine.active.get(run_id) {
            return Ok(Some(Arc::clone(&run.agent.name)));
        }
        let stored = self.engine.store.run(run_id).await?;
        Ok(stored.map(|run| run.agent))
    }

    /// The log of a run after a cursor, then live.
    pub(crate) async fn resume_stream(
        &self,
        run_id: &str,
        after: Option<u64>,
        principal: &Principal,
    ) -> RunOutcome<Resume> {
        let store = &self.engine.store;
        if !store.keeps().streams {
            return Ok(Resume::NoStore);
        }
        let run_id = &*match self.named(run_id).await? {
            Named::Run(run_id) => run_id,
            Named::Unbegun(job) if self.reaches(&job.job.principal, principal) => {
                let reader = self.engine.reader_of_job(job.job.id, after);
                return Ok(Resume::Reader(reader));
            }
            Named::Unbegun(_) => return Ok(Resume::Unknown),
        };
        if let Some(run) = self.active(run_id, principal) {
            return Ok(
                if run.answer == AnswerKind::Stream && !run.lineage.is_part() {
                    Resume::Reader(Reader::resumed(Arc::clone(&run.log), after))
                } else {
                    Resume::Unknown
                },
            );
        }
        let stored = store.run(run_id).await?;
        Ok(match stored {
            Some(run)
                if run.answer == AnswerKind::Stream && self.reaches(&run.owner, principal) =>
            {
                Resume::Reader(self.engine.stored_reader(&run, after))
            }
            _ => Resume::Unknown,
        })
    }

    /// The active run of a conversation, `None` where there is none; `NOT_FOUND` for an unknown
    /// agent.
    pub(crate) fn resume_conversation(
        &self,
        agent: &str,
        id: &str,
        after: Option<u64>,
        principal: &Principal,
    ) -> RunOutcome<Option<Reader>> {
        let agent = self.agent(agent)?;
        let keeps = self.engine.store.keeps();
        if !keeps.streams || !keeps.runtime_state {
            return Ok(None);
        }
        let run = self
            .engine
            .active
            .of_conversation(&agent.name, id, principal);
        Ok(run.map(|run| Reader::resumed(Arc::clone(&run.log), after)))
    }

    /// The calls that wait for a decision which this principal may see, the oldest first.
    pub(crate) fn pending_approvals(&self, principal: &Principal) -> Vec<PendingApproval> {
        let mut pending = Vec::new();
        for run in self.engine.active.all() {
            let is_own = self.reaches(&run.owner, principal);
            for (call_id, waiting) in run.pending_approvals() {
                let tool = run.agent.tool(&waiting.tool);
                let may_decide = tool.is_some_and(|tool| run.may_decide(tool, principal));
                if !is_own && !may_decide {
                    continue;
                }
                pending.push(PendingApproval {
                    run_id: Arc::clone(&run.id),
                    agent_name: Arc::clone(&run.agent.name),
                    tool_call_id: call_id,
                    tool_name: waiting.tool,
                    tool_input: waiting.requested.arguments,
                    meta: waiting.requested.meta,
                    requested_at: waiting.requested.requested_at,
                    expires_at: waiting.requested.expires.time(),
                });
            }
        }
        pending.sort_by_key(|approval| approval.requested_at);
        pending
    }

    /// The stored items; `NOT_FOUND` for an unknown agent.
    pub(crate) async fn conversation(
        &self,
        agent: &str,
        id: &str,
        principal: &Principal,
    ) -> RunOutcome<Conversation> {
        let agent = self.agent(agent)?;
        let key = ConversationKey::new(principal, &agent.name, id);
        let stored = self.engine.store.load_conversation(&key).await?;
        Ok(stored.map(|stored| stored.items.to_vec()))
    }

    /// Deletes what is stored of a conversation; whether there was anything. `NOT_FOUND` for an
    /// unknown agent.
    pub(crate) async fn delete_conversation(
        &self,
        agent: &str,
        id: &str,
        principal: &Arc<Principal>,
    ) -> RunOutcome<bool> {
        let agent = self.agent(agent)?;
        let key = ConversationKey::new(principal, &agent.name, id);
        let detail = serde_json::json!({ "agentName": &*agent.name, "conversationId": id });
        let (engine, principal) = (Arc::clone(&self.engine), Arc::clone(principal));
        self.complete(async move {
            let deleted = engine.store.delete_conversation(key).await?;
            if deleted {
                engine.audit("delete_conversation", &principal, None, detail);
            }
            Ok(deleted)
        })
        .await
    }

    /// What a principal has used on each of the last so many days, the youngest first.
    pub(crate) async fn usage(
        &self,
        principal: &Principal,
        days: u64,
    ) -> RunOutcome<Vec<UsageOfDay>> {
        let today = quota::day(self.engine.clock.now_millis());
        let since = (today + 1).saturating_sub(days);
        let stored = self.engine.store.usage(principal, since).await?;
        Ok(stored.into_iter().map(UsageOfDay::from).collect())
    }

    /// The time of day, as text.
    pub(crate) fn time_text(&self) -> String {
        quota::rfc3339(self.engine.clock.now_millis())
    }

    /// Whether answers tell what the whole run has used.
    pub(crate) fn shows_total_usage(&self) -> bool {
        self.engine.limits.total_usage
    }
}

// === impl UsageOfDay ===

impl From<DailyUsage> for UsageOfDay {
    fn from(DailyUsage { day, used }: DailyUsage) -> Self {
        Self {
            day: quota::date(day),
            runs: used.runs,
            input_tokens: used.input_tokens,
            output_tokens: used.output_tokens,
            total_tokens: used.total_tokens,
            cost: used.cost,
        }
    }
}

// === impl RunSummary ===

impl From<StoredRun> for RunSummary {
    fn from(run: StoredRun) -> Self {
        Self {
            run_id: run.id,
            agent_name: run.agent,
            conversation_id: run.conversation_id,
            answer: run.answer.as_str(),
            state: run.state.as_str(),
            created_at: run.created_at,
            ended_at: run.ended_at,
            usage: run.usage,
        }
    }
}

impl From<&ActiveRun> for RunSummary {
    fn from(run: &ActiveRun) -> Self {
        Self {
            run_id: Arc::clone(&run.id),
            agent_name: Arc::clone(&run.agent.name),
            conversation_id: run.request.conversation_id.clone(),
            answer: run.answer.as_str(),
            state: RunState::Running.as_str(),
            created_at: run.created_at,
            ended_at: None,
            usage: run.spent().total_if_any(),
        }
    }
}
