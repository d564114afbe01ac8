mod ahead;
mod encoding;
mod gone;
mod handover;
mod kubelet;
mod ledger;
mod order;
mod over;
mod pods;
mod rotation;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use prost::Message;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Event, Partition, Position};
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::logs::v1::LogRecord;
use weir_proto::{Origin, header, topic};
use weir_service::telemetry::Telemetry;

use super::{Left, Reason, Settings, Source, Sources, Until, follow};
use crate::Error;
use crate::metrics::Metrics;
use crate::naming::Naming;
use crate::options::{FileOptions, Format, From, Multiline, Options, Pattern};

/// A folder of logs, a state folder and an embedded bus.
struct World {
    folder: TempDir,
    bus: Bus,
    options: Options,
    naming: Naming,
    rescan: Duration,
    checkpoint: Duration,
    telemetry: Telemetry,
}

type Running = (JoinHandle<Result<Left, Error>>, CancellationToken);

impl World {
    async fn new(format: Format) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
        bus.ensure_topics(&[bus.topic_spec(topic::LOGS)]).await.unwrap();
        let include = vec![folder.path().join("logs/*.log").to_str().unwrap().to_owned()];
        let files = vec![FileOptions { include, format, ..FileOptions::default() }];
        let rescan = Settings::default().rescan;
        let telemetry = Telemetry::detached().unwrap();
        let checkpoint = Duration::from_millis(5);
        let (options, naming) = (Options { files, ..Options::default() }, Naming::default());
        Self { folder, bus, options, naming, rescan, checkpoint, telemetry }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(name)
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    fn source(&self) -> Source {
        let settings = Settings {
            grace: Duration::from_millis(200),
            group_wait: Duration::from_millis(50),
            linger: Duration::from_millis(5),
            over_wait: Duration::from_millis(50),
            checkpoint: self.checkpoint,
            in_flight: 100_000,
            rescan: self.rescan,
            rescan_behind: self.rescan,
            ..Settings::default()
        };
        let metrics = Metrics::new(&self.telemetry.meter());
        let part = weir_service::health::Health::default().part("files");
        let state = self.folder.path().join("state");
        Source::open(&self.options, settings, &state, &self.bus, self.naming.clone(), metrics, part).unwrap()
    }

    fn start(&self) -> Running {
        let stop = CancellationToken::new();
        (tokio::spawn(self.source().run(Until::Stopped, stop.clone())), stop)
    }

    async fn to_the_end(&self) {
        self.source().run(Until::End, CancellationToken::new()).await.unwrap();
    }

    /// All that is on the topic, partition after partition.
    async fn messages(&self) -> Vec<weir_bus::Message> {
        let mut all = Vec::new();
        for number in 0..self.bus.partitions(topic::LOGS).await.unwrap() {
            let partition = Partition::new(topic::LOGS, number);
            let (low, high) = self.bus.offsets(&partition).await.unwrap();
            let mut consumer = self.bus.consumer(&[Position { partition, offset: low }]).unwrap();
            let mut next = low;
            while next < high {
                if let Event::Batch(messages) = consumer.next(1000, Duration::from_secs(5)).await.unwrap() {
                    next = messages.last().unwrap().offset + 1;
                    all.extend(messages);
                }
            }
        }
        all
    }

    /// What a reader that keeps to the contract sees: bodies by identity and offset, each once.
    async fn read(&self) -> BTreeMap<(String, u64), Vec<u8>> {
        self.read_all().await.0
    }

    /// The same, and the losses that are told: identity, range and reason.
    async fn read_all(&self) -> (BTreeMap<(String, u64), Vec<u8>>, Vec<(String, std::ops::Range<u64>, String)>) {
        let mut ends: BTreeMap<String, u64> = BTreeMap::new();
        let (mut lines, mut losses) = (BTreeMap::new(), Vec::new());
        for message in self.messages().await {
            let origin = std::str::from_utf8(message.header(header::ORIGIN).unwrap()).unwrap();
            let origin: Origin = origin.parse().unwrap();
            let seen = ends.entry(origin.identity.clone()).or_insert(origin.start);
            assert!(origin.start <= *seen, "a gap before {origin}: {seen}");
            let request = ExportLogsServiceRequest::decode(&*message.value).unwrap();
            for record in &request.resource_logs[0].scope_logs[0].log_records {
                let offset = record.attributes.iter().find(|a| a.key == "log.file.offset").unwrap();
                let Some(Value::IntValue(offset)) = offset.value.as_ref().unwrap().value else { panic!() };
                assert!(origin.start <= offset as u64 && (offset as u64) < origin.end);
                let body = match record.body.as_ref().unwrap().value.as_ref().unwrap() {
                    Value::StringValue(text) => text.clone().into_bytes(),
                    Value::BytesValue(bytes) => bytes.clone(),
                    other => panic!("{other:?}"),
                };
                if record.event_name == "weir.loss" {
                    losses.extend((offset as u64 >= *seen).then(|| loss(record)));
                } else if offset as u64 >= *seen {
                    let before = lines.insert((origin.identity.clone(), offset as u64), body);
                    assert_eq!(before, None, "twice within one pass: {origin} {offset}");
                }
            }
            *seen = (*seen).max(origin.end);
        }
        (lines, losses)
    }

    /// Waits until what is kept of the files is so.
    async fn wait_for_state(&self, wanted: impl Fn(&[serde_json::Value]) -> bool) {
        for _ in 0..600 {
            // A source that has just been started has not written it yet.
            if let Ok(text) = fs::read(self.folder.path().join("state/files.json")) {
                let state: serde_json::Value = serde_json::from_slice(&text).unwrap();
                if wanted(state["files"].as_array().unwrap()) {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the state does not come");
    }

    async fn bodies(&self) -> Vec<String> {
        let mut bodies: Vec<_> =
            self.read().await.into_values().map(|body| String::from_utf8_lossy(&body).into_owned()).collect();
        bodies.sort();
        bodies
    }

    async fn wait_for(&self, count: usize) -> Vec<String> {
        for _ in 0..600 {
            let bodies = self.bodies().await;
            if bodies.len() >= count {
                return bodies;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("only {} of {count} lines came: {:?}", self.bodies().await.len(), self.bodies().await);
    }
}

fn loss(record: &LogRecord) -> (String, std::ops::Range<u64>, String) {
    let find = |name: &str| {
        let found = record.attributes.iter().find(|attribute| attribute.key == name);
        found.and_then(|attribute| attribute.value.as_ref()?.value.clone()).unwrap()
    };
    let int = |name: &str| if let Value::IntValue(value) = find(name) { value as u64 } else { panic!() };
    let text = |name: &str| if let Value::StringValue(value) = find(name) { value } else { panic!() };
    (text("weir.loss.identity"), int("weir.loss.start")..int("weir.loss.end"), text("weir.loss.reason"))
}

async fn stop((task, stop): Running) {
    stop.cancel();
    task.await.unwrap().unwrap();
}

async fn kill((task, _): Running) {
    task.abort();
    let _ = task.await;
}

fn cri(text: &str) -> String {
    format!("2016-10-06T00:17:09.669794202Z stdout F {text}\n")
}

#[tokio::test]
async fn lines_of_every_format_come_back_byte_for_byte() {
    let world = World::new(Format::Auto).await;
    world.append("cri.log", cri("识别") + &cri("nul \0 and tab\t"));
    world.append("docker.log", "{\"log\":\"d\\n\",\"stream\":\"stderr\",\"time\":\"2019-01-01T01:00:00Z\"}\n");
    world.append("json.log", "{\"level\":\"warn\"}\n");
    world.append("plain.log", b"\xff\xfe plain\r\n\nlast");
    world.to_the_end().await;
    let bodies: Vec<Vec<u8>> = world.read().await.into_values().collect();
    let expected: [&[u8]; 7] =
        ["识别".as_bytes(), b"nul \0 and tab\t", b"d", b"{\"level\":\"warn\"}", b"\xff\xfe plain\r", b"", b""];
    for line in &expected[..6] {
        assert!(bodies.iter().any(|body| body == line), "{}", String::from_utf8_lossy(line));
    }
    assert_eq!(bodies.len(), 6);
}

#[tokio::test]
async fn a_rotated_file_is_read_to_its_end_and_the_new_one_from_its_beginning() {
    let world = World::new(Format::Cri).await;
    world.append("a.log", cri("1"));
    let running = world.start();
    world.wait_for(1).await;
    fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
    world.append("a.log.1", cri("2") + "2016-10-06T00:17:09Z stdout F the last, without its newline");
    world.append("a.log", cri("3"));
    let bodies = world.wait_for(4).await;
    assert_eq!(bodies, ["1", "2", "3", "the last, without its newline"]);
    world.append("a.log", cri("4"));
    assert_eq!(world.wait_for(5).await.len(), 5);
    stop(running).await;
}

#[tokio::test]
async fn a_closed_file_that_its_writer_goes_on_with_is_read_on_and_forgotten_when_it_is_gone() {
    let mut world = World::new(Format::Plain).await;
    world.rescan = Duration::from_millis(100);
    world.append("a.log", "1\n");
    let running = world.start();
    world.wait_for(1).await;
    fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
    let closed = |files: &[serde_json::Value]| files.iter().all(|file| file["closed"] == true);
    world.wait_for_state(closed).await;
    world.append("a.log.1", "2\n");
    assert_eq!(world.wait_for(2).await, ["1", "2"]);
    world.wait_for_state(closed).await;
    fs::remove_file(world.path("a.log.1")).unwrap();
    world.wait_for_state(<[_]>::is_empty).await;
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_in_a_folder_that_is_made_later_are_followed_without_a_rescan() {
    let mut world = World::new(Format::Plain).await;
    world.rescan = Duration::from_hours(1);
    world.options.files[0].include = vec![world.path("deep/er/*.log").to_str().unwrap().to_owned()];
    let running = world.start();
    world.wait_for_state(|_| true).await;
    fs::create_dir(world.path("deep")).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    fs::create_dir(world.path("deep/er")).unwrap();
    world.append("deep/er/a.log", "one\n");
    assert_eq!(world.wait_for(1).await, ["one"]);
    world.append("deep/er/a.log", "two\n");
    assert_eq!(world.wait_for(2).await, ["one", "two"]);
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_came_and_was_rotated_away_before_the_bus_was_there_is_read() {
    let world = World::new(Format::Plain).await;
    let (there, ended) = (CancellationToken::new(), CancellationToken::new());
    let source = world.source().reading_after(there.clone());
    let running = (tokio::spawn(source.run(Until::Stopped, ended.clone())), ended);
    world.append("a.log", "one\n");
    world.wait_for_state(|files| files.len() == 1).await;
    fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
    world.append("a.log", "two\n");
    assert_eq!(world.bodies().await, Vec::<String>::new());
    there.cancel();
    assert_eq!(world.wait_for(2).await, ["one", "two"]);
    stop(running).await;
}

#[tokio::test]
async fn a_deleted_file_that_is_open_is_read_to_its_end() {
    let world = World::new(Format::Plain).await;
    world.append("a.log", "1\n");
    let running = world.start();
    world.wait_for(1).await;
    let mut writer = OpenOptions::new().append(true).open(world.path("a.log")).unwrap();
    fs::remove_file(world.path("a.log")).unwrap();
    writer.write_all(b"2\n").unwrap();
    assert_eq!(world.wait_for(2).await, ["1", "2"]);
    stop(running).await;
}

#[tokio::test]
async fn what_was_rotated_while_the_collector_was_down_is_found() {
    let world = World::new(Format::Plain).await;
    world.append("a.log", "1\n2\n");
    world.to_the_end().await;
    world.append("a.log", "3\n");
    fs::rename(world.path("a.log"), world.path("a.log.20260101-000000")).unwrap();
    // Birth times are as coarse as the kernel's tick.
    tokio::time::sleep(Duration::from_millis(20)).await;
    world.append("a.log", "4\n");
    fs::rename(world.path("a.log"), world.path("a.log.20260101-000001")).unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    world.append("a.log", "5\n");
    let running = world.start();
    assert_eq!(world.wait_for(5).await, ["1", "2", "3", "4", "5"]);
    stop(running).await;
    let again = world.start();
    world.append("a.log", "6\n");
    assert_eq!(world.wait_for(6).await.len(), 6);
    stop(again).await;
}

#[tokio::test]
async fn a_truncated_file_is_another_generation() {
    let world = World::new(Format::Plain).await;
    world.append("a.log", "one\ntwo\n");
    let running = world.start();
    world.wait_for(2).await;
    File::create(world.path("a.log")).unwrap().write_all(b"three\n").unwrap();
    assert_eq!(world.wait_for(3).await, ["one", "three", "two"]);
    stop(running).await;
}

#[tokio::test]
async fn what_goes_away_unread_and_what_is_cut_is_counted_by_its_file() {
    let mut world = World::new(Format::Plain).await;
    world.options.max_line = weir_service::config::Size(100);
    world.append("a.log", "x".repeat(200) + "\nhalf");
    let sources = Sources::default();
    let source = world.source().telling(&sources);
    crate::metrics::observe(&world.telemetry.meter(), &sources);
    let stopped = CancellationToken::new();
    let running = (tokio::spawn(source.run(Until::Stopped, stopped.clone())), stopped);
    world.wait_for(1).await;
    File::create(world.path("a.log")).unwrap().write_all(b"2\n").unwrap();
    world.wait_for(2).await;
    stop(running).await;
    let told = world.telemetry.metrics().unwrap();
    let count = |name: &str| {
        let is_it = |line: &&str| line.starts_with(name) && line.contains("a.log") && !line.contains("over_limit");
        let line = told.lines().find(is_it);
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or_else(|| panic!("{name} in {told}")).to_owned()
    };
    assert_eq!(count("weir_collector_source_lost"), "4");
    assert_eq!(count("weir_collector_file_cut_lines"), "1");
}

#[tokio::test]
async fn an_inode_that_was_used_again_while_down_is_another_file() {
    let world = World::new(Format::Plain).await;
    world.append("a.log", "old 1\nold 2\n");
    world.to_the_end().await;
    fs::write(world.path("a.log"), "new 1, and longer\nnew 2, and longer\n").unwrap();
    world.to_the_end().await;
    assert_eq!(world.bodies().await, ["new 1, and longer", "new 2, and longer", "old 1", "old 2"]);
}

#[tokio::test]
async fn kills_at_any_moment_lose_nothing_and_double_nothing() {
    let mut world = World::new(Format::Auto).await;
    let mut expected = Vec::new();
    let mut number = 0;
    for round in 0..12 {
        for file in ["a.log", "b.log"] {
            let mut text = String::new();
            for _ in 0..400 {
                number += 1;
                expected.push(format!("{number:06} {}", "x".repeat(number % 300)));
                let line = expected.last().unwrap().clone();
                let time = "2016-10-06T00:17:09Z";
                if number % 7 == 0 {
                    let (head, tail) = line.split_at(3);
                    writeln!(text, "{time} stderr P {head}").unwrap();
                    expected.push(format!("{number:06} mixed"));
                    writeln!(text, "{time} stdout F {number:06} mixed\n{time} stderr F {tail}").unwrap();
                } else {
                    writeln!(text, "{time} stdout F {line}").unwrap();
                }
            }
            world.append(file, text);
        }
        let running = world.start();
        tokio::time::sleep(Duration::from_millis(round * 3)).await;
        if round % 4 == 2 {
            let old = world.path(&format!("a.log.{round}"));
            fs::rename(world.path("a.log"), old).unwrap();
        }
        kill(running).await;
        world.options.files[0].from = From::Beginning;
    }
    expected.sort();
    let running = world.start();
    assert_eq!(world.wait_for(expected.len()).await, expected);
    stop(running).await;
}

#[tokio::test]
async fn a_group_ended_by_time_is_ended_there_after_a_restart_too() {
    let mut world = World::new(Format::Plain).await;
    world.options.files[0].multiline = Multiline::Start(Pattern(regex::bytes::Regex::new("^start").unwrap()));
    world.append("a.log", "start 1\n more\n");
    let running = world.start();
    world.wait_for(1).await;
    kill(running).await;
    world.append("a.log", " late\nstart 2\n");
    let running = world.start();
    let bodies = world.wait_for(3).await;
    assert_eq!(bodies, [" late", "start 1\n more", "start 2"]);
    stop(running).await;
}

#[tokio::test]
async fn a_part_that_nothing_goes_on_with_is_ended_and_holds_nothing_up() {
    let world = World::new(Format::Auto).await;
    let time = "2016-10-06T00:17:09Z";
    world.append("cri.log", format!("{time} stdout P a part\n{time} stderr F whole\n"));
    let docker = format!(r#"{{"log":"last words","stream":"stdout","time":"{time}"}}"#);
    world.append("docker.log", format!("\n{docker}\n"));
    let running = world.start();
    assert_eq!(world.wait_for(4).await, ["", "a part", "last words", "whole"]);
    kill(running).await;
    world.append("cri.log", format!("{time} stdout P late, \n"));
    let running = world.start();
    world.append("cri.log", format!("{time} stdout F and whole\n"));
    assert_eq!(world.wait_for(5).await[3], "late, and whole");
    stop(running).await;
}

#[tokio::test]
async fn a_part_is_ended_though_the_other_output_goes_on() {
    let world = World::new(Format::Cri).await;
    let time = "2016-10-06T00:17:09Z";
    world.append("a.log", format!("{time} stdout P a part\n"));
    let running = world.start();
    for number in 0.. {
        assert!(number < 3000, "it never came");
        world.append("a.log", format!("{time} stderr F {number}\n"));
        tokio::time::sleep(Duration::from_millis(5)).await;
        if number % 50 == 49 && world.bodies().await.iter().any(|body| body == "a part") {
            break;
        }
    }
    stop(running).await;
}

#[tokio::test]
async fn a_deleted_file_that_grew_while_nobody_read_is_not_closed() {
    let world = World::new(Format::Plain).await;
    let mut writer = File::create(world.path("a.log")).unwrap();
    let mut source = world.source();
    follow::look(&mut source, true);
    for tail in source.tails.values_mut() {
        tail.visit(&mut [0; 1000], 1).unwrap();
    }
    fs::remove_file(world.path("a.log")).unwrap();
    follow::look(&mut source, false);
    tokio::time::sleep(Duration::from_millis(250)).await;
    writer.write_all(b"late\n").unwrap();
    source.tick(std::time::Instant::now());
    assert_eq!(source.tails.len(), 1);
}

#[tokio::test]
async fn a_file_whose_handle_is_stale_is_opened_again_and_is_deleted_if_it_is_not_there() {
    let world = World::new(Format::Plain).await;
    world.append("a.log", "one");
    let mut source = world.source();
    follow::look(&mut source, true);
    let (id, stop) = (*source.tails.keys().next().unwrap(), CancellationToken::new());
    let stale = std::io::Error::from(rustix::io::Errno::STALE);
    source.unreadable(id, &stale, &stop).await;
    assert!(source.open_again(id).unwrap());
    source.unreadable(id, &stale, &stop).await;
    fs::remove_file(world.path("a.log")).unwrap();
    assert!(!source.open_again(id).unwrap());
    source.unreadable(id, &stale, &stop).await;
    assert_eq!(source.tails[&id].entry.ended, Some(Reason::Deleted));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_many_files_that_time_ends_are_kept_with_few_writes() {
    let mut world = World::new(Format::Plain).await;
    world.options.files[0].multiline = Multiline::Auto;
    world.checkpoint = Duration::from_secs(1);
    let names: Vec<_> = (0..20).map(|number| format!("{number}.log")).collect();
    for name in &names {
        world.append(name, "first\n");
    }
    let running = world.start();
    world.wait_for(20).await;
    let state = world.folder.path().join("state/files.json");
    let written = || fs::metadata(&state).unwrap().modified().unwrap();
    let mut writes = std::collections::BTreeSet::from([written()]);
    for name in names {
        world.append(&name, "second\n");
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            writes.extend(fs::metadata(&state).and_then(|state| state.modified()));
        }
    }
    assert!(writes.len() <= 6, "{} writes in two seconds", writes.len());
    assert_eq!(world.wait_for(40).await.len(), 40);
    stop(running).await;
}

#[tokio::test]
async fn a_long_line_is_cut_and_the_next_one_is_whole() {
    let mut world = World::new(Format::Plain).await;
    world.options.max_line = weir_service::config::Size(1000);
    world.append("a.log", format!("{}\nnext\n", "x".repeat(5_000_000)));
    world.to_the_end().await;
    let bodies = world.bodies().await;
    assert_eq!((bodies[0].as_str(), bodies[1].len()), ("next", 1000));
}

#[tokio::test]
async fn much_more_than_may_be_in_flight_goes_through_in_records_under_the_limit() {
    let world = World::new(Format::Plain).await;
    let line = "y".repeat(99);
    for name in ["a.log", "b.log", "c.log"] {
        world.append(name, format!("{line}\n").repeat(30_000));
    }
    world.to_the_end().await;
    assert_eq!(world.read().await.len(), 90_000);
}

#[tokio::test]
async fn from_the_end_only_what_comes_later_is_read() {
    let mut world = World::new(Format::Plain).await;
    world.options.files[0].from = From::End;
    world.append("a.log", "before\n");
    world.to_the_end().await;
    world.append("a.log", "after\n");
    world.append("b.log", "new file\n");
    world.to_the_end().await;
    assert_eq!(world.bodies().await, ["after", "new file"]);
}

#[tokio::test]
async fn from_the_end_a_line_that_is_being_written_is_whole() {
    let mut world = World::new(Format::Auto).await;
    world.options.files[0].from = From::End;
    world.append("a.log", cri("before") + cri("half").trim_end());
    world.to_the_end().await;
    world.append("a.log", " and half\n".to_owned() + &cri("next"));
    world.to_the_end().await;
    assert_eq!(world.bodies().await, ["half and half", "next"]);
}

#[tokio::test]
async fn a_file_whose_format_was_remembered_from_its_first_line_is_read_line_by_line() {
    let world = World::new(Format::Auto).await;
    world.append("a.log", "*** banner ***\n");
    world.to_the_end().await;
    let state = world.folder.path().join("state/files.json");
    let mut content: serde_json::Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    content["files"][0]["format"] = "plain".into();
    fs::write(&state, content.to_string()).unwrap();
    world.append("a.log", cri("first"));
    world.to_the_end().await;
    assert_eq!(world.bodies().await, ["*** banner ***", "first"]);
}

#[tokio::test]
async fn links_as_the_kubelet_makes_them_are_followed() {
    let world = World::new(Format::Cri).await;
    let pod = world.folder.path().join("pods/team-a_ocr_uid-1/main");
    fs::create_dir_all(&pod).unwrap();
    fs::write(pod.join("0.log"), cri("1")).unwrap();
    let link = world.path(&format!("ocr_team-a_main-{}.log", "ab".repeat(32)));
    std::os::unix::fs::symlink(pod.join("0.log"), &link).unwrap();
    let running = world.start();
    world.wait_for(1).await;
    fs::rename(pod.join("0.log"), pod.join("0.log.20260101-000000")).unwrap();
    fs::write(pod.join("0.log"), cri("2")).unwrap();
    assert_eq!(world.wait_for(2).await, ["1", "2"]);
    stop(running).await;
}

#[tokio::test]
async fn another_device_number_after_a_reboot_does_not_make_another_file() {
    for (before, after) in [("1\n2\n", "3\n"), ("1", "\n2\n3\n")] {
        let world = World::new(Format::Plain).await;
        world.append("a.log", before);
        world.to_the_end().await;
        let state = world.folder.path().join("state/files.json");
        let mut content: serde_json::Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
        content["files"][0]["device"] = 123.into();
        fs::write(&state, content.to_string()).unwrap();
        world.append("a.log", after);
        world.to_the_end().await;
        assert_eq!(world.bodies().await, ["1", "2", "3"]);
        world.wait_for_state(|files| files.len() == 1).await;
    }
}

#[tokio::test]
async fn a_damaged_checkpoint_is_an_error_and_not_a_fresh_start() {
    let world = World::new(Format::Plain).await;
    fs::write(world.folder.path().join("state/files.json"), "{").unwrap();
    let metrics = Metrics::new(&opentelemetry::global::meter("test"));
    let part = weir_service::health::Health::default().part("files");
    let state = world.folder.path().join("state");
    let opened =
        Source::open(&world.options, Settings::default(), &state, &world.bus, Naming::default(), metrics, part);
    assert!(matches!(opened, Err(Error::Storage { .. })));
}

#[tokio::test]
async fn positions_of_many_files_are_written_less_often() {
    let mut source = World::new(Format::Plain).await.source();
    assert_eq!(source.pause(), Duration::from_millis(5));
    source.kept = 1 << 20;
    assert_eq!(source.pause(), Duration::from_secs(2));
    source.kept = 1 << 30;
    assert_eq!(source.pause(), Duration::from_secs(5));
}
