//! Prometheus' keys of HTTP clients: `http_config`, `basic_auth`, `authorization`, `tls_config`.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde::Deserialize;

use super::Secret;

/// `http_config`: how a server is spoken with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RawHttpConfig")]
pub struct HttpConfig {
    /// User and password.
    pub basic_auth: Option<BasicAuth>,
    /// Or another credential; keys `bearer_token` and `bearer_token_file` are the same.
    pub authorization: Option<Authorization>,
    /// Of an address of https.
    pub tls_config: TlsConfig,
    /// Through whom; it may hold a password. Without it the environment says (`HTTPS_PROXY`, …).
    pub proxy_url: Option<Secret>,
    /// Hosts that are spoken with directly, separated by commas.
    pub no_proxy: String,
    /// Whether the environment says through whom.
    pub proxy_from_environment: bool,
    /// Whether redirections by 307 and 308 are followed: by no other a POST is repeated.
    pub follow_redirects: bool,
    /// Whether HTTP/2 is offered.
    pub enable_http2: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            basic_auth: None,
            authorization: None,
            tls_config: TlsConfig::default(),
            proxy_url: None,
            no_proxy: String::new(),
            proxy_from_environment: true,
            follow_redirects: true,
            enable_http2: true,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawHttpConfig {
    basic_auth: Option<BasicAuth>,
    authorization: Option<Authorization>,
    bearer_token: Option<String>,
    bearer_token_file: Option<PathBuf>,
    oauth2: Option<serde::de::IgnoredAny>,
    tls_config: TlsConfig,
    proxy_url: Option<Secret>,
    no_proxy: String,
    proxy_from_environment: bool,
    follow_redirects: bool,
    enable_http2: bool,
}

impl Default for RawHttpConfig {
    fn default() -> Self {
        let HttpConfig { no_proxy, proxy_from_environment, follow_redirects, enable_http2, .. } = HttpConfig::default();
        Self {
            basic_auth: None,
            authorization: None,
            bearer_token: None,
            bearer_token_file: None,
            oauth2: None,
            tls_config: TlsConfig::default(),
            proxy_url: None,
            no_proxy,
            proxy_from_environment,
            follow_redirects,
            enable_http2,
        }
    }
}

impl TryFrom<RawHttpConfig> for HttpConfig {
    type Error = String;

    fn try_from(raw: RawHttpConfig) -> Result<Self, String> {
        if raw.oauth2.is_some() {
            let instead = "use authorization with a credentials_file that something else renews";
            return Err(format!("http_config: `oauth2` is not supported; {instead}"));
        }
        let token = Secret::optional("bearer_token", raw.bearer_token, raw.bearer_token_file)?;
        if token.is_some() && raw.authorization.is_some() {
            return Err("http_config: `bearer_token` and `authorization` are both there; one is needed".to_owned());
        }
        let of_token = |credentials| Authorization { r#type: bearer(), credentials };
        let authorization = raw.authorization.or_else(|| token.map(of_token));
        check_one(raw.basic_auth.as_ref(), authorization.as_ref())?;
        raw.tls_config.check()?;
        if !raw.no_proxy.is_empty() && raw.proxy_url.is_none() {
            return Err("http_config: `no_proxy` goes with `proxy_url`".to_owned());
        }
        Ok(Self {
            basic_auth: raw.basic_auth,
            authorization,
            tls_config: raw.tls_config,
            proxy_url: raw.proxy_url,
            no_proxy: raw.no_proxy,
            proxy_from_environment: raw.proxy_from_environment,
            follow_redirects: raw.follow_redirects,
            enable_http2: raw.enable_http2,
        })
    }
}

/// User and password.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RawBasicAuth")]
pub struct BasicAuth {
    /// The user.
    pub username: String,
    /// The password.
    pub password: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBasicAuth {
    username: String,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    password_file: Option<PathBuf>,
}

impl TryFrom<RawBasicAuth> for BasicAuth {
    type Error = String;

    fn try_from(raw: RawBasicAuth) -> Result<Self, String> {
        let password = Secret::needed("password", raw.password, raw.password_file);
        Ok(Self { username: raw.username, password: password.map_err(|error| format!("basic_auth: {error}"))? })
    }
}

/// The header `authorization`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RawAuthorization")]
pub struct Authorization {
    /// What stands before the credential.
    pub r#type: String,
    /// The credential.
    pub credentials: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAuthorization {
    #[serde(default = "bearer")]
    r#type: String,
    #[serde(default)]
    credentials: Option<String>,
    #[serde(default)]
    credentials_file: Option<PathBuf>,
}

fn bearer() -> String {
    "Bearer".to_owned()
}

impl TryFrom<RawAuthorization> for Authorization {
    type Error = String;

    fn try_from(raw: RawAuthorization) -> Result<Self, String> {
        if raw.r#type.is_empty() || raw.r#type.eq_ignore_ascii_case("basic") {
            return Err("authorization.type: must be there, and Basic is what basic_auth is for".to_owned());
        }
        HeaderValue::from_str(&raw.r#type).map_err(|_| "authorization.type: cannot be sent".to_owned())?;
        let credentials = Secret::needed("credentials", raw.credentials, raw.credentials_file);
        let credentials = credentials.map_err(|error| format!("authorization: {error}"))?;
        Ok(Self { r#type: raw.r#type, credentials })
    }
}

/// Whether there are not two credentials.
pub(crate) fn check_one(basic: Option<&BasicAuth>, authorization: Option<&Authorization>) -> Result<(), String> {
    if basic.is_some() && authorization.is_some() {
        return Err("basic_auth and authorization: only one can be there".to_owned());
    }
    Ok(())
}

/// The header `authorization`, if there is to be one. Reads the file that the credential is in: not for an async thread.
pub(crate) fn header(
    basic: Option<&BasicAuth>,
    authorization: Option<&Authorization>,
) -> Result<Option<HeaderValue>, String> {
    let text = match (basic, authorization) {
        (Some(basic), _) => {
            let pair = format!("{}:{}", basic.username, basic.password.read()?);
            format!("Basic {}", STANDARD.encode(pair))
        }
        (None, Some(authorization)) => format!("{} {}", authorization.r#type, authorization.credentials.read()?),
        (None, None) => return Ok(None),
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| "the credential cannot be sent in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Whom to trust and what to show; the files are read at the start, and again when the server was not reached.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificates of authorities to trust, in place of those of the machine.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate and the chain behind it.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate is for, where it is not the host of the address; for e-mail alone.
    pub server_name: Option<String>,
    /// Trust anybody.
    pub insecure_skip_verify: bool,
}

impl TlsConfig {
    /// What cannot work with an HTTP client.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.server_name.is_some() {
            let instead = "the certificate must be for the host of the address";
            return Err(format!("tls_config: `server_name` is not supported over HTTP; {instead}"));
        }
        self.check_pair()
    }

    pub(crate) fn check_pair(&self) -> Result<(), String> {
        if self.cert_file.is_some() != self.key_file.is_some() {
            return Err("tls_config: cert_file and key_file need each other".to_owned());
        }
        Ok(())
    }

    /// Whether a new reading may find others.
    pub(crate) fn has_files(&self) -> bool {
        self.ca_file.is_some() || self.cert_file.is_some()
    }
}
