use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::{Json, Router, routing};
use parking_lot::Mutex;
use serde_json::Value;

/// Each with when it came.
type Caught = Arc<Mutex<Vec<(Instant, Value)>>>;

/// Catches what a webhook receiver is sent; stops when it is dropped.
#[derive(Debug)]
pub struct Webhook {
    address: SocketAddr,
    caught: Caught,
    task: tokio::task::JoinHandle<()>,
}

impl Webhook {
    /// Listens on a free port of loopback.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let caught = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new().route("/hook", routing::post(catch)).with_state(Arc::clone(&caught));
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, caught, task })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// All that was sent to it, in order of arrival.
    pub fn caught(&self) -> Vec<Value> {
        self.caught.lock().iter().map(|(_, value)| value.clone()).collect()
    }

    /// All that was sent to it, each with when it came.
    pub fn caught_at(&self) -> Vec<(Instant, Value)> {
        self.caught.lock().clone()
    }

    /// Number of notifications of this status (`firing`, `resolved`).
    pub fn count(&self, status: &str) -> usize {
        self.caught.lock().iter().filter(|(_, value)| value["status"] == status).count()
    }

    /// Waits until `count` notifications of this status have come.
    pub async fn wait(&self, status: &str, count: usize, within: Duration) -> anyhow::Result<()> {
        let found = crate::until(within, || async { (self.count(status) >= count).then_some(()) }).await;
        found.ok_or_else(|| anyhow::anyhow!("no {count} `{status}` within {within:?}, but {:?}", self.caught()))
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn catch(State(caught): State<Caught>, Json(value): Json<Value>) {
    caught.lock().push((Instant::now(), value));
}
