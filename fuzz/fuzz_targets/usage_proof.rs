//! Any bytes as a proof of usage: never valid with a key that the fuzzer does not have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_usage::proof::verify;

/// Public key of RFC 8037, appendix A.
const KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

fuzz_target!(|bytes: &[u8]| {
    // Without a key, whoever has one of their own signs what they like: that must end, whatever the answer.
    let _ = verify(bytes, None);
    assert!(verify(bytes, Some(KEY)).is_err());
});
