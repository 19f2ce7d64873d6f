//! How much principals may use in a day of UTC, and how much of it they have used.
//!
//! The store remembers what was used, so that a restart of the server forgives nothing; here it is
//! counted, so that of two runs that ask at the same time only one takes the last place.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use mortise_plugin_api::{Error, Principal, Result};

use crate::config::{self, Money};
use crate::store::{Store, Used};

/// The limits of all principals, and what they have used.
pub(crate) struct Quotas {
    section: config::Quota,
    days: Mutex<HashMap<Owner, Day>>,
}

type Owner = (String, String);

/// What somebody has used on one day.
#[derive(Debug, Clone, Copy, Default)]
struct Day {
    number: u64,
    used: Used,
}

/// What one principal may use.
#[derive(Debug, Clone, Copy)]
struct Limits {
    runs: Option<u64>,
    tokens: Option<u64>,
    cost: Option<Money>,
}

const DAY: u64 = 24 * 60 * 60 * 1000;
/// How a limit that is used up reads.
const CODE: &str = "RATE_LIMITED";
const RESET_AT: &str = "resetAt";
/// Beyond so many principals, those of other days are forgotten.
const REMEMBERED: usize = 65_536;

/// The day of a time in milliseconds since 1970.
pub(crate) fn day(millis: u64) -> u64 {
    millis / DAY
}

/// A day as `2026-11-21`.
pub(crate) fn date(day: u64) -> String {
    let mut text = rfc3339(day.saturating_mul(DAY));
    text.truncate("2026-11-21".len());
    text
}

/// A time as `2026-11-21T11:00:25.000Z`.
pub(crate) fn rfc3339(millis: u64) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    let time = time.unwrap_or(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_millis(time).to_string()
}

/// Until when a limit is used up, where that is what failed.
pub(crate) fn resets_at(error: &Error) -> Option<u64> {
    let context = error.context().filter(|_| error.code() == Some(CODE))?;
    let reset = humantime::parse_rfc3339(context.get(RESET_AT)?.as_str()?).ok()?;
    let since = reset.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

// === impl Quotas ===

impl Quotas {
    /// The limits of the configuration, where there are any.
    pub(crate) fn of(section: &config::Quota) -> Option<Self> {
        section.is_set().then(|| Self {
            section: section.clone(),
            days: Mutex::default(),
        })
    }

    /// Takes a run of what a principal may begin today.
    ///
    /// # Errors
    /// `RATE_LIMITED` when it has used up anything.
    pub(crate) async fn admit(&self, owner: &Principal, store: &dyn Store, now: u64) -> Result<()> {
        let Some(limits) = self.limits(owner) else {
            return Ok(());
        };
        self.learn(owner, store, now).await?;
        let mut days = self.days();
        let day = Self::today(&mut days, owner, now);
        limits.check_runs(day.used.runs, now)?;
        limits.check(day.used, now)?;
        day.used.runs += 1;
        Ok(())
    }

    /// A run that was taken does not begin.
    pub(crate) fn give_back(&self, owner: &Principal, now: u64) {
        if self.limits(owner).is_some() {
            let mut days = self.days();
            let used = &mut Self::today(&mut days, owner, now).used;
            used.runs = used.runs.saturating_sub(1);
        }
    }

    /// Finds out what a principal has used today before this server began.
    pub(crate) async fn learn(&self, owner: &Principal, store: &dyn Store, now: u64) -> Result<()> {
        let today = day(now);
        let key = key(owner);
        let is_known =
            |days: &HashMap<Owner, Day>| days.get(&key).is_some_and(|known| known.number == today);
        if self.limits(owner).is_none() || is_known(&self.days()) {
            return Ok(());
        }
        let stored = store.usage(owner, today).await?;
        let used = stored.iter().find(|it| it.day == today);
        let used = used.map(|it| it.used).unwrap_or_default();
        let mut days = self.days();
        // Whoever was quicker has counted since.
        if !is_known(&days) {
            if days.len() >= REMEMBERED {
                days.retain(|_, day| day.number == today);
            }
            days.insert(
                key,
                Day {
                    number: today,
                    used,
                },
            );
        }
        Ok(())
    }

    /// May a principal use any more today?
    ///
    /// # Errors
    /// `RATE_LIMITED` when it may not.
    pub(crate) fn check(&self, owner: &Principal, now: u64) -> Result<()> {
        match self.limits(owner) {
            Some(limits) => limits.check(Self::today(&mut self.days(), owner, now).used, now),
            None => Ok(()),
        }
    }

    /// Counts what a model has used.
    pub(crate) fn charge(&self, owner: &Principal, used: Used, now: u64) {
        if self.limits(owner).is_some() {
            Self::today(&mut self.days(), owner, now).used += used;
        }
    }

    fn days(&self) -> MutexGuard<'_, HashMap<Owner, Day>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The count of today: a new one at midnight.
    fn today<'d>(days: &'d mut HashMap<Owner, Day>, owner: &Principal, now: u64) -> &'d mut Day {
        let number = day(now);
        let known = days.entry(key(owner)).or_default();
        if known.number < number {
            *known = Day {
                number,
                ..Day::default()
            };
        }
        known
    }

    /// `None` where there are none.
    fn limits(&self, owner: &Principal) -> Option<Limits> {
        let section = &self.section;
        let own = section
            .principals
            .iter()
            .find(|it| it.tenant == owner.tenant && it.subject == owner.subject);
        let limits = match own {
            Some(own) => Limits {
                runs: own.runs_per_day,
                tokens: own.tokens_per_day,
                cost: own.cost_per_day,
            },
            None => Limits {
                runs: section.runs_per_day,
                tokens: section.tokens_per_day,
                cost: section.cost_per_day,
            },
        };
        let has_any = limits.runs.is_some() || limits.tokens.is_some() || limits.cost.is_some();
        has_any.then_some(limits)
    }
}

fn key(owner: &Principal) -> Owner {
    (owner.tenant.clone(), owner.subject.clone())
}

// === impl Limits ===

impl Limits {
    fn check_runs(self, begun: u64, now: u64) -> Result<()> {
        match self.runs {
            Some(most) if begun >= most => Err(used_up("runs", &most, now)),
            _ => Ok(()),
        }
    }

    fn check(self, used: Used, now: u64) -> Result<()> {
        match (self.tokens, self.cost) {
            (Some(most), _) if used.total_tokens >= most => Err(used_up("tokens", &most, now)),
            (_, Some(most)) if used.cost >= most => Err(used_up("cost", &most, now)),
            _ => Ok(()),
        }
    }
}

fn used_up(what: &str, most: &dyn std::fmt::Display, now: u64) -> Error {
    let begins_anew = (day(now) + 1) * DAY;
    let reset_at = rfc3339(begins_anew);
    let limit = match what {
        "cost" => format!("cost of {most}"),
        _ => format!("{most} {what}"),
    };
    let message = format!("The limit of {limit} a day is used up; it begins anew at {reset_at}.");
    Error::new(CODE, message)
        .with_context("limit", what)
        .with_context("max", most.to_string())
        .with_context(RESET_AT, reset_at)
        .with_context(
            crate::problem::RETRY_AFTER,
            (begins_anew - now).div_ceil(1000),
        )
}
