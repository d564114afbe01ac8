//! What all kinds of channels have.

use std::time::Duration;

use weir_service::config::Span;

use crate::client::{HttpClient, HttpConfig};

/// What all kinds of channels have.
#[derive(Debug, Clone, PartialEq)]
pub struct Common {
    /// Whether it is told of resolved alerts.
    pub send_resolved: bool,
    /// How long an answer may take.
    pub timeout: Span,
    /// How its server is spoken with.
    pub http: HttpConfig,
}

impl Common {
    pub(super) const TIMEOUT: Span = Span(Duration::from_secs(10));

    pub(super) fn new(send_resolved: bool, timeout: Span, http_config: Option<HttpConfig>) -> Self {
        Self { send_resolved, timeout, http: http_config.unwrap_or_default() }
    }

    /// Whether a client can be made.
    pub(super) fn check(&self) -> Result<(), String> {
        let opened = if self.http == HttpConfig::default() {
            Ok(())
        } else {
            HttpClient::open(self.http.clone(), false).map(drop)
        };
        opened.map_err(|error| format!("http_config: {}", weir_service::telemetry::whole(&error)))
    }
}
