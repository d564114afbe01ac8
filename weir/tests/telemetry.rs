//! weir's own telemetry, sent to weir itself.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A standalone weir that sends its telemetry to itself; killed when it is dropped.
struct Weir {
    child: Child,
    http: String,
    _folder: tempfile::TempDir,
}

impl Drop for Weir {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Weir {
    /// `alerter` is that section of the configuration.
    fn start(alerter: &serde_json::Value) -> Self {
        // It must know its own address before it has it, so another program may be faster.
        (0..5).find_map(|_| Self::try_start(alerter)).expect("weir ends as soon as it starts")
    }

    fn try_start(alerter: &serde_json::Value) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let grpc = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = format!(
            "listen: 127.0.0.1:0\ncollector: {{otlp: {{grpc: \"{grpc}\", http: null}}, host: null}}\n\
             telemetry: {{otlp: {{endpoint: \"http://{grpc}\", interval: 1s}}}}\nalerter: {alerter}\n"
        );
        let (file, ready) = (folder.path().join("weir.yaml"), folder.path().join("ready"));
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(["standalone", "--config"]).arg(file).arg("--data-dir").arg(folder.path().join("data"));
        command.arg("--ready-file").arg(&ready).env("OTEL_BSP_SCHEDULE_DELAY", "100").stderr(Stdio::null());
        let mut weir = Self { child: command.spawn().unwrap(), http: String::new(), _folder: folder };
        let started = until("it is ready", || {
            if weir.child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            let told: serde_json::Value = serde_json::from_slice(&std::fs::read(&ready).ok()?).ok()?;
            told["http"].as_str()?.strip_prefix("http://")?.clone_into(&mut weir.http);
            Some(true)
        });
        started.then_some(weir)
    }

    /// Status and body.
    fn get(&self, path: &str, header: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n{header}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Records that became durable on a topic.
    fn sent(&self, topic: &str) -> u64 {
        let line = format!("weir_bus_sent_records_total{{topic=\"{topic}\"}} ");
        let (_, metrics) = self.get("/metrics", "accept: */*");
        metrics.lines().find_map(|metric| metric.strip_prefix(&line)?.parse().ok()).unwrap_or(0)
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_request_joins_its_callers_trace_and_telemetry_does_not_feed_on_itself() {
    let weir = Weir::start(&serde_json::json!({}));
    let (status, body) = weir.get("/api/v1/alerts", &format!("traceparent: 00-{TRACE}-{PARENT}-01"));
    assert_eq!(status, 200, "{body}");
    // What asks in the name of weir's own telemetry is not traced.
    let own = "weir-telemetry: self";
    let trace = until("the trace is there", || {
        let (status, body) = weir.get(&format!("/api/v1/traces/{TRACE}"), own);
        (status == 200).then_some(body)
    });
    let trace: serde_json::Value = serde_json::from_str(&trace).unwrap();
    let spans = trace["spans"].as_array().unwrap();
    assert!(spans.iter().any(|span| span["parent_span_id"] == PARENT && span["service"] == "weir"), "{trace}");

    // Metrics go on by the clock; no export of them, or of the spans before, makes a span.
    let (spans, metrics) = (weir.sent("otlp_spans"), weir.sent("otlp_metrics"));
    assert!(spans > 0);
    until("metrics were sent three times more", || (weir.sent("otlp_metrics") >= metrics + 3).then_some(()));
    assert_eq!(weir.sent("otlp_spans"), spans);
}

/// The body of a request, which is answered with 200.
fn body(mut stream: TcpStream) -> serde_json::Value {
    let (mut read, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "the request ends early");
        read.extend_from_slice(&part[..count]);
        let whole = std::str::from_utf8(&read).ok().and_then(|text| text.split_once("\r\n\r\n"));
        if let Some(body) = whole.and_then(|(_, body)| serde_json::from_str(body).ok()) {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            return body;
        }
    }
}

#[test]
fn who_is_told_of_an_alert_finds_the_way_back_though_no_external_url_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yaml");
    let rule = "{alert: Called, expr: 'weir_calls_total > 0'}";
    std::fs::write(&rules, format!("groups: [{{name: g, interval: 1s, rules: [{rule}]}}]\n")).unwrap();
    let hook = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", hook.local_addr().unwrap());
    hook.set_nonblocking(true).unwrap();
    let weir = Weir::start(&serde_json::json!({
        "rules": [rules],
        "route": { "receiver": "ops" },
        "receivers": [{ "name": "ops", "webhook_configs": [{ "url": url }] }],
    }));
    let told = until("the alert is told", || {
        // Each is a span, and the time of spans is the time of rules.
        weir.get("/api/v1/alerts", "accept: */*");
        let (stream, _) = hook.accept().ok()?;
        stream.set_nonblocking(false).unwrap();
        Some(body(stream))
    });
    let home = format!("http://{}", weir.http);
    assert_eq!(told["externalURL"], home);
    let link = told["alerts"][0]["generatorURL"].as_str().unwrap();
    let path = link.strip_prefix(&home).unwrap_or_else(|| panic!("{link}"));
    assert_eq!(weir.get(path, "accept: */*").0, 200, "{link}");
}
