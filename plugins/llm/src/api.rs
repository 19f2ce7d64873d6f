//! The four ways of speaking to a provider, and what is known of each.

use genai::adapter::AdapterKind;
use mortise_plugin_api::prelude::*;

/// How a provider is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// Chat completions, as OpenAI and many others have them.
    OpenAI,
    /// Messages, as Anthropic has them.
    Anthropic,
    /// `generateContent`, as Google has it.
    Gemini,
    /// `/api/chat`, as Ollama has it.
    Ollama,
}

/// What is known of the provider that an API is from.
pub(crate) struct Home {
    /// Where it is.
    pub(crate) url: &'static str,
    /// The variable that its own tools read that from.
    pub(crate) url_variable: &'static str,
    /// The variables that its own tools read the key from.
    pub(crate) key_variables: &'static [&'static str],
    /// What is put behind an address without a path.
    pub(crate) path: &'static str,
}

// === impl Api ===

impl Api {
    pub(crate) const ALL: [Self; 4] = [Self::OpenAI, Self::Anthropic, Self::Gemini, Self::Ollama];

    /// The name of the provider that it is from.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenAI => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.name() == name)
    }

    pub(crate) fn adapter(self) -> AdapterKind {
        match self {
            Self::OpenAI => AdapterKind::OpenAI,
            Self::Anthropic => AdapterKind::Anthropic,
            Self::Gemini => AdapterKind::Gemini,
            Self::Ollama => AdapterKind::Ollama,
        }
    }

    pub(crate) fn home(self) -> Home {
        match self {
            Self::OpenAI => Home {
                url: "https://api.openai.com/v1/",
                url_variable: "OPENAI_BASE_URL",
                key_variables: &["OPENAI_API_KEY"],
                path: "v1/",
            },
            Self::Anthropic => Home {
                url: "https://api.anthropic.com/v1/",
                url_variable: "ANTHROPIC_BASE_URL",
                key_variables: &["ANTHROPIC_API_KEY"],
                path: "v1/",
            },
            Self::Gemini => Home {
                url: "https://generativelanguage.googleapis.com/v1beta/",
                url_variable: "GOOGLE_GEMINI_BASE_URL",
                key_variables: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
                path: "v1beta/",
            },
            Self::Ollama => Home {
                url: "http://127.0.0.1:11434/",
                url_variable: "OLLAMA_HOST",
                key_variables: &["OLLAMA_API_KEY"],
                path: "",
            },
        }
    }

    /// The kinds of input beside text that its models usually take.
    pub(crate) fn input(self) -> &'static [&'static str] {
        match self {
            Self::OpenAI => &["image", "audio", "file"],
            Self::Anthropic => &["image", "file"],
            Self::Gemini => &["image", "audio", "video", "file"],
            Self::Ollama => &["image"],
        }
    }
}
