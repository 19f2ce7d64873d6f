//! Paths of the configuration.

use std::fmt;

use mortise_plugin_api::path_names;
use mortise_plugin_api::prelude::*;

/// A path as requests have it: empty, or with a slash at its beginning and none at its end. A
/// parameter is a whole segment, `:id` or `{id}`, and is written `:id` here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct RoutePath(String);

// === impl RoutePath ===

impl RoutePath {
    /// The path as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The names of its parameters.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        path_names(&self.0)
    }

    /// A path below this one.
    pub(crate) fn below(&self, path: &str) -> Self {
        Self(format!("{}{path}", self.0))
    }

    /// The path with something in the place of each parameter.
    pub(crate) fn filled_in<'a>(&'a self, value: impl Fn(&'a str) -> &'a str) -> String {
        let segments = self.0.split('/');
        let filled = segments.map(|segment| segment.strip_prefix(':').map_or(segment, &value));
        filled.collect::<Vec<_>>().join("/")
    }
}

impl TryFrom<String> for RoutePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.contains("://") {
            return Err(format!(
                "{text:?} is a URL; a path of this server is wanted"
            ));
        }
        let inner = text.strip_prefix('/').unwrap_or(&text);
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let mut path = String::new();
        if inner.is_empty() {
            return Ok(Self(path));
        }
        let mut names = Vec::new();
        for segment in inner.split('/') {
            path.push('/');
            if let Some(name) = path_names(segment).next() {
                check_name(name)?;
                if names.contains(&name) {
                    return Err(format!("{text:?} names the parameter {name:?} twice"));
                }
                names.push(name);
                path.extend([":", name]);
            } else {
                check_literal(segment).map_err(|why| format!("{text:?} {why}"))?;
                path.push_str(segment);
            }
        }
        Ok(Self(path))
    }
}

impl fmt::Display for RoutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let is_word = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
    if name.is_empty() || !name.chars().all(is_word) {
        return Err(format!(
            "{name:?} is not a name of a parameter: those have letters, digits, `_` and `-`"
        ));
    }
    Ok(())
}

/// Whether a request can have this segment: clients send anything else escaped.
fn check_literal(segment: &str) -> Result<(), String> {
    let is_sent = |it: char| it.is_ascii_alphanumeric() || "-._~!$&'()+,;=@%".contains(it);
    match segment.chars().find(|it| !is_sent(*it)) {
        _ if segment.is_empty() => Err("has an empty segment".to_owned()),
        _ if segment == "." || segment == ".." => Err(format!("has the segment {segment:?}")),
        Some(':' | '{' | '}') => Err("has a parameter that is not a whole segment".to_owned()),
        Some(odd) => Err(format!("has a {odd:?}, which no request has as it stands")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<RoutePath, String> {
        RoutePath::try_from(text.to_owned())
    }

    #[test]
    fn a_path_is_written_in_one_way() {
        for (text, written) in [
            ("", ""),
            ("/", ""),
            ("a/b", "/a/b"),
            ("/a/{id}/", "/a/:id"),
            (":a/%20", "/:a/%20"),
        ] {
            assert_eq!(path(text).unwrap().as_str(), written);
        }
    }

    #[test]
    fn what_no_request_can_match_is_no_path() {
        for (text, said) in [
            ("https://a.example/b", "is a URL"),
            ("//a", "empty segment"),
            ("a//b", "empty segment"),
            ("a/..", "the segment"),
            ("x:id", "not a whole segment"),
            ("x{id}", "not a whole segment"),
            ("{*all}", "not a name of a parameter"),
            (":", "not a name of a parameter"),
            ("*", "'*'"),
            ("a b", "' '"),
            ("a?b=c", "'?'"),
            ("caf\u{e9}", "no request"),
            (":a/{a}", "twice"),
        ] {
            let error = path(text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn each_parameter_gets_its_value() {
        let path = path("/a/:jobId/{job}/:jobIdentity").unwrap();
        assert_eq!(path.filled_in(|name| name), "/a/jobId/job/jobIdentity");
        assert_eq!(
            path.names().collect::<Vec<_>>(),
            ["jobId", "job", "jobIdentity"]
        );
    }
}
