use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use weir_bus::spool::Spool;
use weir_bus::{Bus, Event, Message, Partition, Position};
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceResponse;
use weir_proto::otlp::collector::logs::v1::logs_service_client::LogsServiceClient;
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceResponse;
use weir_proto::otlp::collector::trace::v1::trace_service_client::TraceServiceClient;
use weir_proto::otlp::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric};
use weir_service::config::Size;

use weir_service::auth::Auth;

use super::*;
use crate::limits::{Bounds, LimitOptions, Limits};
use crate::options::{OtlpOptions, TenantOptions};
use crate::otlp::body::{Budget, Encoding};
use crate::otlp::intake::{Intake, Sent};
use crate::otlp::refusal::{Refusal, RetryInfo, RpcStatus};
use crate::otlp::store::Store;
use crate::otlp::{CorsOptions, Error, Gate, Server, Signal, Tenants, listen};

const MAX_BODY: usize = Bounds::UNLIMITED.export;
pub(super) const MAX_IN_FLIGHT: usize = Bounds::UNLIMITED.exports;
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

pub(in crate::otlp) struct Rig {
    bus: Bus,
    grpc: SocketAddr,
    http: SocketAddr,
    pub(in crate::otlp) gate: Gate,
    shutdown: tokio_util::sync::CancellationToken,
    running: JoinHandle<Result<(), Error>>,
    _folder: tempfile::TempDir,
}

const LOCAL: Option<SocketAddr> = Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));

pub(in crate::otlp) async fn start() -> Rig {
    start_with(MAX_IN_FLIGHT).await
}

async fn start_with(budget: usize) -> Rig {
    start_before(budget, None).await
}

async fn start_before(budget: usize, spool: Option<Spool>) -> Rig {
    start_allowing(budget, spool, None).await
}

pub(super) async fn start_allowing(budget: usize, spool: Option<Spool>, cors: Option<CorsOptions>) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
    let meter = opentelemetry::global::meter("test");
    let tenants = Tenants::new(&TenantOptions::default(), Auth::off());
    let store = Store::new(bus.producer().unwrap(), spool, &meter);
    let intake = Intake::new(store, tenants, Budget::new(budget, MAX_BODY), &meter);
    let server = Server {
        intake,
        grpc: listen("grpc", LOCAL).await.unwrap(),
        http: listen("http", LOCAL).await.unwrap(),
        tls: None,
        cors,
        windows: Bounds::UNLIMITED.windows,
    };
    let (grpc, http) = (server.grpc_addr().unwrap(), server.http_addr().unwrap());
    let gate = server.gate();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(server.run(shutdown.clone()));
    Rig { bus, grpc, http, gate, shutdown, running, _folder: folder }
}

impl Rig {
    async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap()
    }

    /// All that lies on a signal's topic now.
    pub(super) async fn messages(&self, signal: Signal) -> Vec<Message> {
        let Ok(partitions) = self.bus.partitions(signal.topic()).await else { return Vec::new() };
        let mut count = 0;
        let mut from = Vec::new();
        for number in 0..partitions {
            let partition = Partition::new(signal.topic(), number);
            let (low, high) = self.bus.offsets(&partition).await.unwrap();
            count += (high - low) as usize;
            from.push(Position { partition, offset: low });
        }
        let mut consumer = self.bus.consumer(&from).unwrap();
        let mut messages = Vec::new();
        while messages.len() < count {
            if let Event::Batch(batch) = consumer.next(1000, Duration::from_secs(10)).await.unwrap() {
                messages.extend(batch);
            }
        }
        messages
    }

    pub(in crate::otlp) async fn logs(&self) -> Vec<ExportLogsServiceRequest> {
        let messages = self.messages(Signal::Logs).await;
        messages.into_iter().map(|message| ExportLogsServiceRequest::decode(message.value).unwrap()).collect()
    }

    pub(in crate::otlp) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = format!("POST {path} HTTP/1.1\r\nhost: weir\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            request.extend([*name, ": ", *value, "\r\n"]);
        }
        request += "connection: close\r\n\r\n";
        self.raw(&[request.as_bytes(), body].concat()).await
    }

    pub(super) async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: Bytes::from(answer).slice(end + 4..) }
    }

    /// One call with these bytes as the message.
    pub(super) async fn call(
        &self,
        path: &'static str,
        packed: Option<CompressionEncoding>,
        body: Vec<u8>,
    ) -> Result<(), Status> {
        let mut client = tonic::client::Grpc::new(self.channel().await);
        if let Some(encoding) = packed {
            client = client.send_compressed(encoding);
        }
        client.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static(path);
        client.unary(Request::new(Bytes::from(body)), path, Raw).await.map(|_| ())
    }
}

#[derive(Debug)]
pub(in crate::otlp) struct Answer {
    pub(in crate::otlp) status: u16,
    pub(super) head: String,
    pub(in crate::otlp) body: Bytes,
}

/// Messages as bytes.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn two_services() -> ExportLogsServiceRequest {
    logs(vec![
        (&[("service.name", "ocr")], vec![line("识别完成"), line("second")]),
        (&[("service.name", "asr"), ("weir.tenant", "acme")], vec![line("third")]),
    ])
}

/// What [`two_services`] becomes: by tenant.
fn assert_two_services(read: &[ExportLogsServiceRequest]) {
    let mut found: Vec<_> = read.iter().map(|r| (tenants(r.resource_logs[0].resource.as_ref()), bodies(r))).collect();
    found.sort();
    let list = |of: &[&str]| of.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(found, [(list(&["acme"]), list(&["third"])), (list(&["default"]), list(&["识别完成", "second"]))]);
}

#[tokio::test]
async fn every_signal_over_grpc_is_on_the_bus_when_the_answer_comes() {
    let rig = start().await;
    let answer = LogsServiceClient::new(rig.channel().await).export(two_services()).await.unwrap().into_inner();
    // Read up to the end as it is now: what was acknowledged later than this would be missing.
    assert_two_services(&rig.logs().await);
    assert_eq!(answer, ExportLogsServiceResponse::default());

    let request = spans(vec![span("GET /", vec![1; 16], vec![2; 8])]);
    TraceServiceClient::new(rig.channel().await).export(request).await.unwrap();
    let read = rig.messages(Signal::Traces).await;
    let read = ExportTraceServiceRequest::decode(read[0].value.clone()).unwrap();
    assert_eq!(read.resource_spans[0].scope_spans[0].spans[0].name, "GET /");

    let data = Some(metric::Data::Gauge(Gauge { data_points: vec![NumberDataPoint::default()] }));
    let metrics = vec![Metric { name: "hw.temperature".into(), data, ..Metric::default() }];
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }],
    };
    MetricsServiceClient::new(rig.channel().await).export(request).await.unwrap();
    let read = rig.messages(Signal::Metrics).await;
    let read = ExportMetricsServiceRequest::decode(read[0].value.clone()).unwrap();
    assert_eq!(tenants(read.resource_metrics[0].resource.as_ref()), ["default"]);
}

#[tokio::test]
async fn a_connection_on_which_no_request_begins_is_closed() {
    let rig = start().await;
    for said in [&b""[..], b"PRI"] {
        let mut stream = tokio::net::TcpStream::connect(rig.http).await.unwrap();
        stream.write_all(said).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut [0; 64])).await;
        assert!(ended.is_ok_and(|read| !read.is_ok_and(|bytes| bytes > 0)), "{said:?}");
    }
}

#[tokio::test]
async fn packed_messages_are_read_over_grpc() {
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let rig = start().await;
        let mut client = LogsServiceClient::new(rig.channel().await).send_compressed(encoding);
        client.export(two_services()).await.unwrap();
        assert_two_services(&rig.logs().await);
    }
}

#[tokio::test]
async fn protobuf_and_json_packed_or_not_arrive_over_http() {
    let protobuf = two_services().encode_to_vec();
    let json = serde_json::to_vec(&two_services()).unwrap();
    let zstd = zstd::encode_all(&*protobuf, 1).unwrap();
    let cases: [(&str, &str, Vec<u8>); 5] = [
        (PROTOBUF, "identity", protobuf.clone()),
        (PROTOBUF, "gzip", gzip(&protobuf)),
        (PROTOBUF, "zstd", zstd),
        (JSON, "identity", json.clone()),
        ("application/json; charset=utf-8", "gzip", gzip(&json)),
    ];
    for (kind, encoding, body) in cases {
        let rig = start().await;
        let answer = rig.post("/v1/logs", &[("content-type", kind), ("content-encoding", encoding)], &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let empty: &[u8] = if kind == PROTOBUF { b"" } else { b"{}" };
        assert_eq!(answer.body, empty);
        assert_two_services(&rig.logs().await);
    }
}

#[tokio::test]
async fn a_request_over_a_megabyte_becomes_several_records_in_order() {
    let rig = start().await;
    let sent: Vec<_> = (0..3000).map(|n| format!("{n:06}{}", "x".repeat(1000))).collect();
    let request = logs(vec![(&[("service.name", "ocr")], sent.iter().map(|body| line(body)).collect())]);
    LogsServiceClient::new(rig.channel().await).export(request).await.unwrap();
    let messages = rig.messages(Signal::Logs).await;
    assert!(messages.len() >= 4 && messages.iter().all(|m| m.value.len() <= weir_proto::MAX_RECORD_BYTES));
    let read = messages.into_iter().map(|m| ExportLogsServiceRequest::decode(m.value).unwrap());
    assert_eq!(read.flat_map(|request| bodies(&request)).collect::<Vec<_>>(), sent);
}

#[tokio::test]
async fn bad_data_is_refused_in_part_and_the_rest_arrives() {
    let rig = start().await;
    let request = spans(vec![span("good", vec![1; 16], vec![2; 8]), span("bad", vec![0; 16], vec![2; 8])]);
    let answer = TraceServiceClient::new(rig.channel().await).export(request.clone()).await.unwrap().into_inner();
    let partial = answer.partial_success.unwrap();
    assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (1, "trace_id is all zeros"));

    let answer = rig.post("/v1/traces", &[("content-type", PROTOBUF)], &request.encode_to_vec()).await;
    let same = ExportTraceServiceResponse::decode(answer.body).unwrap().partial_success.unwrap();
    assert_eq!((answer.status, same), (200, partial));

    let huge = logs(vec![(&[], vec![line("small"), line(&"x".repeat(weir_proto::MAX_SINGLE_BYTES))])]);
    let answer = rig.post("/v1/logs", &[("content-type", JSON)], &serde_json::to_vec(&huge).unwrap()).await;
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &json["partialSuccess"]["rejectedLogRecords"]), (200, &"1".into()));
    let told = json["partialSuccess"]["errorMessage"].as_str().unwrap();
    assert!(told.starts_with("1 too large: ") && told.contains("16777216 that otlp_logs takes"), "{told}");
    assert_eq!(rig.logs().await.iter().flat_map(bodies).collect::<Vec<_>>(), ["small"]);
}

/// A span that says so much of a prompt, in bytes that do not compress.
fn prompt(id: u8, bytes: usize) -> Span {
    let mut state = u64::from(id);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b' ' + (state >> 58) as u8)
    };
    let prompt = std::iter::repeat_with(&mut next).take(bytes).collect::<String>();
    let attributes =
        vec![KeyValue { key: "gen_ai.input.messages".to_owned(), value: Some(text(&prompt)), ..KeyValue::default() }];
    Span { attributes, ..span("chat", vec![1; 16], vec![id; 8]) }
}

#[tokio::test]
async fn a_span_of_ten_megabytes_arrives_whole_and_one_of_more_than_sixteen_is_refused_alone() {
    let rig = start().await;
    let sent = [prompt(1, 10_000_000), prompt(2, 100), prompt(3, weir_proto::MAX_SINGLE_BYTES), prompt(4, 100)];
    let request = spans(sent.to_vec());
    let mut client = TraceServiceClient::new(rig.channel().await).send_compressed(CompressionEncoding::Gzip);
    let partial = client.export(request).await.unwrap().into_inner().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    let told = partial.error_message;
    assert!(told.starts_with("1 too large: ") && told.contains("16777216 that otlp_spans takes"), "{told}");
    let read = rig.messages(Signal::Traces).await.into_iter();
    let read: Vec<_> = read
        .flat_map(|message| ExportTraceServiceRequest::decode(message.value).unwrap().resource_spans)
        .map(|mut resource| resource.scope_spans.remove(0).spans)
        .collect();
    assert!(read == [vec![sent[0].clone()], vec![sent[1].clone(), sent[3].clone()]], "other spans came");

    // As large as it may be: the span, with its resource.
    let mut largest = prompt(5, weir_proto::MAX_SINGLE_BYTES - 1050);
    largest.name = "x".repeat(900);
    let answer = rig.post("/v1/traces", &[("content-type", PROTOBUF)], &spans(vec![largest]).encode_to_vec()).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0), "{answer:?}");
    assert!(rig.messages(Signal::Traces).await.iter().any(|message| message.value.len() > (16 << 20) - 200));
}

#[tokio::test]
async fn a_large_record_for_a_topic_of_which_nothing_is_known_is_to_be_sent_again() {
    let (folder, nowhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let brokers = Some("127.0.0.1:1".to_owned());
    let options = weir_bus::Options { broker: weir_bus::Broker::Kafka, brokers, ..weir_bus::Options::default() };
    let away = Bus::open(&options, nowhere.path()).await.unwrap();
    let spool = spool(folder.path(), 64 << 20).await;
    let meter = opentelemetry::global::meter("test");
    let tenants = Tenants::new(&TenantOptions::default(), Auth::off());
    let store = Store::new(away.producer().unwrap(), Some(spool.clone()), &meter);
    store.gate().set_open(false);
    let intake = Intake::new(store, tenants.clone(), Budget::new(MAX_IN_FLIGHT, MAX_BODY), &meter);
    let take = async |bytes| {
        let body = spans(vec![prompt(1, bytes)]).encode_to_vec().into();
        let (signal, encoding, tenants) = (Signal::Traces, Encoding::Identity, tenants.clone());
        intake.take(Sent { signal, encoding, json: false, body, tenants, share: intake.enter().await.unwrap() }).await
    };
    let refusal = take(2_000_000).await.unwrap_err();
    assert!(matches!(refusal, Refusal::LimitUnknown(_)) && refusal.http_status() == 503, "{refusal}");
    assert!(refusal.http(false).headers().contains_key("retry-after"));
    take(500_000).await.unwrap();
    assert_eq!(spool.status().records, 1);
}

#[tokio::test]
async fn bad_requests_over_http_are_told_what_is_wrong() {
    let rig = start().await;
    let good = two_services().encode_to_vec();
    let bomb = gzip(&vec![0; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let deep = format!(r#"{{"resourceLogs":{}"#, "[".repeat(100_000)).into_bytes();
    let cases: [(u16, &str, &str, &[u8]); 11] = [
        (400, PROTOBUF, "identity", &good[..good.len() - 3]),
        (400, PROTOBUF, "identity", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        (400, PROTOBUF, "gzip", &good),
        (400, PROTOBUF, "zstd", &good),
        (400, JSON, "identity", b"{\"resourceLogs\": 5}"),
        (400, JSON, "identity", b""),
        (400, JSON, "identity", &deep),
        (413, PROTOBUF, "gzip", &bomb),
        (413, JSON, "gzip", &bomb),
        (415, "text/plain", "identity", &good),
        (415, PROTOBUF, "br", &good),
    ];
    for (status, kind, encoding, body) in cases {
        let answer = rig.post("/v1/logs", &[("content-type", kind), ("content-encoding", encoding)], body).await;
        assert_eq!(answer.status, status, "{kind} {encoding}: {answer:?}");
        let (code, message) = if kind == PROTOBUF {
            let said = RpcStatus::decode(answer.body).unwrap();
            (i64::from(said.code), said.message)
        } else {
            let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            (said["code"].as_i64().unwrap(), said["message"].as_str().unwrap().to_owned())
        };
        assert!(code > 0 && !message.is_empty());
        assert!(!answer.head.contains("retry-after"), "{}", answer.head);
    }
    let large = vec![0; 4 * MAX_BODY];
    assert_eq!(rig.post("/v1/logs", &[("content-type", PROTOBUF)], &large).await.status, 413, "though it sends it all");
    let length = format!(
        "POST /v1/logs HTTP/1.1\r\nhost: w\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {}\r\n\r\n",
        MAX_BODY + 1
    );
    assert_eq!(rig.raw(length.as_bytes()).await.status, 413);
    assert_eq!(rig.raw(b"GET /v1/logs HTTP/1.1\r\nhost: w\r\nconnection: close\r\n\r\n").await.status, 405);
    assert_eq!(rig.post("/v1/other", &[("content-type", JSON)], b"{}").await.status, 404);
    assert!(rig.logs().await.is_empty(), "nothing of it is on the bus");
    let answer = rig.post("/v1/logs", &[("content-type", PROTOBUF)], &good).await;
    assert_eq!(answer.status, 200, "and the server is well");
}

#[tokio::test]
async fn empty_requests_and_every_way_to_write_a_content_type_are_taken() {
    let rig = start().await;
    for (kind, body) in [
        (PROTOBUF, &b""[..]),
        ("application/protobuf", b""),
        ("Application/X-Protobuf; messageType=\"x\"", b""),
        (JSON, br#"{"resourceLogs": []}"#),
        ("application/json;charset=UTF-8", br#"{"resourceLogs": []}"#),
        // Fields that this version of OTLP does not have yet, beside an empty list and as protobuf field 99.
        (JSON, br#"{"resourceLogs": [], "newField": {"deep": [1]}}"#),
        (PROTOBUF, b"\x9a\x06\x03new"),
    ] {
        let answer = rig.post("/v1/logs", &[("content-type", kind)], body).await;
        assert_eq!(answer.status, 200, "{kind}: {answer:?}");
    }
    rig.call(Signal::Logs.grpc_path(), None, Vec::new()).await.unwrap();
    assert!(rig.logs().await.is_empty());
    for (kind, is_grpc) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc; charset=utf-8", true),
        ("Application/gRPC+proto;x=y", true),
        ("application/grpc-web", false),
        ("application/grpc+json", false),
        (JSON, false),
    ] {
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, kind.parse().unwrap());
        assert_eq!(crate::otlp::grpc::is_grpc(&headers), is_grpc, "{kind}");
    }
}

#[tokio::test]
async fn a_body_that_grows_past_the_limit_without_saying_so_is_refused() {
    let rig = start().await;
    let mut request =
        format!("POST /v1/logs HTTP/1.1\r\nhost: w\r\ncontent-type: {PROTOBUF}\r\ntransfer-encoding: chunked\r\n\r\n")
            .into_bytes();
    // One byte more than is taken, and the end left out: nothing stays unread on either side.
    for size in [MAX_BODY, 1] {
        request.extend_from_slice(format!("{size:x}\r\n").as_bytes());
        request.resize(request.len() + size, 0);
        request.extend_from_slice(b"\r\n");
    }
    assert_eq!(rig.raw(&request).await.status, 413);
}

#[tokio::test]
async fn bad_requests_over_grpc_get_the_codes_that_otlp_knows() {
    let rig = start().await;
    let good = two_services().encode_to_vec();
    let path = Signal::Logs.grpc_path();
    let cases: [(Code, Option<CompressionEncoding>, Vec<u8>); 4] = [
        (Code::InvalidArgument, None, good[..good.len() - 3].to_vec()),
        (Code::InvalidArgument, None, vec![0xff; 100]),
        (Code::ResourceExhausted, Some(CompressionEncoding::Gzip), vec![0; 64 << 20]),
        (Code::ResourceExhausted, None, vec![0; MAX_BODY + 1]),
    ];
    for (code, packed, body) in cases {
        let status = rig.call(path, packed, body).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.details().is_empty(), "no RetryInfo: it would be refused again");
    }
    let unknown = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
    assert_eq!(rig.call(unknown, None, good.clone()).await.unwrap_err().code(), Code::Unimplemented);
    assert!(rig.logs().await.is_empty());
    rig.call(path, Some(CompressionEncoding::Gzip), good).await.unwrap();
    assert_two_services(&rig.logs().await);
}

#[tokio::test]
async fn without_room_the_sender_is_told_when_to_try_again() {
    let rig = start_with(20).await;
    let good = two_services().encode_to_vec();
    let answer = rig.post("/v1/logs", &[("content-type", PROTOBUF)], &good).await;
    assert!(answer.status == 429 && answer.head.contains("retry-after: 1"), "{answer:?}");
    let status = rig.call(Signal::Logs.grpc_path(), None, good).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = RpcStatus::decode(status.details()).unwrap().details;
    assert_eq!(details[0].type_url, "type.googleapis.com/google.rpc.RetryInfo");
    assert_eq!(RetryInfo::decode(&*details[0].value).unwrap().retry_delay.unwrap().seconds, 1);
}

#[tokio::test]
async fn while_the_bus_is_away_the_sender_is_told_to_try_again() {
    let rig = start().await;
    rig.gate.set_open(false);
    let good = two_services().encode_to_vec();
    let answer = rig.post("/v1/logs", &[("content-type", PROTOBUF)], &good).await;
    assert!(answer.status == 503 && answer.head.contains("retry-after: 1"), "{answer:?}");
    let status = rig.call(Signal::Logs.grpc_path(), None, good.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(rig.logs().await.is_empty());
    rig.gate.set_open(true);
    rig.call(Signal::Logs.grpc_path(), None, good).await.unwrap();
}

/// A spool before a bus that is never there; nothing listens at port 1.
async fn spool(folder: &std::path::Path, limit: u64) -> Spool {
    let brokers = Some("127.0.0.1:1".to_owned());
    let options = weir_bus::Options { broker: weir_bus::Broker::Kafka, brokers, ..weir_bus::Options::default() };
    let bus = Bus::open(&options, folder).await.unwrap();
    Spool::open(&bus, folder, Some(limit)).await.unwrap().unwrap()
}

#[tokio::test]
async fn while_the_bus_is_away_exports_go_to_the_spool_and_then_to_the_bus_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path(), 1 << 20).await;
    let rig = start_before(MAX_IN_FLIGHT, Some(spool.clone())).await;
    rig.gate.set_open(false);
    for number in 0..30 {
        let request = logs(vec![(&[("service.name", "ocr")], vec![line(&number.to_string())])]);
        rig.call(Signal::Logs.grpc_path(), None, request.encode_to_vec()).await.unwrap();
    }
    assert!(rig.logs().await.is_empty());
    assert_eq!(spool.status().records, 30);
    rig.gate.set_open(true);
    let request = logs(vec![(&[("service.name", "ocr")], vec![line("30")])]);
    rig.call(Signal::Logs.grpc_path(), None, request.encode_to_vec()).await.unwrap();
    while !spool.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let came: Vec<_> = rig.logs().await.iter().flat_map(bodies).collect();
    assert_eq!(came, (0..=30).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_full_spool_says_when_to_try_again_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path(), 2_000).await;
    let rig = start_before(MAX_IN_FLIGHT, Some(spool.clone())).await;
    rig.gate.set_open(false);
    let good = two_services().encode_to_vec();
    let mut taken = 0;
    let answer = loop {
        let answer = rig.post("/v1/logs", &[("content-type", PROTOBUF)], &good).await;
        if answer.status != 200 {
            break answer;
        }
        taken += 1;
        assert!(taken < 100);
    };
    assert!(answer.status == 429 && answer.head.contains("retry-after: 5"), "{answer:?}");
    let status = rig.call(Signal::Logs.grpc_path(), None, good).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(!RpcStatus::decode(status.details()).unwrap().details.is_empty());
    assert!(taken > 0 && spool.status().is_full);
    rig.gate.set_open(true);
    while !spool.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(rig.logs().await.len(), 2 * taken);
}

#[tokio::test]
async fn a_bus_that_does_not_answer_leaves_what_is_on_its_way_to_the_spool() {
    let (folder, nowhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let brokers = Some("127.0.0.1:1".to_owned());
    let options = weir_bus::Options { broker: weir_bus::Broker::Kafka, brokers, ..weir_bus::Options::default() };
    let away = Bus::open(&options, nowhere.path()).await.unwrap();
    let spool = spool(folder.path(), 1 << 20).await;
    let store = Store::new(away.producer().unwrap(), Some(spool.clone()), &opentelemetry::global::meter("test"));
    let record = |value: &'static str| weir_bus::Record {
        topic: "otlp_logs".into(),
        value: value.into(),
        ..weir_bus::Record::default()
    };
    store.put(vec![record("one"), record("two")]).await.unwrap();
    assert_eq!(spool.status().records, 2);
    // Behind them at once, without waiting for the bus again.
    store.put(vec![record("three")]).await.unwrap();
    assert_eq!(spool.status().records, 3);
}

#[test]
fn a_record_that_the_bus_never_takes_is_not_to_be_sent_again() {
    let refusal = Refusal::from(weir_bus::Error::TooLarge { topic: "t".to_owned(), bytes: 1 });
    assert_eq!((refusal.http_status().as_u16(), refusal.code()), (400, Code::InvalidArgument));
    assert!(!refusal.http(false).headers().contains_key("retry-after"));
}

#[test]
fn a_bus_that_does_not_take_it_may_be_tried_again() {
    for refusal in [Refusal::Bus(weir_bus::Error::Closed), Refusal::Late] {
        assert_eq!((refusal.http_status().as_u16(), refusal.code()), (503, Code::Unavailable));
        assert!(refusal.http(false).headers().contains_key("retry-after"));
        assert!(refusal.grpc().headers().contains_key("grpc-status-details-bin"));
    }
}

#[tokio::test]
async fn a_budget_comes_back_when_requests_are_over() {
    let good = two_services().encode_to_vec();
    let rig = start_with(3 * good.len()).await;
    for _ in 0..5 {
        assert_eq!(rig.post("/v1/logs", &[("content-type", PROTOBUF)], &good).await.status, 200);
        assert_eq!(rig.post("/v1/logs", &[("content-type", PROTOBUF)], &good[..20]).await.status, 400);
    }
}

#[tokio::test]
async fn a_cancelled_server_ends_and_frees_its_ports() {
    let rig = start().await;
    let mut client = LogsServiceClient::new(rig.channel().await);
    client.export(two_services()).await.unwrap();
    rig.shutdown.cancel();
    rig.running.await.unwrap().unwrap();
    assert!(client.export(two_services()).await.is_err());
    tokio::net::TcpListener::bind(rig.http).await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_named_and_null_listens_nowhere() {
    let rig = start().await;
    let meter = opentelemetry::global::meter("test");
    let tenant = TenantOptions::default();
    let options = OtlpOptions { grpc: None, http: Some(rig.http), ..OtlpOptions::default() };
    let error =
        Server::bind(&options, &tenant, rig.bus.producer().unwrap(), None, Auth::off(), &meter).await.unwrap_err();
    assert_eq!(error.to_string(), format!("collector.otlp.http: cannot listen on {}", rig.http));

    let options = OtlpOptions { grpc: None, http: LOCAL, ..OtlpOptions::default() };
    let server = Server::bind(&options, &tenant, rig.bus.producer().unwrap(), None, Auth::off(), &meter).await.unwrap();
    assert!(server.grpc_addr().is_none() && server.http_addr().is_some_and(|address| address.port() != 0));
}

/// Counts spans.
struct Counting(Arc<AtomicUsize>);

impl tracing::Subscriber for Counting {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        if span.metadata().name() == "otlp_export" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn weirs_own_telemetry_is_not_traced() {
    let spans = Arc::new(AtomicUsize::new(0));
    let _guard = tracing::subscriber::set_default(Counting(spans.clone()));
    // Threads without a subscriber may have been asked first, and said that nobody wants these spans.
    drop(crate::otlp::span(Signal::Logs, "http", false));
    tracing::callsite::rebuild_interest_cache();
    spans.store(0, Ordering::Relaxed);
    let rig = start().await;
    let own = |mut request: Request<ExportLogsServiceRequest>| {
        request.metadata_mut().insert("weir-telemetry", "self".parse().unwrap());
        request
    };
    let mut client = LogsServiceClient::new(rig.channel().await);
    client.export(own(Request::new(two_services()))).await.unwrap();
    let body = two_services().encode_to_vec();
    rig.post("/v1/logs", &[("content-type", PROTOBUF), ("weir-telemetry", "self")], &body).await;
    assert_eq!(spans.load(Ordering::Relaxed), 0);
    client.export(two_services()).await.unwrap();
    assert_eq!(spans.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_that_are_announced_and_do_not_come_leave_room_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
    let meter = opentelemetry::global::meter("test");
    let options = OtlpOptions { grpc: LOCAL, http: LOCAL, ..OtlpOptions::default() };
    let server = Server::bind(&options, &TenantOptions::default(), bus.producer().unwrap(), None, Auth::off(), &meter)
        .await
        .unwrap();
    let limits = LimitOptions { memory: Some(Size(448 << 20)), cpu: None };
    let server = server.within(&Limits::new(&limits, &meter));
    let (grpc, http) = (server.grpc_addr().unwrap(), server.http_addr().unwrap());
    let (gate, shutdown) = (server.gate(), tokio_util::sync::CancellationToken::new());
    let running = tokio::spawn(server.run(shutdown.clone()));
    let rig = Rig { bus, grpc, http, gate, shutdown, running, _folder: folder };
    let mut silent = Vec::new();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(rig.http).await.unwrap();
        let head = "POST /v1/logs HTTP/1.1\r\nhost: weir\r\ncontent-type: application/json\r\n\
                    content-encoding: gzip\r\ncontent-length: 3300000\r\n\r\n{";
        stream.write_all(head.as_bytes()).await.unwrap();
        silent.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = rig.post("/v1/logs", &[("content-type", PROTOBUF)], &two_services().encode_to_vec()).await;
    assert_eq!(answer.status, 200);
}
