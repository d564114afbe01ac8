//! Whether an answer is what a scenario expects: every part that is named must be there, and `$expect` is an expression
//! of Python over it, of which those forms are read that the scenarios have.

use serde_json::Value;

/// The error says what is wrong, and where.
pub(super) fn check(found: &Value, expected: &Value, place: &str) -> Result<(), String> {
    match expected {
        Value::Object(fields) => {
            for (name, expected) in fields {
                if name == "$expect" {
                    let expression = expected.as_str().unwrap_or_default();
                    if !holds(expression, found)? {
                        return Err(format!("{place}: not {expression}: {found}"));
                    }
                    continue;
                }
                let inner = found.get(name).ok_or_else(|| format!("{place}.{name} is missing"))?;
                check(inner, expected, &format!("{place}.{name}"))?;
            }
            Ok(())
        }
        Value::Array(values) => {
            let found = found.as_array().ok_or_else(|| format!("{place} is no list"))?;
            if found.len() != values.len() {
                return Err(format!("{place} has {} elements, not {}", found.len(), values.len()));
            }
            let mut each = found.iter().zip(values).enumerate();
            each.try_for_each(|(at, (found, expected))| check(found, expected, &format!("{place}[{at}]")))
        }
        expected => {
            let is_same = match (found.as_f64(), expected.as_f64()) {
                (Some(found), Some(expected)) => (found - expected).abs() <= expected.abs() * 1e-12,
                _ => found == expected,
            };
            if is_same { Ok(()) } else { Err(format!("{place} is {found}, not {expected}")) }
        }
    }
}

fn holds(expression: &str, val: &Value) -> Result<bool, String> {
    let unread = || format!("the expression is not read: {expression}");
    let text = expression.trim();
    if let Some(rest) = text.strip_prefix("val.startswith(") {
        let start = rest.trim_end_matches(')').trim_matches(['\'', '"']);
        return Ok(val.as_str().is_some_and(|val| val.starts_with(start)));
    }
    if let Some(rest) = text.strip_prefix("val in ") {
        let listed: Vec<_> =
            rest.trim_matches(['[', ']']).split(',').map(|one| one.trim().trim_matches('\'')).collect();
        let number = val.as_f64();
        return Ok(listed
            .iter()
            .any(|one| val.as_str() == Some(*one) || (number.is_some() && one.parse::<f64>().ok() == number)));
    }
    if let Some((name, _)) = text.split_once(" in val") {
        let (is_not, name) = name.strip_prefix("not ").map_or((false, name), |name| (true, name));
        let name = name.trim_matches(['\'', '"']);
        let is_in = val.get(name).is_some() || val.as_str().is_some_and(|val| val.contains(name));
        return Ok(is_in != is_not);
    }
    let length =
        val.as_array().map(Vec::len).or(val.as_object().map(serde_json::Map::len)).or(val.as_str().map(str::len));
    for (sign, right) in [
        ("<=", (|a, b| a <= b) as fn(f64, f64) -> bool),
        (">=", |a, b| a >= b),
        ("==", |a, b| a.total_cmp(&b).is_eq()),
        ("!=", |a, b| a.total_cmp(&b).is_ne()),
        ("<", |a, b| a < b),
        (">", |a, b| a > b),
    ] {
        let Some((left, bound)) = text.split_once(sign) else { continue };
        let (left, bound) = (left.trim(), bound.trim());
        if left == "val" && bound.starts_with(['\'', '"']) {
            let is_same = val.as_str() == Some(bound.trim_matches(['\'', '"']));
            return Ok(is_same == (sign == "=="));
        }
        let bound: f64 = bound.parse().map_err(|_| unread())?;
        let number = if left == "val" {
            val.as_f64()
        } else if left == "len(val)" {
            length.map(|length| length as f64)
        } else if let Some(inner) = left.strip_prefix("abs(val - ") {
            let from: f64 = inner.trim_end_matches(')').parse().map_err(|_| unread())?;
            val.as_f64().map(|val| (val - from).abs())
        } else {
            return Err(unread());
        };
        return Ok(number.is_some_and(|number| right(number, bound)));
    }
    Err(unread())
}
