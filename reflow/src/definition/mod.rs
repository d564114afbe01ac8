//! What a capture is, as its file or a request says it.

mod fields;
mod load;
mod sample;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_service::auth::is_tenant_name;
use weir_service::config::{Size, Span};

pub use self::fields::{Column, Field, Fields};
pub use self::load::{LoadError, load, stamp};
pub use self::sample::{By, Quantile, Sample};
use crate::redact;
use crate::row::CHAT;

/// Longest name of a capture or a field.
const MAX_NAME: usize = 64;
/// Most fields of a capture.
const MAX_FIELDS: usize = 200;
/// Most tenants of a capture.
const MAX_TENANTS: usize = 1000;
/// A row group is held in memory, and a file is sent in one piece or in parts: this is enough for both.
const MAX_FILE: u64 = 4 << 30;

/// How long parts of a call may be waited for.
const LEAST_JOIN: Duration = Duration::from_secs(1);
const MOST_JOIN: Duration = Duration::from_mins(10);

/// One capture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Names the dataset: lowercase letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What it is taken from.
    #[serde(default)]
    pub source: Source,
    /// In the grammar of search; everything where it is not given.
    #[serde(default)]
    pub query: String,
    /// Whose data is taken; `*` is all tenants.
    pub tenants: Vec<String>,
    /// The columns, and what they are taken from.
    #[serde(default)]
    pub fields: Fields,
    /// Which of the matching rows are taken; all, where it is not given.
    #[serde(default, skip_serializing_if = "Sample::is_all")]
    pub sample: Sample,
    /// Parts of one call that come in different records become one row; each is a row, where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
    /// What is taken out of the fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redact: Vec<redact::Rule>,
    /// When a file is full.
    #[serde(default)]
    pub roll: Roll,
    /// Of the files.
    #[serde(default)]
    pub format: Format,
    /// How long files are kept; for ever, where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Span>,
    /// What happens while the dataset cannot be written as fast as data comes.
    #[serde(default)]
    pub when_full: WhenFull,
    /// Where a new capture begins.
    #[serde(default)]
    pub from: From,
}

/// What a capture is taken from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// `otlp_spans`.
    #[default]
    Spans,
    /// `otlp_logs`.
    Logs,
}

/// Lines of one tenant, trace and span are one row. The query and the sample see all that they say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// So long after the first part others are waited for.
    pub within: Span,
}

/// How files are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Apache Parquet, compressed with zstd.
    #[default]
    Parquet,
    /// A JSON object a line, compressed with zstd.
    Jsonl,
    /// As `jsonl`, and each row has the call's chat in `messages` and `tools`, as trainers read it.
    Chat,
}

/// What happens to rows for which there is no room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenFull {
    /// They are read again from the bus once there is, as long as the bus keeps them.
    #[default]
    Wait,
    /// They are left out, and counted.
    Skip,
}

/// Where a new capture begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// With what comes after it was defined.
    #[default]
    Now,
    /// With the oldest that the bus still has.
    Beginning,
}

/// When a file is full; whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Roll {
    /// So many rows.
    pub rows: u64,
    /// About so many bytes, as written.
    pub size: Size,
    /// So long after its first row.
    pub age: Span,
}

impl Default for Roll {
    fn default() -> Self {
        Self { rows: 100_000, size: Size(128_000_000), age: Span(Duration::from_mins(10)) }
    }
}

impl Source {
    /// The topic that it is read from.
    pub fn topic(self) -> &'static str {
        match self {
            Self::Spans => weir_proto::topic::SPANS,
            Self::Logs => weir_proto::topic::LOGS,
        }
    }
}

impl Source {
    /// That a record of a topic is of, which is one of them.
    pub(crate) fn of(topic: &str) -> Self {
        if topic == Self::Spans.topic() { Self::Spans } else { Self::Logs }
    }
}

impl Format {
    /// How names of files end.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Jsonl | Self::Chat => "jsonl.zst",
        }
    }
}

impl Definition {
    /// What cannot work, by the key's name.
    pub fn check(&self) -> Result<(), String> {
        check_name(&self.name).map_err(|wrong| format!("name: {wrong}"))?;
        self.check_tenants().map_err(|wrong| format!("tenants: {wrong}"))?;
        if self.fields.is_empty() && self.format != Format::Chat {
            return Err("fields: name at least one, such as `{trace: trace_id}`".to_owned());
        }
        if self.fields.len() > MAX_FIELDS {
            return Err(format!("fields: are {}, more than {MAX_FIELDS}", self.fields.len()));
        }
        if self.format == Format::Chat && self.source == Source::Logs {
            return Err("format: chat is made of spans: use `source: spans`, or `format: jsonl`".to_owned());
        }
        let taken = self.fields.iter().find(|field| self.format == Format::Chat && CHAT.contains(&field.name.as_str()));
        if let Some(field) = taken {
            return Err(format!("fields: `{}` is what `format: chat` writes: name the field otherwise", field.name));
        }
        self.sample.check(self.source).map_err(|wrong| format!("sample.{wrong}"))?;
        if self.join.is_some_and(|join| !(LEAST_JOIN..=MOST_JOIN).contains(&join.within.0)) {
            return Err("join.within: is between 1s and 10m".to_owned());
        }
        if self.roll.rows == 0 || self.roll.age.0 < Duration::from_secs(1) {
            return Err("roll: `rows` is at least 1, `age` at least 1s".to_owned());
        }
        if !(1_000_000..=MAX_FILE).contains(&self.roll.size.0) {
            return Err("roll.size: is between 1MB and 4GiB".to_owned());
        }
        if self.keep.is_some_and(|keep| keep.0 < Duration::from_mins(1)) {
            return Err("keep: is at least 1m; leave it out to keep files for ever".to_owned());
        }
        Ok(())
    }

    fn check_tenants(&self) -> Result<(), String> {
        if self.tenants.is_empty() || self.tenants.len() > MAX_TENANTS {
            return Err(format!("name 1 to {MAX_TENANTS}, or `*` for all"));
        }
        if self.is_of_all() {
            return match self.tenants.len() {
                1 => Ok(()),
                _ => Err("`*` is all tenants: it stands alone".to_owned()),
            };
        }
        match self.tenants.iter().find(|name| !is_tenant_name(name)) {
            Some(name) => Err(format!("`{}` is no tenant", name.escape_debug())),
            None => Ok(()),
        }
    }

    /// Whether it takes data of all tenants.
    pub fn is_of_all(&self) -> bool {
        self.tenants.iter().any(|name| name == "*")
    }

    /// What tells it from what it was before: files of one definition have one schema.
    pub fn fingerprint(&self) -> String {
        use sha2::Digest as _;
        let text = serde_json::to_vec(self).unwrap_or_default();
        hex::encode(&sha2::Sha256::digest(text)[..8])
    }
}

/// A name that is the same in every store, and no path.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if (1..=MAX_NAME).contains(&name.len()) && starts && name.chars().all(is_known) && !name.contains("..") {
        return Ok(());
    }
    Err(format!(
        "`{}` is no name: use 1 to {MAX_NAME} lowercase letters, digits, `-`, `_` and `.`, a letter or digit first",
        name.chars().take(2 * MAX_NAME).collect::<String>().escape_debug()
    ))
}

#[cfg(test)]
mod tests;
