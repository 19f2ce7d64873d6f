//! Sessions: conversations, found by the runs in them; and who sees whose.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::Result;
use crate::host::Host;
use crate::principal::Principal;
use crate::run_status::{RunQuery, RunStatus};

/// A conversation of an agent with somebody, as the runs in it tell of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Session {
    /// Its id.
    pub id: String,
    /// When its oldest run began that is still known, in milliseconds since 1970.
    pub created_at: u64,
    /// Its youngest run, which says whose it is and with which agent.
    pub latest: RunStatus,
}

/// Who sees a run and its session: a setting of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VisibleTo {
    /// Everybody of the tenant.
    #[default]
    Tenant,
    /// Whoever asked for it.
    Subject,
}

/// Whose a session is, as a caller may know it; see [`Host::session_owner`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionOwner {
    /// Nobody has it: it may begin.
    Nobody,
    /// This principal, and the caller may see it.
    Seen(Principal),
    /// Somebody or an agent that the caller does not see with it: for the caller it is not there,
    /// nor may it begin.
    Hidden,
}

/// As many runs are looked at as the host tells of at once.
const MOST_RUNS: u32 = 1000;

impl Host {
    /// The sessions that runs of the query are in, the one with the youngest run first; of the
    /// runs that the server still knows, the youngest thousand.
    pub async fn sessions(&self, query: RunQuery) -> Result<Vec<Session>> {
        let query = RunQuery {
            limit: MOST_RUNS,
            ..query
        };
        let mut sessions: Vec<Session> = Vec::new();
        let mut places = HashMap::new();
        for run in self.runs(&query).await? {
            let Some(id) = run.conversation_id.clone() else {
                continue;
            };
            let owner = (run.principal.tenant.clone(), run.principal.subject.clone());
            let place = *places
                .entry((id.clone(), run.agent.clone(), owner))
                .or_insert(sessions.len());
            match sessions.get_mut(place) {
                Some(session) => session.created_at = session.created_at.min(run.created_at),
                None => sessions.push(Session {
                    id,
                    created_at: run.created_at,
                    latest: run,
                }),
            }
        }
        Ok(sessions)
    }

    /// Whose the session of this id is with that agent, for a caller who sees these runs.
    pub async fn session_owner(
        &self,
        seen: RunQuery,
        agent: &str,
        id: &str,
    ) -> Result<SessionOwner> {
        let latest = |query: RunQuery| RunQuery {
            conversation_id: Some(id.to_owned()),
            limit: 1,
            ..query
        };
        let own = RunQuery {
            agent: Some(agent.to_owned()),
            ..seen
        };
        let own = latest(own);
        if let Some(run) = self.runs(&own).await?.pop() {
            return Ok(SessionOwner::Seen(run.principal));
        }
        let anybodys = latest(RunQuery::default());
        if self.runs(&anybodys).await?.is_empty() {
            return Ok(SessionOwner::Nobody);
        }
        // One of the caller's own may have begun between the two.
        let own = self.runs(&own).await?.pop();
        Ok(own.map_or(SessionOwner::Hidden, |run| {
            SessionOwner::Seen(run.principal)
        }))
    }
}

// === impl VisibleTo ===

impl VisibleTo {
    /// Whether a caller sees what belongs to that owner. Whoever shares a secret with others sees
    /// what is the tenant's.
    pub fn lets(self, caller: &Principal, owner: &Principal) -> bool {
        let is_open = self == Self::Tenant || caller.is_shared();
        caller == owner || is_open && caller.tenant == owner.tenant
    }

    /// The run, if there is one that the caller sees.
    pub async fn run(self, host: &Host, id: &str, caller: &Principal) -> Result<Option<RunStatus>> {
        let run = host.run_status(id).await?;
        Ok(run.filter(|run| self.lets(caller, &run.principal)))
    }

    /// The runs that a caller sees.
    pub fn runs_of(self, caller: &Principal) -> RunQuery {
        let is_open = self == Self::Tenant || caller.is_shared();
        RunQuery {
            tenant: Some(caller.tenant.clone()),
            subject: (!is_open).then(|| caller.subject.clone()),
            limit: MOST_RUNS,
            ..RunQuery::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_shares_and_a_subject_does_not_unless_the_secret_is_shared() {
        let [ann, bob] = ["ann", "bob"].map(|name| Principal::new(name).with_tenant("acme"));
        assert!(VisibleTo::Tenant.lets(&ann, &bob));
        assert!(!VisibleTo::Subject.lets(&ann, &bob));
        assert!(VisibleTo::Subject.lets(&ann, &ann));
        assert!(!VisibleTo::Tenant.lets(&ann, &Principal::new("bob")));
        assert!(VisibleTo::Subject.lets(&Principal::operator(), &Principal::new("bob")));
        assert_eq!(
            VisibleTo::Subject.runs_of(&ann).subject.as_deref(),
            Some("ann")
        );
        assert_eq!(VisibleTo::Tenant.runs_of(&ann).subject, None);
    }
}
