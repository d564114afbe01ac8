//! An API server that knows pods and nothing else, on loopback, as far as a client that lists and watches metadata can
//! tell: pages with continue tokens, watches in lines of JSON, bookmarks, versions that are forgotten, and what goes wrong
//! when it is told to. Needs nothing of the room, so that other tests can take it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

/// The server; it runs as long as its runtime does.
#[derive(Debug, Clone)]
pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    /// Counts what running watches have to look at.
    turn: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct World {
    version: u64,
    /// What came up to this version is forgotten.
    forgotten: u64,
    /// Pods by namespace and name, each with its node and its metadata.
    pods: BTreeMap<(String, String), (String, Value)>,
    /// `spec` and `status` of those that have them.
    runs: BTreeMap<(String, String), Value>,
    /// Whether who asks for more than metadata is answered.
    whole: bool,
    /// Version, node and event.
    events: Vec<(u64, String, Value)>,
    /// Some watch was told of all events up to this version.
    told: u64,
    /// The rest of lists that are not whole yet, by their continue tokens.
    pages: HashMap<String, (u64, Vec<Value>)>,
    uids: u64,
    token: Option<String>,
    failures: u32,
    silent: bool,
    loses_page: bool,
    /// Watches that began before it are cut off, without the end that HTTP would have.
    cut: u64,
    /// The same, but told that what they would go on from is forgotten.
    expired: u64,
    asked: Asked,
}

/// So many requests were answered.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) lists: u32,
    pub(super) pages: u32,
    pub(super) watches: u32,
    pub(super) refused: u32,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { world: Mutex::default(), turn: watch::Sender::new(0) });
        let router = Router::new().route("/api/v1/pods", get(answer)).with_state(shared.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { address, shared }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A kubeconfig that leads here, and takes its token from the file `token` beside it.
    pub(super) fn kubeconfig(&self, path: &Path) {
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "weir", "user": {"tokenFile": "token"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "weir"}}],
        });
        std::fs::write(path, text.to_string()).unwrap();
    }

    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let done = change(&mut self.shared.world.lock());
        self.shared.turn.send_modify(|turn| *turn += 1);
        done
    }

    /// Puts a pod there, by `namespace/name`, or in `team-a` by its name alone; gives its uid.
    pub(super) fn create(&self, node: &str, name: &str, labels: &Value, annotations: &Value) -> String {
        let uid = self.change(|world| {
            world.uids += 1;
            format!("00000000-0000-0000-0000-{:012}", world.uids)
        });
        let (namespace, bare) = key(name);
        // Much of what a real pod's metadata holds is of no interest.
        self.add(
            node,
            &json!({
                "namespace": namespace, "name": bare, "uid": uid, "labels": labels, "annotations": annotations,
                "creationTimestamp": null, "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:metadata": {}}}],
            }),
        );
        uid
    }

    /// Puts a pod there whose metadata is known.
    pub(super) fn add(&self, node: &str, metadata: &Value) {
        let name = ["namespace", "name"].map(|key| metadata[key].as_str().unwrap()).join("/");
        self.change(|world| world.happens("ADDED", node, &name, metadata.clone()));
    }

    /// A pod that is there has this `spec` and `status`; who asks for whole pods is answered from now on.
    #[allow(dead_code, reason = "some tests ask for metadata alone")]
    pub(super) fn run(&self, name: &str, spec: &Value, status: &Value) {
        self.change(|world| {
            world.whole = true;
            world.runs.insert(key(name), json!({"spec": spec, "status": status}));
            let (node, metadata) = world.pods[&key(name)].clone();
            world.happens("MODIFIED", &node, name, metadata);
        });
    }

    /// Gives a pod other labels.
    pub(super) fn label(&self, name: &str, labels: &Value) {
        self.change(|world| {
            let (node, mut metadata) = world.pods[&key(name)].clone();
            metadata["labels"] = labels.clone();
            world.happens("MODIFIED", &node, name, metadata);
        });
    }

    pub(super) fn delete(&self, name: &str) {
        self.change(|world| {
            let (node, metadata) = world.pods[&key(name)].clone();
            world.happens("DELETED", &node, name, metadata);
        });
    }

    /// Something happens that is of no interest to a watch: only bookmarks tell of it.
    pub(super) fn pass(&self) {
        self.change(|world| world.version += 1);
    }

    /// Tells every watch the version.
    pub(super) fn bookmark(&self) {
        self.change(|world| {
            let version = world.version;
            let object = json!({"kind": "PartialObjectMetadata", "metadata": {"resourceVersion": version.to_string()}});
            world.events.push((version, String::new(), json!({"type": "BOOKMARK", "object": object})));
        });
    }

    /// Forgets what came before now: who goes on from before gets 410 for an answer.
    pub(super) fn forget(&self) {
        self.change(|world| world.forgotten = world.version);
    }

    /// Forgets, and tells so in every watch.
    pub(super) fn expire(&self) {
        self.change(|world| {
            world.forgotten = world.version;
            world.pages.clear();
            world.expired += 1;
        });
    }

    /// Breaks every watch off.
    pub(super) fn disconnect(&self) {
        self.change(|world| world.cut += 1);
    }

    /// The next requests fail.
    pub(super) fn fail(&self, requests: u32) {
        self.change(|world| world.failures = requests);
    }

    /// Does not know the next page of a list any more.
    pub(super) fn lose_page(&self) {
        self.change(|world| world.loses_page = true);
    }

    /// Only who has this token is let in from now on.
    pub(super) fn require(&self, token: &str) {
        self.change(|world| world.token = Some(token.to_owned()));
    }

    /// Watches say nothing more, and do not end.
    pub(super) fn silence(&self, silent: bool) {
        self.change(|world| world.silent = silent);
    }

    pub(super) fn asked(&self) -> Asked {
        self.shared.world.lock().asked
    }

    /// The version that there is now, and the one up to which some watch was told of all that happened.
    #[allow(dead_code, reason = "for tests of the whole program")]
    pub(super) fn versions(&self) -> (u64, u64) {
        let world = self.shared.world.lock();
        (world.version, world.told)
    }
}

/// Namespace and name.
fn key(name: &str) -> (String, String) {
    let (namespace, name) = name.split_once('/').unwrap_or(("team-a", name));
    (namespace.to_owned(), name.to_owned())
}

impl World {
    fn happens(&mut self, kind: &str, node: &str, name: &str, mut metadata: Value) {
        self.version += 1;
        metadata["resourceVersion"] = json!(self.version.to_string());
        let key = key(name);
        if kind == "DELETED" {
            self.pods.remove(&key);
        } else {
            self.pods.insert(key, (node.to_owned(), metadata.clone()));
        }
        let object = self.object(name, &metadata);
        self.events.push((self.version, node.to_owned(), json!({"type": kind, "object": object})));
    }

    /// A pod as it is told: whole where it has more than metadata.
    fn object(&self, name: &str, metadata: &Value) -> Value {
        let mut object = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata});
        if let Some(runs) = self.runs.get(&key(name)).filter(|_| self.whole) {
            (object["kind"], object["apiVersion"]) = (json!("Pod"), json!("v1"));
            (object["spec"], object["status"]) = (runs["spec"].clone(), runs["status"].clone());
        }
        object
    }
}

fn refusal(status: StatusCode, message: &str) -> Response {
    let body = json!({"kind": "Status", "status": "Failure", "message": message, "code": status.as_u16()});
    (status, axum::Json(body)).into_response()
}

type Parameters = HashMap<String, String>;

async fn answer(
    State(shared): State<Arc<Shared>>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut world = shared.world.lock();
    let refused = if world.failures > 0 {
        world.failures -= 1;
        Some(refusal(StatusCode::SERVICE_UNAVAILABLE, "the server is starting"))
    } else if world.token.as_ref().is_some_and(|token| header("authorization") != format!("Bearer {token}")) {
        Some(refusal(StatusCode::UNAUTHORIZED, "Unauthorized"))
    } else if header("accept").contains("as=PartialObjectMetadata") == world.whole {
        Some(refusal(StatusCode::NOT_ACCEPTABLE, "metadata was to be asked for alone, or not alone"))
    } else {
        None
    };
    if let Some(refused) = refused {
        world.asked.refused += 1;
        return refused;
    }
    let node = parameters.get("fieldSelector").map(|selector| selector.strip_prefix("spec.nodeName=").unwrap());
    let node = node.map(str::to_owned);
    if parameters.contains_key("watch") {
        let from: u64 = parameters["resourceVersion"].parse().unwrap();
        if from < world.forgotten {
            world.asked.refused += 1;
            return refusal(StatusCode::GONE, "too old resource version");
        }
        world.asked.watches += 1;
        let began = (world.cut, world.expired);
        drop(world);
        let seconds = parameters["timeoutSeconds"].parse().unwrap();
        return events(shared, node, from, began, Duration::from_secs(seconds));
    }
    let (version, mut items) = if let Some(token) = parameters.get("continue") {
        let rest = world.pages.get(token).cloned();
        let Some(rest) = rest.filter(|_| !std::mem::take(&mut world.loses_page)) else {
            world.asked.refused += 1;
            return refusal(StatusCode::GONE, "the provided continue parameter is too old");
        };
        rest
    } else {
        world.asked.lists += 1;
        let pods = world.pods.values().filter(|(of, _)| node.as_ref().is_none_or(|node| node == of));
        let name = |metadata: &Value| ["namespace", "name"].map(|key| metadata[key].as_str().unwrap()).join("/");
        let pods = pods.map(|(_, metadata)| world.object(&name(metadata), metadata));
        (world.version, pods.collect())
    };
    world.asked.pages += 1;
    let rest = items.split_off(items.len().min(parameters["limit"].parse().unwrap()));
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if !rest.is_empty() {
        let token = format!("{version}/{}", world.asked.pages);
        metadata["continue"] = json!(token);
        world.pages.insert(token, (version, rest));
    }
    axum::Json(json!({"kind": "PartialObjectMetadataList", "metadata": metadata, "items": items})).into_response()
}

/// Events behind `from` as they come.
fn events(shared: Arc<Shared>, node: Option<String>, from: u64, began: (u64, u64), time: Duration) -> Response {
    let turn = shared.turn.subscribe();
    let end = tokio::time::Instant::now() + time;
    let at = shared.world.lock().events.partition_point(|(version, ..)| *version <= from);
    let next = move |(shared, mut turn, mut at): (Arc<Shared>, watch::Receiver<u64>, usize)| {
        let node = node.clone();
        async move {
            loop {
                turn.borrow_and_update();
                {
                    let mut world = shared.world.lock();
                    if at == usize::MAX {
                        return None;
                    }
                    if world.cut != began.0 {
                        drop(world);
                        return Some((Err(io::ErrorKind::ConnectionReset.into()), (shared, turn, usize::MAX)));
                    }
                    if !world.silent && world.expired != began.1 {
                        let status = json!({"kind": "Status", "code": 410, "message": "too old resource version"});
                        let line = format!("{}\n", json!({"type": "ERROR", "object": status}));
                        drop(world);
                        return Some((Ok(line), (shared, turn, usize::MAX)));
                    }
                    let mut lines = String::new();
                    while let Some((_, of, event)) = world.events.get(at).filter(|_| !world.silent) {
                        at += 1;
                        if of.is_empty() || node.as_ref().is_none_or(|node| node == of) {
                            lines.push_str(&event.to_string());
                            lines.push('\n');
                        }
                    }
                    if !lines.is_empty() {
                        drop(world);
                        return Some((Ok(lines), (shared, turn, at)));
                    }
                    let seen = at.checked_sub(1).map_or(0, |last| world.events[last].0);
                    world.told = world.told.max(seen);
                }
                tokio::select! {
                    _ = turn.changed() => {}
                    () = tokio::time::sleep_until(end), if !shared.world.lock().silent => return None,
                }
            }
        }
    };
    let lines = stream::unfold((shared, turn, at), next);
    // Parts of lines: where a chunk ends says nothing.
    let chunks = lines.flat_map(|lines: io::Result<String>| match lines {
        Ok(lines) => {
            let mut half = Bytes::from(lines);
            let rest = half.split_off(half.len() / 2);
            stream::iter(vec![Ok(half), Ok(rest)])
        }
        Err(error) => stream::iter(vec![Err(error)]),
    });
    Body::from_stream(chunks).into_response()
}
