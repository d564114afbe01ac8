//! Any bytes as an OTLP request in JSON: refused, or turned into protobuf that is then taken as such.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_collector::decode::otlp_json;
use weir_fuzz::{SIGNALS, split_and_count};

fuzz_target!(|json: &[u8]| {
    for signal in SIGNALS {
        if let Ok(request) = otlp_json::read(signal, json) {
            assert!(split_and_count(signal, &request.protobuf), "what was written here is not protobuf");
        }
    }
});
