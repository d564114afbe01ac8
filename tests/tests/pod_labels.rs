//! Every line of pods that come and go within seconds is on the bus once, with the labels of its own pod, while the
//! Kubernetes API starts slowly, breaks off and forgets, and though the collector is killed.
//!
//! What nobody can know is not asked for: where a pod came and went before the collector was told of it, since the
//! server had forgotten it or the collector was not running, there are no labels. Nor is the limit on open files tried.
//! The chance in here comes from `WEIR_E2E_SEED`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

#[path = "pod_labels/cluster.rs"]
mod cluster;
#[path = "pod_labels/found.rs"]
mod found;
#[path = "pod_labels/pod.rs"]
mod pod;
#[path = "../../collector/src/kubernetes/tests/server.rs"]
#[allow(dead_code, reason = "the collector's own tests use all of it")]
mod server;

use std::time::Duration;

use serde_json::{Value, json};
use weir_proto::attribute;
use weir_tests::{Api, until};

use cluster::{Cluster, NODE, PATIENCE, Trouble};
use found::Found;
use pod::Going;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_pods_that_come_and_go_within_seconds_have_their_own_labels_on_every_line() {
    let cluster = Cluster::new(json!({ "node": NODE })).await;
    cluster.server.fail(3);
    let mut collector = cluster.weir("collector");
    cluster.reach(&collector.start().await.unwrap().http);
    let deaths = cluster.deaths.write().await;
    let lives = tokio::spawn(cluster.clone().populate(40, 25, Going::AtOnce));
    cluster.until("the server has started", || cluster.server.asked().watches > 0).await;
    drop(deaths);
    let once = [Trouble::Disconnected, Trouble::Expired, Trouble::NewToken, Trouble::Forgotten];
    let ever = [Trouble::Disconnected, Trouble::NewToken];
    for (turn, trouble) in once.into_iter().chain(ever.into_iter().cycle()).enumerate() {
        tokio::time::sleep(Duration::from_millis(700)).await;
        if lives.is_finished() {
            break;
        }
        cluster.make(trouble, turn).await;
    }
    lives.await.unwrap();
    cluster.settled().await;
    assert!(collector.stop().await.unwrap().success());
    assert_eq!(cluster.check().await, 0, "lines came twice though nothing was killed");
    assert!(cluster.server.asked().lists > 1, "nothing was forgotten: {:?}", cluster.server.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_are_gone_when_a_killed_collector_is_back_have_their_labels_on_every_line() {
    let cluster = Cluster::new(json!({})).await;
    let mut collector = cluster.weir("collector");
    cluster.reach(&collector.start().await.unwrap().http);
    let lives = tokio::spawn(cluster.clone().populate(60, 6, Going::OnceRead));
    let mut gone = 0;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let lists = cluster.server.asked().lists;
        let deaths = cluster.deaths.write().await;
        cluster.until_some_are_read().await;
        collector.kill().unwrap();
        gone += cluster.delete_read();
        // Others come meanwhile under their names.
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.server.fail(2);
        cluster.reach(&collector.start().await.unwrap().http);
        cluster.until("all pods are listed again", || cluster.server.asked().lists > lists).await;
        drop(deaths);
    }
    lives.await.unwrap();
    cluster.settled().await;
    assert!(collector.stop().await.unwrap().success());
    cluster.check().await;
    assert!(gone > 0, "no pod went while the collector was not running");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_api_lines_come_with_what_their_paths_say() {
    let cluster = Cluster::new(Value::Null).await;
    let mut weir = cluster.weir("standalone");
    let url = weir.start().await.unwrap().http;
    cluster.reach(&url);
    cluster.clone().populate(10, 5, Going::AtOnce).await;
    let (api, lines) = (Api::new(&url).unwrap(), cluster.lines.lock().clone());
    until(PATIENCE, || async { (api.count("").await.ok()? >= lines.len() as u64).then_some(()) }).await;
    let mut found = Found::default();
    for hit in api.search("").await.unwrap() {
        let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        let resource = hit["resource"].as_object().unwrap().iter().filter_map(text);
        let tenant = (attribute::TENANT.to_owned(), hit["tenant"].as_str().unwrap().to_owned());
        found.add(hit["body"].as_str().unwrap(), resource.chain([tenant]));
    }
    found.check(&lines);
}
