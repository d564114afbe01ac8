//! Authorities of clients that are learned while the listener runs, such as those of a Kubernetes cluster.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

/// Who signs clients' certificates; nobody until [`Authorities::set`]. A client without a certificate is let in, and has
/// no [`Client`](super::Client); one with a certificate of another authority is not.
#[derive(Debug)]
pub struct Authorities {
    provider: Arc<CryptoProvider>,
    held: RwLock<Option<Arc<dyn ClientCertVerifier>>>,
}

impl Default for Authorities {
    fn default() -> Self {
        Self { provider: Arc::new(rustls::crypto::ring::default_provider()), held: RwLock::default() }
    }
}

impl Authorities {
    /// Takes these certificates, in PEM, instead of those before, for connections that come. The error says what is wrong
    /// with them.
    pub fn set(&self, pem: &[u8]) -> Result<(), String> {
        let mut roots = RootCertStore::empty();
        for certificate in super::certificates(pem)? {
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), self.provider.clone()).build();
        *self.held.write() = Some(verifier.map_err(|error| error.to_string())?);
        Ok(())
    }
}

impl ClientCertVerifier for Authorities {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // They change, and without them a client shows what it has.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let held = self.held.read().clone().ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        held.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
