//! A pod's life.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use serde_json::json;
use weir_proto::attribute;

use super::cluster::{Cluster, Durable, NODE};
use super::found::Facts;

/// When a pod goes, and its folder some time after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    /// As soon as it has written its lines; its folder, when the collector has its files open.
    AtOnce,
    /// When its first lines are on the bus; its folder, when all are. A collector may be killed meanwhile.
    OnceRead,
}

pub(super) struct Pod {
    /// What its lines begin with.
    text: String,
    uid: String,
    pub(super) folder: PathBuf,
    facts: Facts,
}

impl Pod {
    /// Some name their tenant by a label, some by an annotation, some not, and some have no labels at all.
    pub(super) fn born(cluster: &Cluster, name: u64, generation: u64) -> Self {
        let (namespace, mut tenant) =
            if name.is_multiple_of(2) { ("team-a", "default".into()) } else { ("team-b", "acme".into()) };
        let (mut labels, mut annotations) = (BTreeMap::new(), BTreeMap::new());
        let kind = (name / 2 + generation) % 4;
        if kind < 3 {
            labels.insert("app".to_owned(), format!("app-{name}-{generation}"));
        }
        if kind < 2 {
            let named = format!("tenant-{}", (name + 3 * generation) % 7);
            let place = if kind == 0 { &mut labels } else { &mut annotations };
            place.insert("weir.io/tenant".to_owned(), named.clone());
            tenant = if cluster.kubernetes.is_object() { named } else { tenant };
        }
        let bare = format!("worker-{name}");
        let whole = format!("{namespace}/{bare}");
        let uid = cluster.server.create(NODE, &whole, &json!(labels), &json!(annotations));
        cluster.alive.lock().insert(uid.clone(), (whole, Vec::new()));
        let facts = [
            (attribute::TENANT, tenant.as_str()),
            ("k8s.namespace.name", namespace),
            ("k8s.pod.name", &bare),
            ("k8s.pod.uid", &uid),
            ("k8s.container.name", "main"),
        ];
        let mut facts: Facts = facts.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        if cluster.kubernetes.is_object() {
            facts.extend(labels.into_iter().map(|(key, value)| (format!("k8s.pod.label.{key}"), value)));
        }
        if let Some(node) = cluster.kubernetes["node"].as_str() {
            facts.insert("k8s.node.name".to_owned(), node.to_owned());
        }
        let folder = cluster.folder.path().join("logs").join(format!("{namespace}_{bare}_{uid}"));
        Self { text: format!("{bare} {generation}"), uid, folder, facts }
    }

    /// It writes its lines and goes.
    pub(super) async fn live(&self, cluster: &Cluster, going: Going, rng: &mut Xoshiro256PlusPlus) -> Vec<Log> {
        pause(rng, 100).await;
        fs::create_dir_all(self.folder.join("main")).unwrap();
        let mut logs = Vec::new();
        // Some containers are restarted.
        for restarts in 0..=u64::from(rng.random_ratio(1, 10)) {
            let mut log = Log::new(self, restarts);
            if let Some((_, paths)) = cluster.alive.lock().get_mut(&self.uid) {
                paths.push(log.path.clone());
            }
            for _ in 0..4 {
                log.line(cluster);
                pause(rng, 60).await;
            }
            logs.push(log);
        }
        // One of which there are lines on the bus is deleted while the collector is not running.
        let is_gone = || !cluster.alive.lock().contains_key(&self.uid);
        if going == Going::OnceRead {
            let are_there = |durable: &Durable| logs.iter().all(|log| durable.get(&log.path) > Some(&0));
            let what = format!("the first lines of {} are on the bus", self.text);
            cluster.until_durable(&what, |durable| are_there(durable) || is_gone()).await;
        }
        if !is_gone() {
            let _may = cluster.deaths.read().await;
            if let Some((name, _)) = cluster.alive.lock().remove(&self.uid) {
                cluster.server.delete(&name);
            }
        }
        // What it wrote last is read when it is gone.
        for log in &mut logs {
            log.line(cluster);
        }
        logs
    }
}

/// A container's log file.
pub(super) struct Log {
    pub(super) path: String,
    text: String,
    facts: Facts,
    lines: u64,
    pub(super) bytes: u64,
}

impl Log {
    fn new(pod: &Pod, restarts: u64) -> Self {
        let path = pod.folder.join("main").join(format!("{restarts}.log")).to_str().unwrap().to_owned();
        let mut facts = pod.facts.clone();
        facts.insert("k8s.container.restart_count".to_owned(), restarts.to_string());
        Self { path, text: format!("{} {restarts}", pod.text), facts, lines: 0, bytes: 0 }
    }

    fn line(&mut self, cluster: &Cluster) {
        let body = format!("{} {}", self.text, self.lines);
        let time = weir_service::time::format(weir_service::time::now_unix_nano());
        let line = format!("{time} stdout F {body}\n");
        cluster.lines.lock().insert(body, self.facts.clone());
        let mut file = fs::File::options().create(true).append(true).open(&self.path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
        self.lines += 1;
        self.bytes += line.len() as u64;
        cluster.bytes.fetch_add(line.len() as u64, Ordering::Relaxed);
    }
}

async fn pause(rng: &mut Xoshiro256PlusPlus, most: u64) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(0..most))).await;
}
