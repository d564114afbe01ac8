use std::time::Duration;

use proptest::prelude::*;
use weir_proto::v1;

use super::State::{Firing, NotFiring, Unknown};
use super::*;

const SECOND: i64 = 1_000_000_000;

/// Event times are seconds behind this one.
const BEGIN: i64 = 1_700_000_000;

fn at(second: i64) -> i64 {
    (BEGIN + second) * SECOND
}

fn unix(second: i64) -> u64 {
    at(second) as u64
}

impl Alerts {
    fn with(mut self, key: &str, value: &impl prost::Message) -> Self {
        self.apply(key.as_bytes(), &value.encode_to_vec()).unwrap();
        self
    }

    fn progress(self, second: i64) -> Self {
        self.with(PROGRESS_KEY, &v1::AlertProgress { evaluated_until_unix_nano: unix(second) })
    }

    fn with_rules(self, names: &[&str], second: i64) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.with(RULES_KEY, &v1::AlertRules { names, evaluated_until_unix_nano: unix(second) })
    }

    /// An alert of `Slow`, as it was at `evaluated`.
    fn slow(self, number: u64, tenant: &str, since: i64, resolved: Option<i64>, evaluated: i64) -> Self {
        let state = match resolved {
            None => v1::alert_state::State::Firing,
            Some(_) => v1::alert_state::State::Resolved,
        };
        let state = v1::AlertState {
            rule: "Slow".to_owned(),
            tenant: tenant.to_owned(),
            state: state as i32,
            firing_since_unix_nano: unix(since),
            resolved_at_unix_nano: resolved.map_or(0, unix),
            evaluated_until_unix_nano: unix(evaluated),
            ..v1::AlertState::default()
        };
        self.with(&key(number), &state)
    }

    fn forget(mut self, number: u64) -> Self {
        self.apply(key(number).as_bytes(), b"").unwrap();
        self
    }

    /// Of `Slow`, at these seconds, with a lateness of five seconds.
    fn shown(&self, tenant: Option<&str>, seconds: &[i64]) -> Vec<State> {
        seconds.iter().map(|second| self.firing("Slow", tenant, at(*second), Duration::from_secs(5))).collect()
    }
}

/// From second 0, with the rules `Slow` and `Down`.
fn begun() -> Alerts {
    Alerts::default().with_rules(&["Down", "Slow"], 0).progress(0)
}

#[test]
fn an_alert_fires_from_its_first_second_until_it_is_resolved() {
    let firing = begun().slow(1, "", 10, None, 10).progress(20);
    let resolved = firing.clone().slow(1, "", 10, Some(21), 21).progress(30);
    let again = resolved.clone().slow(1, "", 32, None, 32).progress(40);
    // Resolved and firing again between two records.
    let not_told = firing.clone().slow(1, "", 24, None, 24).progress(30);
    for (name, alerts, want) in [
        ("no alert", begun().progress(20), vec![(0, NotFiring), (20, NotFiring), (25, NotFiring), (26, Unknown)]),
        ("firing", firing, vec![(9, NotFiring), (10, Firing), (20, Firing), (25, Firing), (26, Unknown)]),
        ("resolved", resolved, vec![(9, NotFiring), (10, Firing), (20, Firing), (21, NotFiring), (36, Unknown)]),
        ("again", again, vec![(9, NotFiring), (10, Firing), (21, NotFiring), (31, NotFiring), (32, Firing)]),
        (
            "resolved unheard",
            not_told,
            vec![(10, Firing), (19, Firing), (20, NotFiring), (23, NotFiring), (24, Firing)],
        ),
    ] {
        let (seconds, want): (Vec<i64>, Vec<State>) = want.into_iter().unzip();
        assert_eq!(alerts.shown(None, &seconds), want, "{name}");
    }
}

#[test]
fn an_alert_of_a_tenant_concerns_that_tenant_and_one_without_concerns_all() {
    let alerts = begun().slow(1, "a", 10, None, 10).progress(20);
    for (tenant, want) in [(None, Firing), (Some("a"), Firing), (Some("b"), NotFiring)] {
        assert_eq!(alerts.shown(tenant, &[15]), [want], "{tenant:?}");
    }
    let alerts = alerts.slow(2, "", 12, None, 20);
    assert_eq!(alerts.shown(Some("b"), &[11, 12]), [NotFiring, Firing]);
}

#[test]
fn what_was_not_evaluated_is_unknown() {
    let lateness = Duration::from_secs(5);
    assert_eq!(Alerts::default().with_rules(&["Slow"], 0).shown(None, &[0]), [Unknown], "no progress");
    assert_eq!(begun().firing("Fast", None, at(0), lateness), Unknown, "no such rule");
    assert_eq!(begun().shown(None, &[-1]), [Unknown], "before the first progress");
    let removed = begun().slow(1, "", 10, None, 10).with_rules(&["Down"], 20).progress(20);
    assert_eq!(removed.shown(None, &[15]), [Unknown], "a rule that was removed");
    assert_eq!(removed.firing("Down", None, at(15), lateness), NotFiring);
    let hour = RESOLVED_KEPT.as_secs() as i64;
    assert_eq!(begun().progress(hour + 10).shown(None, &[9, 10]), [Unknown, NotFiring], "further back than is kept");
}

#[test]
fn the_state_evaluated_furthest_wins_and_progress_never_falls() {
    let alerts = begun().slow(1, "", 10, Some(20), 30).progress(30);
    let behind = alerts.clone().slow(1, "", 10, None, 15).with_rules(&[], -1).progress(15);
    assert_eq!(behind.evaluated_until(), Some(at(30)));
    assert_eq!(behind.shown(None, &[25]), [NotFiring]);
    assert_eq!(alerts.slow(1, "", 10, None, 30).shown(None, &[25]), [Firing], "the last of equal ones");
}

#[test]
fn a_firing_alert_that_no_alerter_states_any_more_ends_where_it_was_stated_last() {
    let alerts = begun().slow(1, "", 10, None, 10).slow(1, "", 10, None, 70).progress(250);
    assert_eq!(alerts.shown(None, &[69, 250]), [Firing, Firing]);
    let alerts = alerts.progress(251);
    assert_eq!(alerts.shown(None, &[69, 70, 251]), [Firing, NotFiring, NotFiring]);
}

#[test]
fn what_ended_an_hour_ago_is_forgotten_and_so_is_what_has_a_tombstone() {
    let hour = RESOLVED_KEPT.as_secs() as i64;
    let alerts = begun().slow(1, "", 10, Some(20), 20).slow(2, "", 15, None, 15).progress(20);
    let left = |alerts: &Alerts| alerts.states().map(|(fingerprint, _)| fingerprint).collect::<Vec<_>>();
    assert_eq!(left(&alerts), [1, 2]);
    assert_eq!(left(&alerts.clone().forget(2)), [1]);
    let later = alerts.slow(2, "", 15, None, hour + 20);
    assert_eq!(left(&later.clone().progress(hour + 19)), [1, 2]);
    assert_eq!(left(&later.progress(hour + 20)), [2]);
}

#[test]
fn an_alert_that_flaps_is_kept_bounded() {
    let flaps =
        |alerts: Alerts, n: i64| alerts.slow(1, "", n * 2, None, n * 2).slow(1, "", n * 2, Some(n * 2 + 1), n * 2 + 1);
    let alerts = (0..500).fold(begun(), flaps).progress(1000);
    assert_eq!(alerts.by_fingerprint[&1].earlier.len(), MAX_EARLIER);
    assert_eq!(alerts.shown(None, &[990, 991, 998, 999]), [Firing, NotFiring, Firing, NotFiring]);
}

#[test]
fn a_record_that_cannot_be_decoded_names_its_key_and_changes_nothing() {
    let mut alerts = begun();
    for key in [PROGRESS_KEY, RULES_KEY, &key(7)] {
        let error = alerts.apply(key.as_bytes(), b"\xff").unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
    }
    alerts.apply(b"of a later version", b"\xff").unwrap();
    alerts.apply(b"+00000000000000f", b"\xff").unwrap();
    assert_eq!((alerts.evaluated_until(), alerts.rules().count(), alerts.states().count()), (Some(at(0)), 2, 0));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        records in proptest::collection::vec((0_usize..4, proptest::collection::vec(any::<u8>(), 0..40)), 0..20),
        at in any::<i64>(),
    ) {
        let mut alerts = Alerts::default();
        let keys = [PROGRESS_KEY.to_owned(), RULES_KEY.to_owned(), key(1), "other".to_owned()];
        for (number, value) in records {
            let _ = alerts.apply(keys[number].as_bytes(), &value);
        }
        alerts.firing("", None, at, Duration::MAX);
    }
}
