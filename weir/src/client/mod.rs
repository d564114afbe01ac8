//! How commands reach a weir on another machine: the credential that they show, and the authorities that they trust.

pub mod profile;
mod token;

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{ClientTlsConfig, Endpoint};
use weir_service::http::is_loopback;

pub use token::Token;

/// A larger file holds no certificates, or no token.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Who the command is, and whom it trusts.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Access {
    /// Credential; others on this machine can see a command line, but not WEIR_TOKEN
    #[arg(long, env = "WEIR_TOKEN", hide_env_values = true)]
    pub token: Option<Token>,
    /// PEM file of authorities that are trusted besides the system's
    #[arg(long, env = "WEIR_CA", value_name = "FILE", value_parser = OsStringValueParser::new().map(path))]
    pub ca: Option<PathBuf>,
    /// Send the token over plain http:// to another machine too
    #[arg(long)]
    pub insecure: bool,
}

/// Unlike clap's own, takes what is empty, as in `WEIR_CA=`.
fn path(text: OsString) -> PathBuf {
    text.into()
}

/// An address that HTTP is spoken with; `name` is the option that it comes from.
pub fn address(name: &str, text: &str) -> anyhow::Result<Url> {
    ensure!(!text.contains('@'), "{name}: an address holds no user and no password; --token gives the credential");
    let url = Url::parse(text).with_context(|| format!("{name} {text}: write http://host:port"))?;
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    ensure!(is_http, "{name} {text}: write http://host:port");
    Ok(url)
}

impl Access {
    /// A client for this address, which shows the credential with every request and follows no redirection.
    pub fn http(&self, url: &Url) -> anyhow::Result<reqwest::ClientBuilder> {
        provider();
        let mut client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        client = if url.scheme() == "https" {
            let authorities = self.authorities()?;
            let authorities = authorities.iter().map(|der| reqwest::Certificate::from_der(der));
            client.tls_certs_merge(authorities.collect::<Result<Vec<_>, _>>()?)
        } else {
            // Nobody is to be trusted, and a machine that has no authorities can ask all the same.
            client.tls_certs_only([])
        };
        if let Some(token) = self.sent_to(url)? {
            client = client.default_headers(HeaderMap::from_iter([(AUTHORIZATION, token.bearer()?)]));
        }
        Ok(client)
    }

    /// An endpoint for this address, and the credential that each request to it shows as `authorization`.
    pub fn grpc(&self, url: &Url) -> anyhow::Result<(Endpoint, Option<AsciiMetadataValue>)> {
        let mut endpoint = Endpoint::from_shared(url.to_string())?;
        if url.scheme() == "https" {
            let verifier = Verifier::new_with_extra_roots(self.authorities()?, provider())?;
            endpoint = endpoint.tls_config_with_verifier(ClientTlsConfig::new(), Arc::new(verifier))?;
        }
        let bearer = self.sent_to(url)?.map(Token::bearer).transpose()?;
        let bearer = bearer.map(|bearer| AsciiMetadataValue::try_from(bearer.as_bytes())).transpose()?;
        let hidden = bearer.map(|mut bearer| {
            bearer.set_sensitive(true);
            bearer
        });
        Ok((endpoint, hidden))
    }

    /// The token, where there is one. It must not be read on its way.
    fn sent_to(&self, url: &Url) -> anyhow::Result<Option<&Token>> {
        let Some(token) = self.token.as_ref().filter(|token| !token.is_empty()) else { return Ok(None) };
        let host = url.host_str().unwrap_or_default();
        if url.scheme() != "https" && !self.insecure && !is_loopback(&format!("{host}:0")) {
            bail!(
                "the token would go to {host} unencrypted, where others can read it on its way: use https://, or \
                 --insecure where nobody can"
            );
        }
        Ok(Some(token))
    }

    fn authorities(&self) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        let Some(path) = self.ca.as_deref().filter(|path| !path.as_os_str().is_empty()) else { return Ok(Vec::new()) };
        let pem = read(path)?;
        let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let found = found.with_context(|| format!("{}: this is not PEM", path.display()))?;
        ensure!(!found.is_empty(), "{}: no certificate in PEM is in it", path.display());
        Ok(found)
    }
}

/// The program's cryptography, which tests and benchmarks may not have set yet.
fn provider() -> Arc<CryptoProvider> {
    // An error says that a provider is there already, which is what is needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("{}: cannot be read", path.display());
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .with_context(cannot)?;
    ensure!(bytes.len() as u64 <= MAX_FILE_BYTES, "{}: larger than {MAX_FILE_BYTES} bytes", path.display());
    Ok(bytes)
}

#[cfg(test)]
mod tests;
