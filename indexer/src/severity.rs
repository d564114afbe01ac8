//! OTLP severities by number and by name.

use crate::line::Line;

/// The greatest number.
pub(crate) const MOST: u8 = 24;

const NAMES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

/// First and last number of a name (`warn`, `WARNING`, `err`, `info2`) or number; `None` where it is no severity.
pub(crate) fn range(text: &str) -> Option<(u8, u8)> {
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
pub(crate) fn number(line: &Line) -> u8 {
    if line.severity > 0 { line.severity } else { range(&line.severity_text).map_or(0, |(first, _)| first) }
}

/// The severity as shown: the sender's text, else the name of the number, else empty.
pub(crate) fn shown(line: &Line) -> &str {
    match line.severity {
        _ if !line.severity_text.is_empty() => &line.severity_text,
        1..=24 => NAMES[usize::from((line.severity - 1) / 4)],
        _ => "",
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
