//! The console behind a real server: what a browser gets, and what it is refused.

use std::time::Duration;

use axum::extract::Extension;
use http::{Method, StatusCode, header};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use weir_service::auth::{self, Access, Auth, Credential, Role, tokens};
use weir_service::health::Health;
use weir_service::http::{Route, Routes, Server};
use weir_service::telemetry::Telemetry;

use super::{Console, PAGES, Roles};

/// A server with a console, beside an API that says who asks.
struct Site {
    url: String,
    client: Client,
    folder: tempfile::TempDir,
    _stop: tokio_util::sync::DropGuard,
}

impl Site {
    async fn start(with_auth: bool) -> Self {
        // An error says that a provider is there already, which is what is needed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.yaml");
        std::fs::write(&file, "").unwrap();
        let options = auth::Options { tokens: Some(file), ..auth::Options::default() };
        let meter = Telemetry::detached().unwrap().meter();
        let auth = if with_auth { Auth::open(&options, folder.path(), &meter).unwrap() } else { Auth::off() };
        let who = |Extension(credential): Extension<Credential>| async move { axum::Json(credential) };
        let api = Routes::new()
            .on(Route::get("/api/v1/mine", Access::Read, ""), who)
            .on(Route::post("/api/v1/mine", Access::Read, ""), who);
        let console = Console::open(auth.clone(), false, Roles::Here(Health::default()));
        let bound = Server::bind("127.0.0.1:0", false).await.unwrap();
        let url = format!("http://{}", bound.address());
        let server = bound.routes(api.merge(console.routes())).auth(auth.clone()).before(console.before());
        let stop = CancellationToken::new();
        tokio::spawn(server.serve(stop.clone()));
        tokio::spawn(auth.follow(stop.clone()));
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { url, client, folder, _stop: stop.drop_guard() }
    }

    /// A new token, once the server knows it.
    async fn token(&self, name: &str) -> String {
        let file = self.folder.path().join("tokens.yaml");
        let token = tokens::add(&file, name, Role::Viewer, &["acme".to_owned()], None).unwrap();
        for _ in 0..100 {
            if self.ask(Method::GET, "/api/v1/mine").bearer_auth(&token).send().await.unwrap().status() == 200 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        token
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// As the console's own page asks.
    fn of_page(&self, method: Method, path: &str, cookie: &str) -> RequestBuilder {
        self.ask(method, path).header("sec-fetch-site", "same-origin").header(header::COOKIE, cookie)
    }

    async fn sign_in(&self, token: &str) -> Response {
        self.of_page(Method::POST, "/auth/session", "").json(&json!({ "token": token })).send().await.unwrap()
    }
}

fn cookie(response: &Response) -> String {
    let set = response.headers().get(header::SET_COOKIE).unwrap().to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

async fn json_of(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn given_a_token_then_a_session_shows_it_to_the_api_until_sign_out() {
    let site = Site::start(true).await;
    let token = site.token("alice").await;
    let (_, nobody) = json_of(site.ask(Method::GET, "/auth/session")).await;
    let right = json!({"auth": true, "tokens": true, "oidc": false, "callback": null,
        "version": env!("CARGO_PKG_VERSION"), "user": null});
    assert_eq!(nobody, right);
    assert_eq!(site.ask(Method::GET, "/api/v1/mine").send().await.unwrap().status(), 401);

    let answer = site.sign_in(&token).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let set = answer.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(set.starts_with("weir_session=") && set.ends_with("; HttpOnly; SameSite=Strict; Path=/"), "{set}");
    assert!(!set.contains(&token));
    let cookie = cookie(&answer);
    let user = json!({"name": "alice", "role": "viewer", "tenants": ["acme"]});
    assert_eq!(answer.json::<Value>().await.unwrap()["user"], user);
    for path in ["/api/v1/mine", "/api/v1/whoami"] {
        assert_eq!(json_of(site.of_page(Method::GET, path, &cookie)).await, (200, user.clone()), "{path}");
    }
    assert_eq!(json_of(site.of_page(Method::GET, "/auth/session", &cookie)).await.1["user"], user);
    // One's own credential wins over the cookie.
    let own = site.of_page(Method::GET, "/api/v1/mine", &cookie).bearer_auth("weir_wrong");
    assert_eq!(own.send().await.unwrap().status(), 401);

    let answer = site.of_page(Method::DELETE, "/auth/session", &cookie).send().await.unwrap();
    assert!(answer.headers()[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"redirect": null}));
    assert_eq!(site.of_page(Method::GET, "/api/v1/mine", &cookie).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn given_wrong_tokens_then_each_is_refused_and_many_are_told_to_wait() {
    let site = Site::start(true).await;
    let mut seen = Vec::new();
    for n in 0..31 {
        let answer = site.sign_in(&format!("weir_{n}")).await;
        assert!(answer.headers().get(header::SET_COOKIE).is_none());
        seen.push(answer.status().as_u16());
    }
    assert_eq!((seen[0], seen[30]), (401, 429), "{seen:?}");
    let not_json = site.of_page(Method::POST, "/auth/session", "").body("token=weir_x").send().await.unwrap();
    assert_eq!(not_json.status(), 415);
}

#[tokio::test]
async fn given_a_revoked_token_then_its_session_ends() {
    let site = Site::start(true).await;
    let token = site.token("alice").await;
    let cookie = cookie(&site.sign_in(&token).await);
    tokens::revoke(&site.folder.path().join("tokens.yaml"), "alice").unwrap();
    for _ in 0..100 {
        if site.of_page(Method::GET, "/api/v1/mine", &cookie).send().await.unwrap().status() == 401 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(json_of(site.of_page(Method::GET, "/auth/session", &cookie)).await.1["user"], Value::Null);
    // A session that is no more is no wrong credential.
    let answer = site.of_page(Method::GET, "/api/v1/mine", &cookie).send().await.unwrap();
    assert!(!answer.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().contains("invalid_token"));
}

#[tokio::test]
async fn given_another_site_then_it_cannot_make_a_browser_write_and_no_answer_lets_it_read() {
    for with_auth in [true, false] {
        let site = Site::start(with_auth).await;
        let cookie = if with_auth { cookie(&site.sign_in(&site.token("alice").await).await) } else { String::new() };
        for (name, value, right) in [
            ("sec-fetch-site", "cross-site", 403),
            ("sec-fetch-site", "same-site", 403),
            ("origin", "http://evil.example", 403),
            ("origin", "null", 403),
            ("origin", site.url.as_str(), 200),
            ("sec-fetch-site", "same-origin", 200),
        ] {
            let request = site.ask(Method::POST, "/api/v1/mine").header(header::COOKIE, &cookie).header(name, value);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().as_u16(), right, "{name}: {value}, auth {with_auth}");
        }
        let plain = site.ask(Method::POST, "/api/v1/mine").header(header::COOKIE, &cookie).send().await.unwrap();
        assert_eq!(plain.status().as_u16(), if with_auth { 403 } else { 200 }, "no browser, auth {with_auth}");
        for method in [Method::GET, Method::OPTIONS] {
            for path in ["/api/v1/mine", "/auth/session", "/"] {
                let request = site.ask(method.clone(), path).header("origin", "http://evil.example");
                let answer = request.header("access-control-request-method", "POST").send().await.unwrap();
                let names: Vec<_> = answer.headers().keys().map(http::HeaderName::as_str).collect();
                assert!(!names.iter().any(|name| name.starts_with("access-control-")), "{path}: {names:?}");
            }
        }
    }
}

#[tokio::test]
async fn every_page_is_open_and_under_the_policy_and_assets_are_compressed() {
    let site = Site::start(true).await;
    for path in PAGES {
        let answer = site.ask(Method::GET, &path.replace("{trace_id}", "4bf9")).send().await.unwrap();
        let headers = answer.headers();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(headers[header::CACHE_CONTROL], "no-cache", "{path}");
        assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().ends_with("frame-ancestors 'none'"));
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
        assert!(answer.text().await.unwrap().contains("<title>"), "{path}");
    }
    let missing = site.ask(Method::GET, "/assets/none-1.js").send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(missing.headers()[header::CONTENT_TYPE], "application/problem+json");
    for (name, _) in super::assets::names().filter(|(_, size)| *size > 2048) {
        let request = site.ask(Method::GET, &format!("/{name}")).header(header::ACCEPT_ENCODING, "gzip");
        let answer = request.send().await.unwrap();
        let is_text = [".js", ".css"].iter().any(|ending| name.ends_with(ending));
        assert_eq!(answer.headers().contains_key(header::CONTENT_ENCODING), is_text, "{name}");
    }
}

#[tokio::test]
async fn without_auth_everybody_is_signed_in_and_there_is_nothing_to_sign_in_with() {
    let site = Site::start(false).await;
    let (_, session) = json_of(site.ask(Method::GET, "/auth/session")).await;
    let right = json!({"auth": false, "tokens": false, "oidc": false, "callback": null,
        "version": env!("CARGO_PKG_VERSION"), "user": {"name": "", "role": "admin", "tenants": ["*"]}});
    assert_eq!(session, right);
    assert_eq!(site.sign_in("weir_x").await.status(), 409);
    assert_eq!(site.ask(Method::GET, "/auth/login?return=/logs").send().await.unwrap().status(), 404);
    let (_, roles) = json_of(site.ask(Method::GET, "/api/v1/roles")).await;
    assert_eq!((&roles["roles"][0]["role"], &roles["roles"][0]["ready"]), (&json!("standalone"), &json!(true)));
}
