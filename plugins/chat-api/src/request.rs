//! What clients send: messages, and the session that they belong to.

use mortise_plugin_api::prelude::*;

/// The longest id of a session that a client may choose, in bytes.
const LONGEST: usize = 128;

/// The body of a request.
#[derive(Debug, PartialEq)]
pub(crate) struct ChatRequest {
    /// Those of the user, the agent and the system.
    pub(crate) messages: Vec<ChatMessage>,
    /// `None` where a new session begins.
    pub(crate) session: Option<String>,
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChatMessage {
    pub(crate) role: Role,
    /// A text, or parts.
    pub(crate) content: Value,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    User,
    Assistant,
    System,
}

// === impl ChatRequest ===

impl ChatRequest {
    pub(crate) fn parse(body: &[u8]) -> Result<Self> {
        let body: Value =
            serde_json::from_slice(body).map_err(|_| Error::bad_request("Invalid JSON"))?;
        if body.is_null() {
            return Err(Error::bad_request("Invalid JSON"));
        }
        let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
        if messages.is_empty() {
            let message = "`messages` must be a list of at least one message";
            return Err(Error::bad_request(message));
        }
        // The server has its own results of tools: those that a client sends again are no news.
        let is_told = |(_, message): &(usize, &Value)| message["role"] != "tool";
        let messages = messages.iter().enumerate().filter(is_told);
        let messages = messages.map(ChatMessage::parse);
        Ok(Self {
            messages: messages.collect::<Result<_>>()?,
            // What is no text is no id.
            session: body["sessionId"].as_str().map(checked_id).transpose()?,
        })
    }

    /// What the user said last.
    pub(crate) fn last_of_user(&self) -> Option<String> {
        let mut messages = self.messages.iter().rev();
        let last = messages.find(|message| message.role == Role::User)?;
        Some(last.text())
    }
}

// === impl ChatMessage ===

impl ChatMessage {
    fn parse((place, message): (usize, &Value)) -> Result<Self> {
        let odd = |what| {
            Err(Error::bad_request(format!(
                "`messages[{place}]` has {what}"
            )))
        };
        let Ok(role) = Role::deserialize(&message["role"]) else {
            return odd("no `role` of user, assistant or system");
        };
        let content = message["content"].clone();
        let is_part = |part: &Value| match part["type"].as_str() {
            Some("text") => part["text"].is_string(),
            kind => kind.is_some(),
        };
        match &content {
            Value::String(_) => {}
            Value::Array(parts) if parts.iter().all(is_part) => {}
            _ => return odd("no `content` that is a text or a list of parts"),
        }
        Ok(Self { role, content })
    }

    /// The text, text parts joined.
    pub(crate) fn text(&self) -> String {
        match &self.content {
            Value::Array(parts) => parts.iter().filter_map(|it| it["text"].as_str()).collect(),
            other => other.as_str().unwrap_or_default().to_owned(),
        }
    }

    /// The message as the input of a run.
    pub(crate) fn into_item(self) -> Value {
        json!({ "type": "message", "role": self.role, "content": self.content })
    }
}

/// The id that a client chose: a name, and nothing that a path or a log could take for more.
fn checked_id(id: &str) -> Result<String> {
    let is_plain = |it: char| it.is_alphanumeric() || "-_.:@".contains(it);
    let is_fit = id.len() <= LONGEST
        && id.chars().all(is_plain)
        && id.chars().any(char::is_alphanumeric)
        && !id.contains("..");
    if is_fit {
        return Ok(id.to_owned());
    }
    Err(Error::bad_request(format!(
        "`sessionId` must be made of letters, digits and `-_.:@`, without `..`, of at most {LONGEST} bytes"
    )))
}

/// An id for a new session.
pub(crate) fn new_id() -> String {
    format!("ses_{}", uuid::Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &Value) -> String {
        let error = ChatRequest::parse(body.to_string().as_bytes()).unwrap_err();
        error.message().to_owned()
    }

    #[test]
    fn what_is_wrong_with_a_body_is_named() {
        let user = json!({ "role": "user", "content": "hi" });
        assert_eq!(refused(&Value::Null), "Invalid JSON");
        for nothing in [json!({}), json!([]), json!({ "messages": "hi" })] {
            assert!(refused(&nothing).contains("at least one message"));
        }
        let odd = json!({ "messages": [user, { "role": "robot", "content": "hi" }] });
        assert!(refused(&odd).starts_with("`messages[1]` has no `role`"));
        for content in [
            Value::Null,
            json!(7),
            json!([{ "type": "text" }]),
            json!(["x"]),
        ] {
            let body = json!({ "messages": [{ "role": "user", "content": content }] });
            assert!(refused(&body).contains("no `content`"), "{content}");
        }
    }

    #[test]
    fn an_id_is_a_name_and_no_path() {
        let long = "x".repeat(LONGEST);
        for fit in [
            "a",
            "my-session-1",
            "ses_1",
            "ann@acme:7",
            "日本",
            &long[..126],
        ] {
            assert_eq!(checked_id(fit).unwrap(), fit);
        }
        let longer = "x".repeat(LONGEST + 1);
        for unfit in [
            "",
            "../../evil",
            "a/b",
            "a..b",
            "--",
            "a b",
            "a\n",
            "a\\b",
            &longer,
        ] {
            assert_eq!(
                checked_id(unfit).unwrap_err().code(),
                Some("BAD_REQUEST"),
                "{unfit:?}"
            );
        }
    }

    #[test]
    fn new_ids_differ() {
        let (one, other) = (new_id(), new_id());
        assert_ne!(one, other);
        assert!(checked_id(&one).is_ok());
    }
}
