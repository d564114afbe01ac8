use std::path::PathBuf;

use serde::Deserialize;

use super::role::Role;
use super::tenants::check_names;

/// Section `auth` of the configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// File of static tokens, as `weir token` keeps it; read again when it changes.
    pub tokens: Option<PathBuf>,
    /// OpenID Connect: whose access tokens are taken.
    pub oidc: Option<OidcOptions>,
    /// What a request without a credential may do; `None` refuses it.
    pub anonymous: Option<Anonymous>,
    /// Addresses of proxies whose `X-Forwarded-For` names the caller.
    pub trusted_proxies: Vec<std::net::IpAddr>,
}

/// `auth.anonymous`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anonymous {
    /// What it may do.
    pub role: Role,
    /// Of whom.
    pub tenants: Vec<String>,
}

/// `auth.oidc`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcOptions {
    /// Issuer of the tokens; `ISSUER/.well-known/openid-configuration` names its keys.
    pub issuer: String,
    /// What `aud` must hold.
    pub audience: String,
    /// Claim with the tenants, a list or one text; dots lead into objects.
    #[serde(default = "tenants_claim")]
    pub tenants_claim: String,
    /// Claim with the roles, a list or one text; dots lead into objects.
    #[serde(default = "roles_claim")]
    pub roles_claim: String,
    /// The provider's name of each role.
    #[serde(default)]
    pub roles: RoleNames,
    /// Of the console's sign-in: the public client that it is to the provider. Goes with `redirect_url`.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Of the console's sign-in: where the provider sends browsers back to, an address of the console.
    #[serde(default)]
    pub redirect_url: Option<String>,
}

fn tenants_claim() -> String {
    "weir_tenants".to_owned()
}

fn roles_claim() -> String {
    "realm_access.roles".to_owned()
}

/// The provider's names of weir's roles.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoleNames {
    viewer: String,
    writer: String,
    operator: String,
    admin: String,
}

impl Default for RoleNames {
    fn default() -> Self {
        let name = |role: Role| format!("weir-{role}");
        Self {
            viewer: name(Role::Viewer),
            writer: name(Role::Writer),
            operator: name(Role::Operator),
            admin: name(Role::Admin),
        }
    }
}

impl RoleNames {
    /// The most powerful role among the provider's names.
    pub(super) fn greatest<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Option<Role> {
        let role = |name: &str| {
            let names = [&self.writer, &self.viewer, &self.operator, &self.admin];
            names.iter().position(|known| *known == name).map(|at| Role::ALL[at])
        };
        names.into_iter().filter_map(role).max()
    }
}

impl Options {
    /// What is wrong with the values, naming the key; touches nothing.
    pub fn check(&self) -> Result<(), String> {
        if self.tokens.is_none() && self.oidc.is_none() && self.anonymous.is_none() {
            return Err("`auth`: set `tokens`, a file made by `weir token new`, or `oidc`".to_owned());
        }
        if let Some(anonymous) = &self.anonymous {
            let names = anonymous.tenants.iter().map(String::as_str);
            check_names(names).map_err(|wrong| format!("`auth.anonymous.tenants`: {wrong}"))?;
        }
        let Some(oidc) = &self.oidc else { return Ok(()) };
        let uri: Option<http::Uri> = oidc.issuer.parse().ok();
        let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
        let is_good = uri.as_ref().is_some_and(|uri| match uri.scheme_str() {
            Some("https") => true,
            // Keys that come in plain could be anybody's.
            Some("http") => crate::http::is_loopback(&format!("{host}:0")),
            _ => false,
        });
        if !is_good {
            return Err(format!(
                "`auth.oidc.issuer`: «{}» should be the https:// address of the provider (http:// on loopback only)",
                oidc.issuer
            ));
        }
        if oidc.client_id.is_some() != oidc.redirect_url.is_some() {
            return Err("`auth.oidc.client_id` and `auth.oidc.redirect_url`: set both, or neither".to_owned());
        }
        if let Some(url) = &oidc.redirect_url {
            let uri: Option<http::Uri> = url.parse().ok();
            let is_http = |uri: &http::Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none();
            let is_own = |uri: &http::Uri| uri.path() != "/" && !uri.path().starts_with("/api/");
            if !uri.as_ref().is_some_and(|uri| is_http(uri) && is_own(uri)) || url.contains('#') {
                return Err(format!(
                    "`auth.oidc.redirect_url`: «{url}» should be an address of the console that is no page of it, such as \
                     https://weir.example/auth/callback"
                ));
            }
        }
        let texts = [
            ("audience", &oidc.audience),
            ("client_id", oidc.client_id.as_ref().unwrap_or(&oidc.audience)),
            ("tenants_claim", &oidc.tenants_claim),
            ("roles_claim", &oidc.roles_claim),
            ("roles.viewer", &oidc.roles.viewer),
            ("roles.writer", &oidc.roles.writer),
            ("roles.operator", &oidc.roles.operator),
            ("roles.admin", &oidc.roles.admin),
        ];
        match texts.iter().find(|(_, text)| text.trim().is_empty()) {
            Some((key, _)) => Err(format!("`auth.oidc.{key}`: must not be empty")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_wrong_values_then_the_key_is_named() {
        let check = |text: &str| serde_json::from_str::<Options>(text).unwrap().check();
        let oidc = |issuer: &str| format!(r#"{{"oidc": {{"issuer": "{issuer}", "audience": "weir"}}}}"#);
        assert_eq!(check(r#"{"tokens": "t.yaml"}"#), Ok(()));
        assert_eq!(check(&oidc("https://id.example/realms/weir")), Ok(()));
        assert_eq!(check(&oidc("http://127.0.0.1:8080/realms/weir")), Ok(()));
        for (text, named) in [
            ("{}".to_owned(), "`auth`"),
            (oidc("http://id.example"), "`auth.oidc.issuer`"),
            (oidc("id.example"), "`auth.oidc.issuer`"),
            (r#"{"anonymous": {"role": "viewer", "tenants": ["weir"]}}"#.to_owned(), "`auth.anonymous.tenants`"),
            (r#"{"oidc": {"issuer": "https://a", "audience": " "}}"#.to_owned(), "`auth.oidc.audience`"),
            (
                r#"{"oidc": {"issuer": "https://a", "audience": "b", "client_id": "c"}}"#.to_owned(),
                "`auth.oidc.client_id` and",
            ),
            (
                r#"{"oidc": {"issuer": "https://a", "audience": "b", "client_id": "c", "redirect_url": "/auth"}}"#
                    .to_owned(),
                "`auth.oidc.redirect_url`",
            ),
            (
                r#"{"oidc": {"issuer": "https://a", "audience": "b", "client_id": "c", "redirect_url": "https://a/"}}"#
                    .to_owned(),
                "`auth.oidc.redirect_url`",
            ),
        ] {
            assert!(check(&text).unwrap_err().starts_with(named), "{text}");
        }
    }

    #[test]
    fn given_several_roles_then_the_most_powerful_counts() {
        let names = RoleNames::default();
        assert_eq!(names.greatest(["offline_access", "weir-viewer", "weir-operator"]), Some(Role::Operator));
        assert_eq!(names.greatest(["viewer"]), None);
    }
}
