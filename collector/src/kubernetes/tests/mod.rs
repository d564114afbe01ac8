//! Against an API server of the tests' own.

mod server;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use server::{Asked, Server};

const NODE: &str = "node-1";

/// A collector's side and the server's.
struct Pair {
    server: Server,
    folder: TempDir,
    kubernetes: Kubernetes,
}

fn quick() -> Settings {
    let waits = [Duration::from_millis(2), Duration::from_millis(20)];
    Settings { waits, steady: Duration::ZERO, catch_up: Duration::from_millis(10), ..Settings::default() }
}

fn connect(folder: &Path, settings: Settings) -> Kubernetes {
    connect_for(folder, settings, false)
}

fn connect_for(folder: &Path, settings: Settings, whole: bool) -> Kubernetes {
    let source = Source::Kubeconfig(folder.join("kubeconfig"));
    let api = Api { source, node: Some(NODE.into()), whole };
    Kubernetes::run(api, "weir.io/tenant", settings, &opentelemetry::global::meter("test"))
}

impl Pair {
    async fn new(settings: Settings, prepare: impl FnOnce(&Server)) -> Self {
        let (server, folder) = (Server::start().await, tempfile::tempdir().unwrap());
        server.kubeconfig(&folder.path().join("kubeconfig"));
        std::fs::write(folder.path().join("token"), "one").unwrap();
        prepare(&server);
        let kubernetes = connect(folder.path(), settings);
        Self { server, folder, kubernetes }
    }

    /// In step with what `prepare` left there.
    async fn in_step(prepare: impl FnOnce(&Server)) -> Self {
        let pair = Self::new(quick(), prepare).await;
        pair.until("it is in step", |pods| pods.state() == State::InStep).await;
        pair
    }

    fn create(&self, name: &str) -> String {
        self.server.create(NODE, name, &json!({"app": name}), &json!({}))
    }

    async fn until(&self, what: &str, holds: impl Fn(&Pods) -> bool) {
        until(what, || holds(&self.kubernetes.pods)).await;
    }

    async fn until_known(&self, uid: &str) {
        self.until(&format!("{uid} is known"), |pods| pods.by_uid(uid).is_some()).await;
    }

    fn label(&self, uid: &str) -> Option<String> {
        self.kubernetes.pods.by_uid(uid)?.value("app").map(str::to_owned)
    }

    fn is_gone(&self, uid: &str) -> bool {
        self.kubernetes.pods.by_uid(uid).unwrap().gone
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "not so after half a minute: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn every_page_of_the_list_is_taken_and_then_what_happens_to_this_nodes_pods() {
    let pair = Pair::in_step(|server| {
        for at in 0..1200 {
            server.create(NODE, &format!("web-{at}"), &json!({"app": "web"}), &json!({}));
        }
        server.create("node-2", "elsewhere", &json!({}), &json!({}));
    })
    .await;
    let pods = pair.kubernetes.pods();
    assert_eq!((pods.count(), pair.server.asked().pages), (1200, 3));
    let annotations = json!({"weir.io/tenant": "acme", "note": "not kept"});
    let uid = pair.server.create(NODE, "new", &json!({"app": "new", "tier": "front"}), &annotations);
    pair.server.create("node-2", "new-elsewhere", &json!({}), &json!({}));
    pair.until_known(&uid).await;
    let pod = pods.by_uid(&uid).unwrap();
    assert_eq!((pod.namespace.as_str(), pod.name.as_str(), pod.node.as_deref()), ("team-a", "new", Some(NODE)));
    assert!(pod.labels.len() == 2 && pod.annotations.len() == 1 && pod.value("weir.io/tenant") == Some("acme"));
    pair.server.label("new", &json!({"app": "newer"}));
    pair.until("its label changed", |_| pair.label(&uid).as_deref() == Some("newer")).await;
    pair.server.delete("new");
    pair.until("it is gone", |_| pair.is_gone(&uid)).await;
    assert_eq!((pair.label(&uid).as_deref(), pods.count()), (Some("newer"), 1200));
    assert_eq!(pair.server.asked(), Asked { lists: 1, pages: 3, watches: 1, refused: 0 });
}

#[tokio::test]
async fn where_the_machine_is_measured_it_is_known_how_this_nodes_pods_run() {
    let (server, folder) = (Server::start().await, tempfile::tempdir().unwrap());
    server.kubeconfig(&folder.path().join("kubeconfig"));
    std::fs::write(folder.path().join("token"), "one").unwrap();
    let resources = json!({"requests": {"cpu": "500m"}, "limits": {"nvidia.com/gpu": "1"}});
    let spec = json!({"nodeName": NODE, "containers": [{"name": "main", "resources": resources}]});
    let uid = server.create(NODE, "ocr", &json!({"app": "ocr"}), &json!({}));
    server.run("ocr", &spec, &json!({"phase": "Pending"}));
    let kubernetes = connect_for(folder.path(), quick(), true);
    let pods = kubernetes.pods();
    let main = Container {
        name: "main".to_owned(),
        requests: vec![("cpu".to_owned(), 0.5)],
        limits: vec![("nvidia.com/gpu".to_owned(), 1.0)],
    };
    let is = |phase: Phase| {
        let running = pods.running(std::time::Instant::now());
        let runs = Runs { phase, containers: vec![main.clone()] };
        running.iter().any(|(pod, found)| pod.uid == uid && **found == runs)
    };
    until("it is listed", || is(Phase::Pending)).await;
    until("it is in step", || pods.state() == State::InStep).await;
    server.run("ocr", &spec, &json!({"phase": "Running", "containerStatuses": [{"name": "main", "ready": true}]}));
    until("it runs", || is(Phase::Running)).await;
    // What ends a watch has a text for its status.
    server.expire();
    until("it is listed again", || server.asked().lists == 2).await;
    server.delete("ocr");
    until("it is gone", || pods.running(std::time::Instant::now()).is_empty()).await;
    assert_eq!(server.asked().refused, 0);
}

#[tokio::test]
async fn a_list_whose_rest_was_forgotten_begins_anew() {
    let pair = Pair::in_step(|server| {
        for at in 0..600 {
            server.create(NODE, &format!("web-{at}"), &json!({}), &json!({}));
        }
        server.lose_page();
    })
    .await;
    assert_eq!(pair.kubernetes.pods.count(), 600);
    assert_eq!(pair.server.asked(), Asked { lists: 2, pages: 3, watches: 1, refused: 1 });
}

#[tokio::test]
async fn a_page_that_is_too_large_is_asked_for_in_smaller_ones() {
    let pair = Pair::in_step(|server| {
        for at in 0..70 {
            server.create(NODE, &format!("web-{at}"), &json!({}), &json!({"note": "x".repeat(250 << 10)}));
        }
    })
    .await;
    assert_eq!((pair.kubernetes.pods.count(), pair.server.asked().pages), (70, 3));
}

#[tokio::test]
async fn a_server_that_starts_slowly_is_waited_for() {
    let pair = Pair::new(quick(), |server| server.fail(5)).await;
    assert_eq!(pair.kubernetes.pods.state(), State::Away);
    let mut states = pair.kubernetes.pods.states();
    let uid = pair.create("web");
    pair.until_known(&uid).await;
    states.wait_for(|state| *state == State::InStep).await.unwrap();
    assert_eq!(pair.server.asked().refused, 5);
}

#[tokio::test]
async fn after_a_disconnect_it_goes_on_from_the_last_event_and_is_away_only_when_it_fails_again() {
    let pair = Pair::in_step(|_| {}).await;
    let first = pair.create("web-1");
    pair.until_known(&first).await;
    pair.server.fail(3);
    pair.server.disconnect();
    let second = pair.create("web-2");
    pair.server.delete("web-1");
    pair.until("it is away", |pods| pods.state() == State::Away).await;
    pair.until("it is back", |pods| pods.state() == State::InStep).await;
    pair.until_known(&second).await;
    pair.until("the first is gone", |_| pair.is_gone(&first)).await;
    assert_eq!(pair.server.asked(), Asked { lists: 1, pages: 1, watches: 2, refused: 3 });
}

#[tokio::test]
async fn it_is_away_while_the_next_watch_is_long_in_coming_though_nothing_has_failed() {
    let settings = Settings { waits: [Duration::from_secs(1); 2], late: Duration::from_millis(10), ..quick() };
    let pair = Pair::new(settings, |_| {}).await;
    pair.until("it is in step", |pods| pods.state() == State::InStep).await;
    pair.server.disconnect();
    pair.until("it is away", |pods| pods.state() == State::Away).await;
    let uid = pair.create("web");
    pair.until("it is back", |pods| pods.state() == State::InStep).await;
    pair.until_known(&uid).await;
    assert_eq!(pair.server.asked(), Asked { lists: 1, pages: 1, watches: 2, refused: 0 });
}

#[tokio::test]
async fn it_is_in_step_again_only_when_what_happened_meanwhile_was_told() {
    let pair = Pair::new(Settings { catch_up: Duration::from_secs(2), ..quick() }, |_| {}).await;
    pair.until("it is in step", |pods| pods.state() == State::InStep).await;
    pair.server.fail(3);
    pair.server.disconnect();
    pair.until("it is away", |pods| pods.state() == State::Away).await;
    let uid = pair.create("web");
    pair.server.silence(true);
    pair.until("it is listened to", |_| pair.server.asked().watches == 2).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(pair.kubernetes.pods.state(), State::Away);
    pair.server.silence(false);
    pair.until("it is in step", |pods| pods.state() == State::InStep).await;
    assert!(pair.label(&uid).is_some());
}

#[tokio::test]
async fn what_the_server_has_forgotten_is_listed_again_and_what_went_meanwhile_is_gone() {
    let pair = Pair::in_step(|_| {}).await;
    let (stays, goes) = (pair.create("stays"), pair.create("goes"));
    pair.until_known(&goes).await;
    // 410 as the answer.
    pair.server.fail(1);
    pair.server.disconnect();
    pair.server.delete("goes");
    pair.server.forget();
    pair.until("one is gone", |_| pair.is_gone(&goes)).await;
    assert!(!pair.is_gone(&stays) && pair.label(&goes).is_some());
    pair.until("it is in step", |pods| pods.state() == State::InStep).await;
    // 410 in the middle of a watch.
    pair.server.expire();
    let new = pair.create("new");
    pair.until("all is listed once more", |_| pair.server.asked().lists == 3).await;
    pair.until_known(&new).await;
    assert!(!pair.is_gone(&stays));
}

#[tokio::test]
async fn a_bookmark_is_a_place_to_go_on_from() {
    let pair = Pair::in_step(|_| {}).await;
    pair.server.pass();
    pair.server.bookmark();
    let after = pair.create("after");
    pair.until_known(&after).await;
    pair.server.pass();
    pair.server.bookmark();
    // Until the bookmark has been read there is nothing to be seen of it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    pair.server.forget();
    pair.server.disconnect();
    let last = pair.create("last");
    pair.until_known(&last).await;
    assert_eq!((pair.server.asked().lists, pair.server.asked().refused), (1, 0));
}

#[tokio::test]
async fn a_token_that_was_replaced_is_used_at_once() {
    let pair = Pair::in_step(|server| server.require("one")).await;
    pair.server.require("two");
    std::fs::write(pair.folder.path().join("token"), "two").unwrap();
    pair.server.disconnect();
    let uid = pair.create("web");
    pair.until_known(&uid).await;
    assert_eq!(pair.server.asked(), Asked { lists: 1, pages: 1, watches: 2, refused: 0 });
    // While it has none that is good, it is away.
    pair.server.require("three");
    pair.server.disconnect();
    pair.until("it is away", |pods| pods.state() == State::Away).await;
    std::fs::write(pair.folder.path().join("token"), "three").unwrap();
    pair.until("it is back", |pods| pods.state() == State::InStep).await;
    assert_eq!(pair.server.asked().lists, 1);
}

#[tokio::test]
async fn a_watch_that_says_nothing_is_ended_and_nothing_is_missed() {
    let settings = Settings { watch: Duration::from_secs(1), grace: Duration::from_millis(50), ..quick() };
    let pair = Pair::new(settings, |_| {}).await;
    pair.until("it is in step", |pods| pods.state() == State::InStep).await;
    pair.server.silence(true);
    let uid = pair.create("web");
    let before = pair.server.asked().watches;
    pair.until("it was given up", |_| pair.server.asked().watches > before + 1).await;
    assert_eq!(pair.kubernetes.pods.by_uid(&uid), None);
    pair.server.silence(false);
    pair.until_known(&uid).await;
    assert_eq!(pair.server.asked().lists, 1);
}

#[tokio::test]
async fn a_pod_that_takes_anothers_name_has_labels_of_its_own() {
    let pair = Pair::in_step(|_| {}).await;
    let old = pair.server.create(NODE, "db-0", &json!({"app": "old"}), &json!({}));
    pair.server.delete("db-0");
    let new = pair.server.create(NODE, "db-0", &json!({"app": "new"}), &json!({}));
    pair.until_known(&new).await;
    assert_eq!([&old, &new].map(|uid| pair.label(uid).unwrap()), ["old", "new"]);
    assert!(pair.is_gone(&old) && !pair.is_gone(&new));
    let pods = &pair.kubernetes.pods;
    assert_eq!(pods.of_folder("team-a", "db-0", &old).unwrap().uid, old);
    assert_eq!(pods.of_folder("team-a", "db-1", &old), None);
}

#[tokio::test]
async fn the_mirror_of_a_pod_from_a_file_is_found_by_the_files_hash() {
    let annotations = json!({"kubernetes.io/config.hash": "0cafe", "kubernetes.io/config.mirror": "0cafe"});
    let pair = Pair::in_step(|server| {
        server.create(NODE, "etcd-node-1", &json!({"app": "etcd"}), &annotations);
    })
    .await;
    let pods = &pair.kubernetes.pods;
    assert_eq!(pods.of_folder("team-a", "etcd-node-1", "0cafe").unwrap().value("app"), Some("etcd"));
    assert!(pods.by_uid("0cafe").is_none() && pods.of_folder("team-a", "etcd-node-1", "0beef").is_none());
}

/// Names are taken again and again, and the connection breaks now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pods_that_come_and_go_within_seconds_all_have_their_labels() {
    let pair = Pair::in_step(|_| {}).await;
    let mut uids = Vec::new();
    for at in 0..1000 {
        let name = format!("job-{}", at % 20);
        uids.push((pair.server.create(NODE, &name, &json!({"app": at.to_string()}), &json!({})), at));
        if at % 100 == 50 {
            pair.server.disconnect();
        }
        if at % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        pair.server.delete(&name);
    }
    pair.until_known(&uids.last().unwrap().0).await;
    pair.until("none is left", |pods| pods.count() == 0).await;
    for (uid, at) in &uids {
        assert_eq!(pair.label(uid), Some(at.to_string()), "{uid}");
    }
    assert_eq!((pair.server.asked().lists, pair.server.asked().refused), (1, 0));
}

/// Certificate and key in PEM, of this machine as only this certificate knows it.
fn identity() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    (cert.pem(), key.serialize_pem())
}

/// Takes TLS and passes on what is in it.
async fn tls_before(server: &Server, (cert, key): &(String, String)) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert], key).unwrap();
    let (acceptor, behind) = (tokio_rustls::TlsAcceptor::from(Arc::new(config)), server.address());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut behind = tokio::net::TcpStream::connect(behind).await?;
                tokio::io::copy_bidirectional(&mut stream, &mut behind).await
            });
        }
    });
    address
}

#[tokio::test]
async fn over_tls_the_server_must_be_who_the_authority_says_and_a_new_authority_counts_at_once() {
    let (server, folder) = (Server::start().await, tempfile::tempdir().unwrap());
    let (path, authority) = (folder.path().join("kubeconfig"), folder.path().join("ca.crt"));
    std::fs::write(folder.path().join("token"), "one").unwrap();
    server.kubeconfig(&path);
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let (identity, other) = (identity(), identity());
    let url = format!("https://{}", tls_before(&server, &identity).await);
    config["clusters"][0]["cluster"] = json!({"server": url, "certificate-authority": "ca.crt"});
    std::fs::write(&path, config.to_string()).unwrap();
    std::fs::write(&authority, other.0).unwrap();
    let options = KubernetesOptions { kubeconfig: Some(path), node: None };
    options.check_file().unwrap();
    let kubernetes = connect(folder.path(), quick());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((kubernetes.pods.state(), server.asked().lists), (State::Away, 0));
    std::fs::write(&authority, identity.0).unwrap();
    until("it is in step", || kubernetes.pods.state() == State::InStep).await;
}

#[tokio::test]
async fn nobody_is_asked_once_it_is_not_there_any_more() {
    let pair = Pair::in_step(|_| {}).await;
    let Pair { server, kubernetes, folder } = pair;
    let pods = kubernetes.pods();
    drop(kubernetes);
    server.disconnect();
    server.create(NODE, "late", &json!({}), &json!({}));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((pods.count(), server.asked().watches), (0, 1));
    drop(folder);
}

#[test]
fn outside_of_a_cluster_nobody_is_asked_and_a_kubeconfig_that_cannot_be_used_is_named() {
    let meter = opentelemetry::global::meter("test");
    assert!(Kubernetes::start(&KubernetesOptions::default(), "weir.io/tenant", true, &meter).is_none());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let options = KubernetesOptions { kubeconfig: Some(path.clone()), node: None };
    let said = || options.check_file().unwrap_err().to_string();
    assert!(said().contains("collector.kubernetes.kubeconfig: ") && said().contains("No such file"), "{}", said());
    std::fs::write(&path, "clusters: []\n").unwrap();
    assert!(said().ends_with("failed to determine current context"), "{}", said());
}
