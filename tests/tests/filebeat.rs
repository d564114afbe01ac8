//! A real Filebeat ships to `/elastic/` while the collector is killed: every line is found at least once, with the fields
//! that Filebeat gives it, and a document that is refused holds up no other.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use weir_service::auth::{Role, tokens};
use weir_tests::filebeat::{self, Filebeat};
use weir_tests::kafka::Kafka;
use weir_tests::{Api, Weir, client, data, loghub, skip, until};

const PATIENCE: Duration = Duration::from_mins(2);
const NAME: &str = "every_line_of_a_filebeat_is_found_though_the_collector_is_killed";

/// Lines of a file, by where they begin.
type Lines = BTreeMap<u64, String>;

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_filebeat_is_found_though_the_collector_is_killed() {
    let Some(data) = data(NAME) else { return };
    let program = match filebeat::program().await {
        Ok(program) => program,
        Err(error) => return skip(NAME, &format!("{error:#}")),
    };
    let kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return skip(NAME, &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    std::fs::create_dir_all(logs.join("foreign")).unwrap();
    let file = folder.path().join("tokens.yaml");
    std::fs::write(&file, "").unwrap();
    let token = |name: &str, role| tokens::add(&file, name, role, &["acme".to_owned()], None).unwrap();
    let (writer, viewer) = (token("filebeat", Role::Writer), token("ui", Role::Viewer));
    // A free port, which the collector has again after it was killed.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let config = json!({
        "listen": "127.0.0.1:0",
        "bus": {"broker": "kafka", "brokers": kafka.brokers()},
        "collector": {
            "otlp": {"grpc": null, "http": format!("127.0.0.1:{port}")}, "host": null, "gpu": null,
        },
        "auth": {"tokens": file},
    });
    let mut collector = Weir::new("collector", &folder.path().join("collector"), &config).unwrap();
    let mut indexer = Weir::new("indexer", &folder.path().join("indexer"), &config).unwrap();
    let (_, http) = (collector.start().await.unwrap(), indexer.start().await.unwrap().http);
    let api = Api::new(&http).unwrap().with_token(&viewer);

    let input = |name: &str| json!({"id": name, "paths": [logs.join(format!("{name}*.log"))]});
    let foreign = json!({
        "id": "foreign", "paths": [logs.join("foreign/*.log")],
        "fields_under_root": true, "fields": {"weir.tenant": "globex"},
    });
    let host = format!("http://127.0.0.1:{port}/elastic");
    let by_password = json!({"hosts": [host], "username": "filebeat", "password": writer});
    let by_key = json!({"hosts": [host], "api_key": format!("filebeat:{writer}")});
    let mut beats = [
        Filebeat::new(&program, &[input("a"), foreign], &by_password).unwrap(),
        Filebeat::new(&program, &[input("b")], &by_key).unwrap(),
    ];
    beats[0].setup().unwrap();

    let mut written: BTreeMap<PathBuf, Lines> = BTreeMap::new();
    let mut later = Vec::new();
    for (number, (name, lines)) in corpus(&data.join("logs")).into_iter().enumerate() {
        let path = logs.join(format!("{}-{name}.log", ["a", "b"][number % 2]));
        let (first, second) = lines.split_at(lines.len() / 2);
        append(&path, first, &mut written);
        later.push((path, second.to_vec()));
    }
    append(&logs.join("foreign/x.log"), &["not for acme to send".to_owned()], &mut BTreeMap::new());
    for beat in &mut beats {
        beat.start().unwrap();
    }
    let some = until(PATIENCE, || async { (api.count("").await.ok()? > 1_000).then_some(()) });
    some.await.unwrap();
    collector.kill().unwrap();
    for (path, lines) in &later {
        append(path, lines, &mut written);
    }
    collector.start().await.unwrap();

    let wanted: usize = written.values().map(Lines::len).sum();
    assert!(wanted >= 20_000, "only {wanted} lines are shipped");
    let mut found = 0;
    for (path, lines) in &written {
        let query = format!("log.file.path:\"{}\"", path.display());
        let all = until(PATIENCE, || async { (api.count(&query).await.ok()? >= lines.len() as u64).then_some(()) });
        all.await.unwrap_or_else(|| panic!("not all lines of {} are found", path.display()));
        found += settled(&api, &query, lines).await;
    }
    println!("{wanted} lines were shipped, {found} records of them were found");
    assert_eq!(api.count("not AND for AND acme").await.unwrap(), 0);
    let refused = || beats[0].log().contains("Cannot index event (status=403)");
    until(PATIENCE, || async { refused().then_some(()) }).await.unwrap();
    asked_by_name(&api, &http, &viewer, &written).await;
}

/// Waits until every line of a file is there, each with where it begins, and as it was written; gives how many records
/// there are.
async fn settled(api: &Api, query: &str, lines: &Lines) -> usize {
    let wrong = std::cell::RefCell::new(String::new());
    let records = until(PATIENCE, || async {
        let hits = api.search(query).await.ok()?;
        let mut missing = lines.clone();
        for hit in &hits {
            let offset = number(&hit["attributes"], "log.offset");
            let offset = offset.unwrap_or_else(|| panic!("no log.offset: {hit}"));
            assert_eq!(lines.get(&offset).map(String::as_str), hit["body"].as_str(), "{query} at {offset}");
            missing.remove(&offset);
        }
        *wrong.borrow_mut() =
            format!("{query}: {} lines are missing, such as {:?}", missing.len(), missing.first_key_value());
        missing.is_empty().then_some(hits.len())
    });
    records.await.unwrap_or_else(|| panic!("{}", wrong.borrow()))
}

/// The fields that Filebeat gives are there by their names, in the grammar and in the Query DSL.
async fn asked_by_name(api: &Api, http: &str, token: &str, written: &BTreeMap<PathBuf, Lines>) {
    let all = api.count("").await.unwrap();
    let host = client().build().unwrap();
    let search = async |body: Value| -> Value {
        let request = host.post(format!("{http}/elastic/filebeat-*/_search")).bearer_auth(token).json(&body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    };
    let (path, lines) = written.first_key_value().unwrap();
    let hit = &search(json!({"size": 1, "query": {"term": {"log.file.path": path}}})).await["hits"]["hits"][0];
    let source = &hit["_source"];
    let agent = |name: &str| source[format!("agent.{name}")].as_str().or(source["agent"][name].as_str());
    assert_eq!(agent("version"), Some(filebeat::VERSION), "{source}");
    let names = [
        ("agent.type", "filebeat".to_owned()),
        ("agent.version", filebeat::VERSION.to_owned()),
        ("agent.hostname", agent("hostname").unwrap().to_owned()),
        ("host.name", source["host.name"].as_str().unwrap().to_owned()),
        ("input.type", "filestream".to_owned()),
    ];
    for (name, value) in names {
        assert_eq!(api.count(&format!("{name}:\"{value}\"")).await.unwrap(), all, "{name}:{value}");
        let body = json!({"size": 0, "track_total_hits": true, "query": {"term": {name: value}}});
        assert_eq!(search(body).await["hits"]["total"]["value"], all, "{name}:{value}");
    }
    let last = lines.last_key_value().unwrap().0;
    let of_last = format!("log.file.path:\"{}\" AND log.offset:>={last}", path.display());
    assert!(api.count(&of_last).await.unwrap() >= 1, "{of_last}");
    let least = format!("log.file.path:\"{}\" AND log.offset:<0", path.display());
    assert_eq!(api.count(&least).await.unwrap(), 0);
    let names = search(json!({"size": 0, "aggs": {"files": {"terms": {"field": "log.file.path", "size": 100}}}})).await;
    let buckets = names["aggregations"]["files"]["buckets"].as_array().unwrap();
    let files: Vec<&str> = buckets.iter().map(|bucket| bucket["key"].as_str().unwrap()).collect();
    assert!(written.keys().all(|path| files.contains(&path.to_str().unwrap())), "{files:?}");
}

/// A whole number under a name whose dots may be levels.
fn number(attributes: &Value, name: &str) -> Option<u64> {
    let nested = || name.split('.').try_fold(attributes, |value, key| value.get(key));
    attributes.get(name).or_else(nested)?.as_u64()
}

/// Adds lines to a file, and what is in it to `written`.
fn append(path: &Path, lines: &[String], written: &mut BTreeMap<PathBuf, Lines>) {
    let known = written.entry(path.to_owned()).or_default();
    let mut at = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut text = String::new();
    for line in lines {
        known.insert(at, line.clone());
        writeln!(text, "{line}").unwrap();
        at += line.len() as u64 + 1;
    }
    std::fs::File::options().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Files by name, of recorded logs, of JSON, in Chinese, and of long lines. Filebeat ships no empty lines.
fn corpus(logs: &Path) -> Vec<(String, Vec<String>)> {
    let read = |path: &Path, most: usize| -> Vec<String> {
        let text = std::fs::read(path).unwrap();
        let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let lines = lines.filter_map(|line| Some(std::str::from_utf8(line).ok()?.to_owned()));
        lines.filter(|line| !line.trim().is_empty()).take(most).collect()
    };
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut files: Vec<_> = loghub::logs(logs).iter().map(|path| (name(path), read(path, 2_000))).collect();
    let of_json = walkdir(&logs.join("nezha-onlineboutique-dockerjson"));
    files.extend(of_json.iter().map(|path| (name(path), read(path, 300))));
    files.push(("nginx".to_owned(), read(&logs.join("elastic-examples/nginxplus_json.ndjson"), 500)));
    let chinese = (0..500).map(|n| format!("订单 {n} 支付失败：余额不足，用户名=张三，耗时 {} 毫秒", n * 7 % 1000));
    files.push(("chinese".to_owned(), chinese.collect()));
    let long = (0..10).map(|n| format!("long line {n} {}", "0123456789abcdef ".repeat(12_000 + n)));
    files.push(("long".to_owned(), long.collect()));
    files
}

fn walkdir(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ending| ending == "log")).collect();
    found.sort();
    found
}
