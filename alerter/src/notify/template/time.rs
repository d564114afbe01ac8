//! Go's `time.Time` and `time.Duration` in templates. Both go through the engine as the text that Go prints of them, so
//! that they print right wherever they appear; their methods read that text.

use std::fmt;

use gotmpl::Value;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// A moment, with the zone in which it is shown.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Time {
    at: Timestamp,
    /// From UTC.
    offset: Offset,
    /// Abbreviated, such as `UTC` or `CST`.
    zone: String,
}

impl Time {
    /// In UTC.
    pub(super) fn utc(unix_ms: i64) -> Self {
        let at = Timestamp::from_millisecond(unix_ms).unwrap_or_default();
        Self { at, offset: Offset::UTC, zone: "UTC".to_owned() }
    }

    /// Go's zero time, in place of one that is not there.
    pub(super) fn zero() -> Self {
        Self::utc(-62_135_596_800_000)
    }

    /// Reads what [`fmt::Display`] writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let (date, time, offset, zone) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let sign = if offset.starts_with('-') { -1 } else { 1 };
        let digits = offset.strip_prefix(['+', '-']).filter(|digits| digits.len() == 4)?;
        let (hours, minutes) = (digits.get(..2)?.parse::<i32>().ok()?, digits.get(2..)?.parse::<i32>().ok()?);
        let offset = Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?;
        let local: DateTime = format!("{date}T{time}").parse().ok()?;
        Some(Self { at: offset.to_timestamp(local).ok()?, offset, zone: zone.to_owned() })
    }

    /// The same moment in the zone of a name, such as `Asia/Shanghai`.
    pub(super) fn within(&self, zone: &str) -> Result<Self, String> {
        let zone = match zone {
            "" | "UTC" => TimeZone::UTC,
            "Local" => TimeZone::system(),
            name => TimeZone::get(name).map_err(|error| error.to_string())?,
        };
        let info = zone.to_offset_info(self.at);
        Ok(Self { at: self.at, offset: info.offset(), zone: info.abbreviation().to_owned() })
    }

    /// In nanoseconds.
    pub(super) fn since(&self, earlier: &Self) -> i128 {
        self.at.as_nanosecond() - earlier.at.as_nanosecond()
    }

    pub(super) fn rfc3339(&self) -> String {
        self.at.to_string()
    }

    fn local(&self) -> DateTime {
        self.offset.to_datetime(self.at)
    }

    fn plus(&self, nanos: i128) -> Result<Self, String> {
        let at = Timestamp::from_nanosecond(self.at.as_nanosecond().saturating_add(nanos));
        Ok(Self { at: at.map_err(|error| error.to_string())?, ..self.clone() })
    }

    /// Go's methods; `None` where it has none of this name.
    pub(super) fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        let local = self.local();
        let int = |number: i64| Ok(Value::Int(number));
        let itself = |time: Self| Value::from(time.to_string());
        Some(match (name, arguments) {
            ("Format", [Value::String(layout)]) => Ok(Value::from(self.format(layout))),
            ("String", []) => Ok(itself(self.clone())),
            ("Add", [by]) => match nanos(by) {
                Some(by) => self.plus(by).map(itself),
                None => Err("Add needs a duration, such as 28800e9".to_owned()),
            },
            ("AddDate", [Value::Int(years), Value::Int(months), Value::Int(days)]) => {
                self.add_date(*years, *months, *days).map(itself)
            }
            ("Sub" | "Before" | "After" | "Equal", [Value::String(other)]) => match Self::parse(other) {
                None => Err(format!("{name} needs a time")),
                Some(other) => Ok(match name {
                    "Sub" => Value::from(duration(self.since(&other))),
                    "Before" => Value::Bool(self.at < other.at),
                    "After" => Value::Bool(self.at > other.at),
                    _ => Value::Bool(self.at == other.at),
                }),
            },
            ("IsZero", []) => Ok(Value::Bool(self.at == Self::zero().at)),
            ("UTC", []) => self.within("UTC").map(itself),
            ("Local", []) => self.within("Local").map(itself),
            ("Unix", []) => int(self.at.as_second()),
            ("UnixMilli", []) => int(self.at.as_millisecond()),
            ("UnixNano", []) => int(i64::try_from(self.at.as_nanosecond()).unwrap_or_default()),
            ("Year", []) => int(local.year().into()),
            ("Month", []) => Ok(Value::from(local.strftime("%B").to_string())),
            ("Day", []) => int(local.day().into()),
            ("YearDay", []) => int(local.date().day_of_year().into()),
            ("Weekday", []) => Ok(Value::from(local.strftime("%A").to_string())),
            ("Hour", []) => int(local.hour().into()),
            ("Minute", []) => int(local.minute().into()),
            ("Second", []) => int(local.second().into()),
            ("Format" | "AddDate" | "Sub" | "Before" | "After" | "Equal" | "Add", _) => {
                Err(format!("wrong arguments for {name}"))
            }
            _ => return None,
        })
    }

    /// Days that a month does not have go on into the next, as in Go.
    fn add_date(&self, years: i64, months: i64, days: i64) -> Result<Self, String> {
        let wrong = |error: jiff::Error| error.to_string();
        let (local, most) = (self.local(), 100_000);
        if [years, months, days].iter().any(|number| number.abs() > most) {
            return Err(format!("AddDate adds at most {most}"));
        }
        let by = |span: Result<jiff::Span, jiff::Error>| span.map_err(wrong);
        let first = local
            .first_of_month()
            .checked_add(by(jiff::Span::new().try_months(years * 12 + months))?)
            .map_err(wrong)?;
        let date =
            first.checked_add(by(jiff::Span::new().try_days(i64::from(local.day()) - 1 + days))?).map_err(wrong)?;
        Ok(Self { at: self.offset.to_timestamp(date).map_err(wrong)?, ..self.clone() })
    }

    /// By one of Go's layouts, such as `2006-01-02 15:04:05`.
    pub(super) fn format(&self, layout: &str) -> String {
        let (mut made, mut rest) = (String::new(), layout);
        while let Some(first) = rest.chars().next() {
            if let Some((text, length)) = self.element(rest) {
                made.push_str(&text);
                rest = &rest[length..];
            } else {
                made.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        made
    }

    /// The element that a layout begins with: what it stands for, and its length. After `nextStdChunk` of Go.
    fn element(&self, layout: &str) -> Option<(String, usize)> {
        const PLAIN: [(&str, &str); 22] = [
            ("January", "%B"),
            ("Monday", "%A"),
            ("002", "%j"),
            ("01", "%m"),
            ("02", "%d"),
            ("03", "%I"),
            ("04", "%M"),
            ("05", "%S"),
            ("06", "%y"),
            ("15", "%H"),
            ("1", "%-m"),
            ("2006", "%Y"),
            ("2", "%-d"),
            ("__2", "%_3j"),
            ("_2", "%e"),
            ("3", "%-I"),
            ("4", "%-M"),
            ("5", "%-S"),
            ("PM", "%p"),
            ("pm", "%P"),
            ("Jan", "%b"),
            ("Mon", "%a"),
        ];
        let local = self.local();
        if layout.starts_with("_2006") {
            return Some(("_".to_owned(), 1));
        }
        if let Some((element, format)) = PLAIN.iter().find(|(element, _)| layout.starts_with(element)) {
            let is_short = matches!(*element, "Jan" | "Mon");
            if is_short && layout[3..].starts_with(|c: char| c.is_ascii_lowercase()) {
                return None;
            }
            return Some((local.strftime(format).to_string(), element.len()));
        }
        if layout.starts_with("MST") {
            return Some((self.zone.clone(), 3));
        }
        self.element_of_zone(layout).or_else(|| fraction(layout, local.subsec_nanosecond()))
    }

    fn element_of_zone(&self, layout: &str) -> Option<(String, usize)> {
        let signed = layout.strip_prefix(['-', 'Z'])?;
        let (digits, colons, parts) =
            [("07:00:00", true, 3), ("070000", false, 3), ("07:00", true, 2), ("0700", false, 2), ("07", false, 1)]
                .into_iter()
                .find(|(digits, ..)| signed.starts_with(digits))?;
        let length = digits.len() + 1;
        let seconds = self.offset.seconds();
        if layout.starts_with('Z') && seconds == 0 {
            return Some(("Z".to_owned(), length));
        }
        let sign = if seconds < 0 { '-' } else { '+' };
        let all = [seconds.abs() / 3600, seconds.abs() / 60 % 60, seconds.abs() % 60];
        let shown: Vec<String> = all.iter().take(parts).map(|part| format!("{part:02}")).collect();
        Some((format!("{sign}{}", shown.join(if colons { ":" } else { "" })), length))
    }
}

/// `.000` shows so many digits, `.999` without zeros at their end.
fn fraction(layout: &str, nanos: i32) -> Option<(String, usize)> {
    let separator = layout.chars().next().filter(|c| matches!(c, '.' | ','))?;
    let digit = layout[1..].chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let count = layout[1..].chars().take_while(|c| *c == digit).count();
    if layout[1 + count..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = format!("{nanos:09}");
    let shown = &digits[..count.min(9)];
    let shown = if digit == '9' { shown.trim_end_matches('0') } else { shown };
    let text = if shown.is_empty() { String::new() } else { format!("{separator}{shown}") };
    Some((text, 1 + count))
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
];

/// As Go writes a `time.Duration`, such as `1h2m0.5s`.
pub(super) fn duration(nanos: i128) -> String {
    let (sign, nanos) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let decimal = |unit: u128| {
        let text = format!("{}.{:0width$}", nanos / unit, nanos % unit, width = unit.ilog10() as usize);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{nanos}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", decimal(1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(1_000_000)),
        _ => {
            let (hours, minutes) = (nanos / 3_600_000_000_000, nanos / 60_000_000_000 % 60);
            let seconds = format!("{}.{:09}", nanos / 1_000_000_000 % 60, nanos % 1_000_000_000);
            let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
            match (hours, minutes) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// Reads what [`duration`] writes.
fn parse_duration(text: &str) -> Option<i128> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    if rest.is_empty() || rest.len() > 64 {
        return None;
    }
    let mut nanos = 0_i128;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let (unit, by) = UNITS.iter().find(|(unit, _)| rest[end..].starts_with(unit))?;
        nanos += (number * *by as f64).round() as i128;
        rest = &rest[end + unit.len()..];
    }
    Some(sign * nanos)
}

/// Of a number of nanoseconds or the text of a duration.
pub(super) fn nanos(value: &Value) -> Option<i128> {
    match value {
        Value::Int(number) => Some((*number).into()),
        Value::Uint(number) => Some((*number).into()),
        Value::Float(number) if number.fract() == 0.0 => Some(*number as i128),
        Value::String(text) => parse_duration(text),
        _ => None,
    }
}

/// Go's methods of a duration that is this text; `None` where it is none, or has none of this name.
pub(super) fn call_duration(text: &str, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
    let length = parse_duration(text)?;
    let in_units = |unit: f64| Ok(Value::Float(length as f64 / unit));
    let whole = |unit: i128| Ok(Value::Int(i64::try_from(length / unit).unwrap_or_default()));
    Some(match (name, arguments) {
        ("Hours", []) => in_units(3.6e12),
        ("Minutes", []) => in_units(6e10),
        ("Seconds", []) => in_units(1e9),
        ("Milliseconds", []) => whole(1_000_000),
        ("Microseconds", []) => whole(1_000),
        ("Nanoseconds", []) => whole(1),
        ("String", []) => Ok(Value::from(text)),
        ("Round" | "Truncate", [unit]) => match nanos(unit) {
            None => Err(format!("{name} needs a duration")),
            Some(unit) if unit <= 0 => Ok(Value::from(text)),
            Some(unit) if name == "Truncate" => Ok(Value::from(duration(length - length % unit))),
            Some(unit) => {
                let half = unit / 2 * length.signum();
                Ok(Value::from(duration((length + half) / unit * unit)))
            }
        },
        _ => return None,
    })
}
