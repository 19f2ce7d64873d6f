//! A rule: which requests, whose, and how many.

use std::time::Duration;

use mortise_plugin_api::Span;
use mortise_plugin_api::prelude::*;

use crate::config::{ConfigError, Kind, RuleConfig};
use crate::key::{Key, KeyRecipe, Part};

#[derive(Debug)]
pub(crate) struct Rule {
    /// Tells this rule from others, wherever it stands: what was counted survives a list in
    /// another order.
    name: String,
    kinds: Vec<RequestKind>,
    recipe: KeyRecipe,
    allowance: Allowance,
}

/// How many requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// In the course of time.
    Rate(Limit),
    /// At the same time.
    Concurrent(u32),
}

/// What a rule says of a request.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) taken: Taken,
    pub(crate) key: Key,
}

/// Ten years, as in the server's configuration.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

// === impl Rule ===

impl Rule {
    pub(crate) fn parse_all(rules: Vec<RuleConfig>) -> Result<Vec<Self>, ConfigError> {
        if rules.is_empty() {
            return Err(ConfigError::NoRules);
        }
        let mut parsed: Vec<Self> = Vec::with_capacity(rules.len());
        for (place, rule) in rules.into_iter().enumerate() {
            let rule = Self::parse(place, rule)?;
            if let Some(first) = parsed.iter().position(|other| other.name == rule.name) {
                let second = place;
                return Err(ConfigError::SameRule { first, second });
            }
            parsed.push(rule);
        }
        Ok(parsed)
    }

    fn parse(place: usize, config: RuleConfig) -> Result<Self, ConfigError> {
        if config.max == 0 {
            return Err(ConfigError::NoMax(place));
        }
        if !(1..=128).contains(&config.ipv6_prefix) {
            let length = config.ipv6_prefix;
            return Err(ConfigError::Prefix { place, length });
        }
        let mut parts = Vec::with_capacity(config.key.len());
        for part in config.key {
            match Part::parse(part.trim()) {
                Some(part) => parts.push(part),
                None => return Err(ConfigError::Key { place, part }),
            }
        }
        let window = config.window.as_deref();
        let allowance = match (config.limit, window) {
            (Kind::Concurrent, None) => Allowance::Concurrent(config.max),
            (Kind::Concurrent, Some(_)) => return Err(ConfigError::NeedlessWindow(place)),
            (_, None) => return Err(ConfigError::NoWindow(place)),
            (Kind::Window, Some(text)) => {
                Allowance::Rate(Limit::window(config.max, duration(place, text)?))
            }
            (Kind::Bucket, Some(text)) => {
                Allowance::Rate(Limit::bucket(config.max, duration(place, text)?))
            }
        };
        let (kinds, recipe) = (
            config.kinds,
            KeyRecipe {
                parts,
                absent: config.absent,
                ipv6_prefix: config.ipv6_prefix,
            },
        );
        Ok(Self {
            name: format!("{allowance:?} {kinds:?} {recipe:?}"),
            kinds,
            recipe,
            allowance,
        })
    }

    /// How many requests.
    pub(crate) fn allowance(&self) -> Allowance {
        self.allowance
    }

    /// Whether requests of this kind are counted.
    pub(crate) fn covers(&self, kind: RequestKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    /// Counts a request.
    pub(crate) fn ask(&self, host: &Host, request: &Request) -> Result<Said> {
        let key = self.recipe.key(request);
        let counted = key.counted(&self.name);
        let taken = match self.allowance {
            Allowance::Rate(limit) => host.take_now(&counted, limit, 1)?,
            Allowance::Concurrent(max) => host.hold(request, &counted, max)?,
        };
        Ok(Said { taken, key })
    }
}

fn duration(place: usize, text: &str) -> Result<Duration, ConfigError> {
    let Ok(Span(duration)) = text.parse() else {
        let text = text.to_owned();
        return Err(ConfigError::Window { place, text });
    };
    if !(Duration::from_millis(1)..=LONGEST).contains(&duration) {
        let text = text.to_owned();
        return Err(ConfigError::WindowLength { place, text });
    }
    Ok(duration)
}

// === impl Allowance ===

impl Allowance {
    pub(crate) fn max(self) -> u32 {
        match self {
            Self::Rate(limit) => limit.max(),
            Self::Concurrent(max) => max,
        }
    }
}
