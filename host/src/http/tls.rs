//! TLS: the certificate of an address, read again when its files change.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::config;

/// TLS with the certificate of one address.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    pair: Arc<Pair>,
}

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is larger than any certificate or key", .path.display())]
    TooLarge { path: PathBuf },
    #[error("{} is not a PEM file: {source}", .path.display())]
    NotPem { path: PathBuf, source: pem::Error },
    #[error("{} holds no certificate", .path.display())]
    NoCertificate { path: PathBuf },
    #[error("{} holds no private key", .path.display())]
    NoKey { path: PathBuf },
    #[error("everybody may write {}: run chmod 600", .path.display())]
    OthersMayWrite { path: PathBuf },
    #[error("{} belongs to the user {owner}, neither to root nor to the user of the server", .path.display())]
    ForeignOwner { path: PathBuf, owner: u32 },
    #[error("{} and {} do not fit: {source}", .certificate.display(), .key.display())]
    Unfit {
        certificate: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
}

/// A certificate with its key, and the files that they were read from.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
    refresh: Duration,
    current: ArcSwap<CertifiedKey>,
}

/// The two files as they were read.
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// No chain of certificates is longer; a wrong path is.
const LIMIT: u64 = 1 << 20;

const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;

// === impl TlsError ===

impl TlsError {
    /// Whether the file of the key is to blame, and not that of the certificate.
    pub(crate) fn is_of(&self, key: &Path) -> bool {
        match self {
            Self::Unreadable { path, .. }
            | Self::TooLarge { path }
            | Self::NotPem { path, .. }
            | Self::NoCertificate { path }
            | Self::NoKey { path }
            | Self::OthersMayWrite { path }
            | Self::ForeignOwner { path, .. } => path == key,
            Self::Unfit { .. } => true,
        }
    }
}

// === impl Tls ===

impl Tls {
    /// Reads the certificate and its key.
    pub(crate) fn load(section: &config::Tls) -> Result<Self, TlsError> {
        let files = Files::read(&section.certificate, &section.key)?;
        let current = files.parse(&section.certificate, &section.key)?;
        let pair = Arc::new(Pair {
            certificate: section.certificate.clone(),
            key: section.key.clone(),
            refresh: section.refresh.0,
            current: ArcSwap::from_pointee(current),
        });
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has the suites of both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&pair) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if is_readable_by_all(&section.key) {
            let key = section.key.display();
            tracing::warn!(%key, "every user of this machine may read the key; run chmod 600");
        }
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            pair,
        })
    }

    /// The handshake with a client.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }

    /// Looks at the files again and again, until the server is told to stop. A new pair is for new
    /// connections; one that does not work is logged once, and the old one stays.
    pub(crate) async fn keep_fresh(self, stopping: CancellationToken) {
        let pair = self.pair;
        let mut last = None;
        loop {
            let pause = tokio::time::sleep(pair.refresh);
            if stopping.run_until_cancelled(pause).await.is_none() {
                return;
            }
            let (certificate, key) = (pair.certificate.clone(), pair.key.clone());
            let reading = tokio::task::spawn_blocking(move || {
                let files = Files::read(&certificate, &key)?;
                let read = files.parse(&certificate, &key)?;
                Ok::<_, TlsError>((files.digest(), read))
            });
            let Ok(read) = reading.await else {
                continue; // Only a panic ends it early, and the old pair works.
            };
            // What was seen: files that work, or why they do not.
            let seen = match &read {
                Ok((digest, _)) => Ok(*digest),
                Err(error) => Err(error.to_string()),
            };
            if last.as_ref() == Some(&seen) {
                continue;
            }
            match read {
                Ok((_, read)) if read.cert != pair.current.load().cert => {
                    pair.current.store(Arc::new(read));
                    let certificate = pair.certificate.display();
                    tracing::info!(%certificate, "new connections get the new certificate");
                }
                Ok((_, read)) => pair.current.store(Arc::new(read)),
                Err(error) => {
                    tracing::error!(%error, "the new certificate is not used; the old one stays");
                }
            }
            last = Some(seen);
        }
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair")
            .field("certificate", &self.certificate)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

// === impl Files ===

impl Files {
    fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read(certificate)?,
            key: read(key)?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.certificate.len().to_le_bytes());
        digest.update(&self.certificate);
        digest.update(&self.key);
        digest.finalize().into()
    }

    fn parse(&self, certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|source| TlsError::NotPem {
                path: certificate.to_owned(),
                source,
            })?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate {
                path: certificate.to_owned(),
            });
        }
        let private = PrivateKeyDer::from_pem_slice(&self.key).map_err(|source| {
            let path = key.to_owned();
            match source {
                pem::Error::NoItemsFound => TlsError::NoKey { path },
                source => TlsError::NotPem { path, source },
            }
        })?;
        CertifiedKey::from_der(chain, private, &provider()).map_err(|source| TlsError::Unfit {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        })
    }
}

/// A file that root or the user of the server wrote, and nobody else may write.
fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable(io::Error::other("it is not a file")));
    }
    let path = || path.to_owned();
    if metadata.mode() & OTHERS_WRITE != 0 {
        return Err(TlsError::OthersMayWrite { path: path() });
    }
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(TlsError::ForeignOwner {
            path: path(),
            owner,
        });
    }
    let mut bytes = Vec::new();
    let file = File::open(path()).map_err(unreadable)?;
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > LIMIT {
        return Err(TlsError::TooLarge { path: path() });
    }
    Ok(bytes)
}

fn is_readable_by_all(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.mode() & OTHERS_READ != 0)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;

    fn section(folder: &TempDir, name: &str) -> config::Tls {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let (certificate, key) = (
            folder.path().join("cert.pem"),
            folder.path().join("key.pem"),
        );
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let json = serde_json::json!({ "certificate": certificate, "key": key });
        serde_json::from_value(json).unwrap()
    }

    fn refusal(section: &config::Tls) -> String {
        match Tls::load(section) {
            Ok(_) => panic!("it was loaded"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_pair_is_read_and_what_is_none_is_named() {
        let folder = TempDir::new().unwrap();
        let good = section(&folder, "localhost");
        assert!(Tls::load(&good).is_ok());

        fs::write(&good.certificate, "no PEM").unwrap();
        assert!(refusal(&good).ends_with("cert.pem holds no certificate"));

        let good = section(&folder, "localhost");
        fs::write(&good.key, "").unwrap();
        assert!(refusal(&good).ends_with("key.pem holds no private key"));

        let good = section(&folder, "localhost");
        fs::remove_file(&good.key).unwrap();
        assert!(refusal(&good).contains("cannot read"));
    }

    #[test]
    fn a_key_of_another_certificate_does_not_fit() {
        let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let mut mixed = section(&folder, "localhost");
        mixed.key = section(&other, "localhost").key;
        assert!(refusal(&mixed).contains("do not fit"));
    }

    #[test]
    fn a_key_that_everybody_may_write_is_refused() {
        let folder = TempDir::new().unwrap();
        let good = section(&folder, "localhost");
        fs::set_permissions(&good.key, fs::Permissions::from_mode(0o602)).unwrap();
        assert!(refusal(&good).contains("everybody may write"));
    }
}
