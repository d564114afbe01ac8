//! Access tokens of an OpenID Connect provider: signed with RS256, ES256 or EdDSA by a key of the provider's set (JWKS),
//! which is found by discovery, read again every few minutes and where a token names a key that is not in it, and kept in
//! the data folder, so that an outage of the provider changes nothing, over a restart too.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use http::{StatusCode, header};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;

use super::options::OidcOptions;
use super::role::Role;
use crate::telemetry::whole;

/// Clocks of the provider and of this machine may differ by so much.
pub(super) const SKEW: Duration = Duration::from_mins(1);
/// How often the keys are read again.
pub(super) const REFRESH: Duration = Duration::from_mins(5);
/// Unknown keys make the provider be asked no more often than this.
const LEAST_PAUSE: Duration = Duration::from_secs(5);
/// An answer of the provider.
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 1 << 20;
/// What is read of a set.
const MAX_KEYS: usize = 64;

/// Algorithms that are taken: signatures by a key pair, of which the provider alone has the private half.
const ALGORITHMS: [(Algorithm, AlgorithmFamily); 3] = [
    (Algorithm::RS256, AlgorithmFamily::Rsa),
    (Algorithm::ES256, AlgorithmFamily::Ec),
    (Algorithm::EdDSA, AlgorithmFamily::Ed),
];

/// Why an access token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not a JWT.
    #[error("the credential is neither a token of weir nor a JWT")]
    Malformed,
    /// `none`, a shared secret, or another algorithm.
    #[error("the token's algorithm is not taken: RS256, ES256 and EdDSA are")]
    Algorithm,
    /// No key of the provider has this id.
    #[error("the token is signed by a key that the provider does not list")]
    Key,
    /// The signature is not of this key.
    #[error("the token's signature is wrong")]
    Signature,
    /// `exp` has passed.
    #[error("the token is expired")]
    Expired,
    /// `nbf` has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// `iss` is another.
    #[error("the token is of another issuer")]
    Issuer,
    /// `aud` is another.
    #[error("the token is for another audience")]
    Audience,
    /// Claims are missing or of another type.
    #[error("the token's claims cannot be read: exp, iss, aud and sub are needed")]
    Claims,
    /// It has none of the roles that the configuration names.
    #[error("the token has none of the roles of auth.oidc.roles")]
    Role,
    /// No keys were read so far.
    #[error("the identity provider cannot be reached, and its keys are not known yet; try again")]
    Away,
}

/// What a token says, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) tenants: Vec<String>,
    /// From when on it is refused, in unix seconds.
    pub(super) until: i64,
}

/// Public keys of a provider.
#[derive(Default)]
pub struct Keys {
    listed: Vec<(Option<String>, DecodingKey)>,
    issuer: String,
    /// What they were read from.
    jwks: Value,
    pub(super) generation: u64,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<_> = self.listed.iter().map(|(id, _)| id).collect();
        f.debug_struct("Keys").field("issuer", &self.issuer).field("ids", &ids).finish_non_exhaustive()
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    issuer: String,
    jwks: Value,
}

/// Where the provider takes users and clients, by its discovery document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// Where a browser is sent to sign in.
    pub authorization: String,
    /// Where a code becomes tokens.
    pub token: String,
    /// Where a browser is sent to sign out, where there is such a place.
    pub end_session: Option<String>,
}

/// The provider, and what is known of its keys.
#[derive(Debug)]
pub struct Provider {
    options: OidcOptions,
    client: reqwest::Client,
    keys: ArcSwap<Keys>,
    /// By the discovery document that was read last.
    endpoints: ArcSwapOption<Endpoints>,
    file: PathBuf,
    /// When it was asked last; held while it is asked.
    asked: Mutex<Option<Instant>>,
}

impl Keys {
    /// The keys of a set that may sign; others are left out.
    pub fn of(issuer: &str, jwks: &Value) -> Self {
        // One at a time: a key of a kind that is not known here says nothing of the others.
        let listed = jwks.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let listed = listed.iter().take(MAX_KEYS).filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok());
        let signs = |jwk: &Jwk| !matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption));
        let read = |jwk: Jwk| {
            let key = DecodingKey::from_jwk(&jwk).ok()?;
            let is_taken = ALGORITHMS.iter().any(|(_, family)| *family == key.family());
            is_taken.then_some((jwk.common.key_id, key))
        };
        let keys = listed.filter(signs).filter_map(read).collect();
        Self { listed: keys, issuer: issuer.to_owned(), jwks: jwks.clone(), generation: 0 }
    }

    fn find(&self, id: Option<&str>, family: AlgorithmFamily) -> Option<&DecodingKey> {
        let mut of_family = self.listed.iter().filter(|(_, key)| key.family() == family);
        match id {
            Some(id) => of_family.find(|(known, _)| known.as_deref() == Some(id)).map(|(_, key)| key),
            // A provider with one key need not name it.
            None => of_family.next().filter(|_| of_family.next().is_none()).map(|(_, key)| key),
        }
    }
}

/// Checks a token against keys: signature, algorithm, issuer, audience and times; then reads who it is.
fn verify(token: &str, keys: &Keys, options: &OidcOptions) -> Result<Verified, JwtError> {
    let header = jsonwebtoken::decode_header(token).map_err(|error| match error.kind() {
        // `none` is no algorithm that the library knows.
        ErrorKind::Json(_) | ErrorKind::InvalidAlgorithmName => JwtError::Algorithm,
        _ => JwtError::Malformed,
    })?;
    let taken = ALGORITHMS.iter().find(|(algorithm, _)| *algorithm == header.alg);
    let (algorithm, family) = taken.ok_or(JwtError::Algorithm)?;
    let key = keys.find(header.kid.as_deref(), *family).ok_or(JwtError::Key)?;
    let mut validation = Validation::new(*algorithm);
    validation.leeway = SKEW.as_secs();
    validation.validate_nbf = true;
    validation.required_spec_claims = ["exp", "iss", "aud", "sub"].map(str::to_owned).into();
    validation.aud = Some(HashSet::from([options.audience.clone()]));
    validation.iss = Some(HashSet::from([keys.issuer.clone()]));
    let claims = jsonwebtoken::decode::<Value>(token, key, &validation).map_err(|error| match error.kind() {
        ErrorKind::ExpiredSignature => JwtError::Expired,
        ErrorKind::ImmatureSignature => JwtError::NotYet,
        ErrorKind::InvalidAudience => JwtError::Audience,
        ErrorKind::InvalidIssuer => JwtError::Issuer,
        ErrorKind::InvalidAlgorithm => JwtError::Algorithm,
        ErrorKind::InvalidSignature => JwtError::Signature,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidSubject | ErrorKind::Json(_) => JwtError::Claims,
        _ => JwtError::Malformed,
    })?;
    of_claims(&claims.claims, options)
}

fn of_claims(claims: &Value, options: &OidcOptions) -> Result<Verified, JwtError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name = text("preferred_username").or(text("client_id")).or(text("azp")).or(text("sub"));
    let name: String = name.ok_or(JwtError::Claims)?.chars().filter(|c| !c.is_control()).take(256).collect();
    let expires = claims.get("exp").and_then(Value::as_f64).ok_or(JwtError::Claims)?;
    let role = options.roles.greatest(texts(claims, &options.roles_claim, &[' ', ','])).ok_or(JwtError::Role)?;
    let tenants = texts(claims, &options.tenants_claim, &[',']).into_iter().map(str::to_owned).collect();
    Ok(Verified { name, role, tenants, until: (expires as i64).saturating_add(SKEW.as_secs() as i64) })
}

/// Texts of a claim: a list, or one text that is cut at `separators`. The whole path may be a claim's name; else its dots lead into objects.
fn texts<'a>(claims: &'a Value, path: &str, separators: &[char]) -> Vec<&'a str> {
    let found = claims.get(path).or_else(|| path.split('.').try_fold(claims, |value, key| value.get(key)));
    match found {
        Some(Value::String(text)) => text.split(separators).map(str::trim).filter(|text| !text.is_empty()).collect(),
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// As [`Provider::verify`] does with keys that are there: for tests that feed it arbitrary bytes.
pub fn check(token: &str, keys: &Keys, options: &OidcOptions) -> Result<(), JwtError> {
    verify(token, keys, options).map(drop)
}

impl Provider {
    /// With the keys that an earlier run kept in `file`, if any.
    pub(super) fn open(options: &OidcOptions, file: PathBuf) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build()?;
        let kept = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
        let kept = kept.filter(|kept| same_issuer(&kept.issuer, &options.issuer));
        let keys = kept.map(|kept| Keys::of(&kept.issuer, &kept.jwks)).unwrap_or_default();
        let (keys, endpoints) = (ArcSwap::from_pointee(keys), ArcSwapOption::empty());
        Ok(Self { options: options.clone(), client, keys, endpoints, file, asked: Mutex::default() })
    }

    /// Changes whenever the keys do.
    pub(super) fn generation(&self) -> u64 {
        self.keys.load().generation
    }

    /// Who a token is of. Asks the provider where the token names a key that is not known.
    pub(super) async fn verify(&self, token: &str) -> Result<(Verified, u64), JwtError> {
        let keys = self.keys.load_full();
        match verify(token, &keys, &self.options) {
            Err(JwtError::Key) => {}
            other => return other.map(|verified| (verified, keys.generation)),
        }
        self.refresh(LEAST_PAUSE).await;
        let keys = self.keys.load_full();
        let verified = verify(token, &keys, &self.options);
        verified
            .map(|verified| (verified, keys.generation))
            .map_err(|error| if error == JwtError::Key && keys.listed.is_empty() { JwtError::Away } else { error })
    }

    /// Reads the keys, unless they were asked for within `pause`.
    pub(super) async fn refresh(&self, pause: Duration) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < pause) {
            return;
        }
        let fetched = self.fetch().await;
        *asked = Some(Instant::now());
        match fetched {
            Ok((issuer, jwks)) => self.take(&issuer, &jwks),
            Err(error) => {
                let known = self.keys.load().listed.len();
                tracing::warn!(
                    issuer = self.options.issuer,
                    known,
                    error,
                    "the identity provider's keys cannot be read"
                );
            }
        }
    }

    fn take(&self, issuer: &str, jwks: &Value) {
        let before = self.keys.load();
        if before.issuer == issuer && before.jwks == *jwks {
            return;
        }
        let mut keys = Keys::of(issuer, jwks);
        keys.generation = before.generation + 1;
        tracing::info!(issuer, keys = keys.listed.len(), "the identity provider's keys were read");
        self.keys.store(Arc::new(keys));
        let kept = Kept { issuer: issuer.to_owned(), jwks: jwks.clone() };
        let written = serde_json::to_vec(&kept)
            .map_err(std::io::Error::other)
            .and_then(|bytes| crate::file::write_whole(&self.file, &bytes));
        if let Err(error) = written {
            tracing::warn!(path = %self.file.display(), error = %whole(&error), "the keys cannot be kept on disk");
        }
    }

    /// As configured.
    pub fn options(&self) -> &OidcOptions {
        &self.options
    }

    /// Where users and clients are taken; reads the discovery document where that was not read so far.
    pub async fn endpoints(&self) -> Result<Arc<Endpoints>, String> {
        if let Some(known) = self.endpoints.load_full() {
            return Ok(known);
        }
        // One at a time, with pauses: strangers can make the console ask.
        self.refresh(LEAST_PAUSE).await;
        let known = self.endpoints.load_full();
        known.ok_or_else(|| "its discovery document was not read, or names no endpoints for sign-in".to_owned())
    }

    /// Remembers the endpoints of a discovery document.
    fn learn(&self, discovery: &Value) -> Result<Arc<Endpoints>, String> {
        let endpoints = Arc::new(Endpoints {
            authorization: self.address(discovery, "authorization_endpoint")?,
            token: self.address(discovery, "token_endpoint")?,
            end_session: self.address(discovery, "end_session_endpoint").ok(),
        });
        self.endpoints.store(Some(endpoints.clone()));
        Ok(endpoints)
    }

    /// The issuer as it names itself, and its discovery document.
    async fn discover(&self) -> Result<(String, Value), String> {
        let issuer = self.options.issuer.trim_end_matches('/');
        let discovery = self.get(&format!("{issuer}/.well-known/openid-configuration")).await?;
        let told = discovery.get("issuer").and_then(Value::as_str).filter(|told| same_issuer(told, issuer));
        let told = told.ok_or("its discovery document names another issuer")?.to_owned();
        Ok((told, discovery))
    }

    /// An address in the discovery document. What is asked of an issuer over TLS is never asked in plain.
    fn address(&self, discovery: &Value, key: &str) -> Result<String, String> {
        let address = discovery.get(key).and_then(Value::as_str);
        let address = address.ok_or_else(|| format!("its discovery document has no {key}"))?;
        if self.options.issuer.starts_with("https://") && !address.starts_with("https://") {
            return Err(format!("its {key} is not https://"));
        }
        Ok(address.to_owned())
    }

    async fn fetch(&self) -> Result<(String, Value), String> {
        let (told, discovery) = self.discover().await?;
        // A provider of access tokens alone has none.
        let _ = self.learn(&discovery);
        let jwks = self.get(&self.address(&discovery, "jwks_uri")?).await?;
        if Keys::of(&told, &jwks).listed.is_empty() {
            return Err("its key set has no key for RS256, ES256 or EdDSA".to_owned());
        }
        Ok((told, jwks))
    }

    async fn get(&self, address: &str) -> Result<Value, String> {
        let failed = |error: reqwest::Error| format!("{address}: {}", whole(&error.without_url()));
        let answer = self.client.get(address).send().await.map_err(failed)?.error_for_status().map_err(failed)?;
        json(address, answer).await
    }

    /// Sends a form; status and JSON of the answer.
    pub async fn post(&self, address: &str, form: &[(&str, &str)]) -> Result<(StatusCode, Value), String> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.client.post(address).body(body);
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = request.header(header::ACCEPT, "application/json").send().await;
        let answer = answer.map_err(|error| format!("{address}: {}", whole(&error.without_url())))?;
        let status = answer.status();
        Ok((status, json(address, answer).await?))
    }
}

/// The body of an answer, within [`MAX_ANSWER`].
async fn json(address: &str, mut answer: reqwest::Response) -> Result<Value, String> {
    let mut bytes = Vec::new();
    while let Some(piece) =
        answer.chunk().await.map_err(|error| format!("{address}: {}", whole(&error.without_url())))?
    {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAX_ANSWER {
            return Err(format!("{address}: the answer is larger than {MAX_ANSWER} bytes"));
        }
    }
    serde_json::from_slice(&bytes).map_err(|error| format!("{address}: not JSON: {error}"))
}

fn same_issuer(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

#[cfg(test)]
mod tests;
