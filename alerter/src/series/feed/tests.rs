use bytes::Bytes;
use weir_bus::Record;
use weir_calls::Hdr;

use super::*;
use crate::series::read::{Data, MatchOp};

const RANGES: u64 = 300;

/// One call in one second, in a record that was written at that time.
fn record(at: u64, second: u64) -> Record {
    let mut durations = Hdr::default();
    durations.record(1000);
    let durations = Some(durations.to_message());
    let slot = v1::CallSlot { unix_seconds: second, calls: 1, durations, ..v1::CallSlot::default() };
    let [tenant, service, interface] = ["acme", "ocr", "POST /ocr"].map(str::to_owned);
    let range = v1::CallDeltas {
        source_topic: topic::SPANS.to_owned(),
        first_offset: at as i64,
        end_offset: at as i64 + 1,
        spans: 1,
        counted: 1,
        watermark_unix_nano: (second + 1) * 1_000_000_000,
        series: vec![v1::CallSeries { tenant, service, interface, slots: vec![slot] }],
        ..v1::CallDeltas::default()
    };
    Record {
        topic: topic::CALLS.into(),
        partition: Some(0),
        value: Bytes::from(range.encode_to_vec()),
        timestamp_ms: Some(second as i64 * 1000),
        ..Record::default()
    }
}

/// The total of calls once the feed has read all that is there, with a history of a minute.
async fn total(bus: &Bus, folder: &std::path::Path) -> f64 {
    let history = Duration::from_mins(1);
    let shared = Shared::new(Store::new(history.as_millis() as i64, 100), Duration::from_mins(5));
    let health = weir_service::health::Health::default();
    let meter = opentelemetry::global::meter("test");
    let feed = Feed::new(bus.clone(), shared.clone(), history, &meter, health.part("series"))
        .with_totals(folder.join("totals"));
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(feed.run(shutdown.clone()));
    while !shared.whole.load(Ordering::Acquire) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    shutdown.cancel();
    running.await.unwrap();
    let ok = [Matcher { name: "outcome".to_owned(), op: MatchOp::Equal, value: "ok".to_owned() }];
    let series = shared.store.read().select(&ok, 0, i64::MAX);
    let Data::Counter { before, deltas, .. } = &series[0].data else { panic!("no counter") };
    before + deltas.iter().map(|delta| delta.1).sum::<f64>()
}

#[tokio::test]
async fn given_a_history_that_is_shorter_than_a_counters_life_then_it_does_not_fall_at_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
    let now = (weir_service::time::now_unix_nano() / 1_000_000_000) as u64;
    let send = async |at: u64| {
        let second = now - RANGES + at;
        bus.producer().unwrap().send(record(at, second)).await.unwrap().await.unwrap();
    };
    bus.ensure_topics(&[bus.topic_spec(topic::CALLS)]).await.unwrap();
    let mut totals = Vec::new();
    for at in 0..RANGES {
        send(at).await;
        if at == 40 || at == 290 {
            totals.push(total(&bus, folder.path()).await);
        }
    }
    totals.push(total(&bus, folder.path()).await);
    totals.push(total(&bus, folder.path()).await);
    assert!(totals.is_sorted(), "{totals:?}");
    assert_eq!(totals[2..], [totals[1] + 9.0; 2]);
    std::fs::remove_file(folder.path().join("totals")).unwrap();
    assert!(total(&bus, folder.path()).await < totals[1], "what the file is for");
}
