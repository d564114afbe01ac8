//! `promtool test rules`, Debian's, and `weir rules test` give the same verdict on the same files: those of
//! `configs/rules/tests`, the same with one word changed, and Prometheus' own.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

use weir_tests::{data, skip};

/// Files of which the verdicts differ, and why.
const DIFFER: [(&str, &str); 3] = [
    ("config_with_rule_files.yml", "a rule file that is missing is an error, not a warning"),
    ("no-test-group-interval.yml", "promtool 2.42 has no default for the interval of a test"),
    ("start-time-test.yml", "promtool 2.42 does not know start_timestamp"),
];

/// Words of `configs/rules/tests`, and what they become: each makes a test fail, but for the last.
const CHANGES: [(&str, &str, &str); 8] = [
    ("inference.yaml", "eval_time: 35s", "eval_time: 65s"),
    ("inference.yaml", "summary: \"ocr POST", "summary: \"asr POST"),
    ("inference.yaml", "0+10x18", "0+3x18"),
    ("pipeline.yaml", "1 1 0 0 1", "1 1 1 1 1"),
    ("pipeline.yaml", "severity: page}", "severity: info}"),
    ("usage.yaml", "80%", "81%"),
    ("usage.yaml", "eval_time: 25m", "eval_time: 15m"),
    ("usage.yaml", "evaluation_interval: 1m", "evaluation_interval: 30s"),
];

fn passes(program: &Path, words: &[&str], file: &Path) -> bool {
    Command::new(program).args(words).arg(file).output().unwrap().status.success()
}

#[test]
fn promtool_and_weir_agree_on_every_file() {
    if Command::new("promtool").arg("--version").output().is_err() {
        return skip("promtool_and_weir_agree_on_every_file", "promtool is not installed");
    }
    let Some(data) = data("promtool_and_weir_agree_on_every_file") else { return };
    let weir = weir_tests::weir::binary().unwrap();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/rules");
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<PathBuf> = Vec::new();
    for (at, (name, from, to)) in CHANGES.iter().enumerate() {
        let text = std::fs::read_to_string(ours.join("tests").join(name)).unwrap();
        assert!(text.contains(from), "{name}: {from}");
        let text = text.replacen(from, to, 1).replace("../", &format!("{}/", ours.display()));
        files.push(folder.path().join(format!("{at}.yaml")));
        std::fs::write(&files[at], text).unwrap();
    }
    for folder in [ours.join("tests"), data.join("promql/prometheus/promtool")] {
        let all = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.extend(all.filter(|path| path.extension().is_some_and(|end| end == "yml" || end == "yaml")));
    }
    let (mut agreed, mut failing) = (0, 0);
    for file in files {
        let by_promtool = passes(Path::new("promtool"), &["test", "rules"], &file);
        let by_weir = passes(&weir, &["rules", "test"], &file);
        let why = DIFFER.iter().find(|(name, _)| file.ends_with(name));
        assert_eq!(by_promtool == by_weir, why.is_none(), "{}: promtool {by_promtool}, weir {by_weir}", file.display());
        if file.starts_with(&ours) {
            assert!(by_weir, "{}", file.display());
        }
        agreed += u32::from(why.is_none());
        failing += u32::from(!by_weir);
    }
    assert!(agreed > 20 && failing > 10, "{agreed} agreed, {failing} fail");
}
