//! `GET /api/v1/roles`: what runs, and whether it does its work.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use weir_service::auth::Access;
use weir_service::health::Health;
use weir_service::http::{Route, Routes};
use weir_service::telemetry::whole;

use crate::proxy::{self, Proxy};

/// A role that does not say within this time how it is, is shown as away.
const ANSWER: Duration = Duration::from_secs(2);
/// More than any role says.
const MAX_ANSWER: usize = 256 << 10;

/// Where the roles are.
#[derive(Debug, Clone)]
pub enum Roles {
    /// In this process, which has this health.
    Here(Health),
    /// In processes of their own.
    Apart(Proxy),
}

impl Roles {
    pub(crate) fn routes(&self) -> Routes {
        let shown = Route::get("/api/v1/roles", Access::Credential, "The roles behind the console, and how they are");
        let roles = self.clone();
        let routes = Routes::new().on(shown, move || async move { axum::Json(json!({ "roles": roles.ask().await })) });
        match self {
            Self::Here(_) => routes,
            Self::Apart(proxy) => routes.merge(proxy.routes()),
        }
    }

    async fn ask(&self) -> Vec<Value> {
        match self {
            Self::Here(health) => {
                let waiting = health.waiting_for();
                vec![json!({
                    "role": "standalone", "url": null, "reachable": true, "ready": waiting.is_empty(),
                    "waiting_for": waiting, "degraded": health.degraded(), "version": env!("CARGO_PKG_VERSION"),
                    "error": null,
                })]
            }
            Self::Apart(proxy) => {
                join_all(proxy.roles().map(|(role, url)| async move {
                    let asked = tokio::time::timeout(ANSWER, async {
                        if proxy.is_open(role, url).await {
                            return Err(proxy::OPEN.to_owned());
                        }
                        ready(proxy.client(), url).await
                    });
                    let asked = asked.await;
                    entry(role, url, asked.unwrap_or_else(|_| Err(format!("no answer within {ANSWER:?}"))))
                }))
                .await
            }
        }
    }
}

/// What a role says at `/readyz`, whether it is ready or not.
async fn ready(client: &reqwest::Client, url: &str) -> Result<Value, String> {
    let failed = |error: reqwest::Error| whole(&error.without_url()).to_string();
    let mut answer = client.get(format!("{url}/readyz")).send().await.map_err(failed)?;
    let status = answer.status();
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAX_ANSWER {
            return Err(format!("/readyz answers more than {MAX_ANSWER} bytes: it is no role of weir"));
        }
    }
    let said: Option<Value> = serde_json::from_slice(&bytes).ok();
    said.filter(|said| said["ready"].is_boolean())
        .ok_or_else(|| format!("/readyz answers {status} and not as a role of weir"))
}

fn entry(role: &str, url: &str, said: Result<Value, String>) -> Value {
    let is_reachable = said.is_ok();
    let (mut said, error) = said.map_or_else(|error| (Value::Null, Some(error)), |said| (said, None));
    let mut part = |key: &str| Some(said[key].take()).filter(Value::is_object).unwrap_or_else(|| json!({}));
    let (waiting, degraded) = (part("waiting_for"), part("degraded"));
    json!({
        "role": role, "url": url, "reachable": is_reachable, "ready": said["ready"].as_bool().unwrap_or(false),
        "waiting_for": waiting, "degraded": degraded, "version": said["version"].as_str(), "error": error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_of_all_rooms_is_one_role_and_says_what_it_waits_for() {
        let health = Health::default();
        let part = health.part("indexer");
        let one = Roles::Here(health.clone()).ask().await.remove(0);
        assert_eq!(
            (&one["role"], &one["ready"], &one["waiting_for"]["indexer"]),
            (&json!("standalone"), &json!(false), &json!("starting"))
        );
        part.ready();
        assert_eq!(Roles::Here(health).ask().await[0]["ready"], true);
    }

    #[tokio::test]
    async fn a_role_that_hangs_or_is_no_role_is_away_and_holds_up_nobody() {
        // An error says that a provider is there already, which is what is needed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let hangs = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = |listener: &tokio::net::TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let options = json!({"indexer": url(&hangs), "alerter": url(&hangs), "usage": url(&other)});
        let page = axum::Router::new().fallback(|| async { "a page" });
        tokio::spawn(async move { axum::serve(other, page).await });
        let proxy = Proxy::open(&serde_json::from_value(options).unwrap(), false).unwrap();
        let began = std::time::Instant::now();
        let roles = Roles::Apart(proxy).ask().await;
        let said: Vec<_> =
            roles.iter().map(|role| (role["reachable"].clone(), role["error"].as_str().unwrap())).collect();
        let late = (json!(false), "no answer within 2s");
        assert_eq!(said[..2], [late.clone(), late]);
        assert_eq!(said[2], (json!(false), "/readyz answers 200 OK and not as a role of weir"));
        assert!(began.elapsed() < 2 * ANSWER, "they are asked at once");
    }

    #[test]
    fn a_role_that_says_nothing_has_the_same_shape_as_one_that_does() {
        let said = json!({"ready": false, "waiting_for": {"bus": "away"}, "degraded": {}, "version": "0.1.0"});
        let there = entry("indexer", "http://a", Ok(said));
        let right = json!({"role": "indexer", "url": "http://a", "reachable": true, "ready": false,
            "waiting_for": {"bus": "away"}, "degraded": {}, "version": "0.1.0", "error": null});
        assert_eq!(there, right);
        let away = entry("usage", "http://b", Err("connection refused".to_owned()));
        let right = json!({"role": "usage", "url": "http://b", "reachable": false, "ready": false,
            "waiting_for": {}, "degraded": {}, "version": null, "error": "connection refused"});
        assert_eq!(away, right);
    }
}
