//! The routes of plugins: which endpoint a path and a method reach.
//!
//! A table is built as a whole and then swapped in; its routes were checked when their plugins were
//! loaded. Matching is by method first, so that a path that lacks a method falls through to
//! a parameter path that has it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use http::Method;
use mortise_plugin_api::{Access, MethodMismatch, MountInfo};

use super::params;
use super::router;
use crate::metrics::{Metrics, RouteMeters};
use crate::plugin::capability::{MountCapability, OfferedMount};
use crate::plugin::routes::{Route, Routes, Scope, Slashed, without_empty_segments};

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

// === impl RouteTable ===

impl RouteTable {
    /// The table of these mounts; their order is that of the configuration.
    pub(crate) fn build(mounts: Vec<OfferedMount>, base_path: &str, metrics: &Metrics) -> Self {
        let mut table = Self::default();
        for mount in mounts {
            table.add(mount, base_path, metrics);
        }
        table
    }

    fn add(&mut self, offered: OfferedMount, base_path: &str, metrics: &Metrics) {
        let OfferedMount {
            instance,
            capability,
            routes,
        } = offered;
        let Routes {
            scope,
            slashed,
            prefix,
            all,
        } = routes;
        let mount = Arc::new(Mounted {
            instance,
            capability,
        });
        let info = mount.capability.info();
        for route in all {
            let path = scope.whole(base_path, &route.pattern.text);
            let routers = self.routers.entry((scope, slashed)).or_default();
            routers.insert(&route, self.endpoints.len());
            self.endpoints.push(Endpoint {
                index: route.endpoint,
                admission: admission(info, info.endpoints[route.endpoint].public),
                meters: metrics.route(route.method.as_str(), &path),
                method: route.method,
                path,
                mount: Arc::clone(&mount),
            });
        }
        if info.renders_errors {
            self.renderers.push(Renderer {
                scope,
                prefix,
                mount,
            });
        }
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
    fn insert(&mut self, route: &Route, place: usize) {
        let known = self.0.iter().position(|(own, _)| *own == route.method);
        let index = known.unwrap_or_else(|| {
            self.0.push((route.method.clone(), Layers::default()));
            self.0.len() - 1
        });
        let Layers(layers) = &mut self.0[index].1;
        let pattern = route.pattern.text.as_str();
        // Patterns may overlap, but one router holds no two kinds of parameters at one place.
        if layers
            .iter_mut()
            .any(|layer| layer.insert(pattern, place).is_ok())
        {
            return;
        }
        let mut layer = matchit::Router::new();
        let inserted = layer.insert(pattern, place);
        inserted.expect("it was tried when it was parsed");
        layers.push(layer);
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

fn admission(info: &MountInfo, is_public: bool) -> Admission {
    match info.access {
        _ if is_public => Admission::Public,
        Access::Protected => Admission::Protected,
        Access::Own => Admission::Own,
        Access::Public => Admission::Public,
    }
}

#[cfg(test)]
pub(super) mod tests;
