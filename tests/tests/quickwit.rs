//! Quickwit's REST scenarios that speak of search, aggregations and Elasticsearch's API, through `/elastic/`.
//!
//! Documents go in through `_bulk`, whatever API the scenario's setup sends them by; mappings do not exist here, so a field
//! is what its values are. A step is right where the status and every part of the expected JSON are. How many steps of
//! each file are right may only rise; what is left out, and why, is in [`LEFT_OUT`].

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "quickwit/expect.rs"]
mod expect;
#[path = "quickwit/steps.rs"]
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use weir_tests::{Weir, data, until};

use self::steps::Step;

const PATIENCE: Duration = Duration::from_secs(30);

/// Folders, and the steps of their files that are right, at least.
const RIGHT: [(&str, &[(&str, usize)]); 7] = [
    ("aggregations", &[("0001-aggregations.yaml", 13), ("0002-doc-len.yaml", 1), ("0003-multi-terms.yaml", 2)]),
    (
        "es_compatibility",
        &[
            ("0001-noquery.yaml", 1),
            ("0002-query_string.yaml", 3),
            ("0003-match.yaml", 5),
            ("0004-term_aggregations.yaml", 0),
            ("0005-query_string_query.yaml", 21),
            ("0006-term_query.yaml", 10),
            ("0007-range_queries.yaml", 17),
            ("0008-sort_by.yaml", 8),
            ("0009-bool_query.yaml", 22),
            ("0010-match_phrase_prefix_query.yaml", 5),
            ("0011-exists-query.yaml", 4),
            ("0012-scroll-api.yaml", 8),
            ("0013-phrase-query.yaml", 4),
            ("0014-multi-match-query.yaml", 10),
            ("0015-terms-query.yaml", 1),
            ("0016-misc-query.yaml", 9),
            ("0017-match-bool-prefix-query.yaml", 5),
            ("0018-search_after.yaml", 9),
            ("0019-count.yaml", 2),
            ("0020-stats.yaml", 0),
            ("0021-cat-indices.yaml", 7),
            ("0022-source.yaml", 1),
            ("0023-extra_filters.yaml", 0),
            ("0025-msearch.yaml", 4),
            ("0026-resolve.yaml", 1),
            ("0027-cluster-health.yaml", 1),
            ("0029-wildcard.yaml", 4),
            ("0030-prefix.yaml", 4),
            ("0031-regex.yaml", 5),
        ],
    ),
    (
        "es_compatibility/multi-indices",
        &[
            ("0001-muti_indices_query.yaml", 9),
            ("0002-muti_indices_scroll.yaml", 5),
            ("0003-multi_indices_aggs.yaml", 1),
            ("0004-missing_index_query.yaml", 4),
        ],
    ),
    ("es_compatibility_info", &[("0001-info.yaml", 1)]),
    ("es_field_capabilities", &[("0001-field-capabilities.yaml", 7)]),
    ("search_after", &[("0001-search_after_edge_case.yaml", 11)]),
    ("sort_orders", &[("0001-sort-elasticapi.yaml", 4)]),
];

/// Files that are not run, or steps that are passed over, and why.
const LEFT_OUT: [(&str, &str); 8] = [
    (
        "es_compatibility/bulk",
        "setups make indices with mappings, and what is refused are missing indices and types: here every index is there and every type is taken",
    ),
    ("es_compatibility/0024-delete_indices.yaml", "indices are not made or deleted here: retention drops lines"),
    (
        "es_compatibility/0028-fast_only_field_query.yaml",
        "fields are all alike here: none is stored without being indexed",
    ),
    ("concat_fields", "a mapping of Quickwit's own"),
    ("default_search_fields", "a mapping of Quickwit's own"),
    ("tag_fields", "a mapping of Quickwit's own"),
    ("multi_splits", "how Quickwit prunes its splits"),
    ("qw_search_api", "Quickwit's own API and grammar"),
];

/// What a folder's steps are run on.
struct Site {
    client: Client,
    http: String,
}

impl Site {
    async fn ask(&self, method: &str, path: &str, body: Vec<u8>, kind: &str) -> (u16, Value) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.request(method, format!("{}/elastic/{path}", self.http));
        let answer = request.header("content-type", kind).body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    /// Sends the documents of a folder's setup, and waits until they are found. Ids of indices are the setup's.
    async fn fill(&self, folder: &Path) {
        let mut wanted: BTreeMap<String, u64> = BTreeMap::new();
        for (index, documents) in steps::documents(folder) {
            let mut body = String::new();
            for document in &documents {
                writeln!(body, "{}\n{document}", json!({"index": {"_index": index}})).unwrap();
            }
            *wanted.entry(index).or_default() += documents.len() as u64;
            let (status, answer) = self.ask("POST", "_bulk", body.into_bytes(), "application/x-ndjson").await;
            assert!(status == 200 && answer["errors"] == false, "{}: {status} {answer}", folder.display());
        }
        for (index, count) in wanted {
            let there = until(PATIENCE, || async {
                let (_, answer) = self.ask("GET", &format!("{index}/_count"), Vec::new(), "application/json").await;
                (answer["count"] == count).then_some(())
            });
            assert!(there.await.is_some(), "not all documents of {index} are found");
        }
    }

    /// Whether a step is right, or what is wrong.
    async fn run(&self, step: &Step, stored: &mut Value) -> Result<(), String> {
        for method in &step.methods {
            let (kind, body) = step.body(stored);
            let (status, answer) = self.ask(method, &step.path(), body, kind).await;
            if step.status.is_some_and(|right| right != status) {
                return Err(format!("status {status}: {answer}"));
            }
            step.store(&answer, stored);
            if let Some(expected) = &step.expected {
                expect::check(&answer, expected, "")?;
            }
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quickwits_scenarios_pass_as_they_did() {
    let Some(data) = data("quickwits_scenarios_pass_as_they_did") else { return };
    let root = data.join("queries/quickwit-rest-api-tests");
    // It may be installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::new();
    let mut report = String::new();
    let mut fewer = Vec::new();
    let mut ran = BTreeSet::new();
    let (mut right_in_all, mut steps_in_all) = (0, 0);
    for folder in steps::folders(&root, &LEFT_OUT) {
        let name = folder.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let work = tempfile::tempdir().unwrap();
        let config = json!({
            "listen": "127.0.0.1:0",
            "collector": {"host": null, "otlp": {"grpc": null, "http": "127.0.0.1:0"}},
        });
        let mut weir = Weir::new("standalone", work.path(), &config).unwrap();
        let ready = weir.start().await.unwrap();
        let site = Site { client: client.clone(), http: ready.http };
        site.fill(&folder).await;
        for (file, steps) in steps::files(&folder, &name, &LEFT_OUT) {
            let (mut right, mut stored) = (0, Value::Null);
            for (number, step) in steps.iter().enumerate() {
                match site.run(step, &mut stored).await {
                    Ok(()) => right += 1,
                    Err(wrong) => {
                        let wrong: String = wrong.chars().take(300).collect();
                        writeln!(report, "  {name}/{file} step {}: {wrong}", number + 1).unwrap();
                    }
                }
            }
            ran.insert(format!("{name}/{file}"));
            let known = RIGHT
                .iter()
                .find(|(folder, _)| *folder == name)
                .and_then(|(_, files)| files.iter().find(|(known, _)| *known == file).map(|(_, right)| *right));
            if known.is_some_and(|known| right < known) {
                fewer.push(format!("{name}/{file}: {right}, and {known:?} before"));
            }
            writeln!(report, "{name}/{file}: {right} of {}", steps.len()).unwrap();
            right_in_all += right;
            steps_in_all += steps.len();
        }
    }
    eprintln!("{report}{right_in_all} of {steps_in_all} steps");
    let known = RIGHT.iter().flat_map(|(folder, files)| files.iter().map(move |(file, _)| format!("{folder}/{file}")));
    let absent: Vec<_> = known.filter(|file| !ran.contains(file)).collect();
    assert!(absent.is_empty(), "files of the scenarios were not run: {absent:?}");
    assert!(fewer.is_empty(), "fewer steps are right than there were: {fewer:?}");
}
