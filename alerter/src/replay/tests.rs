use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use weir_bus::Record;
use weir_calls::Hdr;
use weir_proto::v1;

use super::*;
use crate::fold::Lateness;
use crate::options::Waits;
use crate::rules::Templates;

/// Seconds of calls, from this one on.
const T: u64 = 1_700_000_000;

/// What ended in one second of one partition, told of so many milliseconds after the second.
struct Told {
    partition: i32,
    offset: i64,
    second: u64,
    calls: u64,
    after_ms: i64,
}

impl Told {
    fn record(&self) -> Record {
        let mut durations = Hdr::default();
        (0..self.calls).for_each(|_| durations.record(1000));
        let durations = Some(durations.to_message());
        let slot = v1::CallSlot { unix_seconds: self.second, calls: self.calls, durations, ..v1::CallSlot::default() };
        let [tenant, service, interface] = ["acme", "ocr", "POST /ocr"].map(str::to_owned);
        let range = v1::CallDeltas {
            source_topic: topic::SPANS.to_owned(),
            source_partition: self.partition,
            first_offset: self.offset,
            end_offset: self.offset + 1,
            spans: self.calls,
            counted: self.calls,
            watermark_unix_nano: (self.second + 1) * 1_000_000_000,
            series: vec![v1::CallSeries { tenant, service, interface, slots: vec![slot] }],
            ..v1::CallDeltas::default()
        };
        Record {
            topic: topic::CALLS.into(),
            partition: Some(self.partition),
            value: Bytes::from(range.encode_to_vec()),
            timestamp_ms: Some((self.second as i64 + 1) * 1000 + self.after_ms),
            ..Record::default()
        }
    }
}

/// A bus of one partition with a call in each of 100 seconds, and 50 in those from 40 to 69.
async fn bus(folder: &std::path::Path) -> Bus {
    let options = weir_bus::Options { partitions: 1, ..weir_bus::Options::default() };
    let bus = Bus::open(&options, folder).await.unwrap();
    bus.ensure_topics(&[bus.topic_spec(topic::SPANS)]).await.unwrap();
    let producer = bus.producer().unwrap();
    for at in 0..100 {
        let calls = if (40..70).contains(&at) { 50 } else { 1 };
        let told = Told { partition: 0, offset: at as i64, second: T + at, calls, after_ms: 200 };
        producer.send(told.record()).await.unwrap().await.unwrap();
    }
    bus
}

const BUSY: &str = "groups: [{name: g, interval: 1s, rules: [
    {record: 'calls:rate', expr: 'sum(rate(weir_calls_total[2s]))'},
    {alert: Busy, expr: 'calls:rate > 10', for: 5s, annotations: {summary: '{{ $value }}'}},
    {alert: Quiet, expr: 'calls:rate < 0.5'}]}]";

fn replay(rules: &str, start: u64, end: u64) -> Replay {
    let options = Options { lateness: Waits(Lateness::Fixed(Duration::from_secs(2))), ..Options::default() };
    let rules = RuleSet::parse("rules.yaml".as_ref(), rules, Templates::All).unwrap();
    let window = Window { start_ms: (T + start) as i64 * 1000, end_ms: (T + end) as i64 * 1000 };
    Replay { options, rules, window, sees: Arc::new(|_| true), within: None }
}

/// Seconds since `T`.
fn since(unix_ms: i64) -> f64 {
    (unix_ms - T as i64 * 1000) as f64 / 1000.0
}

#[tokio::test]
async fn an_alert_is_told_with_its_times_its_greatest_value_and_how_late_it_was_known() {
    let folder = tempfile::tempdir().unwrap();
    let bus = bus(folder.path()).await;
    let report = replay(BUSY, 20, 90).run(&bus, |_| ()).await.unwrap();
    let [alert] = &report.alerts[..] else { panic!("{:?}", report.alerts) };
    assert_eq!(alert.labels["alertname"], "Busy");
    // 50 calls ended in second 40, which are in the rate from 41 on, and the last in 69.
    let times = [Some(alert.pending_ms), alert.fired_ms, alert.ended_ms].map(|time| time.map(since));
    assert_eq!(times, [Some(41.0), Some(46.0), Some(72.0)]);
    assert_eq!((alert.greatest, alert.waited_ms, alert.is_older), (50.0, Some(2200), false));
    let [busy, quiet] = &report.rules[..] else { panic!("{:?}", report.rules) };
    assert_eq!((busy.firings, busy.alerts, busy.pages, quiet.firings), (1, 1, 1, 0));
    assert_eq!(busy.detection_ms, (7200, 7200, 1));
    let weeks = 70.0 / (7.0 * 86_400.0);
    assert!((report.pages_per_week(busy) - 1.0 / weeks).abs() < 1e-6);
    assert_eq!((since(report.evaluated_ms.0), since(report.evaluated_ms.1)), (20.0, 90.0));
    assert_eq!(report.notes, [] as [&str; 0]);
    assert!(report.records < 98, "it stops behind the window, after {} records", report.records);
}

#[tokio::test]
async fn what_fires_since_before_the_window_is_no_firing_in_it_and_goes_on_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let bus = bus(folder.path()).await;
    let report = replay(BUSY, 60, 65).run(&bus, |_| ()).await.unwrap();
    let [alert] = &report.alerts[..] else { panic!("{:?}", report.alerts) };
    assert!(alert.fired_ms.is_some_and(|fired| since(fired) < 60.0) && alert.ended_ms.is_none(), "{alert:?}");
    assert_eq!((report.rules[0].firings, report.rules[0].pages), (0, 0));
}

#[tokio::test]
async fn a_window_that_the_bus_does_not_hold_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let bus = bus(folder.path()).await;
    let error = replay(BUSY, 0, 1).run(&bus, |_| ()).await.unwrap_err().to_string();
    assert!(error.contains("holds nothing before 2023-11-14T22:13:21.2Z"), "{error}");
    let error = replay(BUSY, 200, 300).run(&bus, |_| ()).await.unwrap_err().to_string();
    assert!(
        error.contains("begins at 2023-11-14T22:16:40Z") && error.contains("up to 2023-11-14T22:14:58Z"),
        "{error}"
    );
    let report = replay(BUSY, 0, 300).run(&bus, |_| ()).await.unwrap();
    assert!(report.notes[0].contains("nothing before") && report.notes[1].contains("up to"), "{:?}", report.notes);
    assert_eq!((since(report.evaluated_ms.0), since(report.evaluated_ms.1)), (1.2, 98.0));
    let other = tempfile::tempdir().unwrap();
    let empty = Bus::open(&weir_bus::Options::default(), other.path()).await.unwrap();
    assert!(matches!(replay(BUSY, 0, 1).run(&empty, |_| ()).await, Err(Error::Empty)));
}

#[tokio::test]
async fn what_may_not_be_seen_is_not_there_and_what_rules_record_is() {
    let folder = tempfile::tempdir().unwrap();
    let bus = bus(folder.path()).await;
    let of = |tenant: &'static str| Replay {
        sees: Arc::new(move |labels| labels.get("tenant").is_some_and(|own| own == tenant)),
        ..replay(BUSY, 20, 90)
    };
    assert_eq!(of("acme").run(&bus, |_| ()).await.unwrap().rules[0].firings, 1);
    assert_eq!(of("globex").run(&bus, |_| ()).await.unwrap().alerts, []);
    let hasty = Replay { within: Some(Duration::ZERO), ..replay(BUSY, 20, 90) };
    assert!(matches!(hasty.run(&bus, |_| ()).await, Err(Error::TooLong(_))));
}

/// Two partitions, of which one tells of its calls half a minute late, and a call that comes when rules have gone on.
#[tokio::test]
async fn what_was_late_holds_evaluation_back_and_what_came_later_still_was_not_seen() {
    let folder = tempfile::tempdir().unwrap();
    let options = weir_bus::Options { partitions: 2, ..weir_bus::Options::default() };
    let bus = Bus::open(&options, folder.path()).await.unwrap();
    bus.ensure_topics(&[bus.topic_spec(topic::SPANS)]).await.unwrap();
    let producer = bus.producer().unwrap();
    let mut records = Vec::new();
    for at in 0..60 {
        for (partition, after_ms) in [(0, 200), (1, if at < 20 { 200 } else { 30_000 })] {
            records.push(Told { partition, offset: at as i64, second: T + at, calls: 1, after_ms }.record());
        }
    }
    for record in records {
        producer.send(record).await.unwrap().await.unwrap();
    }
    let rules = "groups: [{name: g, interval: 1s, rules: [
        {alert: Half, expr: 'sum(increase(weir_calls_total[1s])) < 2'}, {alert: Second30, expr: 'vector(time()) == 1700000030'}]}]";
    let report = replay(rules, 5, 50).run(&bus, |_| ()).await.unwrap();
    let [alert] = &report.alerts[..] else { panic!("no call was missing: {:?}", report.alerts) };
    assert_eq!((since(alert.pending_ms), alert.waited_ms), (30.0, Some(32_000)));
}
