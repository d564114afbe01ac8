use std::collections::BTreeMap;
use std::path::Path;

use futures::TryStreamExt as _;

use super::rewrite::{Kept, rewrite};
use super::*;
use crate::definition::Definition;
use crate::row::{Cell, Row};

fn definition(format: &str) -> Definition {
    let text = format!(
        "{{name: a, tenants: ['*'], format: {format}, fields: {{text: body, n: {{from: n, type: int}}, \
         ms: duration_ms, is: {{from: b, type: bool}}, at: timestamp, tree: attributes}}}}"
    );
    serde_saphyr::from_str(&text).unwrap()
}

fn row(n: u32) -> Row {
    let tenant = if n.is_multiple_of(2) { "acme" } else { "globex" };
    let cells = if n.is_multiple_of(5) {
        vec![Cell::Null; 6]
    } else {
        vec![
            Cell::Text(format!("第{n}行")),
            Cell::Int(i64::from(n)),
            Cell::Float(f64::from(n) / 4.0),
            Cell::Bool(n.is_multiple_of(3)),
            Cell::Time(1_700_000_000_000_001_000 + i64::from(n)),
            Cell::Json(serde_json::json!({"n": n, "list": ["a", null]})),
        ]
    };
    Row {
        source: format!("3-9-{n}"),
        tenant: tenant.to_owned(),
        trace_id: if n == 7 { "ab".repeat(16) } else { String::new() },
        time: 1_700_000_000_000_000_000,
        is_incomplete: n == 1,
        cells,
    }
}

fn write(path: &Path, definition: &Definition, rows: u32) -> Finished {
    let mut writer = Writer::create(path, definition).unwrap();
    (0..rows).for_each(|n| writer.append(row(n)).unwrap());
    writer.finish().unwrap()
}

/// Rows of a file: what is kept of it where nothing is left out shows them.
fn rows(path: &Path, definition: &Definition) -> Vec<(Option<String>, Option<String>)> {
    let seen = std::cell::RefCell::new(Vec::new());
    let note = |tenant: Option<&str>, trace: Option<&str>| {
        seen.borrow_mut().push((tenant.map(str::to_owned), trace.map(str::to_owned)));
        true
    };
    let kept = rewrite(path, &path.with_extension("copy"), definition, note).unwrap();
    assert!(matches!(kept, Kept::All));
    seen.into_inner()
}

#[test]
fn given_rows_then_the_file_is_as_its_hash_says_and_the_same_again_without_some_of_them() {
    use sha2::Digest as _;
    for format in ["parquet", "jsonl"] {
        let folder = tempfile::tempdir().unwrap();
        let definition = definition(format);
        let path = folder.path().join("whole");
        let finished = write(&path, &definition, 50_000);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(finished.bytes, bytes.len() as u64);
        assert_eq!(finished.sha256, hex::encode(sha2::Sha256::digest(&bytes)));
        assert_eq!((finished.rows, rows(&path, &definition).len()), (50_000, 50_000));

        let other = folder.path().join("less");
        let kept = rewrite(&path, &other, &definition, |tenant, _| tenant != Some("acme")).unwrap();
        let Kept::Some(less) = kept else { panic!("{kept:?}") };
        assert_eq!(less.rows, 25_000);
        assert!(rows(&other, &definition).iter().all(|(tenant, _)| tenant.as_deref() == Some("globex")));
        // What is left is what it was: writing the same rows anew gives the same bytes.
        let mut writer = Writer::create(&folder.path().join("anew"), &definition).unwrap();
        (0..50_000).filter(|n| n % 2 == 1).for_each(|n| writer.append(row(n)).unwrap());
        assert_eq!(writer.finish().unwrap().sha256, less.sha256, "{format}");

        let third = folder.path().join("third");
        let trace = "ab".repeat(16);
        let without = rewrite(&path, &third, &definition, |_, of| of != Some(trace.as_str())).unwrap();
        assert!(matches!(without, Kept::Some(finished) if finished.rows == 49_999));
        let nothing = rewrite(&path, &folder.path().join("fourth"), &definition, |_, _| false).unwrap();
        assert!(matches!(nothing, Kept::None) && !folder.path().join("fourth").exists());
    }
}

#[test]
fn given_json_lines_then_each_is_an_object_of_all_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines");
    write(&path, &definition("jsonl"), 3);
    let text = zstd::decode_all(std::fs::File::open(&path).unwrap()).unwrap();
    let lines: Vec<serde_json::Value> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["text"], serde_json::Value::Null);
    let expected = serde_json::json!({
        "text": "第1行", "n": 1, "ms": 0.25, "is": false, "at": "2023-11-14T22:13:20.000001001Z",
        "tree": {"n": 1, "list": ["a", null]}, "_source": "3-9-1", "_tenant": "globex", "_trace_id": null,
        "_time": "2023-11-14T22:13:20Z", "_incomplete": true,
    });
    assert_eq!(lines[1], expected);
}

#[tokio::test]
async fn given_a_folder_then_files_are_put_whole_and_the_manifest_is_replaced_only_as_it_was_known() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Some(folder.path().join("datasets").to_str().unwrap()), folder.path()).unwrap();
    assert_eq!(store.datasets().await.unwrap(), Vec::<String>::new());
    assert!(store.manifest("a").await.unwrap().is_none());
    let definition = definition("parquet");
    let finished = write(&folder.path().join("f.parquet"), &definition, 100);
    store.put_file("a", "f.parquet", &finished.path).await.unwrap();
    assert!(!finished.path.exists());

    let mut manifest = Manifest::new(&definition);
    let first = store.replace_manifest("a", &mut manifest, &Stamp::default()).await.unwrap();
    let lost = store.replace_manifest("a", &mut manifest.clone(), &Stamp::default()).await.unwrap_err();
    assert!(matches!(lost, StoreError::Changed), "another wrote it first");
    let positions = BTreeMap::from([("otlp_spans/0".to_owned(), (0, 5))]);
    manifest.add(Step { positions, ..Step::default() }).unwrap();
    let second = store.replace_manifest("a", &mut manifest, &first).await.unwrap();
    let stale = store.replace_manifest("a", &mut manifest.clone(), &first).await.unwrap_err();
    assert!(matches!(stale, StoreError::Changed));
    let (read, stamp) = store.manifest("a").await.unwrap().unwrap();
    assert_eq!((read.version, &read, stamp), (2, &manifest, second));

    let part = store.read("a", "f.parquet", 4..finished.bytes - 4).await.unwrap();
    let part: Vec<bytes::Bytes> = part.try_collect().await.unwrap();
    assert_eq!(part.iter().map(bytes::Bytes::len).sum::<usize>() as u64, finished.bytes - 8);
    let names: Vec<String> = store.list("a").await.unwrap().into_iter().map(|stored| stored.name).collect();
    assert_eq!(names, ["f.parquet"], "the manifest is none of the files");
    assert_eq!(store.datasets().await.unwrap(), ["a"]);
    store.remove("a", "f.parquet").await.unwrap();
    store.remove("a", "f.parquet").await.unwrap();
    assert!(store.list("a").await.unwrap().is_empty());
}

#[test]
fn given_an_address_then_it_is_a_store_or_says_what_would_be_right() {
    // An error says that a provider is there already, which is what is needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    for (address, told) in
        [("", "is no folder"), ("gs://b/p", "use a folder, or s3://"), ("s3:///p", "names no bucket")]
    {
        let error = Store::check(Some(address)).unwrap_err();
        assert!(error.contains(told), "{address}: {error}");
    }
    assert_eq!(Store::check(Some("/somewhere")), Ok(()));
    assert_eq!(Store::check(Some("s3://bucket/a/b/")), Ok(()));
}
