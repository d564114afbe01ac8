use std::path::Path;

use super::*;
use crate::promql::tests::{Store, data, gauge};
use crate::series::read::Recording;

fn rules(yaml: &str) -> RuleSet {
    let groups =
        file::parse(Path::new("rules.yaml"), yaml, Templates::All).map_err(|e| LoadErrors(e).to_string()).unwrap();
    RuleSet { groups, files: Vec::new() }
}

fn errors(yaml: &str) -> String {
    file::parse(Path::new("rules.yaml"), yaml, Templates::All)
        .map_or_else(|e| LoadErrors(e).to_string(), |_| "loaded".to_owned())
}

fn evaluator(yaml: &str) -> Evaluator {
    Evaluator::new(rules(yaml), EvaluatorOptions::default())
}

const SLOW: &str = r#"
groups:
  - name: latency
    rules:
      - alert: Slow
        expr: p99 > 0.8
        for: 3s
        labels: {severity: page, where: "{{ $labels.interface }}"}
        annotations: {summary: "{{ $labels.interface }} at {{ humanizeDuration $value }}"}
"#;

/// A series that has these values, second by second, from second 1.
fn p99(values: &[f64]) -> Store {
    let samples: Vec<(i64, f64)> = values.iter().zip(1..).map(|(v, s)| (s * 1000, *v)).collect();
    Store(vec![gauge(&[("__name__", "p99"), ("interface", "/ocr")], &samples)])
}

/// The states of the first rule's alerts after each second.
fn timeline(evaluator: &mut Evaluator, store: &Store, seconds: std::ops::RangeInclusive<i64>) -> String {
    let mut shown = Vec::new();
    for second in seconds {
        while evaluator.step(store, second * 1000).is_some() {}
        let states: Vec<String> =
            evaluator.status()[0].rules[0].alerts.iter().map(|a| a.state.name()[..1].to_owned()).collect();
        shown.push(if states.is_empty() { "-".to_owned() } else { states.concat() });
    }
    shown.join("")
}

const HIGH: f64 = 1.0;
const LOW: f64 = 0.1;

#[test]
fn an_alert_goes_from_pending_to_firing_to_resolved_in_event_time() {
    let store = p99(&[LOW, HIGH, HIGH, LOW, HIGH, HIGH, HIGH, HIGH, HIGH, LOW, LOW, HIGH]);
    let mut evaluator = evaluator(SLOW);
    assert_eq!(timeline(&mut evaluator, &store, 1..=12), "-pp-pppffrrp");
}

#[test]
fn keep_firing_for_bridges_a_gap() {
    let yaml = SLOW.replace("for: 3s", "for: 1s\n        keep_firing_for: 3s");
    let store = p99(&[HIGH, HIGH, LOW, LOW, HIGH, LOW, LOW, LOW, LOW, LOW]);
    assert_eq!(timeline(&mut evaluator(&yaml), &store, 1..=10), "pfffffffrr");
}

#[test]
fn an_alert_carries_labels_and_annotations_of_its_rule() {
    let mut evaluator = evaluator(SLOW);
    timeline(&mut evaluator, &p99(&[HIGH; 5]), 1..=5);
    let (alert, expression) = evaluator.notifiable().remove(0);
    let labels: Vec<String> = alert.labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(labels.join(","), "alertname=Slow,interface=/ocr,severity=page,where=/ocr");
    assert_eq!(alert.annotations["summary"], "/ocr at 1s");
    assert_eq!((alert.active_at_ms, alert.fired_at_ms, alert.value), (1000, Some(4000), 1.0));
    assert_eq!((evaluator.count(State::Firing), evaluator.count(State::Pending)), (1, 0));
    assert_eq!(expression, "p99 > 0.8");
}

#[test]
fn a_name_of_an_alert_rule_is_sound_while_no_rule_of_that_name_fails() {
    let yaml = r#"
groups:
  - name: g
    limit: 1
    rules:
      - {alert: One, expr: 'p99{interface="/ocr"}'}
      - {alert: Two, expr: 'p99{interface="/ocr"}'}
      - {alert: Two, expr: p99}
      - {record: 'x:one', expr: 'p99{interface="/ocr"}'}
"#;
    let mut store = p99(&[HIGH; 2]);
    store.0.push(gauge(&[("__name__", "p99"), ("interface", "/asr")], &[(2000, HIGH)]));
    let mut evaluator = evaluator(yaml);
    let mut sound = |second: i64| {
        evaluator.step(&store, second * 1000).unwrap();
        evaluator.sound_alert_rules().into_iter().collect::<Vec<_>>().join(",")
    };
    assert_eq!((sound(1), sound(2)), ("One,Two".to_owned(), "One".to_owned()));
}

#[test]
fn without_progress_of_event_time_nothing_fires_and_nothing_resolves() {
    let mut evaluator = evaluator(SLOW);
    let store = p99(&[HIGH, HIGH]);
    timeline(&mut evaluator, &store, 1..=2);
    for _ in 0..10 {
        assert_eq!(evaluator.step(&Store::default(), 2999), None);
    }
    assert_eq!(timeline(&mut evaluator, &store, 2..=2), "p");
    assert_eq!(evaluator.step(&store, -5), None);
}

#[test]
fn a_jump_of_event_time_is_evaluated_tick_by_tick() {
    let values = [LOW, HIGH, HIGH, HIGH, HIGH, LOW, LOW];
    let mut at_once = evaluator(SLOW);
    timeline(&mut at_once, &p99(&values), 1..=1);
    timeline(&mut at_once, &p99(&values), 7..=7);
    let alert = at_once.notifiable().remove(0).0;
    assert_eq!((alert.state, alert.fired_at_ms, alert.resolved_at_ms), (State::Resolved, Some(5000), Some(6000)));
}

#[test]
fn given_a_leap_over_several_periods_and_a_restart_then_each_of_them_is_known() {
    let yaml = SLOW.replace("for: 3s", "for: 0s");
    let store = p99(&[LOW, HIGH, LOW, HIGH, HIGH, LOW, LOW, HIGH]);
    let mut before = evaluator(&yaml);
    timeline(&mut before, &store, 1..=1);
    timeline(&mut before, &store, 8..=8);
    let mut after = evaluator(&yaml);
    after.restore(&before.snapshot());
    let periods: Vec<_> = after.periods().iter().map(|period| (period.fired_at_ms, period.resolved_at_ms)).collect();
    assert_eq!(periods, [(2000, 3000), (4000, 6000)]);
    assert_eq!(after.notifiable()[0].0.fired_at_ms, Some(8000));
}

#[test]
fn a_restart_from_any_moment_ends_where_no_restart_would() {
    let values: Vec<f64> = [LOW, HIGH, HIGH, HIGH, HIGH, HIGH, LOW, LOW, HIGH, HIGH, HIGH, HIGH].to_vec();
    let yaml = SLOW.replace("for: 3s", "for: 2s\n        keep_firing_for: 1s");
    let mut whole = evaluator(&yaml);
    timeline(&mut whole, &p99(&values), 1..=12);
    for stop in 1..12 {
        let mut before = evaluator(&yaml);
        timeline(&mut before, &p99(&values), 1..=stop);
        let mut after = evaluator(&yaml);
        after.restore(&before.snapshot());
        timeline(&mut after, &p99(&values), stop + 1..=12);
        assert_eq!(after.snapshot(), whole.snapshot(), "stopped after {stop} s");
    }
}

/// Evaluates up to a second, with what is recorded written into the store, as the engine does it.
fn run(evaluator: &mut Evaluator, store: &mut Store, until: i64) {
    use crate::series::read::{Data, Series};
    while let Some(step) = evaluator.step(store, until * 1000) {
        for one in step.recorded {
            let Recording::Number(value) = one.value else { panic!("a histogram") };
            match store.0.iter_mut().find(|series| series.labels == one.labels) {
                Some(Series { data: Data::Gauge(all), .. }) => all.push((one.time_ms, value)),
                _ => store.0.push(Series { labels: one.labels, data: Data::Gauge(vec![(one.time_ms, value)]) }),
            }
        }
    }
}

#[test]
fn alerts_on_recorded_series_end_after_a_restart_where_no_restart_would() {
    // The alerts come before what they see is recorded, so they see the tick before.
    let yaml = r#"
groups:
  - name: alerts
    rules:
      - {alert: Slow, expr: 'x > 0.8', for: 1s}
      - {alert: LongSlow, expr: 'avg_over_time(x[4s]) > 0.8'}
      - {alert: Other, expr: 'ALERTS{alertname="Later"} > 0'}
  - name: records
    rules:
      - {record: x, expr: p99 * 1}
      - {alert: Later, expr: 'x > 0.8'}
"#;
    let source = p99(&[LOW, LOW, HIGH, HIGH, HIGH, HIGH, HIGH, HIGH, LOW, LOW, LOW, LOW]);
    let mut whole = (evaluator(yaml), Store(source.0.clone()));
    (1..=12).for_each(|second| run(&mut whole.0, &mut whole.1, second));
    assert!(whole.0.snapshot().alerts.len() == 4, "{:?}", whole.0.snapshot());
    for stop in 1..12 {
        let mut before = (evaluator(yaml), Store(source.0.clone()));
        (1..=stop).for_each(|second| run(&mut before.0, &mut before.1, second));
        let mut after = (evaluator(yaml), Store(source.0.clone()));
        after.0.restore(&before.0.snapshot());
        (stop + 1..=12).for_each(|second| run(&mut after.0, &mut after.1, second));
        assert_eq!(after.0.snapshot(), whole.0.snapshot(), "stopped after {stop} s");
    }
}

#[test]
fn an_alert_that_looks_back_an_hour_at_a_recorded_series_fires_on_over_a_restart() {
    let yaml = r"
groups:
  - name: g
    interval: 1m
    rules:
      - {record: x, expr: y * 1}
      - {alert: Grown, expr: 'x > 2 * (x offset 1h)'}
      - {record: z, expr: x offset 40m}
      - {alert: Chained, expr: z offset 40m}
";
    let minutes: Vec<(i64, f64)> = (1..=200).map(|m| (m * 60_000, if m > 100 { 10.0 } else { 1.0 })).collect();
    let source = vec![gauge(&[("__name__", "y")], &minutes)];
    let mut before = (evaluator(yaml), Store(source.clone()));
    (1..=110).for_each(|minute| run(&mut before.0, &mut before.1, minute * 60));
    assert_eq!(before.0.count(State::Firing), 2);
    // Also where the program was away for longer than is caught up on, and where the rules change at once.
    for (away, changed) in [(1, false), (30, false), (1, true)] {
        let mut after = (evaluator(if changed { "groups: []" } else { yaml }), Store(source.clone()));
        after.0.restore(&before.0.snapshot());
        if changed {
            after.0.replace(rules(yaml));
        }
        run(&mut after.0, &mut after.1, (110 + away) * 60);
        assert_eq!(after.0.count(State::Firing), 2, "away for {away} min");
        assert!(changed || after.0.notifiable().iter().all(|(alert, _)| alert.active_at_ms <= 110 * 60_000));
    }
    let options = EvaluatorOptions { history_ms: 600_000, ..EvaluatorOptions::default() };
    let mut short = (Evaluator::new(rules(yaml), options), Store(source));
    short.0.restore(&before.0.snapshot());
    let step = short.0.step(&short.1, 111 * 60_000).unwrap();
    assert_eq!(step.time_ms, 100 * 60_000, "what is older than the history is not there");
}

#[test]
fn a_resolved_alert_is_forgotten_after_a_while() {
    let mut evaluator = evaluator(SLOW);
    let mut values = vec![HIGH; 5];
    values.extend(vec![LOW; 1000]);
    timeline(&mut evaluator, &p99(&values), 1..=906);
    assert_eq!(evaluator.notifiable().len(), 1);
    timeline(&mut evaluator, &p99(&values), 907..=907);
    assert_eq!(evaluator.notifiable().len(), 0);
}

#[test]
fn other_rules_keep_the_alerts_of_those_that_stay_and_resolve_those_of_the_rest() {
    let mut evaluator = evaluator(SLOW);
    let store = p99(&[HIGH; 20]);
    timeline(&mut evaluator, &store, 1..=5);
    evaluator.replace(rules(&SLOW.replace("0.8", "0.7")));
    assert_eq!(timeline(&mut evaluator, &store, 6..=7), "ff");
    let firing = evaluator.snapshot();
    evaluator.replace(rules("groups: []"));
    let mut restarted = Evaluator::new(rules("groups: []"), EvaluatorOptions::default());
    restarted.restore(&firing);
    for mut evaluator in [evaluator, restarted] {
        evaluator.step(&store, 66_999);
        assert_eq!(evaluator.notifiable()[0].0.state, State::Firing, "another rule may make it");
        evaluator.step(&store, 67_000);
        let resolved = evaluator.notifiable();
        assert_eq!((resolved[0].0.state, resolved[0].0.resolved_at_ms), (State::Resolved, Some(67_000)));
    }
}

#[test]
fn given_a_firing_rule_that_moves_or_is_gone_for_a_moment_then_its_alert_fires_on() {
    let store = p99(&[HIGH; 30]);
    let moved = SLOW.replace("name: latency", "name: latencies");
    let other = file::parse(Path::new("other.yaml"), SLOW, Templates::All).unwrap();
    // Another rule that makes the same labels, and so the same alert.
    let renamed = SLOW.replace("\"{{ $labels.interface }}\"}", "/ocr}");
    assert_ne!(renamed, SLOW);
    let other = RuleSet { groups: other, files: Vec::new() };
    for (name, changed) in [("group", rules(&moved)), ("file", other), ("labels", rules(&renamed))] {
        for gap in [0, 6] {
            let mut evaluator = evaluator(SLOW);
            timeline(&mut evaluator, &store, 1..=5);
            if gap > 0 {
                evaluator.replace(rules("groups: []"));
                for second in 6..6 + gap {
                    evaluator.step(&store, second * 1000);
                    assert_eq!(evaluator.notifiable()[0].0.state, State::Firing);
                }
            }
            evaluator.replace(changed.clone());
            let firing = timeline(&mut evaluator, &store, 6 + gap..=20);
            assert!(firing.bytes().all(|state| state == b'f'), "{name}: {firing}");
            let told = evaluator.notifiable();
            assert_eq!(told.len(), 1, "{name}");
            assert_eq!((told[0].0.state, told[0].0.fired_at_ms), (State::Firing, Some(4000)), "{name}");
        }
    }
}

#[test]
fn given_two_rules_of_the_same_labels_then_they_are_one_alert_that_fires_while_one_of_them_does() {
    let yaml = "
groups:
  - name: g
    rules:
      - {alert: Slow, expr: p99 > 0.8}
      - {alert: Slow, expr: p99 > 0.8 and p99 < 0.9}
";
    let mut evaluator = evaluator(yaml);
    timeline(&mut evaluator, &p99(&[0.85, HIGH]), 1..=2);
    let told = evaluator.notifiable();
    assert_eq!((told.len(), told[0].0.state, told[0].1.as_str()), (1, State::Firing, "p99 > 0.8"));
}

#[test]
fn given_a_pending_or_firing_alert_then_its_series_say_so_and_since_when() {
    let mut evaluator = evaluator(SLOW);
    let store = p99(&[LOW, HIGH, HIGH, HIGH, HIGH, LOW]);
    let mut seen = Vec::new();
    for second in 1..=6 {
        let step = evaluator.step(&store, second * 1000).unwrap();
        seen.push(
            step.recorded.iter().map(|one| (one.labels["__name__"].to_owned(), one.value.clone())).collect::<Vec<_>>(),
        );
    }
    let both =
        vec![("ALERTS".to_owned(), Recording::Number(1.0)), ("ALERTS_FOR_STATE".to_owned(), Recording::Number(2.0))];
    assert_eq!(seen[1], both);
    assert!(seen[4].ends_with(&both), "{:?}", seen[4]);
    assert_eq!(seen[5].len(), 2, "both are ended");
}

#[test]
fn rules_that_come_after_a_time_without_any_begin_in_the_present() {
    let mut evaluator = Evaluator::new(RuleSet::default(), EvaluatorOptions::default());
    let store = p99(&[HIGH; 20]);
    assert_eq!(evaluator.step(&store, 2000), None);
    assert_eq!(evaluator.step(&store, 15_000), None);
    evaluator.replace(rules(SLOW));
    assert_eq!(evaluator.step(&store, 16_500).unwrap().time_ms, 16_000);
    assert_eq!(evaluator.step(&store, 16_500), None);
}

#[test]
fn a_rule_that_fails_leaves_its_alerts_as_they_were() {
    let mut evaluator = evaluator(SLOW);
    timeline(&mut evaluator, &p99(&[HIGH; 5]), 1..=5);
    let mut two = p99(&[HIGH; 6]);
    two.0.push(gauge(&[("__name__", "p99"), ("interface", "/ocr")], &[(6000, HIGH)]));
    let step = evaluator.step(&two, 6000).unwrap();
    assert_eq!((step.rules, step.failed, step.changed), (1, 1, false));
    let rule = evaluator.status()[0].rules[0].clone();
    assert!(matches!(rule.health, Health::Failed(error) if error.contains("two series")));
    assert_eq!(rule.alerts[0].state, State::Firing);
}

#[test]
fn a_rule_sees_what_the_rule_before_it_recorded_and_a_series_that_ends_is_ended() {
    let yaml = r#"
groups:
  - name: g
    interval: 2s
    labels: {team: a}
    rules:
      - {record: 'x:double', expr: 'p99 * 2 > 1', labels: {kind: slow}}
      - {alert: Double, expr: 'x:double{kind="slow"}'}
"#;
    let mut evaluator = evaluator(yaml);
    let store = p99(&[LOW, HIGH, HIGH, LOW]);
    let step = evaluator.step(&store, 3000).unwrap();
    assert_eq!((step.time_ms, step.changed), (2000, true));
    let shown: Vec<String> = step.recorded.iter().map(|r| format!("{:?}={}", r.labels, r.value)).collect();
    assert!(
        shown[0].contains(r#""__name__": "x:double", "interface": "/ocr", "kind": "slow", "team": "a"}=2"#),
        "{shown:?}"
    );
    assert!(shown[1].contains(r#""alertstate": "firing""#), "{shown:?}");
    assert_eq!(evaluator.step(&store, 3999), None);
    let step = evaluator.step(&store, 4000).unwrap();
    assert!(step.recorded.len() == 3 && step.recorded.iter().all(|r| r.value.is_end()));
}

#[test]
fn the_limit_of_a_group_is_an_error_of_the_rule() {
    let mut store = p99(&[HIGH]);
    store.0.push(gauge(&[("__name__", "p99"), ("interface", "/asr")], &[(1000, HIGH)]));
    let mut evaluator = evaluator(&SLOW.replace("rules:", "limit: 1\n    rules:"));
    assert_eq!(evaluator.step(&store, 1000).unwrap().failed, 1);
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_place() {
    for (from, to, expected) in [
        ("expr:", "exprr:", "rules.yaml:6: unknown key `exprr`; did you mean `expr`?"),
        (
            "p99 > 0.8",
            "mad_over_time(p99[1m]) > 0.8",
            "rules.yaml:6: group `latency`: rule `Slow`: function `mad_over_time` is not supported",
        ),
        ("p99 > 0.8", "p99[1m]", "needs an instant vector or a scalar"),
        ("p99 > 0.8", "p99 >", "rules.yaml:6: group `latency`: rule `Slow`: not a valid expression"),
        ("for: 3s", "for: 3 seconds", "is not a duration"),
        ("for: 3s", "record: x", "either `alert` or `record`"),
        ("alert: Slow", "record: a b", "must be a metric name"),
        ("alert: Slow", "record: slow", "`for` is only for alerts"),
        ("$value }}", "$valu }}", "rule `Slow`: template of annotation `summary`"),
        ("severity", "__name__", "`__name__` is not a name for label"),
        ("groups:", "grups:", "rules.yaml:2: unknown key `grups`; did you mean `groups`?"),
        ("- name: latency", "- name: latency\n    interval: 0s", "must not be 0"),
        ("- name: latency", "- name: latency\n    interval: 9999y", "at most a year"),
        ("- name: latency", "- name: latency\n  - name: latency", "two groups of this name"),
        ("- name: latency", "- name: [", "rules.yaml"),
    ] {
        let shown = errors(&SLOW.replacen(from, to, 1));
        assert!(shown.contains(expected), "{to}: {shown}");
    }
    let two = format!("{SLOW}---\ngroups: [{{name: b, rules: [{{alert: A, expr: up, labels: {{a: null, b: }}}}]}}]\n");
    let two = rules(&two);
    let names: Vec<&str> = two.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["latency", "b"], "all documents of a file are read");
    let texts: Vec<&str> = two.groups[1].rules[0].labels.values().map(Text::source).collect();
    assert_eq!(texts, ["", ""], "null is empty");
    assert_eq!(errors("# only words\n\n"), "loaded");
    assert_eq!(errors("groups:\n"), "loaded");
    assert_eq!(errors("groups: [{name: a, rules: [{record: b, expr: 1, labels: {c: 2}}]}]"), "loaded");
}

#[test]
fn files_are_found_by_globs_and_a_folder_that_is_gone_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("rules")).unwrap();
    // A link to a folder above it leads round and round.
    std::os::unix::fs::symlink(path("rules"), path("rules/again")).unwrap();
    let globs = vec![path("rules/*.yaml").display().to_string()];
    let mut files = RuleFiles::new(globs.clone());
    assert!(files.poll().unwrap().unwrap().groups.is_empty());
    assert!(files.poll().is_none());

    std::fs::write(path("rules/a.yaml"), SLOW).unwrap();
    std::fs::write(path("rules/not.txt"), "nonsense").unwrap();
    assert_eq!(files.poll().unwrap().unwrap().groups.len(), 1);
    assert!(files.poll().is_none());

    std::fs::write(path("rules/a.yaml"), SLOW.replace("expr", "exp")).unwrap();
    assert!(files.poll().unwrap().unwrap_err().to_string().contains("did you mean `expr`"));
    assert!(files.poll_pausing(|| panic!("nothing changes")).is_none(), "the same error is told once");
    std::fs::write(path("rules/a.yaml"), SLOW).unwrap();
    assert_eq!(files.poll().unwrap().unwrap().groups.len(), 1, "that it is well again is told");

    std::fs::rename(path("rules"), path("gone")).unwrap();
    assert!(files.poll().unwrap().unwrap_err().to_string().ends_with("rules: is not there"));
    assert!(load_files(&[path("rules/one.yaml").display().to_string()]).is_err());
    assert!(load_files(&["a[".to_owned()]).is_err());
    assert_eq!(load_files(&[]).unwrap().groups.len(), 0);
}

#[test]
fn given_a_volume_of_a_config_map_then_each_file_is_loaded_once_and_its_groups_stay_the_same_over_an_update() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let update = |version: &str, text: &str| {
        std::fs::create_dir(path(version)).unwrap();
        std::fs::write(path(version).join("a.yaml"), text).unwrap();
        std::os::unix::fs::symlink(version, path("..data.new")).unwrap();
        std::fs::rename(path("..data.new"), path("..data")).unwrap();
    };
    update("..2026_01", SLOW);
    std::os::unix::fs::symlink("..data/a.yaml", path("a.yaml")).unwrap();
    let mut files = RuleFiles::new(vec![path("**/*.yaml").display().to_string(), path("a.yaml").display().to_string()]);
    let loaded = files.poll().unwrap().unwrap();
    assert_eq!(loaded.files, [path("a.yaml")]);
    update("..2026_02", &SLOW.replace("0.8", "0.7"));
    std::fs::remove_dir_all(path("..2026_01")).unwrap();
    let updated = files.poll().unwrap().unwrap();
    assert_eq!(updated.groups[0].identity(), loaded.groups[0].identity());
}

#[test]
fn a_file_that_is_being_written_is_taken_when_it_stands_still() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    std::fs::write(&path, SLOW).unwrap();
    let mut files = RuleFiles::new(vec![path.display().to_string()]);
    assert_eq!(files.poll().unwrap().unwrap().groups.len(), 1);
    // Emptied now, and written while the change is looked at.
    std::fs::write(&path, "").unwrap();
    let write = || std::fs::write(&path, SLOW.replace("0.8", "0.9")).unwrap();
    let rules = files.poll_pausing(write).unwrap().unwrap();
    assert_eq!(rules.groups[0].rules[0].query.text(), "p99 > 0.9");
}

/// Files that are not loaded, and why: the words that their error has.
const NOT_LOADED: [(&str, &str); 8] = [
    // Objects of Kubernetes, which hold their rules in `spec`.
    ("gpu-operator/state-dcgm-exporter.yaml", "unknown key `apiVersion`"),
    ("gpu-operator/state-node-status-exporter.yaml", "unknown key `apiVersion`"),
    ("gpu-operator/state-operator-metrics.yaml", "unknown key `apiVersion`"),
    // Keys that vmalert has, and Prometheus has not.
    ("victorialogs/vlogs-example-alerts.yml", "unknown key `type`"),
    ("victoriametrics/alerts-cluster.yml", "unknown key `concurrency`"),
    ("victoriametrics/alerts-single-node.yml", "unknown key `concurrency`"),
    ("victoriametrics/alerts-vmagent.yml", "unknown key `concurrency`"),
    // MetricsQL.
    ("victoriametrics/alerts-vmanomaly.yml", "unknown function with name 'lag'"),
];

#[test]
fn rule_files_of_others_are_loaded() {
    let Some(folder) = data("rule_files_of_others_are_loaded", "rules") else { return };
    let globs: Vec<String> = ["yml", "yaml"].map(|end| format!("{}/**/*.{end}", folder.display())).into();
    let errors = load_files(&globs).err().map_or_else(Vec::new, |errors| errors.0);
    for error in &errors {
        let shown = error.to_string();
        let is_known = |(file, words): &(&str, &str)| {
            error.file.ends_with(file) && (shown.contains(words) || shown.contains("expected type vector"))
        };
        assert!(NOT_LOADED.iter().any(is_known), "{shown}");
    }
    for (file, _) in NOT_LOADED {
        assert!(errors.iter().any(|error| error.file.ends_with(file)), "{file} is loaded now: take it off the list");
    }
}

#[test]
fn given_a_rule_that_records_histograms_then_rules_and_queries_see_them_until_they_end() {
    use crate::promql::{Query, Value};
    use crate::series::store::{Refused, Store};
    let mut evaluator = evaluator(
        r"
groups:
  - name: g
    interval: 10s
    rules:
      - {record: 'duration:rate1m', expr: 'sum by (service) (rate(weir_call_duration_seconds[1m]))'}
      - {record: 'duration:p99', expr: 'histogram_quantile(0.99, duration:rate1m)'}
      - {alert: Slow, expr: 'histogram_quantile(0.5, duration:rate1m) > 0.4'}
",
    );
    let mut durations = weir_calls::Hdr::default();
    durations.record_many(500_000, 120);
    let durations = Some(durations.to_message());
    let slot = weir_proto::v1::CallSlot { unix_seconds: 999, calls: 120, durations, ..Default::default() };
    let [tenant, service, interface] = ["acme", "ocr", "POST /ocr"].map(str::to_owned);
    let range = weir_proto::v1::CallDeltas {
        source_topic: "otlp_spans".to_owned(),
        end_offset: 1,
        watermark_unix_nano: 1_000_000_000_000,
        series: vec![weir_proto::v1::CallSeries { tenant, service, interface, slots: vec![slot] }],
        ..Default::default()
    };
    let mut store = Store::new(3_600_000, 100);
    let mut refused = Refused::default();
    store.add_calls(&range, &mut refused);
    let mut fired = Vec::new();
    for time_ms in (1_000_000..=1_080_000).step_by(10_000) {
        let step = evaluator.step(&store, time_ms).unwrap();
        assert_eq!((step.failed, step.time_ms), (0, time_ms));
        for one in &step.recorded {
            store.record(&one.labels, one.time_ms, &one.value, &mut refused);
        }
        fired.push(evaluator.count(State::Firing));
    }
    assert_eq!(fired, [1, 1, 1, 1, 1, 1, 0, 0, 0]);
    assert_eq!(refused, Refused::default());
    let at = |query: &str, time_ms| match Query::parse(query).unwrap().at(&store, time_ms).unwrap() {
        Value::Vector(samples) => samples.into_iter().map(|sample| format!("{:?}", sample.value)).next(),
        Value::Scalar(_) | Value::Matrix(_) | Value::Text(_) => None,
    };
    assert_eq!(at("histogram_count(duration:rate1m)", 1_055_000).as_deref(), Some("Float(2.0)"));
    assert_eq!(at("duration:p99 == 0.5", 1_055_000).as_deref(), Some("Float(0.5)"));
    assert_eq!(at("count_over_time(duration:rate1m[1m])", 1_055_000).as_deref(), Some("Float(6.0)"));
    assert_eq!(at("duration:rate1m", 1_060_000), None, "it ended with the last call of the window");
}

/// Second, state, and value of each transition of all steps up to the last second.
fn transitions(evaluator: &mut Evaluator, store: &Store, last: i64) -> Vec<String> {
    let mut shown = Vec::new();
    for second in 1..=last {
        while let Some(step) = evaluator.step(store, second * 1000) {
            assert_eq!(step.changed, !step.transitions.is_empty());
            shown.extend(step.transitions.iter().map(|transition| {
                format!("{} {} {}", transition.time_ms / 1000, transition.state_name(), transition.value)
            }));
        }
    }
    shown
}

#[test]
fn each_change_of_an_alerts_state_is_a_transition_with_the_value_of_that_moment() {
    let store = p99(&[LOW, HIGH, LOW, 1.1, 1.2, 1.3, 1.4, LOW, LOW, 1.5]);
    let told = transitions(&mut evaluator(SLOW), &store, 10);
    assert_eq!(
        told,
        ["2 pending 1", "3 inactive 1", "4 pending 1.1", "7 firing 1.4", "8 resolved 1.4", "10 pending 1.5"]
    );
    let at_once = SLOW.replace("for: 3s", "for: 0s");
    assert_eq!(transitions(&mut evaluator(&at_once), &store, 4), ["2 firing 1", "3 resolved 1", "4 firing 1.1"]);
}

#[test]
fn an_alert_whose_rule_is_gone_is_resolved_by_a_transition() {
    let store = p99(&[HIGH; 80]);
    for rest in ["groups: []", "groups: [{name: g, rules: [{record: a, expr: 1}]}]"] {
        let mut evaluator = evaluator(SLOW);
        transitions(&mut evaluator, &store, 5);
        evaluator.replace(rules(rest));
        assert_eq!(transitions(&mut evaluator, &store, 80), ["65 resolved 1"], "{rest}");
    }
}
