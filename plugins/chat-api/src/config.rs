//! The `config` table, and who answers by it.

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{AgentName, PathPrefix, PrincipalConfig, Secret, Span};

/// The `config` table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The agent who answers. Unset means the only one that clients may run.
    pub agent: Option<AgentName>,
    /// The token that all requests carry; usually `{ env = "NAME" }`. Unset means that everybody
    /// may chat.
    pub token: Option<Secret>,
    /// Whose runs and sessions they are. Unset means `operator` with a token, `anonymous` without.
    pub principal: Option<PrincipalConfig>,
    /// What the paths begin with, such as `"/assistant"`.
    pub prefix: PathPrefix,
    /// How long a question to the user waits for its answer: `"90s"`, `"1h"`, `"2days"`.
    /// `runs.max_duration` ends it too.
    pub answer_timeout: Span,
    /// How many sessions are listed, the youngest.
    #[schemars(range(min = 1))]
    pub max_sessions: usize,
}

/// The agent who answers: the one that is named, or the only one that there is.
pub(crate) fn chosen(named: Option<&str>, exposed: &[String]) -> Result<String> {
    let listed = if exposed.is_empty() {
        "there is none".to_owned()
    } else {
        format!("there are {}", exposed.join(", "))
    };
    let wrong = match (named, exposed) {
        (Some(name), _) if exposed.iter().any(|own| own == name) => return Ok(name.to_owned()),
        (None, [only]) => return Ok(only.clone()),
        (Some(name), _) => format!("is '{name}', which is no agent that clients may run"),
        (None, _) => "is not set: name the agent who answers".to_owned(),
    };
    Err(Error::internal(format!("config.agent {wrong} ({listed})")))
}

// === impl Config ===

impl Config {
    /// What the schema cannot say.
    pub(crate) fn check(&self) -> Result<()> {
        if self.max_sessions == 0 {
            return Err(Error::config("/max_sessions", "is 0; list at least one"));
        }
        if self.answer_timeout == Span::default() {
            return Err(Error::config("/answer_timeout", "is no time at all"));
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            agent: None,
            token: None,
            principal: None,
            prefix: PathPrefix::default(),
            answer_timeout: Span::from_secs(60 * 60),
            max_sessions: 100,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_agent_answers_and_of_several_one_is_named() {
        let (one, two) = (["a".to_owned()], ["a".to_owned(), "b".to_owned()]);
        assert_eq!(chosen(None, &one).unwrap(), "a");
        assert_eq!(chosen(Some("b"), &two).unwrap(), "b");
        for (named, exposed) in [(None, &two[..]), (Some("c"), &two), (None, &[])] {
            let error = chosen(named, exposed).unwrap_err();
            assert!(error.message().contains("config.agent"), "{error}");
        }
    }

    #[test]
    fn the_token_is_never_shown() {
        let config = Config {
            token: Some(Secret("hunter2".into())),
            ..Config::default()
        };
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
