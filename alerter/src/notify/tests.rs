use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::group::{Delivery, Groups, Outcome};
use super::*;

fn options(route: &str, receivers: &str) -> Options {
    Options {
        route: serde_saphyr::from_str(route).unwrap(),
        receivers: serde_saphyr::from_str(receivers).unwrap(),
        templates: Vec::new(),
        external_url: "http://weir:7400".to_owned(),
        ..Options::default()
    }
}

const OPS: &str = "[{name: ops, webhook_configs: [{url: 'http://127.0.0.1:1/hook'}]}]";

fn alert(labels: &[(&str, &str)], ends_at_ms: Option<i64>) -> Alert {
    let map = |of: &[(&str, &str)]| -> Arc<BTreeMap<String, String>> {
        Arc::new(of.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    };
    Alert {
        labels: map(labels),
        annotations: map(&[("summary", "slow")]),
        starts_at_ms: 1_700_000_000_000,
        ends_at_ms,
        generator_url: "http://weir:7400/q".to_owned(),
    }
}

fn slow(interface: &str, ends_at_ms: Option<i64>) -> Alert {
    alert(&[("alertname", "Slow"), ("interface", interface)], ends_at_ms)
}

/// Receivers and alerts (`interface` and `+` firing or `-` resolved) of what is due.
fn told(deliveries: &[Delivery]) -> String {
    let one = |delivery: &Delivery| {
        let alerts = delivery.alerts.iter().map(|a| {
            format!(
                "{}{}",
                a.labels.get("interface").map_or("", String::as_str),
                if a.ends_at_ms.is_none() { "+" } else { "-" }
            )
        });
        format!("{}:{}", delivery.receiver, alerts.collect::<Vec<_>>().join(","))
    };
    deliveries.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn take(groups: &mut Groups, now: i64) -> String {
    let due = groups.due(now);
    for delivery in &due {
        assert!(groups.done(delivery, Outcome::Taken, now));
    }
    told(&due)
}

const ROUTE: &str = "{receiver: ops, group_by: [alertname], group_wait: 5s, group_interval: 1m, repeat_interval: 1h}";

#[test]
fn given_another_alerter_that_is_about_to_tell_then_it_is_waited_for_and_what_it_told_is_not_repeated() {
    let groups = || {
        let mut groups = Groups::new(&options(ROUTE, OPS), Vec::new(), Vec::new());
        groups.update(vec![slow("a", None)], 0);
        groups
    };
    let (mut one, mut other) = (groups(), groups());
    let sent = one.due(5_000).remove(0);
    other.others_send(&sent.message(18_000), 5_100);
    assert_eq!(take(&mut other, 6_000), "", "it may be under way");
    assert_eq!(other.next_ms(), Some(18_000));
    // It was taken: nothing is left to tell until something changes.
    let mut third = groups();
    third.others_send(&sent.message(18_000), 5_100);
    assert!(third.others_told(sent.message(5_200)) && !third.others_told(sent.message(5_200)));
    assert!(third.others_told(sent.message(5_100)), "whatever their clocks say");
    assert_eq!(take(&mut third, 20_000), "");
    third.update(vec![slow("a", Some(1))], 60_000);
    assert_eq!(take(&mut third, 80_000), "ops:a-");
    // Nothing was heard of it: it is told, once.
    assert_eq!(take(&mut other, 18_000), "ops:a+");
    // One that may not send looks again.
    assert!(!one.done(&sent, Outcome::Held, 5_050));
    assert_eq!(one.due(6_050).len(), 1);
}

#[test]
fn a_group_waits_then_tells_of_changes_each_interval_and_repeats() {
    let mut groups = Groups::new(&options(ROUTE, OPS), Vec::new(), Vec::new());
    groups.update(vec![slow("a", None)], 0);
    assert_eq!(take(&mut groups, 4_999), "");
    groups.update(vec![slow("a", None), slow("b", None)], 4_999);
    assert_eq!(groups.next_ms(), Some(5_000));
    assert_eq!(take(&mut groups, 5_000), "ops:a+,b+");
    assert_eq!(take(&mut groups, 65_000), "", "nothing new");
    groups.update(vec![slow("a", None), slow("b", Some(1))], 70_000);
    assert_eq!(take(&mut groups, 100_000), "", "before the group's next turn");
    assert_eq!(take(&mut groups, 125_000), "ops:a+,b-");
    assert_eq!(take(&mut groups, 125_000 + 3_599_999), "");
    assert_eq!(take(&mut groups, 125_000 + 3_660_000), "ops:a+,b-", "repeated");
    groups.update(vec![slow("a", Some(2))], 4_000_000);
    assert_eq!(take(&mut groups, 4_000_000), "ops:a-");
    assert_eq!(take(&mut groups, 40_000_000), "", "a resolved group is not repeated");
}

#[test]
fn what_was_never_told_as_firing_is_not_told_as_resolved() {
    let mut groups = Groups::new(&options(ROUTE, OPS), Vec::new(), Vec::new());
    groups.update(vec![slow("a", Some(1))], 0);
    assert_eq!(take(&mut groups, 10_000), "");
}

#[test]
fn after_a_restart_nothing_is_told_twice() {
    let options = options(ROUTE, OPS);
    let mut groups = Groups::new(&options, Vec::new(), Vec::new());
    groups.update(vec![slow("a", None)], 0);
    assert_eq!(take(&mut groups, 5_000), "ops:a+");
    let mut groups = Groups::new(&options, groups.notified(6_000), groups.owed());
    groups.update(vec![slow("a", None)], 10_000);
    assert_eq!(take(&mut groups, 20_000), "");
    groups.update(vec![slow("a", Some(1))], 20_000);
    assert_eq!(take(&mut groups, 80_000), "ops:a-");
}

#[test]
fn given_a_receiver_that_is_away_while_an_alert_ends_then_it_is_told_whenever_it_is_back() {
    let options = options(ROUTE, OPS);
    let mut groups = Groups::new(&options, Vec::new(), Vec::new());
    groups.update(vec![slow("a", None)], 0);
    assert_eq!(take(&mut groups, 5_000), "ops:a+");
    groups.update(vec![slow("a", Some(60_000))], 60_000);
    let mut now = 65_000;
    for hour in 0..20 {
        let due = groups.due(now);
        assert_eq!(told(&due), "ops:a-", "{hour}");
        groups.done(&due[0], Outcome::Failed { after_ms: None }, now);
        // Evaluation has forgotten it, and the program was started again.
        now += 3_600_000;
        groups.update(Vec::new(), now);
        groups = Groups::new(&options, groups.notified(now), groups.owed());
        groups.update(Vec::new(), now);
        assert_eq!(groups.due(now).len(), 0, "the group waits");
        now += 5_000;
    }
    let due = groups.due(now);
    assert_eq!((told(&due), due[0].alerts[0].ends_at_ms), ("ops:a-".to_owned(), Some(60_000)));
    groups.done(&due[0], Outcome::Taken, now);
    groups.update(Vec::new(), now);
    assert_eq!((groups.owed().len(), groups.next_ms()), (0, None));
    groups.update(vec![slow("a", None)], now + 10_000);
    assert_eq!(take(&mut groups, now + 15_000), "ops:a+", "and of its next firing at once");
}

#[test]
fn given_an_alert_that_is_forgotten_while_it_is_first_told_then_its_end_is_told_too() {
    let mut groups = Groups::new(&options(ROUTE, OPS), Vec::new(), Vec::new());
    groups.update(vec![slow("a", None)], 0);
    let due = groups.due(5_000);
    assert_eq!(told(&due), "ops:a+");
    // It is pending again, which is not told.
    groups.update(Vec::new(), 6_000);
    groups.done(&due[0], Outcome::Taken, 7_000);
    groups.update(Vec::new(), 8_000);
    assert_eq!(take(&mut groups, 65_000), "ops:a-");
}

#[test]
fn given_an_interval_longer_than_evaluation_remembers_then_what_ended_is_told() {
    let route = ROUTE.replace("group_interval: 1m", "group_interval: 17m");
    let mut groups = Groups::new(&options(&route, OPS), Vec::new(), Vec::new());
    groups.update(vec![slow("a", None)], 0);
    assert_eq!(take(&mut groups, 5_000), "ops:a+");
    groups.update(vec![slow("a", Some(10_000))], 10_000);
    groups.update(Vec::new(), 950_000);
    assert_eq!(take(&mut groups, 1_025_000), "ops:a-");
}

#[test]
fn given_two_receivers_then_the_one_that_took_it_is_not_told_again_while_the_other_is_away() {
    let receivers = "[{name: ops, webhook_configs: [{url: 'http://h/1'}, {url: 'http://h/2'}]}]";
    let mut groups = Groups::new(&options(ROUTE, receivers), Vec::new(), Vec::new());
    groups.update(vec![slow("a", None)], 0);
    assert_eq!(take(&mut groups, 5_000), "ops:a+ ops:a+");
    groups.update(Vec::new(), 6_000);
    let due = groups.due(65_000);
    groups.done(&due[0], Outcome::Taken, 65_000);
    groups.done(&due[1], Outcome::Failed { after_ms: None }, 65_000);
    groups.update(Vec::new(), 65_100);
    assert_eq!(take(&mut groups, 125_000), "ops:a-");
    groups.update(Vec::new(), 126_000);
    assert_eq!(take(&mut groups, 185_000), "");
}

#[test]
fn given_a_pause_that_a_receiver_asks_for_then_it_is_kept() {
    let mut groups = Groups::new(&options(ROUTE, OPS), Vec::new(), Vec::new());
    groups.update(vec![slow("a", None)], 0);
    let due = groups.due(5_000);
    groups.done(&due[0], Outcome::Failed { after_ms: Some(30_000) }, 5_000);
    assert_eq!(groups.next_ms(), Some(35_000));
    assert_eq!(told(&groups.due(34_999)), "");
    assert_eq!(told(&groups.due(35_000)), "ops:a+");
}

#[test]
fn a_failed_delivery_is_tried_again_with_pauses_and_with_what_is_true_by_then() {
    let mut groups = Groups::new(&options(ROUTE, OPS), Vec::new(), Vec::new());
    groups.update(vec![slow("a", None)], 0);
    let mut now = 5_000;
    for pause in [500, 1000, 2000, 4000] {
        let due = groups.due(now);
        assert_eq!(told(&due), "ops:a+");
        assert_eq!(told(&groups.due(now)), "", "one at a time");
        assert!(!groups.done(&due[0], Outcome::Failed { after_ms: None }, now));
        assert_eq!(groups.next_ms(), Some(now + pause));
        now += pause;
    }
    groups.update(vec![slow("a", None), slow("b", None)], now);
    assert_eq!(take(&mut groups, now), "ops:a+,b+");
}

#[test]
fn a_refused_delivery_waits_for_the_groups_next_turn() {
    let mut groups = Groups::new(&options(ROUTE, OPS), Vec::new(), Vec::new());
    groups.update(vec![slow("a", None)], 0);
    let due = groups.due(5_000);
    groups.done(&due[0], Outcome::Refused, 5_000);
    assert_eq!(told(&groups.due(64_999)), "");
    assert_eq!(told(&groups.due(65_000)), "ops:a+");
}

#[test]
fn the_first_route_that_matches_takes_an_alert_and_continue_goes_on() {
    let route = r#"
receiver: ops
group_by: [alertname]
routes:
  - {matchers: ['severity="page"'], receiver: pager, continue: true}
  - {matchers: ['severity=~"page|ticket"', team!=b], receiver: tickets, group_by: ["..."]}
"#;
    let receivers = "[{name: ops, webhook_configs: [{url: 'http://h/'}]}, \
        {name: pager, webhook_configs: [{url: 'http://h/', send_resolved: false}]}, \
        {name: tickets, webhook_configs: [{url: 'http://h/'}]}]";
    let mut groups = Groups::new(&options(route, receivers), Vec::new(), Vec::new());
    let of =
        |severity: &str, team: &str| alert(&[("interface", severity), ("severity", severity), ("team", team)], None);
    groups.update(vec![of("page", "a"), of("ticket", "b"), of("none", "a")], 0);
    let due = groups.due(0);
    assert_eq!(told(&due), "ops:none+,ticket+ pager:page+ tickets:page+");
    assert_eq!(due[1].group_key, r#"{}/{severity="page"}:{}"#);
    assert_eq!(
        due[2].group_key,
        r#"{}/{severity=~"page|ticket",team!="b"}:{interface="page", severity="page", team="a"}"#
    );
}

#[test]
fn a_receiver_that_does_not_want_resolved_alerts_gets_none() {
    let mut groups = Groups::new(
        &options(ROUTE, "[{name: ops, webhook_configs: [{url: 'http://h/', send_resolved: false}]}]"),
        Vec::new(),
        Vec::new(),
    );
    groups.update(vec![slow("a", None)], 0);
    assert_eq!(take(&mut groups, 5_000), "ops:a+");
    groups.update(vec![slow("a", Some(1))], 6_000);
    assert_eq!(take(&mut groups, 70_000), "");
    let remembered = groups.take_remembered();
    assert!(remembered.len() == 1 && remembered[0].1.firing_fingerprints.is_empty(), "for the one that goes on");
    groups.update(vec![slow("a", None)], 71_000);
    assert_eq!(take(&mut groups, 140_000), "ops:a+", "that it fires again is news");
}

#[test]
fn of_a_silenced_alert_nobody_is_told_until_the_silence_is_over() {
    let silences = Arc::new(Book::default());
    let posted = r#"{"matchers":[{"name":"interface","value":"a"}],"endsAt":"1000"}"#;
    silences.put(serde_json::from_str(posted).unwrap(), 1).unwrap();
    let mut groups = Groups::new(&options(ROUTE, OPS), Vec::new(), Vec::new()).with_silences(silences);
    groups.update(vec![slow("a", None)], 0);
    assert_eq!(take(&mut groups, 5_000), "");
    groups.update(vec![slow("a", None), slow("b", None)], 6_000);
    assert_eq!(take(&mut groups, 65_000), "ops:b+");
    assert_eq!(take(&mut groups, 999_999), "");
    assert_eq!(take(&mut groups, 1_065_000), "ops:a+,b+");
}

#[test]
fn given_a_group_of_which_nothing_may_be_told_then_that_is_noted_once_with_why() {
    let silences = Arc::new(Book::default());
    let posted = r#"{"matchers":[{"name":"interface","value":"a"}],"endsAt":"1000"}"#;
    silences.put(serde_json::from_str(posted).unwrap(), 1).unwrap();
    let mut options = options(&ROUTE.replace("alertname", "interface"), OPS);
    let rule = "[{source_matchers: [interface=a], target_matchers: [interface=b]}]";
    options.inhibit_rules = serde_saphyr::from_str(rule).unwrap();
    let mut groups = Groups::new(&options, Vec::new(), Vec::new()).with_silences(silences);
    groups.update(vec![slow("a", None), slow("b", None), slow("c", Some(1))], 0);
    assert_eq!(take(&mut groups, 5_000), "");
    let suppressed = groups.take_suppressed();
    let whys: Vec<&str> = suppressed.iter().map(|(_, why)| *why).collect();
    assert_eq!(whys, ["silenced", "inhibited"], "of what was resolved before it was told there is nothing to tell");
    let one = suppressed[0].0.logged(log::Outcome::Suppressed, 5_000).because("silenced");
    assert_eq!((one.integration.as_str(), one.attempts, one.alerts.len()), ("webhook", 0, 1));
    assert_eq!((take(&mut groups, 65_000), groups.take_suppressed().len()), (String::new(), 0));
    groups.replace(&options, 66_000);
    assert_eq!((take(&mut groups, 126_000), groups.take_suppressed().len()), (String::new(), 0));
    assert_eq!(take(&mut groups, 1_086_000), "ops:a+");
    groups.update(vec![slow("a", None), slow("b", None), slow("b", None)], 1_087_000);
    assert_eq!((take(&mut groups, 1_146_000), groups.take_suppressed().len()), (String::new(), 0));
}

#[test]
fn given_an_alert_that_fires_again_in_a_group_that_is_kept_from_being_told_then_that_is_noted_again() {
    let silences = Arc::new(Book::default());
    let posted = r#"{"matchers":[{"name":"alertname","value":"Slow"}],"endsAt":"1000"}"#;
    silences.put(serde_json::from_str(posted).unwrap(), 1).unwrap();
    let mut groups = Groups::new(&options(ROUTE, OPS), Vec::new(), Vec::new()).with_silences(silences);
    for (now, a_ends, noted) in [(5_000, None, 1), (65_000, Some(60_000), 0), (125_000, None, 1)] {
        groups.update(vec![slow("a", a_ends), slow("b", None)], now - 5_000);
        assert_eq!((take(&mut groups, now), groups.take_suppressed().len()), (String::new(), noted), "{now}");
    }
}

#[test]
fn given_what_another_alerter_told_then_it_is_known_with_the_alerts_that_are_known_here() {
    let receivers = "[{name: ops, webhook_configs: [{url: 'http://h/'}, {url: 'http://h/', send_resolved: false}]}]";
    let options = options(ROUTE, receivers);
    let mut one = Groups::new(&options, Vec::new(), Vec::new());
    one.update(vec![slow("a", None), slow("b", Some(2))], 0);
    let sent = one.due(5_000);
    let [both, firing] = &sent[..] else { panic!("{}", told(&sent)) };
    let told = one.told_elsewhere(&both.message(5_200)).unwrap();
    assert_eq!((told.receiver.as_str(), told.integration.as_str(), told.time_ms), ("ops", "webhook", 5_200));
    assert_eq!((told.alerts.len(), told.alerts_total, told.is_firing), (2, 2, true));
    assert_eq!(told.name, both.name, "as what it sends itself is known");
    assert_eq!(one.told_elsewhere(&firing.message(5_200)).unwrap().integration, "webhook[1]");
    let mut resolved = firing.message(5_200);
    resolved.resolved_fingerprints = std::mem::take(&mut resolved.firing_fingerprints);
    assert!(one.told_elsewhere(&resolved).is_none(), "nothing was sent");
    let other = Groups::new(&options, Vec::new(), Vec::new());
    let told = other.told_elsewhere(&both.message(5_200)).unwrap();
    assert_eq!((told.alerts.len(), told.alerts_total), (0, 2));
    assert!(told.tenants.contains(&None), "whose they are is not known");
}

#[test]
fn of_an_inhibited_alert_nobody_is_told_while_what_inhibits_it_fires() {
    let mut options = options(ROUTE, OPS);
    let rule = "[{source_matchers: [interface=a], target_matchers: [interface=b]}]";
    options.inhibit_rules = serde_saphyr::from_str(rule).unwrap();
    let mut groups = Groups::new(&options, Vec::new(), Vec::new());
    groups.update(vec![slow("a", None), slow("b", None), slow("c", None)], 0);
    assert_eq!(take(&mut groups, 5_000), "ops:a+,c+");
    assert_eq!(groups.inhibited_by(&slow("b", None).labels), Some(fingerprint(&slow("a", None).labels)));
    groups.update(vec![slow("a", Some(1)), slow("b", None), slow("c", None)], 6_000);
    assert_eq!(take(&mut groups, 65_000), "ops:a-,b+,c+");
    assert_eq!(groups.inhibited_by(&slow("b", None).labels), None);
}

#[test]
fn a_route_tells_nobody_in_its_mute_intervals_and_outside_of_its_active_ones() {
    // The first ten minutes of an hour; unix time begins with one.
    let interval = "[{name: early, time_intervals: [{times: [{start_time: '00:00', end_time: '00:10'}]}]}]";
    for (key, (first, second)) in [("mute_time_intervals", ("", "ops:a+")), ("active_time_intervals", ("ops:a+", ""))] {
        let route =
            format!("{{receiver: ops, group_interval: 1m, routes: [{{matchers: [alertname=Slow], {key}: [early]}}]}}");
        let mut options = options(&route, OPS);
        options.time_intervals = serde_saphyr::from_str(interval).unwrap();
        options.check().unwrap();
        let mut groups = Groups::new(&options, Vec::new(), Vec::new());
        groups.update(vec![slow("a", None)], 0);
        assert_eq!(take(&mut groups, 5_000), first, "{key}");
        assert_eq!(take(&mut groups, 660_000), second, "{key}");
    }
}

#[test]
fn given_another_configuration_then_what_was_told_and_what_is_under_way_is_not_told_again() {
    let old = options(ROUTE, OPS);
    let new = options(&ROUTE.replace("[alertname]", "[alertname, interface]"), OPS);
    let mut groups = Groups::new(&old, Vec::new(), Vec::new());
    groups.update(vec![slow("a", None)], 0);
    assert_eq!(take(&mut groups, 5_000), "ops:a+");
    groups.replace(&old, 6_000);
    assert_eq!(take(&mut groups, 11_000), "", "told before");
    groups.update(vec![slow("a", None), slow("b", None)], 12_000);
    let under_way = groups.due(71_000);
    assert_eq!(told(&under_way), "ops:a+,b+");
    groups.replace(&old, 72_000);
    assert_eq!(told(&groups.due(77_000)), "", "under way");
    assert!(groups.done(&under_way[0], Outcome::Taken, 78_000));
    assert_eq!(take(&mut groups, 137_000), "", "told by now");
    groups.replace(&new, 140_000);
    assert_eq!(take(&mut groups, 145_000), "ops:a+ ops:b+", "other groups");
    groups.update(vec![slow("a", None), slow("b", Some(1))], 150_000);
    groups.replace(&new, 150_000);
    assert_eq!(take(&mut groups, 155_000), "ops:b-");
}

#[test]
fn configuration_that_cannot_work_is_refused_by_name() {
    let check = |route: &str, receivers: &str| options(route, receivers).check().map_err(|e| e.to_string());
    assert_eq!(check("{}", "[]"), Ok(()));
    assert_eq!(check(ROUTE, OPS), Ok(()));
    for (route, receivers, part) in [
        ("{}", OPS, "route.receiver"),
        ("{receiver: nobody}", OPS, "`nobody`"),
        ("{receiver: ops, routes: [{receiver: nobody}]}", OPS, "`nobody`"),
        ("{receiver: ops, matchers: [a=b]}", OPS, "root"),
        ("{receiver: ops, group_interval: 0}", OPS, "group_interval"),
        ("{receiver: ops, mute_time_intervals: [night]}", OPS, "root"),
        ("{receiver: ops, routes: [{active_time_intervals: [night]}]}", OPS, "`night`"),
        (ROUTE, "[{name: ops}, {name: ops}]", "two named `ops`"),
        (ROUTE, "[{name: ops, webhook_configs: [{url: 'not an address'}]}]", "`ops`"),
        (
            ROUTE,
            "[{name: ops, webhook_configs: [{url: 'http://h/', timeout: 0s}]}]",
            "`ops`: webhook_configs: timeout: must be longer",
        ),
    ] {
        let error = check(route, receivers).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    for (text, part) in [
        ("[{name: ops, webhook: []}]", "`webhook` is no key"),
        ("[{name: ops, webhok_configs: []}]", "`webhok_configs`"),
        ("[{name: ops, webhook_configs: [{url: x, http_config: {oauth2: {}}}]}]", "`oauth2` is not supported"),
    ] {
        let error = serde_saphyr::from_str::<Vec<Receiver>>(text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(serde_saphyr::from_str::<Route>("{matchers: [nonsense]}").is_err());
    assert!(serde_saphyr::from_str::<Route>("{matchers: ['a=~\"[\"']}").is_err());
    assert!(!format!("{:?}", options(ROUTE, OPS)).contains("127.0.0.1"));
}

#[test]
fn the_fingerprint_is_that_of_prometheus() {
    assert_eq!(fingerprint(&BTreeMap::new()), 0xcbf2_9ce4_8422_2325);
    let labels = slow("a", None).labels;
    assert_ne!(fingerprint(&labels), fingerprint(&slow("b", None).labels));
}

/// An HTTP server that answers with these statuses, then 200, and hands out what it was told.
async fn catcher(answers: &'static [u16]) -> (String, mpsc::UnboundedReceiver<serde_json::Value>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let count = Arc::new(AtomicUsize::new(0));
    let app = axum::Router::new().route(
        "/hook",
        axum::routing::post(move |axum::Json(body): axum::Json<serde_json::Value>| {
            let at = count.fetch_add(1, Ordering::SeqCst);
            sender.send(body).unwrap();
            let status = answers.get(at).copied().unwrap_or(200);
            async move { axum::http::StatusCode::from_u16(status).unwrap() }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{address}/hook"), receiver)
}

#[tokio::test]
async fn a_webhook_gets_alertmanagers_json_until_it_answers_2xx() {
    let (url, mut bodies) = catcher(&[500, 429]).await;
    let options = options(
        "{receiver: ops, group_by: [alertname]}",
        &format!("[{{name: ops, webhook_configs: [{{url: '{url}', max_alerts: 2}}]}}]"),
    );
    let meter = opentelemetry::global::meter("test");
    let log = NotificationLog::default();
    let notifier = Notifier::new(&options, Vec::new(), Vec::new(), Arc::default(), log.clone(), &meter).unwrap();
    let mut changed = notifier.changed();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (notifier, shutdown) = (notifier.clone(), shutdown.clone());
        async move { notifier.run(shutdown).await }
    });
    notifier.update(vec![slow("a", None), slow("b", None), slow("c", Some(1_700_000_001_500))]);
    let first = bodies.recv().await.unwrap();
    assert_eq!(bodies.recv().await.unwrap(), first);
    assert_eq!(bodies.recv().await.unwrap(), first);
    changed.changed().await.unwrap();
    let fingerprint_of = |alert: &Alert| format!("{:016x}", fingerprint(&alert.labels));
    let one = |interface: &str| {
        serde_json::json!({
            "status": "firing",
            "labels": {"alertname": "Slow", "interface": interface},
            "annotations": {"summary": "slow"},
            "startsAt": "2023-11-14T22:13:20Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://weir:7400/q",
            "fingerprint": fingerprint_of(&slow(interface, None)),
        })
    };
    let expected = serde_json::json!({
        "receiver": "ops",
        "status": "firing",
        "alerts": [one("a"), one("b")],
        "groupLabels": {"alertname": "Slow"},
        "commonLabels": {"alertname": "Slow"},
        "commonAnnotations": {"summary": "slow"},
        "externalURL": "http://weir:7400",
        "version": "4",
        "groupKey": "{}:{alertname=\"Slow\"}",
        "truncatedAlerts": 1,
    });
    assert_eq!(first, expected);
    assert_eq!(notifier.notified().len(), 1);
    shutdown.cancel();
    running.await.unwrap();
    let mut sent = Vec::new();
    log.visit(None, |one| {
        sent.push((one.receiver.clone(), one.integration.clone(), one.outcome.name(), one.attempts, one.alerts_total));
        true
    });
    assert_eq!(sent, [("ops".to_owned(), "webhook".to_owned(), "sent", 3, 3)], "two were tried again");
}

#[tokio::test]
async fn given_what_other_alerters_told_then_it_is_written_aside_and_what_waits_is_bounded() {
    let (options, log) = (options(ROUTE, OPS), NotificationLog::default());
    let mut other = Groups::new(&options, Vec::new(), Vec::new());
    other.update(vec![slow("a", None)], 0);
    let sent = other.due(5_000);
    let meter = opentelemetry::global::meter("test");
    let notifier = Notifier::new(&options, Vec::new(), Vec::new(), Arc::default(), log.clone(), &meter).unwrap();
    for more in 0..=deliver::MAX_TOLD as i64 {
        notifier.others_told(sent[0].message(5_000 + more));
    }
    let times = || {
        let mut times = Vec::new();
        log.visit(None, |one| {
            times.push(one.time_ms);
            true
        });
        times
    };
    assert_eq!(times(), [0; 0]);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (notifier, shutdown) = (notifier.clone(), shutdown.clone());
        async move { notifier.run(shutdown).await }
    });
    while times().len() < deliver::MAX_TOLD {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shutdown.cancel();
    running.await.unwrap();
    assert_eq!((times().len(), times().last()), (deliver::MAX_TOLD, Some(&5_001)));
}

#[tokio::test]
async fn given_a_redirection_then_only_one_that_repeats_the_post_is_followed() {
    let (url, mut bodies) = catcher(&[]).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    // First as a gate that wants somebody to sign in does, then as a receiver that has moved.
    let app = axum::Router::new().route(
        "/",
        axum::routing::any(move || {
            let status = if counted.fetch_add(1, Ordering::SeqCst) == 0 { 302 } else { 307 };
            let to = [("location", url.clone())];
            async move { (axum::http::StatusCode::from_u16(status).unwrap(), to) }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let options =
        options("{receiver: ops}", &format!("[{{name: ops, webhook_configs: [{{url: 'http://{address}/'}}]}}]"));
    let meter = opentelemetry::global::meter("test");
    let notifier =
        Notifier::new(&options, Vec::new(), Vec::new(), Arc::default(), NotificationLog::default(), &meter).unwrap();
    let running = tokio::spawn({
        let notifier = notifier.clone();
        async move { notifier.run(CancellationToken::new()).await }
    });
    notifier.update(vec![slow("a", None)]);
    let told = tokio::time::timeout(std::time::Duration::from_secs(10), bodies.recv()).await.unwrap().unwrap();
    assert_eq!((&told["status"], asked.load(Ordering::SeqCst)), (&serde_json::json!("firing"), 2));
    running.abort();
}

#[tokio::test]
async fn a_webhook_that_hangs_keeps_no_other_waiting() {
    let hole = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, mut bodies) = catcher(&[]).await;
    let options = options(
        "{receiver: hung, group_by: [interface], routes: [{receiver: ops, matchers: ['interface=last']}]}",
        &format!(
            "[{{name: hung, webhook_configs: [{{url: 'http://{}/'}}]}}, {{name: ops, webhook_configs: [{{url: '{url}'}}]}}]",
            hole.local_addr().unwrap()
        ),
    );
    let notifier = Notifier::new(
        &options,
        Vec::new(),
        Vec::new(),
        Arc::default(),
        NotificationLog::default(),
        &opentelemetry::global::meter("test"),
    )
    .unwrap();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (notifier, shutdown) = (notifier.clone(), shutdown.clone());
        async move { notifier.run(shutdown).await }
    });
    // More groups than are delivered at once, and the one that matters is not among the first.
    notifier.update((0..40).map(|i| slow(&i.to_string(), None)).collect());
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let all = (0..40).map(|i| slow(&i.to_string(), None)).chain([slow("last", None)]);
    notifier.update(all.collect());
    let told = tokio::time::timeout(std::time::Duration::from_secs(5), bodies.recv()).await;
    assert_eq!(told.unwrap().unwrap()["groupLabels"]["interface"], "last");
    shutdown.cancel();
    running.abort();
}
