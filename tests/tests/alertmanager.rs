//! Debian's Alertmanager and weir's notifier, with the same configuration file and the same alerts, tell the same
//! receivers the same, in the same groups; and `amtool` works against weir as it does against Alertmanager.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod alertmanager {
    pub(crate) mod scenarios;
}

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use alertmanager::scenarios::{INHIBITION, ROUTES, Scenario, TIMES};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use weir_alerter::notify::{Alert, ConfigSource, NotificationLog, Notifier};
use weir_service::time::now_unix_ms;
use weir_tests::alertmanager::{Alertmanager, is_there};
use weir_tests::{Webhook, Weir, skip, until};

/// Between two steps; groups are told of in the middle of it.
const STEP: Duration = Duration::from_secs(4);
const THEIRS: &str = "http://alertmanager.test";
const OURS: &str = "http://weir.test";
const PATIENCE: Duration = Duration::from_mins(1);

fn labels(text: &str) -> BTreeMap<String, String> {
    text.split(' ').filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

/// One of which some annotations differ.
fn alert(text: &str, starts_at_ms: i64, ends_at_ms: Option<i64>) -> Alert {
    let labels = labels(text);
    let annotations =
        BTreeMap::from([("summary".to_owned(), labels["alertname"].clone()), ("all".to_owned(), text.to_owned())]);
    let generator_url = format!("http://weir.test/{}", labels["alertname"]);
    Alert { labels: Arc::new(labels), annotations: Arc::new(annotations), starts_at_ms, ends_at_ms, generator_url }
}

fn client() -> reqwest::Client {
    // An error says that a provider is there already, which is what is needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

async fn post(client: &reqwest::Client, url: &str, alerts: &[Alert]) {
    let time = |ms: i64| weir_service::time::format(ms * 1_000_000);
    let one = |alert: &Alert| {
        json!({
            "labels": *alert.labels,
            "annotations": *alert.annotations,
            "startsAt": time(alert.starts_at_ms),
            "endsAt": time(alert.ends_at_ms.unwrap_or(now_unix_ms() + 3_600_000)),
            "generatorURL": alert.generator_url,
        })
    };
    let body: Vec<Value> = alerts.iter().map(one).collect();
    let answer = client.post(format!("{url}/api/v2/alerts")).json(&body).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

/// What both tell, apart.
async fn run((config, steps): Scenario) -> [BTreeSet<String>; 2] {
    let hook = Webhook::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alertmanager.yml");
    std::fs::write(&path, config.replace("$HOOK", &format!("'{}'", hook.url()))).unwrap();
    let options = ConfigSource::file(path.clone(), OURS.to_owned()).read().unwrap();
    let meter = opentelemetry::global::meter("test");
    let weir =
        Notifier::new(&options, Vec::new(), Vec::new(), Arc::default(), NotificationLog::default(), &meter).unwrap();
    let running = tokio::spawn({
        let weir = weir.clone();
        async move { weir.run(CancellationToken::new()).await }
    });
    let server = tokio::task::spawn_blocking(move || Alertmanager::start(&path, THEIRS)).await.unwrap().unwrap();
    let client = client();
    let mut firing: BTreeMap<&str, i64> = BTreeMap::new();
    for step in steps {
        let now = now_unix_ms();
        let (mut changed, mut resolved) = (Vec::new(), Vec::new());
        for line in *step {
            let (sign, text) = line.split_once(' ').unwrap();
            if sign == "+" {
                firing.insert(text, now);
                changed.push(alert(text, now, None));
            } else {
                resolved.push(alert(text, firing.remove(text).unwrap(), Some(now)));
            }
        }
        changed.extend(resolved.clone());
        post(&client, &server.url(), &changed).await;
        let all = firing.iter().map(|(text, starts_at_ms)| alert(text, *starts_at_ms, None));
        weir.update(all.chain(resolved).collect());
        tokio::time::sleep(STEP).await;
    }
    tokio::time::sleep(STEP / 4).await;
    running.abort();
    [THEIRS, OURS].map(|side| {
        let told = hook.caught().into_iter().filter(|message| message["externalURL"] == side);
        let told = told.map(|mut message| {
            message.as_object_mut().unwrap().remove("externalURL");
            message.to_string()
        });
        told.collect()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn given_alertmanagers_configuration_then_the_same_receivers_are_told_the_same_in_the_same_groups() {
    const NAME: &str = "given_alertmanagers_configuration_then_the_same_receivers_are_told_the_same_in_the_same_groups";
    if !is_there() {
        return skip(NAME, "prometheus-alertmanager is not installed");
    }
    let (routes, inhibition, times) = tokio::join!(run(ROUTES), run(INHIBITION), run(TIMES));
    for (name, at_least, [theirs, ours]) in
        [("routes", 20, routes), ("inhibition", 10, inhibition), ("times", 5, times)]
    {
        assert!(theirs.len() >= at_least, "{name}: {theirs:#?}");
        let (missing, added): (Vec<_>, Vec<_>) =
            (theirs.difference(&ours).collect(), ours.difference(&theirs).collect());
        assert!(
            missing.is_empty() && added.is_empty(),
            "{name}: Alertmanager alone {missing:#?}, weir alone {added:#?}"
        );
    }
}

/// A weir with a rule whose alerts fire from the start, and tokens: of all, and of tenant acme.
struct Site {
    weir: Weir,
    url: String,
    folder: tempfile::TempDir,
}

fn amtool(url: &str, words: &[&str]) -> (bool, String) {
    let mut command = Command::new("amtool");
    command.arg(format!("--alertmanager.url={url}")).args(words);
    let output = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

impl Site {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| -> PathBuf {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let rules = "groups: [{name: g, interval: 1s, rules: [
            {alert: GpuLost, expr: vector(1), labels: {node: n1}, annotations: {summary: gone}},
            {alert: P99High, expr: vector(1), labels: {node: n1, tenant: acme}},
            {alert: Full, expr: vector(1), labels: {node: n2, tenant: acme}}]}]";
        let rules = write("rules.yaml", rules);
        let config = write("alertmanager.yml", CONFIG);
        let config = json!({
            "listen": "127.0.0.1:0",
            "collector": {"otlp": {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0"}, "host": {"interval": "1s"}},
            "alerter": {"rules": [rules], "lateness": "1s", "alertmanager_config": config},
        });
        let mut weir = Weir::new("standalone", folder.path(), &config).unwrap();
        let ready = weir.start().await.unwrap();
        Self { weir, url: format!("{}/alertmanager", ready.http), folder }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("alertmanager.yml")
    }

    fn amtool(&self, words: &[&str]) -> String {
        let (succeeded, text) = amtool(&self.url, words);
        assert!(succeeded, "{words:?}: {text}\n{}", self.weir.stderr());
        text
    }
}

const CONFIG: &str = "
global: {slack_api_url: 'http://127.0.0.1:9/T0/secret-of-ops'}
route:
  receiver: ops
  group_by: [alertname]
  group_wait: 1h
  routes: [{receiver: tickets, matchers: ['alertname=\"Full\"']}]
receivers:
  - {name: ops, slack_configs: [{channel: '#ops'}]}
  - {name: tickets, webhook_configs: [{url: 'http://127.0.0.1:9/secret-hook'}]}
inhibit_rules: [{source_match: {alertname: GpuLost}, target_match: {alertname: P99High}, equal: [node]}]
";

fn names(text: &str) -> BTreeSet<String> {
    let all: Vec<Value> = serde_json::from_str(text).unwrap();
    all.iter().map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn amtool_asks_and_silences_as_it_does_with_alertmanager() {
    if !is_there() {
        return skip("amtool_asks_and_silences_as_it_does_with_alertmanager", "amtool is not installed");
    }
    let site = Site::start().await;
    let query = |words: &[&str]| names(&site.amtool(&[&["alert", "query", "-o", "json"], words].concat()));
    let set = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let firing = until(PATIENCE, || async { (query(&["--inhibited", "--active"]).len() == 3).then_some(()) });
    firing.await.unwrap_or_else(|| panic!("{}", site.weir.stderr()));

    assert_eq!(query(&["--active"]), set(&["GpuLost", "Full"]), "one is inhibited");
    assert_eq!(query(&["--inhibited"]), set(&["P99High"]));
    assert_eq!(query(&["--receiver=tick.*"]), set(&["Full"]));
    assert_eq!(query(&["node=n1", "alertname=~G.*"]), set(&["GpuLost"]));

    let id = site.amtool(&["silence", "add", "alertname=~Ful.", "node!=n1", "--comment=full", "--author=me"]);
    let id = id.trim();
    assert_eq!(query(&["--active"]), set(&["GpuLost"]));
    assert_eq!(query(&["--silenced"]), set(&["Full"]));
    let silences = |words: &[&str]| -> Vec<Value> {
        serde_json::from_str(&site.amtool(&[&["silence", "query", "-o", "json"], words].concat())).unwrap()
    };
    let one = &silences(&["alertname=~Ful."])[0];
    assert_eq!((one["id"].as_str(), one["createdBy"].as_str()), (Some(id), Some("me")));
    assert!(silences(&["alertname=Other"]).is_empty());
    site.amtool(&["silence", "expire", id]);
    assert!(silences(&[]).is_empty() && silences(&["--expired"]).len() == 1);
    assert_eq!(query(&["--active"]), set(&["GpuLost", "Full"]));
    let (succeeded, text) = amtool(&site.url, &["silence", "expire", "00000000-0000-4000-8000-000000000000"]);
    assert!(!succeeded && text.contains("404"), "{text}");
    let (succeeded, text) = amtool(&site.url, &["silence", "add", "alertname=~.*", "--comment=all"]);
    assert!(!succeeded && text.contains("at least one must not match"), "{text}");
    let (succeeded, text) = amtool(&site.url, &["alert", "add", "alertname=X"]);
    assert!(!succeeded, "{text}");

    let shown = site.amtool(&["config", "show"]);
    assert!(!shown.contains("secret-") && shown.contains("<secret>") && shown.contains("P99High"), "{shown}");
    check_config(&site.config());

    // The API has what the file says once it changes, and what is wrong with it where it cannot be used.
    std::fs::write(site.config(), CONFIG.replace("alertname: GpuLost}", "alertname: Nothing}")).unwrap();
    let told = until(PATIENCE, || async { (query(&["--active"]).len() == 3).then_some(()) });
    told.await.unwrap_or_else(|| panic!("{}", site.weir.stderr()));
    std::fs::write(site.config(), CONFIG.replace("receiver: tickets", "receiver: nobody")).unwrap();
    let client = client();
    let address = site.url.replace("/alertmanager", "/api/v1/alerts");
    let refused = until(PATIENCE, || async {
        let answer: Value = client.get(&address).send().await.unwrap().json().await.unwrap();
        answer["alertmanager_config_error"].as_str().map(str::to_owned)
    });
    assert!(refused.await.unwrap().ends_with("alertmanager.yml: route: there is no receiver `nobody`"));
    assert_eq!(query(&["--active"]).len(), 3, "that of before is kept");
}

/// Those of the scenarios, and this one, are Alertmanager's.
fn check_config(path: &Path) {
    let check = |path: &Path| {
        let output = Command::new("amtool").arg("check-config").arg(path).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    check(path);
    for (config, _) in [ROUTES, INHIBITION, TIMES] {
        let path = path.with_extension("checked");
        std::fs::write(&path, config.replace("$HOOK", "'http://127.0.0.1:9/'")).unwrap();
        check(&path);
    }
}
