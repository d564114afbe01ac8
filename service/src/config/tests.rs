use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use proptest::prelude::*;
use serde::Deserialize;

use super::{ConfigError, Size, Span, parse};

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    listen: String,
    seal: Seal,
    partitions: u32,
    kind: Kind,
    properties: BTreeMap<String, String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Seal {
    age: Option<Span>,
    size: Option<Size>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Embedded,
    Kafka,
}

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables: HashMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    parse(text, Path::new("weir.yaml"), variables)
}

fn error(text: &str) -> String {
    read(text, &[]).unwrap_err().to_string()
}

#[test]
fn a_file_that_says_nothing_means_the_defaults() {
    for text in ["", "\n\n", "# only a comment\n", "---\n", "{}"] {
        assert_eq!(read(text, &[]).unwrap(), Config::default(), "{text:?}");
    }
}

#[test]
fn an_unknown_key_is_told_file_line_and_the_nearest_key() {
    assert_eq!(error("listen: a\nseal:\n  aeg: 3s\n"), "weir.yaml:3: unknown key `aeg`; did you mean `age`?");
    assert_eq!(
        error("zebra: 1"),
        "weir.yaml:1: unknown key `zebra`; right would be one of: listen, seal, partitions, kind, properties"
    );
}

#[test]
fn a_wrong_value_is_told_file_line_key_and_what_is_right() {
    let wrong = error("seal:\n  age: soon\n");
    assert_eq!(wrong, "weir.yaml:2: `seal.age`: «soon» is not a duration such as 500ms, 30s, 5m, 1h30m or 7d");
    for (text, right) in [
        ("partitions: [1]", "`partitions`: should be "),
        ("partitions: many", "`partitions`: should be a whole number, not negative"),
        ("listen: [a]", "`listen`: should be text"),
        ("listen:", "`listen`: should be text, but nothing is there"),
        ("seal: 3", "`seal`: should be a mapping, such as {key: value}"),
    ] {
        let wrong = error(&format!("kind: kafka\n{text}\n"));
        assert!(wrong.starts_with(&format!("weir.yaml:2: {right}")), "{wrong}");
    }
    let wrong = error("kind: kafak\n");
    assert!(wrong.starts_with("weir.yaml:1: ") && wrong.ends_with("did you mean `kafka`?"), "{wrong}");
}

#[test]
fn a_key_that_is_there_twice_is_an_error() {
    let wrong = error("listen: a\nlisten: b\n");
    assert_eq!(wrong, "weir.yaml:2: the key `listen` is there twice");
}

#[test]
fn variables_are_replaced_and_a_missing_one_is_named() {
    let config = read("listen: ${HOST:-127.0.0.1}:${PORT}\npartitions: ${N}\n", &[("PORT", "80"), ("N", "7")]).unwrap();
    assert_eq!((config.listen.as_str(), config.partitions), ("127.0.0.1:80", 7));
    assert_eq!(
        error("seal: {}\nlisten: ${HOST}\n"),
        "weir.yaml:2: the environment has no variable `HOST`; set it, or write ${HOST:-default}"
    );
}

#[test]
fn variables_in_double_quotes_are_replaced_within_a_flow_mapping_too() {
    let text = "properties: {a: \"${HOST:-h}:${PORT}\", b: '${X}'} # \"${NONE}\"\n";
    let config = read(text, &[("PORT", "80")]).unwrap();
    assert_eq!(config.properties["a"], "h:80");
    assert_eq!(config.properties["b"], "${X}");
    let wrong = error("seal: {}\nlisten: \"${HOST}\"\n");
    assert!(wrong.starts_with("weir.yaml:2: the environment has no variable `HOST`"), "{wrong}");
}

#[test]
fn a_deep_or_broken_file_is_refused() {
    assert!(error(&"[".repeat(10_000)).starts_with("weir.yaml:"));
    assert!(error("listen: \"a\nseal").starts_with("weir.yaml:"));
    assert!(error("a: &x [1]\nb: *y\n").starts_with("weir.yaml:"));
}

proptest! {
    #[test]
    fn no_variable_changes_the_structure_around_it(value in "[ -~\n\u{4e00}-\u{4e10}]{0,40}") {
        let config = read("properties:\n  a: ${V:-}\n  b: x\n  c: \"${V}\"\n  d: '${V}'\nlisten: y\n", &[("V", &value)]);
        let config = config.unwrap();
        prop_assert_eq!(config.properties.get("a"), Some(&value));
        prop_assert_eq!(config.properties.get("c").map(String::as_str), Some(value.as_str()));
        prop_assert_eq!(config.properties.get("d").map(String::as_str), Some("${V}"));
        prop_assert_eq!(config.properties.len(), 4);
        prop_assert_eq!(config.listen.as_str(), "y");
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[ -~\n]{0,200}") {
        let _ = read(&text, &[]);
    }
}
