//! Any bytes as a docker line or an application's JSON line: no panic, and what is read was there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_collector::decode::{docker, json};

fuzz_target!(|line: &[u8]| {
    if let Some(read) = docker::parse(line) {
        // Escapes make a text longer on the line, never shorter.
        assert!(read.text.len() < line.len());
    }
    let _ = json::parse(line);
});
