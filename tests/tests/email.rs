//! Notifications by e-mail, over a real SMTP server.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use weir_alerter::notify::{Alert, NotificationLog, Notifier, Options};
use weir_tests::Log;
use weir_tests::smtp::Smtp;

const PASSWORD: &str = "pass-w0rd-marker";
const WITHIN: Duration = Duration::from_secs(20);

/// Writes `ca.pem`, and a certificate of it for `localhost`.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(folder.join("server.pem"), params.signed_by(&key, &authority).unwrap().pem()).unwrap();
    std::fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
}

struct Site {
    folder: tempfile::TempDir,
    smtp: Smtp,
}

impl Site {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificates(folder.path());
        let (certificate, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
        let smtp = Smtp::start(&certificate, &key, "weir", PASSWORD).await.unwrap();
        Self { folder, smtp }
    }

    /// A receiver of mail over one of the server's ports.
    fn receiver(&self, server: &str, more: &str) -> String {
        let ca = self.folder.path().join("ca.pem");
        let port = self.smtp.port(server);
        format!(
            "[{{name: ops, email_configs: [{{to: 'ops@example.com', from: '告警 <weir@example.com>', \
             smarthost: 'localhost:{port}', tls_config: {{ca_file: '{}'}}, {more}}}]}}]",
            ca.display()
        )
    }

    /// `auth_username`, and the password in a file.
    fn auth(&self, password: &str) -> String {
        let file = self.folder.path().join(format!("{password}.txt"));
        std::fs::write(&file, format!("{password}\n")).unwrap();
        format!("auth_username: weir, auth_password_file: '{}'", file.display())
    }
}

fn alert(ends_at_ms: Option<i64>) -> Alert {
    let map = |of: &[(&str, &str)]| -> Arc<BTreeMap<String, String>> {
        Arc::new(of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    };
    Alert {
        labels: map(&[("alertname", "支付失败"), ("service", "pay")]),
        annotations: map(&[("summary", "错误率 <b>12%</b>")]),
        starts_at_ms: 1_700_000_000_000,
        ends_at_ms,
        generator_url: "http://weir:7400/q".to_owned(),
    }
}

struct Running {
    notifier: Notifier,
    log: Log,
    _logging: tracing::subscriber::DefaultGuard,
    shutdown: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn run(receivers: &str, templates: Vec<String>) -> Running {
    let options = Options {
        route: serde_saphyr::from_str("{receiver: ops, group_by: [alertname], group_interval: 1s}").unwrap(),
        receivers: serde_saphyr::from_str(receivers).unwrap(),
        templates,
        ..Options::default()
    };
    let log = Log::default();
    let logging = tracing::subscriber::set_default(log.clone());
    let meter = opentelemetry::global::meter("test");
    let notifier =
        Notifier::new(&options, Vec::new(), Vec::new(), Arc::default(), NotificationLog::default(), &meter).unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn({
        let (notifier, shutdown) = (notifier.clone(), shutdown.clone());
        async move { notifier.run(shutdown).await }
    });
    notifier.update(vec![alert(None)]);
    Running { notifier, log, _logging: logging, shutdown }
}

impl Running {
    /// The log, once it has a line with these words.
    async fn logged(&self, words: &str) -> String {
        let found = weir_tests::until(WITHIN, || {
            let lines = self.log.lines().join("\n");
            async move { lines.contains(words).then_some(lines) }
        });
        found.await.unwrap_or_else(|| panic!("no «{words}» in {:?}", self.log.lines()))
    }

    async fn taken(&self) {
        let mut changed = self.notifier.changed();
        while self.notifier.notified().is_empty() {
            tokio::time::timeout(WITHIN, changed.changed()).await.unwrap().unwrap();
        }
    }
}

fn text<'a>(mail: &'a Value, path: &str) -> &'a str {
    mail.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

#[tokio::test]
async fn a_group_is_mailed_over_each_kind_of_connection_and_with_each_kind_of_credential() {
    let mut site = Site::start().await;
    for (server, more, encrypted) in [
        ("starttls", site.auth(PASSWORD), true),
        ("login", site.auth(PASSWORD), true),
        ("tls", format!("{}, force_implicit_tls: true, hello: weir.example", site.auth(PASSWORD)), true),
        ("plain", "require_tls: false".to_owned(), false),
    ] {
        let running = run(&site.receiver(server, &format!("{more}, language: zh")), Vec::new());
        let mail = site.smtp.next(WITHIN).await.unwrap();
        running.taken().await;
        assert_eq!((&mail["encrypted"], text(&mail, "/from")), (&encrypted.into(), "weir@example.com"), "{server}");
        assert_eq!(mail["to"], serde_json::json!(["ops@example.com"]), "{server}");
        assert_eq!(text(&mail, "/user"), if encrypted { "weir" } else { "" }, "{server}");
        assert_eq!(text(&mail, "/hello"), if server == "tls" { "weir.example" } else { "localhost" });
        assert_eq!(text(&mail, "/headers/Subject"), "[告警:1] 支付失败 (pay)");
        assert_eq!(text(&mail, "/headers/From"), "告警 <weir@example.com>");
        assert!(text(&mail, "/parts/text~1plain").contains("错误率 <b>12%</b>"), "{mail}");
        assert!(text(&mail, "/parts/text~1html").contains("错误率 &lt;b&gt;12%&lt;/b&gt;"), "{mail}");
        assert!(text(&mail, "/headers/Message-ID").ends_with("@weir>"), "{mail}");
        assert!(!running.log.lines().join("").contains(PASSWORD));
    }
}

#[tokio::test]
async fn mails_are_written_by_templates_and_those_of_one_group_are_one_conversation() {
    let mut site = Site::start().await;
    let file = site.folder.path().join("mail.tmpl");
    std::fs::write(&file, "{{ define \"email.default.subject\" }}{{ .Status }} {{ .GroupLabels.alertname }}{{ end }}")
        .unwrap();
    let more = "require_tls: false, send_resolved: true, to: 'a@example.com, Bé <b@example.com>', \
        html: '<p>{{ .CommonAnnotations.summary }} {{ (index .Alerts 0).StartsAt.Format \"15:04\" }}</p>', text: '', \
        headers: {X-Team: '{{ .CommonLabels.service }}', Reply-To: 'x@example.com', To: 'all@example.com'}"
        .to_owned();
    let receivers = site.receiver("plain", &more).replace("to: 'ops@example.com', ", "");
    let running = run(&receivers, vec![file.display().to_string()]);
    let first = site.smtp.next(WITHIN).await.unwrap();
    running.taken().await;
    running.notifier.update(vec![alert(Some(1_700_000_060_000))]);
    let second = site.smtp.next(WITHIN).await.unwrap();
    assert_eq!(first["to"], serde_json::json!(["a@example.com", "b@example.com"]));
    assert_eq!(text(&first, "/headers/To"), "all@example.com");
    assert_eq!(text(&first, "/headers/Subject"), "firing 支付失败");
    assert_eq!(text(&second, "/headers/Subject"), "resolved 支付失败");
    assert_eq!((text(&first, "/headers/X-Team"), text(&first, "/headers/Reply-To")), ("pay", "x@example.com"));
    assert_eq!(text(&first, "/parts/text~1html").trim(), "<p>错误率 &lt;b&gt;12%&lt;/b&gt; 22:13</p>");
    assert_eq!(first["parts"].get("text/plain"), None);
    let references = text(&first, "/headers/References");
    assert!(references.ends_with("@weir>") && references == text(&second, "/headers/References"), "{first}");
    assert_ne!(first["headers"]["Message-ID"], second["headers"]["Message-ID"]);
}

#[tokio::test]
async fn a_server_that_refuses_for_now_is_asked_again_and_one_that_refuses_is_not() {
    let mut site = Site::start().await;
    let grey = site.receiver("plain", "require_tls: false").replace("ops@", "grey@");
    let running = run(&grey, Vec::new());
    let log = running.logged("greylisted").await;
    assert!(log.contains("trying again"), "{log}");
    assert_eq!(site.smtp.next(WITHIN).await.unwrap()["to"], serde_json::json!(["grey@example.com"]));
    running.taken().await;
    drop(running);
    let gone = site.receiver("plain", "require_tls: false").replace("ops@", "gone@");
    let log = run(&gone, Vec::new()).logged("no such user").await;
    assert!(log.contains("a receiver refused a notification"), "{log}");
}

#[tokio::test]
async fn a_wrong_password_is_told_and_shown_nowhere() {
    let site = Site::start().await;
    let wrong = "wr0ng-marker";
    for (server, more) in [("starttls", ""), ("login", ""), ("tls", ", force_implicit_tls: true")] {
        let running = run(&site.receiver(server, &format!("{}{more}", site.auth(wrong))), Vec::new());
        let log = running.logged("535").await;
        assert!(log.contains("refused") && !log.contains(wrong), "{log}");
        assert!(running.notifier.notified().is_empty());
    }
}

#[tokio::test]
async fn a_connection_that_is_not_as_asked_for_gets_no_mail() {
    let mut site = Site::start().await;
    let other = tempfile::tempdir().unwrap();
    certificates(other.path());
    let theirs = site.receiver("starttls", &site.auth(PASSWORD)).replace(
        &site.folder.path().join("ca.pem").display().to_string(),
        &other.path().join("ca.pem").display().to_string(),
    );
    let by_name =
        site.receiver("starttls", &site.auth(PASSWORD)).replace("ca_file:", "server_name: else.example, ca_file:");
    for (receivers, words) in [
        (site.receiver("plain", "hello: x"), "STARTTLS"),
        (theirs.clone(), "invalid peer certificate"),
        (by_name, "else.example"),
        (site.receiver("plain", &format!("require_tls: false, {}", site.auth(PASSWORD))), "authentication"),
    ] {
        let log = run(&receivers, Vec::new()).logged("trying again").await;
        assert!(log.to_lowercase().contains(&words.to_lowercase()) && !log.contains(PASSWORD), "{words}: {log}");
    }
    let _trusting = run(&theirs.replace("tls_config: {", "tls_config: {insecure_skip_verify: true, "), Vec::new());
    assert_eq!(text(&site.smtp.next(WITHIN).await.unwrap(), "/user"), "weir");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_waited_for_no_longer_than_the_timeout() {
    let hole = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let receivers = format!(
        "[{{name: ops, email_configs: [{{to: a@b.c, from: a@b.c, smarthost: 'localhost:{}', require_tls: false, timeout: 1s}}]}}]",
        hole.local_addr().unwrap().port()
    );
    let running = run(&receivers, Vec::new());
    let log = running.logged("trying again").await;
    assert!(log.contains("did not answer in time") || log.contains("timed out"), "{log}");
}
