//! Real lines go in as CRI and docker files and come back through the search API byte for byte; the constant words of
//! loghub's templates find at least the lines that loghub says are theirs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use weir_tests::{Api, Weir, data, loghub, until};

/// Lines that are taken of a file.
const MOST: usize = 2_000;
/// Bytes of a part: longer lines are written in several, as runtimes do at 16 KiB.
const PART: usize = 160;

/// How often a line is there.
type Lines = BTreeMap<Vec<u8>, u32>;

#[tokio::test(flavor = "multi_thread")]
async fn every_real_line_comes_back_byte_for_byte() {
    let Some(data) = data("every_real_line_comes_back_byte_for_byte") else { return };
    let logs = data.join("logs");
    let mut input = Input::new();
    for path in loghub::logs(&logs) {
        input.cri(&logs, &path);
    }
    // Their encodings are those of Windows and of Chinese, Japanese and Korean systems.
    for path in files(&logs.join("fluent-bit/tail/log"), |name| name.starts_with("generic_enc_")) {
        input.cri(&logs, &path);
    }
    for path in files(&logs.join("elastic-examples/kafka"), |_| true) {
        input.docker(&logs, &path);
    }
    for path in files(&logs.join("nezha-onlineboutique-dockerjson"), |name| {
        Path::new(name).extension().is_some_and(|extension| extension == "log")
    }) {
        input.docker_as_it_is(&logs, &path);
    }
    let foreign = input.lines.values().flat_map(Lines::keys).filter(|line| std::str::from_utf8(line).is_err()).count();
    assert!(foreign > 0, "no line that is not UTF-8 goes in");

    let (_weir, api) = input.index().await;
    let mut found: BTreeMap<String, Lines> = BTreeMap::new();
    for hit in api.search("").await.unwrap() {
        let bytes = bytes(&hit);
        let marked = hit["attributes"]["weir.not_utf8"] == true;
        assert_eq!(marked, std::str::from_utf8(&bytes).is_err(), "wrongly marked: {hit}");
        *found.entry(file(&hit)).or_default().entry(bytes).or_default() += 1;
    }
    for (name, lines) in &input.lines {
        let found = found.remove(name).unwrap_or_default();
        let lost = difference(lines, &found);
        let alien = difference(&found, lines);
        assert!(
            lost.is_empty() && alien.is_empty(),
            "{name}: {} lines did not come back as often as they went in, such as {:?}; {} came that were not written so \
             often, such as {:?}",
            lost.len(),
            lost.first(),
            alien.len(),
            alien.first()
        );
    }
    assert!(found.is_empty(), "lines of files that were not written: {:?}", found.keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_constant_words_of_each_template_find_all_of_its_lines() {
    let Some(data) = data("the_constant_words_of_each_template_find_all_of_its_lines") else { return };
    let logs = data.join("logs");
    let mut input = Input::new();
    for path in loghub::logs(&logs) {
        input.cri(&logs, &path);
    }
    let (_weir, api) = input.index().await;
    let mut asked = 0;
    for path in loghub::logs(&logs) {
        let name = Input::name(&logs, &path);
        let lines = split(&std::fs::read(&path).unwrap());
        let mut owned: BTreeMap<String, Lines> = BTreeMap::new();
        for row in loghub::table(&path, "_structured.csv").unwrap() {
            let number: usize = row["LineId"].parse().unwrap();
            let lines_of_it = owned.entry(row["EventId"].clone()).or_default();
            *lines_of_it.entry(lines[number - 1].clone()).or_default() += 1;
        }
        for row in loghub::table(&path, "_templates.csv").unwrap() {
            let (id, template) = (&row["EventId"], &row["EventTemplate"]);
            let words = loghub::constant_words(template);
            assert!(!words.is_empty(), "{name} {id}: no constant word in `{template}`");
            let mut query = format!("resource.log.file.name:\"{name}\"");
            for word in &words {
                write!(query, " AND \"{word}\"").unwrap();
            }
            let mut found = Lines::new();
            for hit in api.search(&query).await.unwrap() {
                let bytes = bytes(&hit);
                let text = String::from_utf8_lossy(&bytes).to_lowercase();
                assert_eq!(file(&hit), name, "{query} finds a line of another file");
                assert!(
                    words.iter().all(|word| text.contains(word)),
                    "{query} finds a line without a word of it: {text}"
                );
                *found.entry(bytes).or_default() += 1;
            }
            let owned = owned.remove(id).unwrap_or_default();
            assert!(!owned.is_empty(), "{name} {id}: the data has no line of it");
            let lost = difference(&owned, &found);
            assert!(lost.is_empty(), "{query} does not find {} lines of {id}, such as {:?}", lost.len(), lost.first());
            asked += 1;
        }
        assert!(owned.is_empty(), "{name}: lines of templates that are not listed: {:?}", owned.keys());
    }
    assert!(asked > 0, "the data has no template");
}

/// Files for the collector, and the lines that are in them.
struct Input {
    folder: TempDir,
    lines: BTreeMap<String, Lines>,
}

impl Input {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for format in ["cri", "docker"] {
            std::fs::create_dir(folder.path().join(format)).unwrap();
        }
        Self { folder, lines: BTreeMap::new() }
    }

    /// A file's name here tells the whole path that it has in the data.
    fn name(root: &Path, path: &Path) -> String {
        format!("{}.log", path.strip_prefix(root).unwrap().to_str().unwrap().replace('/', "."))
    }

    fn put(&mut self, format: &str, name: String, content: &[u8], lines: impl IntoIterator<Item = Vec<u8>>) {
        std::fs::write(self.folder.path().join(format).join(&name), content).unwrap();
        let mut counted = Lines::new();
        for line in lines {
            *counted.entry(line).or_default() += 1;
        }
        assert!(self.lines.insert(name, counted).is_none(), "two files of one name");
    }

    fn cri(&mut self, root: &Path, path: &Path) {
        let lines = sample(path);
        let mut content = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            let mut rest = line.as_slice();
            loop {
                // Parts end where they end, in the middle of a character too.
                let (part, more) = rest.split_at(rest.len().min(PART));
                let tag = if more.is_empty() { 'F' } else { 'P' };
                write!(content, "{} stdout {tag} ", time(number)).unwrap();
                content.extend_from_slice(part);
                content.push(b'\n');
                if more.is_empty() {
                    break;
                }
                rest = more;
            }
        }
        self.put("cri", Self::name(root, path), &content, lines);
    }

    fn docker(&mut self, root: &Path, path: &Path) {
        let lines = sample(path);
        let mut content = String::new();
        for (number, line) in lines.iter().enumerate() {
            let mut rest = std::str::from_utf8(line).unwrap();
            loop {
                let (part, more) = rest.split_at(rest.floor_char_boundary(PART));
                let end = if more.is_empty() { "\n" } else { "" };
                let entry = json!({ "log": format!("{part}{end}"), "stream": "stderr", "time": time(number) });
                writeln!(content, "{entry}").unwrap();
                if more.is_empty() {
                    break;
                }
                rest = more;
            }
        }
        self.put("docker", Self::name(root, path), content.as_bytes(), lines);
    }

    fn docker_as_it_is(&mut self, root: &Path, path: &Path) {
        let physical = sample(path);
        let logged = physical.iter().map(|line| {
            let entry: Value = serde_json::from_slice(line).unwrap();
            let text = entry["log"].as_str().unwrap();
            text.strip_suffix('\n').expect("the data has whole lines alone").as_bytes().to_vec()
        });
        let mut content = physical.join(&b'\n');
        content.push(b'\n');
        self.put("docker", Self::name(root, path), &content, logged);
    }

    /// Starts weir on the files, and waits until as many lines are in the index as are in them.
    async fn index(&self) -> (Weir, Api) {
        let files = |format: &str| self.folder.path().join(format).join("*.log");
        let config = json!({
            "listen": "127.0.0.1:0",
            "collector": {
                "files": [
                    { "include": [files("cri")], "format": "cri" },
                    { "include": [files("docker")], "format": "docker" },
                ],
                "otlp": { "grpc": "127.0.0.1:0", "http": "127.0.0.1:0" },
            },
            // Some lines are asked for in memory, most on disk.
            "indexer": { "seal": { "age": "2s", "size": "4MB" } },
        });
        let mut weir = Weir::new("standalone", &self.folder.path().join("weir"), &config).unwrap();
        let ready = weir.start().await.unwrap();
        let api = Api::new(&ready.http).unwrap();
        let total: u64 = self.lines.values().flat_map(Lines::values).map(|count| u64::from(*count)).sum();
        until(Duration::from_secs(45), || async { (api.count("").await.ok()? >= total).then_some(()) }).await;
        (weir, api)
    }
}

fn time(number: usize) -> String {
    format!("2026-11-01T08:00:00.{number:09}Z")
}

/// Files below `folder`, in order of their paths.
fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    let found: Vec<_> = entries
        .filter(|entry| entry.file_type().is_file() && entry.file_name().to_str().is_some_and(&wanted))
        .map(walkdir::DirEntry::into_path)
        .collect();
    assert!(!found.is_empty(), "no files in {}", folder.display());
    found
}

/// Lines as they stand between newlines: a carriage return belongs to its line.
fn split(text: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<_> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    lines.pop_if(|last| last.is_empty());
    lines
}

fn sample(path: &Path) -> Vec<Vec<u8>> {
    let mut lines = split(&std::fs::read(path).unwrap());
    lines.truncate(MOST);
    lines
}

/// Lines that are in `left` more often than in `right`, readable.
fn difference(left: &Lines, right: &Lines) -> Vec<String> {
    let missing = left.iter().filter(|(line, count)| right.get(*line).is_none_or(|other| other < count));
    missing.map(|(line, _)| line.escape_ascii().to_string()).collect()
}

fn file(hit: &Value) -> String {
    hit["resource"]["log.file.name"].as_str().unwrap().to_owned()
}

fn bytes(hit: &Value) -> Vec<u8> {
    match hit["body_bytes"].as_str() {
        None => hit["body"].as_str().unwrap().as_bytes().to_vec(),
        Some(hex) => {
            let digits: Vec<_> = hex.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
            digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
        }
    }
}
