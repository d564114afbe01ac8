//! What it costs to ask who asks: the same requests for log lines over kept connections, with tokens and without.
//!
//! CPU seconds hold the client too, which writes the same bytes each time and reads no more than lengths.

use std::sync::Arc;

use anyhow::Context as _;
use prost::Message as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_bus::{Broker, Bus, Message, Partition};
use weir_indexer::Indexer;
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, KeyValue};
use weir_proto::otlp::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::topic;
use weir_service::Context;
use weir_service::audit::Audit;
use weir_service::auth::{self, Auth, Role, tokens};
use weir_service::health::Health;
use weir_service::http::Server;

use crate::{Ready, Work};

/// Connections at once.
const CONNECTIONS: usize = 4;
const REQUESTS: usize = 20_000;
/// Tokens of the file; each connection uses one of them.
const TOKENS: usize = 100;

/// Nobody is asked.
pub(crate) fn without(smoke: bool) -> anyhow::Result<Ready> {
    prepare(smoke, false)
}

/// Each request shows a token, and leaves an audit record.
pub(crate) fn with_tokens(smoke: bool) -> anyhow::Result<Ready> {
    prepare(smoke, true)
}

fn prepare(smoke: bool, asked: bool) -> anyhow::Result<Ready> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let requests = if smoke { REQUESTS / 20 } else { REQUESTS };
    let file = folder.path().join("tokens.yaml");
    let made = if asked { TOKENS } else { 0 };
    let make = |n| tokens::add(&file, &format!("t{n}"), Role::Viewer, &["acme".to_owned()], None);
    let tokens = (0..made).map(make).collect::<Result<Vec<_>, _>>()?;
    let meter = opentelemetry::global::meter("bench");
    let auth = if asked {
        let options = auth::Options { tokens: Some(file), ..auth::Options::default() };
        Auth::open(&options, folder.path(), &meter)?
    } else {
        Auth::off()
    };
    let stop = CancellationToken::new();
    let address = runtime.block_on(async {
        let options = weir_bus::Options { broker: Broker::Null, ..weir_bus::Options::default() };
        let bus = Bus::open(&options, folder.path()).await?;
        let context = Context {
            data_dir: folder.path().to_owned(),
            meter: meter.clone(),
            health: Health::default(),
            auth: auth.clone(),
        };
        let indexer = Indexer::open(weir_indexer::Options::default(), context, bus).await?;
        indexer.handle().logs().ingest(&[lines()]);
        let bound = Server::bind("127.0.0.1:0", false).await?;
        let address = bound.address();
        let (audit, mut entries) = Audit::new(&meter);
        tokio::spawn(async move { while entries.recv().await.is_some() {} });
        let server = bound.routes(indexer.handle().routes()).auth(auth).audit(audit);
        tokio::spawn(server.serve(stop.clone()));
        anyhow::Ok(address)
    })?;
    Ok(Box::new(move || {
        let bytes = runtime.block_on(async {
            let mut callers = JoinSet::new();
            for n in 0..CONNECTIONS {
                let token = tokens.get(n * 7).map(|token| format!("authorization: Bearer {token}\r\n"));
                let path = "/api/v1/logs/search?query=line&limit=10";
                let head = token.unwrap_or_default();
                let request: Arc<str> = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{head}\r\n").into();
                callers.spawn(async move { call(TcpStream::connect(address).await?, &request, requests).await });
            }
            let mut bytes = 0;
            while let Some(done) = callers.join_next().await {
                bytes += done??;
            }
            anyhow::Ok(bytes)
        })?;
        stop.cancel();
        runtime.shutdown_background();
        drop(folder);
        Ok(Work { records: (CONNECTIONS * requests) as u64, bytes, more: serde_json::Map::new() })
    }))
}

/// Sends a request again and again; the bytes of the answers.
async fn call(stream: TcpStream, request: &str, times: usize) -> anyhow::Result<u64> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let (mut line, mut body, mut bytes) = (String::new(), Vec::new(), 0);
    for _ in 0..times {
        stream.get_mut().write_all(request.as_bytes()).await?;
        let mut length = 0;
        line.clear();
        stream.read_line(&mut line).await?;
        anyhow::ensure!(line.starts_with("HTTP/1.1 200"), "the answer is {line}");
        loop {
            line.clear();
            stream.read_line(&mut line).await?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().context("no length")?;
            }
        }
        body.resize(length, 0);
        stream.read_exact(&mut body).await?;
        bytes += length as u64;
    }
    Ok(bytes)
}

/// A hundred lines of `acme`.
fn lines() -> Message {
    let text = |text: String| Some(AnyValue { value: Some(Value::StringValue(text)) });
    let pair = |key: &str, value: &str| KeyValue { key: key.into(), value: text(value.into()), ..KeyValue::default() };
    let record = |n: u64| LogRecord {
        time_unix_nano: 1_700_000_000_000_000_000 + n,
        body: text(format!("line {n} of a service that answers")),
        ..LogRecord::default()
    };
    let scope_logs = vec![ScopeLogs { log_records: (0..100).map(record).collect(), ..ScopeLogs::default() }];
    let attributes = vec![pair("weir.tenant", "acme"), pair("service.name", "ocr")];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let resource_logs = vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }];
    Message {
        partition: Partition::new(topic::LOGS, 0),
        offset: 0,
        key: None,
        value: ExportLogsServiceRequest { resource_logs }.encode_to_vec().into(),
        headers: Vec::new(),
        timestamp_ms: 1_700_000_000_000,
    }
}
