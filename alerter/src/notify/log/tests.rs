use super::*;

fn alert(tenant: &str, name: &str, ends_at_ms: Option<i64>) -> Alert {
    let labels = [("alertname", name), (TENANT, tenant)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    Alert {
        labels: Arc::new(labels.into()),
        annotations: Arc::default(),
        starts_at_ms: 1,
        ends_at_ms,
        generator_url: String::new(),
    }
}

fn notification(name: &str, outcome: Outcome, time_ms: i64, attempts: u32) -> Notification {
    let alerts = [alert("acme", "Slow", None)];
    Notification { name: name.to_owned(), attempts, ..Notification::of(&alerts, outcome, time_ms) }
}

/// Id, time, outcome and attempts of all, newest first.
fn shown(log: &NotificationLog) -> Vec<(u64, i64, &'static str, u32)> {
    let mut all = Vec::new();
    log.visit(None, |one| {
        all.push((one.id, one.time_ms, one.outcome.name(), one.attempts));
        true
    });
    all
}

#[test]
fn given_attempts_of_one_notification_then_they_are_one_entry_over_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notifications");
    let log = NotificationLog::open(&path).unwrap();
    log.record(notification("a", Outcome::Failed, 10, 1));
    log.record(notification("b", Outcome::Sent, 11, 1));
    log.record(notification("a", Outcome::Failed, 20, 2));
    assert_eq!(shown(&log), [(0, 20, "failed", 2), (1, 11, "sent", 1)]);
    let log = NotificationLog::open(&path).unwrap();
    log.record(notification("a", Outcome::Sent, 30, 3));
    log.record(notification("a", Outcome::Sent, 40, 1));
    let all = [(2, 40, "sent", 1), (0, 30, "sent", 3), (1, 11, "sent", 1)];
    assert_eq!(shown(&log), all);
    assert_eq!(shown(&NotificationLog::open(&path).unwrap()), all);
    let mut page = Vec::new();
    log.visit(Some((40, 2)), |one| {
        page.push(one.id);
        false
    });
    assert_eq!(page, [0]);
}

#[test]
fn given_what_is_known_already_then_it_is_there_once_and_what_is_older_takes_its_place_by_time() {
    let log = NotificationLog::default();
    log.record(notification("a", Outcome::Sent, 20, 1));
    log.record(notification("a", Outcome::Sent, 20, 1));
    log.record(notification("a", Outcome::Sent, 10, 1));
    assert_eq!(shown(&log), [(0, 20, "sent", 1), (1, 10, "sent", 1)]);
}

#[test]
fn given_a_large_group_then_its_first_alerts_are_kept_and_whose_the_others_are_is_not_known() {
    let alerts: Vec<Alert> = (0..200).map(|n| alert(&format!("t{n}"), &"n".repeat(100), Some(2))).collect();
    let one = Notification::of(&alerts, Outcome::Sent, 5).because(&"é".repeat(400));
    assert_eq!((one.alerts.len(), one.alerts_total, one.is_firing), (MAX_ALERTS, 200, false));
    assert!(one.tenants.len() == MAX_TENANTS + 1 && one.tenants.contains(&None));
    assert!(one.error.unwrap().len() <= MAX_ERROR_BYTES);
    let long = Notification::of(&[alert("a", &"n".repeat(MAX_LABEL_BYTES), None)], Outcome::Sent, 5);
    assert_eq!((long.alerts.len(), long.alerts_total, long.is_firing), (0, 1, true));
}

#[test]
fn memory_and_file_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notifications");
    let log = NotificationLog::open(&path).unwrap();
    let alerts: Vec<Alert> = (0..MAX_ALERTS).map(|n| alert("acme", &format!("{n}{}", "n".repeat(150)), None)).collect();
    for time_ms in 0..1_000 {
        log.record(Notification { name: time_ms.to_string(), ..Notification::of(&alerts, Outcome::Sent, time_ms) });
    }
    let kept = shown(&log);
    assert!(kept.len() < 1_000 && kept[0].1 == 999 && log.0.lock().bytes <= MAX_BYTES, "{}", kept.len());
    let written = std::fs::metadata(&path).unwrap().len();
    assert!(written <= 2 * MAX_BYTES as u64);
    log.record(Notification { name: "old".to_owned(), ..Notification::of(&alerts, Outcome::Sent, -1) });
    assert_eq!((shown(&log).len(), std::fs::metadata(&path).unwrap().len()), (kept.len(), written));
    assert_eq!(shown(&NotificationLog::open(&path).unwrap()), kept);
}

#[test]
fn given_what_was_kept_from_being_told_before_a_start_then_it_is_not_noted_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notifications");
    let log = NotificationLog::open(&path).unwrap();
    log.record(notification("a", Outcome::Suppressed, 10, 0));
    log.record(notification("a", Outcome::Suppressed, 20, 0));
    assert_eq!(shown(&log).len(), 2, "an alert may fire again");
    let log = NotificationLog::open(&path).unwrap();
    log.record(notification("a", Outcome::Suppressed, 30, 0));
    assert_eq!(shown(&log).len(), 2);
    let more = [alert("acme", "Slow", None), alert("acme", "Late", None)];
    log.record(Notification { name: "a".to_owned(), ..Notification::of(&more, Outcome::Suppressed, 40) });
    log.record(notification("a", Outcome::Suppressed, 50, 0));
    log.record(notification("b", Outcome::Suppressed, 60, 0));
    assert_eq!(shown(&log).len(), 5);
}
