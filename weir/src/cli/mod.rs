//! Commands that ask a running weir over HTTP.

pub(crate) mod alerts;
pub(crate) mod search;
pub(crate) mod tail;
pub(crate) mod trace;

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// Where weir is asked, and how it answers.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// HTTP address of weir
    #[arg(long, env = "WEIR_URL", default_value = "http://127.0.0.1:7400")]
    url: String,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Target {
    /// The answer to a GET, whose body is still to be read. What weir says is wrong becomes the error.
    async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        within: Option<Duration>,
    ) -> anyhow::Result<reqwest::Response> {
        let mut url =
            reqwest::Url::parse(&self.url).with_context(|| format!("--url {}: write http://host:port", self.url))?;
        match url.path_segments_mut() {
            Ok(mut segments) => {
                segments.pop_if_empty().extend(path);
            }
            Err(()) => bail!("--url {}: write http://host:port", self.url),
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut client = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(10));
        if let Some(within) = within {
            client = client.timeout(within);
        }
        let answer = client.build()?.get(url).send().await;
        let answer = answer.with_context(|| format!("cannot reach weir at {}: is it running there?", self.url))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let problem: Value = answer.json().await.unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("no reason given");
        match problem["parameter"].as_str() {
            Some(parameter) => bail!("{status}: {parameter}: {detail}"),
            None => bail!("{status}: {detail}"),
        }
    }

    async fn get_json(&self, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let answer = self.get(path, query, Some(Duration::from_mins(2))).await?;
        answer.json().await.context("the answer is not JSON: is this weir's address?")
    }
}

/// Prints a line; `false` once nobody reads any more (`weir tail … | head`).
fn say(line: &str) -> anyhow::Result<bool> {
    match writeln!(std::io::stdout(), "{line}") {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What came from others must not steer the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// One log record as a line for people.
fn hit_line(hit: &Value) -> String {
    let severity = text(hit, "severity");
    let (tenant, service) = (text(hit, "tenant"), text(hit, "service"));
    plain(&format!("{} {severity:<5} {tenant}/{service} {}", text(hit, "timestamp"), text(hit, "body")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_cannot_steer_the_terminal() {
        let hit = serde_json::json!({"timestamp": "t", "severity": "INFO", "tenant": "a", "service": "b", "body": "x\u{1b}[2Jy"});
        assert_eq!(hit_line(&hit), "t INFO  a/b x\u{fffd}[2Jy");
    }
}
