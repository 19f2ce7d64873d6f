//! The routes of plugins: which mounts there are, and which endpoint a path and a method reach.
//!
//! A table is built as a whole, or refused with the names of who is in whose way, and then
//! swapped in. Matching is by method first, so that a path that lacks a method falls through to
//! a parameter path that has it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use http::Method;
use mortise_plugin_api::{Access, MethodMismatch, MountInfo, Prefix, Slashes};

use super::params;
use super::{handlers, router};
use crate::metrics::{Metrics, RouteMeters};
use crate::plugin::capability::{MountCapability, Offered};

/// The routes of all loaded plugins.
#[derive(Default)]
pub(crate) struct RouteTable {
    /// Patterns by what they are matched against.
    routers: HashMap<(Scope, Slashed), Routers>,
    endpoints: Vec<Endpoint>,
    /// The mounts that render errors, in the order of the configuration.
    renderers: Vec<Renderer>,
}

/// A mount of an instance.
pub(crate) struct Mounted {
    pub(crate) instance: Arc<str>,
    pub(crate) capability: Arc<dyn MountCapability>,
}

/// What is asked of an endpoint before it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// The secret and every guard.
    Protected,
    /// The mount authenticates; guards that do not still run.
    Own,
    /// Nothing.
    Public,
}

/// An endpoint for one method of one pattern.
pub(super) struct Endpoint {
    pub(super) mount: Arc<Mounted>,
    /// Its place in the mount.
    pub(super) index: usize,
    pub(super) admission: Admission,
    pub(super) method: Method,
    /// The whole path, parameters in braces.
    pub(super) path: String,
    pub(super) meters: RouteMeters,
}

/// An endpoint that a request reaches.
pub(super) struct Reached {
    pub(super) mount: Arc<Mounted>,
    pub(super) endpoint: usize,
    pub(super) admission: Admission,
    pub(super) params: Vec<(String, String)>,
    pub(super) meters: RouteMeters,
}

/// What the table says about a method and a path.
pub(super) enum Lookup {
    Reached(Reached),
    /// The path has other methods only.
    OtherMethods {
        mount: Arc<Mounted>,
        methods: Vec<Method>,
    },
    /// A parameter is not fit to be passed on.
    Unfit {
        mount: Arc<Mounted>,
    },
    Unknown,
}

/// A path, as it came and as the base path leaves it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestPath<'p> {
    pub(super) whole: &'p str,
    /// Without the base path, or the same where that is not in front.
    pub(super) below_base: &'p str,
    pub(super) has_base: bool,
}

/// Two routes that cannot both be there, or one that cannot be at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RouteConflict {
    #[error("the plugins {first} and {second} both serve {method} {pattern}")]
    Twice {
        first: Arc<str>,
        second: Arc<str>,
        method: Method,
        pattern: String,
    },
    #[error("the plugin {instance} serves {method} {pattern}, which is a route of the server")]
    BuiltIn {
        instance: Arc<str>,
        method: Method,
        pattern: String,
    },
    #[error("the plugin {instance} serves {pattern:?}, which is not a path: {reason}")]
    Pattern {
        instance: Arc<str>,
        pattern: String,
        reason: String,
    },
    #[error(
        "the plugin {instance} serves {pattern} for {method:?}, which is not a method it may serve"
    )]
    Method {
        instance: Arc<str>,
        pattern: String,
        method: String,
    },
}

/// What patterns are matched against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scope {
    Base,
    Absolute,
}

/// Whether double and trailing slashes matter; the key form of [`Slashes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Slashed {
    Lenient,
    Strict,
}

/// A router for each method, in the order in which methods were first seen.
#[derive(Default)]
struct Routers(Vec<(Method, Layers)>);

/// Patterns that one router cannot hold together go to the next.
#[derive(Default)]
struct Layers(Vec<matchit::Router<usize>>);

struct Renderer {
    scope: Scope,
    prefix: String,
    mount: Arc<Mounted>,
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

// === impl RouteTable ===

impl RouteTable {
    /// Builds the table; the order of the mounts is that of the configuration.
    ///
    /// # Errors
    /// The first route that is invalid, that another plugin has, or that the server has.
    pub(crate) fn build(
        mounts: Vec<Offered<dyn MountCapability>>,
        base_path: &str,
        metrics: &Metrics,
    ) -> Result<Self, RouteConflict> {
        let mut table = Self::default();
        let mut owners = HashMap::new();
        for Offered {
            instance,
            capability,
        } in mounts
        {
            let mount = Arc::new(Mounted {
                instance,
                capability,
            });
            table.add(&mount, base_path, &mut owners)?;
        }
        for endpoint in &mut table.endpoints {
            endpoint.meters = metrics.route(endpoint.method.as_str(), &endpoint.path);
        }
        Ok(table)
    }

    fn add(
        &mut self,
        mount: &Arc<Mounted>,
        base_path: &str,
        owners: &mut HashMap<(Method, String), Arc<str>>,
    ) -> Result<(), RouteConflict> {
        let info = mount.capability.info();
        let (scope, prefix) = match &info.prefix {
            Prefix::Base(prefix) => (Scope::Base, normal_prefix(prefix)),
            Prefix::Absolute(prefix) => (Scope::Absolute, normal_prefix(prefix)),
        };
        let slashed = match info.slashes {
            Slashes::Lenient => Slashed::Lenient,
            Slashes::Strict => Slashed::Strict,
        };
        for (index, endpoint) in info.endpoints.iter().enumerate() {
            let pattern = Pattern::parse(&prefix, &endpoint.path, slashed).map_err(|reason| {
                RouteConflict::Pattern {
                    instance: Arc::clone(&mount.instance),
                    pattern: format!("{prefix}{}", endpoint.path),
                    reason,
                }
            })?;
            for name in &endpoint.methods {
                let method = METHODS.into_iter().find(|method| method == name.as_str());
                let method = method.ok_or_else(|| RouteConflict::Method {
                    instance: Arc::clone(&mount.instance),
                    pattern: pattern.text.clone(),
                    method: name.clone(),
                })?;
                claim(mount, scope, &pattern, &method, base_path, owners)?;
                let place = self.endpoints.len();
                self.endpoints.push(Endpoint {
                    mount: Arc::clone(mount),
                    index,
                    admission: admission(info, endpoint.public),
                    method: method.clone(),
                    path: match scope {
                        Scope::Base => format!("{base_path}{}", pattern.text),
                        Scope::Absolute => pattern.text.clone(),
                    },
                    meters: RouteMeters::default(),
                });
                self.routers
                    .entry((scope, slashed))
                    .or_default()
                    .insert(&method, &pattern, place)
                    .map_err(|reason| RouteConflict::Pattern {
                        instance: Arc::clone(&mount.instance),
                        pattern: pattern.text.clone(),
                        reason,
                    })?;
            }
        }
        if info.renders_errors {
            self.renderers.push(Renderer {
                scope,
                prefix,
                mount: Arc::clone(mount),
            });
        }
        Ok(())
    }

    /// All endpoints, those of one mount together.
    pub(super) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Which endpoint a request reaches.
    pub(super) fn lookup(&self, method: &Method, path: RequestPath<'_>) -> Lookup {
        if self.endpoints.is_empty() {
            return Lookup::Unknown;
        }
        let base = (Scope::Base, path.below_base);
        let absolute = (Scope::Absolute, path.whole);
        // What is closer to the path that was asked for goes first.
        let scopes = if path.has_base {
            [base, absolute]
        } else {
            [absolute, base]
        };
        let mut mount = None;
        let mut methods = Vec::new();
        for (scope, path) in scopes {
            for slashed in [Slashed::Strict, Slashed::Lenient] {
                let Some(routers) = self.routers.get(&(scope, slashed)) else {
                    continue;
                };
                let normal;
                let path = match slashed {
                    Slashed::Strict => path,
                    Slashed::Lenient => {
                        normal = without_empty_segments(path);
                        &normal
                    }
                };
                if let Some((place, params)) = routers.at(method, path) {
                    return self.reached(place, params);
                }
                for (method, place) in routers.others(path) {
                    mount.get_or_insert(place);
                    if !methods.contains(method) {
                        methods.push(method.clone());
                    }
                }
            }
        }
        match mount {
            Some(place) => Lookup::OtherMethods {
                mount: Arc::clone(&self.endpoints[place].mount),
                methods,
            },
            None => Lookup::Unknown,
        }
    }

    fn reached(&self, place: usize, params: Vec<(String, String)>) -> Lookup {
        let Endpoint {
            mount,
            index,
            admission,
            meters,
            ..
        } = &self.endpoints[place];
        let mount = Arc::clone(mount);
        if !params.iter().all(|(_, value)| params::is_fit(value)) {
            return Lookup::Unfit { mount };
        }
        Lookup::Reached(Reached {
            mount,
            endpoint: *index,
            admission: *admission,
            params,
            meters: meters.clone(),
        })
    }

    /// Who renders what goes wrong at a path that nobody has: the mount with the longest prefix,
    /// unless the base path is longer and the native API is served there.
    pub(super) fn renderer(
        &self,
        base_path: &str,
        is_native: bool,
        path: RequestPath<'_>,
    ) -> Option<&Arc<Mounted>> {
        let base = if path.has_base { base_path.len() } else { 0 };
        let native = if is_native { base } else { 0 };
        let covering = self.renderers.iter().filter_map(|renderer| {
            let (path, length) = match renderer.scope {
                Scope::Base => (path.below_base, base + renderer.prefix.len()),
                Scope::Absolute => (path.whole, renderer.prefix.len()),
            };
            (length >= native && router::is_below(path, &renderer.prefix))
                .then_some((length, &renderer.mount))
        });
        // The first of the longest, in the order of the configuration.
        let longest = covering.reduce(|one, other| if other.0 > one.0 { other } else { one });
        longest.map(|(_, mount)| mount)
    }
}

impl fmt::Debug for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteTable")
            .field("endpoints", &self.endpoints.len())
            .finish_non_exhaustive()
    }
}

// === impl Mounted ===

impl Mounted {
    pub(super) fn renders_errors(&self) -> bool {
        self.capability.info().renders_errors
    }

    /// Whether strangers are not told which paths and methods there are.
    pub(super) fn hides_routes(&self) -> bool {
        let info = self.capability.info();
        info.hides_routes && info.access == Access::Own
    }

    /// Whether a method that a path lacks is 404 here.
    pub(super) fn hides_paths(&self) -> bool {
        self.capability.info().method_mismatch == MethodMismatch::NotFound
    }
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mounted").field(&self.instance).finish()
    }
}

// === impl Routers ===

impl Routers {
    fn insert(&mut self, method: &Method, pattern: &Pattern, place: usize) -> Result<(), String> {
        let known = self.0.iter().position(|(own, _)| own == method);
        let index = known.unwrap_or_else(|| {
            self.0.push((method.clone(), Layers::default()));
            self.0.len() - 1
        });
        let Layers(layers) = &mut self.0[index].1;
        for layer in layers.iter_mut() {
            match layer.insert(pattern.text.as_str(), place) {
                Ok(()) => return Ok(()),
                // Patterns may overlap, but one router holds no two kinds of parameters at one place.
                Err(matchit::InsertError::Conflict { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        let mut layer = matchit::Router::new();
        layer
            .insert(pattern.text.as_str(), place)
            .map_err(|error| error.to_string())?;
        layers.push(layer);
        Ok(())
    }

    fn at(&self, method: &Method, path: &str) -> Option<(usize, Vec<(String, String)>)> {
        let (_, layers) = self.0.iter().find(|(own, _)| own == method)?;
        layers.at(path)
    }

    /// The methods that the path has.
    fn others(&self, path: &str) -> impl Iterator<Item = (&Method, usize)> {
        self.0
            .iter()
            .filter_map(move |(method, layers)| Some((method, layers.at(path)?.0)))
    }
}

impl Layers {
    fn at(&self, path: &str) -> Option<(usize, Vec<(String, String)>)> {
        self.0.iter().find_map(|layer| {
            let found = layer.at(path).ok()?;
            let params = found.params.iter();
            let owned = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
            Some((*found.value, owned.collect()))
        })
    }
}

/// A path pattern in the form of the router.
struct Pattern {
    text: String,
    /// The same without the names of parameters.
    shape: String,
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

/// Enters who has a method of a pattern.
fn claim(
    mount: &Mounted,
    scope: Scope,
    pattern: &Pattern,
    method: &Method,
    base_path: &str,
    owners: &mut HashMap<(Method, String), Arc<str>>,
) -> Result<(), RouteConflict> {
    let text = pattern.text.as_str();
    let is_at_root = match scope {
        Scope::Base => base_path.is_empty() && handlers::is_at_root(method, text),
        Scope::Absolute => handlers::is_at_root(method, text),
    };
    let below_base = match scope {
        Scope::Base => text,
        Scope::Absolute => router::cut_base(text, base_path).below_base,
    };
    if is_at_root || handlers::is_built_in(method, below_base) {
        return Err(RouteConflict::BuiltIn {
            instance: Arc::clone(&mount.instance),
            method: method.clone(),
            pattern: pattern.text.clone(),
        });
    }
    let whole = match scope {
        Scope::Base => format!("{base_path}{}", pattern.shape),
        Scope::Absolute => pattern.shape.clone(),
    };
    match owners.insert((method.clone(), whole), Arc::clone(&mount.instance)) {
        None => Ok(()),
        Some(first) => Err(RouteConflict::Twice {
            first,
            second: Arc::clone(&mount.instance),
            method: method.clone(),
            pattern: pattern.text.clone(),
        }),
    }
}

fn admission(info: &MountInfo, is_public: bool) -> Admission {
    match info.access {
        _ if is_public => Admission::Public,
        Access::Protected => Admission::Protected,
        Access::Own => Admission::Own,
        Access::Public => Admission::Public,
    }
}

/// `""`, or with a leading and without a trailing slash.
fn normal_prefix(prefix: &str) -> String {
    let prefix = without_empty_segments(prefix);
    if prefix == "/" { String::new() } else { prefix }
}

/// The path with single slashes between its segments and none at its end.
fn without_empty_segments(path: &str) -> String {
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
pub(super) mod tests;
