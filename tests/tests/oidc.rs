//! Access tokens of a real Keycloak: whose data they show, and which of them are refused, while keys change and the
//! provider is away.
//!
//! How long it is away comes from `WEIR_OUTAGE`, in seconds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

#[path = "oidc/token.rs"]
mod token;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::WWW_AUTHENTICATE;
use serde_json::{Value, json};
use tokio::sync::RwLock;
use weir_tests::keycloak::{Keycloak, Realm};
use weir_tests::weir::Ready;
use weir_tests::{Api, Weir, number, skip, until};

use token::Token;

/// For what takes a moment; unknown keys make weir ask its provider every few seconds only.
const PATIENCE: Duration = Duration::from_mins(1);
/// Clocks may differ by so much: an expired token is taken for so long.
const SKEW: Duration = Duration::from_mins(1);
/// The provider is asked for the sake of unknown keys once in five seconds.
const LEAST_PAUSE: Duration = Duration::from_secs(6);

/// Written by those for whom the provider is away.
static PROVIDER: RwLock<()> = RwLock::const_new(());

async fn keycloak() -> Option<Arc<Keycloak>> {
    match Keycloak::shared().await {
        Ok(keycloak) => Some(keycloak),
        Err(error) => {
            skip("keycloak", &format!("{error:#}"));
            None
        }
    }
}

fn weir(folder: &Path, issuer: &str) -> Weir {
    let config = json!({
        "listen": "127.0.0.1:0",
        "collector": { "otlp": { "grpc": "127.0.0.1:0", "http": "127.0.0.1:0" }, "host": null },
        "auth": { "oidc": {
            "issuer": issuer,
            "audience": "weir",
            "tenants_claim": "weir_tenants",
            "roles_claim": "realm_access.roles",
            "roles": {
                "viewer": "weir-viewer", "writer": "weir-writer", "operator": "weir-operator", "admin": "weir-admin",
            },
        }},
    });
    Weir::new("standalone", folder, &config).unwrap()
}

/// Status of `whoami`, and its body or, where the token is refused, the challenge.
async fn whoami(ready: &Ready, token: Option<&str>) -> (u16, Value) {
    let mut request = reqwest::Client::new().get(format!("{}/api/v1/whoami", ready.http));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    let challenge = answer.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned());
    match answer.status().as_u16() {
        401 => (401, challenge.into()),
        status => (status, answer.json().await.unwrap()),
    }
}

async fn status(ready: &Ready, token: &str) -> u16 {
    whoami(ready, Some(token)).await.0
}

async fn until_status(ready: &Ready, token: &str, wanted: u16) {
    let seen = until(PATIENCE, || async { (status(ready, token).await == wanted).then_some(()) }).await;
    assert!(seen.is_some(), "{:?} instead of {wanted}", whoami(ready, Some(token)).await);
}

/// Sends lines of a tenant over OTLP; the status of the answer.
async fn send(ready: &Ready, token: Option<&str>, tenant: Option<&str>, lines: usize) -> u16 {
    let attributes: Vec<_> =
        tenant.iter().map(|tenant| json!({ "key": "weir.tenant", "value": { "stringValue": tenant } })).collect();
    let logs: Vec<_> = (0..lines).map(|n| json!({ "body": { "stringValue": format!("parcel {n}") } })).collect();
    let body = json!({ "resourceLogs": [{
        "resource": { "attributes": attributes },
        "scopeLogs": [{ "logRecords": logs }],
    }]});
    let mut request = reqwest::Client::new().post(format!("{}/v1/logs", ready.otlp_http.as_ref().unwrap())).json(&body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn given_users_of_a_realm_then_their_tokens_carry_the_claims_that_weir_reads() {
    let Some(keycloak) = keycloak().await else { return };
    let _up = PROVIDER.read().await;
    let realm = Realm::create(&keycloak).await.unwrap();
    for (user, role, tenants) in [
        ("alice", "weir-viewer", json!(["acme"])),
        ("bob", "weir-operator", json!(["globex", "initech"])),
        ("root", "weir-admin", json!(["*"])),
        ("walter", "weir-writer", json!(["acme", "globex", "initech"])),
    ] {
        let Token { header, claims, .. } = Token::read(&realm.token(user, user).await.unwrap());
        assert_eq!((&header["alg"], &claims["aud"]), (&json!("RS256"), &json!("weir")), "{user}");
        assert_eq!(claims["iss"], realm.issuer().as_str());
        let mut found: Vec<_> = claims["weir_tenants"].as_array().unwrap().iter().map(ToString::to_string).collect();
        found.sort();
        let wanted: Vec<_> = tenants.as_array().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!((found, &claims["realm_access"]["roles"]), (wanted, &json!([role])), "{user}");
    }
    assert!(realm.token("alice", "bob").await.is_err(), "a wrong password");
}

#[tokio::test(flavor = "multi_thread")]
async fn given_tokens_of_users_then_each_sees_and_does_what_its_role_and_tenants_allow() {
    let Some(keycloak) = keycloak().await else { return };
    let _up = PROVIDER.read().await;
    let realm = Realm::create(&keycloak).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut weir = weir(folder.path(), &realm.issuer());
    let ready = weir.start().await.unwrap();
    let mut tokens = std::collections::BTreeMap::new();
    for (user, role, tenants) in [
        ("alice", "viewer", json!(["acme"])),
        ("bob", "operator", json!(["globex", "initech"])),
        ("root", "admin", json!(["*"])),
        ("walter", "writer", json!(["acme", "globex", "initech"])),
    ] {
        let token = realm.token(user, user).await.unwrap();
        until_status(&ready, &token, 200).await;
        let right = json!({ "name": user, "role": role, "tenants": tenants });
        assert_eq!(whoami(&ready, Some(&token)).await, (200, right));
        tokens.insert(user, token);
    }
    let guest = realm.token("guest", "guest").await.unwrap();
    assert_eq!(status(&ready, &guest).await, 403, "without a role");
    for algorithm in ["ES256", "EdDSA"] {
        realm.add_client(algorithm, "weir", &[("access.token.signed.response.alg", algorithm)]).await.unwrap();
        let token = realm.token_of(algorithm, "alice", "alice").await.unwrap();
        assert_eq!(Token::read(&token).header["alg"], algorithm);
        assert_eq!(status(&ready, &token).await, 200, "{algorithm}");
    }

    let token = |user: &str| Some(tokens[user].as_str());
    for (user, tenant, lines, right) in [
        (token("walter"), Some("acme"), 1, 200),
        (token("walter"), Some("globex"), 2, 200),
        (token("walter"), Some("initech"), 4, 200),
        (token("walter"), None, 8, 403),
        (token("walter"), Some("umbrella"), 8, 403),
        (token("alice"), Some("acme"), 8, 403),
        (token("root"), Some("acme"), 8, 403),
        (None, Some("acme"), 8, 401),
    ] {
        let who = user.map(|token| Token::read(token).claims["preferred_username"].to_string());
        assert_eq!(send(&ready, user, tenant, lines).await, right, "{who:?} sends lines of {tenant:?}");
    }
    let api = Api::new(&ready.http).unwrap();
    let root = api.with_token(&tokens["root"]);
    let all = until(PATIENCE, || async { (root.count("parcel").await.ok()? == 7).then_some(()) }).await;
    assert!(all.is_some(), "{:?} of 7 lines are found", root.count("parcel").await);
    for (user, tenant, right) in [
        ("alice", None, Ok(1)),
        ("alice", Some("acme"), Ok(1)),
        ("alice", Some("globex"), Err(403)),
        ("bob", None, Ok(6)),
        ("bob", Some("initech"), Ok(4)),
        ("bob", Some("acme"), Err(403)),
        ("root", Some("globex"), Ok(2)),
        ("walter", None, Err(403)),
    ] {
        let mut query = vec![("query", "parcel")];
        query.extend(tenant.map(|tenant| ("tenant", tenant)));
        let (status, body) = api.with_token(&tokens[user]).get("/api/v1/logs/count", &query).await.unwrap();
        let found = if status == 200 { Ok(body["count"].as_u64().unwrap()) } else { Err(status) };
        assert_eq!(found, right, "{user} counts lines of {tenant:?}: {body}");
    }
    assert_eq!(api.get("/api/v1/logs/count", &[("query", "parcel")]).await.unwrap().0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_forged_token_or_one_for_others_or_an_expired_one_then_it_is_refused() {
    let Some(keycloak) = keycloak().await else { return };
    let up = PROVIDER.read().await;
    let realm = Realm::create(&keycloak).await.unwrap();
    realm.add_client("short", "weir", &[("access.token.lifespan", "1")]).await.unwrap();
    realm.add_client("other", "other", &[]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut weir = weir(folder.path(), &realm.issuer());
    let ready = weir.start().await.unwrap();
    let short = [realm.token_of("short", "alice", "alice").await, realm.token_of("short", "bob", "bob").await];
    let [seen, unseen] = short.map(Result::unwrap);
    let issued = Instant::now();
    until_status(&ready, &seen, 200).await;

    let good = realm.token("alice", "alice").await.unwrap();
    let parts = Token::read(&good);
    let changed = |change: &dyn Fn(&mut Token)| {
        let mut token = Token::read(&good);
        change(&mut token);
        token.text()
    };
    let public = realm.public_key().await.unwrap();
    let lines: Vec<_> = public.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let der = STANDARD.decode(&public).unwrap();
    let elsewhere = Realm::create(&keycloak).await.unwrap();
    let forged = [
        ("another audience", realm.token_of("other", "alice", "alice").await.unwrap()),
        ("another issuer", elsewhere.token("alice", "alice").await.unwrap()),
        ("alg none", parts.unsigned("none")),
        ("alg None", parts.unsigned("None")),
        ("alg none, with the signature", changed(&|token| token.header["alg"] = "none".into())),
        ("alg ES256 with the RSA key's signature", changed(&|token| token.header["alg"] = "ES256".into())),
        ("HS256 with the public key as PEM", parts.hs256(pem.as_bytes())),
        ("HS256 with the public key as one line less", parts.hs256(pem.trim_end().as_bytes())),
        ("HS256 with the public key as DER", parts.hs256(&der)),
        ("HS256 with the public key as base64", parts.hs256(public.as_bytes())),
        ("other tenants", changed(&|token| token.claims["weir_tenants"] = json!(["*"]))),
        ("another role", changed(&|token| token.claims["realm_access"]["roles"] = json!(["weir-admin"]))),
        ("a longer life", changed(&|token| token.claims["exp"] = 4_000_000_000_u64.into())),
        ("no signature", format!("{}.", good.rsplit_once('.').unwrap().0)),
        ("two parts", good.rsplit_once('.').unwrap().0.to_owned()),
        ("text", "alice".to_owned()),
    ];
    for (what, token) in &forged {
        let (status, challenge) = whoami(&ready, Some(token)).await;
        assert_eq!(status, 401, "{what}: {token}");
        assert!(challenge.as_str().is_some_and(|text| text.starts_with("Bearer ")), "{what}: {challenge}");
    }
    let (status_without, challenge) = whoami(&ready, None).await;
    assert_eq!((status_without, challenge.is_string()), (401, true), "without a credential");
    assert_eq!(status(&ready, &good).await, 200, "the token that all of these are made of");

    drop(up);
    tokio::time::sleep((SKEW + Duration::from_secs(5)).saturating_sub(issued.elapsed())).await;
    for (what, token) in [("expired", seen), ("expired, and never shown before", unseen)] {
        let (status, challenge) = whoami(&ready, Some(&token)).await;
        assert_eq!((status, challenge.is_string()), (401, true), "{what}");
    }
    assert_eq!(status(&ready, &good).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_rotated_key_then_it_is_taken_at_once_and_the_disabled_one_no_more() {
    let Some(keycloak) = keycloak().await else { return };
    let _up = PROVIDER.read().await;
    let realm = Realm::create(&keycloak).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut weir = weir(folder.path(), &realm.issuer());
    let ready = weir.start().await.unwrap();
    let first = realm.token("alice", "alice").await.unwrap();
    until_status(&ready, &first, 200).await;
    // The provider was just asked, and is not asked again by every unknown key.
    tokio::time::sleep(LEAST_PAUSE).await;
    realm.rotate_key().await.unwrap();
    let second = realm.token("alice", "alice").await.unwrap();
    assert_ne!(Token::read(&first).header["kid"], Token::read(&second).header["kid"]);
    assert_eq!(status(&ready, &second).await, 200, "signed by the new key");
    assert_eq!(status(&ready, &first).await, 200, "signed by the old key, which is still published");

    realm.rotate_key().await.unwrap();
    realm.disable_old_keys().await.unwrap();
    let third = realm.token("alice", "alice").await.unwrap();
    // Without the pause each look would be a failure of this address, and 30 of them make the answers below 429.
    tokio::time::sleep(LEAST_PAUSE).await;
    assert_eq!(status(&ready, &third).await, 200, "signed by the newest key");
    for (which, token) in [("first", &first), ("second", &second)] {
        let (status, challenge) = whoami(&ready, Some(token)).await;
        assert_eq!((status, challenge.is_string()), (401, true), "signed by the {which} key, which is disabled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_provider_is_away_known_keys_count_and_whoever_starts_waits_for_it() {
    let Some(keycloak) = keycloak().await else { return };
    let _alone = PROVIDER.write().await;
    let realm = Realm::create(&keycloak).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut old = weir(&folder.path().join("old"), &realm.issuer());
    let ready = old.start().await.unwrap();
    let [alice, bob] = [realm.token("alice", "alice").await.unwrap(), realm.token("bob", "bob").await.unwrap()];
    until_status(&ready, &alice, 200).await;

    // It hangs.
    keycloak.pause().unwrap();
    let end = Instant::now() + Duration::from_secs(number("WEIR_OUTAGE", 60));
    let mut new = weir(&folder.path().join("new"), &realm.issuer());
    let ready_new = new.start().await.unwrap();
    let early = status(&ready_new, &alice).await;
    assert!([401, 503].contains(&early), "{early} before the keys are known");
    while Instant::now() < end {
        for token in [&alice, &bob] {
            assert_eq!(status(&ready, token).await, 200, "by a key that is known");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    keycloak.resume().unwrap();
    until_status(&ready_new, &alice, 200).await;

    // It is gone.
    assert!(old.stop().await.unwrap().success());
    keycloak.stop().unwrap();
    let ready = old.start().await.unwrap();
    assert_eq!(status(&ready, &alice).await, 200, "by a key that was kept over the restart");
    let mut late = weir(&folder.path().join("late"), &realm.issuer());
    let ready_late = late.start().await.unwrap();
    let early = status(&ready_late, &alice).await;
    assert!([401, 503].contains(&early), "{early} before the keys are known");

    // It is back, and has other keys.
    keycloak.start().await.unwrap();
    realm.restore().await.unwrap();
    let token = realm.token("alice", "alice").await.unwrap();
    for ready in [&ready, &ready_new, &ready_late] {
        until_status(ready, &token, 200).await;
        assert_eq!(status(ready, &alice).await, 401, "signed by a key that is gone");
    }
}
