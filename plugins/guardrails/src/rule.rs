//! A rule, made of its configuration.

use std::sync::Arc;

use mortise_plugin_api::{AgentName, Error, Result};

use crate::config::{Action, RuleConfig, Side};
use crate::finder::{BadPattern, Finder};
use crate::scanner::Chain;

/// A rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) what: What,
    pub(crate) action: Action,
    pub(crate) replacement: String,
    message: Option<String>,
    on: Vec<Side>,
    agents: Vec<AgentName>,
}

/// What a rule is about.
#[derive(Debug)]
pub(crate) enum What {
    /// Something that stands in the text.
    Found(Finder),
    /// A text with more characters.
    Longer(usize),
}

/// All rules, in order.
#[derive(Debug, Clone)]
pub(crate) struct Rules(Vec<Arc<Rule>>);

/// A rule has found what it blocks.
#[derive(Debug)]
pub(crate) struct Blocked(pub(crate) Arc<Rule>);

// === impl Rules ===

impl Rules {
    pub(crate) fn new(rules: Vec<RuleConfig>) -> Result<Self> {
        if rules.is_empty() {
            return Err(Error::config(
                "/rules",
                "is empty: without a rule nothing is looked at",
            ));
        }
        let mut made: Vec<Arc<Rule>> = Vec::with_capacity(rules.len());
        for (index, config) in rules.into_iter().enumerate() {
            let place = format!("/rules/{index}");
            if made.iter().any(|rule| rule.name == config.name) {
                return Err(Error::config(
                    format!("{place}/name"),
                    format!("is {:?}, and so is that of another rule", config.name),
                ));
            }
            made.push(Arc::new(Rule::new(config, &place)?));
        }
        Ok(Self(made))
    }

    /// Whether any rule looks there.
    pub(crate) fn look_at(&self, side: Side) -> bool {
        self.0.iter().any(|rule| rule.on.contains(&side))
    }

    /// The rules for an agent.
    pub(crate) fn of<'r>(
        &'r self,
        side: Side,
        agent: &'r str,
    ) -> impl Iterator<Item = Arc<Rule>> + 'r {
        let is_for = move |rule: &&Arc<Rule>| {
            rule.on.contains(&side)
                && (rule.agents.is_empty() || rule.agents.iter().any(|own| **own == *agent))
        };
        self.0.iter().filter(is_for).map(Arc::clone)
    }
}

// === impl Rule ===

impl Rule {
    fn new(config: RuleConfig, place: &str) -> Result<Self> {
        let wrong = |key: &str, message: String| Error::config(format!("{place}{key}"), message);
        if config.name.trim().is_empty() {
            return Err(wrong("/name", "is blank".into()));
        }
        if config.on.is_empty() {
            return Err(wrong(
                "/on",
                "is empty: write \"input\", \"output\", \"tool_result\" or several".into(),
            ));
        }
        let what = match (config.detect, &config.pattern, config.max_chars) {
            (Some(detect), None, None) => What::Found(Finder::of(detect)),
            (None, Some(pattern), None) => {
                What::Found(Finder::pattern(pattern).map_err(|bad| match bad {
                    BadPattern::Unreadable(error) => {
                        wrong("/pattern", format!("is no regular expression: {error}"))
                    }
                    BadPattern::MatchesNothing => wrong(
                        "/pattern",
                        "also matches the empty text, which is everywhere".into(),
                    ),
                })?)
            }
            (None, None, Some(0)) => return Err(wrong("/max_chars", "must be at least 1".into())),
            (None, None, Some(limit)) => What::Longer(limit),
            _ => {
                return Err(wrong(
                    "",
                    "needs exactly one of `detect`, `pattern` and `max_chars`".into(),
                ));
            }
        };
        if matches!(what, What::Longer(_)) && config.action == Action::Redact {
            return Err(wrong(
                "/action",
                "is \"redact\", but a text that is too long can only be blocked".into(),
            ));
        }
        if config.replacement.is_some() && config.action == Action::Block {
            return Err(wrong(
                "/replacement",
                "is set, but the rule blocks; remove it, or write action = \"redact\"".into(),
            ));
        }
        if config.message.is_some() && config.action == Action::Redact {
            return Err(wrong(
                "/message",
                "is set, but the rule tells nobody; remove it, or write action = \"block\"".into(),
            ));
        }
        let replacement = config
            .replacement
            .unwrap_or_else(|| format!("[{}]", config.name));
        let finds_itself = match (config.action, &what) {
            (Action::Redact, What::Found(finder)) => finder.find(&replacement, 0).is_some(),
            _ => false,
        };
        if finds_itself {
            return Err(wrong(
                "/replacement",
                format!("is {replacement:?}, which the rule would find again; write another one"),
            ));
        }
        Ok(Self {
            name: config.name,
            what,
            action: config.action,
            replacement,
            message: config.message,
            on: config.on,
            agents: config.agents,
        })
    }
}

// === impl Blocked ===

impl Blocked {
    /// What the run fails with. It tells the rule, and never the text.
    pub(crate) fn into_error(self, side: Side, run_id: &str) -> Error {
        let Self(rule) = self;
        let (code, which) = match side {
            Side::Input => ("GUARDRAIL_INPUT_BLOCKED", "input"),
            Side::Output => ("GUARDRAIL_OUTPUT_BLOCKED", "output"),
            Side::ToolResult => ("GUARDRAIL_OUTPUT_BLOCKED", "result of a tool"),
        };
        mortise_plugin_api::tracing::info!(rule = rule.name, which, run_id, "a guardrail blocked");
        let message = rule.message.clone().unwrap_or_else(|| {
            format!("The {which} was blocked by the guardrail '{}'.", rule.name)
        });
        Error::refusal(code, message).with_context("guardrail", rule.name.as_str())
    }
}

/// A whole text through rules.
pub(crate) fn checked(
    rules: impl IntoIterator<Item = Arc<Rule>>,
    text: &str,
    count: &mut usize,
) -> Result<String, Blocked> {
    let mut chain = Chain::new(rules, *count);
    let mut shown = chain.push(text)?;
    *count = chain.count();
    shown.push_str(&chain.finish()?);
    Ok(shown)
}
