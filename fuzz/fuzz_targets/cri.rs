//! Any bytes as a CRI line: no panic, and the text is the line's end, byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_collector::decode::cri;

fuzz_target!(|line: &[u8]| {
    if let Some(read) = cri::parse(line) {
        assert!(line.ends_with(read.text));
    }
});
