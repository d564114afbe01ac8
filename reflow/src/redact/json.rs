//! Redaction of texts and of JSON, in text or as a value.
//!
//! JSON is redacted string by string, as the strings read without their escapes, so that it stays JSON and a secret
//! that is written in escapes is found. What lies around a redacted string, and what was not redacted, keep their bytes.

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::counts::Counts;
use super::find::Finder;
use super::key::HmacKey;
use super::scan::{Hit, Kind, Name};

/// How deep JSON is looked for within strings of JSON; deeper, it is a text like any other.
const JSON_DEPTH: usize = 8;
/// How often a text is scanned while something new is found in it: what is replaced can uncover what it touched.
const PASSES: usize = 4;

/// Redacts by the rules of one field.
pub(super) struct Redaction<'a> {
    pub(super) finder: &'a Finder,
    pub(super) key: &'a HmacKey,
    pub(super) counts: &'a mut Counts,
}

impl Redaction<'_> {
    /// The text without what the rules find; none if that is nothing.
    pub(super) fn text(&mut self, text: &str) -> Option<String> {
        let mut changed = self.pass(text, 0)?;
        for _ in 1..PASSES {
            let Some(again) = self.pass(&changed, 0) else { break };
            changed = again;
        }
        Some(changed)
    }

    /// Redacts the strings, the keys and the numbers of a value; a number becomes a string then.
    pub(super) fn value(&mut self, value: &mut Value) {
        self.named_value(value, None);
    }

    fn named_value(&mut self, value: &mut Value, name: Option<Name>) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => {
                if let Some(text) = self.leaf(&number.to_string(), name, 0) {
                    *value = Value::String(text);
                }
            }
            Value::String(text) => {
                if let Some(changed) = self.leaf(text, name, 0) {
                    *text = self.text(&changed).unwrap_or(changed);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.named_value(item, None)),
            Value::Object(fields) => self.object(fields),
        }
    }

    fn object(&mut self, fields: &mut Map<String, Value>) {
        let mut renamed = Vec::new();
        for (key, value) in fields.iter_mut() {
            self.named_value(value, Name::of_key(key));
            if let Some(new) = self.text(key) {
                renamed.push((key.clone(), new));
            }
        }
        for (key, new) in renamed {
            let Some(value) = fields.remove(&key) else { continue };
            // Two keys may become one, and neither's value is to be lost.
            let free = (2_u64..).map(|n| format!("{new}#{n}"));
            let free = std::iter::once(new.clone()).chain(free).find(|name| !fields.contains_key(name));
            fields.insert(free.unwrap_or(new), value);
        }
    }

    /// One scan of a text, as JSON if it is.
    fn pass(&mut self, text: &str, depth: usize) -> Option<String> {
        let mut hits = self.finder.hits(text);
        if hits.is_empty() && !text.contains("\\u") {
            return None;
        }
        if depth < JSON_DEPTH && is_json(text) {
            let changed = self.document(text, depth);
            if changed.is_some() {
                return changed;
            }
            // Across strings only expressions mean anything.
            hits.retain(|hit| matches!(hit.kind, Kind::Expression(_)));
        }
        (!hits.is_empty()).then(|| self.finder.replace(text, &hits, self.key, self.counts))
    }

    /// Redacts the strings and numbers of a text that is JSON.
    fn document(&mut self, text: &str, depth: usize) -> Option<String> {
        let bytes = text.as_bytes();
        let mut out = String::new();
        let (mut done, mut at) = (0, 0);
        let mut name = None;
        while at < bytes.len() {
            let start = at;
            match bytes[at] {
                b'"' => {
                    at = string_end(bytes, at);
                    let is_key = bytes[at..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                    let string = decode(&text[start..at]);
                    let changed = match &string {
                        Some(string) => self
                            .leaf(string, if is_key { None } else { name }, depth + 1)
                            .and_then(|changed| serde_json::to_string(&changed).ok()),
                        None => self.pass(&text[start..at], JSON_DEPTH),
                    };
                    name = string.filter(|_| is_key).and_then(|key| Name::of_key(&key));
                    if let Some(json) = changed {
                        out.extend([&text[done..start], &json]);
                        done = at;
                    }
                }
                b'-' | b'0'..=b'9' => {
                    let of = |byte: &u8| !matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                    at = bytes[at..].iter().position(of).map_or(bytes.len(), |length| at + length);
                    if let Some(changed) = self.leaf(&text[start..at], name.take(), depth + 1) {
                        out.extend([&text[done..start], "\"", &changed, "\""]);
                        done = at;
                    }
                }
                b'[' | b'{' | b',' => {
                    name = None;
                    at += 1;
                }
                _ => at += 1,
            }
        }
        out.push_str(&text[done..]);
        (done > 0).then_some(out)
    }

    /// A string or number of JSON, with what the key before it says about it.
    fn leaf(&mut self, text: &str, name: Option<Name>, depth: usize) -> Option<String> {
        let named = name.and_then(|name| name.in_value(text)).filter(|(_, _, pattern)| self.finder.wants(*pattern));
        let Some((start, end, pattern)) = named else { return self.pass(text, depth) };
        let hits = self.finder.hits_with(text, Some(Hit { start, end, kind: Kind::Pattern(pattern) }));
        Some(self.finder.replace(text, &hits, self.key, self.counts))
    }
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[', '"']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Behind the string of valid JSON that begins at `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() {
        match bytes[end] {
            b'"' => return end + 1,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    bytes.len()
}

/// None for a string that JSON allows and that is no text: one with half a surrogate pair.
fn decode(literal: &str) -> Option<std::borrow::Cow<'_, str>> {
    if literal.contains('\\') {
        serde_json::from_str::<String>(literal).ok().map(Into::into)
    } else {
        literal.get(1..literal.len() - 1).map(Into::into)
    }
}
