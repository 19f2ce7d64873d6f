//! What is new in a list of messages: clients send the new message alone, or all they have.

use std::collections::HashSet;

use mortise_plugin_api::prelude::*;

use crate::question::{ASK, asked};
use crate::request::{ChatMessage, Role};

/// What was said in a session, as a client may have written it down.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    User(String),
    Assistant(Reply),
}

/// What the agent said before the user spoke again.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reply {
    texts: Vec<String>,
    question: Option<String>,
}

/// The messages that the conversation does not hold.
///
/// Where the first ones repeat all of it, these are the ones after them; else all are. The last
/// message of the user is always among them, and a word of the system that is stored never is.
pub(crate) fn new_messages(stored: &[Item], sent: Vec<ChatMessage>) -> Result<Vec<ChatMessage>> {
    let known = repeated(&said(stored), &sent).unwrap_or(0);
    let speaks = |message: &ChatMessage| message.role == Role::User;
    let mut new = sent;
    if !new[known..].iter().any(speaks) {
        // A message that was never answered may be sent again.
        match new.pop().filter(|last| speaks(last)) {
            Some(last) => return Ok(vec![last]),
            None => {
                return Err(Error::bad_request(
                    "`messages` holds no new message of the user",
                ));
            }
        }
    }
    let mut new = new.split_off(known);
    let of_system = stored.iter().filter(|item| item.is_message_of("system"));
    let told: HashSet<String> = of_system.map(Item::text).collect();
    new.retain(|message| message.role != Role::System || !told.contains(&message.text()));
    Ok(new)
}

/// How many messages repeat the whole conversation; `None` where they do not.
fn repeated(said: &[Said], sent: &[ChatMessage]) -> Option<usize> {
    let mut rest = sent.iter().enumerate().peekable();
    let mut known = 0;
    for said in said {
        let is_skipped = |message: &ChatMessage| {
            message.role == Role::System
                || (message.role == Role::Assistant && message.text().is_empty())
        };
        while rest.next_if(|(_, message)| is_skipped(message)).is_some() {}
        match said {
            Said::User(text) => {
                let is_it =
                    |message: &ChatMessage| message.role == Role::User && message.text() == *text;
                known = rest.next_if(|(_, message)| is_it(message))?.0 + 1;
            }
            Said::Assistant(reply) => {
                let mut text = String::new();
                while let Some((place, message)) =
                    rest.next_if(|(_, message)| message.role == Role::Assistant)
                {
                    text.push_str(&message.text());
                    known = place + 1;
                }
                if !reply.reads(&text) {
                    return None;
                }
            }
        }
    }
    Some(known)
}

fn said(stored: &[Item]) -> Vec<Said> {
    let mut said = Vec::new();
    for item in stored {
        match item {
            Item::Message(message) if message.role == "user" => said.push(Said::User(item.text())),
            Item::Message(message) if message.role == "assistant" => {
                reply(&mut said).texts.push(item.text());
            }
            Item::ToolCall(call) if call.name == ASK => match &call.result {
                None => reply(&mut said).question = asked(&call.arguments),
                Some(Value::String(answer)) => said.push(Said::User(answer.clone())),
                Some(_) => {}
            },
            _ => {}
        }
    }
    said
}

/// What the agent is saying at the end of this.
fn reply(said: &mut Vec<Said>) -> &mut Reply {
    if !matches!(said.last(), Some(Said::Assistant(_))) {
        said.push(Said::Assistant(Reply::default()));
    }
    match said.last_mut() {
        Some(Said::Assistant(reply)) => reply,
        _ => unreachable!("it was just pushed"),
    }
}

// === impl Reply ===

impl Reply {
    /// Whether a client may have written it down so: streams show all texts, and a question beside
    /// them; a JSON answer is the last text, or the question.
    fn reads(&self, text: &str) -> bool {
        let all = self.texts.concat();
        let question = self.question.as_deref().unwrap_or_default();
        let last = self.texts.last().map_or("", String::as_str);
        [all.as_str(), question, last, &format!("{all}{question}")]
            .iter()
            .any(|own| own.trim() == text.trim())
    }
}

#[cfg(test)]
mod tests {
    use mortise_plugin_api::ToolCallItem;

    use super::*;

    fn sent(texts: &[(Role, &str)]) -> Vec<ChatMessage> {
        let message = |&(role, text): &(Role, &str)| ChatMessage {
            role,
            content: text.into(),
        };
        texts.iter().map(message).collect()
    }

    fn new(stored: &[Item], texts: &[(Role, &str)]) -> Result<Vec<String>> {
        let new = new_messages(stored, sent(texts))?;
        Ok(new.iter().map(ChatMessage::text).collect())
    }

    fn call(name: &str, arguments: &str, result: Option<&str>) -> Item {
        Item::ToolCall(ToolCallItem {
            call_id: "1".into(),
            name: name.into(),
            arguments: arguments.into(),
            result: result.map(Value::from),
            is_error: false,
        })
    }

    use Role::{Assistant, System, User};

    #[test]
    fn a_message_alone_is_new_even_if_it_was_said_before() {
        let stored = [Item::user("yes"), Item::assistant("Fine.")];
        assert_eq!(new(&stored, &[(User, "yes")]).unwrap(), ["yes"]);
        assert_eq!(new(&[], &[(User, "yes")]).unwrap(), ["yes"]);
    }

    #[test]
    fn of_the_whole_history_the_end_is_new() {
        let stored = [
            Item::user("a"),
            Item::assistant("A"),
            Item::user("b"),
            Item::assistant("B"),
        ];
        let history = [
            (System, "s"),
            (User, "a"),
            (Assistant, "A"),
            (User, "b"),
            (Assistant, "B"),
        ];
        let with = |more: &[(Role, &'static str)]| [&history[..], more].concat();
        assert_eq!(new(&stored, &with(&[(User, "c")])).unwrap(), ["c"]);
        assert_eq!(
            new(&stored, &with(&[(User, "c"), (User, "d")])).unwrap(),
            ["c", "d"]
        );
        assert!(new(&stored, &history).is_err());

        let other = [(User, "a"), (Assistant, "other"), (User, "c")];
        assert_eq!(new(&stored, &other).unwrap(), ["a", "other", "c"]);
    }

    #[test]
    fn a_reply_of_several_texts_is_known_as_a_whole_and_by_its_end() {
        let stored = [
            Item::user("a"),
            Item::assistant("Let me see. "),
            call("Read", "{}", None),
            call("Read", "{}", Some("text")),
            Item::assistant("It says text."),
        ];
        for reply in ["Let me see. It says text.", "It says text."] {
            let history = [(User, "a"), (Assistant, reply), (User, "b")];
            assert_eq!(new(&stored, &history).unwrap(), ["b"], "{reply}");
        }
    }

    #[test]
    fn questions_and_answers_are_part_of_the_history() {
        let stored = [
            Item::user("a"),
            call(ASK, r#"{"question":"Which?"}"#, None),
            call(ASK, r#"{"question":"Which?"}"#, Some("this")),
            Item::assistant("Done."),
        ];
        for asked in [&[(Assistant, "Which?")][..], &[(Assistant, "")], &[]] {
            let end = [(User, "this"), (Assistant, "Done."), (User, "b")];
            let history = [&[(User, "a")], asked, &end].concat();
            assert_eq!(new(&stored, &history).unwrap(), ["b"], "{asked:?}");
        }
    }

    #[test]
    fn what_the_system_said_before_is_not_said_again() {
        let stored = [
            Item::message("system", "Be brief."),
            Item::user("a"),
            Item::assistant("A"),
        ];
        let briefly = [(System, "Be brief."), (User, "b")];
        assert_eq!(new(&stored, &briefly).unwrap(), ["b"]);
        let at_length = [(System, "Be long."), (User, "b")];
        assert_eq!(new(&stored, &at_length).unwrap(), ["Be long.", "b"]);
    }

    #[test]
    fn thousands_of_words_of_the_system_are_each_known_at_a_look() {
        let words = || (0..50_000).map(|number| format!("word {number}"));
        let stored: Vec<_> = words().map(|it| Item::message("system", it)).collect();
        let message = |role, text: String| ChatMessage {
            role,
            content: text.as_str().into(),
        };
        let mut sent: Vec<_> = words().map(|it| message(System, it)).collect();
        sent.push(message(User, "a".to_owned()));
        let new = new_messages(&stored, sent).unwrap();
        assert_eq!(new.len(), 1);
    }

    #[test]
    fn a_message_that_was_not_answered_may_be_sent_again() {
        let stored = [Item::user("a"), call("Read", "{}", None)];
        assert_eq!(new(&stored, &[(User, "a")]).unwrap(), ["a"]);
        assert!(new(&[], &[(Assistant, "x")]).is_err());
    }
}
