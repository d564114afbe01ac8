//! A tenant over its rate that is told to drop: what is dropped, what is not, and what the ledger says of it.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::file::{Reason, Row};
use crate::options::{Over, ShareOptions};

const RATE: u64 = 300_000;
/// A visit may read this much more than a rate allows at the moment.
const VISIT: u64 = 512 << 10;

fn noisy() -> String {
    format!("noisy_team-a_main-{}.log", "ab".repeat(32))
}

/// The records of a file by where they begin: where they end, and what they say.
#[derive(Default)]
struct Written {
    text: String,
    records: BTreeMap<u64, (u64, String)>,
}

impl Written {
    /// Adds a line, a line in parts or a stack trace.
    fn add(&mut self, kind: u32) {
        let (start, number) = (self.text.len() as u64, self.records.len());
        let line = |tag: &str, text: &str| format!("2016-10-06T00:17:09.669794202Z stdout {tag} {text}\n");
        let said = match kind % 3 {
            0 => format!("{number:06} {}", "x".repeat(kind as usize % 200)),
            1 => format!("{number:06} first and second"),
            _ => format!("ERROR {number:06}\njava.lang.Error: {number}\n\tat a.B.c(B.java:1)\n\tat a.B.d(B.java:2)"),
        };
        self.text += &match kind % 3 {
            1 => line("P", &said[..13]) + &line("F", &said[13..]),
            _ => said.lines().fold(String::new(), |text, said| text + &line("F", said)),
        };
        self.records.insert(start, (self.text.len() as u64, said));
    }
}

impl World {
    async fn limited(format: Format, over: Over) -> Self {
        let mut world = Self::new(format).await;
        world.options.files[0].multiline = Multiline::Auto;
        let share = ShareOptions { rate: Some(weir_service::config::Size(RATE)), over, ..ShareOptions::default() };
        world.options.tenant.namespaces.insert("team-a".to_owned(), "noisy".to_owned());
        world.options.tenant.shares.insert("noisy".to_owned(), share);
        world.naming = Naming::new(&world.options, None);
        world
    }

    /// The records and the ranges that are told to be lost are all of what was written, each once and whole; returns
    /// the bytes of both, as the ledger has them too.
    async fn assert_whole(&self, written: &Written, row: &Row) -> (u64, u64) {
        let (records, losses) = self.read_all().await;
        let mut parts = BTreeMap::new();
        for ((_, offset), body) in records.into_iter().filter(|(_, body)| !body.starts_with(b"quiet")) {
            let (end, said) = &written.records[&offset];
            assert_eq!(&String::from_utf8(body).unwrap(), said);
            parts.insert(offset, *end);
        }
        let read: u64 = parts.iter().map(|(start, end)| end - start).sum();
        for (_, range, reason) in losses {
            assert_eq!(reason, "over_rate");
            assert_eq!(parts.insert(range.start, range.end), None, "{range:?}");
        }
        let mut at = 0;
        for (start, end) in parts {
            assert_eq!(start, at, "what is read and what is lost follow each other");
            at = end;
        }
        assert_eq!(at, written.text.len() as u64);
        assert_eq!(row.acknowledged, read);
        let lost: Vec<_> = row.lost.clone().into_iter().collect();
        assert_eq!(lost, if read == at { vec![] } else { vec![(Reason::OverRate, at - read)] });
        (read, at - read)
    }
}

#[tokio::test]
async fn a_tenant_over_its_rate_has_the_rest_dropped_in_whole_records_and_its_neighbour_nothing() {
    let world = World::limited(Format::Cri, Over::Drop).await;
    let began = std::time::Instant::now();
    let running = world.start();
    let (mut written, mut quiet, mut sent) = (Written::default(), 0, 0);
    for kind in 0..100_000 {
        written.add(kind);
        if written.text.len() - sent > 200_000 {
            world.append(&noisy(), &written.text[sent..]);
            world.append("quiet.log", cri(&format!("quiet {quiet:06}")));
            (quiet, sent) = (quiet + 1, written.text.len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    world.append(&noisy(), &written.text[sent..]);
    stop(running).await;
    let books = world.books().await;
    let most = RATE * (began.elapsed().as_secs() + 1) + 2 * (RATE + VISIT);
    let (read, lost) = world.assert_whole(&written, &books[&noisy()]).await;
    assert!((RATE..most).contains(&read) && lost > read, "{read} are read and {lost} lost");
    let bodies = world.bodies().await;
    assert_eq!(bodies.iter().filter(|body| body.starts_with("quiet")).count(), quiet);
    assert!(books["quiet.log"].is_complete());
}

#[tokio::test]
async fn what_is_dropped_is_counted_to_the_byte_over_kills() {
    for seed in 0..2 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let world = World::limited(Format::Cri, Over::Drop).await;
        let mut written = Written::default();
        for _ in 0..8 {
            let running = world.start();
            for _ in 0..rng.random_range(5..25) {
                let before = written.text.len();
                while written.text.len() - before < 100_000 {
                    written.add(rng.random_range(0..1000));
                }
                world.append(&noisy(), &written.text[before..]);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            kill(running).await;
        }
        for _ in 0..2 {
            let row = world.books().await[&noisy()].clone();
            let (_, lost) = world.assert_whole(&written, &row).await;
            assert!(lost > 1_000_000, "{lost} are lost");
        }
    }
}

#[tokio::test]
async fn what_was_dropped_before_a_crash_keeps_its_reason_though_the_file_is_gone() {
    let mut world = World::limited(Format::Plain, Over::Drop).await;
    world.checkpoint = Duration::from_hours(1);
    let text = "x".repeat(99) + "\n";
    world.append(&noisy(), text.repeat(20_000));
    let running = world.start();
    let mut dropped = 0;
    while dropped == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        dropped = world.losses().await.into_iter().map(|(range, _)| range.end - range.start).sum();
    }
    kill(running).await;
    fs::remove_file(world.path(&noisy())).unwrap();
    for _ in 0..2 {
        let row = world.books().await[&noisy()].clone();
        assert_eq!((row.seen, row.acknowledged), (2_000_000, world.bodies().await.len() as u64 * 100));
        let gone = 2_000_000 - row.acknowledged - dropped;
        let wanted = [(Reason::DeletedWhileDown, gone), (Reason::OverRate, dropped)].into_iter();
        assert!(row.lost.into_iter().eq(wanted.filter(|(_, bytes)| *bytes > 0)));
    }
}

#[tokio::test]
async fn rotated_files_of_which_something_is_dropped_end_and_are_closed() {
    let world = World::limited(Format::Plain, Over::Drop).await;
    let running = world.start();
    let mut written = 0;
    for number in 0..20 {
        let text = format!("{number:06} {}\n", "x".repeat(92)).repeat(2000);
        written += text.len() as u64;
        world.append(&noisy(), text);
        tokio::time::sleep(Duration::from_millis(20)).await;
        fs::rename(world.path(&noisy()), world.path(&format!("{}.{number}", noisy()))).unwrap();
    }
    // What was rotated away between two looks is looked for when another is there.
    world.append(&noisy(), "");
    world
        .wait_for_state(|files| files.len() == 21 && files.iter().all(|file| file["closed"] == (file["size"] != 0)))
        .await;
    stop(running).await;
    let row = world.books().await[&noisy()].clone();
    let lost = row.lost.get(&Reason::OverRate).copied().unwrap_or(0);
    assert_eq!((row.seen, row.acknowledged + lost, row.lost.len(), row.waiting), (written, written, 1, 0));
    let bodies = world.bodies().await;
    assert_eq!(bodies.len() as u64 * 100, row.acknowledged);
    assert!(bodies.iter().all(|body| body.len() == 99) && lost > 1_000_000, "{lost} are lost");
}

#[tokio::test]
async fn what_is_dropped_of_a_file_in_utf_16_ends_between_its_characters() {
    let mut world = World::limited(Format::Plain, Over::Drop).await;
    world.options.files[0].encoding = crate::encoding::Encoding::Utf16;
    let line = format!("{}ਊ{}", "x".repeat(40), "y".repeat(58));
    let units: Vec<u16> = std::iter::once(0xFEFF).chain(format!("{line}\n").repeat(20_000).encode_utf16()).collect();
    let text: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    world.append(&noisy(), &text);
    let row = world.books().await[&noisy()].clone();
    let lost = row.lost.get(&Reason::OverRate).copied().unwrap_or(0);
    assert_eq!((row.seen, row.acknowledged + lost, row.lost.len()), (text.len() as u64, text.len() as u64, 1));
    let bodies = world.bodies().await;
    assert_eq!(bodies.len() as u64, row.acknowledged / 200);
    assert!(bodies.iter().all(|body| *body == line) && lost > RATE, "{lost} are lost");
}

#[tokio::test]
async fn a_tenant_over_its_rate_waits_where_nothing_else_is_told() {
    let world = World::limited(Format::Cri, Over::Delay).await;
    let mut written = Written::default();
    (0..8_000).for_each(|kind| written.add(kind));
    world.append(&noisy(), &written.text);
    let row = world.books().await[&noisy()].clone();
    assert_eq!(world.assert_whole(&written, &row).await, (written.text.len() as u64, 0));
}

#[tokio::test]
async fn a_hole_takes_nothing_of_a_rate() {
    let world = World::limited(Format::Cri, Over::Delay).await;
    world.append(&noisy(), cri("one"));
    let running = world.start();
    world.wait_for(1).await;
    // As one that does not append writes on after a truncation.
    let sparse = File::create(world.path(&noisy())).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, cri("behind").as_bytes(), 8 << 30).unwrap();
    world.wait_for(2).await;
    // What comes next would wait for hours if it did.
    world.append(&noisy(), cri("next"));
    assert_eq!(world.wait_for(3).await, ["behind", "next", "one"]);
    stop(running).await;
}
