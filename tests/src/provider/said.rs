//! What a model says, before it is written in the words of a provider.

/// Something that a model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A piece of text.
    Text(String),
    /// A piece of a thought.
    Thought(String),
    /// The signature of the thought before it.
    Signature(String),
    /// A call, its arguments in pieces.
    Call {
        /// The provider's id, where it gives one.
        id: Option<String>,
        /// The tool.
        name: String,
        /// The arguments.
        pieces: Vec<String>,
    },
    /// Several calls whose pieces come in turns; only chat completions can say this.
    Together(Vec<Said>),
    /// Something that is sent so that the connection is not taken for dead.
    KeepAlive,
    /// What it cost.
    Usage(Usage),
}

/// Tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Read, those from the cache included.
    pub input: u64,
    /// Of these, from the cache.
    pub cached: u64,
    /// Written, thoughts included.
    pub output: u64,
    /// Of these, for thoughts.
    pub reasoning: u64,
}

// === impl Said ===

impl Said {
    /// A piece of text.
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// A piece of a thought.
    pub fn thought(text: &str) -> Self {
        Self::Thought(text.to_owned())
    }

    /// A call with its id.
    pub fn call(id: &str, name: &str, pieces: &[&str]) -> Self {
        Self::Call {
            id: Some(id.to_owned()),
            name: name.to_owned(),
            pieces: pieces.iter().map(|&it| it.to_owned()).collect(),
        }
    }
}

/// Whether tools are called.
pub(super) fn has_calls(said: &[Said]) -> bool {
    said.iter()
        .any(|it| matches!(it, Said::Call { .. } | Said::Together(_)))
}

/// What was said of the cost.
pub(super) fn usage(said: &[Said]) -> Usage {
    let found = said.iter().rev().find_map(|it| match it {
        Said::Usage(usage) => Some(*usage),
        _ => None,
    });
    found.unwrap_or_default()
}
