use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a certificate for `localhost`, and its key.
fn identity(authority: &Authority, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let paths = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    std::fs::write(&paths.0, params.signed_by(&key, authority).unwrap().pem()).unwrap();
    std::fs::write(&paths.1, key.serialize_pem()).unwrap();
    paths
}

/// Takes each request of a client whose certificate the authority signed.
async fn serve(authority: &Authority, (cert, key): &(PathBuf, PathBuf)) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let clients = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
    let config = ServerConfig::builder().with_client_cert_verifier(clients);
    let config = config.with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            if stream.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {
                let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    format!("https://localhost:{port}/api/v1/write")
}

#[tokio::test]
async fn a_receiver_is_trusted_by_its_authority_and_shown_the_clients_certificate() {
    let (folder, ours) = (tempfile::tempdir().unwrap(), authority("ours"));
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("ca.pem"), ours.pem()).unwrap();
    std::fs::write(path("other.pem"), authority("other").pem()).unwrap();
    std::fs::write(path("empty.pem"), "nothing").unwrap();
    let url = serve(&ours, &identity(&ours, folder.path(), "server")).await;
    let (cert, key) = identity(&ours, folder.path(), "client");
    let own = format!("cert_file: '{}', key_file: '{}'", cert.display(), key.display());
    let open = |tls: String| {
        let text = format!("{{url: '{url}', tls_config: {{{tls}}}}}");
        Client::open(serde_saphyr::from_str::<RemoteWrite>(&text).unwrap())
    };
    let again = Answer::Again { after: None };
    for (tls, want) in [
        (format!("ca_file: '{}', {own}", path("ca.pem").display()), Answer::Taken),
        (format!("insecure_skip_verify: true, {own}"), Answer::Taken),
        (format!("ca_file: '{}', {own}", path("other.pem").display()), again),
        (own.clone(), again),
        (format!("ca_file: '{}'", path("ca.pem").display()), again),
    ] {
        let sent = open(tls.clone()).unwrap().send(Bytes::from_static(b"x")).await;
        assert_eq!(sent.answer, want, "{tls}: {}", sent.text);
        assert!(!sent.text.contains("localhost"), "{}", sent.text);
    }
    for (tls, what) in [
        (format!("ca_file: '{}'", path("gone.pem").display()), "cannot read"),
        (format!("ca_file: '{}'", path("empty.pem").display()), "holds no certificate"),
        (format!("cert_file: '{}', key_file: '{}'", cert.display(), path("ca.pem").display()), "holds no certificate"),
    ] {
        let error = open(tls.clone()).unwrap_err().to_string();
        assert!(error.contains(what), "{tls}: {error}");
    }
}
