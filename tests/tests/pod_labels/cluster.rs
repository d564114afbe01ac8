//! Pods, the API server that knows them, and the collector that reads them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use serde_json::{Value, json};
use tokio::sync::{RwLock, watch};
use tokio::task::JoinSet;
use weir_bus::{Bus, Options};
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value as Any;
use weir_proto::otlp::common::v1::{AnyValue, KeyValue};
use weir_proto::{Origin, attribute, header, topic};
use weir_tests::{Api, Weir, messages, number, until};

use super::found::{Facts, Found};
use super::pod::{Going, Log, Pod};
use super::server::Server;

pub(super) const NODE: &str = "node-1";
/// How long anything may take on a machine that is busy with something else.
pub(super) const PATIENCE: Duration = Duration::from_mins(2);

/// Bytes of each file, by its path, that the collector has brought to the bus; of all together under the empty path.
pub(super) type Durable = HashMap<String, u64>;

/// What goes wrong with the API server.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    Disconnected,
    NewToken,
    /// The watch is told that what it would go on from is forgotten.
    Expired,
    /// The next one gets that for an answer.
    Forgotten,
}

/// Pods with their log folders, an API server that knows them, and a collector that reads them.
pub(super) struct Cluster {
    pub(super) folder: tempfile::TempDir,
    pub(super) server: Server,
    /// The collector's options.
    pub(super) kubernetes: Value,
    /// What is to be found, by the line's text.
    pub(super) lines: Mutex<HashMap<String, Facts>>,
    pub(super) bytes: AtomicU64,
    /// Names and log files of the pods that are there, by uid.
    pub(super) alive: Mutex<BTreeMap<String, (String, Vec<String>)>>,
    /// No pod goes while this is held for writing.
    pub(super) deaths: RwLock<()>,
    api: Mutex<Option<Api>>,
    durable: watch::Sender<Durable>,
}

impl Cluster {
    pub(super) async fn new(mut kubernetes: Value) -> Arc<Self> {
        let (folder, server) = (tempfile::tempdir().unwrap(), Server::start().await);
        let path = folder.path().join("kubeconfig");
        server.kubeconfig(&path);
        if let Some(options) = kubernetes.as_object_mut() {
            options.insert("kubeconfig".to_owned(), json!(path));
        }
        let cluster = Self {
            folder,
            server,
            kubernetes,
            lines: Mutex::default(),
            bytes: AtomicU64::new(0),
            alive: Mutex::default(),
            deaths: RwLock::default(),
            api: Mutex::default(),
            durable: watch::Sender::default(),
        };
        cluster.token("one");
        Arc::new(cluster)
    }

    /// Only who has this token is let in from now on.
    fn token(&self, token: &str) {
        self.server.require(token);
        fs::write(self.folder.path().join("token"), token).unwrap();
    }

    /// What reads the logs, as this role.
    pub(super) fn weir(&self, role: &'static str) -> Weir {
        let config = json!({
            "listen": "127.0.0.1:0",
            "collector": {
                "files": [{ "include": [self.folder.path().join("logs/*/*/*.log")], "format": "cri" }],
                "otlp": { "grpc": null, "http": null },
                "tenant": { "namespaces": { "team-b": "acme" } },
                "kubernetes": self.kubernetes,
                "host": null,
                "gpu": null,
                // One that was closed for others cannot be opened again when its folder is gone.
                "max_open_files": 900,
            },
        });
        Weir::new(role, &self.folder.path().join("weir"), &config).unwrap()
    }

    /// Asks the collector at this address from now on.
    pub(super) fn reach(self: &Arc<Self>, url: &str) {
        if self.api.lock().replace(Api::new(url).unwrap()).is_some() {
            return;
        }
        let cluster = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(cluster) = cluster.upgrade() {
                cluster.ask().await;
                drop(cluster);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }

    /// What is durable now, if the collector is there.
    pub(super) async fn ask(&self) {
        let api = self.api.lock().clone().unwrap();
        let Ok((200, answer)) = api.get("/api/v1/collector/sources", &[]).await else { return };
        let row = |row: &Value| (row["path"].as_str().unwrap_or("").to_owned(), row["acknowledged"].as_u64().unwrap());
        let rows = answer["sources"].as_array().unwrap().iter().chain([&answer["total"]]);
        self.durable.send_replace(rows.map(row).collect());
    }

    pub(super) async fn until_durable(&self, what: &str, holds: impl Fn(&Durable) -> bool) {
        let mut durable = self.durable.subscribe();
        let held = tokio::time::timeout(PATIENCE, durable.wait_for(holds)).await;
        assert!(held.is_ok_and(|held| held.is_ok()), "not so after {PATIENCE:?}: {what}");
    }

    pub(super) async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let held = until(PATIENCE, || std::future::ready(holds().then_some(()))).await;
        held.unwrap_or_else(|| panic!("not so after {PATIENCE:?}: {what}; {:?}", self.server.asked()));
    }

    /// Waits until all that was written is on the bus. If it never is, [`Self::check`] tells what is missing.
    pub(super) async fn settled(&self) {
        let bytes = self.bytes.load(Ordering::Relaxed);
        let mut durable = self.durable.subscribe();
        let _ = tokio::time::timeout(PATIENCE, durable.wait_for(|durable| durable.get("") == Some(&bytes))).await;
    }

    /// So many pods at a time, and so many generations of them: each takes the name of the one before it.
    pub(super) async fn populate(self: Arc<Self>, names: u64, generations: u64, going: Going) {
        let mut lives = JoinSet::new();
        for name in 0..names {
            let cluster = Arc::clone(&self);
            lives.spawn(async move {
                let seed = number("WEIR_E2E_SEED", 1).wrapping_mul(1_000).wrapping_add(name);
                let (mut rng, mut removals) = (Xoshiro256PlusPlus::seed_from_u64(seed), JoinSet::new());
                for generation in 0..generations {
                    let pod = Pod::born(&cluster, name, generation);
                    let logs = pod.live(&cluster, going, &mut rng).await;
                    if generation % 2 == 0 {
                        removals.spawn(Arc::clone(&cluster).remove(pod.folder, logs, going));
                    }
                }
                removals.join_all().await;
            });
        }
        lives.join_all().await;
    }

    /// Removes the folder of a pod that is gone.
    async fn remove(self: Arc<Self>, folder: PathBuf, logs: Vec<Log>, going: Going) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let is_read = |durable: &Durable, log: &Log| match durable.get(&log.path) {
            Some(bytes) => going == Going::AtOnce || *bytes == log.bytes,
            None => false,
        };
        let what = format!("the lines in {} are read", folder.display());
        self.until_durable(&what, |durable| logs.iter().all(|log| is_read(durable, log))).await;
        fs::remove_dir_all(folder).unwrap();
    }

    /// Waits a while until there are pods of which lines are on the bus: at the end there may be none any more.
    pub(super) async fn until_some_are_read(&self) {
        let _ = until(Duration::from_secs(5), || async {
            self.ask().await;
            let (durable, alive) = (self.durable.borrow(), self.alive.lock());
            alive.values().any(|(_, logs)| logs.iter().any(|log| durable.get(log) > Some(&0))).then_some(())
        })
        .await;
    }

    /// Deletes the pods of which lines are on the bus; gives their number.
    pub(super) fn delete_read(&self) -> usize {
        let (durable, mut alive) = (self.durable.borrow(), self.alive.lock());
        let is_read = |logs: &[String]| logs.iter().any(|log| durable.get(log) > Some(&0));
        let gone = alive.extract_if(.., |_, (_, logs)| is_read(logs)).map(|(_, (name, _))| self.server.delete(&name));
        gone.count()
    }

    pub(super) async fn make(&self, trouble: Trouble, turn: usize) {
        match trouble {
            Trouble::Disconnected => self.server.disconnect(),
            Trouble::NewToken => {
                self.token(&format!("token-{turn}"));
                self.server.disconnect();
            }
            Trouble::Expired | Trouble::Forgotten => {
                // Nobody would be told of a pod that comes before this and goes before the next list.
                let _none_goes = self.deaths.write().await;
                let (version, _) = self.server.versions();
                self.until("a watch has told everything", || self.server.versions().1 >= version).await;
                let watches = self.server.asked().watches;
                if matches!(trouble, Trouble::Expired) {
                    self.server.expire();
                } else {
                    self.server.disconnect();
                    self.server.forget();
                }
                self.until("there is a new watch", || self.server.asked().watches > watches).await;
            }
        }
    }

    /// Every line that was written is on the bus once, with what is to be told of it. Gives how many were sent again,
    /// which a reader tells by their origins.
    pub(super) async fn check(&self) -> u64 {
        let bus = Bus::open(&Options::default(), &self.folder.path().join("weir/data")).await.unwrap();
        let (mut found, mut again) = (Found::default(), 0);
        let mut marks: HashMap<String, u64> = HashMap::new();
        for message in messages(&bus, topic::LOGS).await.unwrap() {
            let origin = std::str::from_utf8(message.header(header::ORIGIN).unwrap()).unwrap();
            let origin: Origin = origin.parse().unwrap();
            let mark = marks.entry(origin.identity).or_default();
            let request: ExportLogsServiceRequest = prost::Message::decode(message.value).unwrap();
            for logs in request.resource_logs {
                let resource = logs.resource.unwrap().attributes;
                for record in logs.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
                    let offset = record.attributes.iter().find(|one| one.key == attribute::FILE_OFFSET);
                    match offset.and_then(|one| one.value.clone()?.value) {
                        Some(Any::IntValue(offset)) if offset as u64 >= *mark => {}
                        Some(Any::IntValue(_)) => {
                            again += 1;
                            continue;
                        }
                        _ => panic!("{record:?}"),
                    }
                    let texts = |one: &KeyValue| Some((one.key.clone(), text(one.value.as_ref())?));
                    found.add(&text(record.body.as_ref()).unwrap(), resource.iter().filter_map(texts));
                }
            }
            *mark = origin.end.max(*mark);
        }
        found.check(&self.lines.lock());
        again
    }
}

fn text(value: Option<&AnyValue>) -> Option<String> {
    match value?.value.clone()? {
        Any::StringValue(text) => Some(text),
        _ => None,
    }
}
