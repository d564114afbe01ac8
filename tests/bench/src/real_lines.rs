//! Recorded lines: loghub, Kafka brokers, Apache, and the text of docker-json pods, from the folder of test data.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A source's path below `logs`, and its lines.
pub(crate) type Source = (String, Vec<String>);

/// The sources in the order of their paths, without their blank lines and with tabs as spaces.
pub(crate) fn read(data: &Path) -> anyhow::Result<Vec<Source>> {
    let root = data.join("logs");
    let mut paths = Vec::new();
    walk(&root, &root, &mut paths)?;
    paths.retain(|path| is_source(path));
    paths.sort();
    let mut sources = Vec::new();
    for path in paths {
        let lines = lines(&fs::read(root.join(&path))?, path.starts_with("nezha"));
        if !lines.is_empty() {
            sources.push((path, lines));
        }
    }
    anyhow::ensure!(!sources.is_empty(), "no recorded lines in {}", root.display());
    Ok(sources)
}

fn walk(root: &Path, folder: &PathBuf, paths: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            walk(root, &path, paths)?;
        } else if let Some(path) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            paths.push(path.to_owned());
        }
    }
    Ok(())
}

fn is_source(path: &str) -> bool {
    let top = path.split('/').next().unwrap_or_default();
    let log = Path::new(path).extension().is_some_and(|extension| extension == "log");
    ((top == "loghub" || top.starts_with("nezha")) && log)
        || path.starts_with("elastic-examples/kafka/")
        || path.ends_with("/apache_access_10k.log")
}

fn lines(file: &[u8], docker: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for raw in file.split(|&byte| byte == b'\n') {
        let text = if docker {
            let line = serde_json::from_slice::<serde_json::Value>(raw).ok();
            let Some(log) = line.and_then(|line| Some(line.get("log")?.as_str()?.to_owned())) else { continue };
            log
        } else {
            String::from_utf8_lossy(raw).into_owned()
        };
        let text = text.trim_end_matches(['\r', '\n']).replace(['\t', '\n'], " ");
        if !text.trim().is_empty() {
            lines.push(text);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_and_broken_lines_are_left_out() {
        assert_eq!(lines(b"a\tb\r\n \n\xffc", false), ["a b", "\u{fffd}c"]);
        assert_eq!(lines(b"{\"log\":\"a\\n\"}\n{\"lo", true), ["a"]);
        assert!(is_source("nezha-x/2022/a.log") && is_source("elastic-examples/kafka/gc.log.0"));
        assert!(!is_source("loghub/HDFS/templates.csv") && !is_source("beats/docker_corrupted.log"));
    }
}
