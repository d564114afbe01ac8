//! Questions to the API server: of pods the metadata alone, or all of one node's; every answer is bounded in bytes and in
//! time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use http::StatusCode;
use http_body_util::{BodyExt as _, Collected, LengthLimitError, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::Pod as ApiPod;
use kube::api::{ListParams, WatchParams};
use kube::client::{Body, Client, ConfigExt as _};
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Config, Resource as _};
use serde::Deserialize;
use tokio::time::{Instant, timeout, timeout_at};

use super::resources::{Spec, Status, lenient};

/// Pods of one page; fewer where a page of them is larger than [`MOST_PAGE`], since each pod may have a quarter of a
/// megabyte of annotations.
pub(super) const PAGES: [u32; 3] = [500, 50, 5];
const MOST_PAGE: usize = 16 << 20;
/// One event: an object in etcd is at most 1.5 MB.
const MOST_EVENT: usize = 4 << 20;
/// What is read of the reason why something was refused.
const MOST_REFUSAL: usize = 64 << 10;
/// Until an answer begins, and until a page is whole.
const ANSWER: Duration = Duration::from_secs(30);

/// Why the API server cannot be asked, or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig that was given cannot be used.
    #[error("collector.kubernetes.kubeconfig: {}: {reason}", path.display())]
    Kubeconfig {
        /// Which.
        path: PathBuf,
        /// Why; its text has all causes in it already.
        reason: Box<KubeconfigError>,
    },
    /// The service account of the pod that the collector runs in cannot be used.
    #[error("the service account of this pod cannot be used")]
    Account(#[from] InClusterError),
    /// The server was not reached, or broke off.
    #[error("the API server was not reached")]
    Client(#[from] Box<kube::Error>),
    /// It refused.
    #[error("the API server says {status}: {message}")]
    Refused {
        /// Of HTTP, or of an event.
        status: u16,
        /// In its words.
        message: String,
    },
    /// What was asked for is too old for it to know what came since.
    #[error("the API server does not know any more what came after the last event")]
    Expired,
    /// More bytes than are taken.
    #[error("the API server's answer is larger than {0} bytes")]
    Large(usize),
    /// It answers nothing.
    #[error("the API server did not answer within {0:?}")]
    Late(Duration),
    /// What it answers is no JSON of pods.
    #[error("the API server's answer is not understood")]
    Answer(#[from] serde_json::Error),
    /// A task ended.
    #[error("the question was given up")]
    GivenUp,
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Client(Box::new(error))
    }
}

/// Whom to ask, and as whom.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// As the service account of the pod that the collector runs in.
    Pod,
    /// As the current context of a file says.
    Kubeconfig(PathBuf),
}

impl Source {
    /// What is configured, as it is now: a token and an authority may have been replaced.
    pub(super) async fn config(&self) -> Result<Config, Error> {
        let Self::Kubeconfig(path) = self else { return Ok(Config::incluster()?) };
        let wrong = |reason| Error::Kubeconfig { path: path.clone(), reason: Box::new(reason) };
        let (file, current) = (Kubeconfig::read_from(path).map_err(wrong)?, KubeConfigOptions::default());
        Config::from_custom_kubeconfig(file, &current).await.map_err(wrong)
    }
}

/// Asks for the pods of one node, or of all.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) source: Source,
    pub(super) node: Option<Arc<str>>,
    /// Asks for whole pods, rather than for their metadata.
    pub(super) whole: bool,
}

/// Metadata of a pod, as far as it is of interest.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

/// A pod, or of an event also why the watch ends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Object {
    pub(super) metadata: Metadata,
    #[serde(deserialize_with = "lenient")]
    pub(super) spec: Spec,
    /// Of a pod; why a watch ends has a text here.
    #[serde(deserialize_with = "lenient")]
    pub(super) status: Status,
    code: u16,
    message: String,
}

/// Part of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) metadata: PageMetadata,
    pub(super) items: Option<Vec<Object>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageMetadata {
    /// From where to watch.
    pub(super) resource_version: String,
    /// How to ask for the next page.
    pub(super) r#continue: Option<String>,
}

/// What happened to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Kind {
    Added,
    Modified,
    Deleted,
    /// To no pod: the version alone moved on.
    Bookmark,
    Error,
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    pub(super) object: Object,
}

impl Api {
    /// A connection of its own, with the token and the authority that are there now. Reads files, and may run what the
    /// kubeconfig says.
    pub(super) async fn connect(&self) -> Result<Connection, Error> {
        let (source, runtime) = (self.source.clone(), tokio::runtime::Handle::current());
        let client = tokio::task::spawn_blocking(move || client(&runtime.block_on(source.config())?));
        Ok(Connection {
            client: client.await.map_err(|_| Error::GivenUp)??,
            node: self.node.clone(),
            whole: self.whole,
        })
    }
}

/// [`Client`]'s own stack less its retries, which would hide a server that is away, and its log, which tells every
/// failure as an error.
fn client(config: &Config) -> Result<Client, Error> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(ANSWER));
    // Half of a connection may be gone without a word.
    connector.set_keepalive(Some(Duration::from_secs(30)));
    connector.set_keepalive_interval(Some(Duration::from_secs(15)));
    connector.set_keepalive_retries(Some(4));
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = tower::ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .map_err(tower::BoxError::from)
        .service(client);
    Ok(Client::new(service, config.default_namespace.as_str()))
}

/// A connection to the API server.
#[derive(Clone)]
pub(super) struct Connection {
    client: Client,
    node: Option<Arc<str>>,
    whole: bool,
}

impl Connection {
    fn fields(&self) -> Option<String> {
        self.node.as_ref().map(|node| format!("spec.nodeName={node}"))
    }

    async fn ask(&self, request: http::Request<Vec<u8>>) -> Result<Body, Error> {
        let answer = timeout(ANSWER, self.client.send(request.map(Body::from)));
        let answer = answer.await.map_err(|_| Error::Late(ANSWER))??;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer.into_body());
        }
        if status == StatusCode::GONE {
            return Err(Error::Expired);
        }
        // The server's words, where they are its own and not a proxy's page.
        let said = timeout(ANSWER, Limited::new(answer.into_body(), MOST_REFUSAL).collect()).await;
        let said = said.ok().and_then(Result::ok).map(Collected::to_bytes).unwrap_or_default();
        let said = serde_json::from_slice::<Object>(&said).map(|object| object.message).unwrap_or_default();
        let message = if said.is_empty() { status.canonical_reason().unwrap_or_default().to_owned() } else { said };
        Err(Error::Refused { status: status.as_u16(), message })
    }

    /// A page of the pods that there are.
    pub(super) async fn page(&self, limit: u32, next: Option<&str>) -> Result<Page, Error> {
        let parameters = ListParams {
            field_selector: self.fields(),
            limit: Some(limit),
            continue_token: next.map(str::to_owned),
            ..ListParams::default()
        };
        let request = kube::core::Request::new(ApiPod::url_path(&(), None));
        let request = if self.whole { request.list(&parameters) } else { request.list_metadata(&parameters) };
        let body = self.ask(request.map_err(kube::Error::BuildRequest)?).await?;
        let body = timeout(ANSWER, Limited::new(body, MOST_PAGE).collect()).await.map_err(|_| Error::Late(ANSWER))?;
        let body = body.map_err(|error| match error.downcast::<kube::Error>() {
            Ok(error) => Error::Client(error),
            Err(error) if error.is::<LengthLimitError>() => Error::Large(MOST_PAGE),
            Err(error) => kube::Error::Service(error).into(),
        })?;
        Ok(serde_json::from_slice(&body.to_bytes())?)
    }

    /// What happens to pods after `version`, for so long; the server ends it then, and where it does not it is ended
    /// `grace` later.
    pub(super) async fn watch(&self, version: &str, time: Duration, grace: Duration) -> Result<Watch, Error> {
        let parameters = WatchParams {
            field_selector: self.fields(),
            timeout: Some(time.as_secs().max(1) as u32),
            ..WatchParams::default()
        };
        let request = kube::core::Request::new(ApiPod::url_path(&(), None));
        let request =
            if self.whole { request.watch(&parameters, version) } else { request.watch_metadata(&parameters, version) };
        let body = self.ask(request.map_err(kube::Error::BuildRequest)?).await?;
        let patience = time + grace;
        Ok(Watch { body, buffer: BytesMut::new(), searched: 0, patience, end: Instant::now() + patience })
    }
}

/// Events as they come.
#[derive(Debug)]
pub(super) struct Watch {
    body: Body,
    buffer: BytesMut,
    /// So many bytes of the buffer have no newline.
    searched: usize,
    patience: Duration,
    end: Instant,
}

impl Watch {
    /// The next event, or none where the server ended it.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let at = memchr::memchr(b'\n', &self.buffer[self.searched..]).map(|at| self.searched + at);
            if let Some(at) = at {
                let line = self.buffer.split_to(at);
                self.buffer.advance(1);
                self.searched = 0;
                let event: Event = serde_json::from_slice(&line)?;
                return match event.kind {
                    Kind::Error if event.object.code == StatusCode::GONE => Err(Error::Expired),
                    Kind::Error => Err(Error::Refused { status: event.object.code, message: event.object.message }),
                    _ => Ok(Some(event)),
                };
            }
            self.searched = self.buffer.len();
            if self.searched > MOST_EVENT {
                return Err(Error::Large(MOST_EVENT));
            }
            let frame = timeout_at(self.end, self.body.frame()).await.map_err(|_| Error::Late(self.patience))?;
            match frame {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
