use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser as _;
use reqwest::{StatusCode, Url, header};
use serde_json::Value;
use weir::client::{Access, address, profile};

use super::plain;

/// Where weir is, if nothing says otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:7400";

/// Bytes of parameters from which on they are sent in the body: proxies refuse long addresses.
const LONG_QUERY: usize = 2000;

/// Where weir is asked, and how it answers. Each of these wins over the environment, and that over the profile.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// HTTP address of weir; the profile's, else http://127.0.0.1:7400, where it is not given
    #[arg(long, env = "WEIR_URL")]
    url: Option<String>,
    /// Profile of ~/.config/weir/config.yaml: url, token or token_file, and ca
    #[arg(long, env = "WEIR_PROFILE", value_name = "NAME")]
    profile: Option<String>,
    #[command(flatten)]
    access: Access,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A weir that can be asked.
#[derive(Debug)]
pub(crate) struct Weir {
    settled: Settled,
    client: reqwest::Client,
}

/// What is left of the options, the environment and the profile.
#[derive(Debug)]
struct Settled {
    url: Url,
    access: Access,
    /// The address that the profile's token is for, where that is not this one.
    withheld: Option<Url>,
}

/// A variable that is there and says nothing is as one that is not there.
fn said(option: Option<&str>) -> Option<&str> {
    option.filter(|text| !text.is_empty())
}

impl Target {
    fn settle(&self) -> anyhow::Result<Settled> {
        let profile = profile::load(said(self.profile.as_deref()))?;
        let of_profile = profile.url.as_deref().map(|url| address("`url` of the profile:", url)).transpose()?;
        let given = said(self.url.as_deref()).map(|url| address("--url", url)).transpose()?;
        let url = match given.or_else(|| of_profile.clone()) {
            Some(url) => url,
            None => address("--url", DEFAULT_URL)?,
        };
        let mut access = self.access.clone();
        access.ca = access.ca.filter(|path| !path.as_os_str().is_empty()).or_else(|| profile.ca.clone());
        access.token = access.token.filter(|token| !token.is_empty());
        // A profile's token is a secret between the user and that address.
        let withheld = of_profile.filter(|own| own.origin() != url.origin());
        if access.token.is_none() && withheld.is_none() {
            access.token = profile.token()?;
        }
        Ok(Settled { withheld: withheld.filter(|_| access.token.is_none() && profile.has_token()), url, access })
    }

    /// Whether a command that names no address asks this one.
    pub(crate) fn is_found_at(url: &str) -> bool {
        #[derive(clap::Parser)]
        struct Unnamed {
            #[command(flatten)]
            target: Target,
        }
        let settled = Unnamed::try_parse_from(["weir"]).ok().and_then(|unnamed| unnamed.target.settle().ok());
        settled.is_some_and(|settled| settled.at() == url)
    }

    /// The weir that is meant. Nothing is sent yet.
    pub(crate) fn weir(&self) -> anyhow::Result<Weir> {
        let settled = self.settle()?;
        let client = settled.access.http(&settled.url)?.no_proxy().connect_timeout(Duration::from_secs(10)).build();
        Ok(Weir { client: client.context("cannot set TLS up; --ca names authorities to trust")?, settled })
    }
}

impl Weir {
    /// The answer to a GET, whose body is still to be read. What weir says is wrong becomes the error.
    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        within: Option<Duration>,
    ) -> anyhow::Result<reqwest::Response> {
        let request = self.client.get(self.address(path, query));
        self.answer(if let Some(within) = within { request.timeout(within) } else { request }).await
    }

    /// The answer to a query: of a GET, or, where that would be long, of a POST with the same parameters.
    pub(crate) async fn query(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        within: Option<Duration>,
    ) -> anyhow::Result<reqwest::Response> {
        if query.iter().map(|(_, value)| value.len()).sum::<usize>() < LONG_QUERY {
            return self.get(path, query, within).await;
        }
        let parameters: HashMap<&str, &str> = query.iter().copied().collect();
        let request = self.client.post(self.address(path, &[])).json(&parameters);
        self.answer(if let Some(within) = within { request.timeout(within) } else { request }).await
    }

    /// As [`Weir::get`], with headers, and as long as it takes.
    pub(crate) async fn get_with(
        &self,
        path: &[&str],
        headers: &[(header::HeaderName, String)],
    ) -> anyhow::Result<reqwest::Response> {
        let request = self.client.get(self.address(path, &[]));
        self.answer(headers.iter().fold(request, |request, (name, value)| request.header(name, value))).await
    }

    /// What weir answers; what it says is wrong becomes the error.
    async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let settled = &self.settled;
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(answer),
            Ok(answer) => {
                let status = answer.status();
                let location = answer.headers().get(header::LOCATION).cloned();
                let problem: Value = answer.json().await.unwrap_or_default();
                bail!("{}", settled.why(status, location.as_ref().and_then(|to| to.to_str().ok()), &problem))
            }
            Err(error) => {
                let at = settled.at();
                let why = if is_distrust(&error) {
                    format!("{at} has a certificate that is not trusted here; --ca names the authority that signed it")
                } else {
                    format!("cannot reach weir at {at}: is it running there?")
                };
                Err(anyhow::Error::new(error).context(why))
            }
        }
    }

    fn address(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.settled.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The answer to a POST without a body.
    pub(crate) async fn post_json(&self, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let request = self.client.post(self.address(path, query)).timeout(Duration::from_mins(2));
        self.answer(request).await?.json().await.context("the answer is not JSON: is this weir's address?")
    }

    pub(crate) async fn get_json(&self, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let answer = self.get(path, query, Some(Duration::from_mins(2))).await?;
        answer.json().await.context("the answer is not JSON: is this weir's address?")
    }
}

/// Whether the connection failed because of the certificate that was shown.
fn is_distrust(error: &reqwest::Error) -> bool {
    let mut causes = std::iter::successors(error.source(), |&cause| {
        // An input or output error's source is that of the error within, which itself would be missed.
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        inner.map(|inner| inner as &dyn Error).or_else(move || cause.source())
    });
    causes.any(|cause| matches!(cause.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))))
}

impl Settled {
    /// The address as people write it.
    fn at(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Why weir did not answer what was asked.
    fn why(&self, status: StatusCode, location: Option<&str>, problem: &Value) -> String {
        let detail = problem["detail"].as_str().map(plain);
        let detail = detail.as_deref().unwrap_or("no reason given");
        match (status, location, problem["parameter"].as_str()) {
            (StatusCode::UNAUTHORIZED, ..) if self.access.token.is_some() => {
                format!("{status}: weir does not take this credential: {detail}")
            }
            (StatusCode::UNAUTHORIZED, ..) => {
                let withheld = self.withheld.as_ref().map_or(String::new(), |own| {
                    format!("; the profile's token is for {own} alone, and was not sent to {}", self.at())
                });
                format!("{status}: weir wants a credential: --token or WEIR_TOKEN{withheld}")
            }
            (_, Some(location), _) if status.is_redirection() => {
                format!("{status}: {} leads on to {}: is that weir's address?", self.at(), plain(location))
            }
            (_, _, Some(parameter)) => format!("{status}: {}: {detail}", plain(parameter)),
            _ => format!("{status}: {detail}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let withheld = "401 Unauthorized: weir wants a credential: --token or WEIR_TOKEN; the profile's token is for \
                        https://own/ alone, and was not sent to https://h";
        for (status, token, own, problem, told) in [
            (401, None, None, json!({}), "401 Unauthorized: weir wants a credential: --token or WEIR_TOKEN"),
            (401, None, Some("https://own"), json!({"detail": "no credential"}), withheld),
            (
                401,
                Some("weir_secret"),
                None,
                json!({"detail": "expired"}),
                "401 Unauthorized: weir does not take this credential: expired",
            ),
            (
                403,
                Some("weir_secret"),
                None,
                json!({"detail": "needs the role operator\u{1b}[2J"}),
                "403 Forbidden: needs the role operator\u{fffd}[2J",
            ),
            (400, None, None, json!({"detail": "no", "parameter": "query"}), "400 Bad Request: query: no"),
            (502, None, None, json!(null), "502 Bad Gateway: no reason given"),
            (308, None, None, json!(null), "308 Permanent Redirect: https://h leads on to l: is that weir's address?"),
        ] {
            let settled = Settled {
                url: Url::parse("https://h").unwrap(),
                access: Access { token: token.map(|token| token.to_owned().into()), ..Access::default() },
                withheld: own.map(|url| Url::parse(url).unwrap()),
            };
            assert_eq!(settled.why(StatusCode::from_u16(status).unwrap(), Some("l"), &problem), told);
        }
    }
}
