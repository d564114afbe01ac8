//! The rules of a capture as its configuration writes them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One entry of a capture's `redact` list.
///
/// Without `patterns` and `expressions` the method applies to the whole value; with them, to what is found in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name of a field of the dataset, or `*` for all of them.
    pub field: String,
    /// What happens to what is found.
    #[serde(default)]
    pub method: Method,
    /// Built-in patterns to look for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<Pattern>,
    /// Regular expressions to look for, in the syntax of the crate `regex`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expressions: Vec<String>,
}

impl Rule {
    /// Whether the rule takes the whole value, whatever is in it.
    pub(super) fn is_whole(&self) -> bool {
        self.patterns.is_empty() && self.expressions.is_empty()
    }
}

/// What happens to a value, or to what is found in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Its kind is put in its place: `[email]`, or `[redacted]` for a whole value.
    #[default]
    Mask,
    /// Its HMAC is put in its place, so that equal values stay equal and can be joined.
    Hmac,
    /// It is removed.
    Drop,
}

/// What the redactor can recognise by itself. The order decides between patterns that find the same text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Chinese mobile number.
    PhoneCn,
    /// Chinese resident identity number.
    IdCn,
    /// Number of a payment card.
    BankCard,
    /// Address of electronic mail.
    Email,
    /// IPv4 or IPv6 address.
    Ip,
    /// Credential of an `Authorization` header, bearer token or JSON Web Token.
    Bearer,
    /// API key, assigned password or private key.
    ApiKey,
}

impl Pattern {
    /// Every pattern, in order.
    pub const ALL: [Self; 7] =
        [Self::PhoneCn, Self::IdCn, Self::BankCard, Self::Email, Self::Ip, Self::Bearer, Self::ApiKey];

    /// The name in configuration, in placeholders and of counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::PhoneCn => "phone_cn",
            Self::IdCn => "id_cn",
            Self::BankCard => "bank_card",
            Self::Email => "email",
            Self::Ip => "ip",
            Self::Bearer => "bearer",
            Self::ApiKey => "api_key",
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule cannot be applied. Rules are numbered from 1.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RedactError {
    /// The dataset has no field of that name.
    #[error("redact rule {rule}: unknown field `{field}`, expected `*` or one of: {}", known.join(", "))]
    UnknownField {
        /// Number of the rule.
        rule: usize,
        /// What the rule names.
        field: String,
        /// The fields that there are.
        known: Vec<String>,
    },
    /// The expression is no regular expression, or compiles to too large a program.
    #[error("redact rule {rule}, field `{field}`: invalid expression `{expression}`")]
    InvalidExpression {
        /// Number of the rule.
        rule: usize,
        /// Its field.
        field: String,
        /// The expression.
        expression: String,
        /// What is wrong with it, and where.
        source: regex::Error,
    },
    /// The expression would be found everywhere.
    #[error(
        "redact rule {rule}, field `{field}`: expression `{expression}` matches the empty text; \
         require at least one character, as in `+` instead of `*`"
    )]
    EmptyMatch {
        /// Number of the rule.
        rule: usize,
        /// Its field.
        field: String,
        /// The expression.
        expression: String,
    },
}
