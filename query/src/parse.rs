//! Reads Lucene's grammar as Elasticsearch users type it. Length and depth are bounded; errors name the byte at fault.

mod token;

use self::token::{Suffix, expression, is_date, is_name, pasted, suffix};
use crate::ast::{Bound, Query, Test};
use crate::fuzzy::Fuzzy;

const MAX_BYTES: usize = 256 * 1024;
const MAX_DEPTH: usize = 64;
const MAX_TESTS: usize = 4096;
/// Most places by which the words of a phrase may be moved.
const MAX_DISTANCE: u32 = 1000;

/// The query cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {position}: {message}")]
pub struct ParseError {
    /// Byte offset in the text.
    pub position: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Reads a query; empty text, or `*`, is everything. Terms side by side are joined with AND.
pub fn parse(text: &str) -> Result<Query, ParseError> {
    read(text, false)
}

/// The same with terms side by side joined as Lucene does by default: any of them, all that have `+` before them, and none
/// that has `-` or `NOT`.
pub fn parse_any(text: &str) -> Result<Query, ParseError> {
    read(text, true)
}

fn read(text: &str, joins_by_or: bool) -> Result<Query, ParseError> {
    if text.len() > MAX_BYTES {
        return Err(ParseError { position: MAX_BYTES, message: format!("a query has at most {MAX_BYTES} bytes") });
    }
    let mut parser = Parser { text, at: 0, tests: 0, field: "body".to_owned(), joins_by_or };
    parser.space();
    if parser.done() {
        return Ok(Query::All);
    }
    let query = parser.or(0)?;
    parser.space();
    if parser.done() { Ok(query) } else { Err(parser.error("unexpected `)`: there is no `(` for it")) }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    tests: usize,
    /// What bare words are looked for in.
    field: String,
    /// How terms side by side are joined.
    joins_by_or: bool,
}

fn special(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | '{' | '}' | '"' | ':')
}

/// What ends a field's value: it may hold colons, as times and addresses do.
fn ends_value(c: char) -> bool {
    special(c) && c != ':'
}

/// What ends an element of `IN [a, b]`.
fn ends_element(c: char) -> bool {
    ends_value(c) || c == ','
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn done(&self) -> bool {
        self.at >= self.text.len()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError { position: self.at, message: message.into() }
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn keyword(&mut self, word: &str) -> bool {
        self.space();
        let found =
            self.rest().strip_prefix(word).is_some_and(|r| r.chars().next().is_none_or(|c| special(c) && c != ':'));
        if found {
            self.at += word.len();
        }
        found
    }

    fn or(&mut self, depth: usize) -> Result<Query, ParseError> {
        if depth > MAX_DEPTH {
            return Err(self.error(format!("parentheses are at most {MAX_DEPTH} deep")));
        }
        let mut any = vec![self.beside(depth)?];
        while self.keyword("OR") || self.take("||") {
            any.push(self.beside(depth)?);
        }
        Ok(one_or(any, Query::Or))
    }

    /// Terms side by side.
    fn beside(&mut self, depth: usize) -> Result<Query, ParseError> {
        if !self.joins_by_or {
            return self.and(depth);
        }
        let (mut all, mut any, mut count) = (Vec::new(), Vec::new(), 0);
        loop {
            self.space();
            let is_required = self.rest().starts_with('+');
            let query = self.and(depth)?;
            count += 1;
            if is_required || matches!(query, Query::Not(_)) {
                all.push(query);
            } else {
                any.push(query);
            }
            if self.is_end_of_terms() {
                break;
            }
        }
        if all.is_empty() || count == 1 {
            any.append(&mut all);
            return Ok(one_or(any, Query::Or));
        }
        // Beside what must be there, what may be changes nothing.
        let is_any_required = all.iter().any(|query| !matches!(query, Query::Not(_)));
        if !is_any_required && !any.is_empty() {
            all.push(one_or(any, Query::Or));
        }
        Ok(one_or(all, Query::And))
    }

    /// Whether no term comes next: the text or its group ends, or `OR` does.
    fn is_end_of_terms(&mut self) -> bool {
        let before = self.at;
        self.space();
        let is_end = self.done() || self.peek() == Some(')') || self.keyword("OR") || self.rest().starts_with("||");
        self.at = before;
        is_end
    }

    fn and(&mut self, depth: usize) -> Result<Query, ParseError> {
        let mut all = vec![self.not(depth)?];
        loop {
            if self.keyword("AND") || self.take("&&") {
                all.push(self.not(depth)?);
                continue;
            }
            if self.joins_by_or || self.is_end_of_terms() {
                return Ok(one_or(all, Query::And));
            }
            all.push(self.not(depth)?);
        }
    }

    fn not(&mut self, depth: usize) -> Result<Query, ParseError> {
        self.space();
        let mut negated = false;
        loop {
            if self.keyword("NOT") || self.take("!") || self.take("-") {
                negated = !negated;
            } else if !self.take("+") {
                break;
            }
            self.space();
        }
        let query = self.atom(depth)?;
        Ok(if negated { Query::Not(Box::new(query)) } else { query })
    }

    fn atom(&mut self, depth: usize) -> Result<Query, ParseError> {
        self.tests += 1;
        if self.tests > MAX_TESTS {
            return Err(self.error(format!("a query has at most {MAX_TESTS} terms")));
        }
        if self.take("(") {
            let query = self.or(depth + 1)?;
            return self.end_of_group(query);
        }
        if self.is_value_next() {
            let field = self.field.clone();
            return self.value(&field, depth);
        }
        let start = self.at;
        if let Some(length) = pasted(self.rest()) {
            let text = self.text[start..start + length].to_owned();
            self.at += length;
            let test = if text.contains('*') { Test::Glob(text) } else { Test::Is(text) };
            return Ok(Query::Field(self.field.clone(), test));
        }
        let (text, glob) = self.bare(special)?;
        if !self.starts_value(&text) {
            if self.starts_list() {
                return self.list(&unglob(&text));
            }
            let test = match text.as_str() {
                "*" if self.field == "body" => return Ok(Query::All),
                "*" => Test::Exists,
                _ => self.value_test(start, text, glob)?,
            };
            return Ok(Query::Field(self.field.clone(), test));
        }
        match unglob(&text).as_str() {
            "*" if self.take("*") => Ok(Query::All),
            // Elasticsearch's way of writing `field:*`.
            "_exists_" => {
                self.space();
                Ok(Query::Field(self.plain()?, Test::Exists))
            }
            name => self.value(name, depth),
        }
    }

    /// Behind a group: its end, and how important it is, which changes nothing of what is found.
    fn end_of_group(&mut self, query: Query) -> Result<Query, ParseError> {
        self.space();
        if !self.take(")") {
            return Err(self.error("expected `)`"));
        }
        self.boost();
        Ok(query)
    }

    /// Passes over `^2`.
    fn boost(&mut self) {
        let Some(number) = self.rest().strip_prefix('^') else { return };
        let length = number.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        if length > 0 {
            self.at += 1 + length;
        }
    }

    /// Whether a quoted text, an expression or, where a field was named before the parenthesis, a range comes next.
    fn is_value_next(&self) -> bool {
        match self.peek() {
            Some('"') => true,
            Some('/') => expression(self.rest()).is_some(),
            Some('<' | '>' | '[' | '{') => self.field != "body",
            _ => false,
        }
    }

    /// Takes the colon behind a field's name, spaces before it included; false where the text is no name.
    fn starts_value(&mut self, name: &str) -> bool {
        if self.take(":") {
            return true;
        }
        let before = self.at;
        self.space();
        if is_name(name) && self.take(":") {
            return true;
        }
        self.at = before;
        false
    }

    /// Whether `IN [` comes next; a word `IN` alone is a word.
    fn starts_list(&mut self) -> bool {
        let before = self.at;
        let found = self.keyword("IN") && {
            self.space();
            self.take("[")
        };
        if !found {
            self.at = before;
        }
        found
    }

    /// The rest of `IN [a b]`, with or without commas.
    fn list(&mut self, name: &str) -> Result<Query, ParseError> {
        let mut any = Vec::new();
        loop {
            self.space();
            while self.take(",") {
                self.space();
            }
            if self.take("]") {
                return Ok(if any.is_empty() { Query::nothing() } else { one_or(any, Query::Or) });
            }
            self.tests += 1;
            if self.tests > MAX_TESTS {
                return Err(self.error(format!("a query has at most {MAX_TESTS} terms")));
            }
            let start = self.at;
            let test = if self.peek() == Some('"') {
                Test::Is(self.quoted()?)
            } else {
                let (text, glob) = self.bare(ends_element)?;
                self.value_test(start, text, glob)?
            };
            any.push(Query::Field(name.to_owned(), test));
        }
    }

    fn value(&mut self, name: &str, depth: usize) -> Result<Query, ParseError> {
        self.space();
        let field = |test| Ok(Query::Field(name.to_owned(), test));
        for (sign, greater, including) in
            [(">=", true, true), ("<=", false, true), (">", true, false), ("<", false, false)]
        {
            if self.take(sign) {
                self.space();
                let value = self.plain()?;
                let bound = if including { Bound::Including(value) } else { Bound::Excluding(value) };
                return field(if greater { Test::Range(bound, Bound::Open) } else { Test::Range(Bound::Open, bound) });
            }
        }
        if self.starts_list() {
            return self.list(name);
        }
        match self.peek() {
            Some('"') => {
                let test = self.phrase()?;
                field(test)
            }
            Some(open @ ('[' | '{')) => {
                self.at += 1;
                let low = self.bound(open == '[')?;
                if !self.keyword("TO") {
                    return Err(self.error("expected `TO`, as in `[1 TO 5]`"));
                }
                let high_at = self.at;
                let mut high = self.bound(true)?;
                self.space();
                if self.take("}") {
                    self.at = high_at;
                    high = self.bound(false)?;
                    self.space();
                    self.at += 1;
                } else if !self.take("]") {
                    return Err(self.error("expected `]` or `}` at the end of the range"));
                }
                field(Test::Range(low, high))
            }
            Some('(') => {
                // Bare words inside belong to the field.
                self.at += 1;
                let outer = std::mem::replace(&mut self.field, name.to_owned());
                let inner = self.or(depth + 1);
                self.field = outer;
                let inner = inner?;
                self.end_of_group(inner)
            }
            _ => {
                let start = self.at;
                if let Some((inner, length)) = expression(self.rest()) {
                    let inner = inner.to_owned();
                    self.at += length;
                    self.boost();
                    return field(Test::Regex(inner));
                }
                let (text, glob) = self.bare(ends_value)?;
                if text == "*" {
                    return field(Test::Exists);
                }
                let test = self.value_test(start, text, glob)?;
                field(test)
            }
        }
    }

    fn bound(&mut self, including: bool) -> Result<Bound, ParseError> {
        self.space();
        let value = self.plain()?;
        Ok(match (value.as_str(), including) {
            ("*", _) => Bound::Open,
            (_, true) => Bound::Including(value),
            (_, false) => Bound::Excluding(value),
        })
    }

    fn plain(&mut self) -> Result<String, ParseError> {
        if self.peek() == Some('"') { self.quoted() } else { self.bare(ends_value).map(|(text, _)| unglob(&text)) }
    }

    fn quoted(&mut self) -> Result<String, ParseError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(text),
                '\\' => {
                    let next = self.peek().ok_or_else(|| self.error("a character is missing after `\\`"))?;
                    self.at += next.len_utf8();
                    text.push(next);
                }
                _ => text.push(c),
            }
        }
        Err(ParseError { position: start, message: "this quotation mark is never closed: expected `\"`".into() })
    }

    /// A quoted text, with how far its words may be moved.
    fn phrase(&mut self) -> Result<Test, ParseError> {
        let text = self.quoted()?;
        let mut test = Test::Is(text);
        if let Some(number) = self.rest().strip_prefix('~') {
            let length = number.bytes().take_while(u8::is_ascii_digit).count();
            let distance = number[..length].parse::<u32>().unwrap_or(if length == 0 { 0 } else { u32::MAX });
            if distance > MAX_DISTANCE {
                return Err(self.error(format!("words of a phrase are moved by at most {MAX_DISTANCE} places")));
            }
            self.at += 1 + length;
            if let (Test::Is(text), 1..) = (&test, distance) {
                test = Test::Near(text.clone(), distance);
            }
        }
        self.boost();
        Ok(test)
    }

    /// A word that begins at `start`, with what Lucene writes behind one.
    fn value_test(&self, start: usize, text: String, glob: bool) -> Result<Test, ParseError> {
        let Some((at, behind)) = suffix(&self.text[start..self.at]) else { return Ok(plain_test(text, glob)) };
        let length = self.at - start - at;
        let word = text[..text.len() - length].to_owned();
        match behind {
            Suffix::Boost => Ok(plain_test(word, glob)),
            Suffix::Fuzzy(_) if glob => {
                Err(ParseError { position: start + at, message: "a word with wildcards cannot be fuzzy too".into() })
            }
            Suffix::Fuzzy(None) => {
                let word = unglob(&word);
                let edits = Fuzzy::edits_of(&word);
                Ok(Test::Fuzzy(word, edits))
            }
            Suffix::Fuzzy(Some(edits @ 0..=2)) => Ok(Test::Fuzzy(unglob(&word), edits)),
            Suffix::Fuzzy(Some(_)) => {
                let message =
                    "a fuzzy word differs by at most 2 letters: write `~1` or `~2`, or the text in quotation marks";
                Err(ParseError { position: start + at, message: message.into() })
            }
        }
    }

    /// Whether date arithmetic comes next: `||/M`, `||+1d`.
    fn changes_date(&self) -> bool {
        self.rest().strip_prefix("||").is_some_and(|rest| rest.starts_with(['/', '+', '-']))
    }

    /// A run of characters up to one that `ends` it. Escapes before `*`, `?` and `\` are kept for [`unglob`]; says whether
    /// a wildcard is in.
    fn bare(&mut self, ends: fn(char) -> bool) -> Result<(String, bool), ParseError> {
        let (mut text, mut glob) = (String::new(), false);
        while let Some(c) = self.peek() {
            let is_join = ["&&", "||"].iter().any(|join| self.rest().starts_with(join));
            if ends(c) || (is_join && !(is_date(&text) && self.changes_date())) {
                break;
            }
            if is_join {
                self.at += 2;
                text.push_str("||");
                continue;
            }
            self.at += c.len_utf8();
            if c == '\\' {
                let next = self.peek().ok_or_else(|| self.error("a character is missing after `\\`"))?;
                self.at += next.len_utf8();
                if matches!(next, '*' | '?' | '\\') {
                    text.push('\\');
                }
                text.push(next);
            } else {
                glob |= matches!(c, '*' | '?');
                text.push(c);
            }
        }
        if text.is_empty() {
            let found = self.peek().map_or("the end".to_owned(), |c| format!("`{c}`"));
            return Err(self.error(format!("expected a word, a field, `\"` or `(`, found {found}")));
        }
        Ok((text, glob))
    }
}

fn plain_test(text: String, glob: bool) -> Test {
    if glob { Test::Glob(text) } else { Test::Is(unglob(&text)) }
}

fn unglob(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    plain
}

fn one_or(mut queries: Vec<Query>, join: fn(Vec<Query>) -> Query) -> Query {
    if queries.len() == 1 { queries.remove(0) } else { join(queries) }
}

#[cfg(test)]
mod tests;
