//! A rule: which requests, whose, and how many.

use mortise_plugin_api::Span;
use mortise_plugin_api::prelude::*;

use crate::config::{Kind, RuleConfig};
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

const SHORTEST: Span = Span::from_millis(1);
/// Ten years, each a quarter of a day longer than 365 days.
const LONGEST: Span = Span::from_secs(10 * (365 * 24 + 6) * 60 * 60);

// === impl Rule ===

impl Rule {
    pub(crate) fn parse_all(rules: Vec<RuleConfig>) -> Result<Vec<Self>> {
        if rules.is_empty() {
            let message = "is empty: without a rule nothing is limited";
            return Err(Error::config("/rules", message));
        }
        let mut parsed: Vec<Self> = Vec::with_capacity(rules.len());
        for (place, rule) in rules.into_iter().enumerate() {
            let rule = Self::parse(place, rule)?;
            if let Some(first) = parsed.iter().position(|other| other.name == rule.name) {
                let message = format!("is the same as rules.{first}; remove one");
                return Err(Error::config(format!("/rules/{place}"), message));
            }
            parsed.push(rule);
        }
        Ok(parsed)
    }

    fn parse(place: usize, config: RuleConfig) -> Result<Self> {
        let at = |setting| format!("/rules/{place}/{setting}");
        if config.max == 0 {
            let message = "is 0: nobody could come in; write at least 1";
            return Err(Error::config(at("max"), message));
        }
        if !(1..=128).contains(&config.ipv6_prefix) {
            let message = format!("is {}; it must be 1 to 128", config.ipv6_prefix);
            return Err(Error::config(at("ipv6_prefix"), message));
        }
        let mut parts = Vec::with_capacity(config.key.len());
        for (number, part) in config.key.iter().enumerate() {
            parts.push(Part::parse(part.trim()).ok_or_else(|| {
                let message = format!(
                    "is {part:?}, which is none of \"principal\", \"tenant\", \"ip\", \"agent\" and \
                     \"header:NAME\""
                );
                Error::config(format!("{}/{number}", at("key")), message)
            })?);
        }
        let window = config.window;
        let window = window.map(|it| it.within(&at("window"), SHORTEST..=LONGEST));
        let allowance = match (config.limit, window.transpose()?) {
            (Kind::Concurrent, None) => Allowance::Concurrent(config.max),
            (Kind::Concurrent, Some(_)) => {
                let message = "is set, but limit = \"concurrent\" has none; remove it";
                return Err(Error::config(at("window"), message));
            }
            (_, None) => {
                let message = "is missing: write how long it is, such as \"1m\"";
                return Err(Error::config(at("window"), message));
            }
            (Kind::Window, Some(window)) => Allowance::Rate(Limit::window(config.max, window)),
            (Kind::Bucket, Some(window)) => Allowance::Rate(Limit::bucket(config.max, window)),
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

// === impl Allowance ===

impl Allowance {
    pub(crate) fn max(self) -> u32 {
        match self {
            Self::Rate(limit) => limit.max(),
            Self::Concurrent(max) => max,
        }
    }
}
