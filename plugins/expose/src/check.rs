//! What is wrong with a configuration whose settings fit their types.

use std::collections::BTreeMap;

use mortise_plugin_api::prelude::*;

use crate::config::{Config, Exposed, JOB_ID, Mode};
use crate::path::RoutePath;

/// More attempts are none that the server makes.
const MOST_ATTEMPTS: u32 = 100;

/// The methods that agents may answer.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The longest name of an agent, with its version.
const LONGEST_NAME: usize = 64;

/// A setting of an endpoint, and what is wrong with it.
type Wrong = (&'static str, String);

// === impl Config ===

impl Config {
    /// Refuses what no schema can.
    pub(crate) fn check(&self) -> Result<()> {
        let is_plain = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
        if self.service.is_empty() || !self.service.chars().all(is_plain) {
            let message = "is not a name of events: those have letters, digits, `_` and `-`";
            return Err(Error::config("/service", message));
        }
        if self.mount.names().next().is_some() {
            return Err(Error::config("/mount", "has a parameter"));
        }
        if let Some(document) = &self.document
            && (document.as_str().is_empty() || document.names().next().is_some())
        {
            return Err(Error::config("/document", "is blank, or has a parameter"));
        }
        if self.mount.as_str().is_empty() && self.document.is_none() {
            let message = "is blank, and `/openapi.json` is the server's own: set `document`";
            return Err(Error::config("/mount", message));
        }
        let mut agents = BTreeMap::new();
        let mut routes = BTreeMap::new();
        for (place, exposed) in self.endpoints.iter().enumerate() {
            let at =
                |(key, message): Wrong| Error::config(format!("/endpoints/{place}/{key}"), message);
            exposed.check(self).map_err(at)?;
            self.check_name(exposed, *agents.entry(exposed.name()).or_insert(place))
                .map_err(at)?;
            for (method, path, key, shows_jobs) in exposed.routes() {
                let own = (place, shows_jobs);
                let route = (method.clone(), path.filled_in(|_| ":"));
                let first = *routes.entry(route).or_insert(own);
                if first != own {
                    self.check_shared(first, own)
                        .map_err(|why| at((key, format!("takes {method} {path}, {why}"))))?;
                }
            }
        }
        Ok(())
    }

    /// A name is that of one agent, whoever is first.
    fn check_name(&self, exposed: &Exposed, first: usize) -> Result<(), Wrong> {
        let (key, name) = (exposed.name_key(), exposed.name());
        if self.endpoints[first].agent != exposed.agent {
            let message = format!("is the name of another agent at `endpoints.{first}`");
            return Err((key, message));
        }
        let whole = format!("{name}.{}", self.version);
        let is_plain = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
        let is_name = name.starts_with(|it: char| it.is_ascii_alphanumeric())
            && name.chars().all(is_plain)
            && whole.len() <= LONGEST_NAME;
        if !is_name {
            let message = format!(
                "makes {whole:?}, which is not a name: a letter or digit, then letters, digits, \
                 `.`, `_` and `-`, {LONGEST_NAME} in all"
            );
            return Err((key, message));
        }
        Ok(())
    }

    /// Jobs of several endpoints may stand at one path, and nothing else may.
    fn check_shared(
        &self,
        (first, first_shows_jobs): (usize, bool),
        (place, shows_jobs): (usize, bool),
    ) -> Result<(), String> {
        let (one, other) = (&self.endpoints[first], &self.endpoints[place]);
        if !shows_jobs || !first_shows_jobs {
            Err(format!("which `endpoints.{first}` has"))
        } else if one.public != other.public {
            Err(format!(
                "where `endpoints.{first}` shows its jobs, and only one of the two is public"
            ))
        } else if one.status_path() != other.status_path() {
            Err(format!(
                "where `endpoints.{first}` names its parameters otherwise"
            ))
        } else {
            Ok(())
        }
    }
}

// === impl Exposed ===

impl Exposed {
    fn check(&self, config: &Config) -> Result<(), Wrong> {
        let wrong = |key: &'static str, message: &str| Err((key, message.to_owned()));
        let takes_all = |path: &str| config.bare && path.starts_with("/:");
        let everything = "begins with a parameter, which takes every path: set `bare = false`";
        if !METHODS.contains(&&*self.method()) {
            wrong("method", "is none of GET, POST, PUT, PATCH and DELETE")
        } else if self.path.as_str().is_empty() {
            wrong("path", "is blank")
        } else if takes_all(self.path.as_str()) {
            wrong("path", everything)
        } else if self.payload.is_some() && !self.has_body() {
            wrong("payload", "is given, and the method has no body")
        } else if self.request_content_type.is_empty() || !is_visible(&self.request_content_type) {
            wrong(
                "request_content_type",
                "is no content type, such as `text/plain`",
            )
        } else if is_multipart(&self.request_content_type) {
            wrong("request_content_type", "is multipart, which is not read")
        } else if let Some(kind) = &self.response_content_type
            && !is_media_type(kind)
        {
            wrong(
                "response_content_type",
                "is no media type, such as `text/plain`",
            )
        } else if self.response_content_type.is_some() && self.mode != Mode::Aggregate {
            let message = "is given, and the mode is not `aggregate`: the answer has its own";
            wrong("response_content_type", message)
        } else if self.mode == Mode::Accepted {
            self.check_jobs(takes_all(self.status_path().as_str()).then_some(everything))
        } else if let Some(key) = self.key_of_jobs() {
            wrong(key, "is given, and the mode is not `accepted`")
        } else {
            Ok(())
        }
    }

    fn check_jobs(&self, takes_all: Option<&str>) -> Result<(), Wrong> {
        let states = self.status_path();
        let has = |name: &str| name == JOB_ID || self.path.names().any(|own| own == name);
        let (key, message) = if self.path.names().any(|name| name == JOB_ID) {
            (
                "path",
                "names `:jobId`, which stands for the job".to_owned(),
            )
        } else if let Some(message) = takes_all {
            ("status_url", message.to_owned())
        } else if !states.names().any(|name| name == JOB_ID) {
            ("status_url", "names no `:jobId`".to_owned())
        } else if let Some(other) = states.names().find(|name| !has(name)) {
            (
                "status_url",
                format!("names `:{other}`, which `path` does not"),
            )
        } else if !(1..=MOST_ATTEMPTS).contains(&self.max_attempts.unwrap_or(1)) {
            ("max_attempts", "is not between 1 and 100".to_owned())
        } else {
            return Ok(());
        };
        Err((key, message))
    }

    /// A setting that is of jobs alone, if one is given.
    fn key_of_jobs(&self) -> Option<&'static str> {
        let given = [
            ("status_url", self.status_url.is_some()),
            ("result_policy", self.result_policy.is_some()),
            ("max_attempts", self.max_attempts.is_some()),
            ("priority", self.priority.is_some()),
        ];
        given.into_iter().find_map(|(key, is)| is.then_some(key))
    }

    /// The setting that its name is from.
    fn name_key(&self) -> &'static str {
        if self.name.is_some() { "name" } else { "agent" }
    }

    /// The methods and paths that it takes, the setting that each is from, and whether jobs are
    /// shown there.
    fn routes(&self) -> Vec<(String, RoutePath, &'static str, bool)> {
        let mut routes = vec![(self.method(), self.path.clone(), "path", false)];
        if self.mode == Mode::Accepted {
            let key = if self.status_url.is_some() {
                "status_url"
            } else {
                "path"
            };
            let of_jobs = |method: &str| (method.to_owned(), self.status_path(), key, true);
            routes.extend(["GET", "DELETE"].map(of_jobs));
        }
        routes
    }
}

fn is_multipart(kind: &str) -> bool {
    kind.to_ascii_lowercase().contains("multipart/")
}

fn is_media_type(text: &str) -> bool {
    let is_token = |text: &str| {
        let is_one = |it: u8| it.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&it);
        !text.is_empty() && text.bytes().all(is_one)
    };
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let kind = kind.trim_end().split_once('/');
    kind.is_some_and(|(kind, rest)| is_token(kind) && is_token(rest)) && is_visible(parameters)
}

fn is_visible(text: &str) -> bool {
    text.chars().all(|it| it == ' ' || it.is_ascii_graphic())
}
