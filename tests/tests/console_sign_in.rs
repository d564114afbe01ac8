//! Signing in to the console at a real Keycloak, with an HTTP client that does what a browser does: it keeps cookies by
//! host, follows what it is redirected to, and fills in the provider's form.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, Response, Url};
use serde_json::{Value, json};
use weir_tests::keycloak::{Keycloak, Realm};
use weir_tests::{Weir, client, skip};

/// Cookies by name, of one host.
type Cookies = BTreeMap<String, String>;

/// A browser with a tab of the console.
struct Browser {
    client: Client,
    console: String,
    own: Cookies,
    provider: Cookies,
}

fn keep(cookies: &mut Cookies, answer: &Response) {
    for set in answer.headers().get_all(SET_COOKIE) {
        let (pair, rest) = set.to_str().unwrap().split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        if rest.contains("Max-Age=0") || value.is_empty() {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

fn header(cookies: &Cookies) -> String {
    cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

impl Browser {
    fn new(console: &str) -> Self {
        let client = client().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { client, console: console.to_owned(), own: Cookies::new(), provider: Cookies::new() }
    }

    /// What the console's page asks, as its script does.
    async fn ask(&mut self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.console));
        request = request.header("sec-fetch-site", "same-origin").header(COOKIE, header(&self.own));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        keep(&mut self.own, &answer);
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn user(&mut self) -> Value {
        self.ask(Method::GET, "/auth/session", None).await.1["user"].take()
    }

    /// To the provider and back: the address that the provider sends the browser to.
    async fn answer_of_the_provider(&mut self, user: &str, return_to: &str) -> Url {
        let mut login = Url::parse(&format!("{}/auth/login", self.console)).unwrap();
        login.query_pairs_mut().append_pair("return", return_to);
        let sent = self.client.get(login).header(COOKIE, header(&self.own)).send().await.unwrap();
        assert_eq!(sent.status(), 302);
        for set in sent.headers().get_all(SET_COOKIE) {
            assert!(set.to_str().unwrap().contains("; HttpOnly; SameSite=Strict; Path=/"), "{set:?}");
        }
        keep(&mut self.own, &sent);
        let form = self.client.get(sent.headers()[LOCATION].to_str().unwrap()).send().await.unwrap();
        keep(&mut self.provider, &form);
        let page = form.text().await.unwrap();
        let action = page.split("action=\"").nth(1).and_then(|rest| rest.split('"').next());
        let action = action.unwrap_or_else(|| panic!("no form: {page}")).replace("&amp;", "&");
        let filled = Url::parse_with_params("form:", [("username", user), ("password", user)]).unwrap();
        let request = self.client.post(action).header("content-type", "application/x-www-form-urlencoded");
        let request = request.header(COOKIE, header(&self.provider)).body(filled.query().unwrap().to_owned());
        let back = request.send().await.unwrap();
        assert_eq!(back.status(), 302, "the provider takes the password");
        keep(&mut self.provider, &back);
        back.headers()[LOCATION].to_str().unwrap().parse().unwrap()
    }

    /// What the page does at the address that the provider sends the browser to.
    async fn finish(&mut self, back: &Url) -> (u16, Value) {
        // A request of another site: no strict cookie comes with it, and the page is all that is given.
        let page = self.client.get(back.clone()).header("sec-fetch-site", "cross-site").send().await.unwrap();
        assert!(page.status() == 200 && page.headers()["content-type"] == "text/html; charset=utf-8");
        assert!(page.headers().get(SET_COOKIE).is_none());
        let of = |name: &str| back.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        let body = json!({"code": of("code"), "state": of("state")});
        self.ask(Method::POST, "/auth/callback", Some(body)).await
    }

    async fn sign_in(&mut self, user: &str, return_to: &str) -> (u16, Value) {
        let back = self.answer_of_the_provider(user, return_to).await;
        self.finish(&back).await
    }
}

struct Site {
    realm: Realm,
    weir: Weir,
    url: String,
    _folder: tempfile::TempDir,
}

/// A weir whose console signs in by a client of its own, whose access tokens live for so many seconds.
async fn site(seconds: &str, callback: &str) -> Option<Site> {
    let keycloak = match Keycloak::shared().await {
        Ok(keycloak) => keycloak,
        Err(error) => {
            skip("keycloak", &format!("{error:#}"));
            return None;
        }
    };
    let realm = Realm::create(&keycloak).await.unwrap();
    realm.add_client("console", "weir", &[("access.token.lifespan", seconds)]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    // The provider is told the address before weir has it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut weir = weir(folder.path(), port, &realm.issuer(), callback);
    let url = weir.start().await.unwrap().http;
    Some(Site { realm, weir, url, _folder: folder })
}

fn weir(folder: &Path, port: u16, issuer: &str, callback: &str) -> Weir {
    let config = json!({
        "listen": format!("127.0.0.1:{port}"),
        "collector": {"otlp": {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0"}, "host": null},
        "auth": {"oidc": {
            "issuer": issuer, "audience": "weir", "client_id": "console",
            "redirect_url": format!("http://127.0.0.1:{port}{callback}"),
        }},
    });
    Weir::new("standalone", folder, &config).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_user_of_keycloak_then_the_browser_gets_a_session_and_never_a_token() {
    let Some(site) = site("900", "/auth/callback").await else { return };
    let mut alice = Browser::new(&site.url);
    let (_, session) = alice.ask(Method::GET, "/auth/session", None).await;
    let told = (&session["oidc"], &session["callback"], &session["user"]);
    assert_eq!(told, (&json!(true), &json!("/auth/callback"), &Value::Null));

    let (status, answer) = alice.sign_in("alice", "/logs?query=a&live=1").await;
    assert_eq!((status, answer), (200, json!({"return": "/logs?query=a&live=1"})));
    assert_eq!(alice.user().await, json!({"name": "alice", "role": "viewer", "tenants": ["acme"]}));
    assert_eq!(alice.own.keys().collect::<Vec<_>>(), ["weir_session"]);
    assert_eq!(alice.own["weir_session"].len(), 43);
    assert_eq!(alice.ask(Method::GET, "/api/v1/logs/count", None).await.0, 200);
    assert_eq!(alice.ask(Method::GET, "/api/v1/logs/count?tenant=globex", None).await.0, 403);

    // A page elsewhere has the browser send the cookie, were it not strict.
    let forged = alice.client.post(format!("{}/api/v1/logs/count", site.url)).header(COOKIE, header(&alice.own));
    let forged = forged.header("origin", "https://evil.example").json(&json!({})).send().await.unwrap();
    assert_eq!(forged.status(), 403);

    let old = alice.own.clone();
    let (status, out) = alice.ask(Method::DELETE, "/auth/session", None).await;
    let redirect = Url::parse(out["redirect"].as_str().unwrap()).unwrap();
    assert!(status == 200 && redirect.path().ends_with("/protocol/openid-connect/logout"), "{out}");
    assert!(alice.own.is_empty(), "{:?}", alice.own);
    alice.own = old;
    assert_eq!(alice.user().await, Value::Null, "the cookie is worth nothing more");
    // Keycloak takes the hint, asks nothing, and forgets the user: the next sign-in shows the form again.
    let ended = alice.client.get(redirect).header(COOKIE, header(&alice.provider)).send().await.unwrap();
    assert!(ended.status().is_success() || ended.status().is_redirection(), "{}", ended.status());
    alice.own.clear();
    assert_eq!(alice.sign_in("alice", "//evil.example").await, (200, json!({"return": "/"})));
    assert!(!site.weir.stderr().contains("eyJ"), "no token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn given_an_answer_that_is_not_of_this_browsers_sign_in_then_nobody_is_signed_in() {
    let Some(site) = site("900", "/auth/callback").await else { return };
    // The state of another attempt.
    let mut bob = Browser::new(&site.url);
    let back = bob.answer_of_the_provider("bob", "/").await;
    let mut forged = back.clone();
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    forged.query_pairs_mut().clear().append_pair("code", &code).append_pair("state", "forged");
    assert_eq!(bob.finish(&forged).await.0, 403);
    // The attempt is not spent by that, as the answer to one of another tab would be such a one, but by its own answer.
    assert_eq!(bob.finish(&back).await.0, 200);
    assert_eq!(bob.finish(&back).await.0, 403);

    // An attacker's answer in a victim's browser, which has begun no sign-in, or another one.
    let mut mallory = Browser::new(&site.url);
    let of_mallory = mallory.answer_of_the_provider("bob", "/").await;
    let mut victim = Browser::new(&site.url);
    assert_eq!(victim.finish(&of_mallory).await.0, 403);
    victim.answer_of_the_provider("alice", "/").await;
    assert_eq!(victim.finish(&of_mallory).await.0, 403);
    assert_eq!(victim.user().await, Value::Null);

    // A code that is none, and one that was used.
    let mut alice = Browser::new(&site.url);
    let mut wrong = alice.answer_of_the_provider("alice", "/").await;
    let state = wrong.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    wrong.query_pairs_mut().clear().append_pair("code", "none").append_pair("state", &state);
    assert_eq!(alice.finish(&wrong).await.0, 401);
    let back = mallory.finish(&of_mallory).await;
    assert_eq!(back.0, 200, "its own browser has it: {}", back.1);
    assert_eq!(mallory.finish(&of_mallory).await.0, 403);

    // A user without a role has an access token that the door refuses.
    let mut guest = Browser::new(&site.url);
    assert_eq!(guest.sign_in("guest", "/").await.0, 403);
    assert!(!guest.own.contains_key("weir_session"));
}

#[tokio::test(flavor = "multi_thread")]
async fn given_access_tokens_that_end_soon_then_a_session_renews_them_until_the_provider_refuses() {
    // Shorter than the margin: each use renews.
    let Some(site) = site("20", "/sign-in").await else { return };
    let mut alice = Browser::new(&site.url);
    assert_eq!(alice.sign_in("alice", "/gpus").await, (200, json!({"return": "/gpus"})));
    let begun = Instant::now();
    // Longer than the first token is good for, with the skew of clocks that the door grants.
    while begun.elapsed() < Duration::from_secs(20 + 60 + 5) {
        let asked = (0..4).map(|_| {
            let request = alice.client.get(format!("{}/api/v1/whoami", site.url));
            request.header(COOKIE, header(&alice.own)).send()
        });
        for answer in futures::future::join_all(asked).await {
            assert_eq!(answer.unwrap().status(), 200, "after {:?}", begun.elapsed());
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    site.realm.sign_out("alice").await.unwrap();
    // The token is good for some seconds still, while it is renewed.
    let ended = Instant::now() + Duration::from_secs(15);
    while alice.user().await != Value::Null {
        assert!(Instant::now() < ended, "the provider renews no more");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(alice.ask(Method::GET, "/api/v1/whoami", None).await.0, 401);
}
