//! Requests to one receiver.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use weir_service::telemetry::whole;

use super::answer::Answer;
use super::options::RemoteWrite;
use crate::client::{ClientError, HttpClient, HttpConfig, header, retry_after};

/// Bytes of an answer that are logged.
const SHOWN_BYTES: usize = 200;

/// Speaks to one receiver.
#[derive(Debug)]
pub(super) struct Client {
    options: RemoteWrite,
    http: Arc<HttpClient>,
}

/// What came of a request, with a text for the log.
pub(super) struct Sent {
    pub(super) answer: Answer,
    pub(super) text: String,
}

impl Client {
    /// Reads the files of `tls_config`.
    pub(super) fn open(options: RemoteWrite) -> Result<Self, ClientError> {
        let config =
            HttpConfig { tls_config: options.tls_config.clone(), follow_redirects: false, ..HttpConfig::default() };
        let is_plain = options.url.read().is_ok_and(|url| url.starts_with("http://"));
        Ok(Self { http: Arc::new(HttpClient::open(config, is_plain)?), options })
    }

    /// Sends a compressed request. The address and credentials are in no text.
    pub(super) async fn send(&self, body: Bytes) -> Sent {
        let options = self.options.clone();
        let prepared = tokio::task::spawn_blocking(move || {
            let credential = header(options.basic_auth.as_ref(), options.authorization.as_ref())?;
            Ok::<_, String>((options.url.read()?, headers(&options), credential))
        });
        let (url, headers, credential) = match prepared.await {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(error)) => return Sent::failed(error),
            Err(error) => return Sent::failed(error.to_string()),
        };
        let mut request = self.http.get().post(url).headers(headers).timeout(self.options.remote_timeout.0);
        if let Some(credential) = credential {
            request = request.header(http::header::AUTHORIZATION, credential);
        }
        match request.body(body).send().await {
            Ok(answer) => {
                let status = answer.status();
                let after = answer.headers().get(http::header::RETRY_AFTER).and_then(retry_after);
                let after = after.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
                Sent { answer: Answer::of(status, after), text: said(status, answer).await }
            }
            Err(error) => {
                let http = self.http.clone();
                let _ = tokio::task::spawn_blocking(move || http.reload()).await;
                Sent::failed(whole(&error.without_url()).to_string())
            }
        }
    }
}

impl Sent {
    fn failed(text: String) -> Self {
        Self { answer: Answer::Again { after: None }, text }
    }
}

fn headers(options: &RemoteWrite) -> HeaderMap {
    let own = options.headers.iter().filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(&value.read().ok()?).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    });
    let of_protocol = [
        (http::header::CONTENT_ENCODING, "snappy"),
        (http::header::CONTENT_TYPE, "application/x-protobuf"),
        (HeaderName::from_static("x-prometheus-remote-write-version"), "0.1.0"),
    ];
    own.chain(of_protocol.map(|(name, value)| (name, HeaderValue::from_static(value)))).collect()
}

/// Status and the begin of what a receiver says, in one line.
async fn said(status: StatusCode, mut answer: reqwest::Response) -> String {
    if status.is_success() {
        return String::new();
    }
    let body = answer.chunk().await.ok().flatten().unwrap_or_default();
    let body = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES)]);
    let line: String = body.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{status}: {line}")
}

#[cfg(test)]
mod tests;
