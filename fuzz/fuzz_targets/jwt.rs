//! Any text as an access token, with a provider's keys there: never taken, since nobody signed it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use weir_service::auth::OidcOptions;
use weir_service::auth::oidc::{Keys, check};

/// An Ed25519 and an RSA key, of which nobody has the private halves.
static KEYS: LazyLock<(Keys, OidcOptions)> = LazyLock::new(|| {
    let jwks = serde_json::json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": "RSA", "kid": "2", "e": "AQAB", "n": "sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri23bOdgWp4Dy1WlUzewbgBHod5pcM9H95GQRV3JDXboIRROSBigeC5yjU1hGzHHyXss8UDprecbAYxknTcQkhslANGRUZmdTOQ5qTRsLAt6BTYuyvVRdhS8exSZEy_c4gs_7svlJJQ4H9_NxsiIoLwAEk7-Q3UXERGYw_75IDrGA84-lA_-Ct4eTlXHBIY2EaV7t7LjJaynVJCpkv4LKjTTAumiGUIuQhrNhZLuF_RJLqHpM2kgWFLU7-VTdL1VbC2tejvcI2BlMkEpk1BzBZI0KQB0GaDWFLN-aEAw3vRw"},
    ]});
    let options = serde_json::json!({"issuer": "https://id.example", "audience": "weir"});
    let options = serde_json::from_value(options).expect("options of ours");
    (Keys::of("https://id.example", &jwks), options)
});

fuzz_target!(|text: &str| {
    let (keys, options) = &*KEYS;
    assert!(check(text, keys, options).is_err());
});
