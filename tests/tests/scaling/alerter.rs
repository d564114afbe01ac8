//! An alerter whose event time a test holds and lets go on, and a client of its external scaler.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use prost::Message as _;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use weir_alerter::Alerter;
use weir_bus::{Bus, Record};
use weir_proto::externalscaler::external_scaler_client::ExternalScalerClient;
use weir_proto::externalscaler::{GetMetricsRequest, IsActiveResponse, ScaledObjectRef};
use weir_proto::otlp::trace::v1::Span;
use weir_proto::{topic, v1};
use weir_service::Context;
use weir_service::auth::Auth;
use weir_service::health::Health;
use weir_service::http::Server;
use weir_service::telemetry::Telemetry;
use weir_tests::otlp::spans_of;
use weir_tests::{Api, until};

use super::PATIENCE;

/// A trigger of the ScaledObject `team-a/ocr`.
pub(super) fn reference(query: &str, target: &str, activation: Option<&str>) -> ScaledObjectRef {
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let mut metadata: HashMap<_, _> = [("query", query), ("target", target)].map(own).into_iter().collect();
    metadata.extend(activation.map(|activation| own(("activationTarget", activation))));
    ScaledObjectRef { name: "ocr".to_owned(), namespace: "team-a".to_owned(), scaler_metadata: metadata }
}

pub(super) fn metrics(asked: &ScaledObjectRef) -> GetMetricsRequest {
    GetMetricsRequest { scaled_object_ref: Some(asked.clone()), metric_name: "calls".to_owned() }
}

/// Says how far a collector is, several times a second, whatever a test does meanwhile.
#[derive(Default)]
struct Collector {
    is_held: AtomicBool,
    said: AtomicU64,
    /// Offset behind the spans of the one partition.
    end: AtomicU64,
}

pub(super) struct Rig {
    pub(super) client: ExternalScalerClient<Channel>,
    api: Api,
    bus: Bus,
    collector: Arc<Collector>,
    stop: CancellationToken,
    alerter: JoinHandle<()>,
    ids: u64,
    _folder: tempfile::TempDir,
}

impl Rig {
    /// With these keys of `alerter`.
    pub(super) async fn start(options: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bus = weir_bus::Options { partitions: 1, ..weir_bus::Options::default() };
        let bus = Bus::open(&bus, folder.path()).await.unwrap();
        let context = Context {
            data_dir: folder.path().to_owned(),
            meter: Telemetry::detached().unwrap().meter(),
            health: Health::default(),
            auth: Auth::off(),
        };
        let room = Alerter::open(serde_json::from_value(options).unwrap(), context, bus.clone()).await.unwrap();
        let handle = room.handle();
        let stop = CancellationToken::new();
        let bound = Server::bind("127.0.0.1:0", false).await.unwrap();
        let api = Api::new(&format!("http://{}", bound.address())).unwrap();
        tokio::spawn(bound.routes(handle.routes()).serve(stop.clone()));
        let running = stop.clone();
        let alerter = tokio::spawn(async move { room.run(running).await.unwrap() });
        let client = ExternalScalerClient::connect(handle.keda_grpc().unwrap()).await.unwrap();
        let collector = Arc::new(Collector::default());
        tokio::spawn(Arc::clone(&collector).say(bus.clone(), stop.clone()));
        Self { client, api, bus, collector, stop, alerter, ids: 0, _folder: folder }
    }

    /// Calls that end now, on the bus.
    pub(super) async fn calls(&mut self, count: u64) {
        let now = now();
        let spans = (0..count).map(|_| {
            self.ids += 1;
            Span {
                trace_id: u128::from(self.ids).to_be_bytes().to_vec(),
                span_id: self.ids.to_be_bytes().to_vec(),
                name: "POST /ocr".to_owned(),
                kind: 2,
                start_time_unix_nano: now - 1_000_000,
                end_time_unix_nano: now,
                ..Span::default()
            }
        });
        let value = spans_of("acme", "ocr", spans.collect()).encode_to_vec().into();
        let record = Record { topic: topic::SPANS.into(), value, ..Record::default() };
        self.bus.producer().unwrap().send(record).await.unwrap().await.unwrap();
        self.collector.end.fetch_add(1, Ordering::SeqCst);
    }

    /// The collector says no newer time from now on.
    pub(super) fn hold(&self) {
        self.collector.is_held.store(true, Ordering::SeqCst);
    }

    pub(super) fn go_on(&self) {
        self.collector.is_held.store(false, Ordering::SeqCst);
    }

    pub(super) async fn value(&mut self, asked: &ScaledObjectRef) -> Result<f64, Code> {
        let answer = self.client.get_metrics(metrics(asked)).await.map_err(|status| status.code())?.into_inner();
        assert_eq!(answer.metric_values.len(), 1, "{answer:?}");
        assert_eq!(answer.metric_values[0].metric_name, "calls");
        Ok(answer.metric_values[0].metric_value_float)
    }

    pub(super) async fn is_active(&mut self, asked: &ScaledObjectRef) -> Result<bool, Code> {
        let answer = self.client.is_active(asked.clone()).await.map_err(|status| status.code())?;
        Ok(answer.into_inner().result)
    }

    pub(super) async fn stream(&mut self, asked: &ScaledObjectRef) -> Result<Streaming<IsActiveResponse>, Code> {
        let answer = self.client.stream_is_active(asked.clone()).await.map_err(|status| status.code())?;
        Ok(answer.into_inner())
    }

    /// Waits until the value, or the error instead of it, is as it should be.
    pub(super) async fn until_asked(
        &mut self,
        asked: &ScaledObjectRef,
        what: &str,
        holds: impl Fn(&Result<f64, Code>) -> bool,
    ) {
        let mut last = Err(Code::Unknown);
        let end = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < end {
            last = self.value(asked).await;
            if holds(&last) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{what}: still {last:?}");
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let answer =
            until(PATIENCE, || async { self.api.get(path, &[]).await.ok().filter(|(status, _)| *status == 200) });
        answer.await.map_or(json!(null), |(_, body)| body)
    }

    pub(super) async fn stop(&mut self) {
        self.stop.cancel();
        (&mut self.alerter).await.unwrap();
    }
}

impl Collector {
    async fn say(self: Arc<Self>, bus: Bus, stop: CancellationToken) {
        let producer = bus.producer().unwrap();
        while !stop.is_cancelled() {
            // What ends from here on comes behind the time that is said.
            let end = self.end.load(Ordering::SeqCst);
            if !self.is_held.load(Ordering::SeqCst) {
                self.said.store(now(), Ordering::SeqCst);
            }
            let end =
                v1::PartitionEnd { topic: topic::SPANS.to_owned(), partition: 0, end_offset: end.try_into().unwrap() };
            let progress = v1::CollectorProgress {
                host: "node-1".to_owned(),
                at_unix_nano: now(),
                complete_unix_nano: self.said.load(Ordering::SeqCst),
                ends: vec![end],
                gone: false,
            };
            let value = progress.encode_to_vec().into();
            let record =
                Record { topic: topic::PROGRESS.into(), key: Some("collector-1".into()), value, ..Record::default() };
            producer.send(record).await.unwrap().await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn now() -> u64 {
    weir_service::time::now_unix_nano().try_into().unwrap()
}
