//! Who a client is: the names in its certificate.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// DNS and URI names of a client's certificate and its common name, read once for each connection and cheap to clone. They
/// are kept one a line, so however many there are, they take no more memory than the certificate, of which TLS takes 64 KiB
/// at most.
#[derive(Debug, Clone)]
pub struct Client {
    names: Arc<str>,
    common: Option<Arc<str>>,
}

impl Client {
    /// By a certificate that was checked.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Self, webpki::Error> {
        let certificate = EndEntityCert::try_from(certificate)?;
        let dns = certificate.valid_dns_names().map(str::to_ascii_lowercase);
        // Nobody checked that it is a URI: one without a scheme could pass for a DNS name.
        let is_uri = |name: &&str| name.contains(':') && !name.chars().any(char::is_control);
        let uris = certificate.valid_uri_names().filter(is_uri).map(str::to_owned);
        let names = dns.chain(uris).collect::<Vec<_>>().join("\n").into();
        Ok(Self { names, common: common_name(certificate.subject()).map(Into::into) })
    }

    /// DNS names in lower case, URIs as they are written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.lines()
    }

    /// The common name of its subject, which nobody takes for a DNS name any more, but Kubernetes for a user's.
    pub fn common_name(&self) -> Option<&str> {
        self.common.as_deref()
    }
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// `id-at-commonName`, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// UTF8String, PrintableString, IA5String: the other strings of X.520 are not UTF-8.
const STRINGS: [u8; 3] = [0x0c, 0x13, 0x16];

/// The last common name in the DER of a subject, without its outer SEQUENCE; `None` where there is none that can be read.
fn common_name(mut subject: &[u8]) -> Option<&str> {
    let mut found = None;
    while !subject.is_empty() {
        let (tag, mut set, rest) = element(subject)?;
        subject = rest;
        while tag == SET && !set.is_empty() {
            let (tag, attribute, rest) = element(set)?;
            set = rest;
            let (of_type, name, value) = element(attribute)?;
            if (tag, of_type, name) == (SEQUENCE, OBJECT_IDENTIFIER, COMMON_NAME) {
                let (of_value, value, _) = element(value)?;
                found = STRINGS.contains(&of_value).then(|| std::str::from_utf8(value).ok()).flatten();
            }
        }
    }
    found
}

/// Tag and content of the first element of DER, and what lies behind it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        _ => return None,
    };
    rest.split_at_checked(length).map(|(content, rest)| (*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn of(names: &[(DnType, &str)]) -> Option<String> {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Client::of(certificate.der()).unwrap().common_name().map(str::to_owned)
    }

    #[test]
    fn the_common_name_is_that_of_the_subject() {
        let organisation = (DnType::OrganizationName, "front-proxy");
        assert_eq!(of(&[organisation.clone(), (DnType::CommonName, "代理")]).as_deref(), Some("代理"));
        let long = "x".repeat(200);
        assert_eq!(of(&[(DnType::CommonName, &long)]).as_deref(), Some(&long[..]));
        assert_eq!(of(&[organisation]), None);
    }

    proptest! {
        #[test]
        fn no_subject_makes_it_panic(subject in proptest::collection::vec(any::<u8>(), 0..200)) {
            common_name(&subject);
        }
    }
}
