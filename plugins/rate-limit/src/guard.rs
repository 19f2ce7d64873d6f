//! The guard: may this request go on, by every rule?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mortise_plugin_api::prelude::*;

use crate::answer;
use crate::config::{Config, OnStoreError};
use crate::rule::Rule;
use crate::standing::{Standing, Standings};

#[derive(Debug, Clone)]
pub(crate) struct RateGuard(Arc<Judge>);

#[derive(Debug)]
struct Judge {
    rules: Vec<Rule>,
    host: Host,
    on_store_error: OnStoreError,
    /// Where replies that are not refused say how a client stands.
    standings: Option<Arc<Standings>>,
    /// Whether the last request could not be counted: that is logged once.
    is_failing: AtomicBool,
}

// === impl RateGuard ===

impl RateGuard {
    pub(crate) fn new(
        config: Config,
        host: Host,
        standings: Option<Arc<Standings>>,
    ) -> Result<Self> {
        Ok(Self(Arc::new(Judge {
            rules: Rule::parse_all(config.rules)?,
            host,
            on_store_error: config.on_store_error,
            standings,
            is_failing: AtomicBool::new(false),
        })))
    }
}

impl Hook for RateGuard {
    fn info(&self) -> HookInfo {
        HookInfo::new("rate-limit")
            .on(Stage::Guard)
            .answers_at_once()
    }

    fn guard_now(&self, request: &Request) -> Result<GuardVerdict> {
        self.0.judge(request)
    }
}

// === impl Judge ===

impl Judge {
    fn judge(&self, request: &Request) -> Result<GuardVerdict> {
        let kind = request.kind();
        let mut standing = None;
        let rules = self.rules.iter().enumerate();
        for (place, rule) in rules.filter(|(_, rule)| rule.covers(kind)) {
            let said = rule.ask(&self.host, request);
            self.tell_failures(said.as_ref().err());
            match said {
                Ok(said) if said.taken.is_allowed => {
                    standing = Some(Standing::new(rule.allowance(), &said.taken).tighter(standing));
                }
                Ok(said) => {
                    let rule_name = place.to_string();
                    self.host
                        .count("refused_total", 1.0, &[("rule", &rule_name)]);
                    let refusal = answer::refused(rule.allowance(), &said.taken, &said.key)?;
                    return Ok(GuardVerdict::Respond(refusal));
                }
                Err(_) if self.on_store_error == OnStoreError::Allow => {}
                Err(_) => return Ok(GuardVerdict::Respond(answer::unavailable()?)),
            }
        }
        if let (Some(standings), Some(standing)) = (&self.standings, standing) {
            standings.remember(request, standing);
        }
        Ok(GuardVerdict::Pass)
    }

    /// A flood of requests that cannot be counted is one line in the log, not a flood of lines.
    fn tell_failures(&self, failure: Option<&Error>) {
        let was_failing = self.is_failing.load(Ordering::Relaxed);
        if failure.is_some() == was_failing {
            return;
        }
        self.is_failing.store(failure.is_some(), Ordering::Relaxed);
        let Some(error) = failure else {
            return tracing::info!("requests are counted again");
        };
        let on_store_error = self.on_store_error;
        tracing::error!(%error, ?on_store_error, "requests cannot be counted");
    }
}

#[cfg(test)]
mod tests;
