//! The harness of weir's end-to-end tests: processes, a webhook catcher, the HTTP API, real data.
//!
//! Every process that is started here is killed when its handle is dropped; every port is a free one of loopback.

pub mod alertmanager;
mod bus;
mod cache;
pub mod certificates;
pub mod console;
mod data;
mod disk;
pub mod envoy;
pub mod filebeat;
mod gpus;
mod http;
pub mod kafka;
pub mod keycloak;
pub mod kubernetes;
mod log;
pub mod loghub;
mod maven;
pub mod otlp;
pub mod postgres;
pub mod prometheus;
pub mod python;
pub mod redis;
mod skip;
pub mod smtp;
mod webhook;
pub mod weir;

use std::time::Duration;

pub use bus::messages;
pub use data::data;
pub use disk::SmallDisk;
pub use gpus::Gpus;
pub use http::{Api, client};
pub use log::Log;
pub use skip::skip;
pub use webhook::Webhook;
pub use weir::Weir;

/// A variable of the environment. Tests are steered by it; the programs under test never read it here.
#[allow(clippy::disallowed_methods, reason = "a test has no configuration file")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A number from the environment, such as the size of a run.
pub fn number(name: &str, default: u64) -> u64 {
    environment(name).and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Asks again and again until there is an answer; `None` when the time is over.
pub async fn until<T, F>(within: Duration, mut ask: impl FnMut() -> F) -> Option<T>
where
    F: Future<Output = Option<T>>,
{
    let end = tokio::time::Instant::now() + within;
    loop {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        if tokio::time::Instant::now() >= end {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
