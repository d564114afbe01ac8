//! Queries that are sent to harm: memory stays as it is, a light query beside them is answered, and each gets a right
//! answer or an error that names what is at fault.
//!
//! Each is sent a thousand times, or for as long as its share of the time is; with `WEIR_E2E_QUERIES=all` always a thousand
//! times.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "hostile/cases.rs"]
mod cases;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use weir_tests::{Weir, client, environment, until};

use self::cases::{Ask, Case, Right, cases};

/// Lines of the index: more than a histogram has buckets.
const LINES: usize = 12_000;
/// Of them those that the light query finds.
const LIGHT: usize = LINES / 100;
/// Requests at a time.
const AT_ONCE: usize = 4;
/// Requests of each case before memory is looked at.
const WARM_UP: usize = 8;
/// Requests of each case, as far as there is time: a build without optimisation takes some milliseconds for many.
const TIMES: usize = 1_000;
const SHARE: Duration = Duration::from_millis(400);
/// What memory may grow by afterwards.
const MORE: u64 = 64 << 20;
/// What it may take at any moment: some searches of `indexer.search.memory` each, and their requests and answers.
const MOST: u64 = 1 << 30;
const PATIENCE: Duration = Duration::from_mins(1);

struct Site {
    client: Client,
    http: String,
    weir: Weir,
}

impl Site {
    async fn start(folder: &std::path::Path) -> Self {
        let config = json!({
            "listen": "127.0.0.1:0",
            "collector": {"host": null, "gpu": null, "otlp": {"grpc": null, "http": "127.0.0.1:0"}},
            "indexer": {"seal": {"age": "1s"}},
        });
        let mut weir = Weir::new("standalone", folder, &config).unwrap();
        let ready = weir.start().await.unwrap();
        let site = Self { client: client().build().unwrap(), http: ready.http, weir };
        let now = weir_service::time::now_unix_nano();
        let text = |key: &str, text: &str| json!({"key": key, "value": {"stringValue": text}});
        for (part, first) in (0..LINES).step_by(LINES / 4).enumerate() {
            let record = |n: usize| {
                json!({
                    "timeUnixNano": (now - n as i64 * 1_000_000_000).to_string(),
                    "body": {"stringValue": format!("request {n} of aaaa{} timed out after {} ms", n % 7, n % 1000)},
                    "attributes": [
                        {"key": "n", "value": {"intValue": n.to_string()}},
                        text("ip", &format!("10.0.{}.{}", n / 250, n % 250)),
                        text("host", &format!("node-{}", n % 40)),
                        text("kind", if n.is_multiple_of(100) { "light" } else { "heavy" }),
                    ],
                })
            };
            let records: Vec<Value> = (first..first + LINES / 4).map(record).collect();
            let resource = json!({"attributes": [text("service.name", &format!("part{part}"))]});
            let body = json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": records}]}]});
            let url = format!("{}/v1/logs", ready.otlp_http.as_deref().unwrap());
            assert_eq!(site.client.post(url).json(&body).send().await.unwrap().status(), 200);
        }
        let there = until(PATIENCE, || async { (site.count("").await? == LINES).then_some(()) });
        there.await.unwrap();
        site
    }

    async fn count(&self, query: &str) -> Option<usize> {
        let url = format!("{}/api/v1/logs/count", self.http);
        let answer = self.client.post(url).json(&json!({ "query": query })).send().await.ok()?;
        let answer: Value = answer.json().await.ok()?;
        usize::try_from(answer["count"].as_u64()?).ok()
    }

    /// Sends a request of a case; says what is wrong with the answer.
    async fn ask(&self, case: &Case) -> Result<(), String> {
        let request = match &case.ask {
            Ask::Get(path) => self.client.get(format!("{}{path}", self.http)),
            Ask::Post { path, kind, body, is_packed } => {
                let request = self.client.post(format!("{}{path}", self.http)).header("content-type", *kind);
                let request = if *is_packed { request.header("content-encoding", "gzip") } else { request };
                request.body(body.clone())
            }
        };
        let answer = request.send().await.map_err(|error| format!("no answer: {error:?}"))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| format!("no whole answer: {error:?}"))?;
        let shown: String = text.chars().take(600).collect();
        match &case.right {
            Right::Is(place, right) => {
                let found: Value = serde_json::from_str(&text).map_err(|_| format!("{status}: {shown}"))?;
                let is = status == 200 && found.pointer(place) == Some(right);
                if is { Ok(()) } else { Err(format!("{place} is not {right}: {status}: {shown}")) }
            }
            Right::Refused(what) => {
                let is = status.is_client_error() && text.contains(what) && text.len() < 4_096;
                if is { Ok(()) } else { Err(format!("not refused with «{what}»: {status}: {shown}")) }
            }
        }
    }

    /// The memory that is left once all answers are given: it goes back to the system within seconds.
    async fn at_rest(&self) -> u64 {
        let mut least = u64::MAX;
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            least = least.min(self.weir.resident().unwrap());
        }
        least
    }

    /// Sends a case so often, or for so long; gives how often it was sent.
    async fn repeat(
        self: &Arc<Self>,
        case: &Arc<Case>,
        times: usize,
        within: Duration,
        wrong: &mut Vec<String>,
    ) -> usize {
        let (sent, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
        let workers = (0..AT_ONCE).map(|_| {
            let (site, case, sent) = (self.clone(), case.clone(), sent.clone());
            tokio::spawn(async move {
                let mut wrong = Vec::new();
                while sent.load(Ordering::Relaxed) < times && began.elapsed() < within {
                    sent.fetch_add(1, Ordering::Relaxed);
                    if let Err(found) = site.ask(&case).await {
                        wrong.push(format!("{}: {found}", case.name));
                    }
                }
                wrong
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            wrong.extend(worker.await.unwrap());
        }
        sent.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_are_sent_to_harm_harm_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let site = Arc::new(Site::start(folder.path()).await);
    let cases: Vec<Arc<Case>> = cases().into_iter().map(Arc::new).collect();
    let mut wrong = Vec::new();
    for case in &cases {
        site.repeat(case, WARM_UP, PATIENCE, &mut wrong).await;
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));

    let before = site.at_rest().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let light = tokio::spawn({
        let (site, is_over) = (site.clone(), is_over.clone());
        async move {
            let (mut asked, mut longest) = (0, Duration::ZERO);
            while !is_over.load(Ordering::Relaxed) {
                let began = Instant::now();
                assert_eq!(site.count("kind:light AND request").await, Some(LIGHT), "the light query");
                longest = longest.max(began.elapsed());
                asked += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            (asked, longest)
        }
    });
    let within =
        if environment("WEIR_E2E_QUERIES").is_some_and(|which| which == "all") { Duration::MAX } else { SHARE };
    let mut sent = Vec::new();
    for case in &cases {
        sent.push((site.repeat(case, TIMES, within, &mut wrong).await, case.name));
    }
    is_over.store(true, Ordering::Relaxed);
    let (asked, longest) = light.await.unwrap();
    let (after, peak) = (site.at_rest().await, site.weir.peak().unwrap());
    sent.sort_unstable();
    let (all, least) = (sent.iter().filter(|(times, _)| *times >= TIMES).count(), &sent[..3]);
    println!(
        "{all} of {} cases {TIMES} times, least often {least:?}; {asked} light queries, {longest:?} at most; memory {} MB \
         after {} MB, {} MB at most",
        cases.len(),
        after >> 20,
        before >> 20,
        peak >> 20
    );
    assert!(wrong.is_empty(), "{} answers are wrong, such as {:?}", wrong.len(), wrong.first());
    assert!(longest < PATIENCE, "a light query took {longest:?}");
    assert!(after < before + MORE, "memory grew from {before} to {after} bytes");
    assert!(peak < MOST, "it took {peak} bytes at once");
    let log = site.weir.stderr();
    assert!(!log.contains("panicked") && !log.contains("\"level\":\"ERROR\""), "{log}");
}
