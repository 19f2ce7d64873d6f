//! The guard: is the client's address one that is let in?

use std::net::IpAddr;
use std::sync::Arc;

use mortise_plugin_api::prelude::*;

use crate::client::Source;
use crate::config::Config;
use crate::networks::Networks;

#[derive(Debug, Clone)]
pub(crate) struct AddressGuard(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    allow: Networks,
    deny: Networks,
    source: Source,
}

// === impl AddressGuard ===

impl AddressGuard {
    pub(crate) fn new(config: Config) -> Result<Self> {
        let rules = Rules {
            allow: Networks::parse("allow", &config.allow)?,
            deny: Networks::parse("deny", &config.deny)?,
            source: Source::parse(config.headers)?,
        };
        if rules.allow.is_empty() && rules.deny.is_empty() {
            let message = "is empty, and so is `deny`: name who is let in, such as \
                           allow = [\"10.0.0.0/8\"]";
            return Err(Error::config("/allow", message));
        }
        Ok(Self(Arc::new(rules)))
    }
}

impl Hook for AddressGuard {
    fn info(&self) -> HookInfo {
        HookInfo::new("ip-allowlist")
            .on(Stage::Guard)
            .answers_at_once()
    }

    fn guard_now(&self, request: &Request) -> Result<GuardVerdict> {
        // An address that is not known is nobody's.
        let address = self.0.source.address(request);
        if address.is_some_and(|address| self.0.let_in(address)) {
            return Ok(GuardVerdict::Pass);
        }
        GuardVerdict::refuse(403, "forbidden", "IP address is not allowed.")
    }
}

// === impl Rules ===

impl Rules {
    fn let_in(&self, address: IpAddr) -> bool {
        // Nobody comes in by writing an address that is kept out in the form of IPv6.
        let is_denied = self.deny.contain(address) || self.deny.contain(address.to_canonical());
        !is_denied && (self.allow.is_empty() || self.allow.contain(address))
    }
}

#[cfg(test)]
mod tests {
    use mortise_plugin_api::testing::{FakeHost, FakeRequest, Loaded};

    use super::*;
    use crate::IpAllowlist;

    const REFUSAL: &str = r#"{"error":"forbidden","message":"IP address is not allowed."}"#;

    fn load(config: Value) -> Result<Loaded> {
        FakeHost::new("ip-allowlist").load::<IpAllowlist>(config)
    }

    async fn passes(loaded: &Loaded, request: FakeRequest) -> bool {
        match loaded.hook("ip-allowlist").guard(request).await.unwrap() {
            GuardVerdict::Pass => true,
            GuardVerdict::Respond(response) => {
                assert_eq!(response.status(), 403);
                assert_eq!(response.header("content-type"), Some("application/json"));
                assert_eq!(response.into_body().text().await.unwrap(), REFUSAL);
                false
            }
            other => panic!("{other:?}"),
        }
    }

    fn from(address: &str) -> FakeRequest {
        let address: IpAddr = address.parse().unwrap();
        FakeRequest::run("plain").with_client_ip(address)
    }

    fn with_header(name: &str, value: &str) -> FakeRequest {
        FakeRequest::run("plain").with_header(name, value.to_owned())
    }

    #[tokio::test]
    async fn who_is_allowed_and_not_denied_comes_in() {
        let config = json!({ "allow": ["10.0.0.0/8", "2001:db8::/32"], "deny": ["10.6.6.0/24"] });
        let loaded = load(config).unwrap();
        for (address, comes_in) in [
            ("10.0.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("10.6.6.6", false),
            ("::ffff:10.6.6.6", false),
            ("8.8.8.8", false),
            ("2001:db8::1", true),
            ("::1", false),
        ] {
            assert_eq!(passes(&loaded, from(address)).await, comes_in, "{address}");
        }
    }

    #[tokio::test]
    async fn without_an_allow_list_all_but_the_denied_come_in() {
        let loaded = load(json!({ "deny": ["203.0.113.0/24"] })).unwrap();
        assert!(passes(&loaded, from("8.8.8.8")).await);
        assert!(!passes(&loaded, from("203.0.113.9")).await);
        let unknown = FakeRequest::run("plain").with_peer("nowhere");
        assert!(!passes(&loaded, unknown).await, "nobody knows who that is");
    }

    #[tokio::test]
    async fn headers_are_not_read_unless_the_operator_says_so() {
        let loaded = load(json!({ "allow": ["10.0.0.0/8"] })).unwrap();
        for name in ["x-forwarded-for", "x-real-ip", "forwarded"] {
            let request = from("8.8.8.8").with_header(name, "10.0.0.1");
            assert!(!passes(&loaded, request).await, "{name}");
        }
    }

    #[tokio::test]
    async fn where_headers_are_read_the_connection_does_not_count() {
        let config =
            json!({ "allow": ["127.0.0.1", "10.0.0.0/8"], "headers": ["X-Forwarded-For"] });
        let loaded = load(config).unwrap();
        for (value, comes_in) in [
            ("10.1.2.3", true),
            ("unknown, 10.1.2.3, 8.8.8.8", true),
            ("8.8.8.8, 10.1.2.3", false),
            ("::ffff:10.1.2.3", false),
            ("", false),
        ] {
            let request = with_header("x-forwarded-for", value);
            assert_eq!(passes(&loaded, request).await, comes_in, "{value:?}");
        }
        assert!(!passes(&loaded, from("10.0.0.1")).await);
    }

    #[tokio::test]
    async fn the_first_header_with_a_valid_address_counts() {
        let headers = ["x-real-ip", "cf-connecting-ip"];
        let loaded = load(json!({ "allow": ["10.0.0.1"], "headers": headers })).unwrap();
        let both = |real: &str, cf: &str| {
            with_header("cf-connecting-ip", cf).with_header("x-real-ip", real.to_owned())
        };
        assert!(passes(&loaded, both("10.0.0.1", "8.8.8.8")).await);
        assert!(!passes(&loaded, both("8.8.8.8", "10.0.0.1")).await);
        assert!(passes(&loaded, both("nobody", "10.0.0.1")).await);
    }

    #[tokio::test]
    async fn nobody_gets_past_the_deny_list_with_a_mapped_address() {
        let config = json!({ "deny": ["10.0.0.0/8"], "headers": ["x-forwarded-for"] });
        let loaded = load(config).unwrap();
        for value in ["10.1.2.3", "::ffff:10.1.2.3", "::ffff:a01:203"] {
            assert!(!passes(&loaded, with_header("x-forwarded-for", value)).await);
        }
        assert!(passes(&loaded, with_header("x-forwarded-for", "8.8.8.8")).await);
    }

    #[test]
    fn a_configuration_that_makes_no_sense_says_why() {
        for (config, expected) in [
            (json!({}), "/allow is empty, and so is `deny`"),
            (
                json!({ "allow": ["10.0.0.0/8", "home"] }),
                "/allow/1 is \"home\", which is no network",
            ),
            (
                json!({ "deny": ["10.0.0.0/40"] }),
                "/deny/0 is \"10.0.0.0/40\", which is no network",
            ),
            (
                json!({ "allow": ["::ffff:10.0.0.1"] }),
                "/allow/0 is \"::ffff:10.0.0.1\", IPv4 in the form of IPv6",
            ),
            (
                json!({ "allow": ["::1"], "headers": ["x y"] }),
                "/headers/0 is \"x y\", which is no name of a header",
            ),
            (json!({ "allowed": ["::1"] }), "allowed"),
        ] {
            let refused = load(config).map(drop).unwrap_err();
            let place = refused.issues().first().map(|issue| &*issue.path);
            let told = format!("{} {refused}", place.unwrap_or_default());
            assert!(told.contains(expected), "{told}");
        }
    }
}
