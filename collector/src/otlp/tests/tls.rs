//! Real handshakes, on certificates made here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Channel;
use weir_bus::Bus;
use weir_proto::otlp::collector::logs::v1::logs_service_client::LogsServiceClient;
use weir_service::auth::Auth;
use weir_service::tls::{Tls, TlsOptions, check};

use super::*;
use crate::options::{OtlpOptions, TenantOptions};
use crate::otlp::{Error, Server, TLS_SECTION, Tenants};

pub(super) type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key in PEM.
pub(super) struct Identity {
    cert: String,
    key: String,
}

fn identity(authority: &Authority, name: &str, is_expired: bool) -> Identity {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if is_expired {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    signed(authority, params)
}

pub(super) fn signed(authority: &Authority, mut params: CertificateParams) -> Identity {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let cert = params.signed_by(&key, authority).unwrap();
    Identity { cert: cert.pem(), key: key.serialize_pem() }
}

/// A server with certificates in a folder.
pub(super) struct Site {
    folder: TempDir,
    authority: Authority,
    pub(super) clients: Authority,
}

impl Site {
    pub(super) fn new() -> Self {
        let site =
            Self { folder: tempfile::tempdir().unwrap(), authority: authority("weir"), clients: authority("clients") };
        site.install(&identity(&site.authority, "weir", false));
        std::fs::write(site.path("ca.pem"), site.clients.pem()).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn install(&self, identity: &Identity) {
        std::fs::write(self.path("cert.pem"), &identity.cert).unwrap();
        std::fs::write(self.path("key.pem"), &identity.key).unwrap();
    }

    fn options(&self, is_mutual: bool) -> TlsOptions {
        let client_ca = is_mutual.then(|| self.path("ca.pem"));
        TlsOptions { cert: self.path("cert.pem"), key: self.path("key.pem"), client_ca }
    }

    async fn serve(&self, is_mutual: bool) -> Serving {
        self.serve_as(is_mutual, &TenantOptions::default()).await
    }

    pub(super) async fn serve_as(&self, is_mutual: bool, tenant: &TenantOptions) -> Serving {
        let bus = Bus::open(&weir_bus::Options::default(), self.folder.path()).await.unwrap();
        let local = Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
        let tls = Some(self.options(is_mutual));
        let options = OtlpOptions { grpc: local, http: local, tls, ..OtlpOptions::default() };
        let meter = opentelemetry::global::meter("test");
        let server = Server::bind(&options, tenant, bus.producer().unwrap(), None, Auth::off(), &meter).await.unwrap();
        assert_eq!(server.scheme(), "https");
        let stop = CancellationToken::new();
        let (grpc, http, tls) = (server.grpc_addr().unwrap(), server.http_addr().unwrap(), server.tls.clone().unwrap());
        let tenants = server.tenants();
        tokio::spawn(server.run(stop.clone()));
        Serving { grpc, http, tls, tenants, bus, _stop: stop.drop_guard() }
    }

    /// A client that believes the server's authority.
    pub(super) fn client(&self, identity: Option<&Identity>) -> ClientConfig {
        client(&self.authority, identity)
    }
}

pub(super) struct Serving {
    pub(super) grpc: SocketAddr,
    pub(super) http: SocketAddr,
    tls: Arc<Tls>,
    pub(super) tenants: Tenants,
    pub(super) bus: Bus,
    _stop: DropGuard,
}

fn client(believed: &Authority, identity: Option<&Identity>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(believed.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some(Identity { cert, key }) => {
            let certs = CertificateDer::pem_slice_iter(cert.as_bytes()).collect::<Result<_, _>>().unwrap();
            builder.with_client_auth_cert(certs, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
        }
    }
}

pub(super) async fn connect(to: SocketAddr, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("weir").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(to).await?).await
}

/// An export over HTTP/1.1; its status. That a client is not let in, TLS 1.3 tells it behind the handshake.
async fn post(stream: &mut TlsStream<TcpStream>) -> std::io::Result<u16> {
    let answer = post_body(stream, b"").await?;
    Ok(answer[9..12].parse().unwrap())
}

/// An export over HTTP/1.1; its answer, head and body.
pub(super) async fn post_body(stream: &mut TlsStream<TcpStream>, body: &[u8]) -> std::io::Result<String> {
    let (kind, length) = ("application/x-protobuf", body.len());
    let head =
        format!("POST /v1/logs HTTP/1.1\r\nhost: weir\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    let mut answer = Vec::new();
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return Ok(text.into_owned());
        }
    }
}

/// A client of gRPC, on one connection.
pub(super) async fn dial(to: SocketAddr, mut config: ClientConfig) -> LogsServiceClient<Channel> {
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tower::service_fn(move |_| {
        let config = config.clone();
        async move {
            let stream = connect(to, config).await?;
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    let endpoint = tonic::transport::Endpoint::from_static("http://weir");
    LogsServiceClient::new(endpoint.connect_with_connector(connector).await.unwrap())
}

async fn exports(to: SocketAddr, config: ClientConfig) -> std::io::Result<u16> {
    post(&mut connect(to, config).await?).await
}

#[tokio::test]
async fn both_protocols_are_taken_over_tls_and_nothing_else_is() {
    let site = Site::new();
    let serving = site.serve(false).await;
    assert_eq!(exports(serving.http, site.client(None)).await.unwrap(), 200);

    let request = logs(vec![(&[("service.name", "ocr")], vec![line("one")])]);
    dial(serving.grpc, site.client(None)).await.export(request).await.unwrap();

    let stranger = exports(serving.http, client(&authority("stranger"), None)).await.unwrap_err();
    assert!(stranger.to_string().contains("UnknownIssuer"), "the client does not believe it: {stranger}");
    let mut plain = TcpStream::connect(serving.http).await.unwrap();
    plain.write_all(b"POST /v1/logs HTTP/1.1\r\nhost: weir\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"), "plain text is not answered");
    assert_eq!(exports(serving.http, site.client(None)).await.unwrap(), 200, "and the server is well");
}

#[tokio::test]
async fn mutual_tls_lets_in_only_whom_the_authority_signed() {
    let site = Site::new();
    let serving = site.serve(true).await;
    let right = identity(&site.clients, "client", false);
    assert_eq!(exports(serving.http, site.client(Some(&right))).await.unwrap(), 200);
    assert_eq!(exports(serving.http, site.client(Some(&right))).await.unwrap(), 200, "also a second time");
    let expired = identity(&site.clients, "client", true);
    let others = identity(&authority("stranger"), "client", false);
    for (who, identity, alert) in [
        ("without a certificate", None, "CertificateRequired"),
        ("expired", Some(&expired), "CertificateExpired"),
        ("of another authority", Some(&others), "UnknownCA"),
    ] {
        let refused = exports(serving.http, site.client(identity)).await.unwrap_err();
        assert!(refused.to_string().contains(alert), "{who}: {refused}");
    }
}

#[tokio::test]
async fn new_files_are_taken_while_connections_stay_and_bad_ones_are_not() {
    let site = Site::new();
    let serving = site.serve(false).await;
    let mut there = connect(serving.http, site.client(None)).await.unwrap();
    assert_eq!(post(&mut there).await.unwrap(), 200);

    let next = authority("next");
    let new = identity(&next, "weir", false);
    // Files are replaced one by one: between them, the key does not fit.
    std::fs::write(site.path("cert.pem"), &new.cert).unwrap();
    serving.tls.look();
    assert_eq!(exports(serving.http, site.client(None)).await.unwrap(), 200, "what was there goes on");
    std::fs::write(site.path("key.pem"), &new.key).unwrap();
    serving.tls.look();
    assert!(exports(serving.http, site.client(None)).await.is_err());
    assert_eq!(exports(serving.http, client(&next, None)).await.unwrap(), 200);
    assert_eq!(post(&mut there).await.unwrap(), 200, "a connection is not dropped");

    std::fs::remove_file(site.path("cert.pem")).unwrap();
    serving.tls.look();
    assert_eq!(exports(serving.http, client(&next, None)).await.unwrap(), 200);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_told_by_its_key_and_path_before_anything_is_bound() {
    let site = Site::new();
    let other = identity(&site.authority, "weir", false);
    std::fs::write(site.path("other.pem"), &other.key).unwrap();
    std::fs::write(site.path("text.pem"), "no PEM").unwrap();
    let (good, at) = (site.options(true), |name: &str| site.path(name));
    let cases: [(&str, TlsOptions, PathBuf, &str); 7] = [
        ("cert", TlsOptions { cert: at("none.pem"), ..good.clone() }, at("none.pem"), "No such file"),
        ("cert", TlsOptions { cert: at("text.pem"), ..good.clone() }, at("text.pem"), "no certificate"),
        ("cert", TlsOptions { cert: at("key.pem"), ..good.clone() }, at("key.pem"), "no certificate"),
        ("key", TlsOptions { key: at("cert.pem"), ..good.clone() }, at("cert.pem"), "no private key"),
        ("key", TlsOptions { key: at("other.pem"), ..good.clone() }, at("other.pem"), "not the key of"),
        ("client_ca", TlsOptions { client_ca: Some(at("text.pem")), ..good.clone() }, at("text.pem"), "no certificate"),
        ("client_ca", TlsOptions { client_ca: Some(at("none.pem")), ..good.clone() }, at("none.pem"), "No such file"),
    ];
    check(TLS_SECTION, &good).unwrap();
    for (key, options, path, why) in cases {
        let error = check(TLS_SECTION, &options).unwrap_err().to_string();
        let begin = format!("collector.otlp.tls.{key}: {}: ", path.display());
        assert!(error.starts_with(&begin) && error.contains(why), "{error}");
    }
    let bus = Bus::open(&weir_bus::Options::default(), site.folder.path()).await.unwrap();
    let tls = Some(TlsOptions { cert: Path::new("/none").into(), ..good });
    // Nobody may listen at 192.0.2.1: it would be told, if it were tried first.
    let grpc = Some(SocketAddr::from(([192, 0, 2, 1], 1)));
    let options = OtlpOptions { grpc, tls, ..OtlpOptions::default() };
    let meter = opentelemetry::global::meter("test");
    let bound =
        Server::bind(&options, &TenantOptions::default(), bus.producer().unwrap(), None, Auth::off(), &meter).await;
    assert!(matches!(bound.unwrap_err(), Error::Tls(_)));
}
