use jsonwebtoken::{EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;

use super::*;

const ISSUER: &str = "https://id.example/realms/weir";

fn options() -> OidcOptions {
    serde_json::from_value(json!({"issuer": ISSUER, "audience": "weir"})).unwrap()
}

fn key(algorithm: Algorithm) -> EncodingKey {
    if algorithm == Algorithm::ES256 {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        return EncodingKey::from_ec_der(&pair.serialize_der());
    }
    // PKCS#8, version 1: what precedes the 32 bytes of an Ed25519 key.
    let mut der = hex::decode("302e020100300506032b657004220420").unwrap();
    let mut secret = [0_u8; 32];
    rand::fill(&mut secret);
    der.extend_from_slice(&secret);
    EncodingKey::from_ed_der(&der)
}

fn listed(key: &EncodingKey, algorithm: Algorithm, id: &str) -> Value {
    let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
    jwk.common.key_id = Some(id.to_owned());
    serde_json::to_value(jwk).unwrap()
}

fn claims() -> Value {
    let now = jiff::Timestamp::now().as_second();
    json!({
        "iss": ISSUER, "aud": ["weir", "account"], "sub": "1234", "exp": now + 60, "nbf": now - 5,
        "preferred_username": "alice", "weir_tenants": ["acme"],
        "realm_access": {"roles": ["offline_access", "weir-viewer"]},
    })
}

fn token(key: &EncodingKey, algorithm: Algorithm, id: &str, claims: &Value) -> String {
    let header = Header { kid: Some(id.to_owned()), ..Header::new(algorithm) };
    encode(&header, claims, key).unwrap()
}

#[test]
fn given_tokens_of_each_algorithm_then_those_are_taken_that_are_right_in_everything() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA] {
        let (own, other) = (key(algorithm), key(algorithm));
        let unknown_kind = json!({"kty": "PQC", "kid": "9", "use": "sig"});
        let keys = Keys::of(ISSUER, &json!({"keys": [unknown_kind, listed(&own, algorithm, "1")]}));
        let verified = verify(&token(&own, algorithm, "1", &claims()), &keys, &options()).unwrap();
        assert_eq!((verified.name.as_str(), verified.role), ("alice", Role::Viewer));
        assert_eq!(verified.tenants, ["acme"]);

        let now = jiff::Timestamp::now().as_second();
        for (name, value, wrong) in [
            ("exp", json!(now - 61), JwtError::Expired),
            ("nbf", json!(now + 90), JwtError::NotYet),
            ("aud", json!("other"), JwtError::Audience),
            ("iss", json!("https://evil.example"), JwtError::Issuer),
            ("exp", Value::Null, JwtError::Claims),
            ("realm_access", json!({"roles": ["viewer"]}), JwtError::Role),
        ] {
            let mut claims = claims();
            claims[name] = value;
            let denied = verify(&token(&own, algorithm, "1", &claims), &keys, &options()).unwrap_err();
            assert_eq!(denied, wrong, "{algorithm:?} {name}");
        }
        let mut within = claims();
        within["exp"] = json!(now - 50);
        assert!(verify(&token(&own, algorithm, "1", &within), &keys, &options()).is_ok(), "clocks may differ");
        let of_other = token(&other, algorithm, "1", &claims());
        assert_eq!(verify(&of_other, &keys, &options()), Err(JwtError::Signature));
        assert_eq!(verify(&token(&own, algorithm, "2", &claims()), &keys, &options()), Err(JwtError::Key));
    }
}

#[test]
fn given_a_forged_algorithm_then_the_token_is_refused() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let own = key(Algorithm::EdDSA);
    let jwk = listed(&own, Algorithm::EdDSA, "1");
    let keys = Keys::of(ISSUER, &json!({"keys": [jwk]}));
    let signed = token(&own, Algorithm::EdDSA, "1", &claims());
    let body = signed.split('.').nth(1).unwrap();
    for name in ["none", "None", "nOnE"] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": name, "kid": "1"}).to_string());
        assert_eq!(verify(&format!("{header}.{body}."), &keys, &options()), Err(JwtError::Algorithm), "{name}");
    }
    // The public key is no secret to share.
    let public = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
    let shared = token(&EncodingKey::from_secret(&public).unwrap(), Algorithm::HS256, "1", &claims());
    assert_eq!(verify(&shared, &keys, &options()), Err(JwtError::Algorithm));
    let other = URL_SAFE_NO_PAD.encode(json!({"iss": ISSUER, "aud": "weir", "weir_tenants": ["*"]}).to_string());
    let tampered = signed.replace(body, &other);
    assert_eq!(verify(&tampered, &keys, &options()), Err(JwtError::Signature));
    for text in ["", ".", "..", "a.b.c", "weir", &signed[1..]] {
        assert!(verify(text, &keys, &options()).is_err(), "{text}");
    }
}

#[test]
fn given_claims_in_other_places_then_their_paths_lead_there() {
    let claims = json!({"a": {"b": ["x", "y"]}, "a.b": "p, q", "scope": "openid weir-viewer", "n": 1});
    assert_eq!(texts(&claims, "a.b", &[',']), ["p", "q"], "a claim's whole name comes first");
    assert_eq!(texts(&claims, "scope", &[' ']), ["openid", "weir-viewer"]);
    assert_eq!(texts(&json!({"a": {"b": ["x", 1]}}), "a.b", &[]), ["x"]);
    assert!(texts(&claims, "n", &[]).is_empty() && texts(&claims, "a.c.d", &[]).is_empty());
}

#[tokio::test]
async fn given_a_provider_that_is_away_then_the_kept_keys_go_on_and_none_is_told_so() {
    // An error says that a provider is there already, which is what is needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let own = key(Algorithm::EdDSA);
    let mut options = options();
    // Nobody listens there.
    options.issuer = "http://127.0.0.1:9".to_owned();
    let mut claims = claims();
    claims["iss"] = json!(options.issuer);
    let signed = token(&own, Algorithm::EdDSA, "1", &claims);
    let fresh = Provider::open(&options, file.clone()).unwrap();
    assert_eq!(fresh.verify(&signed).await.unwrap_err(), JwtError::Away);
    fresh.take(&options.issuer, &json!({"keys": [listed(&own, Algorithm::EdDSA, "1")]}));
    assert!(fresh.verify(&signed).await.is_ok());
    let restarted = Provider::open(&options, file).unwrap();
    assert!(restarted.verify(&signed).await.is_ok());
}
