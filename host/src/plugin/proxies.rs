//! Whose request it is that a proxy hands on: the client's address, told from the connection and
//! `x-forwarded-for`.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};

use crate::config::{ClientIp, Network, Server};

/// The proxies in front of the server, and how they name their clients.
#[derive(Debug, Clone)]
pub(crate) struct Proxies {
    trusted: Vec<Network>,
    client_ip: ClientIp,
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

// === impl Proxies ===

impl Proxies {
    pub(crate) fn new(section: &Server) -> Self {
        Self {
            trusted: section.trusted_proxies.clone(),
            client_ip: section.client_ip,
        }
    }

    /// The client's address; one that IPv6 maps is the IPv4 address.
    pub(crate) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.ip().to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        match self.client_ip {
            ClientIp::Rightmost => self.rightmost(peer, headers),
            ClientIp::First => first(headers).unwrap_or(peer),
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|it| it.contains(address))
    }

    /// Goes back from proxy to proxy, to the first one that nobody trusts.
    fn rightmost(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let values = headers.get_all(FORWARDED_FOR).iter().rev();
        let entries = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        let mut nearest = peer;
        for entry in entries.map(<[u8]>::trim_ascii) {
            if entry.is_empty() {
                continue;
            }
            // What stands before an entry that is no address may be made up: who sent that entry
            // is the farthest that is known.
            let Some(address) = address(entry) else {
                return nearest;
            };
            nearest = address;
            if !self.trusts(address) {
                return address;
            }
        }
        nearest
    }
}

fn first(headers: &HeaderMap) -> Option<IpAddr> {
    let values = headers.get_all(FORWARDED_FOR).iter();
    let mut entries = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    entries.find_map(|entry| address(entry.trim_ascii()))
}

/// An address as proxies write it: bare, in brackets, with a port, or with a zone.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bare = match text.strip_prefix('[') {
        Some(rest) => {
            let (bare, port) = rest.split_once(']')?;
            is_port(port).then_some(bare)?
        }
        // Two colons or more are IPv6, which has a port in brackets only.
        None => match text.split_once(':') {
            Some((bare, port)) if !port.contains(':') => {
                port.parse::<u16>().ok()?;
                bare
            }
            _ => text,
        },
    };
    let (bare, _zone) = bare.split_once('%').unwrap_or((bare, ""));
    let address: IpAddr = bare.parse().ok()?;
    Some(address.to_canonical())
}

/// What stands behind brackets: nothing, or a port.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests;
