use weir_bus::{Partition, Position};
use weir_calls::Hdr;
use weir_proto::{topic, v1};
use weir_service::auth::{Auth, Tenants};

use super::*;
use crate::cell::{Name, Sums};
use crate::proof::FaultKind;
use crate::report::pieces;

const HOUR_START: i64 = 1_700_002_800;

fn everything() -> Tenants {
    Auth::off().everything().unwrap()
}

async fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open("sqlite", folder.path()).await.unwrap();
    (folder, store)
}

/// Calls of two tenants in offsets `[first, end)`, each of which took 10 ms.
fn range(first: i64, end: i64, acme: u64, globex: u64) -> v1::CallDeltas {
    let series = [("acme", acme), ("globex", globex)].map(|(tenant, calls)| {
        let mut durations = Hdr::default();
        (0..calls).for_each(|_| durations.record(10_000));
        let durations = Some(durations.to_message());
        let unix_seconds = HOUR_START.unsigned_abs() + 7;
        let slot = v1::CallSlot { unix_seconds, calls, errors: 1, durations, ..v1::CallSlot::default() };
        let [tenant, service, interface] = [tenant, "ocr", "POST /v1/ocr"].map(str::to_owned);
        v1::CallSeries { tenant, service, interface, slots: vec![slot] }
    });
    v1::CallDeltas {
        source_topic: topic::SPANS.to_owned(),
        first_offset: first,
        end_offset: end,
        spans: acme + globex,
        counted: acme + globex,
        watermark_unix_nano: (HOUR_START.unsigned_abs() + 8) * 1_000_000_000,
        series: series.to_vec(),
        ..v1::CallDeltas::default()
    }
}

/// A batch of these ranges, read up to `next`.
fn batch(state: &State, ranges: &[v1::CallDeltas], next: i64) -> Batch {
    let mut batch = Batch::default();
    for range in ranges {
        batch.add_range(state, range, 0);
    }
    batch.positions.push(Position { partition: Partition::new(topic::CALLS, 0), offset: next });
    batch
}

async fn calls(store: &Store, tenants: &Tenants) -> Vec<(String, u64)> {
    let picked = store.pick(tenants, Window::default()).await.unwrap();
    let sums = store.sums(&picked, &[pieces::of(HOUR_START, HOUR_START + 3600)]).await.unwrap().remove(0);
    let mut calls: Vec<_> =
        sums.iter().map(|(id, sums)| (picked.name(*id).unwrap().tenant.clone(), sums.calls)).collect();
    calls.sort();
    calls
}

#[tokio::test]
async fn given_batches_then_they_add_up_and_what_was_read_is_known_after_a_restart() {
    let (folder, store) = store().await;
    let mut state = store.state().await.unwrap();
    for (first, next) in [(0, 1), (5, 2)] {
        let mut batch = batch(&state, &[range(first, first + 5, 3, 2)], next);
        store.commit(&mut state, &mut batch).await.unwrap();
    }
    assert_eq!(calls(&store, &everything()).await, [("acme".to_owned(), 6), ("globex".to_owned(), 4)]);

    let again = Store::open("sqlite", folder.path()).await.unwrap();
    let mut state = again.state().await.unwrap();
    assert_eq!(state.positions, [Position { partition: Partition::new(topic::CALLS, 0), offset: 2 }]);
    let mut repeated = batch(&state, &[range(5, 10, 3, 2), range(0, 5, 3, 2)], 2);
    assert!(repeated.cells.is_empty() && repeated.faults.is_empty(), "what was read is dropped, and is no fault");
    again.commit(&mut state, &mut repeated).await.unwrap();
    assert_eq!(calls(&again, &everything()).await, [("acme".to_owned(), 6), ("globex".to_owned(), 4)]);
    let picked = again.pick(&everything(), Window::default()).await.unwrap();
    let stretch = pieces::of(HOUR_START, HOUR_START + 3600);
    let durations = again.durations(&picked, &stretch, |_| ()).await.unwrap();
    assert_eq!(durations[&()].count(), 10);
}

#[tokio::test]
async fn given_two_writers_then_the_one_that_knows_an_old_version_adds_nothing() {
    let (_folder, store) = store().await;
    let (mut first, mut zombie) = (store.state().await.unwrap(), store.state().await.unwrap());
    let mut one = batch(&first, &[range(0, 5, 3, 2)], 1);
    store.commit(&mut first, &mut one).await.unwrap();
    let mut other = batch(&zombie, &[range(0, 5, 3, 2)], 1);
    assert!(matches!(store.commit(&mut zombie, &mut other).await, Err(StoreError::Conflict)));
    assert_eq!(calls(&store, &everything()).await, [("acme".to_owned(), 3), ("globex".to_owned(), 2)]);
    let mut second = batch(&first, &[range(5, 6, 1, 0)], 2);
    store.commit(&mut first, &mut second).await.unwrap();
}

#[tokio::test]
async fn given_a_gap_an_overlap_and_a_range_that_does_not_add_up_then_each_is_a_fault_of_the_proof() {
    let (_folder, store) = store().await;
    let mut state = store.state().await.unwrap();
    let unbalanced = v1::CallDeltas { counted: 9, spans: 9, ..range(25, 30, 1, 1) };
    let ranges = [range(0, 10, 1, 1), range(15, 20, 1, 1), range(18, 25, 1, 1), range(20, 25, 1, 1), unbalanced];
    let mut batch = batch(&state, &ranges, 5);
    store.commit(&mut state, &mut batch).await.unwrap();
    let proven = store.proof(&everything(), HOUR_START, HOUR_START + 3600).await.unwrap();
    let kinds: Vec<_> = proven.faults.iter().map(|fault| (fault.kind, fault.from_offset, fault.to_offset)).collect();
    assert_eq!(kinds, [(FaultKind::Overlap, 18, 25), (FaultKind::Unbalanced, 25, 30), (FaultKind::Gap, 10, 15)]);
    let rows: u64 = proven.rows.iter().map(|(_, sums)| sums.calls).sum();
    let ranges: u64 = proven.ranges.iter().map(|range| range.counted_in_window).sum();
    assert_eq!((rows, ranges), (8, 8), "the overlap was dropped");
}

#[tokio::test]
async fn given_ranges_that_come_out_of_order_then_they_fill_their_gap_once() {
    let (_folder, store) = store().await;
    let mut state = store.state().await.unwrap();
    let mut open = batch(&state, &[range(0, 10, 1, 1), range(30, 40, 1, 1)], 1);
    store.commit(&mut state, &mut open).await.unwrap();
    // In one transaction, after a restart, and what is read again.
    for (ranges, left) in [
        (vec![range(20, 25, 1, 1)], vec![(10, 20), (25, 30)]),
        (vec![range(10, 20, 1, 1), range(20, 25, 1, 1), range(40, 45, 1, 1)], vec![(25, 30)]),
        (vec![range(25, 30, 1, 1), range(25, 30, 1, 1)], vec![]),
    ] {
        let mut state = store.state().await.unwrap();
        let mut batch = batch(&state, &ranges, 2);
        assert!(batch.faults.is_empty());
        store.commit(&mut state, &mut batch).await.unwrap();
        let proven = store.proof(&everything(), HOUR_START, HOUR_START + 3600).await.unwrap();
        let mut gaps: Vec<_> = proven.faults.iter().map(|fault| (fault.from_offset, fault.to_offset)).collect();
        gaps.sort_unstable();
        assert_eq!(gaps, left);
    }
    assert_eq!(calls(&store, &everything()).await, [("acme".to_owned(), 6), ("globex".to_owned(), 6)]);
    let proven = store.proof(&everything(), HOUR_START, HOUR_START + 3600).await.unwrap();
    assert_eq!(proven.ranges.iter().map(|range| range.offsets).collect::<Vec<_>>(), [(0, 45)]);
}

#[tokio::test]
async fn given_a_credential_of_one_tenant_then_the_others_names_are_not_even_picked() {
    let (_folder, store) = store().await;
    let mut state = store.state().await.unwrap();
    let mut both = batch(&state, &[range(0, 5, 3, 2)], 1);
    store.commit(&mut state, &mut both).await.unwrap();
    let acme = everything().narrow(["acme"]).unwrap();
    assert_eq!(calls(&store, &acme).await, [("acme".to_owned(), 3)]);
    let none = everything().narrow(["nobody"]).unwrap();
    assert!(store.pick(&none, Window::default()).await.unwrap().is_empty());
    assert_eq!(calls(&store, &none).await, []);
}

#[tokio::test]
async fn given_sums_beyond_reason_then_they_stop_and_nothing_breaks() {
    let (_folder, store) = store().await;
    let mut state = store.state().await.unwrap();
    for next in 1..4 {
        let mut batch = batch(&state, &[], next);
        let name = Name { tenant: "acme".to_owned(), ..Name::default() };
        let sums = Sums { input_tokens: u64::MAX, ..Sums::default() };
        batch.cells.insert(CellKey { hour: HOUR_START, name }, (sums, Hdr::default()));
        store.commit(&mut state, &mut batch).await.unwrap();
    }
    let picked = store.pick(&everything(), Window::default()).await.unwrap();
    let sums = store.sums(&picked, &[pieces::of(HOUR_START, HOUR_START + 3600)]).await.unwrap();
    assert_eq!(sums[0].values().next().unwrap().input_tokens, 1 << 53);
}

#[tokio::test]
async fn given_old_hours_then_they_go_and_their_months_stay() {
    let (_folder, store) = store().await;
    let mut state = store.state().await.unwrap();
    let mut old = batch(&state, &[range(0, 5, 3, 2)], 1);
    store.commit(&mut state, &mut old).await.unwrap();
    let retention = Duration::from_hours(62 * 24);
    store.expire(&mut state, retention, HOUR_START + 61 * 24 * 3600).await.unwrap();
    assert_eq!(calls(&store, &everything()).await.len(), 2, "not yet");
    store.expire(&mut state, retention, HOUR_START + 200 * 24 * 3600).await.unwrap();
    let picked = store.pick(&everything(), Window::default()).await.unwrap();
    let hour = pieces::of(HOUR_START, HOUR_START + 3600);
    assert!(matches!(store.sums(&picked, &[hour]).await, Err(StoreError::Expired(_))));
    assert!(matches!(store.proof(&everything(), HOUR_START, HOUR_START + 3600).await, Err(StoreError::Expired(_))));
    let month = pieces::of(pieces::month_of(HOUR_START), pieces::month_of(HOUR_START + 31 * 24 * 3600));
    let sums = store.sums(&picked, &[month]).await.unwrap();
    assert_eq!(sums[0].values().map(|sums| sums.calls).sum::<u64>(), 5);
    // And it can be written to.
    let mut next = batch(&state, &[range(5, 6, 1, 0)], 2);
    store.commit(&mut state, &mut next).await.unwrap();
}

#[tokio::test]
async fn given_names_that_databases_refuse_then_they_are_cleaned_and_nothing_waits() {
    let (_folder, store) = store().await;
    let mut state = store.state().await.unwrap();
    let mut odd = range(0, 5, 3, 2);
    "a\0b\n".clone_into(&mut odd.series[0].interface);
    odd.series[1].service = "é".repeat(400);
    let mut batch = batch(&state, &[odd], 1);
    store.commit(&mut state, &mut batch).await.unwrap();
    let picked = store.pick(&everything(), Window::default()).await.unwrap();
    let mut names: Vec<_> = picked.iter().map(|(_, name)| (name.interface.as_str(), name.service.len())).collect();
    names.sort_unstable();
    assert_eq!(names, [("POST /v1/ocr", 256), ("a\u{fffd}b\u{fffd}", 3)]);
}

#[tokio::test]
async fn given_calls_that_become_slower_then_their_durations_are_kept_too() {
    let (_folder, store) = store().await;
    let mut state = store.state().await.unwrap();
    for (next, micros) in [(1, 1_000), (2, 5_000_000), (3, 900_000_000)] {
        let mut batch = batch(&state, &[], next);
        let mut durations = Hdr::default();
        durations.record(micros);
        let name = Name::new("acme", "ocr", "POST /v1/ocr");
        batch.cells.insert(CellKey { hour: HOUR_START, name }, (Sums { calls: 1, ..Sums::default() }, durations));
        store.commit(&mut state, &mut batch).await.unwrap();
    }
    let picked = store.pick(&everything(), Window::default()).await.unwrap();
    let stretch = pieces::of(HOUR_START, HOUR_START + 3600);
    let durations = store.durations(&picked, &stretch, |_| ()).await.unwrap();
    assert_eq!(durations[&()].count(), 3);
    assert!(durations[&()].quantile(1.0).unwrap() > 890_000_000);
}

#[tokio::test]
async fn given_a_topic_that_was_made_again_unknown_to_its_writer_then_its_ranges_count() {
    let (_folder, store) = store().await;
    let mut state = store.state().await.unwrap();
    let mut first = batch(&state, &[range(0, 50, 3, 2)], 1);
    store.commit(&mut state, &mut first).await.unwrap();
    let later = |mut range: v1::CallDeltas| {
        range.watermark_unix_nano += 60_000_000_000;
        range
    };
    let ranges = [later(range(0, 5, 1, 1)), later(range(5, 9, 1, 0)), range(0, 50, 3, 2)];
    let mut second = batch(&state, &ranges, 4);
    let kinds: Vec<_> = second.faults.iter().map(|(_, fault)| fault.kind).collect();
    assert_eq!(kinds, [FaultKind::Overlap], "a range of before that disagrees with what is known now");
    store.commit(&mut state, &mut second).await.unwrap();
    assert_eq!(calls(&store, &everything()).await, [("acme".to_owned(), 5), ("globex".to_owned(), 3)]);
}

#[test]
fn given_addresses_then_wrong_ones_are_refused_without_their_password() {
    for right in ["sqlite", "postgres://weir@db/usage", "postgresql://weir:secret@db:5433/usage"] {
        assert_eq!(Store::check(right), Ok(()), "{right}");
    }
    for wrong in ["", "mysql://weir:secret@db/usage", "secret", "postgres://weir:secret@db:port/usage"] {
        let told = Store::check(wrong).unwrap_err();
        assert!(!told.contains("weir:secret"), "{told}");
    }
}
