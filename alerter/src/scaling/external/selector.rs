//! A label selector, as Kubernetes writes it, as conditions on series: each is added to every selector of the query. Pure.

use super::super::answer::{Unanswered, shown};
use crate::promql::Query;
use crate::series::read::{MatchOp, Matcher};

const RIGHT: &str = "write such as service=ocr,model!=small,region in (a,b),zone notin (c),gpu,!spot";

/// The conditions of a selector; none of an empty one.
pub(super) fn matchers(selector: &str, query: &Query) -> Result<Vec<Matcher>, Unanswered> {
    let matchers = parse(selector).map_err(|error| Unanswered::Wrong(format!("labelSelector: {error}")))?;
    if !matchers.is_empty() && query.selectors().next().is_none() {
        let text = shown(query.text());
        let error = format!("labelSelector: «{text}» selects no series, so there is nothing to select among");
        return Err(Unanswered::Wrong(error));
    }
    Ok(matchers)
}

fn parse(selector: &str) -> Result<Vec<Matcher>, String> {
    if selector.trim().is_empty() {
        return Ok(Vec::new());
    }
    requirements(selector).into_iter().map(|text| requirement(text.trim())).collect()
}

/// Parts between the commas that stand outside of brackets.
fn requirements(selector: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, byte) in selector.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&selector[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&selector[from..]);
    parts
}

fn requirement(text: &str) -> Result<Matcher, String> {
    let wrong = || format!("«{}» is no requirement; {RIGHT}", shown(text));
    let matcher = |name: &str, op, value: String| {
        let name = name.trim();
        if is_label(name) { Ok(Matcher { name: name.to_owned(), op, value }) } else { Err(no_label(name)) }
    };
    if let Some(name) = text.strip_prefix('!') {
        return matcher(name, MatchOp::Equal, String::new());
    }
    if let Some((head, set)) = text.split_once('(') {
        let set = set.strip_suffix(')').ok_or_else(wrong)?;
        let (name, word) = head.trim().rsplit_once(char::is_whitespace).ok_or_else(wrong)?;
        let op = match word {
            "in" => MatchOp::Match,
            "notin" => MatchOp::NoMatch,
            _ => return Err(wrong()),
        };
        let values = set.split(',').map(|value| checked(value.trim()).map(regex::escape));
        return matcher(name, op, values.collect::<Result<Vec<_>, _>>()?.join("|"));
    }
    for (sign, op) in [("!=", MatchOp::NotEqual), ("==", MatchOp::Equal), ("=", MatchOp::Equal)] {
        if let Some((name, value)) = text.split_once(sign) {
            return matcher(name, op, checked(value.trim())?.to_owned());
        }
    }
    matcher(text, MatchOp::Match, ".+".to_owned())
}

fn checked(value: &str) -> Result<&str, String> {
    let is_value = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if value.chars().all(is_value) {
        return Ok(value);
    }
    Err(format!("«{}» is no value of a label: it has letters, digits, `-`, `_` and `.`", shown(value)))
}

fn is_label(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

fn no_label(name: &str) -> String {
    format!("«{}» is no label of a series: it has letters, digits and `_`, such as service; {RIGHT}", shown(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_requirement_is_one_condition() {
        let of = |name: &str, op, value: &str| Matcher { name: name.to_owned(), op, value: value.to_owned() };
        for (selector, right) in [
            ("", vec![]),
            ("service=ocr", vec![of("service", MatchOp::Equal, "ocr")]),
            (
                "service==ocr, model != small",
                vec![of("service", MatchOp::Equal, "ocr"), of("model", MatchOp::NotEqual, "small")],
            ),
            (
                "region in (a, b.c),zone notin (d)",
                vec![of("region", MatchOp::Match, "a|b\\.c"), of("zone", MatchOp::NoMatch, "d")],
            ),
            ("gpu,!spot", vec![of("gpu", MatchOp::Match, ".+"), of("spot", MatchOp::Equal, "")]),
        ] {
            assert_eq!(parse(selector).unwrap(), right, "{selector}");
        }
        for (selector, told) in [
            ("app.kubernetes.io/name=ocr", "«app.kubernetes.io/name» is no label of a series"),
            ("a in b", "«a in b» is no label"),
            ("a in (b", "«a in (b» is no requirement"),
            ("a of (b)", "«a of (b)» is no requirement"),
            ("a=b/c", "«b/c» is no value"),
            ("a=b,", "«» is no label"),
        ] {
            let error = parse(selector).unwrap_err();
            assert!(error.starts_with(told), "{selector}: {error}");
        }
    }

    #[test]
    fn a_query_that_selects_nothing_takes_no_selector() {
        let query = |text| Query::parse(text).unwrap();
        assert!(matchers("", &query("vector(1)")).unwrap().is_empty());
        let error = matchers("a=b", &query("vector(1)")).unwrap_err().to_string();
        assert!(error.contains("selects no series"), "{error}");
        assert_eq!(matchers("a=b", &query("sum(up)")).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn no_selector_makes_it_panic_and_patterns_are_sound(selector in "\\PC{0,60}") {
            for matcher in parse(&selector).unwrap_or_default() {
                if matches!(matcher.op, MatchOp::Match | MatchOp::NoMatch) {
                    prop_assert!(regex::Regex::new(&matcher.value).is_ok(), "{matcher:?}");
                }
            }
        }
    }
}
