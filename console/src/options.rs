use std::path::PathBuf;

use serde::Deserialize;
use weir_service::http::is_loopback;

/// Section `console` of the configuration: the roles that the console stands in front of. They check credentials
/// themselves, so their `auth` is that of the console.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Logs, traces and metric points.
    pub indexer: Option<RoleUrl>,
    /// Calls, alerts, silences and scaling.
    pub alerter: Option<RoleUrl>,
    /// Usage and quotas.
    pub usage: Option<RoleUrl>,
    /// Captures.
    pub reflow: Option<RoleUrl>,
    /// What one collector reads.
    pub collector: Option<RoleUrl>,
    /// PEM file of authorities that are trusted besides the system's.
    pub ca: Option<PathBuf>,
}

/// The address of a role, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RoleUrl(String);

impl TryFrom<String> for RoleUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let url = reqwest::Url::parse(&text).ok();
        let is_good = url.is_some_and(|url| {
            let is_bare = url.query().is_none() && url.fragment().is_none();
            let is_public = url.username().is_empty() && url.password().is_none();
            matches!(url.scheme(), "http" | "https") && url.has_host() && is_bare && is_public
        });
        if is_good {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(format!("«{text}» is no address of a role: write http://HOST:PORT or https://HOST:PORT"))
        }
    }
}

impl RoleUrl {
    /// As configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Options {
    /// The roles that are configured, by name.
    pub fn roles(&self) -> impl Iterator<Item = (&'static str, &RoleUrl)> {
        let roles = [
            ("indexer", &self.indexer),
            ("alerter", &self.alerter),
            ("usage", &self.usage),
            ("reflow", &self.reflow),
            ("collector", &self.collector),
        ];
        roles.into_iter().filter_map(|(name, url)| Some((name, url.as_ref()?)))
    }

    /// Roles on other machines that credentials are passed on to in plain text.
    pub fn plain(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let is_plain = |url: &RoleUrl| {
            let host = url.as_str().strip_prefix("http://").and_then(|rest| rest.split('/').next());
            host.is_some_and(|host| {
                let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
                !is_loopback(&if has_port { host.to_owned() } else { format!("{host}:80") })
            })
        };
        self.roles().filter(move |(_, url)| is_plain(url)).map(|(name, url)| (name, url.as_str()))
    }

    /// What is wrong with the values, naming the key; touches nothing.
    pub fn check(&self) -> Result<(), String> {
        match self.roles().next() {
            Some(_) => Ok(()),
            None => Err("names no role: set `indexer`, `alerter`, `usage`, `reflow` or `collector`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_named_by_an_address_without_credentials() {
        let read = |url: &str| serde_json::from_value::<Options>(serde_json::json!({ "indexer": url }));
        let options = read("http://indexer:7401/").unwrap();
        let roles: Vec<_> = options.roles().map(|(name, url)| (name, url.as_str())).collect();
        assert_eq!((roles, options.check()), (vec![("indexer", "http://indexer:7401")], Ok(())));
        for url in ["indexer:7401", "ftp://indexer", "http://u:p@indexer", "http://indexer/?a=b", ""] {
            let error = read(url).unwrap_err().to_string();
            assert!(error.contains("is no address of a role"), "{url}: {error}");
        }
        assert!(Options::default().check().is_err());
    }

    #[test]
    fn a_role_gets_credentials_in_plain_text_where_it_is_on_another_machine_without_tls() {
        for (url, right) in [
            ("http://indexer:7401", true),
            ("http://indexer", true),
            ("http://10.0.0.1/weir", true),
            ("https://indexer:7401", false),
            ("http://127.0.0.1:7401", false),
            ("http://localhost/weir", false),
            ("http://[::1]:7401", false),
            ("http://[::1]", false),
        ] {
            let options: Options = serde_json::from_value(serde_json::json!({ "usage": url })).unwrap();
            assert_eq!(options.plain().next().is_some(), right, "{url}");
        }
    }
}
