//! Questions to the Kubernetes API, each answer bounded in bytes and in time.

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::authorization::v1::{SubjectAccessReview, SubjectAccessReviewStatus};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::{Body, Client, ConfigExt as _};
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Config, Resource as _};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// Until an answer is whole.
const ANSWER: Duration = Duration::from_secs(5);
/// A ConfigMap is at most 1 MiB; in JSON it may be larger.
const MAX_ANSWER: usize = 4 << 20;

/// Where the cluster says how its front proxy is known.
const NAMESPACE: &str = "kube-system";
const AUTHENTICATION: &str = "extension-apiserver-authentication";

/// Why the API cannot be asked, or did not answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::scaling) enum Error {
    #[error("the kubeconfig {} cannot be used", path.display())]
    Kubeconfig { path: PathBuf, source: Box<KubeconfigError> },
    #[error("the service account of this pod cannot be used")]
    Account(#[from] InClusterError),
    #[error("the API server was not reached")]
    Client(#[from] Box<kube::Error>),
    #[error("the API server says {status} to {path}: {message}")]
    Refused { status: u16, path: String, message: String },
    #[error("the API server's answer is larger than {MAX_ANSWER} bytes")]
    Large,
    #[error("the API server did not answer within {ANSWER:?}")]
    Late,
    #[error("the API server's answer is not understood")]
    Answer(#[from] serde_json::Error),
    #[error("ConfigMap {NAMESPACE}/{AUTHENTICATION}: {0}")]
    Configuration(String),
    #[error("the question broke off")]
    Broken,
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Client(Box::new(error))
    }
}

/// Whom to ask, and as whom.
#[derive(Debug, Clone)]
pub(in crate::scaling) enum Source {
    /// As the service account of the pod that the alerter runs in.
    Pod,
    /// As the current context of a file says.
    Kubeconfig(PathBuf),
}

impl Source {
    /// What the configuration names, if it can be used. Reads files.
    pub(in crate::scaling) async fn open(kubeconfig: Option<PathBuf>) -> Result<Self, Error> {
        let source = kubeconfig.map_or(Self::Pod, Self::Kubeconfig);
        source.config().await.map(|_| source)
    }

    async fn config(&self) -> Result<Config, Error> {
        let Self::Kubeconfig(path) = self else { return Ok(Config::incluster()?) };
        let wrong = |source| Error::Kubeconfig { path: path.clone(), source: Box::new(source) };
        let (file, current) = (Kubeconfig::read_from(path).map_err(wrong)?, KubeConfigOptions::default());
        Config::from_custom_kubeconfig(file, &current).await.map_err(wrong)
    }

    /// A client with the token and the authority that are there now. Reads files, and may run what the kubeconfig says.
    pub(super) async fn connect(&self) -> Result<Api, Error> {
        let (source, runtime) = (self.clone(), tokio::runtime::Handle::current());
        let client = tokio::task::spawn_blocking(move || client(&runtime.block_on(source.config())?));
        Ok(Api { client: client.await.map_err(|_| Error::Broken)?? })
    }
}

/// [`Client`]'s own stack less its retries and its log.
fn client(config: &Config) -> Result<Client, Error> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(ANSWER));
    connector.set_nodelay(true);
    connector.set_keepalive(Some(Duration::from_secs(30)));
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = tower::ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .map_err(tower::BoxError::from)
        .service(client);
    Ok(Client::new(service, config.default_namespace.as_str()))
}

/// The API.
#[derive(Clone)]
pub(super) struct Api {
    client: Client,
}

impl Api {
    /// How the front proxy is known.
    pub(super) async fn authentication(&self) -> Result<ConfigMap, Error> {
        let path = format!("{}/{AUTHENTICATION}", ConfigMap::url_path(&(), Some(NAMESPACE)));
        self.ask(http::Method::GET, path, Vec::new()).await
    }

    /// Whether somebody may do something.
    pub(super) async fn review(&self, review: &SubjectAccessReview) -> Result<SubjectAccessReviewStatus, Error> {
        let path = SubjectAccessReview::url_path(&(), None);
        let answered: SubjectAccessReview = self.ask(http::Method::POST, path, serde_json::to_vec(review)?).await?;
        Ok(answered.status.unwrap_or_default())
    }

    async fn ask<T: DeserializeOwned>(&self, method: http::Method, path: String, body: Vec<u8>) -> Result<T, Error> {
        let request = http::Request::builder().method(method).uri(&path);
        let request = request.header(http::header::CONTENT_TYPE, "application/json").body(Body::from(body));
        let request = request.map_err(kube::Error::HttpError)?;
        let whole = async {
            let answer = self.client.send(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
            let body =
                body.map_err(|error| if error.is::<LengthLimitError>() { Error::Large } else { Error::Broken })?;
            Ok::<_, Error>((status, body.to_bytes()))
        };
        let (status, body) = timeout(ANSWER, whole).await.map_err(|_| Error::Late)??;
        if status.is_success() {
            return Ok(serde_json::from_slice(&body)?);
        }
        // The server's words, where they are its own and not a proxy's page.
        let said = serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default();
        let said = said["message"].as_str().or(status.canonical_reason()).unwrap_or_default();
        let message = said.chars().filter(|c| !c.is_control()).take(500).collect();
        Err(Error::Refused { status: status.as_u16(), path, message })
    }
}
