//! How the alerter speaks with servers outside: HTTP clients with credentials, authorities and proxies, and the secrets
//! that they need. What is written to others and notifications both use it.

mod options;
mod secret;

use std::path::PathBuf;
use std::time::Duration;

use parking_lot::Mutex;

pub use options::{Authorization, BasicAuth, HttpConfig, TlsConfig};
pub(crate) use options::{check_one, header};
pub use secret::Secret;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Redirections that are followed, of those that repeat the request as it is.
const REDIRECTIONS: usize = 5;

/// A client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A file of `tls_config`.
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
    /// Not the address of a proxy that can be spoken with.
    #[error("proxy_url: is not the http or https address of a proxy")]
    Proxy,
    /// Anything else.
    #[error("cannot make an HTTP client")]
    Client(#[from] reqwest::Error),
}

/// A client of one configuration.
#[derive(Debug)]
pub(crate) struct HttpClient {
    config: HttpConfig,
    /// Whether any address of https is spoken with.
    is_plain: bool,
    http: Mutex<reqwest::Client>,
}

impl HttpClient {
    /// Reads the files of `tls_config`: not for an async thread. Where all addresses are of http (`is_plain`), a machine
    /// without authorities will do.
    pub(crate) fn open(config: HttpConfig, is_plain: bool) -> Result<Self, ClientError> {
        let http = Mutex::new(build(&config, is_plain)?);
        Ok(Self { config, is_plain, http })
    }

    /// To make requests with, which need a timeout of their own.
    pub(crate) fn get(&self) -> reqwest::Client {
        self.http.lock().clone()
    }

    /// Reads certificates again, which may have been replaced; where that fails, all stays as it is. Reads files: not for
    /// an async thread.
    pub(crate) fn reload(&self) {
        if self.config.tls_config.has_files()
            && let Ok(http) = build(&self.config, self.is_plain)
        {
            *self.http.lock() = http;
        }
    }
}

/// The pause that a receiver asks for, in milliseconds: so many seconds, or until a date.
pub(crate) fn retry_after(value: &reqwest::header::HeaderValue) -> Option<i64> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(i64::from(seconds) * 1000);
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    Some(date.saturating_sub(weir_service::time::now_unix_ms()).max(0))
}

fn build(config: &HttpConfig, is_plain: bool) -> Result<reqwest::Client, ClientError> {
    // The client asks for the process' default; whoever came first has set it, and it is the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let TlsConfig { ca_file, cert_file, key_file, insecure_skip_verify, .. } = &config.tls_config;
    let read = |path: &PathBuf| std::fs::read(path).map_err(|source| ClientError::File { path: path.clone(), source });
    let redirect = if config.follow_redirects {
        reqwest::redirect::Policy::custom(redirected)
    } else {
        reqwest::redirect::Policy::none()
    };
    let mut client = reqwest::Client::builder()
        .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect)
        .connect_timeout(CONNECT_TIMEOUT)
        .tls_danger_accept_invalid_certs(*insecure_skip_verify);
    if is_plain {
        // Nobody is to be trusted.
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
    if !config.enable_http2 {
        client = client.http1_only();
    }
    if let Some(proxy) = &config.proxy_url {
        let url = proxy.read().map_err(|_| ClientError::Proxy)?;
        let proxy = Some(url).filter(|url| crate::options::is_http(url)).ok_or(ClientError::Proxy)?;
        let proxy = reqwest::Proxy::all(proxy).map_err(|_| ClientError::Proxy)?;
        client = client.proxy(proxy.no_proxy(reqwest::NoProxy::from_string(&config.no_proxy)));
    } else if !config.proxy_from_environment {
        client = client.no_proxy();
    }
    Ok(client.build()?)
}

/// Only 307 and 308 repeat a POST as it is: by any other redirection the receiver would get nothing, and say so to nobody.
fn redirected(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let repeats = matches!(attempt.status().as_u16(), 307 | 308);
    if repeats && attempt.previous().len() <= REDIRECTIONS { attempt.follow() } else { attempt.stop() }
}
