//! Log files that are rotated in every way, while the collector, Kafka and the indexer are killed at random: every line
//! that could be had is on the bus and in the index once, and what could not be had is in the ledger, to the byte.
//!
//! `WEIR_E2E_ROTATIONS` says how many rotations, `WEIR_E2E_SEED` which.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod torture {
    pub(crate) mod files;
    pub(crate) mod found;
}

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use torture::files::{Generation, Log, Rotation};
use torture::found::{Identity, on_bus};
use weir_bus::Bus;
use weir_tests::kafka::Kafka;
use weir_tests::{Api, Weir, number, skip, until};

/// The collector's `max_line`.
const MAX_LINE: usize = 256 << 10;
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn rotations_of_every_kind_under_kills_lose_only_what_the_ledger_says() {
    let mut kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return skip("rotations_of_every_kind_under_kills", &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "bus": { "broker": "kafka", "brokers": kafka.brokers() },
        "collector": {
            "files": [{ "include": [logs.join("*.log")] }],
            "otlp": { "grpc": null, "http": null },
            "host": null,
            "gpu": null,
        },
        "indexer": { "seal": { "age": "2s", "size": "4MB" } },
    });
    let mut collector = Weir::new("collector", &folder.path().join("collector"), &config).unwrap();
    let mut indexer = Weir::new("indexer", &folder.path().join("indexer"), &config).unwrap();
    let mut files: Vec<Log> = [("a", false), ("b", true), ("c", false)]
        .map(|(name, cri)| Log::new(logs.join(format!("{name}.log")), cri))
        .into();
    let state = folder.path().join("collector/data/collector/files.json");

    let (mut rng, mut next) = (Xoshiro256PlusPlus::seed_from_u64(number("WEIR_E2E_SEED", 1)), 0);
    // A file that came and went before the first look of all is none that the collector could know of.
    for file in &mut files {
        file.write(&mut rng, &mut next);
    }
    indexer.start().await.unwrap();
    collector.start().await.unwrap();
    seen(&state, &files).await;
    let (mut down, mut kafka_down): (u32, u32) = (0, 0);
    for _ in 0..number("WEIR_E2E_ROTATIONS", 40) {
        for _ in 0..rng.random_range(1..4) {
            let file = rng.random_range(0..files.len());
            files[file].write(&mut rng, &mut next);
        }
        let file = rng.random_range(0..files.len());
        let rotation = Rotation::any(&mut rng);
        if rotation.is_lossy() {
            files[file].now().lossy = true;
            if rotation == Rotation::Delete && (down, kafka_down) == (0, 0) {
                files[file].now().known = seen(&state, &files[file..=file]).await;
            }
        }
        files[file].rotate(rotation);
        match rng.random_range(0..16) {
            0 | 1 if down == 0 => {
                collector.kill().unwrap();
                down = rng.random_range(1..6);
            }
            2 if kafka_down == 0 => {
                kafka.kill().unwrap();
                kafka_down = rng.random_range(1..20);
            }
            3 => {
                indexer.kill().unwrap();
                indexer.spawn().unwrap();
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..200))).await;
        if down == 1 {
            collector.spawn().unwrap();
        }
        if kafka_down == 1 {
            kafka.restart().await.unwrap();
        }
        (down, kafka_down) = (down.saturating_sub(1), kafka_down.saturating_sub(1));
    }
    if kafka_down > 0 {
        kafka.restart().await.unwrap();
    }
    if down > 0 {
        collector.spawn().unwrap();
    }
    // What was rotated away unseen is looked for when another is there.
    for file in &mut files {
        file.write(&mut rng, &mut next);
    }

    let books = Api::new(&collector.ready().await.unwrap().http).unwrap();
    let bus = Bus::open(&kafka.options(), folder.path()).await.unwrap();
    let wrong = std::cell::RefCell::new(String::new());
    let whole = until(PATIENCE, || async {
        let outcome = check(&files, &on_bus(&bus).await, &rows(&books).await);
        outcome.map_err(|text| *wrong.borrow_mut() = text).ok()
    });
    let Some(lines) = whole.await else { panic!("{}", wrong.borrow()) };
    let search = Api::new(&indexer.ready().await.unwrap().http).unwrap();
    let all = lines.len() as u64;
    until(PATIENCE, || async { (search.count("").await.ok()? >= all).then_some(()) }).await;
    let mut found = Vec::new();
    search.each("", |hit| found.push(hit["body"].as_str().unwrap().to_owned())).await.unwrap();
    found.sort();
    assert!(found == lines, "the index has {} records, the bus {}", found.len(), lines.len());
}

/// Waits until all that is in these files now was seen, and says how much it is.
async fn seen(state: &Path, files: &[Log]) -> u64 {
    let known = until(PATIENCE, || async {
        let state: Value = serde_json::from_slice(&std::fs::read(state).ok()?).ok()?;
        let known = state["files"].as_array()?;
        let size = |log: &Log| {
            let bytes = log.generations.last().map_or(0, |generation| generation.bytes);
            let Some((inode, born)) = log.inode().filter(|_| bytes > 0) else { return Some(0) };
            let is_it = |file: &Value| {
                file["inode"] == inode && file["born"] == born && file["size"] == bytes && file["ended"].is_null()
            };
            known.iter().any(is_it).then_some(bytes)
        };
        files.iter().map(size).sum::<Option<u64>>()
    });
    known.await.unwrap_or_else(|| panic!("the collector does not see its files"))
}

/// The ledger, by path.
async fn rows(api: &Api) -> BTreeMap<String, Value> {
    let Ok((200, body)) = api.get("/api/v1/collector/sources", &[]).await else { return BTreeMap::new() };
    let rows = body["sources"].as_array().cloned().unwrap_or_default();
    rows.into_iter().map(|row| (row["path"].as_str().unwrap().to_owned(), row)).collect()
}

/// What the bus has of each generation is right, and the ledger says what it has not. Returns the bodies of all records.
fn check(
    files: &[Log],
    found: &BTreeMap<String, Identity>,
    books: &BTreeMap<String, Value>,
) -> Result<Vec<String>, String> {
    // By a line that is numbered, and where it begins.
    let mut by_line: HashMap<(u64, &str), &Identity> = HashMap::new();
    let mut bodies = Vec::new();
    for (name, identity) in found {
        for (offset, (body, _)) in &identity.lines {
            bodies.push(body.clone());
            if body.len() > 1 && by_line.insert((*offset, &body[..8]), identity).is_some() {
                return Err(format!("{name}: «{}» is there under another identity too", &body[..8]));
            }
        }
        for (range, reason) in &identity.lost {
            bodies.push(format!("{} bytes of this file are lost: {reason}", range.end - range.start));
        }
    }
    // Of those of which nothing came nothing says which generation they are.
    let mut nameless: Vec<&Identity> = found.values().filter(|identity| identity.end == 0).collect();
    let known_lost = nameless.is_empty();
    for file in files {
        let (mut acknowledged, mut over, mut lost) = (0, 0, BTreeMap::<&str, u64>::new());
        for (at, generation) in file.generations.iter().enumerate().filter(|(_, generation)| generation.bytes > 0) {
            let place = format!("{} generation {at} of {} bytes", file.path.display(), generation.bytes);
            let mut identity = by_line.get(&(0, &generation.lines[0].text[..8])).copied();
            if identity.is_none() && generation.known > 0 {
                let all = |identity: &&Identity| identity.lost.iter().any(|(range, _)| range.end == generation.known);
                identity = nameless.iter().position(all).map(|at| nameless.swap_remove(at));
            }
            let (end, left_out) = match identity {
                Some(identity) => {
                    (identity.end, same_lines(generation, identity).map_err(|wrong| format!("{place}: {wrong}"))?)
                }
                None => (0, 0),
            };
            if end < generation.bytes && !generation.lossy {
                return Err(format!("{place}: only {end} bytes came"));
            }
            acknowledged += end - left_out;
            over += left_out;
            let mut told = end;
            for (range, reason) in identity.map_or(&[][..], |identity| &identity.lost) {
                if range.start != told || range.end > generation.bytes {
                    return Err(format!("{place}: {range:?} is told to be lost ({reason}), but {told} came"));
                }
                told = range.end;
                *lost.entry(reason).or_default() += range.end - range.start;
            }
            if told < generation.known {
                return Err(format!(
                    "{place}: {told} bytes came or are told to be lost, {} were seen",
                    generation.known
                ));
            }
        }
        let row = books.get(file.path.to_str().unwrap()).ok_or("no row")?;
        let mut told: BTreeMap<&str, u64> = row["lost"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(reason, bytes)| (reason.as_str(), bytes.as_u64().unwrap()))
            .collect();
        // How much was left out of lines that a crashed run sent of a file that is gone, nobody knows any more.
        let told_over = told.remove("over_limit").unwrap_or(0);
        let told_all = row["acknowledged"].as_u64().unwrap() + told_over;
        if told_all != acknowledged + over || told_over > over || row["waiting"] != 0 {
            return Err(format!("{acknowledged} bytes are on the bus, {over} left out, and the ledger says {row}"));
        }
        if known_lost && told != lost {
            return Err(format!("{lost:?} is lost, and the ledger says {row}"));
        }
    }
    bodies.sort();
    Ok(bodies)
}

/// The lines up to where the ranges end are those that were written; returns how many bytes were left out of them.
fn same_lines(generation: &Generation, identity: &Identity) -> Result<u64, String> {
    let mut found = identity.lines.iter();
    let mut left_out = 0;
    for line in generation.lines.iter().take_while(|line| line.start < identity.end) {
        if line.end > identity.end {
            return Err(format!("the ranges end at {}, within the line at {}", identity.end, line.start));
        }
        let text = &line.text[..line.text.len().min(MAX_LINE)];
        left_out += (line.text.len() - text.len()) as u64;
        let is = found.next().is_some_and(|(offset, (body, cut))| {
            *offset == line.start && body == text && *cut == (text.len() < line.text.len())
        });
        if !is {
            return Err(format!("the line at {} is missing or another", line.start));
        }
    }
    match found.next() {
        Some((offset, _)) => Err(format!("there is a line at {offset} that was not written")),
        None => Ok(left_out),
    }
}
