//! Reads Lucene's grammar as Elasticsearch users type it. Length and depth are bounded; errors name the byte at fault.

use crate::ast::{Bound, Query, Test};

const MAX_BYTES: usize = 16 * 1024;
const MAX_DEPTH: usize = 64;
const MAX_TESTS: usize = 1024;

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
    if text.len() > MAX_BYTES {
        return Err(ParseError { position: MAX_BYTES, message: format!("a query has at most {MAX_BYTES} bytes") });
    }
    let mut parser = Parser { text, at: 0, tests: 0, field: "body".to_owned() };
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
        let mut any = vec![self.and(depth)?];
        while self.keyword("OR") || self.take("||") {
            any.push(self.and(depth)?);
        }
        Ok(one_or(any, Query::Or))
    }

    fn and(&mut self, depth: usize) -> Result<Query, ParseError> {
        let mut all = vec![self.not(depth)?];
        loop {
            if self.keyword("AND") || self.take("&&") {
                all.push(self.not(depth)?);
                continue;
            }
            let before = self.at;
            if self.done() || self.peek() == Some(')') || self.keyword("OR") || self.rest().starts_with("||") {
                self.at = before;
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
            self.space();
            return if self.take(")") { Ok(query) } else { Err(self.error("expected `)`")) };
        }
        if self.peek() == Some('"') {
            return Ok(Query::Field(self.field.clone(), Test::Is(self.phrase()?)));
        }
        let (text, glob) = self.bare(special)?;
        if !self.take(":") {
            if self.starts_list() {
                return self.list(&unglob(&text));
            }
            let test = match text.as_str() {
                "*" if self.field == "body" => return Ok(Query::All),
                "*" => Test::Exists,
                _ => value_test(text, glob),
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
                return Ok(if any.is_empty() { Query::Not(Box::new(Query::All)) } else { one_or(any, Query::Or) });
            }
            self.tests += 1;
            if self.tests > MAX_TESTS {
                return Err(self.error(format!("a query has at most {MAX_TESTS} terms")));
            }
            let test = if self.peek() == Some('"') {
                Test::Is(self.quoted()?)
            } else {
                let (text, glob) = self.bare(ends_element)?;
                value_test(text, glob)
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
                let text = self.phrase()?;
                field(Test::Is(text))
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
                self.space();
                if self.take(")") { Ok(inner) } else { Err(self.error("expected `)`")) }
            }
            _ => {
                let (text, glob) = self.bare(ends_value)?;
                if text == "*" {
                    return field(Test::Exists);
                }
                field(value_test(text, glob))
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

    /// A quoted text of which more is not asked than its words in a row.
    fn phrase(&mut self) -> Result<String, ParseError> {
        let text = self.quoted()?;
        match self.peek() {
            Some('~' | '^') => Err(self.error("there is no distance and no boost: end the phrase with its `\"`")),
            _ => Ok(text),
        }
    }

    /// A run of characters up to one that `ends` it. Escapes before `*`, `?` and `\` are kept for [`unglob`]; says whether
    /// a wildcard is in.
    fn bare(&mut self, ends: fn(char) -> bool) -> Result<(String, bool), ParseError> {
        let (start, mut text, mut glob) = (self.at, String::new(), false);
        while let Some(c) = self.peek() {
            if ends(c) || ["&&", "||"].iter().any(|join| self.rest().starts_with(join)) {
                break;
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
        if let Some((at, message)) = not_there(&self.text[start..self.at]) {
            return Err(ParseError { position: start + at, message: message.to_owned() });
        }
        Ok((text, glob))
    }
}

fn value_test(text: String, glob: bool) -> Test {
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

/// Where a word, as it was written, asks for what Lucene has and weir has not: taken as a part of the word it would find
/// nothing, without a word of why. A path such as `/v1/ocr/` is no expression, and numbers such as `5~8` and `10^2` are
/// neither near something nor more important than it.
fn not_there(word: &str) -> Option<(usize, &'static str)> {
    let inner = word.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    if inner.is_some_and(is_expression) {
        return Some((
            0,
            "there are no regular expressions: use `*` and `?` without the slashes, or write the text in quotation marks",
        ));
    }
    let at = word.rfind(['~', '^']).filter(|&at| !word[..at].ends_with('\\'))?;
    let (sign, number) = word[at..].split_at(1);
    if !word[..at].contains(char::is_alphabetic) || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    match sign {
        "~" => Some((at, "there is no fuzzy search: use `*`, or write the text in quotation marks")),
        _ if number.is_empty() => None,
        _ => Some((at, "there is no boost: leave it out, or write the text in quotation marks")),
    }
}

/// Whether what is between two slashes is a regular expression. A slash in it, which Lucene has not there, is rather
/// that of a path, whose `*` and `?` are wildcards.
fn is_expression(inner: &str) -> bool {
    let signs: &[&str] = &[".*", ".+", "+", "|", "^", "$"];
    let of_one: &[&str] = &["*", "?", "\\d", "\\w", "\\s", "\\b"];
    let has = |signs: &[&str]| signs.iter().any(|sign| inner.contains(sign));
    has(signs) || (!inner.contains('/') && has(of_one))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is(field: &str, text: &str) -> Query {
        Query::Field(field.into(), Test::Is(text.into()))
    }

    #[test]
    fn and_binds_closer_than_or_and_not_closer_still() {
        let query = parse("a OR service:ocr AND NOT \"connection reset\"").unwrap();
        let right = Query::And(vec![is("service", "ocr"), Query::Not(Box::new(is("body", "connection reset")))]);
        assert_eq!(query, Query::Or(vec![is("body", "a"), right]));
    }

    #[test]
    fn ranges_lists_escapes_and_existence_are_read() {
        let range = |a, b| Query::Field("n".into(), Test::Range(a, b));
        assert_eq!(parse("n:>=10").unwrap(), range(Bound::Including("10".into()), Bound::Open));
        assert_eq!(parse("n:[1 TO 5}").unwrap(), range(Bound::Including("1".into()), Bound::Excluding("5".into())));
        for list in ["n:IN [a, b]", "n:IN [a,b]", "n: IN [a b]", "n IN [a, b]", "n:IN [\"a\", b,]"] {
            assert_eq!(parse(list).unwrap(), Query::Or(vec![is("n", "a"), is("n", "b")]), "{list}");
        }
        assert_eq!(parse("n:IN [a*]").unwrap(), Query::Field("n".into(), Test::Glob("a*".into())));
        assert_eq!(parse("country:IN").unwrap(), is("country", "IN"));
        assert_eq!(parse("image:repo:5000/x:1").unwrap(), is("image", "repo:5000/x:1"));
        assert_eq!(parse("_exists_:n").unwrap(), Query::Field("n".into(), Test::Exists));
        assert_eq!(parse(r"a\:b\*").unwrap(), is("body", "a:b*"));
        assert_eq!(parse("n:*").unwrap(), Query::Field("n".into(), Test::Exists));
    }

    #[test]
    fn an_error_names_the_place_and_what_would_be_right() {
        let error = parse("a AND (b").unwrap_err();
        assert_eq!((error.position, error.message.as_str()), (8, "expected `)`"));
        assert_eq!(parse(&"(".repeat(1000)).unwrap_err().position, MAX_DEPTH + 1);
        assert_eq!(parse(&"a:(".repeat(1000)).unwrap_err().position, 3 * (MAX_DEPTH + 1));
        assert!(parse(&"NOT ".repeat(3000)).is_err() && parse(&"a ".repeat(3000)).is_err());
        for (text, position) in
            [("a )", 2), ("\"a", 0), ("\"a b\"~2", 5), ("n:IN [a", 7), ("n:[1 5]", 5), ("a AND", 5), ("a\\", 2)]
        {
            assert_eq!(parse(text).unwrap_err().position, position, "{text}");
        }
    }

    #[test]
    fn bare_words_in_parentheses_belong_to_the_field_and_what_names_another_does_not() {
        let exists = Query::Field("user".into(), Test::Exists);
        assert_eq!(parse("user:(*)").unwrap(), exists);
        assert_eq!(parse("user:(a OR *)").unwrap(), Query::Or(vec![is("user", "a"), exists]));
        let both = Query::And(vec![is("service", "ocr"), is("body", "hello")]);
        assert_eq!(parse("service:(ocr AND body:hello)").unwrap(), both);
        assert_eq!(parse("service:(ocr) hello").unwrap(), both);
        assert_eq!(parse("body:(*)").unwrap(), Query::All);
    }

    #[test]
    fn signs_join_words_without_spaces() {
        assert_eq!(parse("a||b").unwrap(), Query::Or(vec![is("body", "a"), is("body", "b")]));
        assert_eq!(parse("n:a&&b").unwrap(), Query::And(vec![is("n", "a"), is("body", "b")]));
    }

    #[test]
    fn what_lucene_has_and_weir_has_not_is_told_and_what_only_looks_like_it_is_a_word() {
        for (text, position) in [
            ("hello^2", 5),
            ("x hello~1", 7),
            ("hello~", 5),
            ("hello~10", 5),
            ("模型~1", 6),
            ("user:u1^2.5", 7),
            ("n:IN [a~1]", 7),
            ("/hel+o/", 0),
            ("/hel?o/", 0),
            ("/hel*o/", 0),
            (r"/\d/", 0),
            ("body:/h.*/", 5),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.position, position, "{text}");
            assert!(error.message.contains("quotation marks"), "{error}");
        }
        for text in ["/v1/ocr/", "~root", "~/a", "a^b", "10~20", "5~8", "1.5~2.0", "5~", "10^2", "2^n", "a^", "/", "//"]
        {
            assert_eq!(parse(text).unwrap(), is("body", text), "{text}");
        }
        assert_eq!(parse("n:10^2").unwrap(), is("n", "10^2"));
        assert_eq!(parse("/v?/o*/").unwrap(), Query::Field("body".into(), Test::Glob("/v?/o*/".into())));
        assert_eq!(parse(r"a\^2").unwrap(), is("body", "a^2"));
        assert_eq!(parse("\"hello^2\"").unwrap(), is("body", "hello^2"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z0-9:\"()\\[\\]{}*?\\\\<>=!+ ANDORTI-]{0,60}|.{0,40}") {
            let _ = parse(&text);
        }
    }
}
