//! Series as Prometheus' unit tests write them: `name{label="value"} 1+2x3 _ stale 5`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Error, STALE, parse_selector};
use crate::series::read::{Labels, MatchOp};

/// Values that one series may have.
const MAX_VALUES: usize = 5_000_000;

/// Reads a series and, behind it, its values by interval; `None` where there is no sample.
pub(crate) fn series(line: &str) -> Result<(Labels, Vec<Option<f64>>), Error> {
    let end = face_end(line);
    Ok((labels(&line[..end])?, values(&line[end..])?))
}

/// Reads a series' labels.
pub(crate) fn labels(text: &str) -> Result<Labels, Error> {
    let text = text.trim();
    if text.is_empty() || text == "{}" {
        return Ok(Labels::default());
    }
    let mut labels = BTreeMap::new();
    for matcher in parse_selector(text)? {
        if matcher.op != MatchOp::Equal {
            return Err(Error::Type(format!("«{text}» is not a series: its labels have values, by =")));
        }
        labels.insert(matcher.name, matcher.value);
    }
    labels.retain(|_, value| !value.is_empty());
    Ok(Arc::new(labels))
}

/// Where the values begin: behind the braces, or behind the name where there are none.
fn face_end(line: &str) -> usize {
    let (mut quote, mut escaped, mut open) = (None, false, false);
    for (at, c) in line.char_indices() {
        match quote {
            Some(end) => {
                if c == end && !escaped {
                    quote = None;
                }
                escaped = c == '\\' && !escaped && end != '`';
            }
            None if open && matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c == '{' => open = true,
            None if c == '}' => return at + 1,
            None if c.is_whitespace() && !open && !line[at..].trim_start().starts_with('{') => return at,
            None => {}
        }
    }
    line.len()
}

/// Reads values by interval: `5`, `1+2x3` (1 3 5 7), `1x3` (1 1 1 1), `_` and `_x3` for gaps, `stale`.
pub(crate) fn values(text: &str) -> Result<Vec<Option<f64>>, Error> {
    let mut all = Vec::new();
    for token in text.split_whitespace() {
        item(token, &mut all)?;
    }
    Ok(all)
}

fn item(token: &str, all: &mut Vec<Option<f64>>) -> Result<(), Error> {
    if token.starts_with("{{") {
        return Err(Error::Unsupported { kind: "histogram literal", name: token.to_owned() });
    }
    let wrong = || {
        let text = "is neither a value (5), values (1+2x3), a gap (_ or _x3) nor stale";
        Error::Type(format!("«{token}» {text}"))
    };
    let mut repeat = |times: usize, mut value: Option<f64>, step: f64| {
        if times > MAX_VALUES - all.len().min(MAX_VALUES) {
            return Err(Error::Limit { what: "values of one series", limit: MAX_VALUES as u64 });
        }
        for _ in 0..times {
            all.push(value);
            value = value.map(|value| value + step);
        }
        Ok(())
    };
    if token == "stale" {
        return repeat(1, Some(STALE), 0.0);
    }
    if let Some(rest) = token.strip_prefix('_') {
        let times = if rest.is_empty() { 1 } else { times(rest).ok_or_else(wrong)? };
        return repeat(times, None, 0.0);
    }
    let (value, rest) = number(token).ok_or_else(wrong)?;
    if rest.is_empty() {
        return repeat(1, Some(value), 0.0);
    }
    let (step, rest) = if rest.starts_with('x') { (0.0, rest) } else { number(rest).ok_or_else(wrong)? };
    // The first value comes before the repetitions.
    let times = times(rest).and_then(|times| times.checked_add(1)).ok_or_else(wrong)?;
    repeat(times, Some(value), step)
}

fn times(text: &str) -> Option<usize> {
    text.strip_prefix('x')?.parse().ok()
}

/// The number that a text begins with, and what is behind it.
fn number(text: &str) -> Option<(f64, &str)> {
    let (sign, body) = match text.as_bytes().first()? {
        b'+' => (1.0, &text[1..]),
        b'-' => (-1.0, &text[1..]),
        _ => (1.0, text),
    };
    let word = body.get(..3).map(str::to_ascii_lowercase);
    match word.as_deref() {
        Some("inf") => return Some((sign * f64::INFINITY, &body[3..])),
        Some("nan") => return Some((f64::NAN, &body[3..])),
        _ => {}
    }
    let bytes = body.as_bytes();
    let mut end = bytes.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let signed = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let digits = bytes[signed.min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits > 0 {
            end = signed + digits;
        }
    }
    let value: f64 = body[..end].parse().ok()?;
    Some((sign * value, &body[end..]))
}

#[cfg(test)]
mod tests {
    use super::super::is_stale;
    use super::*;

    fn shown(text: &str) -> String {
        match values(text) {
            Err(error) => format!("error: {error}"),
            Ok(values) => {
                let show = |value: Option<f64>| match value {
                    None => "_".to_owned(),
                    Some(value) if is_stale(value) => "stale".to_owned(),
                    Some(value) => value.to_string(),
                };
                values.into_iter().map(show).collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn values_are_repeated_and_raised() {
        for (text, want) in [
            ("1 2.5 -3e-1", "1 2.5 -0.3"),
            ("1+2x3", "1 3 5 7"),
            ("10-2.5x2 _ stale _x2 4", "10 7.5 5 _ stale _ _ 4"),
            ("0x3 -1-1x1", "0 0 0 0 -1 -2"),
            ("Inf -inf NaN nan", "inf -inf NaN NaN"),
            ("1e2+1e1x1", "100 110"),
            ("-Infx1", "-inf -inf"),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
        for wrong in ["x", "1+x3", "1x", "1+2", "_x", "1y3", "{{schema:1}}", "1x99999999999", "é"] {
            assert!(shown(wrong).starts_with("error"), "{wrong}: {}", shown(wrong));
        }
    }

    #[test]
    fn a_series_ends_where_its_values_begin() {
        for (line, names, count) in [
            ("up 1 2", "__name__=up", 2),
            (r#"up{a="} 1", b='x'} 1"#, "__name__=up,a=} 1,b=x", 1),
            (r#"up {a="b"} 1x2"#, "__name__=up,a=b", 3),
            (r#"{"my.metric", a="b"} 1"#, "__name__=my.metric,a=b", 1),
            ("{} 5", "", 1),
            ("up", "__name__=up", 0),
        ] {
            let (labels, values) = series(line).unwrap();
            let labels: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
            assert_eq!((labels.join(",").as_str(), values.len()), (names, count), "{line}");
        }
        series(r#"up{a=~"b"} 1"#).unwrap_err();
    }
}
