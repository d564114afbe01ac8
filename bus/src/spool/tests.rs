use std::collections::BTreeMap;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{Event, Options, Position};

const LIMIT: u64 = 64 << 20;

/// A name, and a body that tells whether it was changed.
fn record(number: usize) -> Record {
    let value = format!("{number:08} {}", "x".repeat(number * 37 % 900)).into_bytes();
    Record { topic: "otlp_logs".into(), key: Some("k".into()), value: value.into(), ..Record::default() }
}

fn spooled(numbers: Range<usize>) -> Vec<Spooled> {
    numbers.map(|number| Spooled { record: record(number), delivery: None }).collect()
}

fn number(value: &[u8]) -> usize {
    let number = std::str::from_utf8(&value[..8]).unwrap().parse().unwrap();
    assert_eq!(value, record(number).value, "a record came back with other bytes");
    number
}

async fn bus(folder: &TempDir) -> Bus {
    let options = Options { partitions: 1, ..Options::default() };
    let bus = Bus::open(&options, folder.path()).await.unwrap();
    bus.ensure_topics(&[bus.topic_spec("otlp_logs")]).await.unwrap();
    bus
}

/// Drains until there is nothing left, and gives the numbers that came, in order.
async fn drained(spool: &Spool) -> Vec<usize> {
    let folder = tempfile::tempdir().unwrap();
    let bus = bus(&folder).await;
    let (producer, stop) = (bus.producer().unwrap(), CancellationToken::new());
    let empty = async {
        while !spool.is_empty() || spool.status().bytes > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
    };
    tokio::time::timeout(Duration::from_mins(1), async { tokio::join!(spool.drain(&producer, &stop), empty) })
        .await
        .unwrap();
    on_the_bus(&bus).await
}

async fn on_the_bus(bus: &Bus) -> Vec<usize> {
    let partition = crate::Partition::new("otlp_logs", 0);
    let (offset, end) = bus.offsets(&partition).await.unwrap();
    let mut consumer = bus.consumer(&[Position { partition, offset }]).unwrap();
    let mut numbers = Vec::new();
    while (numbers.len() as i64) < end - offset {
        if let Event::Batch(batch) = consumer.next(1000, Duration::from_secs(10)).await.unwrap() {
            numbers.extend(batch.iter().map(|message| number(&message.value)));
        }
    }
    numbers
}

fn open(folder: &Path) -> Spool {
    Spool::open_folder(folder, LIMIT).unwrap()
}

#[tokio::test]
async fn what_was_appended_is_there_after_a_restart_in_order_and_gone_when_it_is_drained() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    assert!(spool.is_empty());
    spool.append(spooled(0..50)).await.unwrap();
    // The old handle lives on and does nothing more, as a process that was killed.
    let _killed = spool;
    let spool = open(folder.path());
    spool.append(spooled(50..100)).await.unwrap();
    let status = spool.status();
    assert_eq!((status.records, status.damaged, status.is_full), (100, 0, false));
    assert_eq!(drained(&spool).await, (0..100).collect::<Vec<_>>());
    assert!(spool.is_empty() && spool.status().bytes == 0 && spool.status().oldest == Duration::ZERO);
    assert!(Folder(folder.path().to_owned()).segments().unwrap().is_empty());
    // Numbers go on, or the position would take what comes next for drained.
    let spool = open(folder.path());
    spool.append(spooled(100..103)).await.unwrap();
    assert_eq!(drained(&spool).await, [100, 101, 102]);
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_for_a_moment_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    spool.append(spooled(0..10)).await.unwrap();
    let path = spool.shared.folder.path(0);
    std::fs::rename(&path, folder.path().join("meanwhile")).unwrap();
    // It leads to itself.
    std::os::unix::fs::symlink(&path, &path).unwrap();
    let again = async {
        tokio::time::sleep(RETRY / 2).await;
        spool.append(spooled(10..12)).await.unwrap();
        std::fs::rename(folder.path().join("meanwhile"), &path).unwrap();
    };
    let (came, ()) = tokio::join!(drained(&spool), again);
    assert_eq!((came, spool.status().damaged), ((0..12).collect(), 0));
}

#[tokio::test]
async fn what_is_appended_after_the_disk_failed_to_give_the_file_back_goes_to_another() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    spool.append(spooled(0..2)).await.unwrap();
    let path = spool.shared.folder.path(0);
    std::fs::remove_file(&path).unwrap();
    // Reading at its beginning is an error of input.
    std::os::unix::fs::symlink("/proc/self/mem", &path).unwrap();
    assert!(super::reader::Reader::new(spool.shared.clone()).batch().unwrap().unwrap().records.is_empty());
    spool.append(spooled(2..4)).await.unwrap();
    assert_eq!((drained(&spool).await, spool.status().lost), (vec![2, 3], 2));
    assert!(folder.path().join("damaged").join(path.file_name().unwrap()).symlink_metadata().is_ok(), "it is kept");
}

#[tokio::test]
async fn what_was_compressed_well_is_not_in_memory_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open_folder(folder.path(), 1 << 30).unwrap();
    let large = || Spooled { record: Record { value: vec![b'.'; 500_000].into(), ..record(0) }, delivery: None };
    spool.append((0..20).map(|_| large()).collect()).await.unwrap();
    let mut reader = super::reader::Reader::new(spool.shared.clone());
    let mut read = 0;
    while let Some(batch) = reader.batch().unwrap() {
        let bytes: usize = batch.records.iter().map(|(_, record)| record.value.len()).sum();
        assert!(bytes < 3 << 20, "{bytes}");
        read += batch.records.len();
    }
    assert_eq!(read, 20);
}

#[tokio::test]
async fn many_files_are_drained_in_order_while_more_is_appended() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open_folder(folder.path(), 1 << 30).unwrap();
    let large = |number: usize| {
        let mut rng = number as u64;
        let mut value = format!("{number:08} ").into_bytes();
        // Nothing that could be compressed.
        value.extend(
            std::iter::repeat_with(|| {
                rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (rng >> 56) as u8
            })
            .take(900_000),
        );
        Spooled { record: Record { value: value.into(), ..record(0) }, delivery: None }
    };
    for number in 0..40 {
        spool.append(vec![large(number)]).await.unwrap();
    }
    assert!(Folder(folder.path().to_owned()).segments().unwrap().len() >= 3);
    let (bus_folder, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
    let bus = bus(&bus_folder).await;
    let producer = bus.producer().unwrap();
    let more = async {
        for number in 40..50 {
            spool.append(vec![large(number)]).await.unwrap();
        }
        while !spool.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
    };
    tokio::join!(spool.drain(&producer, &stop), more);
    let partition = crate::Partition::new("otlp_logs", 0);
    let mut consumer = bus.consumer(&[Position { partition, offset: 0 }]).unwrap();
    let mut seen = 0;
    while seen < 50 {
        if let Event::Batch(batch) = consumer.next(1000, Duration::from_secs(10)).await.unwrap() {
            for message in batch {
                assert_eq!(&message.value[..8], format!("{seen:08}").as_bytes());
                seen += 1;
            }
        }
    }
}

#[tokio::test]
async fn a_full_spool_refuses_and_takes_again_when_it_was_drained() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open_folder(folder.path(), 40_000).unwrap();
    let mut taken = 0;
    let refused = loop {
        match spool.append(spooled(taken..taken + 10)).await {
            Ok(()) => taken += 10,
            Err(refused) => break refused,
        }
        assert!(taken < 10_000);
    };
    assert!(matches!(refused, Refused::Full) && spool.status().is_full && taken > 10);
    assert!(spool.status().bytes <= 40_000);
    assert_eq!(drained(&spool).await, (0..taken).collect::<Vec<_>>(), "what was refused is not there, all else is");
    assert!(!spool.status().is_full);
    spool.append(spooled(0..10)).await.unwrap();
}

#[tokio::test]
async fn a_record_on_its_way_is_sent_again_only_if_the_bus_did_not_take_it() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let fails = || -> Delivery { Box::pin(async { Err(Error::Closed) }) };
    let taken = || -> Delivery { Box::pin(async { Ok((crate::Partition::new("otlp_logs", 0), 0)) }) };
    let of = |number, delivery| Spooled { record: record(number), delivery };
    spool.append(vec![of(0, Some(taken())), of(1, None), of(2, Some(fails())), of(3, None)]).await.unwrap();
    let came = drained(&spool).await;
    // After a failure all that was not durable is sent again, in order.
    assert_eq!(came, [1, 3, 0, 1, 2, 3]);
    spool.append(vec![of(4, Some(taken())), of(5, None)]).await.unwrap();
    assert_eq!(drained(&spool).await, [5]);
}

#[tokio::test]
async fn a_record_that_can_never_be_sent_is_refused_alone() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let mut large = record(0);
    large.value = vec![0; 17 << 20].into();
    let refused = spool.append(vec![Spooled { record: large, delivery: None }]).await.unwrap_err();
    assert!(matches!(refused, Refused::Record(_)), "{refused}");
    spool.append(spooled(1..3)).await.unwrap();
    assert_eq!(drained(&spool).await, [1, 2]);
}

#[tokio::test]
async fn large_records_among_small_ones_are_read_back_whole_and_some_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    // What does not compress is as large on disk.
    let noise = |seed: u64, length: usize| {
        let mut state = seed + 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        bytes::Bytes::from((0..length).map(|_| next()).collect::<Vec<_>>())
    };
    let values: Vec<_> = [100, 16 << 20, 7, 9 << 20, 3 << 20, 1, 16 << 20, 50].into_iter().enumerate().collect();
    let spool = open(folder.path());
    for (seed, length) in &values {
        let record = Record { value: noise(*seed as u64, *length), ..record(0) };
        spool.append(vec![Spooled { record, delivery: None }]).await.unwrap();
    }
    drop(spool);
    let mut reader = Reader::new(open(folder.path()).shared);
    let mut found = 0;
    while let Some(batch) = reader.batch().unwrap() {
        assert!(batch.records.iter().map(|(_, record)| crate::size(record)).sum::<usize>() < 19 << 20);
        for (_, record) in batch.records {
            let (seed, length) = values[found];
            assert!(record.value == noise(seed as u64, length), "record {found}");
            found += 1;
        }
    }
    assert_eq!(found, values.len());
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "").unwrap();
    let error = Spool::open_folder(&path, LIMIT).unwrap_err().to_string();
    assert!(error.contains("file") && error.contains("move it away"), "{error}");
}

#[tokio::test]
async fn before_a_bus_in_this_process_there_is_a_spool_only_where_one_was_left() {
    let folder = tempfile::tempdir().unwrap();
    let bus = bus(&folder).await;
    let path = folder.path().join("spool");
    assert!(Spool::open(&bus, &path, Some(LIMIT)).await.unwrap().is_none());
    open(&path).append(spooled(0..3)).await.unwrap();
    let spool = Spool::open(&bus, &path, None).await.unwrap().unwrap();
    assert!(matches!(spool.append(spooled(3..4)).await, Err(Refused::Full)));
    assert_eq!(drained(&spool).await, [0, 1, 2]);
}

#[derive(Debug, Clone)]
enum Harm {
    Cut(usize),
    Flip(usize, u8),
    Remove,
    Position(Vec<u8>),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        any::<usize>().prop_map(Harm::Cut),
        (any::<usize>(), 1..=255_u8).prop_map(|(at, bits)| Harm::Flip(at, bits)),
        Just(Harm::Remove),
        prop::collection::vec(any::<u8>(), 0..12).prop_map(Harm::Position),
    ]
}

/// By file, the numbers of the records in it and where each ends.
type Layout = BTreeMap<u64, Vec<(usize, usize)>>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever byte of whatever file turns bad: the spool opens, no other record suffers, and none is changed.
    #[test]
    fn a_damaged_file_costs_only_the_records_that_lie_where_it_is_damaged(
        files in prop::collection::vec(1..12_usize, 1..4), harms in prop::collection::vec((any::<usize>(), harm()), 1..4),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let (mut total, mut layout) = (0, Layout::new());
            for count in files {
                let spool = open(folder.path());
                let mut ends = Vec::new();
                for number in total..total + count {
                    spool.append(spooled(number..number + 1)).await.unwrap();
                    let last = *spool.shared.state.lock().segments.back().unwrap();
                    ends.push((number, last.length as usize));
                }
                layout.insert(total as u64, ends);
                total += count;
            }
            let firsts: Vec<u64> = layout.keys().copied().collect();
            let mut suffers = vec![false; total];
            for (which, harm) in harms {
                let first = firsts[which % firsts.len()];
                let path = Folder(folder.path().to_owned()).path(first);
                let records = &layout[&first];
                let from = match harm {
                    Harm::Position(bytes) => {
                        std::fs::write(folder.path().join("position"), bytes).unwrap();
                        continue;
                    }
                    Harm::Remove => {
                        let _ = std::fs::remove_file(path);
                        0..usize::MAX
                    }
                    Harm::Cut(at) => {
                        let Ok(bytes) = std::fs::read(&path) else { continue };
                        let at = at % (bytes.len() + 1);
                        std::fs::write(&path, &bytes[..at]).unwrap();
                        at..usize::MAX
                    }
                    Harm::Flip(at, bits) => {
                        let Ok(mut bytes) = std::fs::read(&path) else { continue };
                        if bytes.is_empty() {
                            continue;
                        }
                        let at = at % bytes.len();
                        bytes[at] ^= bits;
                        std::fs::write(&path, bytes).unwrap();
                        at..at + 1
                    }
                };
                let mut start = 0;
                for (number, end) in records {
                    suffers[*number] |= start < from.end && from.start < *end;
                    start = *end;
                }
            }
            let spool = open(folder.path());
            let came = drained(&spool).await;
            let expected: Vec<_> = (0..total).filter(|number| !suffers[*number]).collect();
            assert_eq!(came, expected);
            // Losses at the very end cannot be told from what was never there.
            let last = expected.last().map_or(0, |last| last + 1);
            let between = suffers[..last].iter().filter(|lost| **lost).count() as u64;
            let first_lost = suffers.iter().take_while(|lost| **lost).count() as u64;
            let status = spool.status();
            assert!(status.lost <= suffers.iter().filter(|lost| **lost).count() as u64);
            assert!(status.lost + first_lost >= between, "{status:?} {between}");
            // And it is of use again.
            spool.append(spooled(0..2)).await.unwrap();
            assert_eq!(drained(&spool).await, [0, 1]);
        });
    }
}
