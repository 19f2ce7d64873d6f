//! Networks, merged and sorted, so that a long list is searched as fast as a short one.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use mortise_plugin_api::prelude::*;

/// Networks that do not overlap, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Networks(Vec<IpNet>);

// === impl Networks ===

impl Networks {
    /// Reads a list of the configuration.
    pub(crate) fn parse(list: &str, texts: &[String]) -> Result<Self> {
        let mut networks = Vec::with_capacity(texts.len());
        for (place, text) in texts.iter().enumerate() {
            let wrong = |why| {
                let message = format!("is {text:?}, {why}");
                Error::config(format!("/{list}/{place}"), message)
            };
            let network = parse(text.trim()).ok_or_else(|| {
                wrong("which is no network; write \"10.0.0.0/8\", \"2001:db8::/32\" or one address")
            })?;
            if is_mapped(network) {
                return Err(wrong("IPv4 in the form of IPv6; write it as IPv4"));
            }
            networks.push(network);
        }
        let mut networks = IpNet::aggregate(&networks);
        networks.sort_unstable_by_key(IpNet::network);
        Ok(Self(networks))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them has this very address: an IPv4 address in the form of IPv6 is none of
    /// IPv4.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        let behind = self.0.partition_point(|it| it.network() <= address);
        let nearest = behind.checked_sub(1).and_then(|place| self.0.get(place));
        nearest.is_some_and(|network| network.contains(&address))
    }
}

fn parse(text: &str) -> Option<IpNet> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(address.into()),
        Err(_) => text.parse().ok(),
    }
}

/// Whether all of its addresses are IPv4 addresses: it would never match what it means.
fn is_mapped(network: IpNet) -> bool {
    let is_mapped = |address: Ipv6Addr| address.to_ipv4_mapped().is_some();
    match network {
        IpNet::V4(_) => false,
        IpNet::V6(network) => is_mapped(network.network()) && is_mapped(network.broadcast()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Result<Networks> {
        let texts: Vec<String> = texts.iter().map(|&it| it.to_owned()).collect();
        Networks::parse("allow", &texts)
    }

    #[test]
    fn an_address_is_found_in_whatever_network_has_it() {
        let list = networks(&[
            "192.0.2.7",
            "10.0.0.0/8",
            "10.1.0.0/16",
            "172.16.5.4/12",
            "2001:db8::/32",
            "::1",
            "203.0.113.0/31",
            " 198.51.100.0/24 ",
        ])
        .unwrap();
        for (address, is_in) in [
            ("192.0.2.7", true),
            ("192.0.2.6", false),
            ("192.0.2.8", false),
            ("10.0.0.0", true),
            ("10.1.2.3", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("172.31.255.255", true),
            ("172.32.0.0", false),
            ("203.0.113.1", true),
            ("203.0.113.2", false),
            ("198.51.100.77", true),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
            ("::1", true),
            ("::2", false),
            ("::ffff:10.1.2.3", false),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("::", false),
        ] {
            assert_eq!(list.contain(address.parse().unwrap()), is_in, "{address}");
        }
        assert!(!networks(&[]).unwrap().contain([10, 0, 0, 1].into()));
    }

    #[test]
    fn everything_is_in_the_networks_of_everything() {
        for (network, inside, outside) in [
            ("0.0.0.0/0", "255.255.255.255", "::"),
            ("::/0", "ffff::", "0.0.0.0"),
        ] {
            let list = networks(&[network]).unwrap();
            assert!(list.contain(inside.parse().unwrap()));
            assert!(!list.contain(outside.parse().unwrap()));
        }
    }

    #[test]
    fn what_is_no_network_is_refused_by_its_place() {
        for text in [
            "",
            "localhost",
            "10.0.0",
            "10.0.0.0/33",
            "10.0.0.1:80",
            "[::1]",
            "::1/129",
            "fe80::1%eth0",
            "10.0.0.0-10.0.0.9",
        ] {
            let refused = networks(&["::1", text]).unwrap_err();
            assert_eq!(refused.issues()[0].path, "/allow/1");
            assert!(refused.message().contains("no network"), "{refused}");
        }
        for text in ["::ffff:10.0.0.1", "::ffff:10.0.0.0/104"] {
            let refused = networks(&[text]).unwrap_err();
            assert!(refused.message().contains("write it as IPv4"), "{refused}");
        }
        assert!(networks(&["::ffff:0:0/95"]).is_ok());
    }
}
