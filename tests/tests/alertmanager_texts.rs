//! The same receivers, templates and alerts in weir and in Debian's Alertmanager: both send the same.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use weir_alerter::notify::{Alert, NotificationLog, Notifier, Options};
use weir_tests::alertmanager::{Alertmanager, is_there};
use weir_tests::smtp::Smtp;
use weir_tests::{skip, until};

const WITHIN: Duration = Duration::from_secs(20);
const EXTERNAL_URL: &str = "http://weir.example:7400";

const TEMPLATES: &str = r#"
{{ define "own.list" }}{{ range .Alerts.Firing }}*{{ .Labels.service | toUpper }}* {{ .Annotations.summary }}
从 {{ (.StartsAt.Add 28800e9).Format "2006-01-02 15:04:05" }}
{{ range .Labels.SortedPairs }} • {{ .Name }}: `{{ .Value }}`
{{ end }}{{ end }}{{ end }}
{{ define "slack.default.pretext" }}{{ len .Alerts }} alerts of {{ .Receiver }}{{ end }}
{{ define "email.default.subject" }}{{ template "__subject" . }} – {{ .CommonLabels.severity }}{{ end }}
"#;

/// Of a server that keeps what is posted, by path.
type Posted = Arc<Mutex<BTreeMap<String, Value>>>;

async fn catcher() -> (String, Posted) {
    let posted = Posted::default();
    let keep = |State(posted): State<Posted>, uri: axum::http::Uri, axum::Json(body): axum::Json<Value>| async move {
        posted.lock().entry(uri.path().to_owned()).or_insert(body);
        (axum::http::StatusCode::ACCEPTED, "{}")
    };
    let app = axum::Router::new().fallback(axum::routing::post(keep)).with_state(posted.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{address}"), posted)
}

fn receivers(url: &str, smtp: u16) -> Value {
    json!([{
        "name": "ops",
        "slack_configs": [{
            "api_url": format!("{url}/slack"), "channel": "#{{ .CommonLabels.severity }}", "username": "alerts",
            "icon_emoji": ":fire:", "icon_url": "http://i/", "link_names": true, "send_resolved": true,
            "color": "{{ if eq .Status \"firing\" }}#ff0000{{ else }}good{{ end }}",
            "title": "{{ template \"slack.default.title\" . }}", "title_link": "{{ .ExternalURL }}/x",
            "text": "{{ template \"own.list\" . }}", "fallback": "{{ .CommonAnnotations.summary }}",
            "callback_id": "{{ .GroupLabels.alertname }}", "footer": "{{ .Status }}", "image_url": "http://img/",
            "thumb_url": "http://thumb/", "short_fields": true, "mrkdwn_in": ["text", "pretext"],
            "fields": [
                {"title": "severity", "value": "{{ .CommonLabels.severity }}"},
                {"title": "services", "value": "{{ range .Alerts }}{{ .Labels.service }} {{ end }}", "short": false},
            ],
            "actions": [{
                "type": "button", "text": "Runbook", "url": "{{ .CommonAnnotations.runbook_url }}", "style": "danger",
                "name": "n", "value": "v", "confirm": {"text": "sure?", "title": "t", "ok_text": "o", "dismiss_text": "d"},
            }, {"type": "button", "text": "Ack", "name": "n", "value": "{{ .Status }}", "confirm": {"text": "sure?", "title": "t"}}],
        }],
        "pagerduty_configs": [{
            "routing_key": "r", "url": format!("{url}/pagerduty"), "client": "{{ .Receiver }}", "client_url": "http://c/",
            "description": "{{ template \"pagerduty.default.description\" . }}", "severity": "{{ .CommonLabels.severity }}",
            "class": "k", "component": "{{ (index .Alerts 0).Labels.service }}", "group": "{{ .GroupLabels.alertname }}",
            "details": {"list": "{{ template \"own.list\" . }}", "firing": "{{ template \"pagerduty.default.instances\" .Alerts.Firing }}"},
            "images": [{"src": "http://i/", "alt": "a", "href": "http://h/"}],
            "links": [{"href": "http://l/", "text": "{{ .Status }}"}],
        }],
        "webhook_configs": [{"url": format!("{url}/webhook")}],
        "email_configs": [{
            "to": "a@example.com, b@example.com", "from": "weir@example.com", "smarthost": format!("localhost:{smtp}"),
            "require_tls": false, "html": "<p>{{ .CommonAnnotations.summary }}</p>{{ range .Alerts }}<a href=\"{{ .GeneratorURL }}\">{{ .Labels.service }}</a>{{ end }}",
            "text": "{{ template \"own.list\" . }}", "hello": "weir.example", "headers": {"X-Severity": "{{ .CommonLabels.severity }}"},
        }],
    }])
}

const ROUTE: &str = r#"{"receiver": "ops", "group_by": ["alertname"], "group_wait": "1s"}"#;
const STARTS_AT_MS: i64 = 1_780_000_000_000;

fn alerts() -> Vec<(Value, Value)> {
    let one = |service: &str| {
        let labels = json!({"alertname": "PayFails", "service": service, "severity": "critical"});
        let annotations = json!({"summary": "支付失败 <b>pay</b> & \"more\"", "runbook_url": "http://r/?a=1&b=2"});
        (labels, annotations)
    };
    vec![one("ocr"), one("pay")]
}

fn url(labels: &Value) -> String {
    format!("http://weir.example:7400/q?service={}&x=1", labels["service"].as_str().unwrap())
}

async fn post(alertmanager: &Alertmanager) {
    let time = |ms: i64| jiff::Timestamp::from_millisecond(ms).unwrap().to_string();
    let ends_at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let one = |(labels, annotations): &(Value, Value)| json!({"labels": labels, "annotations": annotations, "startsAt": time(STARTS_AT_MS), "endsAt": ends_at.to_string(), "generatorURL": url(labels)});
    let body: Vec<Value> = alerts().iter().map(one).collect();
    let sent = reqwest::Client::new().post(format!("{}/api/v2/alerts", alertmanager.url())).json(&body).send().await;
    assert!(sent.unwrap().status().is_success());
}

fn weir(receivers: &Value, templates: &Path) -> CancellationToken {
    let mut options = Options {
        route: serde_saphyr::from_str(ROUTE).unwrap(),
        receivers: serde_json::from_value(receivers.clone()).unwrap(),
        templates: vec![templates.display().to_string()],
        ..Options::default()
    };
    EXTERNAL_URL.clone_into(&mut options.external_url);
    let meter = opentelemetry::global::meter("test");
    let notifier =
        Notifier::new(&options, Vec::new(), Vec::new(), Arc::default(), NotificationLog::default(), &meter).unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn({
        let (notifier, shutdown) = (notifier.clone(), shutdown.clone());
        async move { notifier.run(shutdown).await }
    });
    let map = |value: &Value| Arc::new(serde_json::from_value::<BTreeMap<String, String>>(value.clone()).unwrap());
    let one = |(labels, annotations): &(Value, Value)| Alert {
        labels: map(labels),
        annotations: map(annotations),
        starts_at_ms: STARTS_AT_MS,
        ends_at_ms: None,
        generator_url: url(labels),
    };
    notifier.update(alerts().iter().map(one).collect());
    shutdown
}

/// What was posted to each path, and mailed.
async fn all(posted: &Posted, smtp: &mut Smtp) -> (BTreeMap<String, Value>, Value) {
    let mail = smtp.next(WITHIN).await.unwrap();
    let whole = until(WITHIN, || async { Some(posted.lock().clone()).filter(|posted| posted.len() == 3) });
    (whole.await.unwrap_or_else(|| panic!("{:?}", posted.lock())), mail)
}

#[tokio::test]
async fn alertmanager_and_weir_send_the_same_of_the_same_receivers_templates_and_alerts() {
    if !is_there() {
        let why = "prometheus-alertmanager is not installed";
        return skip("alertmanager_and_weir_send_the_same_of_the_same_receivers_templates_and_alerts", why);
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    // Nobody asks for TLS here.
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (pem, key) = (folder.path().join("pem"), folder.path().join("key"));
    std::fs::write(&pem, certificate.cert.pem()).unwrap();
    std::fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
    let mut smtp = Smtp::start(&pem, &key, "u", "p").await.unwrap();
    let templates = folder.path().join("own.tmpl");
    std::fs::write(&templates, TEMPLATES).unwrap();

    let (url, theirs) = catcher().await;
    let config = json!({
        "route": serde_json::from_str::<Value>(ROUTE).unwrap(),
        "receivers": receivers(&url, smtp.port("plain")),
        "templates": [templates],
    });
    let file = folder.path().join("alertmanager.yml");
    std::fs::write(&file, config.to_string()).unwrap();
    let alertmanager = Alertmanager::start(&file, EXTERNAL_URL).unwrap();
    post(&alertmanager).await;
    let (mut theirs, mut their_mail) = all(&theirs, &mut smtp).await;
    drop(alertmanager);
    let (url, ours) = catcher().await;
    let stop = weir(&receivers(&url, smtp.port("plain")), &templates);
    let (ours, mut our_mail) = all(&ours, &mut smtp).await;
    stop.cancel();

    // Alertmanager puts its own name where no text is set.
    theirs.get_mut("/webhook").unwrap()["externalURL"] = json!(EXTERNAL_URL);
    for (path, theirs) in theirs {
        assert_eq!(ours[&path], theirs, "{path}");
    }
    for mail in [&mut their_mail, &mut our_mail] {
        for header in ["Date", "Message-ID", "Message-Id", "References", "Content-Type", "MIME-Version"] {
            mail["headers"].as_object_mut().unwrap().remove(header);
        }
        for part in mail["parts"].as_object_mut().unwrap().values_mut() {
            *part = json!(part.as_str().unwrap().replace("\r\n", "\n").trim_end());
        }
    }
    assert_eq!(our_mail, their_mail);
}
