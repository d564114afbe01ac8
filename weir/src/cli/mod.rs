//! Commands that ask a running weir over HTTP.

pub(crate) mod alerts;
pub(crate) mod capture;
pub(crate) mod search;
pub(crate) mod tail;
mod target;
pub(crate) mod trace;
pub(crate) mod usage;

use std::io::Write as _;

use serde_json::Value;

pub(crate) use target::Target;

/// Prints a line; `false` once nobody reads any more (`weir tail … | head`).
pub(crate) fn say(line: &str) -> anyhow::Result<bool> {
    match writeln!(std::io::stdout(), "{line}") {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What came from others must not steer the terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// One log record as a line for people.
fn hit_line(hit: &Value) -> String {
    let severity = text(hit, "severity");
    let (tenant, service) = (text(hit, "tenant"), text(hit, "service"));
    plain(&format!("{} {severity:<5} {tenant}/{service} {}", text(hit, "timestamp"), text(hit, "body")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_cannot_steer_the_terminal() {
        let hit = serde_json::json!({"timestamp": "t", "severity": "INFO", "tenant": "a", "service": "b", "body": "x\u{1b}[2Jy"});
        assert_eq!(hit_line(&hit), "t INFO  a/b x\u{fffd}[2Jy");
    }
}
