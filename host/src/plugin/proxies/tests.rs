//! Which address counts, for what proxies send and for what others make up.

use http::HeaderValue;

use super::*;

fn proxies(client_ip: ClientIp) -> Proxies {
    let trusted = ["10.0.0.0/8", "2001:db8::/32"];
    Proxies {
        trusted: trusted.iter().map(|it| it.parse().unwrap()).collect(),
        client_ip,
    }
}

fn client(client_ip: ClientIp, peer: &str, values: &[&[u8]]) -> String {
    let headers = values.iter().map(|value| {
        let value = HeaderValue::from_bytes(value).unwrap();
        (FORWARDED_FOR, value)
    });
    let mut all = HeaderMap::new();
    headers.for_each(|(name, value)| {
        all.append(name, value);
    });
    let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
    proxies(client_ip).client(peer, &all).to_string()
}

#[test]
fn the_connection_counts_unless_a_trusted_proxy_opened_it() {
    for way in [ClientIp::Rightmost, ClientIp::First] {
        for peer in ["203.0.113.9", "::ffff:203.0.113.9"] {
            for forged in ["10.1.1.1", "8.8.8.8, 10.0.0.1", "unknown"] {
                assert_eq!(client(way, peer, &[forged.as_bytes()]), "203.0.113.9");
            }
        }
        assert_eq!(client(way, "10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client(way, "::ffff:10.0.0.1", &[b"8.8.8.8"]), "8.8.8.8");
    }
}

#[test]
fn the_rightmost_address_that_nobody_trusts_is_the_client() {
    let cases: [(&[&[u8]], &str); 16] = [
        (&[b"8.8.8.8"], "8.8.8.8"),
        // The client's own entry comes first: it is never asked.
        (&[b"1.2.3.4, 8.8.8.8"], "8.8.8.8"),
        (&[b"1.2.3.4,8.8.8.8,10.0.0.2,10.0.0.3"], "8.8.8.8"),
        (&[b"1.2.3.4", b"8.8.8.8, 10.0.0.2"], "8.8.8.8"),
        (&[b"8.8.8.8", b"10.0.0.2"], "8.8.8.8"),
        (&[b" 8.8.8.8 , ,10.0.0.2, "], "8.8.8.8"),
        (&[b"10.0.0.7, 10.0.0.8"], "10.0.0.7"),
        (&[b"8.8.8.8:4711"], "8.8.8.8"),
        (&[b"2001:4860::1"], "2001:4860::1"),
        (&[b"[2001:4860::1]"], "2001:4860::1"),
        (&[b"[2001:4860::1]:443, 2001:db8::5"], "2001:4860::1"),
        (&[b"fe80::1%eth0"], "fe80::1"),
        (&[b"::ffff:8.8.8.8"], "8.8.8.8"),
        (&[b"8.8.8.8, ::ffff:10.0.0.2"], "8.8.8.8"),
        (&[b""], "10.0.0.1"),
        (&[b",,,"], "10.0.0.1"),
    ];
    for (values, expected) in cases {
        let found = client(ClientIp::Rightmost, "10.0.0.1", values);
        assert_eq!(found, expected, "{values:?}");
    }
}

#[test]
fn nothing_before_an_entry_that_is_no_address_is_believed() {
    let entries: [&[u8]; 14] = [
        b"unknown",
        b"_hidden",
        b"8.8.8",
        b"8.8.8.8.8",
        b"256.1.1.1",
        b"8.8.8.8:",
        b"8.8.8.8:99999",
        b"8.8.8.8:x",
        b"[2001:4860::1",
        b"[2001:4860::1]x",
        b"[]",
        b":",
        b"\xff\xfe",
        b"for=8.8.8.8",
    ];
    for entry in entries {
        let before = [b"1.2.3.4, ".as_slice(), entry].concat();
        let found = client(ClientIp::Rightmost, "10.0.0.1", &[&before]);
        assert_eq!(found, "10.0.0.1", "{entry:?}");

        let behind = [&before, b", 10.0.0.2".as_slice()].concat();
        let found = client(ClientIp::Rightmost, "10.0.0.1", &[&behind]);
        assert_eq!(found, "10.0.0.2", "{entry:?}");
    }
}

#[test]
fn the_first_valid_address_is_the_client_where_that_is_asked_for() {
    let cases: [(&[&[u8]], &str); 6] = [
        (&[b"1.2.3.4, 8.8.8.8, 10.0.0.2"], "1.2.3.4"),
        (&[b"unknown, 8.8.8.8, 1.2.3.4"], "8.8.8.8"),
        (&[b"\xff", b"::ffff:8.8.8.8"], "8.8.8.8"),
        (&[b"10.0.0.9, 8.8.8.8"], "10.0.0.9"),
        (&[b"unknown, nobody"], "10.0.0.1"),
        (&[b""], "10.0.0.1"),
    ];
    for (values, expected) in cases {
        let found = client(ClientIp::First, "10.0.0.1", values);
        assert_eq!(found, expected, "{values:?}");
    }
}

#[test]
fn ten_thousand_entries_are_read() {
    let many = "10.0.0.2,".repeat(10_000);
    let told = [b"8.8.8.8,", many.as_bytes()].concat();
    for way in [ClientIp::Rightmost, ClientIp::First] {
        assert_eq!(client(way, "10.0.0.1", &[&told]), "8.8.8.8");
    }
    let broken = "x,".repeat(10_000);
    for way in [ClientIp::Rightmost, ClientIp::First] {
        assert_eq!(client(way, "10.0.0.1", &[broken.as_bytes()]), "10.0.0.1");
    }
}
