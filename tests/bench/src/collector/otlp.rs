//! OTLP over gRPC, from the socket to a bus that keeps nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use tokio_util::sync::CancellationToken;
use weir::load::lines::Line;
use weir_bus::Bus;
use weir_collector::options::{OtlpOptions, TenantOptions};
use weir_collector::otlp::Server;
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::collector::logs::v1::logs_service_client::LogsServiceClient;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, KeyValue};
use weir_proto::otlp::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use weir_proto::otlp::resource::v1::Resource;
use weir_service::auth::Auth;
use weir_service::telemetry::Telemetry;

use super::{null, start_feed};
use crate::{Ready, Work};

/// Log records of a request.
const RECORDS: usize = 1_000;
/// Connections, each with one request at a time.
const SENDERS: usize = 4;

fn requests(smoke: bool) -> usize {
    if smoke { 10 } else { 2_500 }
}

/// Log records of 159 bytes of text with three attributes and ids, a thousand to a request.
pub(crate) fn passthrough(smoke: bool) -> anyhow::Result<Ready> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let bus = runtime.block_on(Bus::open(&null(), folder.path()))?;
    let options = OtlpOptions {
        grpc: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)),
        http: None,
        ..OtlpOptions::default()
    };
    let meter = Telemetry::detached()?.meter();
    let tenant = TenantOptions::default();
    let server = Server::bind(&options, &tenant, bus.producer()?, None, Auth::off(), &meter);
    let server = runtime.block_on(server)?;
    let address = server.grpc_addr().map(|address| format!("http://{address}")).unwrap_or_default();
    Ok(Box::new(move || {
        let stop = CancellationToken::new();
        let serving = runtime.spawn(server.run(stop.clone()));
        let status = start_feed("otlp-passthrough", &address, smoke)?.wait()?;
        // The sender fails where a request is not acknowledged.
        anyhow::ensure!(status.success(), "the sender failed");
        stop.cancel();
        runtime.block_on(serving)??;
        let sent = (SENDERS * requests(smoke)) as u64;
        let bytes = sent * prost::Message::encoded_len(&request()) as u64;
        Ok(Work { records: sent * RECORDS as u64, bytes, more: serde_json::Map::new() })
    }))
}

/// Sends what [`passthrough`] takes.
pub(super) fn feed(address: &str, smoke: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut sending = tokio::task::JoinSet::new();
        for _ in 0..SENDERS {
            let address = address.to_owned();
            sending.spawn(async move {
                let mut client = LogsServiceClient::connect(address).await?;
                let request = request();
                for _ in 0..requests(smoke) {
                    let answer = client.export(request.clone()).await?.into_inner();
                    anyhow::ensure!(answer.partial_success.is_none(), "{answer:?}");
                }
                Ok(())
            });
        }
        while let Some(sent) = sending.join_next().await {
            sent??;
        }
        Ok(())
    })
}

fn request() -> ExportLogsServiceRequest {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let text = |text: &str| Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) });
    let pair = |key: &str, value: &str| KeyValue { key: key.to_owned(), value: text(value), ..KeyValue::default() };
    let log_records = (0..RECORDS).map(|n| LogRecord {
        time_unix_nano: 1_767_323_045_000_000_000 + n as u64,
        observed_time_unix_nano: 1_767_323_045_000_000_000,
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        body: text(&Line::generate(&mut rng, n, n as u64, 159).text),
        attributes: vec![pair("thread.name", "worker-1"), pair("user.id", "42"), pair("http.route", "/v1/ocr")],
        trace_id: vec![7; 16],
        span_id: vec![7; 8],
        ..LogRecord::default()
    });
    let scope_logs = vec![ScopeLogs { log_records: log_records.collect(), ..ScopeLogs::default() }];
    let attributes = vec![pair("service.name", "ocr"), pair("k8s.namespace.name", "acme"), pair("host.name", "node-1")];
    let resource = Some(Resource { attributes, ..Resource::default() });
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }] }
}
