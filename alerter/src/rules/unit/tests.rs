use std::path::Path;

use super::*;

const RULES: &str = r#"
groups:
  - name: second
    rules:
      - {record: b, expr: a + 1}
      - alert: High
        expr: b > 3
        for: 2m
        labels: {severity: page}
        annotations: {summary: "{{ $labels.job }} at {{ $value }} of {{ $externalLabels.cluster }}, {{ $externalURL }}"}
  - name: first
    rules:
      - {record: a, expr: x * 2}
      - {record: points, expr: "count_over_time(x[5m:])"}
"#;

/// What is wrong with a test of [`RULES`], as it is written; empty where nothing is.
fn run(test: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.yml"), RULES).unwrap();
    let path = folder.path().join("test.yml");
    std::fs::write(&path, test).unwrap();
    shown(&path)
}

fn shown(path: &Path) -> String {
    let failures = test_file(path).err().unwrap_or_default();
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

const GOOD: &str = r#"
rule_files: [rules.yml]
evaluation_interval: 1m
group_eval_order: [first, second]
tests:
  - name: high
    interval: 30s
    input_series:
      - {series: 'x{job="j"}', values: "1x3 2+1x20 _ stale"}
    external_labels: {cluster: north}
    external_url: http://weir
    alert_rule_test:
      - {eval_time: 3m, alertname: High}
      - eval_time: 4m30s
        alertname: High
        exp_alerts:
          - exp_labels: {severity: page, job: j}
            exp_annotations: {summary: "j at 13 of north, http://weir"}
    promql_expr_test:
      - {expr: b, eval_time: 4m, exp_samples: [{labels: 'b{job="j"}', value: 13}]}
      - {expr: count(ALERTS) by (alertstate), eval_time: 4m, exp_samples: [{labels: '{alertstate="firing"}', value: 1}]}
      - {expr: points, eval_time: 4m, exp_samples: [{labels: 'points{job="j"}', value: 5}]}
      - {expr: "vector(0/0)", exp_samples: [{value: .nan}]}
"#;

#[test]
fn a_test_that_is_right_passes() {
    assert_eq!(run(GOOD), "");
}

#[test]
fn what_differs_is_shown_beside_what_is_expected() {
    for (from, to, expected) in [
        (
            "value: 13}",
            "value: 12}",
            "    name: high,\n    expr: \"b\", time: 4m,\n        exp: {__name__=\"b\", job=\"j\"} 12\n        got: {__name__=\"b\", job=\"j\"} 13",
        ),
        (
            "- {eval_time: 3m, alertname: High}",
            "- {eval_time: 3m, alertname: High, exp_alerts: [{}]}",
            "alertname: High, time: 3m,\n        exp:[\n            0:\n              Labels:{alertname=\"High\"}\n              Annotations:{}\n            ],\n        got:[]",
        ),
        ("job: j}", "job: k}", "Labels:{alertname=\"High\", job=\"k\", severity=\"page\"}"),
        ("expr: b,", "expr: b +,", "expr: \"b +\", time: 4m, err: not a valid expression"),
        ("group_eval_order: [first, second]", "group_eval_order: [second, second]", "names the group `second` twice"),
        ("1x3 2+1x20", "1x3 two", "input series «x{job=\"j\"}»: «two» is neither a value"),
        ("1x3 2+1x20", "{{schema:1}}", "histogram literal `{{schema:1}}` is not supported"),
        ("[rules.yml]", "[nosuch.yml]", "nosuch.yml: is not there"),
        ("interval: 30s", "intervall: 30s", "test.yml:7: unknown key `intervall`; did you mean `interval`?"),
        ("alertname: High}", "alertname: ''}", "an item of alert_rule_test at 3m has no alertname"),
        ("- {eval_time: 3m", "- {eval_time: 99999y", "over the limit of 10000000 evaluations"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let shown = run(&GOOD.replacen(from, to, 1));
        assert!(shown.contains(expected), "{to}: {shown}");
    }
    assert!(run("nonsense").contains("test.yml"));
}

#[test]
fn fuzzy_values_may_differ_in_their_last_bit() {
    let test = |fuzzy: bool, value: &str| {
        run(&format!(
            "fuzzy_compare: {fuzzy}\ntests: [{{input_series: [{{series: x, values: '{value}'}}], \
             promql_expr_test: [{{expr: x, exp_samples: [{{labels: x, value: 3}}]}}]}}]"
        ))
    };
    assert_eq!(test(true, "2.9999999999999996"), "");
    assert!(!test(true, "2.9999999999999987").is_empty() && !test(false, "2.9999999999999996").is_empty());
}
