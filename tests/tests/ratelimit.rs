//! Limits that hold: a real Envoy in front of a small server, and a real Redis between instances.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use weir_proto::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use weir_proto::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use weir_proto::envoy::service::ratelimit::v3::RateLimitRequest;
use weir_proto::envoy::service::ratelimit::v3::rate_limit_response::Code;
use weir_proto::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use weir_service::Context;
use weir_service::auth::Auth;
use weir_service::health::Health;
use weir_service::telemetry::Telemetry;
use weir_tests::envoy::Envoy;
use weir_tests::redis::Redis;
use weir_tests::{Weir, skip, until};
use weir_usage::ratelimit::{Exhausted, Quotas, RateLimit, RateLimitOptions, StoreOptions, WithoutStore};

/// Of tenant acme, in a minute.
const LIMIT: usize = 7;
const PATIENCE: Duration = Duration::from_secs(20);

fn limits(unit: &str, requests: usize) -> String {
    let limit = json!({"unit": unit, "requests_per_unit": requests});
    json!({"domain": "gate", "descriptors": [{"key": "tenant", "value": "acme", "rate_limit": limit}]}).to_string()
}

/// Waits where the minute, or the second, would end within this time.
async fn same_window(unit: Duration, wanted: Duration) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let left = Duration::from_nanos((unit.as_nanos() - now.as_nanos() % unit.as_nanos()) as u64);
    if left < wanted {
        tokio::time::sleep(left + Duration::from_millis(20)).await;
    }
}

/// An Envoy that asks the service at `weir` about each call to `app`; `is_closed` is what its failure mode denies.
fn envoy(listen: u16, app: u16, weir: u16, is_closed: bool) -> Value {
    let at = |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    let cluster = |name: &str, port| {
        let endpoints = json!([{"lb_endpoints": [{"endpoint": {"address": at(port)}}]}]);
        json!({"name": name, "load_assignment": {"cluster_name": name, "endpoints": endpoints}})
    };
    let kind = |name: &str| format!("type.googleapis.com/envoy.extensions.{name}");
    let mut service = cluster("weir", weir);
    service["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": kind("upstreams.http.v3.HttpProtocolOptions"),
            "explicit_http_config": {"http2_protocol_options": {}},
        },
    });
    let actions = json!([{"request_headers": {"header_name": "x-tenant", "descriptor_key": "tenant"}}]);
    let route = json!({"match": {"prefix": "/"}, "route": {"cluster": "app", "rate_limits": [{"actions": actions}]}});
    let filters = json!([
        {"name": "envoy.filters.http.ratelimit", "typed_config": {
            "@type": kind("filters.http.ratelimit.v3.RateLimit"),
            "domain": "gate",
            "timeout": "1s",
            "failure_mode_deny": is_closed,
            "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
            "rate_limit_service": {
                "transport_api_version": "V3",
                "grpc_service": {"envoy_grpc": {"cluster_name": "weir"}},
            },
        }},
        {"name": "envoy.filters.http.router", "typed_config": {"@type": kind("filters.http.router.v3.Router")}},
    ]);
    let manager = json!({"name": "http", "typed_config": {
        "@type": kind("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "http",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": filters,
    }});
    json!({"static_resources": {
        "listeners": [{"address": at(listen), "filter_chains": [{"filters": [manager]}]}],
        "clusters": [cluster("app", app), service],
    }})
}

/// What is behind Envoy.
async fn app() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(|| async { "ok" })).await });
    port
}

struct Gate(Client, String);

impl Gate {
    /// Status and headers of a call.
    async fn call(&self, tenant: &str) -> (u16, reqwest::header::HeaderMap) {
        let answer = self.0.get(&self.1).header("x-tenant", tenant).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().clone())
    }

    async fn statuses(&self, tenant: &str, times: usize) -> Vec<u16> {
        let mut statuses = Vec::new();
        for _ in 0..times {
            statuses.push(self.call(tenant).await.0);
        }
        statuses
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_real_envoy_then_limits_hold_and_its_failure_mode_decides_without_weir() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("limits.yaml");
    std::fs::write(&file, limits("minute", LIMIT)).unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "collector": {"otlp": {"grpc": null, "http": null}, "host": null},
        "usage": {"ratelimit": {"grpc": "127.0.0.1:0", "limits": [file]}},
    });
    let mut weir = Weir::new("standalone", folder.path(), &config).unwrap();
    let grpc = weir.start().await.unwrap().ratelimit_grpc.unwrap();
    let weir_port = grpc.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
    let app = app().await;
    let start = |is_closed| Envoy::start(move |listen| envoy(listen, app, weir_port, is_closed));
    let (open, closed) = match (start(false).await, start(true).await) {
        (Ok(open), Ok(closed)) => (open, closed),
        (Err(error), _) | (_, Err(error)) => return skip("ratelimit: envoy", &format!("{error:#}")),
    };
    let client = Client::new();
    let (open, closed) = (Gate(client.clone(), open.url()), Gate(client, closed.url()));

    same_window(Duration::from_mins(1), Duration::from_secs(10)).await;
    let (status, headers) = closed.call("acme").await;
    let limit = headers["x-ratelimit-limit"].to_str().unwrap();
    assert_eq!((status, limit), (200, "7, 7;w=60"));
    assert_eq!(headers["x-ratelimit-remaining"], "6");
    assert_eq!(headers.get_all("x-ratelimit-reset").iter().count(), 1, "{headers:?}");
    // Both Envoys share the limit.
    let statuses = [closed.statuses("acme", 3).await, open.statuses("acme", 6).await].concat();
    assert_eq!(statuses, [vec![200; 6], vec![429; 3]].concat());
    let (status, headers) = open.call("acme").await;
    assert_eq!(status, 429);
    assert!(headers.contains_key("x-envoy-ratelimited") && headers["x-ratelimit-remaining"] == "0", "{headers:?}");
    assert_eq!(open.statuses("free", 10).await, [200; 10]);

    // Read again while Envoy asks: at the second now.
    std::fs::write(&file, limits("second", LIMIT)).unwrap();
    let changed = until(PATIENCE, || async { (open.call("acme").await.0 == 200).then_some(()) });
    changed.await.unwrap();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(1100)).await;
        same_window(Duration::from_secs(1), Duration::from_millis(900)).await;
        let began = Instant::now();
        let statuses = open.statuses("acme", LIMIT + 3).await;
        if began.elapsed() < Duration::from_millis(900) {
            assert_eq!(statuses, [vec![200; LIMIT], vec![429; 3]].concat(), "at the second");
        }
    }

    weir.kill().unwrap();
    assert_eq!(open.statuses("acme", LIMIT + 3).await, [200; LIMIT + 3], "failure_mode_deny: false lets calls pass");
    assert_eq!(closed.statuses("free", 3).await, [500; 3], "failure_mode_deny: true refuses them");
    weir.start().await.unwrap();
}

struct NoQuotas;

impl Quotas for NoQuotas {
    fn exhausted(&self, _: &str, _: i64) -> Option<Exhausted> {
        None
    }
}

/// One instance in this process.
struct Instance {
    client: RateLimitServiceClient<Channel>,
    health: Health,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Instance {
    async fn start(folder: &Path, redis: &Redis, without_store: WithoutStore) -> Self {
        let file = folder.join("limits.yaml");
        std::fs::write(&file, limits("day", 100)).unwrap();
        let options = RateLimitOptions {
            grpc: Some("127.0.0.1:0".parse().unwrap()),
            limits: vec![file.to_str().unwrap().to_owned()],
            store: StoreOptions::Redis(redis.url()),
            without_store,
            ..RateLimitOptions::default()
        };
        let (meter, health) = (Telemetry::detached().unwrap().meter(), Health::default());
        let context = Context { data_dir: folder.to_owned(), meter, health: health.clone(), auth: Auth::off() };
        let (handle, run) = RateLimit::open(&options, &context, Arc::new(NoQuotas)).await.unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(run.run(stop.clone()));
        let client = RateLimitServiceClient::connect(format!("http://{}", handle.grpc().unwrap())).await.unwrap();
        Self { client, health, stop, task }
    }

    /// Whether a call of this many hits is OK, and what remains.
    async fn ask(&self, tenant: &str, hits: u64, is_negative_hits: bool) -> (bool, u32) {
        let entry = Entry { key: "tenant".to_owned(), value: tenant.to_owned() };
        let descriptor = RateLimitDescriptor {
            entries: vec![entry],
            hits_addend: Some(hits),
            is_negative_hits,
            ..RateLimitDescriptor::default()
        };
        let request = RateLimitRequest { domain: "gate".to_owned(), descriptors: vec![descriptor], hits_addend: 0 };
        let answer = self.client.clone().should_rate_limit(request).await.unwrap().into_inner();
        (answer.overall_code() == Code::Ok, answer.statuses[0].limit_remaining)
    }

    async fn waits_for_store(&self, wanted: bool) {
        let is = || async { (self.health.degraded().contains_key("ratelimit store") == wanted).then_some(()) };
        until(PATIENCE, is).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_two_instances_and_one_redis_then_they_share_one_limit() {
    let redis = match Redis::start() {
        Ok(redis) => redis,
        Err(error) => return skip("ratelimit: redis", &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let one = Instance::start(folder.path(), &redis, WithoutStore::Allow).await;
    let two = Instance::start(folder.path(), &redis, WithoutStore::Allow).await;
    same_window(Duration::from_hours(24), Duration::from_mins(1)).await;
    let mut passed = 0;
    for n in 0..150 {
        let (is_ok, _) = if n % 2 == 0 { &one } else { &two }.ask("acme", 1, false).await;
        passed += usize::from(is_ok);
    }
    assert_eq!(passed, 100, "of 150 calls over two instances");
    assert_eq!(one.ask("free", 1, false).await, (true, 0), "nothing limits it");
    // Given back: 150 were counted.
    assert_eq!(two.ask("acme", 60, true).await, (true, 10));
    assert_eq!(one.ask("acme", 0, false).await, (true, 10), "asking counts nothing");
    assert_eq!(two.ask("acme", 1000, true).await, (true, 100), "no more comes back than was taken");
    assert_eq!(one.ask("acme", 100, false).await, (true, 0));
    assert_eq!(two.ask("acme", 1, false).await, (false, 0));
    // One key for the window.
    assert_eq!(redis.ask("DBSIZE").unwrap(), "1");
    for instance in [one, two] {
        instance.stop.cancel();
        instance.task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_an_unavailable_redis_then_the_setting_decides_at_once_and_counting_resumes() {
    let mut redis = match Redis::start() {
        Ok(redis) => redis,
        Err(error) => return skip("ratelimit: redis", &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let open = Instance::start(folder.path(), &redis, WithoutStore::Allow).await;
    let closed = Instance::start(folder.path(), &redis, WithoutStore::Deny).await;
    assert_eq!([open.ask("acme", 60, false).await, closed.ask("acme", 60, false).await], [(true, 40), (false, 0)]);
    for is_killed in [false, true] {
        if is_killed { redis.stop() } else { redis.pause() }.unwrap();
        assert!(open.ask("acme", 1, false).await.0 && !closed.ask("acme", 1, false).await.0, "killed: {is_killed}");
        open.waits_for_store(true).await;
        // Requests do not wait while it is unavailable.
        let began = Instant::now();
        for _ in 0..100 {
            assert!(open.ask("acme", 1, false).await.0 && !closed.ask("acme", 1, false).await.0);
            assert!(closed.ask("free", 1, false).await.0, "what has no limit passes");
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "300 decisions took {took:?}");
        if is_killed { redis.restart() } else { redis.resume() }.unwrap();
        let counts = async || {
            let (is_ok, remaining) = open.ask("acme", 101, false).await;
            (!is_ok && remaining == 0).then_some(())
        };
        until(PATIENCE, counts).await.unwrap();
        open.waits_for_store(false).await;
        closed.waits_for_store(false).await;
    }
}
