//! TLS of a listener, and who may connect: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN.
//!
//! The files are looked at every few seconds. When they changed, connections that come get the new certificates, and
//! those that are there stay. What cannot be used (a key that does not fit yet, since files are replaced one by one) is
//! told, and what was there before goes on.

mod authorities;
mod client;

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use parking_lot::{Mutex, RwLock};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

pub use self::authorities::Authorities;
pub use self::client::Client;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// One that is refused is told of this often at most; all are counted.
const TELL: Duration = Duration::from_mins(1);

/// A client has this long to say hello.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// No file of certificates is larger, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// Certificates, in PEM; read again when the files change, while connections that are there stay.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsOptions {
    /// The listener's certificate, and those between it and its authority.
    pub cert: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
    /// Mutual TLS: only clients are let in whose certificate one of these authorities signed.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
}

/// Why a file of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{section}.{key}: {}: {reason}", path.display())]
pub struct TlsError {
    /// Of the configuration.
    section: &'static str,
    /// `cert`, `key` or `client_ca`.
    key: &'static str,
    path: PathBuf,
    reason: String,
}

/// What connections are accepted with.
#[derive(Debug)]
pub struct Tls {
    section: &'static str,
    options: TlsOptions,
    /// Of clients, instead of `client_ca`.
    authorities: Option<Arc<Authorities>>,
    held: RwLock<Held>,
    refused: Counter<u64>,
    /// When one that was refused was told of last.
    told: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Held {
    config: Arc<ServerConfig>,
    /// Of the files it was made of, or of those that were told to be of no use.
    looked_at: u64,
}

impl Tls {
    /// Reads the files; `section` is where the configuration has them.
    pub fn open(section: &'static str, options: &TlsOptions, meter: &Meter) -> Result<Self, TlsError> {
        Self::open_with(section, options, None, meter)
    }

    /// The same, where it is learned later who signs clients' certificates.
    pub fn open_with(
        section: &'static str,
        options: &TlsOptions,
        authorities: Option<Arc<Authorities>>,
        meter: &Meter,
    ) -> Result<Self, TlsError> {
        let refused = meter
            .u64_counter("weir_tls_refused")
            .with_unit("{connection}")
            .with_description("Connections that ended in the TLS handshake, such as of clients without a certificate")
            .build();
        let (files, looked_at) = Files::read(section, options)?;
        let config = files.config(section, options, authorities.as_ref())?;
        let held = RwLock::new(Held { config: Arc::new(config), looked_at });
        Ok(Self { section, options: options.clone(), authorities, held, refused, told: Mutex::default() })
    }

    /// Looks at the files until stopped.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let tls = self.clone();
            if tokio::task::spawn_blocking(move || tls.look()).await.is_err() {
                tracing::error!("looking at the certificates failed");
            }
        }
    }

    /// Takes the files again, if they changed.
    pub fn look(&self) {
        let read = Files::read(self.section, &self.options);
        let now = read.as_ref().map_or(0, |(_, stamp)| *stamp);
        if now == self.held.read().looked_at {
            return;
        }
        match read.and_then(|(files, _)| files.config(self.section, &self.options, self.authorities.as_ref())) {
            Ok(config) => {
                *self.held.write() = Held { config: Arc::new(config), looked_at: now };
                tracing::info!(section = self.section, cert = %self.options.cert.display(), "new certificates are used");
            }
            Err(error) => {
                self.held.write().looked_at = now;
                tracing::warn!(%error, "the certificates before stay in use");
            }
        }
    }

    /// The handshake, and who the client is, where it was asked for; `None` if it is not let in, which is counted.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Option<(TlsStream<TcpStream>, Option<Client>)> {
        let config = self.held.read().config.clone();
        let peer = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
        let refused = match tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await {
            Ok(Ok(stream)) => {
                let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                match certificate.map(Client::of).transpose() {
                    Ok(client) => return Some((stream, client)),
                    Err(error) => error.to_string(),
                }
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("nothing within {HANDSHAKE:?}"),
        };
        self.refused.add(1, &[KeyValue::new("listener", self.section)]);
        let mut told = self.told.lock();
        if told.is_none_or(|at| at.elapsed() >= TELL) {
            *told = Some(Instant::now());
            tracing::warn!(
                listener = self.section,
                peer,
                error = refused,
                "a connection was refused in the TLS handshake"
            );
        } else {
            tracing::debug!(
                listener = self.section,
                peer,
                error = refused,
                "a connection was refused in the TLS handshake"
            );
        }
        None
    }
}

/// Whether the files can be used.
pub fn check(section: &'static str, options: &TlsOptions) -> Result<(), TlsError> {
    let (files, _) = Files::read(section, options)?;
    files.config(section, options, None).map(drop)
}

struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Files {
    /// Together with a stamp of what they hold, which is never 0.
    fn read(section: &'static str, options: &TlsOptions) -> Result<(Self, u64), TlsError> {
        let read =
            |key, path: &Path| read(path).map_err(|reason| TlsError { section, key, path: path.to_owned(), reason });
        let cert = read("cert", &options.cert)?;
        let key = read("key", &options.key)?;
        let client_ca = options.client_ca.as_deref().map(|path| read("client_ca", path)).transpose()?;
        let mut hasher = DefaultHasher::new();
        (&cert, &key, &client_ca).hash(&mut hasher);
        Ok((Self { cert, key, client_ca }, hasher.finish().max(1)))
    }

    fn config(
        &self,
        section: &'static str,
        options: &TlsOptions,
        authorities: Option<&Arc<Authorities>>,
    ) -> Result<ServerConfig, TlsError> {
        let wrong = |key, path: &Path, reason: String| TlsError { section, key, path: path.to_owned(), reason };
        let certificates = certificates(&self.cert).map_err(|why| wrong("cert", &options.cert, why))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            let none = "no private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)".to_owned();
            let why = if matches!(error, pem::Error::NoItemsFound) { none } else { format!("not PEM: {error}") };
            wrong("key", &options.key, why)
        })?;
        let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| wrong("cert", &options.cert, error.to_string()))?;
        let builder = match (authorities, &self.client_ca, &options.client_ca) {
            (Some(authorities), _, _) => builder.with_client_cert_verifier(authorities.clone()),
            (None, Some(pem), Some(path)) => {
                let wrong = |why: String| wrong("client_ca", path, why);
                let mut roots = RootCertStore::empty();
                for certificate in self::certificates(pem).map_err(&wrong)? {
                    roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| wrong(error.to_string()))?)
            }
            _ => builder.with_no_client_auth(),
        };
        let config = builder.with_single_cert(certificates, key);
        let mut config = config.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let cert = options.cert.display();
                wrong("key", &options.key, format!("not the key of the certificate in {cert}"))
            }
            other => wrong("cert", &options.cert, other.to_string()),
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if options.client_ca.is_some() || authorities.is_some() {
            // A session that is taken up again would be let in though the client's certificate has expired.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(config)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_FILE { Err(format!("larger than {MAX_FILE} bytes")) } else { Ok(bytes) }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| format!("not PEM: {error}"))?;
    if read.is_empty() { Err("no certificate in PEM".to_owned()) } else { Ok(read) }
}
