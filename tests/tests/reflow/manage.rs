//! Captures that are made by request, files that are got in pieces, and rows that are erased.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use weir_service::auth::{Role, tokens};
use weir_tests::weir::Ready;
use weir_tests::{Weir, number, until};

use super::dataset::{Dataset, check_clean, rows_of};
use super::spans::{Span, attributes, client, export};

const PATIENCE: Duration = Duration::from_secs(40);
const TENANTS: [&str; 2] = ["acme", "globex"];

struct Site {
    weir: Weir,
    ready: Ready,
    client: reqwest::Client,
    folder: tempfile::TempDir,
    admin: String,
    operator: String,
    viewer: String,
    writer: String,
    rng: Xoshiro256PlusPlus,
}

impl Site {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.yaml");
        std::fs::write(&file, "").unwrap();
        let token =
            |name: &str, role, tenant: &str| tokens::add(&file, name, role, &[tenant.to_owned()], None).unwrap();
        let [admin, operator, viewer, writer] = [
            token("admin", Role::Admin, "*"),
            token("operator", Role::Operator, "acme"),
            token("viewer", Role::Viewer, "acme"),
            token("writer", Role::Writer, "*"),
        ];
        let config = json!({
            "listen": "127.0.0.1:0",
            "collector": { "otlp": { "grpc": null, "http": "127.0.0.1:0" }, "host": null, "gpu": null },
            "reflow": { "captures": [] },
            "auth": { "tokens": file },
        });
        let mut weir = Weir::new("standalone", folder.path(), &config).unwrap();
        let ready = weir.start().await.unwrap();
        let rng = Xoshiro256PlusPlus::seed_from_u64(number("WEIR_E2E_SEED", 1));
        Self { weir, ready, client: client(), folder, admin, operator, viewer, writer, rng }
    }

    async fn ask(&self, method: Method, token: &str, path: &str, headers: &[(header::HeaderName, &str)]) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.ready.http)).bearer_auth(token);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.send().await.unwrap()
    }

    async fn get(&self, token: &str, path: &str) -> (u16, Value) {
        let answer = self.ask(Method::GET, token, path, &[]).await;
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn define(&self, token: &str, definition: &Value) -> u16 {
        let request = self.client.post(format!("{}/api/v1/captures", self.ready.http)).bearer_auth(token);
        request.json(definition).send().await.unwrap().status().as_u16()
    }

    async fn preview(&self, token: &str, query: &str, definition: &Value) -> (u16, Value) {
        let url = format!("{}/api/v1/captures/preview{query}", self.ready.http);
        let answer = self.client.post(url).bearer_auth(token).json(definition).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// Sends spans of a tenant; gives their traces.
    async fn send(&mut self, tenant: &str, count: usize) -> Vec<String> {
        let text = format!("secret of {tenant}");
        let span = |rng: &mut Xoshiro256PlusPlus| {
            let more: String = (0..200).map(|_| char::from(rng.random_range(b'a'..=b'z'))).collect();
            let attributes = attributes(&json!({ "text": text, "more": more }));
            Span { attributes, ..Span::new(rng, Duration::from_millis(5)) }
        };
        let spans: Vec<Span> = (0..count).map(|_| span(&mut self.rng)).collect();
        let body = json!({ "resourceSpans": [export("ocr", tenant, 0, &spans)] });
        let url = format!("{}/v1/traces", self.ready.otlp_http.as_ref().unwrap());
        let answer = self.client.post(url).bearer_auth(&self.writer).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        spans.into_iter().map(|span| span.trace).collect()
    }

    async fn rows(&self, capture: &str, wanted: u64) {
        let path = format!("/api/v1/captures/{capture}");
        let all = until(PATIENCE, || async { (self.get(&self.admin, &path).await.1["rows"] == wanted).then_some(()) });
        assert!(all.await.is_some(), "{capture}: {}", self.get(&self.admin, &path).await.1);
    }

    fn dataset(&self, capture: &str) -> PathBuf {
        self.weir.data_dir().join("datasets").join(capture)
    }

    async fn files(&self, capture: &str) -> Vec<Value> {
        let (status, answer) = self.get(&self.admin, &format!("/api/v1/captures/{capture}/files")).await;
        assert_eq!(status, 200, "{answer}");
        answer["files"].as_array().unwrap().clone()
    }

    async fn pull(&self, capture: &str, out: &Path) -> (bool, String) {
        let mut command = tokio::process::Command::new(weir_tests::weir::binary().unwrap());
        command.args(["capture", "pull", capture, "--out"]).arg(out);
        command.env("WEIR_URL", &self.ready.http).env("WEIR_TOKEN", &self.operator);
        let output = command.output().await.unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }
}

fn definition(name: &str, tenants: &[&str], format: &str) -> Value {
    json!({
        "name": name, "tenants": tenants, "format": format, "from": "beginning", "roll": { "rows": 50, "age": "1s" },
        "fields": { "span": "span_id", "text": "attributes.text", "more": "attributes.more" },
    })
}

fn contains(path: &Path, needle: &str) -> bool {
    // Compressed: what is in its bytes shows when they are unpacked.
    let rows = rows_of(path);
    let plain = std::fs::read(path).unwrap();
    let is_plain = plain.windows(needle.len()).any(|window| window == needle.as_bytes());
    is_plain || rows.iter().any(|row| serde_json::to_string(row).unwrap().contains(needle))
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_capture_made_by_request_then_it_lasts_until_it_is_ended_and_only_operators_may() {
    let mut site = Site::start().await;
    let mine = definition("mine", &["acme"], "parquet");
    assert_eq!(site.define(&site.viewer, &mine).await, 403);
    assert_eq!(site.define(&site.operator, &definition("theirs", &["globex"], "parquet")).await, 403);
    assert_eq!(site.define(&site.operator, &definition("all", &["*"], "parquet")).await, 403);
    assert_eq!(site.define(&site.operator, &definition("../up", &["acme"], "parquet")).await, 422);
    assert_eq!(site.define(&site.operator, &mine).await, 201);
    assert_eq!(site.define(&site.operator, &mine).await, 200);
    assert_eq!(site.define(&site.admin, &definition("theirs", &["globex"], "jsonl")).await, 201);
    assert_eq!(site.define(&site.operator, &definition("theirs", &["acme"], "jsonl")).await, 409);
    site.send("acme", 120).await;
    site.send("globex", 30).await;
    site.rows("mine", 120).await;
    site.rows("theirs", 30).await;

    site.weir.kill().unwrap();
    site.ready = site.weir.start().await.unwrap();
    let known = until(PATIENCE, || async {
        (site.get(&site.operator, "/api/v1/captures/mine").await.1["defined_in"] == "request").then_some(())
    });
    assert!(known.await.is_some(), "it is kept over a crash");
    site.send("acme", 30).await;
    site.rows("mine", 150).await;

    let (_, listed) = site.get(&site.viewer, "/api/v1/captures").await;
    let names: Vec<&str> = listed["captures"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["mine"], "what is of others is not shown");
    let file = site.files("mine").await[0]["name"].as_str().unwrap().to_owned();
    for (token, path, status) in [
        (&site.viewer, "/api/v1/captures/mine".to_owned(), 200),
        (&site.viewer, format!("/api/v1/captures/mine/files/{file}"), 403),
        (&site.operator, format!("/api/v1/captures/mine/files/{file}"), 200),
        (&site.operator, "/api/v1/captures/mine/files/manifest.json".to_owned(), 200),
        (&site.writer, "/api/v1/captures/mine".to_owned(), 403),
        (&site.viewer, "/api/v1/captures/theirs".to_owned(), 404),
        (&site.operator, "/api/v1/captures/theirs/files".to_owned(), 404),
    ] {
        assert_eq!(site.get(token, &path).await.0, status, "{path}");
    }
    for name in ["..%2F..%2F..%2Fweir.yaml", "..%2Fmine%2Fmanifest.json", "%2Fetc%2Fpasswd", "nothing", "..", "%00"] {
        let path = format!("/api/v1/captures/mine/files/{name}");
        let (status, answer) = site.get(&site.admin, &path).await;
        assert!([400, 404].contains(&status), "{path}: {status} {answer}");
    }
    for path in ["/api/v1/captures/..%2F_weir", "/api/v1/captures/_weir/files/hmac.key", "/api/v1/captures/_weir/files"]
    {
        assert_eq!(site.get(&site.admin, path).await.0, 404, "{path}");
    }

    let end = |token: String| {
        let site = &site;
        async move { site.ask(Method::DELETE, &token, "/api/v1/captures/mine", &[]).await.status().as_u16() }
    };
    assert_eq!(end(site.viewer.clone()).await, 403);
    assert_eq!(end(site.operator.clone()).await, 204);
    assert_eq!(end(site.operator.clone()).await, 404);
    tokio::time::sleep(Duration::from_secs(1)).await;
    site.send("acme", 20).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (status, answer) = site.get(&site.operator, "/api/v1/captures/mine").await;
    assert_eq!((status, &answer["rows"], &answer["defined_in"]), (200, &json!(150), &Value::Null), "its files stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_file_then_it_is_got_in_pieces_and_a_pull_goes_on_where_it_broke_off() {
    let mut site = Site::start().await;
    assert_eq!(site.define(&site.operator, &definition("mine", &["acme"], "parquet")).await, 201);
    for _ in 0..4 {
        site.send("acme", 50).await;
    }
    site.rows("mine", 200).await;
    let listed = site.files("mine").await;
    let (name, bytes) = (listed[0]["name"].as_str().unwrap(), listed[0]["bytes"].as_u64().unwrap());
    let (path, tag) =
        (format!("/api/v1/captures/mine/files/{name}"), format!("\"{}\"", listed[0]["sha256"].as_str().unwrap()));
    let whole = std::fs::read(site.dataset("mine").join(name)).unwrap();
    let end = bytes as usize;
    for (headers, status, body) in [
        (vec![], StatusCode::OK, &whole[..]),
        (vec![(header::RANGE, "bytes=10-19")], StatusCode::PARTIAL_CONTENT, &whole[10..20]),
        (vec![(header::RANGE, "bytes=-7")], StatusCode::PARTIAL_CONTENT, &whole[end - 7..]),
        (vec![(header::RANGE, "bytes=10-"), (header::IF_RANGE, &tag)], StatusCode::PARTIAL_CONTENT, &whole[10..]),
        (vec![(header::RANGE, "bytes=10-"), (header::IF_RANGE, "\"other\"")], StatusCode::OK, &whole[..]),
        (vec![(header::RANGE, "bytes=99999999-")], StatusCode::RANGE_NOT_SATISFIABLE, &[]),
        (vec![(header::IF_NONE_MATCH, &tag)], StatusCode::NOT_MODIFIED, &[]),
        (vec![(header::IF_NONE_MATCH, "\"other\"")], StatusCode::OK, &whole[..]),
    ] {
        let answer = site.ask(Method::GET, &site.operator, &path, &headers).await;
        assert_eq!(answer.status(), status, "{headers:?}");
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            assert_eq!(answer.headers()[header::CONTENT_RANGE], format!("bytes */{bytes}"));
            continue;
        }
        assert_eq!(answer.headers()[header::ETAG], tag, "{headers:?}");
        assert!(answer.bytes().await.unwrap() == body, "{headers:?}");
    }

    let out = site.folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    // Of one that nobody else asks for, half is there; the audit shows how the rest was asked for.
    let halved = listed[1]["name"].as_str().unwrap();
    let half = std::fs::read(site.dataset("mine").join(halved)).unwrap();
    std::fs::write(out.join(format!("{halved}.part")), &half[..half.len() / 2]).unwrap();
    let (is_right, told) = site.pull("mine", &out).await;
    assert!(is_right, "{told}");
    assert_eq!(Dataset::read(&out).rows.len(), 200);
    let query = format!("attributes.url.path:\"/api/v1/captures/mine/files/{halved}\"");
    let asked = until(PATIENCE, || async {
        let search = format!("/api/v1/logs/search?query={}", query.replace('"', "%22"));
        let hits = site.get(&site.admin, &search).await.1["hits"].as_array()?.clone();
        let status = |hit: &Value| hit["attributes"]["http.response.status_code"].to_string().replace('"', "");
        (!hits.is_empty()).then(|| hits.iter().map(status).collect::<Vec<_>>())
    });
    assert_eq!(asked.await, Some(vec!["206".to_owned()]));

    // Half that is of something else; then a whole one with damage.
    let part = out.join(format!("{name}.part"));
    std::fs::remove_file(out.join(name)).unwrap();
    std::fs::write(&part, vec![b'x'; end / 2]).unwrap();
    let (is_right, told) = site.pull("mine", &out).await;
    assert!(is_right && Dataset::read(&out).rows.len() == 200, "{told}");
    let mut damaged = whole.clone();
    damaged[end / 2] ^= 1;
    std::fs::write(out.join(name), damaged).unwrap();
    let (is_right, told) = site.pull("mine", &out).await;
    assert!(is_right && Dataset::read(&out).rows.len() == 200, "{told}");
    // What the store itself holds is damaged: nothing is given out as whole.
    let mut damaged = whole.clone();
    damaged[end / 2] ^= 1;
    std::fs::write(site.dataset("mine").join(name), damaged).unwrap();
    let (is_right, told) = site.pull("mine", &site.folder.path().join("other")).await;
    assert!(!is_right && told.contains("SHA-256") && told.contains(name), "{told}");
    assert!(!site.folder.path().join("other").join(name).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_preview_then_its_rows_are_those_of_the_dataset_and_nothing_is_written() {
    let mut site = Site::start().await;
    let mut wanted = definition("shown", &["acme"], "jsonl");
    wanted["redact"] = json!([{ "field": "text", "method": "hmac" }]);
    assert_eq!(site.preview(&site.viewer, "", &wanted).await.0, 403);
    for (definition, status) in [
        (definition("theirs", &["globex"], "jsonl"), 403),
        (definition("all", &["*"], "jsonl"), 403),
        (definition("../up", &["acme"], "jsonl"), 422),
        (json!({ "name": "a", "tenants": ["acme"], "query": "a AND", "fields": { "t": "trace_id" } }), 422),
    ] {
        let (refused, problem) = site.preview(&site.operator, "", &definition).await;
        let request = site.client.post(format!("{}/api/v1/captures", site.ready.http)).bearer_auth(&site.operator);
        let created = request.json(&definition).send().await.unwrap();
        assert_eq!((refused, created.status().as_u16()), (status, status), "{problem}");
        assert_eq!(problem, created.json::<Value>().await.unwrap(), "it is refused as a capture is");
    }
    let (status, problem) = site.preview(&site.operator, "?limit=11", &wanted).await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("limit")));

    site.send("acme", 20).await;
    site.send("globex", 20).await;
    let (status, shown) = site.preview(&site.operator, "", &wanted).await;
    assert_eq!((status, &shown["scanned"], &shown["matched"]), (200, &json!(20), &json!(20)), "{shown}");
    assert_eq!((&shown["complete"], &shown["sample"]), (&json!(true), &Value::Null));
    let rows = shown["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 10);
    let names: Vec<&Value> = shown["schema"].as_array().unwrap().iter().map(|column| &column["name"]).collect();
    assert!(names.len() == 8 && names.contains(&&json!("span")) && names.contains(&&json!("_time")), "{names:?}");
    assert_eq!(site.get(&site.admin, "/api/v1/captures").await.1, json!({ "captures": [] }));
    assert!(!site.dataset("shown").exists());

    assert_eq!(site.define(&site.operator, &wanted).await, 201);
    site.rows("shown", 20).await;
    let dataset = Dataset::read(&site.dataset("shown"));
    for row in rows {
        let row = row.as_object().unwrap();
        assert!(dataset.rows.contains(row), "{row:?} is not in {:?}", dataset.rows[0]);
        assert!(!row["text"].as_str().unwrap().contains("secret"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_an_erasure_then_no_byte_of_the_rows_is_left_and_the_others_are_untouched() {
    let mut site = Site::start().await;
    for format in ["parquet", "jsonl"] {
        assert_eq!(site.define(&site.admin, &definition(format, &TENANTS, format)).await, 201);
    }
    let mut traces = Vec::new();
    for n in 0..4 {
        traces.extend(site.send(TENANTS[n % 2], 25).await);
    }
    for format in ["parquet", "jsonl"] {
        site.rows(format, 100).await;
    }
    let trace = traces[3].clone();
    for format in ["parquet", "jsonl"] {
        let erase = |token: &str, query: String| {
            let (site, token) = (&site, token.to_owned());
            async move {
                let answer =
                    site.ask(Method::POST, &token, &format!("/api/v1/captures/{format}/erase?{query}"), &[]).await;
                (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default())
            }
        };
        let of_trace = format!("trace_id={trace}");
        let before = Dataset::read(&site.dataset(format));
        assert_eq!(erase(&site.operator, of_trace.clone()).await.0, 403);
        assert_eq!(erase(&site.admin, String::new()).await.0, 400);
        assert_eq!(erase(&site.admin, "trace_id=12".to_owned()).await.0, 400);
        assert_eq!(erase(&site.admin, of_trace.clone()).await, (200, json!({ "rows": 1, "files": 1 })));
        assert_eq!(erase(&site.admin, of_trace).await, (200, json!({ "rows": 0, "files": 0 })));
        let after = Dataset::read(&site.dataset(format));
        let kept: Vec<_> = before.rows.iter().filter(|row| row["_trace_id"] != json!(trace)).cloned().collect();
        assert_eq!(kept.len(), 99);
        let sorted = |rows: &[super::dataset::Row]| {
            let mut rows: Vec<String> = rows.iter().map(|row| serde_json::to_string(row).unwrap()).collect();
            rows.sort_unstable();
            rows
        };
        assert!(sorted(&after.rows) == sorted(&kept), "{format}: other rows are as they were");
        assert_eq!(after.manifest["positions"], before.manifest["positions"]);

        let (status, answer) = erase(&site.admin, "tenant=globex".to_owned()).await;
        assert_eq!((status, &answer["rows"]), (200, &json!(50)), "{answer}");
        let after = Dataset::read(&site.dataset(format));
        assert!(after.rows.iter().all(|row| row["_tenant"] == "acme"));
        for file in after.manifest["files"].as_array().unwrap() {
            let path = site.dataset(format).join(file["name"].as_str().unwrap());
            assert!(!contains(&path, "secret of globex") && !contains(&path, &trace), "{}", path.display());
        }
        assert_eq!(after.rows.len(), 49);
    }
    // A capture that goes on does so behind what was erased.
    site.send("globex", 10).await;
    site.rows("parquet", 59).await;
    assert!(site.weir.stop().await.unwrap().success());
    check_clean(&site.weir.data_dir());
    assert_eq!(Dataset::read(&site.dataset("parquet")).rows.len(), 59);
}
