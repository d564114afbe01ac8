//! What the program says and how it ends, before any port is bound.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn weir(arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).current_dir(root).output().unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn file(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("weir.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn every_example_is_a_sound_configuration() {
    for role in ["standalone", "collector", "indexer", "alerter"] {
        let path = format!("configs/{role}.yaml");
        let output = weir(&["check", "--config", &path]);
        assert!(output.status.success(), "{role}: {}", error(&output));
    }
}

#[test]
fn an_unknown_key_ends_with_64_and_names_file_line_and_the_right_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "data_dir: x\nlisen: 127.0.0.1:0\n");
    let output = weir(&["standalone", "--config", path.to_str().unwrap()]);
    let said = error(&output);
    assert_eq!(output.status.code(), Some(64), "{said}");
    for part in ["weir.yaml", "2", "lisen", "listen"] {
        assert!(said.contains(part), "{said} does not say {part}");
    }
}

#[test]
fn authentication_that_this_version_lacks_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "auth: {tokens: secrets}\n");
    let output = weir(&["check", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(64));
    assert!(error(&output).contains("auth"));
}

#[test]
fn wrong_usage_ends_with_2() {
    assert_eq!(weir(&["standalone", "--lisen", "x"]).status.code(), Some(2));
}

#[test]
fn a_port_in_use_ends_with_1_and_names_the_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), &format!("listen: {address}\ndata_dir: {}\n", folder.path().join("data").display()));
    let output = weir(&["indexer", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(error(&output).contains(&address), "{}", error(&output));
}
