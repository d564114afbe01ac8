//! The authorization code flow of OpenID Connect with PKCE (RFC 7636, S256), as a public client: no secret is configured.
//!
//! The provider sends the browser back with a request of another site, which brings no strict cookie. So the page that
//! it comes to sends code and state itself, with the cookie of the attempt. The access token is what counts: the door
//! checks it as that of any client. The ID token comes from the token endpoint itself and only ties the answer to the
//! attempt, by its nonce, so its signature says nothing more.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use weir_service::auth::OidcOptions;
use weir_service::auth::oidc::Provider;

use super::attempts::{Attempt, Attempts};
use crate::sessions::{Granted, Tokens};

/// The console as a client of the provider.
#[derive(Debug)]
pub(crate) struct CodeFlow {
    client_id: String,
    redirect_url: String,
    callback: String,
    attempts: Attempts,
}

/// Why nobody has signed in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The browser has begun no such sign-in.
    Attempt(&'static str),
    /// The provider says no.
    Refused(String),
    /// The provider says nothing that can be used.
    Away(String),
}

/// What the token endpoint grants (RFC 6749, 5.1).
#[derive(Deserialize)]
struct Grant {
    access_token: String,
    expires_in: Option<u64>,
    refresh_token: Option<String>,
    id_token: Option<String>,
}

impl CodeFlow {
    /// `None` where the configuration has no client.
    pub(crate) fn of(options: &OidcOptions) -> Option<Self> {
        let (client_id, redirect_url) = (options.client_id.clone()?, options.redirect_url.clone()?);
        let callback = Url::parse(&redirect_url).ok()?.path().to_owned();
        Some(Self { client_id, redirect_url, callback, attempts: Attempts::default() })
    }

    /// The path that the provider sends browsers back to.
    pub(crate) fn callback(&self) -> &str {
        &self.callback
    }

    /// Begins an attempt: its secret, and where the browser goes.
    pub(super) async fn login(&self, provider: &Provider, return_to: &str) -> Result<(String, String), Failure> {
        let endpoints = provider.endpoints().await.map_err(Failure::Away)?;
        let attempt = Attempt::new(return_to);
        let address = self.address(&endpoints.authorization, &attempt)?;
        Ok((self.attempts.add(attempt), address))
    }

    fn address(&self, authorization: &str, attempt: &Attempt) -> Result<String, Failure> {
        let mut url = Url::parse(authorization).map_err(|error| Failure::Away(error.to_string()))?;
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_url),
            ("scope", "openid"),
            ("state", &attempt.state),
            ("nonce", &attempt.nonce),
            ("code_challenge", &challenge(&attempt.verifier)),
            ("code_challenge_method", "S256"),
        ]);
        Ok(url.into())
    }

    /// Ends the attempt of this secret with the provider's answer: tokens, and the page to come back to.
    pub(super) async fn finish(
        &self,
        provider: &Provider,
        secret: Option<&str>,
        state: &str,
        code: &str,
    ) -> Result<(Tokens, String), Failure> {
        let attempt = secret.and_then(|secret| self.attempts.take(secret, state, Instant::now()));
        let attempt = attempt.ok_or(Failure::Attempt(
            "`state` is not that of the sign-in that this browser has begun last, or that was over 10 minutes ago: sign \
             in again, in one tab, at the address that `auth.oidc.redirect_url` names",
        ))?;
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_url),
            ("code", code),
            ("code_verifier", &attempt.verifier),
        ];
        let grant = ask(provider, &form).await?;
        let nonce = grant.id_token.as_deref().and_then(nonce);
        if nonce.as_deref() != Some(attempt.nonce.as_str()) {
            return Err(Failure::Refused("its ID token is not of this sign-in".to_owned()));
        }
        Ok((tokens(grant, None)?, attempt.return_to))
    }

    /// New tokens in place of these, which the provider has granted before.
    pub(super) async fn renew(&self, provider: &Provider, granted: &Granted) -> Result<Tokens, Failure> {
        let refresh = granted.refresh.as_deref();
        let refresh = refresh.ok_or_else(|| Failure::Refused("it has granted no refresh token".to_owned()))?;
        let form = [("grant_type", "refresh_token"), ("client_id", &self.client_id), ("refresh_token", refresh)];
        tokens(ask(provider, &form).await?, Some(granted))
    }

    /// Where the browser ends its session at the provider, which takes the ID token as a hint and so need not ask.
    pub(super) async fn end_session(&self, provider: &Provider, id_token: Option<&str>) -> Option<String> {
        let endpoints = provider.endpoints().await.ok()?;
        let mut url = Url::parse(endpoints.end_session.as_deref()?).ok()?;
        url.query_pairs_mut().append_pair("client_id", &self.client_id);
        if let Some(hint) = id_token {
            url.query_pairs_mut().append_pair("id_token_hint", hint);
        }
        Some(url.into())
    }
}

async fn ask(provider: &Provider, form: &[(&str, &str)]) -> Result<Grant, Failure> {
    let endpoints = provider.endpoints().await.map_err(Failure::Away)?;
    let (status, answer) = provider.post(&endpoints.token, form).await.map_err(Failure::Away)?;
    let is_busy = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    if status.is_client_error() && !is_busy {
        return Err(Failure::Refused(reason(&answer)));
    }
    if !status.is_success() {
        return Err(Failure::Away(format!("{}: {status}", endpoints.token)));
    }
    // The error of the parser could show what it read.
    serde_json::from_value(answer).map_err(|_| Failure::Away(format!("{}: no token is granted", endpoints.token)))
}

/// `error` of RFC 6749, 5.2, which names no secret; cut, as it is logged.
fn reason(answer: &Value) -> String {
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
    let reason = format!("{} {}", text("error"), text("error_description"));
    reason.trim().chars().filter(|c| !c.is_control()).take(200).collect()
}

/// What a session keeps of a grant; a renewal may leave out what stays as it is.
fn tokens(grant: Grant, before: Option<&Granted>) -> Result<Tokens, Failure> {
    let before = before.cloned().unwrap_or_default();
    let granted = Granted {
        refresh: grant.refresh_token.or(before.refresh),
        id: grant.id_token.or(before.id),
        until: grant.expires_in.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds))),
        retry: None,
    };
    let tokens = Tokens::new(&grant.access_token, Some(granted));
    tokens.ok_or_else(|| Failure::Away("its access token cannot be sent in a header".to_owned()))
}

fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// `nonce` in the payload of an ID token.
fn nonce(token: &str) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    claims.get("nonce").and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn the_address_of_the_provider_keeps_its_own_parameters_and_has_no_secret() {
        let options = serde_json::json!({"issuer": "https://id.example", "audience": "weir", "client_id": "weir console",
            "redirect_url": "https://weir.example/auth/callback"});
        let flow = CodeFlow::of(&serde_json::from_value(options).unwrap()).unwrap();
        assert_eq!(flow.callback(), "/auth/callback");
        let attempt = Attempt::new("/logs");
        let address = flow.address("https://id.example/auth?kc_idp_hint=ldap", &attempt).unwrap();
        let right = "https://id.example/auth?kc_idp_hint=ldap&response_type=code&client_id=weir+console\
                     &redirect_uri=https%3A%2F%2Fweir.example%2Fauth%2Fcallback&scope=openid&state=";
        assert!(address.starts_with(right) && address.ends_with("&code_challenge_method=S256"), "{address}");
        assert!(!address.contains(&attempt.verifier));
    }

    #[test]
    fn the_nonce_is_read_and_whatever_is_no_token_has_none() {
        let token = |claims: &str| format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(nonce(&token(r#"{"nonce": "n"}"#)).as_deref(), Some("n"));
        for text in ["", "a", "a.b.c", &token("[]"), &token(r#"{"nonce": 1}"#)] {
            assert_eq!(nonce(text), None, "{text}");
        }
    }

    #[test]
    fn a_renewal_that_leaves_out_tokens_keeps_those_before() {
        let grant = |refresh: Option<&str>| Grant {
            access_token: "a".to_owned(),
            expires_in: Some(60),
            refresh_token: refresh.map(str::to_owned),
            id_token: None,
        };
        let first = tokens(grant(Some("r1")), None).ok().unwrap().granted.unwrap();
        let kept = tokens(grant(None), Some(&first)).ok().unwrap().granted.unwrap();
        assert_eq!((kept.refresh.as_deref(), kept.until.is_some()), (Some("r1"), true));
        let rotated = tokens(grant(Some("r2")), Some(&kept)).ok().unwrap().granted.unwrap();
        assert_eq!(rotated.refresh.as_deref(), Some("r2"));
    }
}
