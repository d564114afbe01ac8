//! Series as Prometheus' unit tests write them: `name{label="value"} 1+2x3 _ stale 5`.

use std::collections::BTreeMap;

use super::{Error, STALE, parse_selector};
use crate::series::read::{Labels, MatchOp};

/// Values that one series may have.
const MAX_VALUES: usize = 5_000_000;

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
    Ok(labels.into())
}

/// Reads values by interval: `5`, `1+2x3` (1 3 5 7), `1x3` (1 1 1 1), `_` and `_x3` for gaps, `stale`. Each comes with
/// the number of intervals before it.
pub(crate) fn values(text: &str) -> Result<Vec<(i64, f64)>, Error> {
    let mut all = Values::default();
    for token in text.split_whitespace() {
        all.read(token)?;
    }
    Ok(all.values)
}

#[derive(Default)]
struct Values {
    values: Vec<(i64, f64)>,
    /// Intervals so far.
    length: i64,
}

impl Values {
    fn read(&mut self, token: &str) -> Result<(), Error> {
        if token.starts_with("{{") {
            return Err(Error::Unsupported { kind: "histogram literal", name: token.to_owned() });
        }
        let wrong = || {
            let text = "is neither a value (5), values (1+2x3), a gap (_ or _x3) nor stale";
            Error::Type(format!("«{token}» {text}"))
        };
        if token == "stale" {
            return self.push(1, STALE, 0.0);
        }
        if let Some(rest) = token.strip_prefix('_') {
            let gap = if rest.is_empty() { 1 } else { times(rest).ok_or_else(wrong)? };
            self.length = self.length.saturating_add(i64::from(gap));
            return Ok(());
        }
        let (value, rest) = number(token).ok_or_else(wrong)?;
        if rest.is_empty() {
            return self.push(1, value, 0.0);
        }
        let (step, rest) = if rest.starts_with('x') { (0.0, rest) } else { number(rest).ok_or_else(wrong)? };
        // The first value comes before the repetitions.
        let times = times(rest).and_then(|times| times.checked_add(1)).ok_or_else(wrong)?;
        self.push(times, value, step)
    }

    fn push(&mut self, times: u32, mut value: f64, step: f64) -> Result<(), Error> {
        if times as usize > MAX_VALUES.saturating_sub(self.values.len()) {
            return Err(Error::Limit { what: "values of one series", limit: MAX_VALUES as u64 });
        }
        for _ in 0..times {
            self.values.push((self.length, value));
            self.length = self.length.saturating_add(1);
            value += step;
        }
        Ok(())
    }
}

fn times(text: &str) -> Option<u32> {
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
    use proptest::prelude::*;

    use super::super::is_stale;
    use super::*;

    fn shown(text: &str) -> String {
        match values(text) {
            Err(error) => format!("error: {error}"),
            Ok(values) => {
                let show = |(at, value): (i64, f64)| {
                    if is_stale(value) { format!("{at}: stale") } else { format!("{at}: {value}") }
                };
                values.into_iter().map(show).collect::<Vec<_>>().join(", ")
            }
        }
    }

    #[test]
    fn values_are_repeated_and_raised() {
        for (text, want) in [
            ("1 2.5 -3e-1", "0: 1, 1: 2.5, 2: -0.3"),
            ("1+2x3", "0: 1, 1: 3, 2: 5, 3: 7"),
            ("10-2.5x2 _ stale _x2 4", "0: 10, 1: 7.5, 2: 5, 4: stale, 7: 4"),
            ("0x3 -1-1x1", "0: 0, 1: 0, 2: 0, 3: 0, 4: -1, 5: -2"),
            ("Inf -inf NaN nan", "0: inf, 1: -inf, 2: NaN, 3: NaN"),
            ("1e2+1e1x1", "0: 100, 1: 110"),
            ("_x1000000000 1", "1000000000: 1"),
            ("-Infx1", "0: -inf, 1: -inf"),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
        for wrong in ["x", "1+x3", "1x", "1+2", "_x", "1y3", "{{schema:1}}", "1x99999999999", "é"] {
            assert!(shown(wrong).starts_with("error"), "{wrong}: {}", shown(wrong));
        }
    }

    #[test]
    fn labels_are_read_as_a_selector_writes_them() {
        let shown =
            |text: &str| labels(text).unwrap().iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(",");
        assert_eq!(shown(r#"up{a="} 1", b='x', c=""}"#), "__name__=up,a=} 1,b=x");
        assert_eq!((shown(""), shown("{}")), (String::new(), String::new()));
        labels(r#"up{a=~"b"}"#).unwrap_err();
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-+_x0-9a-finst.{}=\"'` é]{0,30}") {
            let _ = values(&text);
            let _ = labels(&text);
        }
    }
}
