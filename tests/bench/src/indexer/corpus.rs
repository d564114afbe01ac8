//! Lines as bus records: OTLP written by the collector's own encoder, in a file, so that memory is the indexer's.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Seek as _, Write as _};
use std::path::Path;

use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use weir::load::lines::{Line, SERVICES};
use weir_bus::{Message, Partition};
use weir_collector::encode::{Batch, Record, resource};

use crate::Skipped;
use crate::real_lines;

/// A line's share of raw: its body, and the prefix that a container runtime puts before it.
const PREFIX: u64 = 41;
/// Bodies that come in before each source's lines become a record, as lines of many files do in some hundred
/// milliseconds.
const ROUND_BYTES: usize = 16 << 20;
/// Greatest value of a record.
const RECORD_BYTES: usize = 900_000;
/// Records are taken in in pieces of this size, as the room does.
const PIECE_BYTES: usize = 2 << 20;
/// Time of the first line, and between two lines.
const FIRST: u64 = 1_767_225_600_000_000_000;
const STEP: u64 = 10_000_000;

/// Bus records of log lines, on disk.
pub(super) struct Corpus {
    /// `generated` or `real`.
    pub(super) name: &'static str,
    records: File,
    pub(super) lines: u64,
    /// Bodies, and 41 bytes a line.
    pub(super) raw_bytes: u64,
    /// How often the recorded lines are in, from the second time on with other ids; 1 for generated ones.
    pub(super) replays: u64,
    /// A word of many lines, one of few, and a part of a word.
    pub(super) words: [&'static str; 3],
    /// Behind the last line, in milliseconds since the epoch.
    pub(super) end_ms: i64,
}

impl Corpus {
    /// Lines of the load generator: 60 sources, 136 bytes, as long as real lines are.
    pub(super) fn generated(smoke: bool) -> anyhow::Result<Self> {
        let lines = if smoke { 20_000 } else { 500_000 };
        let names: Vec<String> = (0..60).map(|n| format!("{}-{n}", SERVICES[n % SERVICES.len()])).collect();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut writer = Writer::new(&names)?;
        for seq in 0..lines {
            let source = (seq % 60) as usize;
            writer.push(source, Line::generate(&mut rng, source, seq, 136).text.as_bytes())?;
        }
        writer.finish("generated", 1, ["info", "超时", "*okenis*"])
    }

    /// The recorded lines of `WEIR_TEST_DATA`, the sources interleaved in proportion, five times.
    pub(super) fn real(smoke: bool) -> anyhow::Result<Self> {
        let skipped = || Skipped("WEIR_TEST_DATA does not name the folder of recorded lines".to_owned());
        let folder = weir_tests::environment("WEIR_TEST_DATA").ok_or_else(skipped)?;
        let sources = real_lines::read(Path::new(&folder))?;
        let mut placed: Vec<(f64, usize, &str)> = Vec::new();
        for (source, (_, lines)) in sources.iter().enumerate() {
            let place = |at: usize| (at as f64 + 0.5) / lines.len() as f64;
            placed.extend(lines.iter().enumerate().map(|(at, line)| (place(at), source, line.as_str())));
        }
        placed.sort_by(|(a, a_source, _), (b, b_source, _)| a.total_cmp(b).then(a_source.cmp(b_source)));
        let (replays, most) = if smoke { (1, 20_000) } else { (5, usize::MAX) };
        let names: Vec<String> = sources.iter().map(|(path, _)| path.clone()).collect();
        let mut writer = Writer::new(&names)?;
        for replay in 0..replays {
            for (_, source, line) in placed.iter().take(most) {
                let mut line = line.as_bytes().to_vec();
                if replay > 0 {
                    change_ids(&mut line, replay);
                }
                writer.push(*source, &line)?;
            }
        }
        writer.finish("real", replays, ["info", "timeout", "*aceManag*"])
    }

    /// Calls `each` with the records in order, some megabytes at a time.
    pub(super) fn each_piece(&self, mut each: impl FnMut(&[Message]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut file = &self.records;
        file.rewind()?;
        let mut file = BufReader::with_capacity(1 << 20, file);
        let (mut piece, mut bytes, mut offset) = (Vec::new(), 0, 0);
        let mut length = [0; 4];
        while file.read_exact(&mut length).is_ok() {
            let mut value = vec![0; u32::from_le_bytes(length) as usize];
            file.read_exact(&mut value)?;
            bytes += value.len();
            piece.push(Message {
                partition: Partition::new("otlp_logs", 0),
                offset,
                key: None,
                value: value.into(),
                headers: Vec::new(),
                timestamp_ms: self.end_ms,
            });
            offset += 1;
            if bytes >= PIECE_BYTES {
                each(&piece)?;
                piece.clear();
                bytes = 0;
            }
        }
        if piece.is_empty() { Ok(()) } else { each(&piece) }
    }
}

struct Writer {
    out: BufWriter<File>,
    sources: Vec<(Vec<u8>, Batch, u64)>,
    waiting: usize,
    lines: u64,
    raw_bytes: u64,
}

impl Writer {
    fn new(names: &[String]) -> anyhow::Result<Self> {
        let source = |name: &String| (described(name), Batch::default(), 0);
        let out = BufWriter::with_capacity(1 << 20, tempfile::tempfile()?);
        Ok(Self { out, sources: names.iter().map(source).collect(), waiting: 0, lines: 0, raw_bytes: 0 })
    }

    fn push(&mut self, source: usize, body: &[u8]) -> anyhow::Result<()> {
        let (resource, batch, offset) = &mut self.sources[source];
        let time = FIRST + self.lines * STEP;
        batch.push(&Record {
            time_unix_nano: time,
            observed_time_unix_nano: time + 1_000_000,
            body,
            stream: Some(weir_collector::decode::Stream::Stdout),
            offset: *offset,
            ..Record::default()
        });
        let raw = body.len() as u64 + PREFIX;
        *offset += raw;
        self.lines += 1;
        self.raw_bytes += raw;
        self.waiting += body.len();
        if batch.len() >= RECORD_BYTES {
            record(&mut self.out, resource, batch)?;
        }
        if self.waiting >= ROUND_BYTES { self.round() } else { Ok(()) }
    }

    fn round(&mut self) -> anyhow::Result<()> {
        self.waiting = 0;
        for (resource, batch, _) in self.sources.iter_mut().filter(|(_, batch, _)| !batch.is_empty()) {
            record(&mut self.out, resource, batch)?;
        }
        Ok(())
    }

    fn finish(mut self, name: &'static str, replays: u64, words: [&'static str; 3]) -> anyhow::Result<Corpus> {
        self.round()?;
        let records = self.out.into_inner()?;
        let end_ms = ((FIRST + self.lines * STEP) / 1_000_000) as i64 + 1;
        Ok(Corpus { name, records, lines: self.lines, raw_bytes: self.raw_bytes, replays, words, end_ms })
    }
}

fn record(out: &mut BufWriter<File>, resource: &[u8], batch: &mut Batch) -> anyhow::Result<()> {
    let value = batch.finish(resource);
    out.write_all(&(value.len() as u32).to_le_bytes())?;
    Ok(out.write_all(&value)?)
}

/// The ten attributes that the collector gives to a container's file.
fn described(name: &str) -> Vec<u8> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let service = file.split(['.', '_', '-']).next().unwrap_or(file);
    resource(&[
        ("weir.tenant", "default"),
        ("service.name", service),
        ("k8s.namespace.name", "default"),
        ("k8s.pod.name", file),
        ("k8s.pod.uid", "8a0ff1c5-4f2a-4e0e-9d0e-2f6f7f1f2b11"),
        ("k8s.container.name", service),
        ("k8s.node.name", "node-1"),
        ("container.id", "f0e1d2c3b4a5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0f"),
        ("log.file.path", name),
        ("log.iostream", "stdout"),
    ])
}

/// Other digits in words of four characters and more, by the word and the replay, so that ids stay as rare as they are.
fn change_ids(line: &mut [u8], replay: u64) {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    for word in line.split_mut(|byte| !is_word(byte)).filter(|word| word.len() >= 4) {
        let seed = 0xcbf2_9ce4_8422_2325 ^ replay.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut hash = word.iter().fold(seed, |h: u64, byte| (h ^ u64::from(*byte)).wrapping_mul(1_099_511_628_211));
        for digit in word.iter_mut().filter(|byte| byte.is_ascii_digit()) {
            hash = hash.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *digit = b'0' + (u64::from(*digit - b'0') + (hash >> 33) % 10) as u8 % 10;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_change_as_the_script_beside_the_recorded_lines_changes_them() {
        let mut line = b"job_12345 took 42 ms, blk-9876543210".to_vec();
        change_ids(&mut line, 1);
        assert_eq!(line, b"job_48054 took 42 ms, blk-1823690935");
    }
}
