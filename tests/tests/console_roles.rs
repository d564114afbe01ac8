//! The console as a process of its own, in front of others: what it passes on, for whom, and what it says where a role is
//! away. One weir that runs all rooms stands for the roles.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use weir_service::auth::{Role, tokens};
use weir_tests::weir::Ready;
use weir_tests::{Weir, client, until};

const PATIENCE: Duration = Duration::from_secs(30);

struct Site {
    _weir: Weir,
    ready: Ready,
    console: Weir,
    url: String,
    client: Client,
    folder: tempfile::TempDir,
}

impl Site {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let auth = json!({"tokens": folder.path().join("tokens.yaml")});
        std::fs::write(folder.path().join("tokens.yaml"), "").unwrap();
        let config = json!({
            "listen": "127.0.0.1:0",
            "collector": {"otlp": {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0"}, "host": null},
            "reflow": null,
            "auth": auth,
        });
        let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config).unwrap();
        let ready = weir.start().await.unwrap();
        let mut console = Self::console(folder.path(), &ready.http, &auth);
        let url = console.start().await.unwrap().http;
        // Nothing is followed: a redirection is an answer.
        let client = client().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { _weir: weir, ready, console, url, client, folder }
    }

    /// Captures are nowhere, and usage is where nobody listens.
    fn console(folder: &Path, url: &str, auth: &Value) -> Weir {
        let roles = json!({"indexer": url, "alerter": url, "usage": "http://127.0.0.1:1"});
        let config = json!({"listen": "127.0.0.1:0", "auth": auth, "console": roles});
        Weir::new("console", &folder.join("console"), &config).unwrap()
    }

    /// A new token, once both know it.
    async fn token(&self, name: &str, role: Role, tenants: &[&str]) -> String {
        let tenants: Vec<String> = tenants.iter().map(|tenant| (*tenant).to_owned()).collect();
        let token = tokens::add(&self.folder.path().join("tokens.yaml"), name, role, &tenants, None).unwrap();
        for url in [&self.ready.http, &self.url] {
            let known = until(PATIENCE, || async {
                let answer = self.client.get(format!("{url}/api/v1/whoami")).bearer_auth(&token).send().await;
                (answer.ok()?.status() == 200).then_some(())
            });
            known.await.unwrap();
        }
        token
    }

    fn ask(&self, method: Method, token: &str, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(token)
    }

    async fn get(&self, token: &str, path: &str) -> (u16, Value) {
        let answer = self.ask(Method::GET, token, path).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn line(&self, writer: &str, text: &str) {
        let body = json!({"resourceLogs": [{"resource": {}, "scopeLogs": [
            {"logRecords": [{"body": {"stringValue": text}}]}]}]});
        let url = format!("{}/v1/logs", self.ready.otlp_http.as_deref().unwrap());
        let answer = self.client.post(url).bearer_auth(writer).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_roles_apart_then_each_request_goes_to_its_role_with_the_visitors_own_credential() {
    let site = Site::start().await;
    let alice = site.token("alice", Role::Viewer, &["acme"]).await;
    let root = site.token("root", Role::Admin, &["*"]).await;
    for tenant in ["acme", "globex"] {
        let writer = site.token(tenant, Role::Writer, &[tenant]).await;
        site.line(&writer, &format!("parcel of q{tenant}")).await;
    }
    let count = "/api/v1/logs/count?query=parcel";
    let both = until(PATIENCE, || async { (site.get(&root, count).await.1["count"] == 2).then_some(()) });
    both.await.unwrap();

    // Whose data it is, the role decides by the credential, and `tenant` reaches it.
    let (status, own) = site.get(&alice, count).await;
    assert_eq!((status, &own["count"]), (200, &json!(1)));
    assert_eq!(site.get(&root, &format!("{count}&tenant=globex")).await.1["count"], 1);
    assert_eq!(site.get(&alice, &format!("{count}&tenant=globex")).await.0, 403);
    let (status, found) = site.get(&alice, "/api/v1/logs/search?query=parcel").await;
    assert!(status == 200 && found.to_string().contains("qacme") && !found.to_string().contains("qglobex"), "{found}");
    let form = site.ask(Method::POST, &root, "/api/v1/logs/count").json(&json!({"query": "parcel", "tenant": "acme"}));
    assert_eq!(form.send().await.unwrap().json::<Value>().await.unwrap()["count"], 1);
    // The role's own errors are the answers, for this API and for others.
    let (status, wrong) = site.get(&alice, "/api/v1/logs/count?qeury=a").await;
    assert_eq!((status, wrong["parameter"].as_str()), (400, Some("qeury")));
    assert_eq!(site.get(&alice, "/prometheus/api/v1/query?query=vector(1)&x=y").await.1["status"], "success");
    assert_eq!(site.get(&alice, "/elastic/").await.0, 200);
    let erase = site.ask(Method::POST, &alice, "/api/v1/logs/erase?tenant=acme").send().await.unwrap();
    assert_eq!(erase.status(), 403);
    // Nobody gets past the console without a credential.
    let none = site.client.get(format!("{}{count}", site.url)).send().await.unwrap();
    assert_eq!(none.status(), 401);
    assert!(!site.console.stderr().contains(&alice), "no token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_session_then_a_live_tail_streams_through_and_ends_with_its_credential() {
    let site = Site::start().await;
    let alice = site.token("alice", Role::Viewer, &["acme"]).await;
    let writer = site.token("writer", Role::Writer, &["acme"]).await;
    let signed = site.client.post(format!("{}/auth/session", site.url)).header("sec-fetch-site", "same-origin");
    let signed = signed.json(&json!({"token": alice})).send().await.unwrap();
    let cookie = signed.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let tail = site.client.get(format!("{}/api/v1/logs/tail", site.url)).header("cookie", &cookie);
    let tail = tail.timeout(Duration::from_mins(2)).send().await.unwrap();
    assert_eq!(tail.status(), 200);
    assert_eq!(tail.headers()["content-type"], "text/event-stream");
    let mut stream = tail.bytes_stream();
    let mut seen = String::new();
    for n in 0..3 {
        let wanted = format!("live line {n}");
        // Each is there before the next is sent: nothing waits for more.
        let came = until(PATIENCE, || async {
            site.line(&writer, &wanted).await;
            Some(())
        });
        came.await.unwrap();
        while !seen.contains(&wanted) {
            let piece = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap();
            seen.push_str(&String::from_utf8_lossy(&piece));
        }
    }
    tokens::revoke(&site.folder.path().join("tokens.yaml"), "alice").unwrap();
    let ended = tokio::time::timeout(PATIENCE, async { while let Some(Ok(_)) = stream.next().await {} });
    ended.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_role_that_is_away_then_it_is_named_and_the_others_answer() {
    let site = Site::start().await;
    let alice = site.token("alice", Role::Viewer, &["acme"]).await;
    let (status, away) = site.get(&alice, "/api/v1/usage").await;
    let detail = away["detail"].as_str().unwrap();
    assert_eq!(status, 502, "{away}");
    assert!(detail.starts_with("the role usage at http://127.0.0.1:1 does not answer: "), "{detail}");
    let (status, nowhere) = site.get(&alice, "/api/v1/captures").await;
    assert_eq!(status, 404);
    assert!(nowhere["detail"].as_str().unwrap().contains("`console.reflow`"), "{nowhere}");
    assert_eq!(site.get(&alice, "/api/v1/nothing").await.0, 404);
    assert_eq!(site.get(&alice, "/api/v1/logs/count").await.0, 200);

    let (_, roles) = site.get(&alice, "/api/v1/roles").await;
    let shown: Vec<_> = roles["roles"].as_array().unwrap().iter().collect();
    let names: Vec<_> = shown.iter().map(|role| role["role"].as_str().unwrap()).collect();
    assert_eq!(names, ["indexer", "alerter", "usage"]);
    assert_eq!((&shown[0]["ready"], &shown[0]["url"]), (&json!(true), &json!(site.ready.http)));
    assert_eq!(shown[0]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&shown[2]["reachable"], &shown[2]["ready"]), (&json!(false), &json!(false)));
    assert!(shown[2]["error"].as_str().unwrap().contains("onnection refused"), "{roles}");
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_role_that_asks_for_no_credential_then_a_console_that_does_passes_it_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.yaml");
    let alice = tokens::add(&file, "alice", Role::Viewer, &["acme".to_owned()], None).unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "collector": {"otlp": {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0"}, "host": null},
    });
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config).unwrap();
    let ready = weir.start().await.unwrap();
    let mut console = Site::console(folder.path(), &ready.http, &json!({"tokens": file}));
    let url = console.start().await.unwrap().http;
    let get = async |path: &str| {
        let answer = client().build().unwrap().get(format!("{url}{path}")).bearer_auth(&alice).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, refused) = get("/api/v1/logs/count").await;
    assert!(status == 502 && refused["detail"].as_str().unwrap().contains("asks for no credential"), "{refused}");
    let (_, roles) = get("/api/v1/roles").await;
    assert!(roles["roles"][0]["error"].as_str().unwrap().contains("asks for no credential"), "{roles}");
}
