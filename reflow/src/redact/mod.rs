//! Takes personal data and secrets out of what is captured.
//!
//! Pure: rules and values in, values out. [`Redactor`] compiles the rules of a capture for the fields of its dataset.
//! A field's values are then redacted one by one, in time linear in their size; a text that holds nothing to redact is
//! not copied.
//!
//! What overlaps is replaced as one: the leftmost names it, then the longest, then the order of [`Pattern`], and the
//! rules' own expressions come last.

mod counts;
mod find;
mod json;
mod key;
mod rule;
mod scan;
#[cfg(test)]
mod tests;

pub use counts::Counts;
pub use key::{HmacKey, KeyError};
pub use rule::{Method, Pattern, RedactError, Rule};

use find::Finder;
use json::Redaction;
use regex::Regex;
use serde_json::Value;

/// What a whole value is replaced by.
const MASK: &str = "[redacted]";

/// The field name of a rule for all fields.
const ALL_FIELDS: &str = "*";

/// The rules of a capture, ready to be applied.
#[derive(Debug)]
pub struct Redactor {
    fields: Vec<Field>,
    key: HmacKey,
}

/// A text after redaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redacted {
    /// Nothing was found in it.
    Same,
    /// What it reads now.
    Changed(String),
    /// A rule drops the value.
    Gone,
}

/// What happens to the values of one field.
#[derive(Debug)]
enum Field {
    Kept,
    Whole(Method),
    Searched(Box<Finder>),
}

impl Redactor {
    /// Compiles `rules` for `fields`, whose indexes the other functions take.
    ///
    /// A rule for the whole value decides over those that search in it, and one that drops over one that replaces. Of
    /// two rules that look for the same pattern, the one that names the field decides, then the first.
    pub fn new(rules: &[Rule], fields: &[&str], key: &HmacKey) -> Result<Self, RedactError> {
        let mut compiled = Vec::new();
        for (rule, number) in rules.iter().zip(1..) {
            if rule.field != ALL_FIELDS && !fields.contains(&rule.field.as_str()) {
                let known = fields.iter().map(|field| (*field).to_owned()).collect();
                return Err(RedactError::UnknownField { rule: number, field: rule.field.clone(), known });
            }
            compiled.push((rule, expressions(rule, number)?));
        }
        let fields = fields.iter().map(|field| Field::new(field, &compiled)).collect();
        Ok(Self { fields, key: key.clone() })
    }

    /// Redacts a text, or a number or a time in its text form. A field that the redactor was not made for is an error
    /// of the caller and is dropped, since its rules are unknown.
    pub fn text(&self, field: usize, text: &str, counts: &mut Counts) -> Redacted {
        match self.fields.get(field) {
            Some(Field::Kept) => Redacted::Same,
            Some(Field::Searched(finder)) => {
                let changed = Redaction { finder, key: &self.key, counts }.text(text);
                changed.map_or(Redacted::Same, Redacted::Changed)
            }
            Some(Field::Whole(_)) | None => self.whole(field, text.as_bytes(), counts).unwrap_or(Redacted::Gone),
        }
    }

    /// Redacts a nested value in place; true if a rule drops it. Strings, keys and numbers are searched.
    #[must_use = "a value that a rule drops is still there"]
    pub fn json(&self, field: usize, value: &mut Value, counts: &mut Counts) -> bool {
        match self.fields.get(field) {
            Some(Field::Kept) => false,
            Some(Field::Searched(finder)) => {
                Redaction { finder, key: &self.key, counts }.value(value);
                false
            }
            Some(Field::Whole(_)) | None => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                match self.whole(field, text.as_bytes(), counts) {
                    Some(Redacted::Changed(text)) => {
                        *value = Value::String(text);
                        false
                    }
                    _ => true,
                }
            }
        }
    }

    /// What a rule for whole values makes of a value of any type, from its bytes; none if the field has no such rule.
    pub fn whole(&self, field: usize, value: &[u8], counts: &mut Counts) -> Option<Redacted> {
        let Some(Field::Whole(method)) = self.fields.get(field) else { return None };
        counts.count_whole();
        Some(match method {
            Method::Mask => Redacted::Changed(MASK.to_owned()),
            Method::Hmac => Redacted::Changed(self.key.sign(value)),
            Method::Drop => Redacted::Gone,
        })
    }
}

impl Field {
    fn new(name: &str, rules: &[(&Rule, Vec<Regex>)]) -> Self {
        let named = rules.iter().filter(|(rule, _)| rule.field == name);
        let own: Vec<_> = named.chain(rules.iter().filter(|(rule, _)| rule.field == ALL_FIELDS)).collect();
        let mut whole = own.iter().filter(|(rule, _)| rule.is_whole()).map(|(rule, _)| rule.method).peekable();
        if let Some(first) = whole.peek().copied() {
            return Self::Whole(if whole.any(|method| method == Method::Drop) { Method::Drop } else { first });
        }
        if own.is_empty() {
            return Self::Kept;
        }
        let patterns = own.iter().flat_map(|(rule, _)| rule.patterns.iter().map(|pattern| (*pattern, rule.method)));
        let expressions = own.iter().flat_map(|(rule, found)| found.iter().map(|found| (found.clone(), rule.method)));
        Self::Searched(Box::new(Finder::new(&patterns.collect::<Vec<_>>(), expressions.collect())))
    }
}

fn expressions(rule: &Rule, number: usize) -> Result<Vec<Regex>, RedactError> {
    let place = |expression: &String| (number, rule.field.clone(), expression.clone());
    let compile = |text: &String| match Regex::new(text) {
        Ok(regex) if regex.is_match("") => {
            let (rule, field, expression) = place(text);
            Err(RedactError::EmptyMatch { rule, field, expression })
        }
        Ok(regex) => Ok(regex),
        Err(source) => {
            let (rule, field, expression) = place(text);
            Err(RedactError::InvalidExpression { rule, field, expression, source })
        }
    };
    rule.expressions.iter().map(compile).collect()
}
