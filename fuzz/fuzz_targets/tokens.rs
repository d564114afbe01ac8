//! Any text as a tokens file: read or refused with what would be right.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(tokens) = weir_service::auth::tokens::parse(text, Path::new("tokens.yaml")) {
        assert!(tokens.iter().all(|token| token.sha256.len() == 64 && !token.tenants.is_empty()));
    }
});
