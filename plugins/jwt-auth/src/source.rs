//! Where a key set is read: a file, or an address on the network.
//!
//! The address is the operator's; nothing that a token says leads anywhere.

use std::fmt;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http::uri::Scheme;
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Where a key set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    File(PathBuf),
    Address(Uri),
}

/// What reads it.
pub(crate) struct Source {
    place: Place,
    timeout: Duration,
    client: Option<HttpClient>,
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Why a text is no place of a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("is no https:// or file:/// address")]
    Unknown,
    #[error("is not encrypted, which is for this machine alone; say https://")]
    Unencrypted,
    #[error("holds a name or a password, which would be shown in logs")]
    Credentials,
}

/// Why a key set could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("it took longer than {0:?}")]
    Timeout(Duration),
    #[error("it is larger than {} KiB", LARGEST / 1024)]
    TooLarge,
    #[error("it was answered with {0}, and a key set comes with 200; redirects are not followed")]
    Status(u16),
    #[error("it is no file")]
    NoFile,
    #[error("`ca` holds no certificate in PEM")]
    Certificates,
    #[error("the certificates of the system cannot be used, name some in `ca`: {0}")]
    SystemCertificates(#[source] std::io::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("{}", chain(.0.as_ref()))]
    Connection(Box<dyn std::error::Error + Send + Sync>),
}

/// A hundred keys of the largest kind, with certificates, are smaller.
const LARGEST: usize = 512 * 1024;

// === impl Place ===

impl Place {
    pub(crate) fn parse(text: &str) -> Result<Self, PlaceError> {
        if let Some(path) = text.strip_prefix("file://") {
            let path = Path::new(path);
            return if path.is_absolute() {
                Ok(Self::File(path.to_owned()))
            } else {
                Err(PlaceError::Unknown)
            };
        }
        let address: Uri = text.parse().map_err(|_| PlaceError::Unknown)?;
        let authority = address.authority().ok_or(PlaceError::Unknown)?;
        if authority.as_str().contains('@') {
            return Err(PlaceError::Credentials);
        }
        match address.scheme_str() {
            Some("https") => Ok(Self::Address(address)),
            Some("http") if is_this_machine(authority.host()) => Ok(Self::Address(address)),
            Some("http") => Err(PlaceError::Unencrypted),
            _ => Err(PlaceError::Unknown),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            // A query may hold a key of its own.
            Self::Address(address) => write!(
                f,
                "{}://{}{}",
                address.scheme_str().unwrap_or_default(),
                address.authority().map_or("", |it| it.as_str()),
                address.path()
            ),
        }
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|it| it.is_loopback())
}

// === impl Source ===

impl Source {
    /// Reads certificates from the system, unless `ca` says which ones are trusted.
    pub(crate) fn open(
        place: Place,
        ca: Option<&str>,
        timeout: Duration,
    ) -> Result<Self, ReadError> {
        let client = match &place {
            Place::File(_) => None,
            Place::Address(address) => Some(client(address, ca)?),
        };
        Ok(Self {
            place,
            timeout,
            client,
        })
    }

    /// Reads all of it.
    pub(crate) async fn read(&self) -> Result<Bytes, ReadError> {
        let reading = async {
            match (&self.place, &self.client) {
                (Place::Address(address), Some(client)) => fetch(client, address).await,
                (Place::File(path), _) => {
                    let path = path.clone();
                    let reading = tokio::task::spawn_blocking(move || read_file(&path)).await;
                    reading.map_err(std::io::Error::from)?
                }
                (Place::Address(_), None) => unreachable!("`open` gives an address its client"),
            }
        };
        tokio::time::timeout(self.timeout, reading)
            .await
            .map_err(|_| ReadError::Timeout(self.timeout))?
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// A client that neither follows redirects nor asks a proxy: it goes to the address, or nowhere.
fn client(address: &Uri, ca: Option<&str>) -> Result<HttpClient, ReadError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let connector = HttpsConnectorBuilder::new();
    let connector = match ca {
        None if address.scheme() == Some(&Scheme::HTTPS) => connector
            .with_provider_and_native_roots(provider)
            .map_err(ReadError::SystemCertificates)?,
        _ => {
            let roots = ca.map_or_else(|| Ok(RootCertStore::empty()), roots)?;
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth();
            connector.with_tls_config(config)
        }
    };
    let connector = connector.https_or_http().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(connector))
}

fn roots(pem: &str) -> Result<RootCertStore, ReadError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(|_| ReadError::Certificates)?)?;
    }
    if roots.is_empty() {
        return Err(ReadError::Certificates);
    }
    Ok(roots)
}

async fn fetch(client: &HttpClient, address: &Uri) -> Result<Bytes, ReadError> {
    let answer = client
        .get(address.clone())
        .await
        .map_err(|error| ReadError::Connection(error.into()))?;
    if answer.status() != http::StatusCode::OK {
        return Err(ReadError::Status(answer.status().as_u16()));
    }
    match Limited::new(answer.into_body(), LARGEST).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ReadError::TooLarge),
        Err(error) => Err(ReadError::Connection(error)),
    }
}

fn read_file(path: &Path) -> Result<Bytes, ReadError> {
    // Opening a pipe would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(ReadError::NoFile);
    }
    let mut text = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(LARGEST as u64 + 1).read_to_end(&mut text)?;
    if text.len() > LARGEST {
        return Err(ReadError::TooLarge);
    }
    Ok(text.into())
}

/// An error with what is behind it: a client says "client error (Connect)" of everything.
fn chain(error: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
