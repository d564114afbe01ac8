use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Event, Partition, Position};
use weir_calls::alerts::{self, Alerts, State::Firing, State::NotFiring, State::Unknown};
use weir_proto::topic;

use super::plan::Plan;
use super::*;
use crate::rules::{Alert, Period, State};

/// Event times are seconds behind this one.
const BEGIN: i64 = 1_700_000_000;

/// An alert of `rule` that began to fire, and was resolved, at these seconds.
fn alert(rule: &str, since: i64, resolved: Option<i64>) -> Alert {
    let ms = |second: i64| (BEGIN + second) * 1000;
    let labels = [("alertname", rule), ("tenant", "acme")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    Alert {
        labels: Arc::new(BTreeMap::from(labels)),
        annotations: Arc::default(),
        state: if resolved.is_some() { State::Resolved } else { State::Firing },
        value: 1.0,
        active_at_ms: ms(since),
        fired_at_ms: Some(ms(since)),
        resolved_at_ms: resolved.map(ms),
        keep_firing_since_ms: None,
    }
}

fn standing(second: i64, alerts: Vec<Alert>) -> Standing {
    let rules = ["Down", "Slow"].map(str::to_owned).into();
    Standing { evaluated_ms: (BEGIN + second) * 1000, alerts, periods: Vec::new(), rules }
}

/// Plans one standing after the other and shows what each writes, with a reader that reads all of it.
struct Rig {
    plan: Plan,
    reader: Alerts,
}

impl Rig {
    fn new() -> Self {
        Self { plan: Plan::default(), reader: Alerts::default() }
    }

    fn writes(&mut self, second: i64, alerts: &[Alert]) -> String {
        self.writes_after(second, alerts, &[])
    }

    /// With periods that ended since the start of the alerter.
    fn writes_after(&mut self, second: i64, alerts: &[Alert], periods: &[(i64, i64)]) -> String {
        let ms = |second: i64| (BEGIN + second) * 1000;
        let period = |&(since, until): &(i64, i64)| Period {
            labels: alert("Slow", 0, None).labels,
            fired_at_ms: ms(since),
            resolved_at_ms: ms(until),
        };
        let periods = periods.iter().map(period).collect();
        let (entries, next) = self.plan.next(&Standing { periods, ..standing(second, alerts.to_vec()) });
        self.plan = next;
        let mut shown = Vec::new();
        for entry in entries {
            self.reader.apply(entry.key.as_bytes(), &entry.value).unwrap();
            let state = self.reader.states().find(|(fingerprint, _)| alerts::key(*fingerprint) == entry.key);
            shown.push(match state {
                Some((_, state)) => format!("{} {:?}", state.rule, state.state()),
                None if entry.key.len() == 16 => "tombstone".to_owned(),
                None => entry.key,
            });
        }
        shown.join(", ")
    }

    fn slow(&self, second: i64) -> alerts::State {
        self.reader.firing("Slow", Some("acme"), (BEGIN + second) * 1_000_000_000, Duration::ZERO)
    }
}

#[test]
fn what_changed_is_written_and_the_progress_behind_it() {
    let pending = Alert { state: State::Pending, fired_at_ms: None, ..alert("Down", 1, None) };
    let (fires, resolved) = (alert("Slow", 2, None), alert("Slow", 2, Some(4)));
    let mut rig = Rig::new();
    for (second, alerts, want) in [
        (1, vec![pending], "rules, progress"),
        (2, vec![fires.clone()], "Slow Firing, progress"),
        (3, vec![fires], "progress"),
        (4, vec![resolved.clone()], "Slow Resolved, progress"),
        (5, vec![resolved], "progress"),
        (6, vec![alert("Slow", 6, None)], "Slow Firing, progress"),
    ] {
        assert_eq!(rig.writes(second, &alerts), want, "second {second}");
    }
    let states = [1, 2, 3, 4, 5, 6, 7].map(|second| rig.slow(second));
    assert_eq!(states, [NotFiring, Firing, Firing, NotFiring, NotFiring, Firing, Unknown]);
}

#[test]
fn what_fires_is_written_again_each_minute_of_event_time_and_after_a_leap() {
    let alerts = [alert("Slow", 0, None), alert("Down", 0, Some(5))];
    let mut rig = Rig::new();
    for (second, want) in [
        (10, "Slow Firing, Down Resolved, rules, progress"),
        (69, "progress"),
        (70, "Slow Firing, rules, progress"),
        (71, "progress"),
        (1000, "Slow Firing, rules, progress"),
    ] {
        let mut shown: Vec<_> = want.split(", ").collect();
        let writes = rig.writes(second, &alerts);
        let mut written: Vec<_> = writes.split(", ").collect();
        assert_eq!(written.last(), Some(&"progress"), "second {second}");
        shown.sort_unstable();
        written.sort_unstable();
        assert_eq!(written, shown, "second {second}");
    }
    assert_eq!(rig.slow(1000), Firing);
}

#[test]
fn given_a_leap_over_several_periods_then_each_of_them_is_written_once() {
    let pending = Alert { state: State::Pending, fired_at_ms: None, ..alert("Slow", 30, None) };
    let mut rig = Rig::new();
    rig.writes(6, &[alert("Slow", 5, None)]);
    let periods = [(5, 8), (10, 12), (20, 25)];
    let writes = rig.writes_after(30, &[pending], &periods);
    assert_eq!(writes, "Slow Resolved, Slow Resolved, Slow Resolved, progress");
    let fires = |rig: &Rig| [4, 5, 7, 8, 10, 11, 12, 20, 24, 25].map(|second| rig.slow(second) == Firing);
    let want = [false, true, true, false, true, true, false, true, true, false];
    assert_eq!(fires(&rig), want);
    let periods = [(5, 8), (10, 12), (20, 25), (40, 41)];
    assert_eq!(rig.writes_after(42, &[alert("Slow", 42, None)], &periods), "Slow Resolved, Slow Firing, progress");
    assert_eq!(rig.writes_after(43, &[alert("Slow", 42, None)], &periods), "progress");
    // A restart writes them again, which changes nothing for who has read them.
    rig.plan = Plan::default();
    rig.writes_after(44, &[alert("Slow", 42, None)], &periods);
    assert_eq!(fires(&rig), want);
    assert_eq!([40, 41, 42].map(|second| rig.slow(second) == Firing), [true, false, true]);
}

#[test]
fn a_resolved_alert_becomes_a_tombstone_after_an_hour() {
    let mut rig = Rig::new();
    rig.writes(1, &[alert("Slow", 1, None)]);
    rig.writes(10, &[alert("Slow", 1, Some(10))]);
    // The rules forget it before.
    assert_eq!(rig.writes(3610, &[]), "rules, progress");
    assert_eq!(rig.writes(3611, &[]), "tombstone, progress");
    assert_eq!(rig.writes(3612, &[]), "progress");
}

#[test]
fn a_firing_alert_that_the_rules_no_longer_know_is_resolved() {
    let mut rig = Rig::new();
    rig.writes(1, &[alert("Slow", 1, None)]);
    assert_eq!(rig.writes(9, &[]), "Slow Resolved, progress");
    assert_eq!((rig.slow(8), rig.slow(9)), (Firing, NotFiring));
}

#[test]
fn of_two_alerts_with_the_same_labels_the_one_that_fires_is_written() {
    let (old, new) = (alert("Slow", 1, Some(5)), alert("Slow", 6, None));
    for alerts in [[old.clone(), new.clone()], [new, old]] {
        assert_eq!(Rig::new().writes(7, &alerts), "Slow Firing, rules, progress");
    }
}

#[test]
fn time_that_stands_still_writes_nothing_and_rules_that_change_are_written() {
    let mut rig = Rig::new();
    rig.writes(1, &[]);
    assert_eq!(rig.writes(1, &[]), "");
    let (entries, _) = rig.plan.next(&Standing { rules: ["Slow".to_owned()].into(), ..standing(1, Vec::new()) });
    assert_eq!(entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["rules", "progress"]);
}

/// Everything on the topic, once the progress has come to this second.
async fn read_until(bus: &Bus, second: i64) -> (Alerts, usize) {
    let partition = Partition::new(topic::ALERTS, 0);
    let mut consumer = bus.consumer(&[Position { partition, offset: 0 }]).unwrap();
    let (mut alerts, mut count) = (Alerts::default(), 0);
    while alerts.evaluated_until() < Some((BEGIN + second) * 1_000_000_000) {
        let event = tokio::time::timeout(Duration::from_secs(30), consumer.next(100, Duration::from_secs(30)));
        let Event::Batch(messages) = event.await.unwrap().unwrap() else { panic!("nothing came") };
        for message in messages {
            alerts.apply(&message.key.unwrap(), &message.value).unwrap();
            count += 1;
        }
    }
    (alerts, count)
}

#[tokio::test]
async fn states_are_on_the_bus_and_newer_ones_replace_those_not_written_yet() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
    let hands = watch::Sender::new(None);
    for second in 1..=100 {
        hands.send_replace(Some(standing(second, vec![alert("Slow", second, None)])));
    }
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(Publisher::new(bus.clone(), hands.subscribe()).run(shutdown.clone()));
    let (alerts, count) = read_until(&bus, 100).await;
    assert_eq!(count, 3, "one state, the rules and the progress");
    let state = alerts.states().next().unwrap().1;
    assert_eq!((state.tenant.as_str(), state.firing_since_unix_nano / 1_000_000_000), ("acme", BEGIN as u64 + 100));
    assert_eq!(bus.partitions(topic::ALERTS).await.unwrap(), 1);

    // A new start writes again what holds.
    shutdown.cancel();
    running.await.unwrap();
    let shutdown = CancellationToken::new();
    hands.send_replace(Some(standing(200, vec![alert("Slow", 100, Some(200))])));
    let running = tokio::spawn(Publisher::new(bus.clone(), hands.subscribe()).run(shutdown.clone()));
    let (alerts, count) = read_until(&bus, 200).await;
    assert_eq!(count, 6);
    let at = |second: i64| alerts.firing("Slow", None, (BEGIN + second) * 1_000_000_000, Duration::ZERO);
    assert_eq!((at(150), at(200)), (Firing, NotFiring));
    shutdown.cancel();
    running.await.unwrap();
}
