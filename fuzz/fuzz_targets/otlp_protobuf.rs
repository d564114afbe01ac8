//! Any bytes as an OTLP request in protobuf: refused, or split into records that the generated code can read, with as
//! many log records, spans and points in them as were counted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_fuzz::{SIGNALS, split_and_count};

fuzz_target!(|request: &[u8]| {
    for signal in SIGNALS {
        split_and_count(signal, request);
    }
});
