//! `external.metrics.k8s.io/v1beta1`, to be aggregated into the Kubernetes API, so that a HorizontalPodAutoscaler gets the
//! values of configured queries without an adapter.
//!
//! Requests come through kube-apiserver, which shows the cluster's front-proxy certificate and names the user in headers
//! ([`front_proxy`]). Whether that user may read a metric of a namespace, the Kubernetes API says ([`access`]). Discovery
//! is for whomever the front proxy vouches for, as everywhere in Kubernetes. Errors are objects of the kind `Status`.

mod access;
mod discovery;
mod front_proxy;
mod kubernetes;
mod quantity;
mod selector;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::extract::{OriginalUri, Path, Query as Parameters, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use weir_service::health::Part;
use weir_service::http::Peer;
use weir_service::telemetry::whole;
use weir_service::time::now_unix_ms;
use weir_service::tls::Authorities;

pub(super) use self::kubernetes::Source;

use self::access::Access;
use self::front_proxy::{FrontProxy, User};
use self::kubernetes::Api;
use self::status::{Failure, Reason};
use super::answer::{Answer, Unanswered};
use super::askers::{About, Asker, Askers, Kind};
use super::evaluate::Evaluator;
use super::namespaces::Namespaces;
use super::options::MAX_NAME;
use crate::promql::Query;

/// How often the front proxy's authority and headers are read again, with whatever else the kubeconfig names.
const REFRESH: Duration = Duration::from_mins(1);
/// The same while the Kubernetes API does not answer.
const RETRY: Duration = Duration::from_secs(5);
/// Bytes of a label selector.
const MAX_SELECTOR: usize = 4096;
/// Longest name of a namespace, in bytes: Kubernetes' own.
const MAX_NAMESPACE: usize = 63;

/// What the requests share.
pub(super) struct External {
    metrics: BTreeMap<String, Query>,
    evaluator: Evaluator,
    namespaces: Namespaces,
    askers: Askers,
    source: Source,
    authorities: Arc<Authorities>,
    cluster: ArcSwapOption<Cluster>,
    access: Access,
    part: Part,
}

/// What the Kubernetes API said last.
struct Cluster {
    api: Api,
    front_proxy: FrontProxy,
}

impl std::fmt::Debug for External {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("External").field("metrics", &self.metrics.keys()).finish_non_exhaustive()
    }
}

impl External {
    /// Answers for these metrics; `authorities` decide which clients the listener lets in.
    pub(super) fn new(
        metrics: BTreeMap<String, Query>,
        evaluator: Evaluator,
        namespaces: Namespaces,
        askers: Askers,
        (source, authorities): (Source, Arc<Authorities>),
        part: Part,
    ) -> Self {
        part.degraded("the Kubernetes API has not been asked yet");
        let (cluster, access) = (ArcSwapOption::empty(), Access::default());
        Self { metrics, evaluator, namespaces, askers, source, authorities, cluster, access, part }
    }

    /// What is served.
    pub(super) fn router(self: &Arc<Self>) -> Router {
        let external = self.clone();
        let vouched = Router::new()
            .route("/apis", get(|| async { Json(discovery::groups()) }))
            .route(discovery::GROUP_PATH, get(|| async { Json(discovery::group()) }))
            .route(discovery::VERSION_PATH, get(resources))
            .route(&format!("{}/namespaces/{{namespace}}/{{metric}}", discovery::VERSION_PATH), get(value))
            .fallback(nothing)
            .method_not_allowed_fallback(only_get)
            .layer(axum::middleware::from_fn_with_state(external, vouch))
            .with_state(self.clone());
        // Of the kubelet, which has no certificate.
        let health = || async { "ok" };
        Router::new()
            .route("/healthz", get(health))
            .route("/livez", get(health))
            .route("/readyz", get(health))
            .merge(vouched)
    }

    /// Follows what the cluster says of its front proxy, until cancelled.
    pub(super) async fn follow(&self, shutdown: CancellationToken) {
        let mut is_away = false;
        loop {
            let learned = self.learn().await;
            let pause = if learned.is_ok() { REFRESH } else { RETRY };
            match learned {
                Ok(()) => self.part.ready(),
                Err(error) => {
                    let error = whole(&error).to_string();
                    if !is_away {
                        tracing::warn!(
                            error,
                            "external metrics: the Kubernetes API does not say who its front proxy is"
                        );
                    }
                    self.part.degraded(&format!("the Kubernetes API does not say who its front proxy is: {error}"));
                }
            }
            is_away = pause == RETRY;
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn learn(&self) -> Result<(), kubernetes::Error> {
        let api = self.source.connect().await?;
        let map = api.authentication().await?;
        let front_proxy = FrontProxy::read(&map.data.unwrap_or_default()).map_err(kubernetes::Error::Configuration)?;
        self.authorities.set(front_proxy.client_ca.as_bytes()).map_err(kubernetes::Error::Configuration)?;
        self.cluster.store(Some(Arc::new(Cluster { api, front_proxy })));
        Ok(())
    }

    fn cluster(&self) -> Result<Arc<Cluster>, Failure> {
        let away = "the Kubernetes API has not said yet who its front proxy is; weir's log says why";
        self.cluster.load_full().ok_or_else(|| Failure::new(Reason::ServiceUnavailable, away))
    }
}

/// Lets in whom the front proxy vouches for.
async fn vouch(State(external): State<Arc<External>>, mut request: Request, next: Next) -> Response {
    let vouched = external.cluster().and_then(|cluster| {
        let client = request.extensions().get::<Peer>().and_then(|peer| peer.client.as_ref());
        let name = client.map(|client| client.common_name().unwrap_or_default());
        let user = cluster.front_proxy.user(name, request.headers());
        user.map_err(|refused| Failure::new(Reason::Unauthorized, refused)).map(|user| (cluster, user))
    });
    match vouched {
        Ok((cluster, user)) => {
            request.extensions_mut().insert((cluster, user));
            next.run(request).await
        }
        Err(failure) => failure.into_response(),
    }
}

async fn nothing(OriginalUri(address): OriginalUri) -> Failure {
    Failure::new(Reason::NotFound, format!("there is nothing at {}", address.path()))
}

async fn only_get() -> Failure {
    Failure::new(Reason::MethodNotAllowed, "metrics are read with GET alone")
}

async fn resources(State(external): State<Arc<External>>) -> Json<serde_json::Value> {
    Json(discovery::resources(external.metrics.keys()))
}

async fn value(
    State(external): State<Arc<External>>,
    Extension((cluster, user)): Extension<(Arc<Cluster>, User)>,
    Path((namespace, metric)): Path<(String, String)>,
    parameters: Result<Parameters<BTreeMap<String, String>>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<serde_json::Value>, Failure> {
    if namespace.len() > MAX_NAMESPACE || metric.len() > MAX_NAME {
        let right = format!("a namespace has at most {MAX_NAMESPACE} bytes, a metric's name {MAX_NAME}");
        return Err(Failure::new(Reason::BadRequest, right));
    }
    external.access.check(&cluster.api, &user, &namespace, &metric).await?;
    let there = || external.metrics.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let query = external.metrics.get(&metric).ok_or_else(|| {
        Failure::new(Reason::NotFound, format!("there is no metric «{metric}»; there are: {}", there()))
    })?;
    let Parameters(mut parameters) = parameters.map_err(|error| Failure::new(Reason::BadRequest, error.to_string()))?;
    let selector = parameters.remove("labelSelector").unwrap_or_default();
    if selector.len() > MAX_SELECTOR {
        return Err(Failure::new(Reason::BadRequest, format!("labelSelector: longer than {MAX_SELECTOR} bytes")));
    }
    let tenants = external.namespaces.tenants(&namespace);
    let about = About { tenants: tenants.clone().ok(), target: None, activation: None };
    let answer = async {
        let matchers = selector::matchers(&selector, query)?;
        external.evaluator.value(query, &matchers, &tenants?).await
    };
    let answer = answer.await;
    let name = user.name.clone();
    let asker = Asker {
        kind: Kind::ExternalMetrics,
        namespace,
        name,
        metric: metric.clone(),
        query: query.text().to_owned(),
        selector,
    };
    let noted = answer.as_ref().map(|answer| (answer.value, None, answer.time_ms));
    external.askers.note(asker, about, noted, now_unix_ms());
    Ok(Json(list(&metric, &answer.map_err(Failure::from)?)))
}

/// `ExternalMetricValueList` of one value.
fn list(metric: &str, answer: &Answer) -> serde_json::Value {
    let labels: BTreeMap<_, _> = answer.labels.iter().filter(|(name, _)| *name != "__name__").collect();
    let seconds = answer.time_ms.div_euclid(1000).saturating_mul(1_000_000_000);
    json!({
        "kind": "ExternalMetricValueList",
        "apiVersion": discovery::API_VERSION,
        "metadata": {},
        "items": [{
            "metricName": metric,
            "metricLabels": labels,
            "timestamp": weir_service::time::format(seconds),
            "value": quantity::quantity(answer.value),
        }],
    })
}

impl From<Unanswered> for Failure {
    fn from(error: Unanswered) -> Self {
        let reason = match &error {
            Unanswered::Wrong(_) => Reason::BadRequest,
            Unanswered::Unmapped(_) => Reason::Forbidden,
            Unanswered::Unknown | Unanswered::Late { .. } => Reason::ServiceUnavailable,
            Unanswered::Absent(_) => Reason::NotFound,
            Unanswered::Several { .. }
            | Unanswered::NotFinite { .. }
            | Unanswered::Histogram(_)
            | Unanswered::Query(_) => Reason::Invalid,
            Unanswered::Slow(_) => Reason::Timeout,
            Unanswered::Busy(_) => Reason::TooManyRequests,
        };
        Self::new(reason, error.to_string())
    }
}
