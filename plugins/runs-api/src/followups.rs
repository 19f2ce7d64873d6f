//! Questions that the user might ask next: fixed ones, or a model's.

use std::time::Duration;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{RunEnd, Transcript};

use crate::runs::Started;
use crate::{Api, Followups};

const MOST: usize = 3;
const PATIENCE: Duration = Duration::from_secs(20);
const INSTRUCTIONS: &str = "Suggest three short questions that the user might ask next. \
                            Answer with a JSON array of three texts and nothing else.";

/// An agent that nobody but this plugin runs: a model is asked in a run alone.
pub(crate) struct Suggester {
    name: String,
    model: String,
}

/// What the agent is called.
fn agent_name(host: &Host) -> String {
    format!("{}-followups", host.instance())
}

// === impl Suggester ===

impl Suggester {
    pub(crate) fn new(host: &Host, model: &str) -> Self {
        Self {
            name: agent_name(host),
            model: model.to_owned(),
        }
    }
}

impl Agent for Suggester {
    fn info(&self) -> AgentInfo {
        AgentInfo::new(&self.name, "Suggests what to ask next").not_exposed()
    }

    async fn run(&self, run: RunContext, mut input: Vec<Item>) -> Result<RunResult> {
        input.insert(0, Item::message("system", INSTRUCTIONS));
        let response = run.generate(&self.model, &ModelRequest::new(input)).await?;
        Ok(RunResult::text(response.text_content()))
    }
}

impl Api {
    /// What the user might ask next, where that was wanted and the run has ended well. A failure
    /// is nobody's but the log's.
    pub(crate) async fn followups(&self, run: &Started, told: &Transcript) -> Option<Vec<String>> {
        if !run.wants_followups || !matches!(told.end, Some(RunEnd::Finished)) {
            return None;
        }
        let questions = match self.config.followups.as_ref()? {
            Followups::Fixed(questions) => questions.clone(),
            Followups::Model(_) => self.suggested(run, told).await,
        };
        (!questions.is_empty()).then_some(questions)
    }

    async fn suggested(&self, run: &Started, told: &Transcript) -> Vec<String> {
        let said = [
            Item::user(told.input.as_str()),
            Item::assistant(told.text.as_str()),
        ];
        let wish = Item::user("What might I ask next?");
        let input = json!([said[0], said[1], wish]);
        let request =
            RunRequest::new(agent_name(&self.host), input).with_principal(run.owner.clone());
        let asked = tokio::time::timeout(PATIENCE, self.host.run_agent(&request)).await;
        match asked.unwrap_or_else(|_| Err(Error::timeout("the model took too long"))) {
            Ok(result) => questions(&result.response.text_content()),
            Err(error) => {
                tracing::warn!(run_id = run.run_id, %error, "no questions could be suggested");
                Vec::new()
            }
        }
    }
}

/// The questions of an answer: a JSON array somewhere in it, or else its lines.
fn questions(answer: &str) -> Vec<String> {
    let array = answer.find('[').zip(answer.rfind(']'));
    let array = array.and_then(|(from, to)| answer.get(from..=to));
    let array = array.and_then(|array| serde_json::from_str::<Vec<String>>(array).ok());
    let found = array.unwrap_or_else(|| answer.lines().map(str::to_owned).collect());
    let marks = |it: char| it.is_ascii_digit() || " .)-*\t".contains(it);
    let found = found.iter().map(|it| it.trim_start_matches(marks).trim());
    found
        .filter(|it| !it.is_empty())
        .take(MOST)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::questions;

    #[test]
    fn questions_are_read_from_an_array_or_from_lines() {
        assert_eq!(questions("Sure: [\"Why?\", \"When?\"]."), ["Why?", "When?"]);
        assert_eq!(
            questions("1. Why?\n\n- When?\n* Who?\nWhat?"),
            ["Why?", "When?", "Who?"]
        );
        assert!(questions(" \n").is_empty());
    }
}
