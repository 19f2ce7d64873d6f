//! What is served at which address, and with which certificate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::error::StartCause;
use crate::config::{self, Config, ConfigError, InstanceName};
use crate::http::{self, DocumentError, Entrance, HttpState, RouteTable, Serves, Tls};
use crate::metrics::Metrics;
use crate::plugin::capability::OfferedMount;

/// An address that is going to be listened on.
pub(super) struct Planned {
    place: Place,
    tls: Option<Tls>,
    pub(super) state: Arc<HttpState>,
}

#[derive(Debug)]
enum Place {
    /// That of `server.host` and its port or ports.
    Main,
    /// Exactly this one.
    Other(SocketAddr),
}

/// What an address serves, for the state of its requests.
pub(super) struct Served {
    pub(super) mounts: RouteTable,
    pub(super) what: Serves,
    pub(super) hsts: Option<Duration>,
}

/// All addresses of the configuration, that of `server.host` first.
pub(super) fn plan(
    config: &Config,
    mounts: &[OfferedMount],
    metrics: &Metrics,
    state: impl Fn(Served) -> Result<Arc<HttpState>, DocumentError>,
) -> Result<Vec<Planned>, StartCause> {
    let section = &config.server;
    let mut mistakes = Vec::new();
    let mut planned = Vec::new();
    let places = std::iter::once((
        Place::Main,
        "/server".to_owned(),
        section.tls.as_ref(),
        None,
    ));
    let further = section.listen.iter().enumerate().map(|(index, listen)| {
        let pointer = format!("/server/listen/{index}");
        let place = Place::Other(listen.address);
        (
            place,
            pointer,
            listen.tls.as_ref(),
            listen.mounts.as_deref(),
        )
    });
    for (place, pointer, tls, only) in places.chain(further) {
        for (index, name) in only.unwrap_or_default().iter().enumerate() {
            if !mounts.iter().any(|it| *it.instance == *name.as_str()) {
                mistakes.push(no_mount(config, &format!("{pointer}/mounts/{index}"), name));
            }
        }
        let loaded = match tls.map(Tls::load).transpose() {
            Ok(loaded) => loaded,
            Err(error) => {
                let is_key = tls.is_some_and(|it| error.is_of(&it.key));
                let key = if is_key { "key" } else { "certificate" };
                let pointer = format!("{pointer}/tls/{key}");
                mistakes.push(config.error_at(&pointer, error.to_string(), None));
                continue;
            }
        };
        let offered = offered(mounts, only);
        let table = RouteTable::build(offered, section.base_path.as_str(), metrics);
        let served = Served {
            mounts: table,
            what: match only {
                None => Serves::Everything,
                Some(_) => Serves::Mounts,
            },
            hsts: tls.and_then(|it| it.hsts).map(|it| it.0),
        };
        planned.push(Planned {
            place,
            tls: loaded,
            state: state(served).map_err(StartCause::Document)?,
        });
    }
    if mistakes.is_empty() {
        Ok(planned)
    } else {
        Err(StartCause::Entrances(mistakes))
    }
}

/// The address of the metrics page, if there is one.
pub(super) fn plan_admin(
    config: &Config,
    state: impl FnOnce(Served) -> Result<Arc<HttpState>, DocumentError>,
) -> Result<Option<Planned>, StartCause> {
    let Some(address) = config.admin.listen else {
        return Ok(None);
    };
    let served = Served {
        mounts: RouteTable::default(),
        what: Serves::Metrics,
        hsts: None,
    };
    Ok(Some(Planned {
        place: Place::Other(address),
        tls: None,
        state: state(served).map_err(StartCause::Document)?,
    }))
}

fn no_mount(config: &Config, pointer: &str, name: &InstanceName) -> ConfigError {
    let message = format!("no plugin {:?} with a mount is loaded", name.as_str());
    let help = "write the `name` of an entry of [[plugins.load]] that serves routes";
    config.error_at(pointer, message, Some(help.to_owned()))
}

fn offered(mounts: &[OfferedMount], only: Option<&[InstanceName]>) -> Vec<OfferedMount> {
    let is_served = |it: &&OfferedMount| {
        only.is_none_or(|only| only.iter().any(|name| *name.as_str() == *it.instance))
    };
    mounts.iter().filter(is_served).cloned().collect()
}

// === impl Planned ===

impl std::fmt::Debug for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planned")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Planned {
    /// Listens there.
    pub(super) async fn bind(&self, section: &config::Server) -> Result<Entrance, StartCause> {
        let bound = match self.place {
            Place::Main => http::bind(&section.host, section.port, &section.ports).await,
            Place::Other(address) => http::bind_address(address).await,
        };
        let listener = bound.map_err(StartCause::Bind)?;
        Ok(Entrance {
            address: listener.local_addr().map_err(StartCause::System)?,
            listener,
            tls: self.tls.clone(),
            state: Arc::clone(&self.state),
        })
    }
}
