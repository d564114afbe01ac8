use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;

fn templates(files: &[(&str, &str)]) -> Result<Templates, TemplatesError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    Templates::load(&[folder.path().join("*.tmpl").display().to_string()])
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn alert(service: &str, ends_at_ms: Option<i64>) -> Alert {
    let of = |pairs: &[(&str, &str)]| Arc::new(labels(pairs));
    Alert {
        labels: of(&[("alertname", "PayFails"), ("service", service), ("severity", "critical"), ("zone", "华东")]),
        annotations: of(&[("summary", "支付失败 <b>pay</b> & more"), ("n", "12.5")]),
        starts_at_ms: 1_700_000_000_120,
        ends_at_ms,
        generator_url: "http://weir:7400/q?a=1&b=2".to_owned(),
    }
}

fn data() -> Value {
    let alerts = [alert("pay", None), alert("ocr", None), alert("asr", Some(1_700_000_060_000))];
    data::of("ops", &labels(&[("alertname", "PayFails")]), &alerts, "http://weir:7400")
}

fn render(templates: &Templates, kind: Kind, text: &str) -> Result<String, String> {
    templates.render(kind, text, &data(), 1_700_000_100_120)
}

fn text(text: &str) -> String {
    render(&templates(&[]).unwrap(), Kind::Text, text).unwrap_or_else(|error| format!("error: {error}"))
}

/// Rendered by weir and by Alertmanager's `amtool`, and the same.
const SAME: [&str; 58] = [
    "plain {{ .Receiver }} {{ .Status | toUpper }} {{ .ExternalURL }}",
    "{{ template \"__subject\" . }}",
    "{{ template \"slack.default.title\" . }}|{{ template \"slack.default.text\" . }}",
    "{{ template \"pagerduty.default.description\" . }}",
    "{{ template \"__text_alert_list\" .Alerts.Firing }}",
    "{{ template \"pagerduty.default.instances\" .Alerts.Resolved }}",
    "{{ template \"email.default.subject\" . }}",
    "{{ len .Alerts }} {{ len .Alerts.Firing }} {{ .Alerts.Resolved | len }}",
    "{{ range .Alerts }}{{ .Labels.service }}={{ .Status }} {{ end }}",
    "{{ range .Alerts.Firing }}{{ .Annotations.summary }}\n{{ end }}",
    "{{ range $i, $a := .Alerts }}{{ $i }}:{{ $a.Labels.service }},{{ end }}",
    "{{ (index .Alerts 0).Labels.service }} {{ (index .Alerts.Resolved 0).Fingerprint }}",
    "{{ range .CommonLabels.SortedPairs }}{{ .Name }}: {{ .Value }}; {{ end }}",
    "{{ .GroupLabels.SortedPairs.Values | join \" \" }}",
    "{{ .CommonLabels.Names | join \",\" }} {{ .CommonLabels.Values | join \",\" }}",
    "{{ with .CommonLabels.Remove .GroupLabels.Names }}{{ .Values | join \"/\" }}{{ end }}",
    "{{ (.CommonLabels.Remove (stringSlice \"severity\" \"zone\")).Names }}",
    "{{ range $k, $v := .CommonAnnotations }}{{ $k }}={{ $v }} {{ end }}",
    "{{ .CommonLabels.nothing }}|{{ .CommonLabels.nothing | toUpper }}|{{ index .CommonLabels \"nothing\" }}|",
    "{{ if .CommonLabels.nothing }}a{{ else if eq .Status \"firing\" }}b{{ else }}c{{ end }}",
    "{{ if gt (len .Alerts.Firing) 1 }}many{{ end }}",
    "{{ with index .Alerts 0 }}{{ .StartsAt.Format \"2006-01-02 15:04:05\" }}{{ end }}",
    "{{ with index .Alerts 0 }}{{ (.StartsAt.Add 28800e9).Format \"2006-01-02 15:04:05\" }}{{ end }}",
    "{{ range .Alerts }}{{ .StartsAt }} {{ .EndsAt }}\n{{ end }}",
    "{{ with index .Alerts 0 }}{{ .StartsAt.Format \"Mon Jan _2 15:04:05 MST 2006 Monday January .000 .999 PM pm 3:4:5 1/2 06\" }}{{ end }}",
    "{{ with index .Alerts 0 }}{{ .StartsAt.Format \"2006-01-02T15:04:05.999999999Z07:00\" }} {{ .StartsAt.Format \"-0700 -07:00 Z0700 002 __2 _2006 20060102150405\" }}{{ end }}",
    "{{ with index .Alerts 2 }}{{ .EndsAt.Sub .StartsAt }} {{ (.EndsAt.Sub .StartsAt).Seconds }} {{ .EndsAt.After .StartsAt }}{{ end }}",
    "{{ with index .Alerts 0 }}{{ .StartsAt.Unix }} {{ .StartsAt.Year }} {{ .StartsAt.Month }} {{ .StartsAt.Weekday }} {{ .StartsAt.Hour }} {{ .StartsAt.YearDay }}{{ end }}",
    "{{ with index .Alerts 0 }}{{ .StartsAt.AddDate 0 3 17 }} {{ .StartsAt.AddDate 1 -11 -20 }} {{ .EndsAt.IsZero }} {{ .StartsAt.UTC }}{{ end }}",
    "{{ with index .Alerts 0 }}{{ .StartsAt.Add 90061500000000 }} {{ (.StartsAt.Add -1).Sub .StartsAt }} {{ (.StartsAt.Add 5400000000000).Sub .StartsAt }}{{ end }}",
    "{{ title \"gpu is HOT on node-1\" }} {{ toLower \"ÄB\" }}",
    "{{ join \", \" (stringSlice \"a\" \"b\") }} {{ stringSlice \"a\" \"b\" }}",
    "{{ match \"^pay\" (index .Alerts 0).Labels.service }} {{ match \"^x\" \"y\" }}",
    "{{ reReplaceAll \"(p)(a)\" \"$2-${1}\" \"pay pay\" }}",
    "{{ safeHtml \"<b>\" }}{{ \"<b>\" }}",
    "{{ define \"a\" }}[{{ . }}]{{ end }}{{ range .Alerts }}{{ template \"a\" .Labels.service }}{{ end }}",
    "{{ define \"b\" }}{{ .Labels.service }}{{ end }}{{ range .Alerts.Firing }}{{ template \"b\" . }} {{ end }}",
    "{{ block \"c\" .Status }}<{{ . }}>{{ end }}",
    "{{ $n := len .Alerts }}{{ $n }}{{ if eq $n 3 }}{{ $n = 4 }}{{ end }}{{ $n }}",
    "{{ $a := index .Alerts 0 }}{{ $a.Labels.service }} {{ $a.Annotations.SortedPairs.Names }}",
    "{{ range .Alerts }}{{ if eq .Status \"resolved\" }}{{ continue }}{{ end }}{{ .Labels.service }} {{ end }}",
    "{{ printf \"%s-%d-%v-%q-%5.1f\" .Status (len .Alerts) true \"x\" 1.25 }}",
    "{{ print .Status 1 2.5 }} {{ println \"x\" 1 }} {{ print 1000000.0 }} {{ 2.0 }}",
    "{{ eq .Status \"a\" \"firing\" }} {{ ne 1 2 }} {{ and true \"\" }} {{ or \"\" \"x\" }} {{ not true }}",
    "{{- /* a word */ -}}  x  {{- \" y\" -}}  z",
    "{{ slice \"abcdef\" 1 3 }} {{ html \"<&>\" }} {{ js \"'\" }} {{ urlquery \"a b&c\" }}",
    "{{ .CommonAnnotations.summary | html }}",
    "{{ len .CommonLabels }} {{ len (index .Alerts 0).Labels.zone }}",
    "{{ range .Alerts.Resolved }}{{ .Labels.service }}{{ else }}none{{ end }}",
    "{{ range (.CommonLabels.Remove .CommonLabels.Names) }}x{{ else }}none{{ end }}",
    "{{ define \"e\" }}{{ if . }}{{ len . }}{{ else }}empty{{ end }}{{ end }}{{ template \"e\" .Alerts }} {{ template \"e\" }}",
    "服务 {{ .CommonLabels.zone }}：{{ (index .Alerts 0).Annotations.summary }}",
    "{{ with $x := .CommonLabels.severity }}{{ $x }}{{ . }}{{ $.Status }}{{ end }}",
    "{{ \"quoted \\\"x\\\" \\n\" }}{{ `raw {{ }}` }}",
    "{{ if and .CommonLabels.severity (gt (len .Alerts) 2) }}both{{ end }}",
    "{{ range $i, $p := .CommonLabels.SortedPairs }}{{ if $i }}, {{ end }}{{ $p.Name }}={{ $p.Value }}{{ end }}",
    "{{ .GroupLabels.alertname }} {{ $.GroupLabels.alertname }} {{ (.GroupLabels).alertname }}",
    "{{ range .CommonLabels.Values }}{{ . | printf \"%-10s|\" }}{{ end }}",
];

const SAME_HTML: [&str; 10] = [
    "{{ template \"email.default.html\" . }}",
    "<p>{{ .CommonAnnotations.summary }}</p>",
    "<a href=\"{{ (index .Alerts 0).GeneratorURL }}\" title='{{ .CommonAnnotations.summary }}'>x</a>",
    "{{ range .CommonAnnotations.SortedPairs }}{{ .Name }} = {{ .Value }}<br/>{{ end }}",
    "{{ safeHtml \"<b>\" }}{{ \"<b>\" }}{{ .CommonAnnotations.summary | safeHtml }}",
    "{{ template \"__subject\" . }}",
    "<script>var a = {{ .Status }};</script>",
    "<div style=\"color: {{ .Status }}\">{{ len .Alerts }}</div>",
    "{{ define \"row\" }}<tr><td>{{ .Labels.zone }}</td></tr>{{ end }}<table>{{ range .Alerts }}{{ template \"row\" . }}{{ end }}</table>",
    "<a href=\"http://x/?q={{ .CommonAnnotations.summary }}\">{{ (index .Alerts 0).StartsAt }}</a>",
];

#[test]
fn templates_render_as_alertmanagers_amtool_renders_them() {
    use std::io::Write as _;
    use std::process::Command;
    let name = "templates_render_as_alertmanagers_amtool_renders_them";
    if Command::new("amtool").arg("--version").output().is_err() {
        assert!(std::env::var_os("WEIR_TEST_REQUIRE").is_none_or(|value| value != "all"), "{name} cannot be skipped");
        let _ = writeln!(std::io::stderr(), "skipped: {name}: amtool is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let alerts: Vec<serde_json::Value> =
        [alert("pay", None), alert("ocr", None), alert("asr", Some(1_700_000_060_000))]
            .iter()
            .map(|alert| {
                let time = |ms: i64| jiff::Timestamp::from_millisecond(ms).unwrap().to_string();
                serde_json::json!({
                    "status": if alert.ends_at_ms.is_none() { "firing" } else { "resolved" },
                    "labels": *alert.labels, "annotations": *alert.annotations,
                    "startsAt": time(alert.starts_at_ms),
                    "endsAt": alert.ends_at_ms.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), time),
                    "generatorURL": alert.generator_url,
                    "fingerprint": format!("{:016x}", super::super::fingerprint(&alert.labels)),
                })
            })
            .collect();
    let common = labels(&[("alertname", "PayFails"), ("severity", "critical"), ("zone", "华东")]);
    let data = serde_json::json!({
        "receiver": "ops", "status": "firing", "alerts": alerts, "groupLabels": {"alertname": "PayFails"},
        "commonLabels": common, "commonAnnotations": *alert("pay", None).annotations, "externalURL": "http://weir:7400",
    });
    std::fs::write(path("data.json"), data.to_string()).unwrap();
    // It does not load Alertmanager's own.
    std::fs::write(path("default.tmpl"), DEFAULTS).unwrap();
    let templates = templates(&[]).unwrap();
    let all = SAME.iter().map(|text| (Kind::Text, *text)).chain(SAME_HTML.iter().map(|text| (Kind::Html, *text)));
    let mut differ = Vec::new();
    for (kind, text) in all {
        let kind_name = if kind == Kind::Text { "text" } else { "html" };
        let output = Command::new("amtool")
            .args(["template", "render", "--template.type", kind_name, "--template.text", text])
            .args(["--template.data", &path("data.json"), "--template.glob", &path("*.tmpl")])
            .output()
            .unwrap();
        let theirs = String::from_utf8(output.stdout).unwrap();
        let theirs =
            if output.status.success() { theirs } else { String::from_utf8_lossy(&output.stderr).into_owned() };
        let ours = render(&templates, kind, text).unwrap_or_else(|error| format!("error: {error}"));
        // It writes a line.
        if ours.trim_end_matches('\n') != theirs.trim_end_matches('\n') {
            differ.push(format!("{text}\n  ours   {ours:?}\n  theirs {theirs:?}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn functions_and_methods_that_amtool_does_not_know_yet() {
    for (given, expected) in [
        ("{{ .CommonLabels }}", "alertname=PayFails, severity=critical, zone=华东"),
        ("{{ .GroupLabels.SortedPairs }} {{ printf \"%s\" .GroupLabels }}", "alertname=PayFails alertname=PayFails"),
        ("{{ trimSpace \" x \" }}|", "x|"),
        (
            "{{ (index .Alerts 0).StartsAt | tz \"Asia/Shanghai\" | date \"2006-01-02 15:04:05 MST -07:00\" }}",
            "2023-11-15 06:13:20 CST +08:00",
        ),
        ("{{ (index .Alerts 0).StartsAt | tz \"Asia/Shanghai\" }}", "2023-11-15 06:13:20.12 +0800 CST"),
        (
            "{{ since (index .Alerts 0).StartsAt }} {{ since (index .Alerts 0).StartsAt | humanizeDuration }}",
            "1m40s 1m 40s",
        ),
        ("{{ humanizeDuration 3661.5 }} {{ humanizeDuration \"90\" }}", "1h 1m 1s 1m 30s"),
        ("{{ urlUnescape \"a%20b+c\" }}", "a b c"),
        ("{{ toJson .GroupLabels }}", r#"{"alertname":"PayFails"}"#),
        (
            "{{ with index .Alerts 2 }}{{ toJson .EndsAt }} {{ toJson .Labels.SortedPairs.Names }}{{ end }}",
            r#""2023-11-14 22:14:20 +0000 UTC" ["alertname","service","severity","zone"]"#,
        ),
        ("{{ $d := dict \"a\" 1 \"b\" (list 2 3) }}{{ $d.a }} {{ append $d.b 4 }}", "1 [2 3 4]"),
    ] {
        assert_eq!(text(given), expected, "{given}");
    }
    let json: serde_json::Value = serde_json::from_str(&text("{{ toJson . }}")).unwrap();
    assert_eq!(json["alerts"][0]["startsAt"], "2023-11-14T22:13:20.12Z");
    assert_eq!(json["externalURL"], "http://weir:7400");
}

#[test]
fn files_define_what_texts_call_and_the_later_one_stands() {
    let files = [
        ("a.tmpl", "{{ define \"own\" }}a{{ end }}{{ define \"slack.default.title\" }}own title{{ end }}"),
        (
            "b.tmpl",
            "{{ define \"own\" }}b:{{ template \"__subject\" . }}{{ end }}{{ define \"slack.default.title\" }} {{ end }}",
        ),
    ];
    let templates = templates(&files).unwrap();
    let of = |text: &str| render(&templates, Kind::Text, text).unwrap();
    assert_eq!(of("{{ template \"own\" . }}"), "b:[FIRING:2] PayFails (critical 华东)");
    assert_eq!(of("{{ template \"slack.default.title\" . }}"), "own title", "an empty one takes no other's place");
    assert!(templates.has_own("slack.default.title") && !templates.has_own("slack.default.text"));
}

#[test]
fn a_file_that_is_no_template_is_refused_by_name() {
    for (file, part) in [
        ("{{ define \"a\" }}", "bad.tmpl: "),
        ("{{ define \"a\" }}{{ nosuch . }}{{ end }}", "bad.tmpl: template \"a\": function \"nosuch\" not defined"),
        ("{{ define \"a\" }}x{{ end }}{{ end }}", "bad.tmpl: unexpected {{end}}"),
        ("{{ define \"a\" }}{{ $x }}{{ end }}", "undefined variable \"$x\""),
        ("{{ define \"a\" }}1{{ end }}{{ define \"a\" }}2{{ end }}", "multiple definition of template \"a\""),
    ] {
        let error = templates(&[("bad.tmpl", file)]).unwrap_err().to_string();
        assert!(error.starts_with("templates: ") && error.contains(part), "{file}: {error}");
    }
    assert!(Templates::load(&["/no/such/file.tmpl".to_owned()]).unwrap_err().to_string().contains("is not there"));
}

#[test]
fn a_text_that_can_never_work_is_refused() {
    let templates = templates(&[("a.tmpl", "{{ define \"deep\" }}{{ template \"gone\" }}{{ end }}")]).unwrap();
    for (text, part) in [
        ("{{ .CommonLables.x }}", "can't evaluate field CommonLables in type Data"),
        ("{{ range .Alerts }}{{ .Label.x }}{{ end }}", "can't evaluate field Label in type Alert"),
        ("{{ range .Alerts.Resolved }}{{ .Starts }}{{ end }}", "can't evaluate field Starts in type Alert"),
        ("{{ .Status.x }}", "can't evaluate field x in type string"),
        ("{{ template \"deep\" . }}", "template \"gone\" not defined"),
        ("{{ .Status", ""),
        ("{{ end }}", "unexpected {{end}}"),
        ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "undefined variable \"$x\""),
    ] {
        let error = templates.check(Kind::Text, text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
    let deep = format!("{}{}", "{{ with 1 }}".repeat(90), "{{ end }}".repeat(90));
    let chain = format!("{{{{ if false }}}}{}{{{{ else }}}}{deep}{{{{ end }}}}", "{{ else if false }}".repeat(150));
    assert_eq!(templates.check(Kind::Text, &chain), Ok(()), "as deep as it may be");
    assert!(templates.check(Kind::Html, "<a href='{{ .Status }}").is_err(), "an attribute without an end");
    for text in SAME {
        assert_eq!(templates.check(Kind::Text, text), Ok(()), "{text}");
    }
    assert_eq!(templates.check(Kind::Html, "{{ template \"email.default.html\" . }}"), Ok(()));
}

#[test]
fn whatever_a_template_does_its_execution_ends() {
    let call = |n: usize| {
        let next = format!("{{{{ template \"t{}\" }}}}", n + 1);
        format!("{{{{ define \"t{n}\" }}}}{next}{next}{{{{ end }}}}")
    };
    let twice = (0..100).map(call).collect::<Vec<_>>().concat();
    let twice = format!("{twice}{{{{ define \"t100\" }}}}{{{{ end }}}}{{{{ template \"t0\" }}}}");
    let doubled = |step: &str| format!("{{{{ $a := \"x\" }}}}{{{{ range 1000 }}}}{step}{{{{ end }}}}{{{{ $a }}}}");
    for (text, part) in [
        ("{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}".to_owned(), "recursion limit"),
        (twice, "runs too long"),
        ("{{ range 10000000000 }}{{ end }}".to_owned(), "range iteration"),
        ("{{ range 90000 }}0123456789abcdef{{ end }}".to_owned(), "writes more than"),
        (doubled("{{ $a = print $a $a }}"), "more than"),
        (doubled("{{ $a = html (print \"<\" $a \"<\" $a) }}"), "more than"),
        (doubled("{{ $a = reReplaceAll \"\" $a $a }}"), "more than"),
        (doubled("{{ $a = list $a $a }}"), "too large"),
        (doubled("{{ $a = dict \"a\" $a }}"), "too large"),
        (doubled("{{ $a = join $a (stringSlice $a $a $a) }}"), "more than"),
        ("{{ printf \"%1000000000d\" 1 }}".to_owned(), "a width of more than"),
        ("{{ printf \"%*d\" 1000000000 1 }}".to_owned(), "a width of more than"),
        (
            "{{ range 90000 }}{{ range $.Alerts }}{{ if .Labels.x }}{{ end }}{{ end }}{{ end }}".to_owned(),
            "range iteration",
        ),
        ("{{ match \"(a{1000}){1000}\" \"a\" }}".to_owned(), "match: "),
        (format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000)), ""),
        (
            format!("{{{{ if false }}}}{}{{{{ end }}}}{{{{ .x.y }}}}", "{{- else if false }}".repeat(501)),
            "more than 150 times else if",
        ),
        (format!("{}{}", "{{ if true }}".repeat(5000), "{{ end }}".repeat(5000)), ""),
    ] {
        let error = super::tests::text(&text);
        let start: String = text.chars().take(80).collect();
        assert!(
            error.starts_with("error: ") && error.contains(part),
            "{start}: {}",
            error.chars().take(200).collect::<String>()
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "{{", "}}", " ", ".", "$", "Alerts", "Firing", "StartsAt", "Format", "\"2006\"", "(", ")", "|", "range", "end", "if",
            "else", "with", "define \"a\"", "template \"a\"", ":=", "=", "1", "-1", "index", "len", "print", "Labels", "x", ",",
            "SortedPairs", "Add", "28800e9", "\u{1}", "`", "'a'", "date", "tz", "\"Asia/Shanghai\"", "break", "since", "/*", "*/", "-",
        ]), 0..24)
    ) {
        let templates = templates(&[]).unwrap();
        let _ = templates.check(Kind::Text, &parts.concat());
        let _ = render(&templates, Kind::Html, &parts.join(" "));
    }

    #[test]
    fn no_layout_makes_it_panic(layout in "[-0-9JanMoPpZ:._,年MST ]{0,24}|\\PC{0,12}") {
        time::Time::utc(1_700_000_000_120).format(&layout);
    }
}
