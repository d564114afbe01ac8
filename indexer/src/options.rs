use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use weir_service::config::{Size, Span};

use crate::Error;

/// Section `indexer` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// One index for each signal and window of event time.
    pub window: Span,
    /// When the head becomes chunks on disk.
    pub seal: Seal,
    /// How long data is kept.
    pub retention: Retention,
    /// What searches may use.
    pub search: Search,
    /// Partitions whose home this indexer is.
    pub partitions: Partitions,
    /// Addresses of other indexers; must be empty in this version.
    pub peers: Vec<String>,
}

/// When the head becomes chunks on disk: whichever comes first.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seal {
    /// Age of the oldest line in the head; of metric points twenty times that.
    pub age: Span,
    /// Memory that the head takes, for each signal.
    pub size: Size,
}

/// What is dropped, whole windows at a time: the oldest first.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// A window goes when it ended, and was last written, longer ago than this.
    pub age: Span,
    /// Greatest size on disk, for each signal; the newest window always stays.
    pub size: Size,
}

/// What searches may use: each of them, and all together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Search {
    /// Longest time of one search, waiting for its turns included; of a page or an export, each part of it.
    pub time: Span,
    /// Most memory of one search, for groups and their names; all together have eight times as much.
    pub memory: Size,
    /// Most bytes of lines that one search reads.
    pub bytes: Size,
    /// Searches that run at the same time, taking turns; the number of cores where it is not set.
    pub at_once: Option<u32>,
    /// Requests that wait, are searched for or are written at the same time; one credential (or address, without
    /// `auth`) has half of them at most. More get 429.
    pub waiting: u32,
    /// Memory of all answers that are being written.
    pub pages: Size,
}

/// Partitions whose home this indexer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partitions {
    /// The word `all`: every partition there is.
    All,
    /// These.
    List(Vec<i32>),
}

/// What would be right for [`Partitions`].
const PARTITIONS: &str = "`all`, or a list of partition numbers from 0, each once, such as [0, 1]";

impl<'de> Deserialize<'de> for Partitions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Partitions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(PARTITIONS)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Partitions, E> {
                if text == "all" {
                    Ok(Partitions::All)
                } else {
                    Err(E::custom(format!("«{text}» is not {PARTITIONS}")))
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Partitions, A::Error> {
                let mut partitions = Vec::new();
                let wrong = |error: A::Error| A::Error::custom(format!("{error}; write {PARTITIONS}"));
                while let Some(partition) = list.next_element().map_err(wrong)? {
                    partitions.push(partition);
                }
                Ok(Partitions::List(partitions))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            window: Span(Duration::from_hours(24)),
            seal: Seal::default(),
            retention: Retention::default(),
            search: Search::default(),
            partitions: Partitions::All,
            peers: Vec::new(),
        }
    }
}

impl Default for Seal {
    fn default() -> Self {
        Self { age: Span(Duration::from_secs(30)), size: Size(64_000_000) }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Span(Duration::from_hours(7 * 24)), size: Size(50_000_000_000) }
    }
}

impl Default for Search {
    fn default() -> Self {
        Self {
            time: Span(Duration::from_secs(30)),
            memory: Size(64_000_000),
            bytes: Size(64_000_000_000),
            at_once: None,
            waiting: 240,
            pages: Size(128_000_000),
        }
    }
}

impl Search {
    fn check(&self) -> Result<(), &'static str> {
        // The server answers within a minute.
        if self.time.0 < Duration::from_millis(100) || self.time.0 > Duration::from_secs(55) {
            return Err("indexer.search.time: must lie between 100ms and 55s");
        }
        if self.memory.0 < 1 << 20 || self.pages.0 < 1 << 20 {
            return Err("indexer.search: memory and pages must be at least 1MiB");
        }
        if self.bytes.0 < 1 << 20 {
            return Err("indexer.search.bytes: must be at least 1MiB");
        }
        if self.at_once.is_some_and(|at_once| !(1..=1024).contains(&at_once)) {
            return Err("indexer.search.at_once: must lie between 1 and 1024; null is the number of cores");
        }
        // Each has a thread of the 512 for blocking work.
        if !(2..=400).contains(&self.waiting) {
            return Err("indexer.search.waiting: must lie between 2 and 400");
        }
        Ok(())
    }
}

impl Options {
    /// What cannot work, by the key's name.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |text: &str| Err(Error::Options(text.to_owned()));
        if self.window.0 < Duration::from_mins(1) || self.window.0 > Duration::from_hours(366 * 24) {
            return wrong("indexer.window: must lie between 1m and 366d");
        }
        if self.seal.age.0 < Duration::from_millis(100) {
            return wrong("indexer.seal.age: must be at least 100ms");
        }
        if self.seal.size.0 < 1 << 20 || self.seal.size.0 > 8 << 30 {
            return wrong("indexer.seal.size: must lie between 1MiB and 8GiB");
        }
        if self.retention.age.0 < self.window.0 {
            return wrong("indexer.retention.age: must be at least indexer.window, since whole windows are dropped");
        }
        self.search.check().or_else(wrong)?;
        if let Partitions::List(list) = &self.partitions
            && (list.is_empty()
                || list.iter().any(|p| *p < 0)
                || list.iter().collect::<BTreeSet<_>>().len() < list.len())
        {
            return wrong(&format!("indexer.partitions: write {PARTITIONS}"));
        }
        if !self.peers.is_empty() {
            return wrong("indexer.peers: this version answers for its own partitions alone; leave the list empty");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Options, Partitions};

    fn read(json: &str) -> Result<Partitions, String> {
        let options: Options = serde_json::from_str(json).map_err(|error| error.to_string())?;
        options.check().map_err(|error| error.to_string())?;
        Ok(options.partitions)
    }

    #[test]
    fn limits_of_searches_that_cannot_work_are_refused_by_name() {
        let check = |json: &str| {
            let options: Options = serde_json::from_str(&format!(r#"{{"search": {json}}}"#)).unwrap();
            options.check().map_err(|error| error.to_string())
        };
        assert_eq!(check("{}"), Ok(()));
        for (wrong, named) in [
            (r#"{"time": "2m"}"#, "search.time"),
            (r#"{"memory": "1KB"}"#, "memory"),
            (r#"{"bytes": 0}"#, "search.bytes"),
            (r#"{"at_once": 0}"#, "search.at_once"),
            (r#"{"waiting": 1}"#, "search.waiting"),
        ] {
            assert!(check(wrong).unwrap_err().contains(named), "{wrong}");
        }
    }

    #[test]
    fn partitions_are_all_or_a_list_and_anything_else_is_told_so() {
        assert_eq!(read("{}"), Ok(Partitions::All));
        assert_eq!(read(r#"{"partitions": "all"}"#), Ok(Partitions::All));
        assert_eq!(read(r#"{"partitions": [2, 0]}"#), Ok(Partitions::List(vec![2, 0])));
        for wrong in [r#""some""#, "7", "[]", "[0, 0]", "[-1]", r#"["a"]"#] {
            let told = read(&format!(r#"{{"partitions": {wrong}}}"#)).unwrap_err();
            assert!(told.contains("`all`, or a list of partition numbers"), "{wrong}: {told}");
        }
    }
}
