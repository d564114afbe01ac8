//! The plainest loops that move the same bytes: what a figure is measured against.

use std::io::{Read as _, Seek as _, Write as _};

use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use weir::load::lines::{Format, Line};

use crate::{Ready, Work, traces};

/// With a CRI prefix of 40 bytes and the line end, 512 in all.
const TEXT_BYTES: usize = 471;
/// Value of a record.
const BATCH: usize = 900_000;
/// When all lines were written.
pub(crate) const TIME: &str = "2026-01-02T03:04:05.123456789Z";
/// More than a line.
const SPARE: usize = 1 << 16;

/// Reads 512-byte CRI lines from the page cache, splits them, checks the prefix and writes OTLP log records.
pub(crate) fn cri(smoke: bool) -> anyhow::Result<Ready> {
    passes(if smoke { 1 } else { 50 }, &generated(smoke), |batch| {
        std::hint::black_box(batch);
    })
}

/// The same with the lines of Java's stack traces, each a record of its own.
pub(crate) fn multiline(smoke: bool) -> anyhow::Result<Ready> {
    let mut lines = Vec::new();
    for seq in 0..if smoke { 500 } else { 20_000 } {
        traces::write(&mut lines, TIME, seq);
    }
    passes(if smoke { 1 } else { 30 }, &lines, |batch| {
        std::hint::black_box(batch);
    })
}

/// The same, and lz4 over what was written: what goes to Kafka.
pub(crate) fn lz4(smoke: bool) -> anyhow::Result<Ready> {
    let mut packed = vec![0; lz4_flex::block::get_maximum_output_size(BATCH + SPARE)];
    passes(if smoke { 1 } else { 10 }, &generated(smoke), move |batch| {
        std::hint::black_box(lz4_flex::block::compress_into(batch, &mut packed).is_ok());
    })
}

fn generated(smoke: bool) -> Vec<u8> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut lines = Vec::new();
    for seq in 0..if smoke { 20_000 } else { 200_000 } {
        Line::generate(&mut rng, seq as usize, seq, TEXT_BYTES).wrap(&mut lines, Format::Cri, TIME, None);
    }
    lines
}

fn passes(passes: u32, lines: &[u8], mut done: impl FnMut(&[u8]) + 'static) -> anyhow::Result<Ready> {
    let mut file = tempfile::tempfile()?;
    file.write_all(lines)?;
    Ok(Box::new(move || {
        let mut work = Work { records: 0, bytes: 0, more: serde_json::Map::new() };
        let (mut read, mut out) = (vec![0; 256 << 10], Vec::with_capacity(BATCH + SPARE));
        for _ in 0..passes {
            file.rewind()?;
            let mut kept = 0;
            loop {
                let got = file.read(&mut read[kept..])?;
                if got == 0 {
                    break;
                }
                work.bytes += got as u64;
                let (filled, mut start) = (kept + got, 0);
                for end in memchr::memchr_iter(b'\n', &read[..filled]) {
                    record(&read[start..end], &mut out);
                    work.records += 1;
                    start = end + 1;
                    if out.len() >= BATCH {
                        done(&out);
                        out.clear();
                    }
                }
                read.copy_within(start..filled, 0);
                kept = filled - start;
            }
        }
        done(&out);
        Ok(work)
    }))
}

/// One `ScopeLogs.log_records` entry: the time (here its seconds alone), and the text as the body.
fn record(line: &[u8], out: &mut Vec<u8>) {
    if line.len() < 40 || line[30] != b' ' || &line[37..40] != b" F " {
        return;
    }
    let second = line[17..19].iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit.wrapping_sub(b'0')));
    let text = &line[40..];
    let any = 1 + varint_len(text.len()) + text.len();
    let whole = 9 + 1 + varint_len(any) + any;
    out.push(0x12);
    varint(whole, out);
    out.push(0x09);
    out.extend_from_slice(&second.to_le_bytes());
    out.push(0x2a);
    varint(any, out);
    out.push(0x0a);
    varint(text.len(), out);
    out.extend_from_slice(text);
}

fn varint_len(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

fn varint(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use weir_proto::otlp::logs::v1::ScopeLogs;

    use super::*;

    #[test]
    fn the_floor_writes_records_that_prost_reads() {
        let mut out = Vec::new();
        record(b"2026-01-02T03:04:05.123456789Z stdout F hello", &mut out);
        let scope = ScopeLogs::decode(&out[..]).unwrap();
        assert_eq!(scope.log_records.len(), 1);
        assert_eq!(scope.log_records[0].time_unix_nano, 5);
        let body = scope.log_records[0].body.clone().unwrap().value.unwrap();
        assert_eq!(format!("{body:?}"), r#"StringValue("hello")"#);
    }
}
