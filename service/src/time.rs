//! Times as users write them: RFC 3339, unix seconds, or relative (`now-15m`).

/// Reads a time; `now_unix_nano` is what `now` means. The error says what would be right.
pub fn parse(_text: &str, _now_unix_nano: i64) -> Result<i64, String> {
    unimplemented!()
}

/// RFC 3339 in UTC with nanoseconds as they are needed: `2026-01-02T03:04:05.678Z`.
pub fn format(_unix_nano: i64) -> String {
    unimplemented!()
}

/// Nanoseconds since the epoch, now.
pub fn now_unix_nano() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64)
}
