//! SIGKILL. A child is this very test binary, told by its environment which part it plays.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use weir_bus::{Broker, Bus, Error, Event, Options, Position};

use crate::site::*;

const PART: &str = "WEIR_BUS_CHILD";
const KILLS: usize = 4;
/// Records that each input of the transactions' child becomes.
const FOLD: usize = 5;
const INPUTS: usize = 6_000;

/// A process that is killed when it is dropped.
struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Plays `part` with these words, on this site.
    fn start(site: &Site, part: &str, words: &[&str]) -> Self {
        let site = [site.options.brokers.as_deref().unwrap_or(""), site.folder.path().to_str().unwrap()];
        let all: Vec<_> = [part].into_iter().chain(site).chain(words.iter().copied()).collect();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crashes::child", "--nocapture"])
            .env(PART, all.join("|"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits until it says its first word, so that it is killed at work.
    fn until_busy(&mut self) {
        while let Some(Ok(line)) = self.lines.next() {
            if line.starts_with("done ") {
                return;
            }
        }
        panic!("the child ended early");
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// The numbers that it said it was done with, up to its end.
    fn done(&mut self) -> Vec<usize> {
        let lines = std::iter::from_fn(|| self.lines.next()?.ok());
        lines.filter_map(|line| line.strip_prefix("done ")?.parse().ok()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) async fn acknowledged_records_survive_sigkill(site: &Site) {
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    let topic = unique("sigkill");
    let mut acknowledged = Vec::new();
    for run in 0..KILLS {
        let mut child = Process::start(site, "produce", &[&topic, &run.to_string()]);
        child.until_busy();
        tokio::time::sleep(Duration::from_millis(random.random_range(50..1_000))).await;
        child.kill();
        acknowledged.push(child.done().into_iter().max().expect("something was acknowledged"));
    }
    let bus = site.open().await;
    let mut runs: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for message in read_out(&mut bus.consumer(&beginning(&topic)).unwrap()).await {
        let (run, number) = text(&message).split_once('/').unwrap();
        runs.entry(run.parse().unwrap()).or_default().push(number.parse().unwrap());
    }
    for (run, acknowledged) in acknowledged.into_iter().enumerate() {
        let there = &runs[&run];
        assert!(there.len() > acknowledged, "run {run}: {acknowledged} was acknowledged, {} are there", there.len());
        let want: Vec<_> = (0..there.len()).collect();
        assert_eq!(*there, want, "run {run}: in order, without gap, once");
    }
}

pub(crate) async fn transactions_survive_sigkill_whole_or_not_at_all(site: &Site) {
    let mut random = rand::rngs::StdRng::seed_from_u64(8);
    let bus = site.open().await;
    let (input, output, group) = (unique("fold-in"), unique("fold-out"), unique("folders"));
    bus.ensure_topics(&[bus.topic_spec(&input), bus.topic_spec(&output)]).await.unwrap();
    send_all(&bus, (0..INPUTS).map(|n| record(&input, &n.to_string(), n.to_string()))).await;
    drop(bus);
    let words = [input.as_str(), &output, &group];
    for _ in 0..KILLS {
        let mut child = Process::start(site, "fold", &words);
        child.until_busy();
        tokio::time::sleep(Duration::from_millis(random.random_range(20..400))).await;
        child.kill();
        drop(child);
        // What is visible is exactly what lies before the committed positions.
        let bus = site.open().await;
        // As the next incarnation would: ends what the dead one left open.
        drop(bus.transactional_producer(&format!("{group}-id")).await.unwrap());
        let lag = bus.lag(&group, &[&input]).await.unwrap();
        let committed: i64 = lag.iter().filter_map(|lag| lag.committed).sum();
        let visible = read_out(&mut bus.consumer(&beginning(&output)).unwrap()).await;
        assert_eq!(visible.len(), committed as usize * FOLD, "{lag:?}");
    }
    let mut child = Process::start(site, "fold", &words);
    let deadline = Instant::now() + PATIENCE * 2;
    while child.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the last child does not end");
        tokio::time::sleep(TICK).await;
    }
    let bus = site.open().await;
    let mut counts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for message in read_out(&mut bus.consumer(&beginning(&output)).unwrap()).await {
        let (n, i) = text(&message).split_once('/').unwrap();
        counts.entry(n.parse().unwrap()).or_default().push(i.parse().unwrap());
    }
    assert_eq!(counts.len(), INPUTS);
    let want: Vec<_> = (0..FOLD).collect();
    assert!(counts.values().all(|parts| *parts == want), "each input once, in order");
}

/// Plays a part when told to; passes at once when it runs as a test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Some(part) = std::env::var_os(PART).and_then(|part| part.into_string().ok()) else { return };
    let words: Vec<_> = part.split('|').collect();
    let [part, brokers, folder, words @ ..] = &words[..] else { panic!("{part}") };
    let options = match *brokers {
        "" => Options::default(),
        brokers => with_short_sessions(Options {
            broker: Broker::Kafka,
            brokers: Some(brokers.to_owned()),
            ..Options::default()
        }),
    };
    let bus = Bus::open(&options, std::path::Path::new(folder)).await.unwrap();
    match (*part, words) {
        ("produce", [topic, run]) => produce(&bus, topic, run).await,
        ("fold", [input, output, group]) => fold(&bus, input, output, group).await,
        other => panic!("{other:?}"),
    }
}

/// Numbers without end, a window of them on their way.
async fn produce(bus: &Bus, topic: &str, run: &str) {
    bus.ensure_topics(&[bus.topic_spec(topic)]).await.unwrap();
    let producer = bus.producer().unwrap();
    let mut window = std::collections::VecDeque::new();
    for number in 0_usize.. {
        let padding = ".".repeat(number % 300);
        let mut record = record(topic, "k", format!("{run}/{number}"));
        record.headers = vec![("padding".to_owned(), padding.into())];
        window.push_back((number, producer.send(record).await.unwrap()));
        if window.len() > 200 {
            let (number, delivery) = window.pop_front().unwrap();
            delivery.await.unwrap();
            println!("done {number}");
        }
    }
}

/// Each input becomes [`FOLD`] outputs, in one transaction with the position behind it; ends when all are done.
async fn fold(bus: &Bus, input: &str, output: &str, group: &str) {
    let producer = bus.transactional_producer(&format!("{group}-id")).await.unwrap();
    let mut member = bus.group_consumer(group, &[input]).unwrap();
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_secs(8) {
        let Event::Batch(batch) = member.next(20, TICK).await.unwrap() else {
            let lag = bus.lag(group, &[input]).await.unwrap();
            if lag.iter().all(|lag| lag.committed.unwrap_or(0) == lag.high) {
                return;
            }
            continue;
        };
        quiet = Instant::now();
        let mut positions: BTreeMap<_, i64> = BTreeMap::new();
        let mut records = Vec::new();
        for message in &batch {
            positions.insert(message.partition.clone(), message.offset + 1);
            records.extend((0..FOLD).map(|i| record(output, text(message), format!("{}/{i}", text(message)))));
        }
        let positions: Vec<_> =
            positions.into_iter().map(|(partition, offset)| Position { partition, offset }).collect();
        // Work, so that no child is done before it is killed.
        tokio::time::sleep(Duration::from_millis(8)).await;
        match producer.commit(records, &member, &positions).await {
            Ok(()) => println!("done {}", batch.len()),
            // A rebalance: the member is told, and reads again from what is committed.
            Err(Error::Fenced(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
