//! How long an autoscaler waits for its answer: KEDA over gRPC, and a HorizontalPodAutoscaler's request as kube-apiserver
//! passes it on, over TLS and with an access review each, which a server beside answers. And how long after the answer to a
//! question has passed a threshold it is pushed on KEDA's stream.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use prost::Message as _;
use reqwest::{Certificate, Client, Identity};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::Channel;
use weir_alerter::{Alerter, Handle, Options};
use weir_bus::{Bus, Record};
use weir_proto::externalscaler::external_scaler_client::ExternalScalerClient;
use weir_proto::externalscaler::{GetMetricsRequest, IsActiveResponse, ScaledObjectRef};
use weir_proto::otlp::trace::v1::{Span, span::SpanKind};
use weir_proto::topic;
use weir_service::Context;
use weir_service::auth::Auth;
use weir_service::health::Health;
use weir_service::telemetry::Telemetry;
use weir_tests::certificates::Authority;
use weir_tests::kubernetes::{ApiServer, FRONT_PROXY};
use weir_tests::otlp::spans_of;
use weir_tests::until;

use crate::{Ready, Work};

/// Seconds of calls that there are.
const SECONDS: u64 = 120;
const QUERY: &str = "histogram_quantile(0.99, sum(rate(weir_call_duration_seconds{service=\"ocr\"}[10m])))";
/// Above 0 for five seconds of event time after a call.
const PUSHED: &str = "sum(increase(weir_calls_total{service=\"push\"}[5s])) or vector(0)";
const USER: &str = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";

/// One caller that asks again when it is answered, for the P99 of all interfaces of a service.
pub(crate) fn scaling(smoke: bool) -> anyhow::Result<Ready> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let (requests, interfaces, pushes) = if smoke { (50, 10, 1) } else { (5_000, 100, 20) };
    let site = runtime.block_on(Site::start(folder.path(), interfaces))?;
    Ok(Box::new(move || {
        let work = runtime.block_on(site.measure(requests, interfaces, pushes));
        runtime.shutdown_background();
        drop(folder);
        work
    }))
}

struct Site {
    bus: Bus,
    scaler: ExternalScalerClient<Channel>,
    client: Client,
    url: String,
    stop: CancellationToken,
}

impl Site {
    async fn start(folder: &Path, interfaces: u64) -> anyhow::Result<Self> {
        let (server, proxy) = (Authority::new("weir")?, Authority::new("front-proxy")?);
        server.issue("weir", &["127.0.0.1"])?.write(folder, "server")?;
        let api = ApiServer::start(proxy.pem(), USER).await?;
        api.kubeconfig(&folder.join("kubeconfig"))?;
        let options: Options = serde_json::from_value(json!({
            "keda": {"grpc": "127.0.0.1:0"},
            "external_metrics": {
                "listen": "127.0.0.1:0",
                "tls": {"cert": folder.join("server.crt"), "key": folder.join("server.key")},
                "kubeconfig": folder.join("kubeconfig"),
                "metrics": [{"name": "p99", "query": QUERY}],
            },
        }))?;
        let context = Context {
            data_dir: folder.to_owned(),
            meter: Telemetry::detached()?.meter(),
            health: Health::default(),
            auth: Auth::off(),
        };
        let bus = Bus::open(&weir_bus::Options::default(), folder).await?;
        let room = Alerter::open(options, context, bus.clone()).await?;
        let (handle, stop): (Handle, _) = (room.handle(), CancellationToken::new());
        tokio::spawn(room.run(stop.clone()));
        feed(&bus, interfaces).await?;
        let scaler = ExternalScalerClient::connect(handle.keda_grpc().context("keda")?).await?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let own = proxy.issue(FRONT_PROXY, &[])?;
        let client = Client::builder()
            .tls_certs_only([Certificate::from_pem(server.pem().as_bytes())?])
            .identity(Identity::from_pem(format!("{}{}", own.cert, own.key).as_bytes())?)
            .timeout(Duration::from_secs(20))
            .build()?;
        let url = format!("{}/apis/external.metrics.k8s.io/v1beta1", handle.external_metrics().context("external")?);
        let site = Self { bus, scaler, client, url, stop };
        // Until event time has come here and the front proxy is known.
        let answered = until(Duration::from_mins(1), || async {
            let keda = site.keda(QUERY).await.ok()?;
            (site.kube(0).await.is_ok() && keda > 0.0).then_some(())
        });
        answered.await.context("no answer within a minute")?;
        Ok(site)
    }

    async fn keda(&self, query: &str) -> anyhow::Result<f64> {
        let request = GetMetricsRequest { scaled_object_ref: Some(reference(query)), metric_name: "p99".to_owned() };
        let answer = self.scaler.clone().get_metrics(request).await?.into_inner();
        Ok(answer.metric_values.first().context("no value")?.metric_value_float)
    }

    /// Makes a call, and measures from when a question is answered with it until it is pushed; and waits until it is over.
    async fn push(&self, stream: &mut Streaming<IsActiveResponse>) -> anyhow::Result<Duration> {
        let now = weir_service::time::now_unix_nano() as u64;
        let span = Span {
            trace_id: rand::random::<[u8; 16]>().to_vec(),
            span_id: rand::random::<[u8; 8]>().to_vec(),
            name: "POST /push".to_owned(),
            kind: SpanKind::Server as i32,
            start_time_unix_nano: now - 1_000_000,
            end_time_unix_nano: now,
            ..Span::default()
        };
        let value = spans_of("acme", "push", vec![span]).encode_to_vec().into();
        let record = Record { topic: topic::SPANS.into(), value, ..Record::default() };
        self.bus.producer()?.send(record).await?.await?;
        let passes = async {
            while self.keda(PUSHED).await? == 0.0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            anyhow::Ok(Instant::now())
        };
        let pushed = async {
            anyhow::ensure!(stream.message().await?.context("the stream ended")?.result, "not active");
            Ok(Instant::now())
        };
        let (passed, pushed) = tokio::try_join!(passes, pushed)?;
        anyhow::ensure!(!stream.message().await?.context("the stream ended")?.result, "active still");
        Ok(pushed.saturating_duration_since(passed))
    }

    /// Of a namespace of its own, so that no access review is remembered.
    async fn kube(&self, n: usize) -> anyhow::Result<()> {
        let url = format!("{}/namespaces/n-{n}/p99", self.url);
        let answer = self.client.get(url).header("x-remote-user", USER).send().await?;
        let answer: Value = serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?;
        anyhow::ensure!(answer["items"][0]["value"].is_string(), "{answer}");
        Ok(())
    }

    async fn measure(self, requests: usize, interfaces: u64, pushes: usize) -> anyhow::Result<Work> {
        let (mut keda, mut kube, mut push) = (Vec::new(), Vec::new(), Vec::new());
        let mut stream = self.scaler.clone().stream_is_active(reference(PUSHED)).await?.into_inner();
        anyhow::ensure!(!stream.message().await?.context("the stream ended")?.result, "active at its beginning");
        for _ in 0..pushes {
            push.push(self.push(&mut stream).await?);
        }
        for n in 1..=requests {
            let began = Instant::now();
            self.keda(QUERY).await?;
            keda.push(began.elapsed());
            let began = Instant::now();
            self.kube(n).await?;
            kube.push(began.elapsed());
        }
        self.stop.cancel();
        let mut more = serde_json::Map::new();
        more.insert("interfaces".to_owned(), json!(interfaces));
        for (name, mut times) in [("keda", keda), ("hpa", kube), ("push", push)] {
            times.sort_unstable();
            for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
                let time = times[((times.len() - 1) as f64 * share) as usize];
                more.insert(format!("{name}_{quantile}_ms"), json!((time.as_secs_f64() * 1e6).round() / 1e3));
            }
        }
        Ok(Work { records: 2 * requests as u64, bytes: 0, more })
    }
}

/// A trigger with this query.
fn reference(query: &str) -> ScaledObjectRef {
    let metadata = [("query", query), ("target", "0.8")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    ScaledObjectRef { name: "ocr".to_owned(), namespace: "team-a".to_owned(), scaler_metadata: metadata.into() }
}

/// Five calls a second of each interface, in the last minutes.
async fn feed(bus: &Bus, interfaces: u64) -> anyhow::Result<()> {
    let producer = bus.producer()?;
    let now = weir_service::time::now_unix_nano() as u64;
    for second in 0..SECONDS {
        let spans = (0..interfaces * 5).map(|n| Span {
            trace_id: rand::random::<[u8; 16]>().to_vec(),
            span_id: rand::random::<[u8; 8]>().to_vec(),
            name: format!("POST /v1/{}", n % interfaces),
            kind: SpanKind::Server as i32,
            start_time_unix_nano: now - second * 1_000_000_000 - (n + 1) * 1_000_000,
            end_time_unix_nano: now - second * 1_000_000_000,
            ..Span::default()
        });
        let value = spans_of("acme", "ocr", spans.collect()).encode_to_vec().into();
        let record = Record { topic: topic::SPANS.into(), value, ..Record::default() };
        producer.send(record).await?.await?;
    }
    Ok(())
}
