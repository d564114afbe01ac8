//! What a query may have meant, where it can be read in two ways.

use crate::fuzzy::Fuzzy;

/// A reading that was taken, and a query that may be meant instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// How the query was read, and what to write for another meaning.
    pub message: String,
    /// A query of that other meaning; empty where there is none to offer.
    pub query: String,
}

/// Fields that every line may have.
const OWN: [&str; 20] = [
    "body",
    "message",
    "service",
    "tenant",
    "severity",
    "severity_text",
    "trace_id",
    "span_id",
    "timestamp",
    "@timestamp",
    "log.level",
    "name",
    "kind",
    "status",
    "status_message",
    "interface",
    "duration",
    "duration_ms",
    "parent_span_id",
    "end_timestamp",
];

/// Full-width characters of an input method, and what they stand for.
const WIDE: [(char, &str); 8] =
    [('：', ":"), ('（', "("), ('）', ")"), ('“', "\""), ('”', "\""), ('＊', "*"), ('＝', "="), ('＞', ">")];

/// Most hints of a query.
const MOST: usize = 8;
/// Most words of a query, and bytes, that are looked at.
const MOST_TOKENS: usize = 64;
const MOST_BYTES: usize = 4096;

/// What a query's text may have meant.
pub fn hints(text: &str) -> Vec<Hint> {
    if text.len() > MOST_BYTES {
        return Vec::new();
    }
    let mut hints = Vec::new();
    let mut add = |message: String, query: String| {
        if hints.len() < MOST && hints.iter().all(|hint: &Hint| hint.message != message) {
            hints.push(Hint { message, query });
        }
    };
    if text.contains(|c| WIDE.iter().any(|(wide, _)| *wide == c)) {
        let narrow: String = text
            .chars()
            .map(|c| WIDE.iter().find(|(wide, _)| *wide == c).map_or(c.to_string(), |(_, to)| (*to).to_owned()))
            .collect();
        add(
            "full-width signs are part of the words: write `:`, `(`, `)` and `\"` for what they mean in a query".into(),
            narrow,
        );
    }
    let tokens = tokens(text);
    // What is longer was made by a program.
    for (at, token) in tokens.iter().enumerate().take(MOST_TOKENS) {
        let replaced = |by: &str| format!("{}{by}{}", &text[..token.start], &text[token.start + token.text.len()..]);
        let is_between = at > 0 && at + 1 < tokens.len();
        match token.text {
            "and" | "or" if is_between => add(
                format!("`{}` is read as a word: write `{}` to join terms", token.text, token.text.to_uppercase()),
                replaced(&token.text.to_uppercase()),
            ),
            "not" if at + 1 < tokens.len() => {
                add("`not` is read as a word: write `NOT` to exclude".into(), replaced("NOT"));
            }
            ":" if is_between => {
                let name = tokens[at - 1].text;
                add(
                    format!(
                        "`{name} :` is read as the field `{name}`: write the text in quotation marks to look for it"
                    ),
                    String::new(),
                );
            }
            _ => of_token(token.text, tokens.get(at + 1).map(|next| next.text), &replaced, &mut add),
        }
    }
    hints
}

fn of_token(token: &str, next: Option<&str>, replaced: &dyn Fn(&str) -> String, add: &mut dyn FnMut(String, String)) {
    let name = token.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"_.-@".contains(byte)).count();
    let (name, rest) = token.split_at(name);
    if name.is_empty() || !name.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '@')) {
        return;
    }
    if let Some(value) = rest.strip_prefix('=').filter(|value| !value.starts_with('=')) {
        let message = format!("`{token}` is read as words: write `{name}:{value}` to ask for the field `{name}`");
        add(message, replaced(&format!("{name}:{value}")));
    } else if rest == ":" && !OWN.contains(&name) {
        let text = next.map_or(token.to_owned(), |next| format!("{token} {}", next.trim_matches('"')));
        add(
            format!("`{name}:` is read as the field `{name}`: write `\"{text}\"` to look for the text"),
            format!("\"{text}\""),
        );
    } else if rest.starts_with('(') && rest.ends_with(')') && !matches!(name, "AND" | "OR" | "NOT") {
        add(
            format!("`{token}` is read as `{name} AND {rest}`: write `\"{token}\"` to look for the text"),
            replaced(&format!("\"{token}\"")),
        );
    } else if rest.starts_with(':')
        && !rest.starts_with("://")
        && !rest.starts_with("::")
        && let Some(near) = nearest(name, &OWN)
    {
        add(format!("there is no field `{name}` of every line: `{near}` is one"), replaced(&format!("{near}{rest}")));
    }
}

/// Whether the name is a field that every line may have, by its name or another that means the same.
pub fn is_own(name: &str) -> bool {
    OWN.contains(&name) || matches!(name, "trace.id" | "span.id" | "*")
}

/// That no line has the field `name`, and which of those that there are may be meant.
pub fn unknown_field(name: &str, known: &[&str]) -> Hint {
    let near = match name {
        "level" | "lvl" | "loglevel" => Some("severity"),
        "msg" | "log" | "text" => Some("message"),
        "time" | "date" | "ts" => Some("timestamp"),
        "host" | "hostname" => Some("host.name"),
        _ => nearest(name, known).or_else(|| nearest(name, &OWN)),
    };
    let other = near.map_or_else(String::new, |near| format!("; `{near}` may be meant"));
    Hint { message: format!("no line has the field `{name}`{other}"), query: String::new() }
}

/// The name that is nearly this one, and not this one.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_lowercase();
    if known.contains(&name) || lower.len() < 4 {
        return None;
    }
    let tail = |known: &str| known.rsplit_once('.').is_some_and(|(_, tail)| tail == lower);
    let near = |edits| {
        let fuzzy = Fuzzy::new(&lower, edits);
        known.iter().copied().find(|known| fuzzy.is_match(&known.to_lowercase()))
    };
    near(0)
        .or_else(|| near(1))
        .or_else(|| near(2).filter(|_| lower.len() > 5))
        .or_else(|| known.iter().copied().find(|known| tail(known)))
}

struct Token<'a> {
    text: &'a str,
    start: usize,
}

/// Texts between spaces; a space in quotation marks is none.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut found, mut start, mut is_quoted, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && !is_quoted {
            if at > start {
                found.push(Token { text: &text[start..at], start });
            }
            start = at + c.len_utf8();
        }
        is_quoted ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
    }
    if start < text.len() {
        found.push(Token { text: &text[start..], start });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_query_that_may_mean_another_then_the_other_is_offered() {
        for (text, query) in [
            ("disk and full", "disk AND full"),
            ("a or b", "a OR b"),
            ("a not b", "a NOT b"),
            ("service=ocr", "service:ocr"),
            ("x service=ocr y", "x service:ocr y"),
            ("key=\"a b\"", "key:\"a b\""),
            ("error: timeout", "\"error: timeout\""),
            ("foo(bar)", "\"foo(bar)\""),
            ("service：ocr", "service:ocr"),
            ("“连接 超时”", "\"连接 超时\""),
            ("serivce:ocr", "service:ocr"),
            ("sevrity:>=warn", "severity:>=warn"),
        ] {
            let found = hints(text);
            assert!(found.iter().any(|hint| hint.query == query), "{text}: {found:?}");
        }
        assert_eq!(hints("service : ocr").len(), 1);
        for text in [
            "service:ocr AND severity:>=warn AND \"connection reset\"",
            "NOT (a OR b)",
            "http.status_code:(>=400 AND <500)",
            "https://x/y",
            "std::vector",
            "\"a and b\"",
            "and",
            "超时",
            "user.id:42",
            "a==b",
        ] {
            assert_eq!(hints(text), [], "{text}");
        }
    }

    #[test]
    fn given_a_field_that_no_line_has_then_the_one_that_is_meant_is_named() {
        for (name, known, near) in [
            ("level", &[][..], "`severity`"),
            ("pod", &["resource.k8s.pod.name"], "no line has the field `pod`"),
            ("user.ids", &["user.id", "user.name"], "`user.id`"),
            ("status_code", &["http.status_code"], "`http.status_code`"),
        ] {
            let hint = unknown_field(name, known);
            assert!(hint.message.contains(near), "{hint:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}|[a-c:= (\"：]{0,20}") {
            let _ = hints(&text);
        }
    }
}
