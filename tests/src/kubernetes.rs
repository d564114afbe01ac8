//! A Kubernetes API as far as an aggregated API server asks it: how the front proxy is known, and who may do what.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// The common name of the front proxy's certificate.
pub const FRONT_PROXY: &str = "front-proxy-client";

/// The server; it runs as long as its runtime does.
#[derive(Debug, Clone)]
pub struct ApiServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client_ca: String,
    allowed: &'static str,
    reviews: Mutex<Vec<Value>>,
}

impl ApiServer {
    /// On loopback. The front proxy's certificate is signed by `client_ca` (PEM); the user `allowed` may read every metric,
    /// and nobody else any.
    pub async fn start(client_ca: String, allowed: &'static str) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { client_ca, allowed, reviews: Mutex::default() });
        let map = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
        let router = Router::new()
            .route(map, get(authentication))
            .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", post(review))
            .with_state(shared.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        Ok(Self { address, shared })
    }

    /// Writes a kubeconfig that leads here.
    pub fn kubeconfig(&self, path: &Path) -> std::io::Result<()> {
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "weir", "user": {"token": "x"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "weir"}}],
        });
        std::fs::write(path, text.to_string())
    }

    /// The `spec` of every access review so far.
    pub fn reviews(&self) -> Vec<Value> {
        self.shared.reviews.lock().clone()
    }
}

async fn authentication(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({
        "kind": "ConfigMap", "apiVersion": "v1",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {
            "requestheader-client-ca-file": shared.client_ca,
            "requestheader-allowed-names": json!([FRONT_PROXY]).to_string(),
            "requestheader-username-headers": "[\"X-Remote-User\"]",
            "requestheader-group-headers": "[\"X-Remote-Group\"]",
            "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
        },
    }))
}

async fn review(State(shared): State<Arc<Shared>>, Json(mut review): Json<Value>) -> (http::StatusCode, Json<Value>) {
    shared.reviews.lock().push(review["spec"].clone());
    review["status"] = json!({"allowed": review["spec"]["user"] == shared.allowed, "reason": "by the test"});
    (http::StatusCode::CREATED, Json(review))
}
