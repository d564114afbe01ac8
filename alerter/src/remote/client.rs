//! Requests to one receiver.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use weir_service::telemetry::whole;

use super::answer::Answer;
use super::options::{RemoteWrite, TlsConfig};
use crate::notify::retry_after;

/// Bytes of an answer that are logged.
const SHOWN_BYTES: usize = 200;

/// A client cannot be made, or a request.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A file of `tls_config` or of a credential.
    #[error("cannot read {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not what its name says.
    #[error("{path} holds no {what}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// Anything else.
    #[error("cannot make an HTTP client")]
    Client(#[from] reqwest::Error),
}

/// Speaks to one receiver.
#[derive(Debug)]
pub(super) struct Client {
    options: RemoteWrite,
    http: reqwest::Client,
}

/// What came of a request, with a text for the log.
pub(super) struct Sent {
    pub(super) answer: Answer,
    pub(super) text: String,
}

impl Client {
    /// Reads the files of `tls_config`.
    pub(super) fn open(options: RemoteWrite) -> Result<Self, ClientError> {
        let http = http_client(&options)?;
        Ok(Self { options, http })
    }

    /// Sends a compressed request. The address and credentials are in no text.
    pub(super) async fn send(&mut self, body: Bytes) -> Sent {
        let credential = match self.credential().await {
            Ok(credential) => credential,
            Err(error) => return Sent::failed(whole(&error).to_string()),
        };
        let mut request = self.http.post(&self.options.url.0).headers(headers(&self.options));
        request = match (&self.options.basic_auth, credential) {
            (Some(basic), password) => request.basic_auth(&basic.username, password),
            (None, Some(authorization)) => request.header(http::header::AUTHORIZATION, authorization),
            (None, None) => request,
        };
        match request.body(body).send().await {
            Ok(answer) => {
                let status = answer.status();
                let after = answer.headers().get(http::header::RETRY_AFTER).and_then(retry_after);
                let after = after.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
                Sent { answer: Answer::of(status, after), text: said(status, answer).await }
            }
            Err(error) => {
                // Certificates may have been replaced.
                if self.options.tls_config.ca_file.is_some() || self.options.tls_config.cert_file.is_some() {
                    let options = self.options.clone();
                    if let Ok(Ok(http)) = tokio::task::spawn_blocking(move || http_client(&options)).await {
                        self.http = http;
                    }
                }
                Sent::failed(whole(&error.without_url()).to_string())
            }
        }
    }

    /// A password, or the header `authorization`.
    async fn credential(&self) -> Result<Option<String>, ClientError> {
        if let Some(basic) = &self.options.basic_auth {
            return match (&basic.password, &basic.password_file) {
                (Some(password), _) => Ok(Some(password.0.clone())),
                (None, Some(path)) => Ok(Some(text(path).await?)),
                (None, None) => Ok(None),
            };
        }
        let Some(authorization) = &self.options.authorization else { return Ok(None) };
        let credentials = match (&authorization.credentials, &authorization.credentials_file) {
            (Some(credentials), _) => credentials.0.clone(),
            (None, Some(path)) => text(path).await?,
            (None, None) => return Ok(None),
        };
        Ok(Some(format!("{} {credentials}", authorization.r#type)))
    }
}

impl Sent {
    fn failed(text: String) -> Self {
        Self { answer: Answer::Again { after: None }, text }
    }
}

async fn text(path: &Path) -> Result<String, ClientError> {
    let read = tokio::fs::read_to_string(path).await;
    let text = read.map_err(|source| ClientError::File { path: path.to_owned(), source })?;
    Ok(text.trim().to_owned())
}

fn headers(options: &RemoteWrite) -> HeaderMap {
    let own = options.headers.iter().filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(&value.0).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    });
    let of_protocol = [
        (http::header::CONTENT_ENCODING, "snappy"),
        (http::header::CONTENT_TYPE, "application/x-protobuf"),
        (HeaderName::from_static("x-prometheus-remote-write-version"), "0.1.0"),
    ];
    own.chain(of_protocol.map(|(name, value)| (name, HeaderValue::from_static(value)))).collect()
}

/// Status and the begin of what a receiver says, in one line.
async fn said(status: StatusCode, mut answer: reqwest::Response) -> String {
    if status.is_success() {
        return String::new();
    }
    let body = answer.chunk().await.ok().flatten().unwrap_or_default();
    let body = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES)]);
    let line: String = body.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{status}: {line}")
}

fn http_client(options: &RemoteWrite) -> Result<reqwest::Client, ClientError> {
    // The client asks for the process' default; whoever came first has set it, and it is the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let TlsConfig { ca_file, cert_file, key_file, insecure_skip_verify } = &options.tls_config;
    let read = |path: &PathBuf| std::fs::read(path).map_err(|source| ClientError::File { path: path.clone(), source });
    let mut client = reqwest::Client::builder()
        .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(options.remote_timeout.0)
        .tls_danger_accept_invalid_certs(*insecure_skip_verify);
    if options.url.0.starts_with("http://") {
        // Nobody is to be trusted, and a machine that has no authorities can write all the same.
        client = client.tls_certs_only([]);
    } else if let Some(path) = ca_file {
        let no_certificate = || ClientError::Content { path: path.clone(), what: "certificate in PEM" };
        let authorities = reqwest::Certificate::from_pem_bundle(&read(path)?).map_err(|_| no_certificate())?;
        if authorities.is_empty() {
            return Err(no_certificate());
        }
        client = client.tls_certs_only(authorities);
    }
    if let (Some(cert_file), Some(key_file)) = (cert_file, key_file) {
        let mut pem = read(cert_file)?;
        pem.push(b'\n');
        pem.extend(read(key_file)?);
        let identity = reqwest::Identity::from_pem(&pem).map_err(|_| ClientError::Content {
            path: cert_file.clone(),
            what: "certificate that its key_file fits, in PEM",
        })?;
        client = client.identity(identity);
    }
    Ok(client.build()?)
}

#[cfg(test)]
mod tests;
