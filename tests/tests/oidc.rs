//! Access tokens of a real Keycloak.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "oidc/token.rs"]
mod token;

use std::sync::Arc;

use serde_json::json;
use weir_tests::keycloak::{Keycloak, Realm};
use weir_tests::skip;

use token::Token;

async fn keycloak() -> Option<Arc<Keycloak>> {
    match Keycloak::shared().await {
        Ok(keycloak) => Some(keycloak),
        Err(error) => {
            skip("keycloak", &format!("{error:#}"));
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_users_of_a_realm_then_their_tokens_carry_the_claims_that_weir_reads() {
    let Some(keycloak) = keycloak().await else { return };
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
