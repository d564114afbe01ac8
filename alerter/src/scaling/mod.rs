//! Values that autoscalers ask for: one query, one number, at the event time up to which everything is here.
//!
//! ```text
//!  ScaledObject ── KEDA ── gRPC ───────────────┐
//!                                              ├─ answer: which event time, which tenant, one value or an error
//!  HorizontalPodAutoscaler ── Kubernetes ──────┘
//! ```
//! Two faces ([`keda`], [`external`]) ask one evaluator ([`evaluate`]), which decides by pure functions ([`answer`]).

mod answer;
mod askers;
mod evaluate;
mod external;
mod keda;
mod listener;
mod namespaces;
mod options;
mod trigger;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::Routes as GrpcRoutes;
use weir_proto::externalscaler::external_scaler_server::ExternalScalerServer;
use weir_service::Context;
use weir_service::http::Routes;
use weir_service::telemetry::whole;
use weir_service::tls::{Authorities, TlsError};

pub use self::namespaces::NamespaceTenants;
pub use self::options::{ExternalMetricsOptions, KedaOptions, MetricOptions};

use self::askers::Askers;
use self::evaluate::Evaluator;
use self::external::{External, Source};
use self::keda::Keda;
use self::listener::Listener;
use self::namespaces::Namespaces;
use crate::api::Sight;
use crate::options::Options;

/// A message of KEDA's, in bytes: a query has at most 16 KiB, and Kubernetes' objects 1.5 MB.
const MAX_MESSAGE: usize = 256 << 10;

/// Until an answer begins, the time in which the request comes included.
const ANSWER: Duration = Duration::from_secs(20);

/// Autoscaling could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The metrics of the Kubernetes API.
    #[error("alerter.{0}")]
    Metrics(String),
    /// Nobody to ask what users may.
    #[error(
        "alerter.external_metrics.kubeconfig: {0}; run in a pod with the token of a service account, or name a kubeconfig"
    )]
    Kubernetes(String),
    /// An address that cannot be listened on.
    #[error("alerter.{key}: cannot listen on {address}")]
    Bind {
        /// Of the configuration.
        key: &'static str,
        /// As configured.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the configuration is to blame.
    pub(crate) fn is_configuration(&self) -> bool {
        !matches!(self, Self::Bind { .. })
    }
}

/// The faces, bound; they answer from [`Scaling::run`] on.
#[derive(Debug)]
pub(crate) struct Scaling {
    keda: Option<(Listener, Keda)>,
    external: Option<(Listener, Arc<External>)>,
    shutdown: CancellationToken,
}

/// What others may ask of it; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    askers: Askers,
    keda: Option<String>,
    external: Option<String>,
}

impl Handle {
    /// Its HTTP paths.
    pub(crate) fn routes(&self) -> Routes {
        self.askers.routes()
    }

    /// Where KEDA is listened to, as a URL.
    pub(crate) fn keda_grpc(&self) -> Option<String> {
        self.keda.clone()
    }

    /// Where kube-apiserver is listened to, as a URL.
    pub(crate) fn external_metrics(&self) -> Option<String> {
        self.external.clone()
    }
}

impl Scaling {
    /// Binds what is configured.
    pub(crate) async fn open(options: &Options, context: &Context, sight: Sight) -> Result<(Handle, Self), Error> {
        let shutdown = CancellationToken::new();
        let evaluator = Evaluator::new(sight, options.late_after.0);
        let namespaces = Namespaces::new(context.auth.clone(), options.namespaces.clone());
        let askers = Askers::default();
        let keda = match &options.keda {
            Some(keda) => {
                let listener = Listener::keda(keda, &context.meter).await?;
                let (evaluator, namespaces) = (evaluator.clone(), namespaces.clone());
                Some((listener, Keda::new(evaluator, namespaces, askers.clone(), shutdown.clone())))
            }
            None => None,
        };
        let external = match &options.external_metrics {
            Some(options) => {
                let metrics = options.queries().map_err(Error::Metrics)?;
                let source = Source::open(options.kubeconfig.clone()).await;
                let source = source.map_err(|error| Error::Kubernetes(whole(&error).to_string()))?;
                let authorities = Arc::new(Authorities::default());
                let listener = Listener::external(options, authorities.clone(), &context.meter).await?;
                let part = context.health.part("external metrics");
                let cluster = (source, authorities);
                let external = External::new(metrics, evaluator.apart(), namespaces, askers.clone(), cluster, part);
                Some((listener, Arc::new(external)))
            }
            None => None,
        };
        let handle = Handle {
            askers,
            keda: keda.as_ref().map(|(listener, _)| listener.url()),
            external: external.as_ref().map(|(listener, _)| listener.url()),
        };
        Ok((handle, Self { keda, external, shutdown }))
    }

    /// Answers until the `shutdown`; then ends what it has, within some seconds.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let streams = self.shutdown.drop_guard();
        let stop = async {
            shutdown.cancelled().await;
            drop(streams);
        };
        let keda = async {
            let Some((listener, keda)) = self.keda else { return };
            let service = ExternalScalerServer::new(keda).max_decoding_message_size(MAX_MESSAGE);
            let router = GrpcRoutes::new(service).into_axum_router();
            listener.serve(router.layer(axum::middleware::from_fn(in_time)), shutdown.clone()).await;
        };
        let external = async {
            let Some((listener, external)) = self.external else { return };
            tokio::join!(listener.serve(external.router(), shutdown.clone()), external.follow(shutdown.clone()));
        };
        tokio::join!(stop, keda, external);
    }
}

/// A message that never comes whole must not wait for ever. Streams begin to answer at once.
async fn in_time(request: axum::extract::Request, next: axum::middleware::Next) -> axum::response::Response {
    let answered = tokio::time::timeout(ANSWER, next.run(request)).await;
    answered.unwrap_or_else(|_| Status::deadline_exceeded(format!("no answer within {ANSWER:?}")).into_http())
}
