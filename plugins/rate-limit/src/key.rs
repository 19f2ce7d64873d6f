//! Keys: who is counted alone.

use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::Ipv6Net;
use mortise_plugin_api::is_token;
use mortise_plugin_api::prelude::*;

/// What a key is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRecipe {
    pub(crate) parts: Vec<Part>,
    /// What stands for a part that a request does not have.
    pub(crate) absent: String,
    pub(crate) ipv6_prefix: u8,
}

/// Something of a request that tells one client from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Principal,
    Tenant,
    Ip,
    Agent,
    Header(String),
}

/// The key of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    parts: Vec<String>,
}

/// A client chooses its headers, but not how much of them it reads again.
const LONGEST_SHOWN: usize = 256;

// === impl Part ===

impl Part {
    /// A part as the configuration writes it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "principal" => Self::Principal,
            "tenant" => Self::Tenant,
            "ip" => Self::Ip,
            "agent" => Self::Agent,
            _ => {
                let name = text.strip_prefix("header:")?.trim().to_ascii_lowercase();
                is_token(&name).then_some(Self::Header(name))?
            }
        })
    }
}

// === impl KeyRecipe ===

impl KeyRecipe {
    pub(crate) fn key(&self, request: &Request) -> Key {
        let mut parts: Vec<String> = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let part = self.part(part, request);
            parts.push(part.unwrap_or_else(|| self.absent.clone()));
        }
        if parts.iter().all(|part| part.trim().is_empty()) {
            let agent = request.agent().unwrap_or_default().to_owned();
            parts = vec![agent, "global".to_owned()];
        }
        Key { parts }
    }

    fn part(&self, part: &Part, request: &Request) -> Option<String> {
        match part {
            Part::Principal => {
                let principal = request.principal()?;
                // Tokens may name a tenant with a slash in it.
                let tenant = principal.tenant.replace('%', "%25").replace('/', "%2F");
                Some(format!("{tenant}/{}", principal.subject))
            }
            Part::Tenant => Some(request.principal()?.tenant),
            Part::Ip => Some(self.network(request.client_ip()?)),
            Part::Agent => Some(request.agent()?.to_owned()),
            Part::Header(name) => {
                let value = request.header_bytes(name)?.trim_ascii();
                Some(String::from_utf8_lossy(value).into_owned())
            }
        }
    }

    /// The address, or the network that is one client's.
    fn network(&self, address: IpAddr) -> String {
        match address {
            IpAddr::V6(address) => match Ipv6Net::new(address, self.ipv6_prefix) {
                Ok(network) => network.trunc().to_string(),
                Err(_) => address.to_string(),
            },
            IpAddr::V4(address) => address.to_string(),
        }
    }
}

// === impl Key ===

impl Key {
    /// The key for the server that counts, behind a name of the rule. Each part has its length in
    /// front, so that no value can be written that looks like two.
    pub(crate) fn counted(&self, rule: &str) -> String {
        let length: usize = self.parts.iter().map(|part| part.len() + 8).sum();
        let mut counted = String::with_capacity(rule.len() + length);
        counted.push_str(rule);
        for part in &self.parts {
            // Writing to a string cannot fail.
            let _ = write!(counted, "|{}:{part}", part.len());
        }
        counted
    }

    /// The key for people.
    pub(crate) fn shown(&self) -> String {
        let whole = self.parts.join(":");
        match whole.char_indices().nth(LONGEST_SHOWN) {
            Some((end, _)) => format!("{}…", &whole[..end]),
            None => whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use mortise_plugin_api::testing::FakeRequest;

    use super::*;

    fn recipe(parts: &[&str]) -> KeyRecipe {
        KeyRecipe {
            parts: parts.iter().map(|it| Part::parse(it).unwrap()).collect(),
            absent: String::new(),
            ipv6_prefix: 64,
        }
    }

    fn shown(parts: &[&str], request: FakeRequest) -> String {
        recipe(parts).key(&request.request()).shown()
    }

    #[test]
    fn a_key_is_what_tells_clients_apart() {
        let request = || {
            FakeRequest::run("plain")
                .with_principal(Principal::new("ann").with_tenant("acme"))
                .with_client_ip([192, 0, 2, 7])
                .with_header("X-User", " u1 ")
        };
        for (parts, expected) in [
            (&["principal"][..], "acme/ann"),
            (&["tenant"], "acme"),
            (&["ip"], "192.0.2.7"),
            (&["agent"], "plain"),
            (&["header:X-User"], "u1"),
            (&["tenant", "agent", "ip"], "acme:plain:192.0.2.7"),
            (&[], "plain:global"),
            (&["header:x-none"], "plain:global"),
        ] {
            assert_eq!(shown(parts, request()), expected, "{parts:?}");
        }
    }

    #[test]
    fn what_is_not_there_has_a_name_of_its_own() {
        let mut recipe = recipe(&["header:x-user"]);
        recipe.absent = "anon".to_owned();
        let of = |request: FakeRequest| recipe.key(&request.request()).shown();
        assert_eq!(of(FakeRequest::run("plain")), "anon");
        let blank = FakeRequest::run("plain").with_header("x-user", "  ");
        assert_eq!(of(blank), "plain:global", "it is there, and says nothing");
    }

    #[test]
    fn a_client_cannot_leave_its_ipv6_network() {
        let address = |text: &str| {
            let address: IpAddr = text.parse().unwrap();
            shown(&["ip"], FakeRequest::run("plain").with_client_ip(address))
        };
        let home = address("2001:db8:1:2::1");
        assert_eq!(home, "2001:db8:1:2::/64");
        assert_eq!(address("2001:db8:1:2:ffff:ffff:ffff:ffff"), home);
        assert_ne!(address("2001:db8:1:3::1"), home);
        assert_eq!(address("::ffff:192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn no_value_looks_like_two() {
        let counted = |parts: &[&str]| {
            let parts = parts.iter().map(|&it| it.to_owned()).collect();
            Key { parts }.counted("rule")
        };
        assert_ne!(counted(&["a", "b:c"]), counted(&["a:b", "c"]));
        assert_ne!(counted(&["a|1:b"]), counted(&["a", "b"]));
        assert_ne!(counted(&["", "a"]), counted(&["a", ""]));

        let principal = |tenant: &str, subject: &str| {
            let principal = Principal::new(subject).with_tenant(tenant);
            let request = FakeRequest::run("plain").with_principal(principal);
            shown(&["principal"], request)
        };
        assert_ne!(principal("a", "b/c"), principal("a/b", "c"));
        assert_ne!(principal("a/b", "c"), principal("a%2Fb", "c"));
    }

    #[test]
    fn a_long_or_broken_header_is_a_key_like_any_other() {
        let of = |value: Vec<u8>| {
            let request = FakeRequest::run("plain").with_header("x-user", value);
            recipe(&["header:x-user"]).key(&request.request())
        };
        let long = of(vec![b'x'; 100_000]);
        assert_eq!(long.shown().chars().count(), LONGEST_SHOWN + 1);
        assert_ne!(long.counted("r"), of(vec![b'x'; 100_001]).counted("r"));
        assert_eq!(of(vec![0xff, 0xfe]).shown(), "\u{fffd}\u{fffd}");
        let wide = "é".repeat(1_000);
        assert!(of(wide.into_bytes()).shown().ends_with("é…"));
    }

    #[test]
    fn parts_that_do_not_exist_are_none() {
        for text in ["", "user", "Principal", "header", "header:", "header:x y"] {
            assert_eq!(Part::parse(text), None, "{text:?}");
        }
    }
}
