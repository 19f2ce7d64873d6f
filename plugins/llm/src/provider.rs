//! A provider as it is asked: its address, its key, and what goes with each request.

use std::fmt;

use genai::resolver::{AuthData, Endpoint};
use genai::{Headers, ModelIden, ServiceTarget};
use mortise_plugin_api::prelude::*;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use crate::api::Api;
use crate::config::ProviderConfig;

/// A word of a header that is shorter is no secret, and stands in other texts too.
const SHORTEST_SECRET: usize = 8;

/// Reads a variable of the environment.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A provider.
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) api: Api,
    pub(crate) input: Vec<String>,
    /// Ends with a slash.
    url: String,
    key: Option<String>,
    /// What no log shows, the longest first: the key, and the words of its headers.
    secrets: Vec<String>,
    /// Beside those that the API asks for.
    headers: Headers,
}

// === impl Provider ===

impl Provider {
    /// # Errors
    /// `CONFIG` for an address or a header that cannot be one.
    pub(crate) fn new(
        name: &str,
        config: ProviderConfig,
        environment: Environment<'_>,
    ) -> Result<Self> {
        let known = Api::named(name);
        let api = config.api.or(known).unwrap_or(Api::OpenAI);
        let home = api.home();
        // What stands in the environment is for the provider of that name alone: another one that
        // speaks the same way must not be given its key.
        let own = known == Some(api);
        let variable = |name: &str| environment(name).filter(|it| own && !it.trim().is_empty());
        let url = match config.url.or_else(|| variable(home.url_variable)) {
            Some(url) => url,
            None if own => home.url.to_owned(),
            None => {
                return Err(Error::config(
                    format!("/providers/{name}"),
                    "has no `url`; say where it is",
                ));
            }
        };
        let url = address(&url, home.path).ok_or_else(|| {
            Error::config(
                format!("/providers/{name}/url"),
                "is no address such as \"https://host/v1\"",
            )
        })?;
        let key = config
            .key
            .map(|key| key.0)
            .or_else(|| home.key_variables.iter().find_map(|it| variable(it)));
        if let Some(key) = &key
            && HeaderValue::from_str(key).is_err()
        {
            return Err(Error::config(
                format!("/providers/{name}/key"),
                "holds characters that no key has, such as a line break",
            ));
        }
        for (header, value) in &config.headers {
            let is_header = HeaderName::from_bytes(header.as_bytes()).is_ok()
                && HeaderValue::from_str(&value.0).is_ok();
            if !is_header {
                let place = format!("/providers/{name}/headers/{header}");
                return Err(Error::config(place, "cannot be sent as a header"));
            }
        }
        let mut secrets: Vec<String> = key.iter().cloned().collect();
        for Secret(value) in config.headers.values() {
            // A provider may quote a token without the scheme before it.
            let words = value.split_whitespace();
            let words = words.filter(|word| word.len() >= SHORTEST_SECRET);
            secrets.extend(words.map(str::to_owned));
        }
        secrets.retain(|secret| !secret.is_empty());
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let headers = config.headers.into_iter();
        let mut headers = Headers::from(headers.map(|(name, it)| (name, it.0)).collect::<Vec<_>>());
        if let (Api::Ollama, Some(key)) = (api, &key) {
            headers.merge(("authorization", format!("Bearer {key}")));
        }
        let input = config
            .input
            .unwrap_or_else(|| api.input().iter().map(|&it| it.to_owned()).collect());
        Ok(Self {
            name: name.to_owned(),
            api,
            input,
            url,
            key,
            secrets,
            headers,
        })
    }

    /// Whether it can be asked: some providers demand a key.
    pub(crate) fn has_what_it_needs(&self) -> bool {
        self.key.is_some() || self.api == Api::Ollama
    }

    pub(crate) fn headers(&self) -> Headers {
        self.headers.clone()
    }

    /// The model, as genai is told of it.
    pub(crate) fn target(&self, model: &str) -> ServiceTarget {
        let auth = match (&self.key, self.api) {
            // A server without keys gets no header with an empty one.
            (None, Api::OpenAI) => AuthData::RequestOverride {
                url: format!("{}chat/completions", self.url),
                headers: self.headers(),
            },
            (key, _) => AuthData::Key(key.clone().unwrap_or_default()),
        };
        ServiceTarget {
            endpoint: Endpoint::from_owned(self.url.as_str()),
            auth,
            model: ModelIden::new(self.api.adapter(), model),
        }
    }

    /// A text of the provider without its secrets, in one line that is not too long.
    pub(crate) fn redacted(&self, text: &str) -> String {
        const LONGEST: usize = 300;
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret, "[redacted]");
        }
        // A provider that quotes a key usually leaves out its middle.
        let mut follows_scheme = false;
        let words = text.split_whitespace().map(|word| {
            let is_key = ["sk-", "AIza"].iter().any(|it| word.contains(it));
            let is_hidden = is_key || follows_scheme;
            follows_scheme = word.to_ascii_lowercase().ends_with("bearer");
            if is_hidden { "[redacted]" } else { word }
        });
        let line: String = words.collect::<Vec<_>>().join(" ");
        line.chars().take(LONGEST).collect()
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("name", &self.name)
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}

/// The address with its slash at the end, and with its path where it has none.
fn address(text: &str, path: &str) -> Option<String> {
    let text = text.trim();
    // `OLLAMA_HOST` is often a host alone.
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let mut url = Url::parse(&with_scheme).ok()?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return None;
    }
    let own = url.path().trim_end_matches('/').to_owned();
    let own = if own.is_empty() {
        format!("/{path}")
    } else {
        format!("{own}/")
    };
    url.set_path(&own);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(name: &str, config: ProviderConfig) -> Result<Provider> {
        Provider::new(name, config, &|name| match name {
            "OPENAI_API_KEY" => Some("from-the-environment".to_owned()),
            "OLLAMA_HOST" => Some("box:11434".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn addresses_are_taken_as_other_tools_take_them() {
        let table = [
            (
                "https://api.anthropic.com",
                "v1/",
                "https://api.anthropic.com/v1/",
            ),
            (
                "http://127.0.0.1:8000/v1",
                "v1/",
                "http://127.0.0.1:8000/v1/",
            ),
            ("https://host/a/b/", "v1/", "https://host/a/b/"),
            ("localhost:11434", "", "http://localhost:11434/"),
        ];
        for (text, path, expected) in table {
            assert_eq!(address(text, path).as_deref(), Some(expected), "{text}");
        }
        for wrong in ["", "ftp://host", "http://"] {
            assert_eq!(address(wrong, "v1/"), None, "{wrong}");
        }
    }

    #[test]
    fn the_environment_speaks_for_the_provider_of_that_name_alone() {
        let own = provider("openai", ProviderConfig::default()).unwrap();
        assert_eq!(own.key.as_deref(), Some("from-the-environment"));

        let other = ProviderConfig {
            url: Some("http://127.0.0.1:8000/v1".to_owned()),
            ..ProviderConfig::default()
        };
        let other = provider("vllm", other).unwrap();
        assert_eq!((other.api, other.key), (Api::OpenAI, None));

        let ollama = provider("ollama", ProviderConfig::default()).unwrap();
        assert_eq!(ollama.url, "http://box:11434/");
    }

    #[test]
    fn a_provider_of_a_new_name_needs_an_address() {
        let error = provider("vllm", ProviderConfig::default()).unwrap_err();
        assert_eq!(error.issues()[0].path, "/providers/vllm");
    }

    #[test]
    fn nothing_of_a_key_is_shown() {
        let config = ProviderConfig {
            key: Some(Secret("very-secret".to_owned())),
            headers: [
                ("authorization", "Bearer also-secret"),
                ("x-title", "My app"),
            ]
            .map(|(name, value)| (name.to_owned(), Secret(value.to_owned())))
            .into(),
            ..ProviderConfig::default()
        };
        for secret in ["very-secret", "also-secret"] {
            assert!(!format!("{config:?}").contains(secret));
        }
        let provider = provider("openai", config).unwrap();
        assert!(!format!("{provider:?}").contains("very-secret"));
        assert_eq!(
            provider.redacted("bad key: very-secret\nor sk-ab***yz"),
            "bad key: [redacted] or [redacted]"
        );
        assert_eq!(
            provider.redacted("My app sent also-secret, not 'Bearer another' or Bearer"),
            "My app sent [redacted], not 'Bearer [redacted] or Bearer"
        );
    }
}
