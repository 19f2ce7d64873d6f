//! The routes of mounts: what a plugin says of its endpoints, read once.

use http::Method;
use mortise_plugin_api::{MountInfo, Prefix, Slashes};

/// The routes of a mount.
#[derive(Debug, Clone)]
pub(crate) struct Routes {
    pub(crate) scope: Scope,
    pub(crate) slashed: Slashed,
    /// `""`, or with a leading and without a trailing slash.
    pub(crate) prefix: String,
    pub(crate) all: Vec<Route>,
}

/// One method of one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) pattern: Pattern,
    /// The place of the endpoint in the mount.
    pub(crate) endpoint: usize,
}

/// A path pattern in the form of the router.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// Parameters are in braces.
    pub(crate) text: String,
    /// The same without the names of parameters.
    pub(crate) shape: String,
}

/// What patterns are matched against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    Base,
    Absolute,
}

/// Whether double and trailing slashes matter; the key form of [`Slashes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Slashed {
    Lenient,
    Strict,
}

/// The methods an endpoint may have.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

// === impl Routes ===

impl Routes {
    /// # Errors
    /// Everything that is wrong with the endpoints.
    pub(crate) fn of(info: &MountInfo) -> Result<Self, Vec<String>> {
        let (scope, prefix) = match &info.prefix {
            Prefix::Base(prefix) => (Scope::Base, normal_prefix(prefix)),
            Prefix::Absolute(prefix) => (Scope::Absolute, normal_prefix(prefix)),
        };
        let slashed = match info.slashes {
            Slashes::Lenient => Slashed::Lenient,
            Slashes::Strict => Slashed::Strict,
        };
        let mut all = Vec::new();
        let mut mistakes = Vec::new();
        for (endpoint, said) in info.endpoints.iter().enumerate() {
            let path = format!("{prefix}{}", said.path);
            let pattern = match Pattern::parse(&prefix, &said.path, slashed) {
                Ok(pattern) => pattern,
                Err(reason) => {
                    mistakes.push(format!("{path:?} is not a path: {reason}"));
                    continue;
                }
            };
            if said.methods.is_empty() {
                mistakes.push(format!("{path} has no method"));
            }
            for name in &said.methods {
                match METHODS.into_iter().find(|method| method == name.as_str()) {
                    Some(method) => all.push(Route {
                        method,
                        pattern: pattern.clone(),
                        endpoint,
                    }),
                    None => mistakes.push(format!(
                        "{path} has {name:?}, which is not a method it may have"
                    )),
                }
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Self {
            scope,
            slashed,
            prefix,
            all,
        })
    }
}

// === impl Scope ===

impl Scope {
    /// The whole of a path in this scope.
    pub(crate) fn whole(self, base_path: &str, path: &str) -> String {
        match self {
            Self::Base => format!("{base_path}{path}"),
            Self::Absolute => path.to_owned(),
        }
    }
}

// === impl Pattern ===

impl Pattern {
    fn parse(prefix: &str, path: &str, slashed: Slashed) -> Result<Self, String> {
        if !path.starts_with('/') {
            return Err("it does not begin with a slash".into());
        }
        let whole = match (path, slashed) {
            ("/", _) if !prefix.is_empty() => prefix.to_owned(),
            (_, Slashed::Strict) => format!("{prefix}{path}"),
            (_, Slashed::Lenient) => without_empty_segments(&format!("{prefix}{path}")),
        };
        let mut text = String::new();
        let mut shape = String::new();
        for segment in whole.split('/').skip(1) {
            let (segment_text, segment_shape) = Self::segment(segment)?;
            text.push('/');
            text.push_str(&segment_text);
            shape.push('/');
            shape.push_str(&segment_shape);
        }
        // What the router refuses of a pattern alone, it says here.
        let tried = matchit::Router::new().insert(text.as_str(), ());
        tried.map_err(|error| error.to_string())?;
        Ok(Self { text, shape })
    }

    fn segment(segment: &str) -> Result<(String, String), String> {
        let braced = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let name = segment.strip_prefix(':').or(braced);
        if let Some(rest) = segment
            .strip_prefix('*')
            .or_else(|| name.and_then(|name| name.strip_prefix('*')))
        {
            let rest = if rest.is_empty() { "rest" } else { rest };
            return Ok((format!("{{*{}}}", checked_name(rest)?), "{*}".into()));
        }
        if let Some(name) = name {
            return Ok((format!("{{{}}}", checked_name(name)?), "{}".into()));
        }
        if let Some(odd) = segment
            .chars()
            .find(|it| it.is_whitespace() || it.is_control() || "?#{}*".contains(*it))
        {
            return Err(format!("{odd:?} has no place in {segment:?}"));
        }
        Ok((segment.to_owned(), segment.to_owned()))
    }
}

fn checked_name(name: &str) -> Result<&str, String> {
    let is_word = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
    if name.is_empty() || !name.chars().all(is_word) {
        return Err(format!("{name:?} is not a name of a parameter"));
    }
    Ok(name)
}

/// `""`, or with a leading and without a trailing slash.
fn normal_prefix(prefix: &str) -> String {
    let prefix = without_empty_segments(prefix);
    if prefix == "/" { String::new() } else { prefix }
}

/// The path with single slashes between its segments and none at its end.
pub(crate) fn without_empty_segments(path: &str) -> String {
    let mut normal = String::with_capacity(path.len() + 1);
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        normal.push('/');
        normal.push_str(segment);
    }
    if normal.is_empty() {
        normal.push('/');
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(prefix: &str, methods: &str, path: &str, is_strict: bool) -> Result<String, String> {
        let info = serde_json::json!({
            "prefix": { "base": prefix },
            "slashes": if is_strict { "strict" } else { "lenient" },
            "endpoints": [{ "methods": methods.split_terminator(',').collect::<Vec<_>>(), "path": path }],
        });
        let routes = Routes::of(&serde_json::from_value(info).unwrap());
        let routes = routes.map_err(|mistakes| mistakes.join("; "))?;
        let said = routes.all.iter().map(|route| {
            let Pattern { text, shape } = &route.pattern;
            format!("{} {text} {shape}", route.method)
        });
        Ok(said.collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn parameters_are_written_in_one_form_and_have_one_shape() {
        for (prefix, path, lenient, strict) in [
            ("", "/a/:x", "/a/{x} /a/{}", "/a/{x} /a/{}"),
            (
                "x/",
                "/{a}/*",
                "/x/{a}/{*rest} /x/{}/{*}",
                "/x/{a}/{*rest} /x/{}/{*}",
            ),
            ("/x", "/", "/x /x", "/x /x"),
            ("", "//a/", "/a /a", "//a/ //a/"),
            ("", "/", "/ /", "/ /"),
        ] {
            let said = routes(prefix, "GET", path, false).unwrap();
            assert_eq!(said, format!("GET {lenient}"));
            let said = routes(prefix, "GET", path, true).unwrap();
            assert_eq!(said, format!("GET {strict}"));
        }
        assert_eq!(
            routes("", "GET,PUT", "/a", false).unwrap(),
            "GET /a /a; PUT /a /a"
        );
    }

    #[test]
    fn what_is_no_route_is_told() {
        for (methods, path, expected) in [
            ("", "/tea", "/tea has no method"),
            (
                "BREW",
                "/tea",
                "/tea has \"BREW\", which is not a method it may have",
            ),
            (
                "GET",
                "x",
                "\"x\" is not a path: it does not begin with a slash",
            ),
            (
                "GET",
                "/{}/y",
                "\"/{}/y\" is not a path: \"\" is not a name of a parameter",
            ),
            (
                "GET",
                "/{id}.json",
                "\"/{id}.json\" is not a path: '{' has no place in \"{id}.json\"",
            ),
            (
                "GET",
                "/a b",
                "\"/a b\" is not a path: ' ' has no place in \"a b\"",
            ),
        ] {
            assert_eq!(routes("", methods, path, false).unwrap_err(), expected);
        }
        // What the router alone knows.
        let said = routes("", "GET", "/x/*rest/y", false).unwrap_err();
        assert!(said.starts_with("\"/x/*rest/y\" is not a path: "), "{said}");
    }
}
