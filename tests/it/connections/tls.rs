//! TLS: real handshakes with a real client.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    sync::Arc,
};

use integration_tests::{
    Http2, Raw, Server, ServerBuilder, Stopwatch, binary,
    http2::{END_STREAM, kind},
};
use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
    crypto::ring,
    pki_types::CertificateDer,
    version::{TLS12, TLS13},
};

use super::{builder, statuses};
use crate::support::{SCRIPTED, SOON};

const TLS: &str = r#"
header_timeout = "500ms"
[server.tls]
certificate = "cert.pem"
key = "key.pem"
refresh = "50ms"
hsts = "1h"
"#;

/// Writes a new certificate and its key into the folder.
fn certify(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
    let made = made.expect("a certificate can be made");
    // The key first: a server that looks in between finds two that do not fit, and looks again.
    write(folder, "key.pem", &made.signing_key.serialize_pem());
    write(folder, "cert.pem", &made.cert.pem());
    made.cert.der().clone()
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).expect("there is room for a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
}

fn start() -> (Server, CertificateDer<'static>) {
    let builder = builder(TLS);
    let certificate = certify(builder.folder());
    (builder.start(), certificate)
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A client that trusts this certificate; an error where the server has another.
fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    protocol: &[u8],
) -> Result<Stream, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("it is a certificate");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("ring has both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = "localhost".try_into().expect("it is a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("the settings fit");
    let socket = Raw::connect(address).into_inner();
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

fn get(stream: &mut Stream) -> String {
    let request = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).expect("the server reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("an answer and an end in order");
    answer
}

#[test]
fn both_versions_are_spoken_and_browsers_are_told_to_stay() {
    let (server, certificate) = start();
    for (version, expected) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let stream = connect(server.address(), &certificate, &[version], b"http/1.1");
        let mut stream = stream.expect("the server is trusted");
        let answer = get(&mut stream);
        assert_eq!(stream.conn.protocol_version(), Some(expected));
        assert_eq!(stream.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
        assert_eq!(statuses(&answer), [200]);
        assert!(
            answer.contains("strict-transport-security: max-age=3600"),
            "{answer}"
        );
    }
}

#[test]
fn http2_is_agreed_on() {
    let (server, certificate) = start();
    let stream = connect(server.address(), &certificate, &[&TLS13], b"h2");
    let stream = stream.expect("the server is trusted");
    assert_eq!(stream.conn.alpn_protocol(), Some(b"h2".as_slice()));
    let mut http2 = Http2::over(stream, &[]);
    http2.ask(1, END_STREAM, "GET", "/livez");
    assert!(http2.next_of(kind::HEADERS).is_ok());
}

#[test]
fn a_client_without_tls_gets_nothing_and_one_that_dawdles_is_closed() {
    let (server, _) = start();
    let request = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let plain = Raw::sending(server.address(), request).rest();
    assert!(statuses(&plain).is_empty(), "{plain}");
    let started = Stopwatch::start();
    // The beginning of a handshake.
    Raw::sending(server.address(), [0x16, 3, 1]).rest();
    assert!(started.elapsed() < SOON);
}

#[test]
fn a_new_certificate_is_used_without_a_restart() {
    let (server, old) = start();
    let new = certify(server.folder());
    server.wait_for_log("new connections get the new certificate");

    let versions = [&TLS13];
    assert!(connect(server.address(), &new, &versions, b"http/1.1").is_ok());
    assert!(connect(server.address(), &old, &versions, b"http/1.1").is_err());
}

#[test]
fn a_new_certificate_that_does_not_work_is_told_and_the_old_one_stays() {
    let (server, old) = start();
    write(server.folder(), "cert.pem", "not a certificate");
    let log = server.wait_for_log("the old one stays");
    assert!(log.contains("cert.pem holds no certificate"), "{log}");

    let stream = connect(server.address(), &old, &[&TLS13], b"http/1.1");
    assert_eq!(statuses(&get(&mut stream.expect("it is trusted"))), [200]);
}

#[test]
fn a_check_names_the_file_and_its_place() {
    let config = format!("[server]\n{TLS}\n{SCRIPTED}");
    let builder = ServerBuilder::new(&config);
    let folder = builder.folder();
    fs::write(folder.join("config.toml"), &config).expect("there is room for a file");
    certify(folder);
    fs::write(folder.join("cert.pem"), "nothing").expect("there is room for a file");
    let checked = Command::new(binary())
        .args(["check", "--config"])
        .arg(folder.join("config.toml"))
        .env("MORTISE__PLUGINS__DIR", integration_tests::plugin_dir())
        .output()
        .expect("the server can be run");

    let said = String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(2), "{said}");
    assert!(said.contains("holds no certificate"), "{said}");
    assert!(said.contains("certificate = \"cert.pem\""), "{said}");
}
