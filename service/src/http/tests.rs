use std::time::Duration;

use axum::extract::Extension;
use axum::response::sse::{Event, Sse};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{BindError, Form, Json, Limits, Query, Route, Routes, Server, is_loopback};
use crate::audit::Note;
use crate::auth::{Access, Tenants};
use crate::health::Health;
use crate::telemetry::Telemetry;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: u32,
}

async fn panics() -> String {
    panic!("on purpose")
}

async fn asked(form: Option<Extension<Form>>, tenants: Tenants, note: Extension<Note>) -> String {
    format!("{:?} {:?} {}", form.map(|form| form.0.0), tenants.only(), note.text())
}

fn routes() -> Routes {
    let get = |path| Route::get(path, Access::Read, "");
    let post = |path| Route::post(path, Access::Read, "");
    Routes::new()
        .on(get("/page"), |Query(page): Query<Page>| async move { page.limit.to_string() })
        .on(post("/json"), |Json(value): Json<Value>| async move { axum::Json(value) })
        .on(post("/bytes"), |body: bytes::Bytes| async move { body.len().to_string() })
        .on(get("/long"), || async { axum::Json("x".repeat(5000)) })
        .on_query(Route::get("/api/v1/asked", Access::Read, "").takes(&[("query", "")]), asked)
        .on(get("/panic"), panics)
        .on(get("/slow"), std::future::pending::<()>)
        .on(get("/live"), || async {
            let one = futures::stream::iter([Ok::<_, std::convert::Infallible>(Event::default().data("one"))]);
            Sse::new(one.chain_pending())
        })
}

/// Makes a stream that never ends of one that does.
trait ChainPending: Sized {
    fn chain_pending(self) -> futures::stream::Chain<Self, futures::stream::Pending<<Self as futures::Stream>::Item>>
    where
        Self: futures::Stream;
}

impl<S: futures::Stream> ChainPending for S {
    fn chain_pending(self) -> futures::stream::Chain<S, futures::stream::Pending<S::Item>> {
        futures::StreamExt::chain(self, futures::stream::pending())
    }
}

struct Running {
    address: std::net::SocketAddr,
    shutdown: CancellationToken,
    health: Health,
    task: tokio::task::JoinHandle<()>,
}

async fn start(limits: Limits) -> Running {
    let bound = Server::bind("127.0.0.1:0", false).await.unwrap();
    let (address, shutdown, health) = (bound.address(), CancellationToken::new(), Health::default());
    let server = bound.routes(routes()).limits(limits).health(health.clone());
    let server = server.telemetry(Telemetry::detached().unwrap());
    let task = tokio::spawn(server.serve(shutdown.clone()));
    Running { address, shutdown, health, task }
}

impl Running {
    /// Sends a request and reads to the end of the connection.
    async fn ask(&self, head: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request =
            format!("{head}\r\nhost: weir\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
    }

    async fn problem(&self, head: &str, body: &str) -> (u16, Value) {
        let (status, head, body) = self.ask(head, body).await;
        assert!(head.contains("application/problem+json"), "{head}\n{body}");
        (status, serde_json::from_str(&body).unwrap())
    }
}

#[tokio::test]
async fn every_error_is_a_problem_that_says_what_is_wrong() {
    let server = start(Limits { body: 100, ..Limits::default() }).await;
    let (status, problem) = server.problem("GET /page?limit=many HTTP/1.1", "").await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("limit")), "{problem}");
    let (status, problem) = server.problem("GET /page?limit=1&color=red HTTP/1.1", "").await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("color")), "{problem}");
    let (status, problem) = server.problem("GET /page HTTP/1.1", "").await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("limit")), "{problem}");
    let (status, problem) = server.problem("GET /nowhere HTTP/1.1", "").await;
    assert_eq!((status, &problem["detail"]), (404, &json!("there is nothing at /nowhere")));
    assert_eq!(server.problem("POST /page HTTP/1.1", "").await.0, 405);
    assert_eq!(server.problem("POST /metrics HTTP/1.1", "").await.0, 405);
    assert_eq!(server.problem("GET /panic HTTP/1.1", "").await.0, 500);
    assert_eq!(server.problem("POST /bytes HTTP/1.1", &"x".repeat(101)).await.0, 413);
    assert_eq!(server.problem("POST /json HTTP/1.1\r\ncontent-type: application/json", "{\"a\":").await.0, 400);
    assert_eq!(server.problem("POST /json HTTP/1.1", "{}").await.0, 415);
    assert_eq!(server.ask("GET /page?limit=7 HTTP/1.1", "").await.2, "7");
}

#[tokio::test]
async fn the_parameters_of_a_query_may_come_in_the_body_and_are_treated_as_those_of_the_address() {
    let server = start(Limits::default()).await;
    let json = "POST /api/v1/asked HTTP/1.1\r\ncontent-type: application/json";
    let (status, _, told) = server.ask(json, r#"{"query":"a b","tenant":"acme"}"#).await;
    assert_eq!((status, told.as_str()), (200, r#"Some([("query", "a b")]) Some("acme") tenant=acme&query=a b"#));
    assert_eq!(server.ask("GET /api/v1/asked?query=a HTTP/1.1", "").await.2, "None None ");
    let (status, problem) = server.problem(json, r#"{"qery":"a"}"#).await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("qery")), "{problem}");
    let (status, problem) = server.problem(json, r#"{"tenant":""}"#).await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("tenant")), "{problem}");
    let (_, _, document) = server.ask("GET /api/v1/openapi.json HTTP/1.1", "").await;
    let document: Value = serde_json::from_str(&document).unwrap();
    let body = &document["paths"]["/api/v1/asked"]["post"]["requestBody"]["content"]["application/json"];
    assert!(body["schema"]["properties"]["query"].is_object(), "{document}");
}

#[tokio::test]
async fn an_answer_is_compressed_where_the_client_accepts_it_but_not_a_live_stream() {
    let server = start(Limits::default()).await;
    for (encoding, magic) in [("gzip", &[0x1f, 0x8b][..]), ("zstd", &[0x28, 0xb5, 0x2f, 0xfd]), ("identity", b"\"xx")] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("GET /long HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept-encoding: {encoding}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(memchr::memmem::find(&answer, magic).is_some(), "{encoding}");
        assert_eq!(answer.len() < 1000, encoding != "identity", "{encoding}: {}", answer.len());
    }
    let mut live = TcpStream::connect(server.address).await.unwrap();
    live.write_all(b"GET /live HTTP/1.1\r\nhost: weir\r\naccept-encoding: gzip\r\n\r\n").await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"data: one\n\n\r\n") {
        assert_ne!(live.read_buf(&mut seen).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_refused() {
    let server = start(Limits { body: 100, ..Limits::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let body = format!("{:x}\r\n{}\r\n0\r\n\r\n", 200, "x".repeat(200));
    let head = "POST /bytes HTTP/1.1\r\nhost: weir\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_sane_request_id_is_echoed_and_another_is_made() {
    let server = start(Limits::default()).await;
    let (_, head, _) = server.ask("GET /page?limit=1 HTTP/1.1\r\nx-request-id: abc-1", "").await;
    assert!(head.contains("x-request-id: abc-1"), "{head}");
    let (_, head, _) = server.ask("GET /page?limit=1 HTTP/1.1\r\nx-request-id: a{b", "").await;
    assert!(head.contains("x-request-id: ") && !head.contains("a{b"), "{head}");
}

#[tokio::test]
async fn too_many_or_too_slow_requests_are_told_to_come_back() {
    let server = start(Limits { requests: 0, ..Limits::default() }).await;
    let (status, head, _) = server.ask("GET /page?limit=1 HTTP/1.1", "").await;
    assert!(status == 503 && head.contains("retry-after: 1"), "{head}");
    assert_eq!(server.ask("GET /healthz HTTP/1.1", "").await.0, 200);
    let server = start(Limits { answer: Duration::from_millis(10), ..Limits::default() }).await;
    assert_eq!(server.problem("GET /slow HTTP/1.1", "").await.0, 503);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_told_so() {
    let server = start(Limits { answer: Duration::from_millis(10), ..Limits::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /bytes HTTP/1.1\r\nhost: weir\r\nconnection: close\r\ncontent-length: 10\r\n\r\nhalf";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("application/problem+json"), "{answer}");
}

#[tokio::test]
async fn methods_that_nobody_knows_make_one_series() {
    let server = start(Limits::default()).await;
    for method in ["BREW", "SIP"] {
        assert_eq!(server.ask(&format!("{method} /page HTTP/1.1"), "").await.0, 405);
    }
    let (_, _, metrics) = server.ask("GET /metrics HTTP/1.1", "").await;
    assert!(metrics.contains("method=\"_OTHER\"") && !metrics.contains("BREW"), "{metrics}");
}

#[tokio::test]
async fn readiness_names_the_parts_that_wait() {
    let server = start(Limits::default()).await;
    let part = server.health.part("indexer");
    let (status, _, body) = server.ask("GET /readyz HTTP/1.1", "").await;
    assert_eq!(
        (status, body.as_str()),
        (503, r#"{"degraded":{},"ready":false,"version":"0.1.0","waiting_for":{"indexer":"starting"}}"#)
    );
    part.ready();
    assert_eq!(server.ask("GET /readyz HTTP/1.1", "").await.0, 200);
    let (_, _, metrics) = server.ask("GET /metrics HTTP/1.1", "").await;
    assert!(metrics.contains("process_cpu_seconds_total"), "{metrics}");
}

#[tokio::test]
async fn a_stop_ends_live_streams_and_idle_connections() {
    let server = start(Limits::default()).await;
    let _idle = TcpStream::connect(server.address).await.unwrap();
    let mut live = TcpStream::connect(server.address).await.unwrap();
    live.write_all(b"GET /live HTTP/1.1\r\nhost: weir\r\n\r\n").await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"data: one\n\n\r\n") {
        assert_ne!(live.read_buf(&mut seen).await.unwrap(), 0);
    }
    server.shutdown.cancel();
    live.read_to_end(&mut seen).await.unwrap();
    server.task.await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_taken_or_open_to_others_is_refused_by_name() {
    let bound = Server::bind("127.0.0.1:0", false).await.unwrap();
    let taken = Server::bind(&bound.address().to_string(), false).await.unwrap_err();
    assert!(matches!(taken, BindError::InUse(address) if address == bound.address()));
    assert!(matches!(Server::bind("0.0.0.0:0", false).await, Err(BindError::Insecure(_))));
    assert!(Server::bind("0.0.0.0:0", true).await.is_ok());
    assert!(matches!(Server::bind("nonsense", false).await, Err(BindError::Resolve { .. })));
    assert!(is_loopback("[::1]:80") && is_loopback("localhost:1") && !is_loopback("10.0.0.1:80"));
}
