//! One JSON object a line, as applications write structured logs.

use serde_json::Value;

use super::{repair, unix_nano};

/// When a line was written, nanoseconds since the epoch, 0 where it does not say: `time`, `timestamp`, `ts` or `@timestamp`
/// (RFC 3339, or a number of seconds, milli-, micro- or nanoseconds). `None` if the line is no JSON object; it is its own
/// body.
pub fn parse(line: &[u8]) -> Option<u64> {
    let Value::Object(object) = repair::read(line)? else { return None };
    let time = match ["time", "timestamp", "ts", "@timestamp"].into_iter().find_map(|name| object.get(name)) {
        Some(Value::String(text)) => unix_nano(text.as_bytes()),
        Some(Value::Number(number)) => match number.as_u64() {
            Some(whole) => nanos_of_whole(whole),
            None => number.as_f64().and_then(nanos_of_number),
        },
        _ => None,
    };
    Some(time.unwrap_or(0))
}

/// Seconds have ten digits until the year 2286; each finer unit has three more.
fn nanos_of_whole(number: u64) -> Option<u64> {
    number.checked_mul(match number {
        n if n < 100_000_000_000 => 1_000_000_000,
        n if n < 100_000_000_000_000 => 1_000_000,
        n if n < 100_000_000_000_000_000 => 1_000,
        _ => 1,
    })
}

fn nanos_of_number(number: f64) -> Option<u64> {
    let scale = match number {
        n if n < 0.0 || !n.is_finite() => return None,
        n if n < 1e11 => 1e9,
        n if n < 1e14 => 1e6,
        n if n < 1e17 => 1e3,
        _ => 1.0,
    };
    let nanos = number * scale;
    (nanos < 1.8e19).then_some(nanos as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_found_where_applications_write_it() {
        for (line, time) in [
            (r#"{"time":"1970-01-01T00:00:01Z","level":"warn","msg":"x"}"#, 1_000_000_000),
            (r#"{"ts":1500000000.5,"severity":"ERROR"}"#, 1_500_000_000_500_000_000),
            (r#"{"ts":1500000000123456789}"#, 1_500_000_000_123_456_789),
            (r#"{"timestamp":1500000000500,"level":30}"#, 1_500_000_000_500_000_000),
            (r#"{"msg":"cut \ud83d","ts":1}"#, 1_000_000_000),
            (r#"{"msg":"中文"}"#, 0),
        ] {
            assert_eq!(parse(line.as_bytes()), Some(time), "{line}");
        }
        for line in ["", "[1]", "{", "text"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }
}
