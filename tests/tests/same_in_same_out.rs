//! The same in gives the same out: however a stream of calls and metrics comes, and whenever the alerter is killed, the
//! sums of `weir_calls` and what `weir_alerts` says of each alert are the same.
//!
//! The number of kills comes from `WEIR_E2E_KILLS`, the chance in them from `WEIR_E2E_SEED`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "same_in_same_out/stream.rs"]
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prost::Message as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use stream::{Disorder, Step, Stream, write};
use weir_bus::Bus;
use weir_calls::{Follows, Hdr, Source};
use weir_proto::{topic, v1};
use weir_tests::{Api, Weir, messages, number, until};

const PATIENCE: Duration = Duration::from_mins(2);
const SECOND: i64 = 1_000_000_000;
/// Event time of the stream, less than what is evaluated at one go.
const SECONDS: u64 = 780;
/// How long rules wait for late calls, in seconds.
const LATENESS: u64 = 5;

const RULES: &str = r#"
groups:
  - name: calls
    interval: 1s
    rules:
      - alert: Slow
        expr: histogram_quantile(0.99, sum by (tenant, service) (rate(weir_call_duration_seconds[15s]))) > 0.8
        for: 3s
        labels: {team: "{{ $labels.service }}-team"}
      - alert: Failing
        expr: sum by (service) (rate(weir_calls_total{outcome="error"}[10s])) / sum by (service) (rate(weir_calls_total[10s])) > 0.2
        keep_firing_for: 5s
      - {alert: Dropped, expr: 'sum by (service) (rate(weir_calls_total[15s])) < 1', for: 5s}
      - {alert: Many, expr: sum(weir_calls_total) > 5000}
  - name: metrics
    interval: 2s
    rules:
      - {alert: Hot, expr: 'avg by (gpu) (avg_over_time(hw_temperature[10s])) > 85', for: 4s, keep_firing_for: 4s}
      - {alert: Busy, expr: 'sum by (gpu) (rate(gpu_work_total[20s])) > 50'}
      - {record: 'service:calls:rate10s', expr: 'sum by (service) (rate(weir_calls_total[10s]))'}
      - {alert: Quiet, expr: 'avg_over_time(service:calls:rate10s[30s]) < 2.5'}
"#;

/// Tenant, service, interface and second of event time.
type Key = (String, String, String, u64);
/// When, which alert, and what became of it.
type Transition = (u64, String, &'static str);

/// What came out.
#[derive(Debug, Default)]
struct Out {
    calls: BTreeMap<Key, v1::CallSlot>,
    counted: u64,
    duplicates: u64,
    transitions: BTreeSet<Transition>,
}

/// One alerter on a bus of its own, which the test writes to while the alerter is down.
struct Run {
    folder: tempfile::TempDir,
    weir: Weir,
}

impl Run {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules.yaml");
        std::fs::write(&rules, RULES).unwrap();
        let config = json!({
            "listen": "127.0.0.1:0",
            "alerter": { "rules": [rules], "lateness": format!("{LATENESS}s"), "absent_after": "1h" },
        });
        let weir = Weir::new("alerter", &folder.path().join("weir"), &config).unwrap();
        Self { folder, weir }
    }

    async fn bus(&self) -> Bus {
        Bus::open(&weir_bus::Options::default(), &self.folder.path().join("weir/data")).await.unwrap()
    }

    async fn write<'a>(&self, steps: impl IntoIterator<Item = &'a Step>) {
        write(&self.bus().await, steps).await;
    }

    /// Starts it, waits until rules were evaluated up to `second`, and gives its API.
    async fn start_until(&mut self, second: u64) -> Api {
        let api = Api::new(&self.weir.start().await.unwrap().http).unwrap();
        let wanted = i64::try_from(second).unwrap() * SECOND;
        let there = until(PATIENCE, || async { (evaluated(&api).await? >= wanted).then_some(()) }).await;
        assert!(there.is_some(), "{wanted} is not reached: {}", api.alerts().await.unwrap()["pipeline"]);
        api
    }

    async fn run_until(&mut self, second: u64) {
        self.start_until(second).await;
        assert!(self.weir.stop().await.unwrap().success(), "{}", self.weir.stderr());
    }

    /// The first second, with which event time begins.
    async fn begin(&mut self, stream: &Stream) {
        self.write(stream.steps.iter().filter(|step| step.second == stream.start)).await;
        self.run_until(stream.start + 1 - LATENESS).await;
    }

    async fn out(self) -> Out {
        let bus = self.bus().await;
        let mut out = Out::default();
        let mut sources: BTreeMap<i32, Source> = BTreeMap::new();
        for message in messages(&bus, topic::CALLS).await.unwrap() {
            let range = v1::CallDeltas::decode(&message.value[..]).unwrap();
            let known = sources.get(&range.source_partition).copied();
            assert_eq!(Source::follows(known.as_ref(), &range), Follows::InOrder, "{range:?}");
            sources.insert(range.source_partition, Source::after(known.as_ref(), &range));
            assert_eq!(range.spans, range.counted + range.duplicates + range.rejected);
            out.counted += range.counted;
            out.duplicates += range.duplicates;
            for series in range.series {
                for slot in series.slots {
                    let key =
                        (series.tenant.clone(), series.service.clone(), series.interface.clone(), slot.unix_seconds);
                    add(out.calls.entry(key).or_default(), &slot);
                }
            }
        }
        for message in messages(&bus, topic::ALERTS).await.unwrap() {
            let is_alert = message.key.as_ref().is_some_and(|key| key.len() == 16);
            if !is_alert || message.value.is_empty() {
                continue;
            }
            let state = v1::AlertState::decode(&message.value[..]).unwrap();
            let labels = format!("{:?}", state.labels.iter().collect::<BTreeMap<_, _>>());
            out.transitions.insert((state.firing_since_unix_nano, labels.clone(), "firing"));
            if state.resolved_at_unix_nano > 0 {
                out.transitions.insert((state.resolved_at_unix_nano, labels, "resolved"));
            }
        }
        out
    }
}

async fn evaluated(api: &Api) -> Option<i64> {
    let until = api.alerts().await.ok()?["pipeline"]["evaluated_until"].as_str()?.to_owned();
    weir_service::time::parse(&until, 0).ok()
}

fn add(to: &mut v1::CallSlot, more: &v1::CallSlot) {
    to.calls += more.calls;
    to.errors += more.errors;
    to.request_bytes += more.request_bytes;
    to.response_bytes += more.response_bytes;
    to.input_tokens += more.input_tokens;
    to.output_tokens += more.output_tokens;
    let mut durations = Hdr::from_message(&to.durations.take().unwrap_or_else(|| Hdr::default().to_message())).unwrap();
    durations.merge(&Hdr::from_message(more.durations.as_ref().unwrap()).unwrap());
    to.durations = Some(durations.to_message());
}

/// As it was recorded, while the alerter was down.
async fn whole(stream: &Stream, end: u64) -> Out {
    let mut run = Run::new();
    run.begin(stream).await;
    run.write(stream.steps.iter().filter(|step| step.second > stream.start)).await;
    run.run_until(end).await;
    run.out().await
}

/// In pieces, with the alerter killed in the middle of each.
async fn killed(stream: &Stream, end: u64) -> Out {
    let kills = usize::try_from(number("WEIR_E2E_KILLS", 8)).unwrap();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(number("WEIR_E2E_SEED", 1));
    let mut run = Run::new();
    run.begin(stream).await;
    let steps: Vec<&Step> = stream.steps.iter().filter(|step| step.second > stream.start).collect();
    for piece in steps.chunks(steps.len().div_ceil(kills)) {
        run.write(piece.iter().copied()).await;
        run.weir.spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..2_500))).await;
        run.weir.kill().unwrap();
    }
    run.run_until(end).await;
    run.out().await
}

/// One collector is ten minutes behind the other.
async fn lagging(stream: &Stream, end: u64) -> Out {
    let mut run = Run::new();
    run.begin(stream).await;
    let behind = stream.start + SECONDS - 620;
    let (first, later): (Vec<&Step>, Vec<&Step>) = stream
        .steps
        .iter()
        .filter(|step| step.second > stream.start)
        .partition(|step| step.collector == 0 || step.second < behind);
    run.write(first).await;
    let api = run.start_until(behind - LATENESS).await;
    // That nothing happens can only be waited for.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let evaluated = evaluated(&api).await.unwrap();
    assert!(evaluated <= i64::try_from(behind).unwrap() * SECOND, "it went on without the partitions that lag");
    assert!(run.weir.stop().await.unwrap().success());
    run.write(later).await;
    run.run_until(end).await;
    run.out().await
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_alerts_are_the_same_however_a_stream_comes_and_whenever_the_alerter_is_killed() {
    let start = weir_service::time::now_unix_nano_unsigned() / 1_000_000_000 / 60 * 60 - SECONDS - 60;
    let end = start + SECONDS - LATENESS;
    let record = |disorder| Stream::record(start, SECONDS, disorder);
    let stream = record(Disorder::default());
    let shuffled = record(Disorder { late: (LATENESS - 1) * 1_000_000_000, again: 0 });
    let again = record(Disorder { late: 0, again: 20 });

    let want = whole(&stream, end).await;
    assert_eq!((want.counted, want.duplicates), (stream.calls, 0));
    for (alert, times) in [("Slow", 2), ("Failing", 1), ("Dropped", 1), ("Hot", 2), ("Busy", 2), ("Quiet", 5)] {
        for what in ["firing", "resolved"] {
            let found = want.transitions.iter().filter(|(_, labels, is)| labels.contains(alert) && *is == what).count();
            assert_eq!(found, times, "{alert} is {what}: {:#?}", want.transitions);
        }
    }
    let (killed, shuffled, twice, lagging) =
        tokio::join!(killed(&stream, end), whole(&shuffled, end), whole(&again, end), lagging(&stream, end));
    assert!(twice.duplicates > stream.calls / 50, "{}", twice.duplicates);
    for (how, out) in [("killed", killed), ("shuffled", shuffled), ("redelivered", twice), ("lagging", lagging)] {
        assert_eq!(out.counted, stream.calls, "{how}");
        assert!(out.calls == want.calls, "{how}: the sums of calls differ");
        assert_eq!(out.transitions, want.transitions, "{how}");
    }
}
