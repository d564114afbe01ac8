//! Silences: alerts that nobody is told of for a while. Alertmanager's shapes and rules; pure, with the time as an
//! argument. Times are wall-clock times in unix milliseconds.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::matcher::LabelMatcher;

/// How long an expired silence can still be seen.
const KEPT_MS: i64 = 5 * 86_400_000;
/// Silences at most, expired ones among them.
const MOST: usize = 1000;
const MOST_MATCHERS: usize = 32;
/// Of a name or value, in bytes.
const MOST_TEXT: usize = 1 << 10;
const MOST_COMMENT: usize = 4 << 10;

/// A condition as Alertmanager's API writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SilenceMatcher {
    /// The label.
    pub name: String,
    /// Text, or a regular expression.
    pub value: String,
    /// Which of the two.
    #[serde(default)]
    pub is_regex: bool,
    /// Whether it must match, or must not.
    #[serde(default = "yes")]
    pub is_equal: bool,
}

fn yes() -> bool {
    true
}

/// What is asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostedSilence {
    /// The silence to be changed; a new one where it is not there.
    #[serde(default)]
    pub id: String,
    /// All must hold of an alert's labels.
    pub matchers: Vec<SilenceMatcher>,
    /// RFC 3339; now where it is not there or is past.
    #[serde(default)]
    pub starts_at: String,
    /// RFC 3339.
    pub ends_at: String,
    /// By whom.
    #[serde(default)]
    pub created_by: String,
    /// Why.
    #[serde(default)]
    pub comment: String,
    /// Part of a silence as it is read, which may be sent back; not looked at.
    #[serde(default)]
    pub status: IgnoredAny,
    /// The same.
    #[serde(default)]
    pub updated_at: IgnoredAny,
}

/// One silence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Silence {
    /// Unique.
    pub id: String,
    /// All must hold.
    pub matchers: Vec<SilenceMatcher>,
    /// The first time of its effect.
    pub starts_at_ms: i64,
    /// The end of its effect.
    pub ends_at_ms: i64,
    /// When it was made or changed.
    pub updated_at_ms: i64,
    /// By whom.
    pub created_by: String,
    /// Why.
    pub comment: String,
    #[serde(skip)]
    compiled: Vec<LabelMatcher>,
}

/// A silence that cannot be, by the name of the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {text}")]
pub struct SilenceError {
    /// The field at fault.
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub text: String,
}

fn short(field: &'static str, text: &str, most: usize) -> Result<(), SilenceError> {
    if text.len() > most { Err(wrong(field, format!("it has more than {most} bytes"))) } else { Ok(()) }
}

fn wrong(field: &'static str, text: impl Into<String>) -> SilenceError {
    SilenceError { field, text: text.into() }
}

impl Silence {
    /// `pending`, `active` or `expired`.
    pub fn state(&self, now_ms: i64) -> &'static str {
        if now_ms < self.starts_at_ms {
            "pending"
        } else if now_ms < self.ends_at_ms {
            "active"
        } else {
            "expired"
        }
    }

    fn compile(&mut self) -> Result<(), SilenceError> {
        let compile = |m: &SilenceMatcher| LabelMatcher::new(&m.name, &m.value, m.is_regex, !m.is_equal);
        let compiled = self.matchers.iter().map(compile).collect::<Result<_, _>>();
        self.compiled = compiled.map_err(|error| wrong("matchers", error.to_string()))?;
        Ok(())
    }

    /// Whether its own matchers are what is asked for, as Alertmanager has it: name and value of each stand for a label.
    pub fn is_of(&self, asked: &[LabelMatcher]) -> bool {
        let own = self.matchers.iter().map(|own| (own.name.clone(), own.value.clone())).collect();
        asked.iter().all(|asked| asked.matches(&own))
    }

    fn silences(&self, labels: &BTreeMap<String, String>, now_ms: i64) -> bool {
        self.state(now_ms) == "active" && self.compiled.iter().all(|matcher| matcher.matches(labels))
    }
}

/// All silences.
#[derive(Debug, Clone, Default)]
pub struct Silences(BTreeMap<String, Silence>);

impl Silences {
    /// Takes up what was written; what cannot be a silence is left out.
    pub fn restore(all: Vec<Silence>) -> Self {
        let all = all.into_iter().filter_map(|mut silence| {
            silence.compile().ok()?;
            Some((silence.id.clone(), silence))
        });
        Self(all.collect())
    }

    /// Whether there is nothing to be learned of a silence: it is known as it is or newer, or was over long ago.
    pub(super) fn is_known(&self, silence: &Silence, now_ms: i64) -> bool {
        now_ms.saturating_sub(silence.ends_at_ms) > KEPT_MS
            || self.0.get(&silence.id).is_some_and(|known| known.updated_at_ms >= silence.updated_at_ms)
    }

    /// Takes a silence that was made elsewhere.
    pub(super) fn learn(&mut self, mut silence: Silence, now_ms: i64) {
        self.0.retain(|_, silence| now_ms.saturating_sub(silence.ends_at_ms) <= KEPT_MS);
        let has_room = self.0.len() < 2 * MOST || self.0.contains_key(&silence.id);
        if has_room && silence.compile().is_ok() && !self.is_known(&silence, now_ms) {
            self.0.insert(silence.id.clone(), silence);
        }
    }

    /// Makes a silence, or changes one, and gives its id. One that is over, or whose matchers change, ends, and a new one
    /// is made: what was silenced when can then still be seen. `new_id` is the id of a new one.
    pub fn put(&mut self, posted: PostedSilence, new_id: String, now_ms: i64) -> Result<String, SilenceError> {
        let time = |field, text: &str| {
            let nano = weir_service::time::parse(text, now_ms.saturating_mul(1_000_000));
            nano.map(|nano| nano.div_euclid(1_000_000)).map_err(|error| wrong(field, error))
        };
        let starts = if posted.starts_at.is_empty() { now_ms } else { time("startsAt", &posted.starts_at)? };
        let ends = time("endsAt", &posted.ends_at)?;
        if ends <= now_ms {
            return Err(wrong("endsAt", "it is past; a silence ends in the future"));
        }
        if ends <= starts {
            return Err(wrong("endsAt", "it must be after startsAt"));
        }
        if posted.matchers.is_empty() || posted.matchers.len() > MOST_MATCHERS {
            return Err(wrong("matchers", format!("a silence has from 1 to {MOST_MATCHERS} of them")));
        }
        for matcher in &posted.matchers {
            short("matchers.name", &matcher.name, MOST_TEXT)?;
            short("matchers.value", &matcher.value, MOST_TEXT)?;
        }
        short("createdBy", &posted.created_by, MOST_TEXT)?;
        short("comment", &posted.comment, MOST_COMMENT)?;
        let mut silence = Silence {
            id: new_id,
            matchers: posted.matchers,
            starts_at_ms: starts.max(now_ms),
            ends_at_ms: ends,
            updated_at_ms: now_ms,
            created_by: posted.created_by,
            comment: posted.comment,
            compiled: Vec::new(),
        };
        silence.compile()?;
        if silence.compiled.iter().all(|matcher| matcher.matches(&BTreeMap::new())) {
            return Err(wrong("matchers", "at least one must not match a label that is not there, or all is silenced"));
        }
        self.0.retain(|_, silence| now_ms.saturating_sub(silence.ends_at_ms) <= KEPT_MS);
        if !posted.id.is_empty() {
            let old =
                self.0.get(&posted.id).ok_or_else(|| wrong("id", format!("there is no silence {}", posted.id)))?;
            if old.matchers == silence.matchers && old.state(now_ms) != "expired" {
                // It goes on from when it began.
                if old.state(now_ms) == "active" {
                    silence.starts_at_ms = old.starts_at_ms;
                }
                silence.id.clone_from(&old.id);
                // Whatever the clock of who changed it last said.
                silence.updated_at_ms = now_ms.max(old.updated_at_ms.saturating_add(1));
            } else {
                self.expire(&posted.id, now_ms);
            }
        }
        if self.0.len() >= MOST && !self.0.contains_key(&silence.id) {
            // One that is over makes room, the one that ended first.
            let over = self.0.values().filter(|silence| silence.state(now_ms) == "expired");
            let Some(first) = over.min_by_key(|silence| silence.ends_at_ms).map(|silence| silence.id.clone()) else {
                let text = format!("there are {MOST} silences that are not over: end one first, by DELETE of its id");
                return Err(wrong("id", text));
            };
            self.0.remove(&first);
        }
        let id = silence.id.clone();
        self.0.insert(id.clone(), silence);
        Ok(id)
    }

    /// Ends a silence now; false where there is none of this id.
    pub fn expire(&mut self, id: &str, now_ms: i64) -> bool {
        let Some(silence) = self.0.get_mut(id) else { return false };
        if silence.ends_at_ms > now_ms {
            silence.starts_at_ms = silence.starts_at_ms.min(now_ms);
            silence.ends_at_ms = now_ms;
            silence.updated_at_ms = now_ms.max(silence.updated_at_ms.saturating_add(1));
        }
        true
    }

    /// By their ids.
    pub fn all(&self) -> impl Iterator<Item = &Silence> {
        self.0.values()
    }

    /// Ids of the silences that hold for an alert.
    pub fn of(&self, labels: &BTreeMap<String, String>, now_ms: i64) -> Vec<&str> {
        self.0.values().filter(|silence| silence.silences(labels, now_ms)).map(|silence| silence.id.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn posted(json: &str) -> PostedSilence {
        serde_json::from_str(json).unwrap()
    }

    fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    const OCR: &str = r#"{"matchers":[{"name":"service","value":"oc.","isRegex":true},
        {"name":"severity","value":"page","isEqual":false}],"startsAt":"now","endsAt":"now+1h"}"#;

    #[test]
    fn a_silence_holds_for_its_time_and_for_what_all_its_matchers_match() {
        let mut silences = Silences::default();
        silences.put(posted(OCR), "a".into(), NOW).unwrap();
        let ocr = labels(&[("service", "ocr")]);
        assert_eq!(silences.of(&ocr, NOW), ["a"]);
        assert!(silences.of(&ocr, NOW - 1).is_empty() && silences.of(&ocr, NOW + 3_600_000).is_empty());
        assert!(silences.of(&labels(&[("service", "ocr"), ("severity", "page")]), NOW).is_empty());
        assert!(silences.of(&labels(&[("service", "xocr")]), NOW).is_empty());
        assert!(silences.expire("a", NOW + 5) && !silences.expire("b", NOW));
        assert!(silences.of(&ocr, NOW + 5).is_empty());
        assert_eq!(silences.all().next().unwrap().state(NOW + 5), "expired");
    }

    #[test]
    fn a_change_keeps_the_id_unless_other_alerts_are_meant() {
        let mut silences = Silences::default();
        silences.put(posted(OCR), "a".into(), NOW).unwrap();
        let longer = PostedSilence { id: "a".into(), ends_at: "now+2h".into(), ..posted(OCR) };
        assert_eq!(silences.put(longer, "b".into(), NOW + 1000).unwrap(), "a");
        let one = silences.all().next().unwrap();
        assert_eq!((one.starts_at_ms, one.ends_at_ms), (NOW, NOW + 1000 + 7_200_000));
        let mut other = PostedSilence { id: "a".into(), ..posted(OCR) };
        other.matchers.truncate(1);
        assert_eq!(silences.put(other, "b".into(), NOW + 2000).unwrap(), "b");
        let states: Vec<_> = silences.all().map(|silence| silence.state(NOW + 2000)).collect();
        assert_eq!(states, ["expired", "active"]);
    }

    #[test]
    fn silences_that_are_over_make_room_and_those_that_are_not_do_not() {
        let mut silences = Silences::default();
        for n in 0..MOST {
            silences.put(posted(OCR), format!("{n:04}"), NOW).unwrap();
        }
        assert_eq!(silences.put(posted(OCR), "one more".into(), NOW).unwrap_err().field, "id");
        silences.expire("0007", NOW + 1);
        silences.expire("0003", NOW + 2);
        silences.put(posted(OCR), "one more".into(), NOW + 3).unwrap();
        assert!(silences.all().all(|silence| silence.id != "0007") && silences.all().count() == MOST);
    }

    #[test]
    fn an_unknown_field_is_refused_and_what_was_read_may_be_sent_back() {
        let back = OCR.replacen('{', r#"{"status":{"state":"active"},"updatedAt":"2026-01-02T03:04:05Z","#, 1);
        posted(&back);
        let misspelt = OCR.replacen("isRegex", "isRegexp", 1);
        assert!(serde_json::from_str::<PostedSilence>(&misspelt).unwrap_err().to_string().contains("isRegexp"));
    }

    #[test]
    fn what_cannot_be_is_refused_by_field() {
        for (from, to, field) in [
            ("now+1h", "now-1h", "endsAt"),
            ("\"now\"", "\"now+2h\"", "endsAt"),
            ("now+1h", "soon", "endsAt"),
            ("\"now\"", "\"soon\"", "startsAt"),
            ("oc.", "[", "matchers"),
            ("oc.", ".*", "matchers"),
            ("\"service\"", "\"\"", "matchers"),
            ("{\"matchers\"", "{\"id\":\"x\",\"matchers\"", "id"),
        ] {
            let error = Silences::default().put(posted(&OCR.replacen(from, to, 1)), "a".into(), NOW).unwrap_err();
            assert_eq!(error.field, field, "{to}: {error}");
        }
        let long = "x".repeat(MOST_COMMENT + 1);
        for (from, to, field) in [
            ("service", &long[..=MOST_TEXT], "matchers.name"),
            ("oc.", &long[..=MOST_TEXT], "matchers.value"),
            ("oc.", "(a{100}){1000}", "matchers"),
            ("\"startsAt\"", &format!("\"comment\":\"{long}\",\"startsAt\""), "comment"),
            ("\"startsAt\"", &format!("\"createdBy\":\"{long}\",\"startsAt\""), "createdBy"),
        ] {
            let error = Silences::default().put(posted(&OCR.replacen(from, to, 1)), "a".into(), NOW).unwrap_err();
            assert_eq!(error.field, field, "{error}");
        }
        for usual in [r"\\w+-\\d+", r"(?i)[\\w.-]+\\.example\\.org|other"] {
            Silences::default().put(posted(&OCR.replacen("oc.", usual, 1)), "a".into(), NOW).unwrap();
        }
        let none = posted(r#"{"matchers":[],"endsAt":"now+1h"}"#);
        assert_eq!(Silences::default().put(none, "a".into(), NOW).unwrap_err().field, "matchers");
    }
}
