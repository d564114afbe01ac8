//! Numbers as people read them: Prometheus' template functions, to the letter.

/// Go's `%.4g`.
fn g4(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = format!("{value:.3e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
    };
    if (-4..4).contains(&exponent) {
        trim(&format!("{value:.*}", (3 - exponent) as usize))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
    }
}

/// Go's `%g` of a float without a precision: as few digits as tell it apart, with an exponent below 1e-4 and from 1e6.
pub(crate) fn go(value: f64) -> String {
    if !value.is_finite() {
        return g4(value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn small(mut value: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    (value, prefix)
}

fn large(mut value: f64, by: f64, prefixes: [&'static str; 8]) -> (f64, &'static str) {
    let mut prefix = "";
    for next in prefixes {
        if value.abs() < by {
            break;
        }
        prefix = next;
        value /= by;
    }
    (value, prefix)
}

pub(super) fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return g4(value);
    }
    let (value, prefix) =
        if value.abs() >= 1.0 { large(value, 1000.0, ["k", "M", "G", "T", "P", "E", "Z", "Y"]) } else { small(value) };
    format!("{}{prefix}", g4(value))
}

pub(super) fn humanize1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return g4(value);
    }
    let (value, prefix) = large(value, 1024.0, ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"]);
    format!("{}{prefix}", g4(value))
}

pub(crate) fn duration(value: f64) -> String {
    if !value.is_finite() {
        return g4(value);
    }
    if value == 0.0 {
        return "0s".to_owned();
    }
    if value.abs() < 1.0 {
        let (value, prefix) = small(value);
        return format!("{}{prefix}s", g4(value));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let value = value.abs();
    let whole = value as u64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    if days > 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours > 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", g4(value))
    }
}

pub(super) fn percentage(value: f64) -> String {
    format!("{}%", g4(value * 100.0))
}

/// Unix seconds as Go prints a time in UTC.
pub(super) fn timestamp(value: f64) -> String {
    let nanos = value * 1e9;
    let time = (nanos.is_finite() && nanos.abs() < 9e18)
        .then(|| jiff::Timestamp::from_nanosecond(nanos as i128).ok())
        .flatten();
    time.map_or_else(|| g4(value), |time| time.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_prometheus_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (1_234_567.0, "1.235M"),
            (0.12, "120m"),
            (-1000.0, "-1k"),
            (999.9, "999.9"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (1e30, "1e+06Y"),
            (0.000_001_5, "1.5u"),
        ] {
            assert_eq!(humanize(value), expected, "{value}");
        }
        assert_eq!(humanize1024(1_048_576.0), "1Mi");
        assert_eq!(humanize1024(1500.0), "1.465ki");
        assert_eq!(humanize1024(0.5), "0.5");
        assert_eq!(percentage(0.123_456), "12.35%");
        for (value, expected) in [
            (0.0, "0s"),
            (0.001, "1ms"),
            (59.9, "59.9s"),
            (61.0, "1m 1s"),
            (3661.0, "1h 1m 1s"),
            (-90_061.0, "-1d 1h 1m 1s"),
        ] {
            assert_eq!(duration(value), expected, "{value}");
        }
        assert_eq!(timestamp(1_435_065_584.128), "2015-06-23 13:19:44.128 +0000 UTC");
        assert_eq!(timestamp(0.0), "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(timestamp(1e300), "1e+300");
    }
}
