//! Files in other encodings than UTF-8.

use std::io::{Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::encoding::Encoding;
use crate::file::content::Content;
use crate::file::identity::ANCHOR;
use crate::file::names;
use crate::file::pods::Kept;
use crate::file::tail::{Tail, Visit};

const MAX_LINE: usize = 64;

fn encoding(label: &str) -> Encoding {
    Encoding::try_from(label.to_owned()).unwrap()
}

fn encode(label: &str, text: &str) -> Vec<u8> {
    match label {
        "utf-16be" => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        "utf-16" | "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        _ => {
            let (bytes, _, unmappable) = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap().encode(text);
            assert!(!unmappable, "{label}: {text}");
            bytes.into_owned()
        }
    }
}

/// A file, and what follows it.
struct Followed {
    file: File,
    tail: Tail,
    buffer: Vec<u8>,
}

impl Followed {
    fn new(label: &str, format: Format, multiline: Multiline) -> Self {
        let named = tempfile::NamedTempFile::new().unwrap();
        let mut content = Content::Plain(named.reopen().unwrap());
        let file = named.into_file();
        let metadata = file.metadata().unwrap();
        let entry = follow::begin((0, 0), &mut content, &metadata, Path::new("a.log"), format).unwrap();
        let facts = names::facts(Path::new("a.log"), Path::new("a.log"), &Naming::default(), &Kept::default());
        let tail = Tail::new(entry, content, 0, facts, Arc::new(multiline), encoding(label), MAX_LINE);
        Self { file, tail, buffer: vec![0; 1000 + ANCHOR] }
    }

    fn write(&mut self, bytes: &[u8]) -> &mut Self {
        self.file.write_all(bytes).unwrap();
        for _ in 0..10_000 {
            match self.tail.visit(&mut self.buffer, 1).unwrap() {
                Visit::Read { more: false, .. } => return self,
                Visit::Changed => break,
                Visit::Read { .. } | Visit::Begun => {}
            }
        }
        panic!("it is not read to its end")
    }

    /// The records so far: offset, body, and whether it is marked as not being in its encoding.
    fn records(&mut self) -> Vec<(u64, Value, bool)> {
        let request = ExportLogsServiceRequest::decode(self.tail.batch.finish(&[])).unwrap();
        let records = request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs).flat_map(|s| s.log_records);
        let find = |record: &LogRecord, key: &str| {
            let found = record.attributes.iter().find(|attribute| attribute.key == key);
            found.and_then(|found| found.value.clone()?.value)
        };
        records
            .map(|record| {
                let Some(Value::IntValue(offset)) = find(&record, "log.file.offset") else { panic!() };
                let marked = find(&record, "weir.not_utf8").is_some();
                (offset as u64, record.body.unwrap().value.unwrap(), marked)
            })
            .collect()
    }
}

fn text(offset: u64, text: &str) -> (u64, Value, bool) {
    (offset, Value::StringValue(text.to_owned()), false)
}

fn raw(offset: u64, bytes: &[u8]) -> (u64, Value, bool) {
    (offset, Value::BytesValue(bytes.to_owned()), true)
}

proptest! {
    #[test]
    fn any_text_comes_back_wherever_reading_paused(
        (label, lines) in prop_oneof![
            (prop::sample::select(vec!["utf-8", "utf-16", "utf-16le", "utf-16be"]),
                prop::collection::vec("[a-c中文\u{a0a}\u{10a}\u{a01}\u{a00}𠮷\r]{0,900}|[^\n\u{feff}\u{fffe}]{0,30}", 0..12)),
            (prop::sample::select(vec!["gb18030", "gbk", "big5", "shift_jis", "euc-jp", "euc-kr"]),
                prop::collection::vec("[a-c中文字]{0,900}|[a-c中文字]{0,30}", 0..12)),
            (Just("gb18030"), prop::collection::vec("[a-c中é𠮷]{0,900}", 0..12)),
        ],
        mark in any::<bool>(),
        room in 700_usize..1500,
        pauses in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let mark = if mark && (label.starts_with("utf") || label == "gb18030") { "\u{feff}" } else { "" };
        let mut bytes = encode(label, mark);
        let (mut expected, mut left_out) = (Vec::new(), 0);
        for line in &lines {
            let cut = line.floor_char_boundary(MAX_LINE);
            let offset = if expected.is_empty() { 0 } else { bytes.len() as u64 };
            expected.push(text(offset, &line[..cut]));
            left_out += (line.len() - cut) as u64;
            bytes.extend(encode(label, &format!("{line}\n")));
        }
        let mut followed = Followed::new(label, Format::Plain, Multiline::None);
        followed.buffer.resize(room + ANCHOR, 0);
        let mut pauses: Vec<usize> = pauses.iter().map(|pause| pause.index(bytes.len() + 1)).collect();
        pauses.sort_unstable();
        let mut from = 0;
        for to in pauses.into_iter().chain([bytes.len()]) {
            followed.write(&bytes[from..to]);
            from = to;
        }
        // A mark alone waits for its first line.
        prop_assert_eq!(followed.tail.unfinished(), lines.is_empty() && !mark.is_empty());
        prop_assert_eq!(followed.tail.batch.mark().left_out, left_out);
        prop_assert_eq!(followed.records(), expected);
    }
}

#[test]
fn a_line_that_is_not_in_its_encoding_comes_as_it_is_even_if_it_is_utf_8() {
    let mut followed = Followed::new("gbk", Format::Cri, Multiline::None);
    let time = b"2016-10-06T00:17:09Z stdout F ".as_slice();
    let lines =
        [&[time, &encode("gbk", "失败")].concat(), &[time, "x识".as_bytes()].concat(), b"no CRI \x81".as_slice()];
    let file = lines.map(|line| [line, b"\n"].concat()).concat();
    let (second, third) = (lines[0].len() as u64 + 1, (lines[0].len() + lines[1].len()) as u64 + 2);
    let expected = [text(0, "失败"), raw(second, "x识".as_bytes()), raw(third, lines[2])];
    assert_eq!(followed.write(&file).records(), expected);
    assert_eq!(followed.tail.assembler.counts.undecodable, 2);

    let mut followed = Followed::new("utf-16le", Format::Plain, Multiline::None);
    followed.write(b"a\0\n\0\x00\xd8b\0\n\0c\0\n\0");
    assert_eq!(followed.records(), [text(0, "a"), raw(4, b"\x00\xd8b\0"), text(10, "c")]);
    assert_eq!(followed.tail.assembler.counts.undecodable, 1);
}

#[test]
fn each_line_decides_its_format_in_every_encoding() {
    for label in ["gbk", "utf-16le"] {
        let lines = ["横幅\n".to_owned(), cri("失败"), "\0".to_owned() + &cri("恢复")];
        let (second, third) = (encode(label, &lines[0]).len(), encode(label, &lines[..2].concat()).len());
        let mut followed = Followed::new(label, Format::Auto, Multiline::None);
        followed.write(&encode(label, &lines.concat()));
        assert_eq!(followed.records(), [text(0, "横幅"), text(second as u64, "失败"), text(third as u64, "恢复")]);
    }
}

#[test]
fn half_a_character_at_the_end_waits_and_is_not_lost() {
    let mut followed = Followed::new("utf-16", Format::Plain, Multiline::None);
    for half in [b"\xFE".as_slice(), b"\xFF\x00", b"a\x00"] {
        assert_eq!(followed.write(half).records(), []);
    }
    assert_eq!(followed.write(b"\n\x00b\x00\n\x4e").records(), [text(0, "a"), text(6, "b")]);
    assert!(followed.tail.unfinished());
    followed.tail.break_after(true);
    assert_eq!(followed.write(b"").records(), [raw(10, b"\x4e")]);
    assert!(!followed.tail.unfinished());
}

#[test]
fn behind_a_hole_a_character_is_whole_though_zero_is_a_byte_of_it() {
    for (label, line) in [("utf-16be", "a"), ("utf-16le", "一")] {
        let mut followed = Followed::new(label, Format::Plain, Multiline::None);
        followed.file.seek(SeekFrom::Start(10_000_000)).unwrap();
        followed.write(&encode(label, &format!("{line}\n")));
        let (offset, read, _) = followed.records().pop().unwrap();
        // Where the file system knows no holes, it is a part of the line.
        let Value::StringValue(read) = read else { panic!("{label}: {read:?}") };
        assert!(offset == 0 || (offset == 10_000_000 && read == line), "{label}: {offset} {read}");
    }
}

#[test]
fn parts_that_were_cut_within_a_character_are_one_text() {
    let line = |stream: &str, kind: &str, text: &[u8]| {
        [format!("2016-10-06T00:17:09Z {stream} {kind} ").as_bytes(), text, b"\n"].concat()
    };
    let whole = encode("gb18030", "第一行很长");
    let error = encode("gb18030", "错误");
    let start = Pattern(regex::bytes::Regex::new("^(第|错)").unwrap());
    for cut in 0..whole.len() {
        let (head, rest) = whole.split_at(cut);
        for multiline in [Multiline::None, Multiline::Start(start.clone())] {
            let mut followed = Followed::new("gb18030", Format::Cri, multiline);
            let lines = [line("stdout", "P", head), line("stderr", "F", &error), line("stdout", "F", rest)];
            followed.write(&lines.concat());
            followed.tail.break_after(true);
            followed.write(b"");
            let mut records = followed.records();
            records.sort_by_key(|record| record.0);
            assert_eq!(records, [text(0, "第一行很长"), text(lines[0].len() as u64, "错误")], "cut at {cut}");
            assert_eq!(followed.tail.assembler.counts.undecodable, 0);
        }
    }
    let mut followed = Followed::new("gb18030", Format::Cri, Multiline::None);
    followed.write(&[line("stdout", "P", &whole[..5]), line("stdout", "F", b"\xFF")].concat());
    assert_eq!(followed.records(), [raw(0, &[&whole[..5], b"\xFF"].concat())]);
    assert_eq!(followed.tail.assembler.counts.undecodable, 1);
}

#[tokio::test]
async fn chinese_logs_in_gb18030_and_utf_16_come_back_as_text() {
    let mut world = World::new(Format::Auto).await;
    let of = |path: PathBuf, label: &str| FileOptions {
        include: vec![path.to_str().unwrap().to_owned()],
        encoding: encoding(label),
        multiline: Multiline::Start(Pattern(regex::bytes::Regex::new("^[〇-龟]+:").unwrap())),
        ..FileOptions::default()
    };
    world.options.files = vec![of(world.path("gb*.log"), "gb18030"), of(world.path("wide*.log"), "utf-16")];
    let plain = "错误: 识别服务超时，耗时 3021 毫秒\n\tat 第二行\n信息: 恢复 \u{20BB7}\n";
    world.append("gb.log", encode("gb18030", plain));
    world.append("gb-cri.log", encode("gb18030", &cri("信息: 容器已启动")));
    world.append("wide.log", encode("utf-16", &format!("\u{feff}{plain}")));
    world.append("wide-be.log", encode("utf-16be", "\u{feff}{\"level\":\"warn\",\"msg\":\"队列已满\"}\r\n"));
    let running = world.start();
    world.wait_for(6).await;
    let first = "错误: 识别服务超时，耗时 3021 毫秒\n\tat 第二行";
    let json = "{\"level\":\"warn\",\"msg\":\"队列已满\"}\r";
    let last = "信息: 恢复 \u{20BB7}";
    assert_eq!(world.bodies().await, [json, "信息: 容器已启动", last, last, first, first].map(ToOwned::to_owned));
    kill(running).await;
    // The mark is not read again where the file goes on.
    world.append("wide-be.log", encode("utf-16be", "信息: 好了\n信息: 完\n"));
    let running = world.start();
    assert!(world.wait_for(8).await.contains(&"信息: 好了".to_owned()));
    stop(running).await;
}

#[tokio::test]
async fn from_the_end_of_a_utf_16_file_a_line_that_is_being_written_is_whole() {
    for label in ["utf-16le", "utf-16be"] {
        let mut world = World::new(Format::Plain).await;
        (world.options.files[0].from, world.options.files[0].encoding) = (From::End, encoding("utf-16"));
        world.append("a.log", encode(label, "\u{feff}before\nhalf \u{a0a}\u{a00}"));
        world.to_the_end().await;
        world.append("a.log", encode(label, " and half\nnext\n"));
        world.to_the_end().await;
        assert_eq!(world.bodies().await, ["half \u{a0a}\u{a00} and half", "next"], "{label}");
    }
}

#[tokio::test]
async fn a_file_that_holds_no_more_than_a_byte_order_mark_is_done_with() {
    let mut world = World::new(Format::Plain).await;
    world.rescan = Duration::from_millis(100);
    world.append("a.log", "\u{feff}");
    let running = world.start();
    world.wait_for_state(|files| files.len() == 1).await;
    fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
    world.wait_for_state(|files| files.iter().all(|file| file["closed"] == true && file["position"] == 3)).await;
    assert_eq!(world.bodies().await, [""]);
    stop(running).await;
}
