//! The repository checks itself: layering, sizes, and documents that name only what is there.

#![allow(clippy::expect_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_path_buf()
}

fn files(extension: &str) -> Vec<PathBuf> {
    let skipped = [".git", "target", "corpus", "artifacts", "node_modules", "dist"];
    let walk = walkdir::WalkDir::new(root())
        .into_iter()
        .filter_entry(|e| !skipped.contains(&e.file_name().to_string_lossy().as_ref()));
    let mut found: Vec<_> = walk
        .filter_map(Result::ok)
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.is_file() && path.extension().is_some_and(|e| e == extension))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no .{extension} files: looked in the wrong place");
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned()
}

/// Names on the left of `[dependencies]`, without dev- and build-dependencies.
fn dependencies(folder: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|n| !n.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn dependencies_run_one_way() {
    let allowed: [(&str, &[&str]); 11] = [
        ("proto", &[]),
        ("bus", &["weir-proto"]),
        ("service", &[]),
        ("query", &["weir-proto", "weir-service", "weir-calls"]),
        ("collector", &["weir-proto", "weir-bus", "weir-service"]),
        ("indexer", &["weir-proto", "weir-bus", "weir-service", "weir-query"]),
        ("calls", &["weir-proto"]),
        ("alerter", &["weir-proto", "weir-bus", "weir-service", "weir-calls"]),
        ("usage", &["weir-proto", "weir-bus", "weir-service", "weir-calls"]),
        ("reflow", &["weir-proto", "weir-bus", "weir-service", "weir-query", "weir-calls"]),
        ("console", &["weir-service"]),
    ];
    for (folder, may) in allowed {
        let weirs: Vec<_> = dependencies(folder).into_iter().filter(|name| name.starts_with("weir-")).collect();
        for name in weirs {
            assert!(may.contains(&name.as_str()), "{folder}/Cargo.toml must not depend on {name}");
        }
    }
}

#[test]
fn a_heavy_library_has_one_home() {
    let homes = [
        ("rdkafka", "bus"),
        ("fjall", "bus"),
        ("tantivy", "indexer"),
        ("kube", "collector, alerter"),
        ("sqlx", "usage"),
        ("parquet", "reflow"),
        ("object_store", "reflow"),
    ];
    for (library, home) in homes {
        for folder in [
            "proto",
            "bus",
            "service",
            "query",
            "calls",
            "collector",
            "indexer",
            "alerter",
            "usage",
            "reflow",
            "console",
            "weir",
        ] {
            let has = dependencies(folder).contains(library);
            assert!(
                !has || home.split(", ").any(|home| folder == home),
                "{library} belongs in {home}/ alone, but {folder}/Cargo.toml names it"
            );
        }
    }
}

#[test]
fn all_tenants_data_is_read_without_a_credential_in_tests_and_benchmarks_alone() {
    for path in files("rs") {
        let name = relative(&path);
        if name.contains("tests") || name.starts_with("service/") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("UTF-8");
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.contains(".everything()")) {
            let is_test = lines[at.saturating_sub(3)..at].iter().any(|line| line.contains("#[cfg(test)]"));
            assert!(is_test, "{name}:{}: {line}", at + 1);
        }
    }
}

#[test]
fn whose_data_a_namespace_sees_is_asked_in_one_place() {
    for path in files("rs") {
        let (name, text) = (relative(&path), fs::read_to_string(&path).expect("UTF-8"));
        let is_home =
            name == "alerter/src/scaling/namespaces.rs" || name.starts_with("service/") || name.contains("tests");
        assert!(
            is_home || !text.contains(".for_namespace("),
            "{name}: tenants are made of namespaces for scalers alone"
        );
    }
}

#[test]
fn kubernetes_is_asked_in_two_places() {
    for path in files("rs") {
        let (name, text) = (relative(&path), fs::read_to_string(&path).expect("UTF-8"));
        let homes = ["collector/src/kubernetes/", "alerter/src/scaling/external/", "tests/"];
        let is_home = homes.iter().any(|home| name.starts_with(home));
        assert!(is_home || !text.contains("use kube::"), "{name}");
    }
}

#[test]
fn no_file_is_over_800_lines() {
    for path in ["rs", "ts", "tsx", "css", "mjs"].iter().flat_map(|extension| files(extension)) {
        // Made of openapi.json.
        if path.ends_with("schema.d.ts") {
            continue;
        }
        let lines = fs::read_to_string(&path).expect("UTF-8").lines().count();
        assert!(lines <= 800, "{} has {lines} lines: which second room hides in it?", relative(&path));
    }
}

#[test]
fn the_manual_of_the_house_stays_short() {
    let lines = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("UTF-8").lines().count();
    assert!(lines <= 250, "ARCHITECTURE.md has {lines} lines");
}

/// Words in backticks, and targets of links, that look like a path of this repository.
fn named_paths(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let linked = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let top = fs::read_dir(root()).expect("the root").filter_map(Result::ok);
    let top: BTreeSet<String> = top.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    quoted
        .chain(linked)
        .filter(|word| !word.contains([' ', '*', '$', '{', '<', ':', '#']))
        .filter(|word| {
            word.contains('/') && top.contains(word.split('/').next().unwrap_or_default()) || has_known_ending(word)
        })
        .map(str::to_owned)
        .collect()
}

fn has_known_ending(word: &str) -> bool {
    let ending = Path::new(word).extension().unwrap_or_default().to_string_lossy().into_owned();
    ["md", "rs", "toml", "yaml", "proto"].contains(&ending.as_str())
}

#[test]
fn documents_name_only_files_that_are_there() {
    for document in files("md") {
        let text = fs::read_to_string(&document).expect("UTF-8");
        let folder = document.parent().expect("a folder");
        for word in named_paths(&text) {
            let there = root().join(&word).exists() || folder.join(&word).exists();
            assert!(there, "{} names `{word}`, which is not there", relative(&document));
        }
    }
}
