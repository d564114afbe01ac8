use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use weir_proto::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use weir_proto::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::{Entry, RateLimitOverride};
use weir_proto::envoy::service::ratelimit::v3::rate_limit_response::Code;
use weir_proto::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use weir_proto::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use weir_service::Context;
use weir_service::auth::{self, Auth, Role, Tenants, tokens};
use weir_service::health::Health;
use weir_service::http::Server;
use weir_service::telemetry::Telemetry;

use super::*;

/// Entries of a descriptor.
type Entries<'a> = &'a [(&'a str, &'a str)];

/// Just after a new year of 365 days: no window of any unit but the second ends soon.
const NOW: i64 = 54 * 365 * 86_400 + 1;

const LIMITS: &str = r#"
domain: weir
descriptors:
  - key: tenant
    value: acme
    rate_limit: {unit: minute, requests_per_unit: 5}
    descriptors:
      - {key: interface, value: /v1/ocr, rate_limit: {unit: minute, requests_per_unit: 2}}
      - {key: interface, value: "/v1/chat*", rate_limit: {unit: minute, requests_per_unit: 3}}
      - {key: interface, value: "/v1/c*", rate_limit: {unit: minute, requests_per_unit: 1}}
      - key: deep
        descriptors: [{key: deeper, rate_limit: {unit: day, requests_per_unit: 1}}]
  - {key: tenant, rate_limit: {unit: minute, requests_per_unit: 4}}
  - {key: path, value: "/files/*", share_threshold: true, rate_limit: {unit: hour, requests_per_unit: 2}}
  - {key: shadow, value: x, shadow_mode: true, rate_limit: {unit: minute, requests_per_unit: 1}}
  - {key: none, value: x, rate_limit: {unlimited: true}}
  - {key: free, value: x}
  - {key: blocked, rate_limit: {unit: second, requests_per_unit: 0}}
  - {key: code, value: 404, rate_limit: {unit: second, requests_per_unit: 1}}
  - {key: any, rate_limit: {name: any, unit: minute, requests_per_unit: 1}}
  - {key: some, rate_limit: {replaces: [{name: any}], unit: minute, requests_per_unit: 2}}
  - {key: each, detailed_metric: true, rate_limit: {unit: minute, requests_per_unit: 9}}
"#;

/// Tenant `spent` has no quota left.
struct Spent;

impl Quotas for Spent {
    fn exhausted(&self, tenant: &str, now_unix: i64) -> Option<Exhausted> {
        (tenant == "spent").then_some(Exhausted { limit: 100, resets_at_unix: now_unix + 77 })
    }
}

struct Site {
    handle: RateLimit,
    telemetry: Telemetry,
    health: Health,
    stop: CancellationToken,
    task: JoinHandle<()>,
    folder: tempfile::TempDir,
}

fn context(folder: &Path, telemetry: &Telemetry, auth: Auth) -> Context {
    Context { data_dir: folder.to_owned(), meter: telemetry.meter(), health: Health::default(), auth }
}

async fn start(options: RateLimitOptions, auth: Auth) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("limits.yaml");
    std::fs::write(&file, LIMITS).unwrap();
    let limits = vec![file.to_str().unwrap().to_owned()];
    let telemetry = Telemetry::detached().unwrap();
    let context = context(folder.path(), &telemetry, auth);
    let grpc = Some("127.0.0.1:0".parse().unwrap());
    let options = RateLimitOptions { grpc, limits, ..options };
    let (handle, run) = RateLimit::open(&options, &context, Arc::new(Spent)).await.unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(run.run(stop.clone()));
    Site { handle, telemetry, health: context.health, stop, task, folder }
}

async fn open() -> Site {
    start(RateLimitOptions::default(), Auth::off()).await
}

fn descriptor(entries: &[(&str, &str)]) -> RateLimitDescriptor {
    let entry = |(key, value): &(&str, &str)| Entry { key: (*key).to_owned(), value: (*value).to_owned() };
    RateLimitDescriptor { entries: entries.iter().map(entry).collect(), ..RateLimitDescriptor::default() }
}

fn request(descriptors: Vec<RateLimitDescriptor>) -> RateLimitRequest {
    RateLimitRequest { domain: "weir".to_owned(), descriptors, hits_addend: 0 }
}

impl Site {
    async fn at(&self, request: &RateLimitRequest, now: i64) -> RateLimitResponse {
        self.handle.service.answer(request, &everybody(), now).await.unwrap()
    }

    /// Overall codes of asking for one descriptor again and again.
    async fn codes(&self, entries: &[(&str, &str)], times: usize) -> String {
        let mut codes = String::new();
        for _ in 0..times {
            let answer = self.at(&request(vec![descriptor(entries)]), NOW).await;
            codes.push(if answer.overall_code() == Code::Ok { '.' } else { 'X' });
        }
        codes
    }

    fn client(&self) -> RateLimitServiceClient<tonic::transport::Channel> {
        client(self.handle.grpc().unwrap())
    }

    async fn post(&self, body: &str) -> (StatusCode, http::HeaderMap, Value) {
        let request = Request::post("/json").body(body.to_owned()).unwrap();
        let response = self.handle.routes().open().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, serde_json::from_slice(&body).unwrap())
    }
}

fn client(address: SocketAddr) -> RateLimitServiceClient<tonic::transport::Channel> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    RateLimitServiceClient::new(endpoint.connect_lazy())
}

fn everybody() -> Tenants {
    Auth::off().everything().unwrap()
}

#[tokio::test]
async fn given_limits_then_descriptors_meet_the_most_specific_one() {
    let site = open().await;
    for (entries, codes) in [
        (&[("tenant", "acme")][..], ".....XX"),
        (&[("tenant", "acme"), ("interface", "/v1/ocr")], "..X"),
        (&[("tenant", "acme"), ("interface", "/v1/chat")], "...X"),
        (&[("tenant", "acme"), ("interface", "/v1/chat/a")], "...X"),
        (&[("tenant", "acme"), ("interface", "/v1/c")], ".X"),
        (&[("tenant", "acme"), ("interface", "/v1/other")], "......"),
        (&[("tenant", "acme"), ("interface", "/v1/ocr"), ("more", "x")], "......"),
        (&[("tenant", "acme"), ("deep", "a"), ("deeper", "b")], ".X"),
        (&[("tenant", "acme"), ("deep", "a"), ("deeper", "c")], ".X"),
        (&[("tenant", "acme"), ("deep", "a")], "......"),
        (&[("tenant", "other")], "....X"),
        (&[("tenant", "third")], "....X"),
        (&[("tenant", "other"), ("interface", "/v1/ocr")], "......"),
        (&[("path", "/files/a")], ".."),
        (&[("path", "/files/b")], "XX"),
        (&[("shadow", "x")], "...."),
        (&[("none", "x")], "...."),
        (&[("free", "x")], "...."),
        (&[("blocked", "x")], "XX"),
        (&[("code", "404")], ".X"),
        (&[("planet", "mars")], "...."),
        (&[], "...."),
    ] {
        assert_eq!(site.codes(entries, codes.len()).await, codes, "{entries:?}");
    }
    let elsewhere =
        RateLimitRequest { domain: "nowhere".to_owned(), ..request(vec![descriptor(&[("tenant", "acme")])]) };
    assert_eq!(site.at(&elsewhere, NOW).await.overall_code(), Code::Ok);
}

#[tokio::test]
async fn given_a_window_that_ends_then_the_next_one_begins_at_zero() {
    let site = open().await;
    let asked = request(vec![descriptor(&[("tenant", "acme"), ("interface", "/v1/ocr")])]);
    let mut seen = Vec::new();
    for now in [0, 0, 0, 58, 59, 59, 59] {
        let answer = site.at(&asked, NOW + now).await;
        let status = &answer.statuses[0];
        let reset = status.duration_until_reset.unwrap().seconds;
        seen.push((now, status.code() == Code::Ok, status.limit_remaining, reset));
    }
    let right = [
        (0, true, 1, 59),
        (0, true, 0, 59),
        (0, false, 0, 59),
        (58, false, 0, 1),
        (59, true, 1, 60),
        (59, true, 0, 60),
        (59, false, 0, 60),
    ];
    assert_eq!(seen, right);
}

#[tokio::test]
async fn given_hits_then_they_count_by_request_or_descriptor_and_may_be_given_back() {
    let site = open().await;
    let tenant = descriptor(&[("tenant", "hits")]);
    let asked = |addend, own, back| RateLimitRequest {
        hits_addend: addend,
        ..request(vec![RateLimitDescriptor { hits_addend: own, is_negative_hits: back, ..tenant.clone() }])
    };
    for (request, remaining, is_ok) in [
        (asked(3, None, false), 1, true),
        (asked(9, Some(0), false), 1, true),
        (asked(9, Some(1), false), 0, true),
        (asked(0, Some(0), false), 0, true),
        (asked(0, None, false), 0, false),
        (asked(0, Some(0), false), 0, false),
        (asked(3, None, true), 2, true),
        (asked(0, Some(100), true), 4, true),
    ] {
        let answer = site.at(&request, NOW).await;
        let found = (answer.statuses[0].limit_remaining, answer.overall_code() == Code::Ok);
        assert_eq!(found, (remaining, is_ok), "{request:?}");
    }
}

#[tokio::test]
async fn given_several_descriptors_then_each_has_a_status_and_one_over_is_over() {
    let site = open().await;
    let both =
        request(vec![descriptor(&[("planet", "x")]), descriptor(&[("blocked", "x")]), descriptor(&[("none", "x")])]);
    let answer = site.at(&both, NOW).await;
    let found: Vec<_> = answer.statuses.iter().map(|status| (status.code(), status.limit_remaining)).collect();
    assert_eq!(found, [(Code::Ok, 0), (Code::OverLimit, 0), (Code::Ok, u32::MAX)]);
    assert_eq!(answer.overall_code(), Code::OverLimit);

    let replaced = request(vec![descriptor(&[("any", "x")]), descriptor(&[("some", "x")])]);
    let answers = [site.at(&replaced, NOW).await, site.at(&replaced, NOW).await, site.at(&replaced, NOW).await];
    let codes = answers.map(|answer| (answer.overall_code() == Code::Ok, answer.statuses[0].current_limit.is_some()));
    assert_eq!(codes, [(true, false), (true, false), (false, false)]);
    assert_eq!(site.codes(&[("any", "x")], 2).await, ".X", "what was replaced was not counted");
}

#[tokio::test]
async fn given_a_limit_of_the_descriptor_itself_then_it_counts_where_the_domain_is_known() {
    let site = open().await;
    let own = |domain: &str| {
        let limit = Some(RateLimitOverride { requests_per_unit: 1, unit: 3 });
        let descriptor = RateLimitDescriptor { limit, ..descriptor(&[("tenant", "own")]) };
        RateLimitRequest { domain: domain.to_owned(), ..request(vec![descriptor]) }
    };
    let mut codes = Vec::new();
    for domain in ["weir", "weir", "nowhere", "nowhere"] {
        codes.push(site.at(&own(domain), NOW).await.overall_code() == Code::Ok);
    }
    assert_eq!(codes, [true, false, true, true]);
    assert_eq!(site.codes(&[("tenant", "own")], 5).await, "....X", "another unit is another count");
}

#[tokio::test]
async fn given_an_exhausted_quota_then_descriptors_of_the_tenant_are_over_and_others_are_not() {
    let site = open().await;
    for (entries, codes) in [
        (&[("tenant", "spent")][..], "X"),
        (&[("tenant", "spent"), ("unknown", "x")], "X"),
        (&[("planet", "mars"), ("tenant", "spent")], "X"),
        (&[("tenant", "spent2")], "."),
        (&[("user", "spent")], "."),
    ] {
        assert_eq!(site.codes(entries, 1).await, codes, "{entries:?}");
    }
    let answer = site.at(&request(vec![descriptor(&[("tenant", "spent")])]), NOW).await;
    assert_eq!(answer.statuses[0].duration_until_reset.unwrap().seconds, 77);
}

#[tokio::test]
async fn given_a_request_out_of_bounds_then_it_is_refused_with_what_would_be_right() {
    let site = open().await;
    let many = |n: usize, of: &RateLimitDescriptor| vec![of.clone(); n];
    let one = descriptor(&[("tenant", "acme")]);
    let own =
        |unit| RateLimitDescriptor { limit: Some(RateLimitOverride { requests_per_unit: 1, unit }), ..one.clone() };
    let hits = RateLimitDescriptor { hits_addend: Some(u64::MAX), ..one.clone() };
    for (request, wanted) in [
        (RateLimitRequest { domain: String::new(), ..request(many(1, &one)) }, "`domain` is empty"),
        (RateLimitRequest { domain: "x".repeat(257), ..request(many(1, &one)) }, "`domain` is longer"),
        (request(vec![]), "`descriptors` is empty"),
        (request(many(65, &one)), "more than 64"),
        (request(vec![one.clone(), descriptor(&[("k", "v"); 33])]), "`descriptors[1]`: `entries` are more than 32"),
        (request(vec![descriptor(&[("", "v")])]), "a `key` is empty"),
        (request(vec![descriptor(&[(&"k".repeat(257), "v")])]), "a `key` is longer"),
        (request(vec![descriptor(&[("k", &"v".repeat(4097))])]), "a `value` is longer"),
        (request(vec![own(0)]), "`limit.unit`"),
        (request(vec![own(9)]), "`limit.unit`"),
        (request(vec![hits]), "`hits_addend`"),
    ] {
        let refusal = site.handle.service.answer(&request, &everybody(), NOW).await.unwrap_err();
        assert!(refusal.to_string().contains(wanted), "{refusal}");
        assert_eq!((refusal.status(), refusal.code()), (StatusCode::BAD_REQUEST, tonic::Code::InvalidArgument));
    }
}

#[tokio::test]
async fn given_json_then_both_spellings_are_read_and_the_answer_has_protobufs() {
    let site = open().await;
    let of = |value: &str| format!(r#"{{"entries": [{{"key": "tenant", "value": "{value}"}}]}}"#);
    let body = format!(r#"{{"domain": "weir", "descriptors": [{}], "hitsAddend": "3"}}"#, of("a"));
    let (status, headers, answer) = site.post(&body).await;
    assert_eq!((status, &answer["overallCode"]), (StatusCode::OK, &json!("OK")));
    let found = &answer["statuses"][0];
    assert_eq!(found["currentLimit"], json!({"requestsPerUnit": 4, "unit": "MINUTE"}));
    assert_eq!(found["limitRemaining"], json!(1));
    assert!(found["durationUntilReset"].as_str().unwrap().ends_with('s'), "{found}");
    assert_eq!(headers["x-ratelimit-limit"], "4, 4;w=60");
    assert_eq!(headers["x-ratelimit-remaining"], "1");
    let reset: u64 = headers["x-ratelimit-reset"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&reset));
    let body = format!(r#"{{"domain": "weir", "descriptors": [{}], "hits_addend": 2.0}}"#, of("a"));
    let (status, headers, answer) = site.post(&body).await;
    assert_eq!((status, &answer["overallCode"]), (StatusCode::TOO_MANY_REQUESTS, &json!("OVER_LIMIT")));
    assert_eq!(headers["x-ratelimit-remaining"], "0");
    let (status, headers, answer) =
        site.post(r#"{"domain": "weir", "descriptors": [{"entries": [{"key": "x"}]}]}"#).await;
    assert_eq!((status, answer), (StatusCode::OK, json!({"overallCode": "OK", "statuses": [{"code": "OK"}]})));
    assert!(!headers.contains_key("x-ratelimit-limit"));
    let own = r#"{"domain": "weir", "descriptors": [{"entries": [{"key": "x", "value": null}], "hits_addend": "2",
                  "limit": {"requests_per_unit": 1, "unit": "WEEK"}}]}"#;
    assert_eq!(site.post(own).await.0, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn given_json_that_is_none_then_it_is_a_problem_that_says_what_is_wrong() {
    let site = open().await;
    for (body, wanted) in [
        ("{not json", "line 1"),
        ("", "EOF"),
        ("[]", "RequestJson"),
        (r#"{"domain": "weir"}"#, "`descriptors` is empty"),
        (r#"{"domain": "weir", "descriptor": []}"#, "unknown field `descriptor`"),
        (r#"{"domain": "weir", "hitsAddend": -1}"#, "not negative"),
        (r#"{"domain": "weir", "hitsAddend": "4294967296"}"#, "4294967295"),
        (r#"{"domain": "weir", "descriptors": [{"limit": {"unit": "FORTNIGHT"}}]}"#, "`limit.unit`"),
    ] {
        let (status, headers, problem) = site.post(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(headers["content-type"], "application/problem+json", "{body}");
        assert!(problem["detail"].as_str().unwrap().contains(wanted), "{problem}");
    }
}

#[tokio::test]
async fn given_grpc_then_it_answers_as_envoy_expects_and_refuses_what_it_does_not_have() {
    let site = open().await;
    let mut client = site.client();
    let asked = request(vec![descriptor(&[("code", "404")]), descriptor(&[("tenant", "grpc")])]);
    let answer = client.should_rate_limit(asked.clone()).await.unwrap().into_inner();
    assert_eq!((answer.overall_code(), answer.statuses.len()), (Code::Ok, 2));
    assert_eq!(answer.statuses[1].limit_remaining, 3);
    assert!(answer.response_headers_to_add.is_empty());
    let refused = client.should_rate_limit(request(vec![])).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    let large = request(vec![descriptor(&[("k", &"v".repeat(300_000))])]);
    assert_eq!(client.should_rate_limit(large).await.unwrap_err().code(), tonic::Code::ResourceExhausted);
    let health = tonic::codegen::http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", site.handle.grpc().unwrap())).unwrap();
    let mut raw = tonic::client::Grpc::new(channel.connect().await.unwrap());
    raw.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<RateLimitRequest, RateLimitResponse>::default();
    let asked = tonic::Request::new(RateLimitRequest::default());
    // Both messages have a number in their first field: SERVING is 1, as is OK.
    let serving: tonic::Response<RateLimitResponse> = raw.unary(asked, health, codec).await.unwrap();
    assert_eq!(serving.into_inner().overall_code(), Code::Ok);
    site.stop.cancel();
    site.task.await.unwrap();
}

#[tokio::test]
async fn given_headers_are_asked_for_then_grpc_answers_carry_them() {
    let site = start(RateLimitOptions { headers: true, ..RateLimitOptions::default() }, Auth::off()).await;
    let answer = site.client().should_rate_limit(request(vec![descriptor(&[("tenant", "h")])])).await.unwrap();
    let added: Vec<_> = answer.into_inner().response_headers_to_add.into_iter().map(|of| (of.key, of.value)).collect();
    assert_eq!(added[0], ("x-ratelimit-limit".to_owned(), "4, 4;w=60".to_owned()));
    assert_eq!(added[1].1, "3");
}

#[tokio::test]
async fn given_credentials_then_each_asks_for_its_own_tenants_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.yaml");
    let add = |name: &str, role, tenant: &str| tokens::add(&file, name, role, &[tenant.to_owned()], None).unwrap();
    let shown = [
        Some(add("acme", Role::Writer, "acme")),
        Some(add("all", Role::Writer, "*")),
        Some(add("viewer", Role::Viewer, "acme")),
        Some("weir_unknown".to_owned()),
        None,
    ];
    let options = auth::Options { tokens: Some(file), ..auth::Options::default() };
    let telemetry = Telemetry::detached().unwrap();
    let auth = Auth::open(&options, folder.path(), &telemetry.meter()).unwrap();
    let site = start(RateLimitOptions::default(), auth.clone()).await;
    let bound = Server::bind("127.0.0.1:0", false).await.unwrap();
    let http = bound.address();
    tokio::spawn(bound.routes(site.handle.routes()).auth(auth).serve(site.stop.clone()));
    let cases: [(Entries<'_>, [u16; 5]); 4] = [
        (&[("tenant", "acme"), ("free", "x")], [200, 200, 403, 401, 401]),
        (&[("tenant", "globex"), ("free", "x")], [403, 200, 403, 401, 401]),
        (&[("tenant", "acme"), ("tenant", "globex")], [403, 200, 403, 401, 401]),
        (&[("planet", "mars")], [403, 200, 403, 401, 401]),
    ];
    for (entries, right) in cases {
        for (token, right) in shown.iter().zip(right) {
            let mut asked = tonic::Request::new(request(vec![
                descriptor(&[("tenant", "acme"), ("free", "x")]),
                descriptor(entries),
            ]));
            if let Some(token) = token {
                asked.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
            }
            let code =
                site.client().should_rate_limit(asked).await.map_or_else(|status| status.code(), |_| tonic::Code::Ok);
            let wanted = match right {
                200 => tonic::Code::Ok,
                401 => tonic::Code::Unauthenticated,
                _ => tonic::Code::PermissionDenied,
            };
            assert_eq!(code, wanted, "gRPC, {entries:?}, {token:?}");
            let entries: Vec<_> = entries.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
            let body = json!({"domain": "weir", "descriptors": [{"entries": entries}]}).to_string();
            assert_eq!(post(http, token.as_deref(), &body).await, right, "HTTP, {body}, {token:?}");
        }
    }
}

/// Status of a request over a connection of its own.
async fn post(address: SocketAddr, token: Option<&str>, body: &str) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    let head =
        format!("POST /json HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{token}\r\n");
    stream.write_all((head + body).as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn given_files_that_change_then_all_are_in_force_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let glob = folder.path().join("*.yaml").to_str().unwrap().to_owned();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let one = |domain: &str, n: u32| {
        format!("domain: {domain}\ndescriptors: [{{key: k, rate_limit: {{unit: day, requests_per_unit: {n}}}}}]\n")
    };
    write("a.yaml", &one("a", 1));
    let (mut files, limits) = reload::Files::open(&[glob], &tally::Tallies::default()).unwrap();
    let requests = |limits: &limits::Limits, domain: &str| {
        let met = limits.domains.get(domain)?.meet(&descriptor(&[("k", "v")]).entries)?;
        Some(met.limit.rate?.requests)
    };
    assert_eq!(requests(&limits, "a"), Some(1));
    assert!(files.poll().is_none());
    write("a.yaml", &one("a", 12));
    write("b.yaml", "domain: b\ndescriptors: [{key: k, rate_limit: {unit: fortnight, requests_per_unit: 1}}]\n");
    assert!(files.poll().is_none(), "what changes now may not be whole");
    let Some(reload::Change::Refused(errors)) = files.poll() else { panic!("a bad file is taken") };
    assert!(errors.to_string().contains("b.yaml:2"), "{errors}");
    assert!(files.poll().is_none() && files.poll().is_none(), "reported once");
    write("b.yaml", &one("b", 3));
    assert!(files.poll().is_none());
    let Some(reload::Change::Limits(limits)) = files.poll() else { panic!("good files are not taken") };
    assert_eq!((requests(&limits, "a"), requests(&limits, "b")), (Some(12), Some(3)));
    std::fs::rename(folder.path().join("b.yaml"), folder.path().join("b.txt")).unwrap();
    files.poll();
    let Some(reload::Change::Limits(limits)) = files.poll() else { panic!("a file that is gone is in force") };
    assert_eq!((requests(&limits, "a"), requests(&limits, "b")), (Some(12), None));
}

#[tokio::test]
async fn given_a_file_that_turns_bad_then_limits_stay_and_health_says_so() {
    let site = open().await;
    let file = site.folder.path().join("limits.yaml");
    std::fs::write(&file, "domain: [").unwrap();
    let until = async |wanted: bool| {
        for _ in 0..100 {
            if site.health.degraded().contains_key("ratelimit limits") == wanted {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("health: {:?}", site.health.degraded());
    };
    until(true).await;
    assert_eq!(site.codes(&[("blocked", "x")], 1).await, "X");
    std::fs::write(&file, LIMITS.replace("key: blocked", "key: closed")).unwrap();
    until(false).await;
    assert_eq!(site.codes(&[("blocked", "x")], 1).await + &site.codes(&[("closed", "x")], 1).await, ".X");
}

#[tokio::test]
async fn given_decisions_then_metrics_name_limits_and_never_what_callers_sent() {
    let site = open().await;
    for entries in [[("tenant", "secret")], [("each", "one")], [("shadow", "x")], [("planet", "mars")]] {
        site.codes(&entries, 2).await;
    }
    site.codes(&[("blocked", "b")], 3).await;
    let metrics = site.telemetry.metrics().unwrap();
    let decided = |limit: &str, outcome: &str| {
        let labels = [format!("limit=\"{limit}\""), format!("outcome=\"{outcome}\""), "domain=\"weir\"".to_owned()];
        let line = metrics.lines().find(|line| labels.iter().all(|label| line.contains(label)));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
    };
    assert_eq!(decided("tenant", "ok"), Some(2), "{metrics}");
    assert_eq!((decided("shadow_x", "ok"), decided("shadow_x", "shadow")), (Some(1), Some(1)));
    assert_eq!((decided("blocked", "over_limit"), decided("each_one", "ok")), (Some(3), Some(2)));
    assert!(!metrics.contains("secret") && !metrics.contains("mars"), "{metrics}");
}

#[test]
fn given_a_file_with_an_error_then_it_names_file_line_and_what_would_be_right() {
    let descriptors = |text: &str| format!("domain: d\ndescriptors:\n  {text}\n");
    for (text, line, wanted) in [
        ("descriptors: []\n".to_owned(), None, "the key `domain` is missing"),
        ("domain: ''\n".to_owned(), Some(1), "`domain` is empty"),
        ("domain: d\ndescriptor: []\n".to_owned(), Some(2), "unknown key `descriptor`; did you mean `descriptors`?"),
        ("domain: d\ndomain: e\n".to_owned(), Some(2), "twice"),
        (descriptors("- {key: k, rate_limits: {}}"), Some(3), "did you mean `rate_limit`?"),
        (descriptors("- {value: k}"), Some(3), "the key `key` is missing"),
        (descriptors("- {key: ''}"), Some(3), "`key` is empty"),
        (descriptors("- {key: k*}"), Some(3), "a wildcard is for values"),
        (descriptors("- {key: k}\n  - {key: k}"), Some(4), "`k` is there twice"),
        (descriptors("- {key: k, value: v*}\n  - {key: k, value: v*}"), Some(4), "`k_v*` is there twice"),
        (
            descriptors("- {key: k, rate_limit: {unit: minutes, requests_per_unit: 1}}"),
            Some(3),
            "did you mean `minute`?",
        ),
        (
            descriptors("- {key: k, rate_limit: {unit: fortnight, requests_per_unit: 1}}"),
            Some(3),
            "one of: second, minute",
        ),
        (descriptors("- {key: k, rate_limit: {requests_per_unit: 1}}"), Some(3), "`unit` is missing"),
        (descriptors("- {key: k, rate_limit: {unit: day}}"), Some(3), "`requests_per_unit` is missing"),
        (descriptors("- {key: k, rate_limit: {unit: day, requests_per_unit: -1}}"), Some(3), ""),
        (descriptors("- {key: k, rate_limit: {unlimited: true, unit: day}}"), Some(3), "`unlimited` has neither"),
        (descriptors("- {key: k, shadow_mode: true}"), Some(3), "`shadow_mode` without `rate_limit`"),
        (descriptors("- {key: k, share_threshold: true}"), Some(3), "ends with `*`"),
        (descriptors("- {key: tenant, value: a*, share_threshold: true}"), Some(3), "what others used"),
        (descriptors("- {key: k, quota_mode: true}"), Some(3), "`quota_mode` is not supported"),
        (
            descriptors("- {key: k, rate_limit: {name: n, replaces: [{name: n}], unlimited: true}}"),
            Some(3),
            "replace itself",
        ),
        (
            descriptors("- {key: k, rate_limit: {replaces: [{name: ''}], unlimited: true}}"),
            Some(3),
            "a `name` is empty",
        ),
    ] {
        let errors = file::parse(Path::new("l.yaml"), &text, &tally::Tallies::default()).unwrap_err();
        let shown = LoadErrors(errors).to_string();
        let place = line.map_or("l.yaml:".to_owned(), |line| format!("l.yaml:{line}: "));
        assert!(shown.starts_with(&place) && shown.contains(wanted), "{text}{shown}");
    }
}

#[test]
fn given_the_example_file_then_it_loads() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/ratelimit.yaml");
    let options = RateLimitOptions { limits: vec![file.to_owned()], ..RateLimitOptions::default() };
    assert_eq!(options.check_files(), Ok(10));
    let twice = RateLimitOptions { limits: vec![format!("{file}/none.yaml")], ..RateLimitOptions::default() };
    assert!(twice.check_files().unwrap_err().contains("is not there"));
}

#[test]
fn given_options_then_what_is_wrong_names_the_key_and_hides_passwords() {
    let parse = |text: &str| weir_service::config::parse::<RateLimitOptions>(text, Path::new("c"), [].into());
    let options = parse("{}").unwrap();
    assert_eq!((options.grpc, options.store, options.without_store), (None, StoreOptions::Memory, WithoutStore::Allow));
    let redis = parse("{grpc: 'localhost:8081', store: 'redis://u:secret@h:1/0', without_store: deny}").unwrap();
    assert!(redis.check().is_ok() && !format!("{redis:?}").contains("secret"), "{redis:?}");
    for (text, wanted) in [
        ("store: memcached://secret", "write memory, redis://"),
        ("without_store: block", "allow"),
        ("limit: []", "did you mean `limits`?"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(wanted) && !error.contains("secret"), "{error}");
    }
    for (text, wanted) in [
        ("store: 'redis://h:secret'", "ratelimit.store"),
        ("limits: ['']", "ratelimit.limits[0]"),
        ("tls: {cert: a, key: b}", "ratelimit.tls"),
    ] {
        let error = parse(text).unwrap().check().unwrap_err();
        assert!(error.starts_with(wanted) && !error.contains("secret"), "{error}");
    }
}

proptest::proptest! {
    #[test]
    fn given_any_body_then_reading_it_as_json_does_not_panic(body in r#"[{}\[\]":,a-z0-9.\-]{0,80}"#) {
        let _ = json::parse(body.as_bytes());
    }

    #[test]
    fn given_any_text_then_reading_limits_does_not_panic(text in ".{0,200}") {
        let _ = file::parse(Path::new("l.yaml"), &text, &tally::Tallies::default());
    }

    #[test]
    fn given_any_descriptors_then_counters_differ_where_they_differ(
        a in proptest::collection::vec(("[a/=%]{0,3}", "[a/=%]{0,3}"), 1..4),
        b in proptest::collection::vec(("[a/=%]{0,3}", "[a/=%]{0,3}"), 1..4),
    ) {
        let name = |pairs: &[(String, String)]| {
            let entry = |(key, value): &(String, String)| Entry { key: key.clone(), value: value.clone() };
            let entries: Vec<_> = pairs.iter().map(entry).collect();
            limits::counter_of_override("d", &entries, unit::Unit::Day)
        };
        proptest::prop_assert_eq!(name(&a) == name(&b), a == b);
    }
}
