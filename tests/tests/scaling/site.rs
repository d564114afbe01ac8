//! weir with credentials, KEDA's certificates, and a Kubernetes API that it asks.

use std::time::Duration;

use reqwest::{Certificate, Client, header::HeaderMap};
use rustix::process::Signal;
use serde_json::{Value, json};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use weir_proto::externalscaler::external_scaler_client::ExternalScalerClient;
use weir_service::auth::{Role, tokens};
use weir_tests::certificates::{Authority, Identity};
use weir_tests::kubernetes::{ApiServer, FRONT_PROXY};
use weir_tests::weir::Ready;
use weir_tests::{Api, Weir, until};

use super::PATIENCE;

/// Who may read metrics of the Kubernetes API.
pub(super) const HPA: &str = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";

pub(super) struct Site {
    pub(super) api: ApiServer,
    pub(super) ready: Ready,
    folder: tempfile::TempDir,
    server: Authority,
    keda: Authority,
    front_proxy: Authority,
    config: Value,
    weir: Weir,
}

impl Site {
    /// The namespace `team-a` is the tenant acme's.
    pub(super) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = |name| Authority::new(name).unwrap();
        let (server, keda, front_proxy) = (authority("weir"), authority("keda"), authority("front-proxy"));
        server.issue("weir", &["weir", "127.0.0.1"]).unwrap().write(folder.path(), "server").unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("keda-ca.crt"), keda.pem()).unwrap();
        std::fs::write(path("tokens.yaml"), "").unwrap();
        let api = ApiServer::start(front_proxy.pem(), HPA).await.unwrap();
        api.kubeconfig(&path("kubeconfig")).unwrap();
        let config = json!({
            "listen": "127.0.0.1:0",
            "auth": {"tokens": path("tokens.yaml")},
            "collector": {
                "otlp": {"grpc": null, "http": "127.0.0.1:0"}, "host": null, "gpu": null,
                "tenant": {"namespaces": {"team-a": "acme"}},
            },
            "alerter": {
                "keda": {
                    "grpc": "127.0.0.1:0",
                    "tls": {"cert": path("server.crt"), "key": path("server.key"), "client_ca": path("keda-ca.crt")},
                },
                "external_metrics": {
                    "listen": "127.0.0.1:0",
                    "tls": {"cert": path("server.crt"), "key": path("server.key")},
                    "kubeconfig": path("kubeconfig"),
                    "metrics": [
                        {"name": "calls", "query": "sum(weir_calls_total)"},
                        {"name": "half", "query": "sum(weir_calls_total) / 8"},
                        {"name": "all", "query": "{service=\"ocr\"}"},
                        {"name": "constant", "query": "vector(1)"},
                    ],
                },
            },
            "usage": null,
            "reflow": null,
        });
        let mut weir = Weir::new("standalone", folder.path(), &config).unwrap();
        let ready = weir.start().await.unwrap();
        Self { api, ready, folder, server, keda, front_proxy, config, weir }
    }

    /// The namespace `team-b` is this tenant's, too, once weir has read its file again.
    pub(super) fn map(&mut self, tenant: &str) {
        self.config["collector"]["tenant"]["namespaces"]["team-b"] = json!(tenant);
        std::fs::write(self.folder.path().join("weir.yaml"), self.config.to_string()).unwrap();
        self.weir.signal(Signal::HUP).unwrap();
    }

    /// A new token, once weir knows it.
    pub(super) async fn token(&self, role: Role, tenant: &str) -> String {
        let name = format!("{role}-{}", tenant.replace('*', "all"));
        let file = self.folder.path().join("tokens.yaml");
        let token = tokens::add(&file, &name, role, &[tenant.to_owned()], None).unwrap();
        let api = Api::new(&self.ready.http).unwrap().with_token(&token);
        let known = || async { api.get("/api/v1/whoami", &[]).await.ok().filter(|(status, _)| *status == 200) };
        until(PATIENCE, known).await.unwrap();
        token
    }

    /// Calls of the service `ocr` of a tenant.
    pub(super) async fn calls(&self, tenant: &str, count: u64) {
        let token = self.token(Role::Writer, tenant).await;
        let now = weir_service::time::now_unix_nano();
        let span = |n: u64| {
            json!({"traceId": format!("{n:032x}"), "spanId": format!("{n:016x}"), "kind": 2, "name": "POST /ocr",
                "startTimeUnixNano": (now - 5_000_000).to_string(), "endTimeUnixNano": now.to_string()})
        };
        let id = u64::from(tenant.as_bytes()[0]) << 32;
        let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "ocr"}}]});
        let spans: Vec<Value> = (1..=count).map(|n| span(id + n)).collect();
        let body = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]});
        let url = format!("{}/v1/traces", self.ready.otlp_http.as_ref().unwrap());
        let answer = Client::new().post(url).bearer_auth(token).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    /// `/api/v1/scaling` as a token sees it.
    pub(super) async fn scalers(&self, token: &str) -> Vec<Value> {
        let api = Api::new(&self.ready.http).unwrap().with_token(token);
        let (status, body) = api.get("/api/v1/scaling", &[]).await.unwrap();
        assert_eq!(status, 200, "{body}");
        body["scalers"].as_array().unwrap().clone()
    }

    /// A certificate of KEDA's authority.
    pub(super) fn of_keda(&self) -> Identity {
        self.keda.issue("keda-operator", &[]).unwrap()
    }

    /// A certificate of the front proxy's authority.
    pub(super) fn of_front_proxy(&self, name: &str) -> Identity {
        self.front_proxy.issue(name, &[]).unwrap()
    }

    /// A client of the external scaler, if it is let in.
    pub(super) async fn scaler(&self, identity: Option<Identity>) -> Option<ExternalScalerClient<Channel>> {
        let tls = ClientTlsConfig::new().domain_name("weir");
        let tls = tls.ca_certificate(tonic::transport::Certificate::from_pem(self.server.pem()));
        let tls = match identity {
            Some(Identity { cert, key }) => tls.identity(tonic::transport::Identity::from_pem(cert, key)),
            None => tls,
        };
        let endpoint = Endpoint::from_shared(self.ready.keda_grpc.clone().unwrap()).unwrap();
        let channel = endpoint.tls_config(tls).unwrap().connect().await.ok()?;
        Some(ExternalScalerClient::new(channel))
    }

    /// A client of the aggregated API.
    pub(super) fn client(&self, identity: Option<Identity>) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let trusted = Certificate::from_pem(self.server.pem().as_bytes()).unwrap();
        let client = Client::builder().timeout(Duration::from_secs(20)).tls_certs_only([trusted]);
        let client = match identity {
            Some(Identity { cert, key }) => {
                client.identity(reqwest::Identity::from_pem(format!("{cert}{key}").as_bytes()).unwrap())
            }
            None => client,
        };
        client.build().unwrap()
    }

    /// Status and body of a request that the front proxy makes for a user.
    pub(super) async fn kube(&self, user: &str, path: &str) -> (u16, Value) {
        let mut headers = HeaderMap::new();
        headers.insert("x-remote-user", user.parse().unwrap());
        headers.append("x-remote-group", "system:serviceaccounts".parse().unwrap());
        headers.append("x-remote-group", "system:authenticated".parse().unwrap());
        let client = self.client(Some(self.of_front_proxy(FRONT_PROXY)));
        self.asked(&client, headers, path).await.unwrap()
    }

    /// The same of any client; `None` if it is not let in.
    pub(super) async fn asked(&self, client: &Client, headers: HeaderMap, path: &str) -> Option<(u16, Value)> {
        let url = format!("{}{path}", self.ready.external_metrics.as_ref().unwrap());
        let answer = client.get(url).headers(headers).send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }
}
