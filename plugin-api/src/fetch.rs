//! Fetching from an address that a client names: public addresses alone, hop by hop.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Uri;
use http::header::LOCATION;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use tower_service::Service;
use url::Url;

use crate::error::{Error, Result};

const REDIRECTS: usize = 3;

type HttpClient = Client<HttpsConnector<HttpConnector<PublicNames>>, Empty<Bytes>>;

/// Fetches what a client's address names, without being led into the operator's own network: every
/// hop, and every address that a name stands for, has to be one of the open internet.
///
/// Needs the feature `fetch`.
#[derive(Debug)]
pub struct Fetcher {
    /// Made when it is needed: it reads the certificates of the system.
    client: OnceLock<HttpClient>,
    names: PublicNames,
    max_bytes: usize,
    timeout: Duration,
}

/// A resolver that knows no private addresses, but of trusted hosts. What it answers is what is
/// connected to, so that a name cannot mean something else a moment later.
#[derive(Debug, Clone)]
struct PublicNames {
    private_hosts: Arc<[String]>,
}

// === impl Fetcher ===

impl Fetcher {
    /// Fetches at most `max_bytes` within `timeout`. The addresses of `private_hosts` may be
    /// private.
    pub fn new(max_bytes: usize, timeout: Duration, private_hosts: &[String]) -> Self {
        let names = PublicNames {
            private_hosts: private_hosts.into(),
        };
        Self {
            client: OnceLock::new(),
            names,
            max_bytes,
            timeout,
        }
    }

    /// All of it, after at most three redirects.
    ///
    /// # Errors
    /// `BAD_REQUEST` with what is wrong with the address, to stand behind its name.
    pub async fn fetch(&self, address: &str) -> Result<Bytes> {
        let fetching = self.follow(address);
        let fetched = tokio::time::timeout(self.timeout, fetching).await;
        fetched.unwrap_or_else(|_| Err(refused("could not be fetched in time")))
    }

    /// What clients send as base64 or name by an http address, as base64.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch), also for a text that is neither.
    pub async fn base64(&self, data: &str) -> Result<String> {
        let data = data.trim();
        if data.starts_with("http://") || data.starts_with("https://") {
            return Ok(STANDARD.encode(self.fetch(data).await?));
        }
        match STANDARD.decode(data) {
            Ok(bytes) if !bytes.is_empty() => Ok(data.to_owned()),
            _ => Err(refused("is neither base64 nor an http address")),
        }
    }

    async fn follow(&self, address: &str) -> Result<Bytes> {
        let mut address = address.to_owned();
        for _ in 0..=REDIRECTS {
            let uri: Uri = address.parse().map_err(|_| refused("is no address"))?;
            self.names.check_literal(&uri)?;
            let answer = self.client()?.get(uri.clone()).await;
            let answer = answer.map_err(|error| {
                tracing::debug!(%error, "an address could not be fetched");
                refused("is at a private address, or cannot be reached")
            })?;
            if answer.status().is_redirection() {
                let location = answer.headers().get(LOCATION);
                let location = location.and_then(|it| it.to_str().ok());
                let location =
                    location.ok_or_else(|| refused("redirects without saying where to"))?;
                address = absolute(&address, location)?;
                continue;
            }
            if !answer.status().is_success() {
                return Err(refused(format!(
                    "was answered with {}",
                    answer.status().as_u16()
                )));
            }
            let body = Limited::new(answer.into_body(), self.max_bytes)
                .collect()
                .await;
            return match body {
                Ok(body) => Ok(body.to_bytes()),
                Err(_) => Err(refused(format!(
                    "broke off or has more than {} bytes",
                    self.max_bytes
                ))),
            };
        }
        Err(refused("redirects too often"))
    }

    fn client(&self) -> Result<&HttpClient> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut connector = HttpConnector::new_with_resolver(self.names.clone());
        connector.enforce_http(false);
        let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider);
        let connector = builder
            .map_err(|error| {
                tracing::warn!(%error, "the certificates of the system cannot be used");
                refused("cannot be fetched by this server")
            })?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(self.client.get_or_init(|| client))
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::bad_request(message)
}

/// Where a redirect leads, from where it was said.
fn absolute(from: &str, location: &str) -> Result<String> {
    let to = Url::parse(from).and_then(|from| from.join(location));
    match to {
        Ok(to) => Ok(to.into()),
        Err(_) => Err(refused("redirects to what is no address")),
    }
}

// === impl PublicNames ===

impl PublicNames {
    fn trusts(&self, host: &str) -> bool {
        self.private_hosts
            .iter()
            .any(|own| own.eq_ignore_ascii_case(host))
    }

    /// An address in numbers is never resolved.
    fn check_literal(&self, uri: &Uri) -> Result<()> {
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(refused("is no http address"));
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        match host.parse::<IpAddr>() {
            Ok(ip) if !is_public(ip) && !self.trusts(host) => Err(refused("is a private address")),
            _ => Ok(()),
        }
    }
}

impl Service<Name> for PublicNames {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let is_trusted = self.trusts(name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found = found.filter(|address| is_trusted || is_public(address.ip()));
            let found: Vec<SocketAddr> = found.collect();
            if found.is_empty() {
                return Err(io::Error::other("the name has private addresses alone"));
            }
            Ok(found.into_iter())
        })
    }
}

/// Whether an address is one of the open internet.
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 127 | 240..=255, _, _) | (100, 64..=127, _) | (192, 0, 0) | (198, 18 | 19, _)
    );
    !is_special
        && !ip.is_private()
        && !ip.is_link_local()
        && !ip.is_multicast()
        && !ip.is_documentation()
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        // An IPv4 address in another form: NAT64, and 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x2002, a, b, ..] => {
            is_public_v4(Ipv4Addr::from(u32::from(a) << 16 | u32::from(b)))
        }
        [0x2001, 0xdb8 | 0, ..] => false,
        // Global unicast alone.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_in_every_form() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_redirect_leads_to_where_it_says() {
        let led = |to| absolute("https://a.example/x/y?q", to).unwrap();
        assert_eq!(led("/z"), "https://a.example/z");
        assert_eq!(led("z?r"), "https://a.example/x/z?r");
        assert_eq!(led("../z"), "https://a.example/z");
        assert_eq!(led("?r"), "https://a.example/x/y?r");
        assert_eq!(led("//b.example/z"), "https://b.example/z");
        assert_eq!(led("http://127.0.0.1/"), "http://127.0.0.1/");
        assert!(absolute("https://a.example/", "http://").is_err());
    }
}
