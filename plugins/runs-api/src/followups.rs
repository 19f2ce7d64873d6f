//! Questions that the user might ask next: fixed ones, or a model's.

use std::time::Duration;

use mortise_plugin_api::prelude::*;
use mortise_plugin_api::{Prompt, RunEnd, Transcript};

use crate::runs::Started;
use crate::{Api, Followups};

const MOST: usize = 3;
const PATIENCE: Duration = Duration::from_secs(20);
const INSTRUCTIONS: &str = "Suggest three short questions that the user might ask next. \
                            Answer with a JSON array of three texts and nothing else.";

/// What asks the model.
pub(crate) fn prompt(host: &Host, model: &str) -> Prompt {
    let name = format!("{}-followups", host.instance());
    Prompt::new(name, model, INSTRUCTIONS)
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
            Followups::Model(model) => self.suggested(model, run, told).await,
        };
        (!questions.is_empty()).then_some(questions)
    }

    async fn suggested(&self, model: &str, run: &Started, told: &Transcript) -> Vec<String> {
        let said = [
            Item::user(told.input.as_str()),
            Item::assistant(told.text.as_str()),
            Item::user("What might I ask next?"),
        ];
        let prompt = prompt(&self.host, model);
        let asked = tokio::time::timeout(PATIENCE, prompt.ask(&self.host, &said, &run.owner));
        let late = |_| Err(Error::timeout("the model took too long"));
        match asked.await.unwrap_or_else(late) {
            Ok(answer) => questions(&answer),
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
