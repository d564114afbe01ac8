//! OTLP severities by number and by name.

use crate::ast::{Bound, Test};
use crate::error::CompileError;
use crate::line::Line;

/// The greatest number.
pub const MOST: u8 = 24;

const NAMES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

/// First and last number of a name (`warn`, `WARNING`, `err`, `info2`) or number; `None` where it is no severity.
pub fn range(text: &str) -> Option<(u8, u8)> {
    if let Ok(number) = text.parse::<u8>() {
        return (number <= MOST).then_some((number, number));
    }
    let upper = text.to_ascii_uppercase();
    let name = match upper.as_str() {
        "WARNING" => "WARN",
        "ERR" => "ERROR",
        "INFORMATION" | "NOTICE" => "INFO",
        "CRITICAL" | "EMERGENCY" | "ALERT" | "PANIC" => "FATAL",
        other => other,
    };
    for (first, level) in (1..).step_by(4).zip(NAMES) {
        match name.strip_prefix(level) {
            Some("") => return Some((first, first + 3)),
            Some(step) => {
                return step.parse().ok().filter(|s| (2..=4).contains(s)).map(|s: u8| (first + s - 1, first + s - 1));
            }
            None => {}
        }
    }
    None
}

/// The number of a line: as it came, else what its text says, else 0.
pub fn number(line: &Line) -> u8 {
    if line.severity > 0 { line.severity } else { range(&line.severity_text).map_or(0, |(first, _)| first) }
}

/// The severity as shown: the name of its number, which a query may ask for; empty where it has none. What the sender
/// wrote is in [`Line::severity_text`].
pub fn shown(line: &Line) -> &'static str {
    match number(line) {
        number @ 1..=24 => NAMES[usize::from((number - 1) / 4)],
        _ => "",
    }
}

/// Least and greatest number of the severities that a test takes; all that can be listed, where it is a pattern or asks
/// whether there is one.
pub fn levels(test: &Test) -> Result<(u8, u8), CompileError> {
    match test {
        Test::Is(text) => level(text),
        Test::Range(low, high) => Ok((
            // A line without a severity is in no range that does not name 0.
            edge(low, |(first, _)| first, |(_, last)| last.saturating_add(1), 1)?,
            edge(high, |(_, last)| last, |(first, _)| first.saturating_sub(1), MOST)?,
        )),
        Test::Exists => Ok((1, MOST)),
        _ => Ok((0, MOST)),
    }
}

fn level(text: &str) -> Result<(u8, u8), CompileError> {
    let wrong = || {
        CompileError(format!(
            "`{text}` is no severity: use trace, debug, info, warn, error, fatal or 0 to 24, or ask for the sender's own text by `severity_text:`"
        ))
    };
    range(text).ok_or_else(wrong)
}

fn edge(bound: &Bound, with: fn((u8, u8)) -> u8, without: fn((u8, u8)) -> u8, open: u8) -> Result<u8, CompileError> {
    match bound {
        Bound::Open => Ok(open),
        Bound::Including(text) => level(text).map(with),
        Bound::Excluding(text) => level(text).map(without),
    }
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn names_and_numbers_are_read() {
        assert_eq!(range("warning"), Some((13, 16)));
        assert_eq!(range("INFO2"), Some((10, 10)));
        assert_eq!(range("17"), Some((17, 17)));
        assert_eq!([range("25"), range("loud"), range("INFO9")], [None, None, None]);
    }
}
