use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

/// Of a client that waits for an answer for 30 s.
pub fn client() -> reqwest::ClientBuilder {
    // An error says that a provider is there already, which is what is needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(30))
}

/// Whether what listens on this port of loopback answers a GET with 200. Blocks, for five seconds at most.
pub(crate) fn answers(port: u16, path: &str) -> bool {
    use std::io::{Read as _, Write as _};
    let ask = || -> std::io::Result<String> {
        let mut stream = std::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.0 200"))
}

/// Speaks to weir's HTTP API.
#[derive(Debug, Clone)]
pub struct Api {
    client: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Api {
    /// The API at `url` (`http://host:port`).
    pub fn new(url: &str) -> anyhow::Result<Self> {
        Ok(Self { client: client().build()?, url: url.trim_end_matches('/').to_owned(), token: None })
    }

    /// The same API, asked with a bearer token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Status and JSON body of a GET.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<(u16, Value)> {
        let mut url = reqwest::Url::parse(&format!("{}{path}", self.url))?;
        url.query_pairs_mut().extend_pairs(query);
        let answer = self.request(url).send().await?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    /// Status and text of a GET.
    pub async fn text(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let answer = self.request(reqwest::Url::parse(&format!("{}{path}", self.url))?).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    fn request(&self, url: reqwest::Url) -> reqwest::RequestBuilder {
        let request = self.client.get(url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn sound(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let (status, body) = self.get(path, query).await?;
        anyhow::ensure!(status == 200, "{path} {query:?}: {status}: {body}");
        Ok(body)
    }

    /// Number of lines that match.
    pub async fn count(&self, query: &str) -> anyhow::Result<u64> {
        let body = self.sound("/api/v1/logs/count", &[("query", query)]).await?;
        body["count"].as_u64().with_context(|| format!("no count in {body}"))
    }

    /// Every hit, oldest first.
    pub async fn search(&self, query: &str) -> anyhow::Result<Vec<Value>> {
        let mut hits = Vec::new();
        self.each(query, |hit| hits.push(hit)).await?;
        Ok(hits)
    }

    /// Gives every hit to `take`, page after page, oldest first: for more than fits into memory.
    pub async fn each(&self, query: &str, mut take: impl FnMut(Value)) -> anyhow::Result<()> {
        let mut cursor = String::new();
        loop {
            let mut parameters = vec![("query", query), ("limit", "1000"), ("order", "asc")];
            if !cursor.is_empty() {
                parameters.push(("cursor", &cursor));
            }
            let mut body = self.sound("/api/v1/logs/search", &parameters).await?;
            if let Value::Array(page) = body["hits"].take() {
                page.into_iter().for_each(&mut take);
            }
            match body["next_cursor"].as_str() {
                Some(next) if !next.is_empty() => next.clone_into(&mut cursor),
                _ => return Ok(()),
            }
        }
    }

    /// Result of an instant PromQL query.
    pub async fn promql(&self, query: &str, time: Option<f64>) -> anyhow::Result<Vec<Value>> {
        let time = time.map(|time| time.to_string());
        let mut parameters = vec![("query", query)];
        parameters.extend(time.as_deref().map(|time| ("time", time)));
        let mut body = self.sound("/prometheus/api/v1/query", &parameters).await?;
        match body["data"]["result"].take() {
            Value::Array(result) => Ok(result),
            other => anyhow::bail!("no vector: {other}"),
        }
    }

    /// Alerts, in all states.
    pub async fn alerts(&self) -> anyhow::Result<Value> {
        self.sound("/api/v1/alerts", &[]).await
    }
}
