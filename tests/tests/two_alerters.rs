//! Two alerters on one Kafka: both evaluate, one tells receivers, and whichever is killed or stands still, nothing that
//! was to be told is lost.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use prost::Message as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;
use serde_json::{Value, json};
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point,
};
use weir_tests::kafka::Kafka;
use weir_tests::otlp::text;
use weir_tests::{Api, Webhook, Weir, client, number, until};

/// Each alert fires for so many seconds: longer than it takes until another alerter goes on.
const FIRES: u64 = 60;
/// A new one begins after so many.
const EVERY: u64 = 3;
const RULES: &str = "groups: [{name: g, interval: 1s, rules: [{alert: Episode, expr: 'episode == 1'}]}]";

/// Whether the nth alert is to fire in a second since the start.
fn fires(n: u64, second: u64) -> bool {
    (n * EVERY..n * EVERY + FIRES).contains(&second)
}

/// Says which alerts fire in this second, of `most`.
async fn say(client: &reqwest::Client, url: &str, second: u64, most: u64) {
    let now = weir_service::time::now_unix_nano_unsigned();
    let points = (0..most).filter(|n| n * EVERY <= second).map(|n| NumberDataPoint {
        attributes: vec![text("n", &n.to_string())],
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsInt(i64::from(fires(n, second)))),
        ..NumberDataPoint::default()
    });
    let data = Some(metric::Data::Gauge(Gauge { data_points: points.collect() }));
    let metrics = vec![Metric { name: "episode".to_owned(), data, ..Metric::default() }];
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
    let request = ExportMetricsServiceRequest { resource_metrics };
    let post = client.post(format!("{url}/v1/metrics")).header("content-type", "application/x-protobuf");
    assert_eq!(post.body(request.encode_to_vec()).send().await.unwrap().status(), 200);
}

fn alerter(folder: &Path, name: &str, brokers: &str, webhook: &str) -> Weir {
    let config = json!({
        "listen": "127.0.0.1:0",
        "bus": {"broker": "kafka", "brokers": brokers},
        "alerter": {
            "rules": [folder.join("rules.yaml")],
            "lateness": "1s",
            "route": {"receiver": "ops", "group_by": ["n"], "group_wait": "0s", "group_interval": "1s"},
            "receivers": [{"name": "ops", "webhook_configs": [{"url": webhook}]}],
        },
    });
    Weir::new("alerter", &folder.join(name), &config).unwrap()
}

/// When each alert was told in each state.
fn told(webhook: &Webhook) -> BTreeMap<(u64, String), Vec<Instant>> {
    let mut told: BTreeMap<_, Vec<Instant>> = BTreeMap::new();
    for (at, notification) in webhook.caught_at() {
        for alert in notification["alerts"].as_array().unwrap() {
            let n = alert["labels"]["n"].as_str().unwrap().parse().unwrap();
            told.entry((n, alert["status"].as_str().unwrap().to_owned())).or_default().push(at);
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn given_two_alerters_killed_and_paused_at_random_then_no_notification_is_lost() {
    let seconds = number("WEIR_E2E_SECONDS", 75);
    let most = seconds / EVERY;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(number("WEIR_E2E_SEED", 1));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.yaml"), RULES).unwrap();
    let kafka = Kafka::start().await.unwrap();
    let webhook = Webhook::start().await.unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "bus": {"broker": "kafka", "brokers": kafka.brokers()},
        "collector": {"otlp": {"grpc": null, "http": "127.0.0.1:0"}, "gpu": null, "host": null, "kubernetes": null},
    });
    let mut collector = Weir::new("collector", &folder.path().join("collector"), &config).unwrap();
    let otlp = collector.start().await.unwrap().otlp_http.unwrap();
    let mut alerters = ["a", "b"].map(|name| alerter(folder.path(), name, &kafka.brokers(), &webhook.url()));
    for alerter in &mut alerters {
        alerter.start().await.unwrap();
    }

    let http = client().build().unwrap();
    let start = Instant::now();
    let saying = tokio::spawn(async move {
        for second in 0..most * EVERY + FIRES + 5 {
            say(&http, &otlp, second, most).await;
            tokio::time::sleep_until((start + Duration::from_secs(second + 1)).into()).await;
        }
    });
    // When an alerter died or stood still.
    let mut stops = Vec::new();
    tokio::time::sleep(Duration::from_secs(10)).await;
    while start.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_millis(random.random_range(4_000..12_000))).await;
        let victim = &mut alerters[random.random_range(0..2_usize)];
        stops.push(Instant::now());
        if random.random_bool(0.5) {
            victim.kill().unwrap();
            tokio::time::sleep(Duration::from_millis(random.random_range(0..4_000))).await;
            victim.start().await.unwrap();
        } else {
            victim.signal(Signal::STOP).unwrap();
            tokio::time::sleep(Duration::from_millis(random.random_range(11_000..15_000))).await;
            victim.signal(Signal::CONT).unwrap();
        }
    }
    saying.await.unwrap();

    let all = || told(&webhook).len() as u64 == 2 * most;
    let found = until(Duration::from_mins(2), || async { all().then_some(()) }).await;
    let told = told(&webhook);
    let missing: Vec<_> = (0..most)
        .flat_map(|n| ["firing", "resolved"].map(|state| (n, state.to_owned())))
        .filter(|one| !told.contains_key(one))
        .collect();
    assert!(found.is_some(), "never told: {missing:?}\n{}\n{}", alerters[0].stderr(), alerters[1].stderr());
    // Each knows what the other sent.
    for alerter in &mut alerters {
        let api = Api::new(&alerter.ready().await.unwrap().http).unwrap();
        let known = || async {
            let (_, answer) = api.get("/api/v1/notifications", &[("limit", "1000")]).await.ok()?;
            let sent = answer["notifications"].as_array()?.iter().filter(|one| one["outcome"] == "sent");
            let sent: BTreeSet<_> =
                sent.map(|one| (one["group"]["n"].to_string(), one["status"].to_string())).collect();
            (sent.len() as u64 == 2 * most).then_some(())
        };
        assert!(until(Duration::from_secs(30), known).await.is_some(), "{}", alerter.stderr());
    }
    for n in 0..most {
        let [fired, resolved] = ["firing", "resolved"].map(|state| told[&(n, state.to_owned())][0]);
        assert!(fired < resolved, "{n} was resolved before it fired");
    }
    // What was told twice was sent first when its sender was about to stop.
    for (one, times) in told.iter().filter(|(_, times)| times.len() > 1) {
        let was_cut_off = |stop: &&Instant| {
            let (sent, stop) = (times[0], **stop);
            sent < stop + Duration::from_millis(500) && stop < sent + Duration::from_secs(2)
        };
        assert!(stops.iter().any(|stop| was_cut_off(&stop)), "{one:?} was told {} times", times.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_silence_at_one_alerter_then_the_other_knows_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.yaml"), RULES).unwrap();
    let kafka = Kafka::start().await.unwrap();
    let mut alerters = ["a", "b"].map(|name| alerter(folder.path(), name, &kafka.brokers(), "http://127.0.0.1:9/"));
    let mut urls = Vec::new();
    for alerter in &mut alerters {
        urls.push(alerter.start().await.unwrap().http);
    }
    let silence =
        json!({"matchers": [{"name": "n", "value": "1"}], "endsAt": "now+1h", "createdBy": "ops", "comment": "shared"});
    let http = client().build().unwrap();
    let answer = http.post(format!("{}/api/v1/silences", urls[1])).json(&silence).send().await.unwrap();
    let id = answer.json::<Value>().await.unwrap()["silenceID"].as_str().unwrap().to_owned();
    let state = async |url: &str| {
        let (_, silences) = Api::new(url).unwrap().get("/api/v1/silences", &[]).await.ok()?;
        let silence = silences.as_array()?.iter().find(|silence| silence["id"] == *id)?;
        silence["status"]["state"].as_str().map(str::to_owned)
    };
    let comes = async |url: &str, wanted: &str| {
        let found = until(Duration::from_secs(30), || async { (state(url).await? == wanted).then_some(()) });
        found.await.unwrap_or_else(|| panic!("{url} does not know that it is {wanted}"));
    };
    comes(&urls[0], "active").await;
    http.delete(format!("{}/api/v1/silences/{id}", urls[0])).send().await.unwrap();
    comes(&urls[1], "expired").await;
    // One that begins with nothing learns what there is.
    drop(alerters);
    let mut third = alerter(folder.path(), "c", &kafka.brokers(), "http://127.0.0.1:9/");
    comes(&third.start().await.unwrap().http, "expired").await;
}
