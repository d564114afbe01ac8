//! Who asks, and whose data they may see: static tokens and access tokens of an OpenID Connect provider, roles, tenants.
//!
//! A request shows its credential in the header `authorization`, which is also gRPC's metadata. [`Auth::admit`] says what
//! it may do; the HTTP server asks for each route ([`crate::http::Routes`]), the collector for each export. No credential
//! is ever written to a log, an error, a metric or a trace.

mod failures;
pub mod header;
pub mod oidc;
mod options;
mod role;
mod tenants;
pub mod tokens;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, StatusCode};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use parking_lot::Mutex;
use serde::ser::SerializeStruct as _;
use tokio_util::sync::CancellationToken;

pub use self::options::{Anonymous, OidcOptions, Options, RoleNames};
pub use self::role::{Access, Role};
pub use self::tenants::{AUDIT_TENANT, MAX_TENANT, Scope, Tenants, is_tenant_name};

use self::failures::Failures;
use self::header::{Fingerprint, HeaderError, Secret};
use self::oidc::{JwtError, Provider};
use self::tokens::TokensError;
use crate::telemetry::whole;

/// Narrows a request to tenants, separated by `|`, as Grafana's data sources send it.
pub const ORG_ID: HeaderName = HeaderName::from_static("x-scope-orgid");

/// How often the tokens file is looked at, and live streams ask whether their credential is still good.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Checked access tokens that are remembered.
const REMEMBERED: usize = 4096;

/// Why authentication cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The tokens file.
    #[error("auth.tokens")]
    Tokens(#[from] TokensError),
    /// No client for the provider.
    #[error("auth.oidc: no HTTP client can be made")]
    Client(#[from] reqwest::Error),
}

/// Decides who is let in; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Auth(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    options: Options,
    tokens: ArcSwap<tokens::Table>,
    /// Of the tokens file that was looked at last.
    stamp: Mutex<Stamp>,
    provider: Option<Provider>,
    /// By token, who it is of, checked with keys of this generation.
    checked: Mutex<HashMap<Fingerprint, (u64, Credential)>>,
    failures: Failures,
    refusals: Counter<u64>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Of the token, or the user.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
    tenants: Tenants,
    shown: Shown,
    /// From when on it is refused, in unix seconds.
    until: Option<i64>,
}

/// What a credential was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Nobody is asked, or nothing was shown.
    Nothing,
    Token(Fingerprint),
    Jwt(Fingerprint),
}

/// A request that is let in, with what it may see.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// Who asks.
    pub credential: Credential,
    /// Of whom: the credential's, as narrowed by the request.
    pub tenants: Tenants,
}

/// Why a request is not let in.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Denied {
    /// The header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The token is not in the file, or no longer.
    #[error("the token is not known: it may be mistyped or revoked")]
    Unknown,
    /// Its time has passed.
    #[error("the token is expired")]
    Expired,
    /// An access token.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// It fails again and again.
    #[error("too many wrong credentials: wait {} s", .0.as_secs().max(1))]
    TooMany(Duration),
    /// The role is not enough.
    #[error("{} is needed here; the credential has the role {has}", .wanted.wanted())]
    Role {
        /// Of the route.
        wanted: Access,
        /// Of the credential.
        has: Role,
    },
    /// A tenant that is not among the credential's.
    #[error("{0}")]
    Tenant(String),
}

impl Denied {
    /// For metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Header(HeaderError::Missing) => "missing",
            Self::Header(_) | Self::Jwt(JwtError::Malformed) => "malformed",
            Self::Unknown => "unknown",
            Self::Expired | Self::Jwt(JwtError::Expired) => "expired",
            Self::Jwt(JwtError::Away) => "provider_away",
            Self::Jwt(JwtError::Role) | Self::Role { .. } => "role",
            Self::Jwt(_) => "invalid",
            Self::TooMany(_) => "too_many_failures",
            Self::Tenant(_) => "tenant",
        }
    }

    /// Of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Jwt(JwtError::Away) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Jwt(JwtError::Role) | Self::Role { .. } | Self::Tenant(_) => StatusCode::FORBIDDEN,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Header(_) | Self::Unknown | Self::Expired | Self::Jwt(_) => StatusCode::UNAUTHORIZED,
        }
    }

    /// After how many seconds it may be tried again.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::TooMany(wait) => Some(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1)),
            Self::Jwt(JwtError::Away) => Some(5),
            _ => None,
        }
    }

    /// Whether a credential was shown that is none.
    fn is_guess(&self) -> bool {
        match self {
            Self::Header(error) => *error != HeaderError::Missing,
            Self::Unknown | Self::Expired => true,
            Self::Jwt(error) => !matches!(error, JwtError::Away | JwtError::Role),
            Self::TooMany(_) | Self::Role { .. } | Self::Tenant(_) => false,
        }
    }
}

impl Auth {
    /// Nobody is asked: every request may do everything. For listeners that only this machine reaches, and tests.
    pub fn off() -> Self {
        Self(None)
    }

    /// By the configuration. `data_dir` keeps the provider's keys.
    pub fn open(options: &Options, data_dir: &Path, meter: &Meter) -> Result<Self, AuthError> {
        // Before it is read: a change in between is seen by the next look.
        let seen = options.tokens.as_deref().and_then(stamp);
        let tokens = options.tokens.as_deref().map(tokens::table).transpose()?.unwrap_or_default();
        let keys = data_dir.join("oidc-keys.json");
        let provider = options.oidc.as_ref().map(|oidc| Provider::open(oidc, keys)).transpose()?;
        let refusals = meter
            .u64_counter("weir_auth_refusals")
            .with_unit("{request}")
            .with_description("Requests that were refused for their credential, by reason")
            .build();
        Ok(Self(Some(Arc::new(Inner {
            options: options.clone(),
            tokens: ArcSwap::from_pointee(tokens),
            stamp: Mutex::new(seen),
            provider,
            checked: Mutex::default(),
            failures: Failures::default(),
            refusals,
        }))))
    }

    /// As configured; `None` where no credential is asked for.
    pub fn options(&self) -> Option<&Options> {
        self.0.as_ref().map(|inner| &inner.options)
    }

    /// The OpenID Connect provider, where one is configured.
    pub fn provider(&self) -> Option<&Provider> {
        self.0.as_ref()?.provider.as_ref()
    }

    /// Whether credentials are asked for.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// All tenants, where nobody is asked; `None` where credentials decide.
    pub fn everything(&self) -> Option<Tenants> {
        (!self.is_on()).then(Tenants::unrestricted)
    }

    /// What is seen from a Kubernetes namespace, where a client certificate or the Kubernetes API vouches for it: its
    /// `tenant`. A namespace that is mapped to none sees all tenants where nobody is asked, and nothing (`None`) where
    /// credentials decide.
    pub fn for_namespace(&self, tenant: Option<&str>) -> Option<Tenants> {
        match tenant {
            Some(tenant) => is_tenant_name(tenant).then(|| Tenants::of([tenant], Role::Viewer)),
            None => self.everything(),
        }
    }

    /// Follows the tokens file and the provider's keys until stopped.
    pub async fn follow(self, stop: CancellationToken) {
        let Some(inner) = self.0 else { return stop.cancelled().await };
        let tokens = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let inner = inner.clone();
                if tokio::task::spawn_blocking(move || inner.look()).await.is_err() {
                    tracing::error!("looking at the tokens failed");
                }
            }
        };
        let keys = async {
            let Some(provider) = &inner.provider else { return std::future::pending().await };
            loop {
                provider.refresh(Duration::ZERO).await;
                tokio::time::sleep(oidc::REFRESH).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokens => {}
            () = keys => {}
        }
    }

    /// Who a request is of, and whether it may do what `access` asks; counts refusals. `narrowed` are the tenants that
    /// the request names itself, `peer` the address of its connection.
    pub async fn admit(
        &self,
        access: Access,
        headers: &HeaderMap,
        narrowed: &[String],
        peer: Option<IpAddr>,
    ) -> Result<Admitted, Denied> {
        let admitted = self.decide(access, headers, narrowed, peer).await;
        if let (Err(denied), Some(inner)) = (&admitted, &self.0) {
            inner.refusals.add(1, &[KeyValue::new("reason", denied.reason())]);
        }
        admitted
    }

    async fn decide(
        &self,
        access: Access,
        headers: &HeaderMap,
        narrowed: &[String],
        peer: Option<IpAddr>,
    ) -> Result<Admitted, Denied> {
        let credential = match &self.0 {
            None => Credential::nobody(),
            Some(inner) => inner.credential(headers, peer).await?,
        };
        let mut tenants = credential.tenants.clone();
        if self.is_on() && !access.allows(credential.role) {
            return Err(Denied::Role { wanted: access, has: credential.role });
        }
        if access == Access::ReadAll && !tenants.is_all() {
            return Err(Denied::Tenant(format!("{} is needed here", access.wanted())));
        }
        let of_header: Vec<&str> = headers.get_all(ORG_ID).iter().filter_map(|value| value.to_str().ok()).collect();
        let of_header = of_header.iter().flat_map(|value| value.split('|')).map(str::trim);
        let of_header: Vec<&str> = of_header.filter(|tenant| !tenant.is_empty()).collect();
        let of_query: Vec<&str> = narrowed.iter().map(String::as_str).collect();
        for wanted in [of_header, of_query] {
            if !wanted.is_empty() {
                tenants = tenants.narrow(wanted).map_err(|problem| Denied::Tenant(problem.detail))?;
            }
        }
        Ok(Admitted { credential, tenants })
    }

    /// Whether a credential is still good.
    pub fn is_good(&self, credential: &Credential) -> bool {
        let Some(inner) = &self.0 else { return true };
        if credential.is_over() {
            return false;
        }
        match &credential.shown {
            Shown::Token(shown) => inner.of_token(shown).is_ok_and(|now| now == *credential),
            Shown::Jwt(_) | Shown::Nothing => true,
        }
    }

    /// Ends once a credential is good no more.
    pub async fn ends(&self, credential: &Credential) {
        while self.is_good(credential) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Credential {
    /// Where nobody is asked.
    fn nobody() -> Self {
        Self {
            name: "".into(),
            role: Role::Admin,
            tenants: Tenants::unrestricted(),
            shown: Shown::Nothing,
            until: None,
        }
    }

    /// Whether its time has passed.
    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= jiff::Timestamp::now().as_second())
    }

    /// All tenants it is of, however a request narrows them.
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// What tells it from others, and does not give it away.
    pub fn key(&self) -> Option<Fingerprint> {
        match self.shown {
            Shown::Nothing => None,
            Shown::Token(shown) | Shown::Jwt(shown) => Some(shown),
        }
    }
}

/// What it may say of itself: `{"name", "role", "tenants"}`.
impl serde::Serialize for Credential {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shown = serializer.serialize_struct("Credential", 3)?;
        shown.serialize_field("name", &*self.name)?;
        shown.serialize_field("role", &self.role)?;
        shown.serialize_field("tenants", &self.tenants.names())?;
        shown.end()
    }
}

impl Inner {
    async fn credential(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Credential, Denied> {
        let secret = match header::secret(headers) {
            Err(HeaderError::Missing) => {
                let anonymous = self.options.anonymous.as_ref().ok_or(HeaderError::Missing)?;
                let tenants = Tenants::of(anonymous.tenants.iter().map(String::as_str), anonymous.role);
                return Ok(Credential {
                    name: "anonymous".into(),
                    role: anonymous.role,
                    tenants,
                    shown: Shown::Nothing,
                    until: None,
                });
            }
            other => other,
        };
        let (credential, shown) = match secret {
            Ok(secret) => {
                let shown = secret.fingerprint();
                (self.of_secret(&secret, &shown).await, shown)
            }
            Err(error) => (Err(error.into()), Fingerprint::default()),
        };
        credential.map_err(|denied| {
            let caller = self.caller(headers, peer);
            let wait = denied.is_guess().then(|| self.failures.add(caller, &shown, Instant::now())).flatten();
            wait.map_or(denied, Denied::TooMany)
        })
    }

    async fn of_secret(&self, secret: &Secret, shown: &Fingerprint) -> Result<Credential, Denied> {
        let Some(provider) = self.provider.as_ref().filter(|_| !secret.text().starts_with(tokens::PREFIX)) else {
            return self.of_token(shown);
        };
        let generation = provider.generation();
        if let Some((checked, credential)) = self.checked.lock().get(shown)
            && *checked == generation
        {
            return if credential.is_over() { Err(Denied::Expired) } else { Ok(credential.clone()) };
        }
        let (verified, generation) = provider.verify(secret.text()).await?;
        let credential = Credential {
            name: verified.name.into(),
            role: verified.role,
            tenants: Tenants::of(verified.tenants.iter().map(String::as_str), verified.role),
            shown: Shown::Jwt(*shown),
            until: Some(verified.until),
        };
        let mut checked = self.checked.lock();
        if checked.len() >= REMEMBERED {
            checked.clear();
        }
        checked.insert(*shown, (generation, credential.clone()));
        Ok(credential)
    }

    fn of_token(&self, shown: &Fingerprint) -> Result<Credential, Denied> {
        let tokens = self.tokens.load();
        let token = tokens.find(shown).ok_or(Denied::Unknown)?;
        let credential = Credential {
            name: token.name.as_str().into(),
            role: token.role,
            tenants: Tenants::of(token.tenants.iter().map(String::as_str), token.role),
            shown: Shown::Token(*shown),
            until: token.expires.map(jiff::Timestamp::as_second),
        };
        if credential.is_over() { Err(Denied::Expired) } else { Ok(credential) }
    }

    /// The address that asks: of a proxy that is trusted, the last in `X-Forwarded-For` that is none itself.
    fn caller(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
        let peer = peer?.to_canonical();
        let is_trusted = |ip: &IpAddr| self.options.trusted_proxies.iter().any(|proxy| proxy.to_canonical() == *ip);
        if !is_trusted(&peer) {
            return Some(peer);
        }
        let values = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = values.flat_map(|value| value.split(',')).collect();
        // From the right: what stands at the left may be anybody's writing.
        let mut last = peer;
        for hop in hops.into_iter().rev().map_while(|hop| hop.trim().parse::<IpAddr>().ok()) {
            last = hop.to_canonical();
            if !is_trusted(&last) {
                break;
            }
        }
        Some(last)
    }

    /// Reads the tokens again if the file changed.
    fn look(&self) {
        let Some(path) = &self.options.tokens else { return };
        let seen = stamp(path);
        if std::mem::replace(&mut *self.stamp.lock(), seen) == seen {
            return;
        }
        match tokens::table(path) {
            Ok(table) => {
                tracing::info!(path = %path.display(), tokens = table.len(), "the tokens were read again");
                self.tokens.store(Arc::new(table));
            }
            Err(error) => {
                tracing::error!(error = %whole(&error), "the tokens file cannot be used: the tokens before stay good");
            }
        }
    }
}

type Stamp = Option<(u64, i64, i64, u64)>;

/// Changes with what lies at a path.
fn stamp(path: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len()))
}

#[cfg(test)]
mod tests;
