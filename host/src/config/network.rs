//! Networks of addresses, written with their prefix.

use std::{borrow::Cow, fmt, net::IpAddr, str::FromStr};

use ipnet::{IpNet, Ipv4Net};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::translate::error_with_help;

/// A network such as `"10.0.0.0/8"` or `"2001:db8::/32"`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

const HELP: &str = "write a network such as \"10.0.0.0/8\" or \"2001:db8::/32\", or one address";

/// How long the prefix of `::ffff:0:0/96` is, in which IPv6 writes IPv4 addresses.
const MAPPED: u8 = 96;

// === impl Network ===

impl Network {
    /// Whether an address is in it. An IPv4 address is the same however it is written.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text
                .parse()
                .map_err(|_| format!("{text:?} is no network"))?,
        };
        Ok(Self(canonical(network)))
    }
}

/// A network of mapped addresses as the IPv4 network that it is.
fn canonical(network: IpNet) -> IpNet {
    if let IpNet::V6(mapped) = network {
        let length = mapped.prefix_len().checked_sub(MAPPED);
        if let (Some(length), Some(address)) = (length, mapped.addr().to_ipv4_mapped()) {
            return Ipv4Net::new_assert(address, length).into();
        }
    }
    network
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|message: String| error_with_help(format_args!("{message}"), HELP))
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl JsonSchema for Network {
    fn schema_name() -> Cow<'static, str> {
        "Network".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-kind": "network" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_written_with_its_prefix_or_as_one_address() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.1.2.3/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::1", "::1", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.1.2.3", "10.1.2.3", true),
            ("::/0", "10.1.2.3", false),
            ("0.0.0.0/0", "::1", false),
        ];
        for (network, address, is_in) in cases {
            let parsed: Network = network.parse().unwrap();
            let contains = parsed.contains(address.parse().unwrap());
            assert_eq!(contains, is_in, "{address} in {network}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "10.0.0.0/-1",
            "host",
            "10.0.0.0/8 ",
            "[::1]",
            "10.0.0.1:80",
            "fe80::1%eth0",
        ] {
            let refused = text.parse::<Network>().unwrap_err();
            assert!(refused.contains(&format!("{text:?}")), "{refused}");
        }
    }
}
