//! Who a client is: the names in its certificate.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// DNS and URI names of a client's certificate, read once for each connection and cheap to clone. They are kept one a
/// line, so however many there are, they take no more memory than the certificate, of which TLS takes 64 KiB at most.
#[derive(Debug, Clone)]
pub struct Client(Arc<str>);

impl Client {
    /// By a certificate that was checked.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Self, webpki::Error> {
        let certificate = EndEntityCert::try_from(certificate)?;
        let dns = certificate.valid_dns_names().map(str::to_ascii_lowercase);
        // Nobody checked that it is a URI: one without a scheme could pass for a DNS name.
        let is_uri = |name: &&str| name.contains(':') && !name.chars().any(char::is_control);
        let uris = certificate.valid_uri_names().filter(is_uri).map(str::to_owned);
        Ok(Self(dns.chain(uris).collect::<Vec<_>>().join("\n").into()))
    }

    /// DNS names in lower case, URIs as they are written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.lines()
    }
}
