//! Any bytes as an OTLP request in JSON, as it is and with its strings repaired: refused, or turned into protobuf that is
//! then taken as such.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_collector::decode::{otlp_json, repair};
use weir_fuzz::{SIGNALS, split_and_count};

fuzz_target!(|json: &[u8]| {
    let repaired = repair::strings(json);
    for json in [Some(json), repaired.as_deref()].into_iter().flatten() {
        for signal in SIGNALS {
            if let Ok(request) = otlp_json::read(signal, json) {
                assert!(split_and_count(signal, &request.protobuf), "what was written here is not protobuf");
            }
        }
    }
});
