//! Web pages, which act for whoever sits at the browser.
//!
//! A browser sends what any page asks for, with the address of the page's origin, and a page can have
//! the name of its own server lead to this one. Where a request has to say who is asking, it carries
//! what no foreign page knows; where it has not, this is what keeps such pages out.

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Uri};
use mortise_plugin_api::Error;

use super::cors::Cors;
use super::error::Failure;
use crate::config::Server;

/// The names that the server answers to where nobody has to say who is asking, beside `localhost` and
/// addresses.
#[derive(Debug, Clone)]
pub(crate) enum Names {
    /// The operator has said that it is open, or a proxy decides.
    Any,
    These(Vec<String>),
}

// === impl Names ===

impl Names {
    pub(crate) fn of(section: &Server) -> Self {
        if section.insecure || !section.trusted_proxies.is_empty() || section.cors.is_open() {
            return Self::Any;
        }
        let pages = section.cors.origins.iter().filter_map(|origin| {
            let (_, authority) = origin.as_str().split_once("://")?;
            host_of(authority)
        });
        Self::These(std::iter::once(section.host.clone()).chain(pages).collect())
    }

    /// Whether the server answers to this, a name or an address, with or without a port.
    fn have(&self, called: &str) -> bool {
        let Self::These(names) = self else {
            return true;
        };
        if called.parse::<SocketAddr>().is_ok() {
            return true;
        }
        let Some(host) = host_of(called) else {
            return false;
        };
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let mut names = names.iter().map(String::as_str).chain(["localhost"]);
        is_address || names.any(|name| name.eq_ignore_ascii_case(&host))
    }
}

/// Refuses a request by a name that a page may have led here.
pub(super) fn check_name(names: &Names, uri: &Uri, headers: &HeaderMap) -> Result<(), Failure> {
    let called = called(uri, headers);
    // Without a name, it was no browser.
    if !called.is_empty() && !names.have(called) {
        return Err(forbidden(
            "The server does not answer to this name where nobody has to say who is asking. Set \
             server.secret, or name the server in server.host, its pages in server.cors.origins, or \
             the proxy before it in server.trusted_proxies.",
        ));
    }
    Ok(())
}

/// Refuses a request of a page that has no business here.
pub(super) fn check_origin(
    cors: Option<&Cors>,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), Failure> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let called = called(uri, headers);
    let of_page = origin.to_str().unwrap_or_default().split_once("://");
    let is_own = of_page.is_some_and(|(_, page)| page.eq_ignore_ascii_case(called));
    if is_own || cors.is_some_and(|cors| cors.may_call(origin)) {
        return Ok(());
    }
    Err(forbidden(
        "Pages of this origin may not call the server; server.cors.origins names those that may.",
    ))
}

/// What the client calls the server, with the port; empty where it calls it nothing.
fn called<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    match headers.get(HOST) {
        Some(host) => host.to_str().unwrap_or_default(),
        None => uri.authority().map_or("", Authority::as_str),
    }
}

/// The name without the port.
fn host_of(authority: &str) -> Option<String> {
    let authority: Authority = authority.parse().ok()?;
    Some(authority.host().to_owned())
}

fn forbidden(message: &str) -> Failure {
    Failure::Thrown(Error::new("FORBIDDEN", message))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn is_let_in(names: &Names, host: &'static str, origin: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        let uri = Uri::from_static("/");
        let is_known = check_name(names, &uri, &headers).is_ok();
        is_known && check_origin(None, &uri, &headers).is_ok()
    }

    #[test]
    fn a_name_of_somebody_elses_is_refused_and_addresses_are_not() {
        let mut section = Server {
            host: "mortise.lan".into(),
            ..Server::default()
        };
        let names = Names::of(&section);
        for own in [
            "localhost:3141",
            "LOCALHOST",
            "127.0.0.1:1",
            "[::1]:80",
            "mortise.lan",
        ] {
            assert!(is_let_in(&names, own, None), "{own}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example:80",
            "a b",
            "127.0.0.1.evil.example",
        ] {
            assert!(!is_let_in(&names, foreign, None), "{foreign}");
        }
        section.insecure = true;
        assert!(is_let_in(&Names::of(&section), "evil.example", None));
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        let names = Names::of(&Server::default());
        let host = "localhost:3141";
        assert!(is_let_in(&names, host, Some("http://localhost:3141")));
        for foreign in ["http://localhost:3000", "https://evil.example", "null"] {
            assert!(!is_let_in(&names, host, Some(foreign)), "{foreign}");
        }
    }

    #[test]
    fn without_a_host_it_was_no_browser() {
        let names = Names::of(&Server::default());
        let (uri, headers) = (Uri::from_static("/"), HeaderMap::new());
        assert!(check_name(&names, &uri, &headers).is_ok());
        assert!(check_origin(None, &uri, &headers).is_ok());
    }
}
