//! The client's address: what the server says, or what headers say.

use std::net::IpAddr;

use mortise_plugin_api::is_token;
use mortise_plugin_api::prelude::*;

/// Where the client's address is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The server, which believes trusted proxies alone.
    Server,
    /// The first of these headers that has a valid address, whoever sent it.
    Headers(Vec<String>),
}

// === impl Source ===

impl Source {
    pub(crate) fn parse(names: Vec<String>) -> Result<Self> {
        if names.is_empty() {
            return Ok(Self::Server);
        }
        let mut headers = Vec::with_capacity(names.len());
        for (place, name) in names.into_iter().enumerate() {
            let header = name.trim().to_ascii_lowercase();
            if !is_token(&header) {
                let message = format!("is {name:?}, which is no name of a header");
                return Err(Error::config(format!("/headers/{place}"), message));
            }
            headers.push(header);
        }
        Ok(Self::Headers(headers))
    }

    /// Of a header as it is written: an IPv4 address may have the form of IPv6.
    pub(crate) fn address(&self, request: &Request) -> Option<IpAddr> {
        match self {
            Self::Server => request.client_ip(),
            Self::Headers(names) => {
                let headers = request.headers();
                names.iter().find_map(|name| {
                    let own = |(other, _): &&(&str, &[u8])| name.eq_ignore_ascii_case(other);
                    let mut values = headers.iter().filter(own).map(|(_, value)| *value);
                    values.find_map(first)
                })
            }
        }
    }
}

/// The first valid address of a list.
fn first(value: &[u8]) -> Option<IpAddr> {
    let mut entries = value.split(|byte| *byte == b',');
    entries.find_map(|entry| {
        let text = std::str::from_utf8(entry).ok()?.trim();
        let (address, _zone) = text.split_once('%').unwrap_or((text, ""));
        address.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_valid_address_of_a_list_counts() {
        let found = |value: &[u8]| first(value).map(|it| it.to_string());
        for (value, expected) in [
            ("10.0.0.1", "10.0.0.1"),
            ("unknown, , 10.0.0.1, 10.0.0.2", "10.0.0.1"),
            ("10.0.0.1:80, [::1]:80, [::1], 8.8.8.8", "8.8.8.8"),
            ("fe80::1%eth0", "fe80::1"),
            ("::ffff:10.1.2.3", "::ffff:10.1.2.3"),
        ] {
            assert_eq!(found(value.as_bytes()).as_deref(), Some(expected));
        }
        for value in [&b""[..], b",,,", b"localhost", b"10.0.0", b"\xff\xfe", b"%"] {
            assert_eq!(found(value), None);
        }
        let many = ["x,".repeat(10_000).as_bytes(), b"8.8.8.8"].concat();
        assert_eq!(found(&many).as_deref(), Some("8.8.8.8"));
    }

    #[test]
    fn a_header_must_have_a_name() {
        for name in ["", "x forwarded", "x:y", "für"] {
            let refused = Source::parse(vec!["x-real-ip".to_owned(), name.to_owned()]);
            assert_eq!(refused.unwrap_err().issues()[0].path, "/headers/1");
        }
    }
}
