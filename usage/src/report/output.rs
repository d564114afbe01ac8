//! Reports as JSON and as CSV.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Key, Report, Request, Row, pieces};
use crate::prices::{self, Prices};

/// Columns, in order, of both forms.
const COLUMNS: [&str; 17] = [
    "start",
    "end",
    "tenant",
    "service",
    "interface",
    "calls",
    "errors",
    "request_bytes",
    "response_bytes",
    "input_tokens",
    "output_tokens",
    "gpu_seconds",
    "energy_joules",
    "p50_ms",
    "p99_ms",
    "amount",
    "currency",
];

/// RFC 3339, in UTC.
pub fn time(second: i64) -> String {
    weir_service::time::format(second.saturating_mul(1_000_000_000))
}

/// The answer of `GET /api/v1/usage`. What a report was not cut by is null.
pub fn json(report: &Report, request: &Request, prices: Option<&Prices>, complete_until: Option<u64>) -> Value {
    let rows: Vec<Value> = report.rows.iter().map(|row| Value::Object(fields(row, request, prices))).collect();
    let mut totals = fields(&report.totals, request, prices);
    for name in ["tenant", "service", "interface", "p50_ms", "p99_ms"] {
        totals.remove(name);
    }
    let last = report.rows.last().filter(|_| report.has_more);
    json!({
        "rows": rows,
        "totals": totals,
        "complete_until": complete_until.map(|nano| weir_service::time::format(i64::try_from(nano).unwrap_or(i64::MAX))),
        "next_cursor": last.map(|row| cursor(request, &row.key)),
    })
}

fn fields(row: &Row, request: &Request, prices: Option<&Prices>) -> Map<String, Value> {
    let name = &row.key.name;
    let text = |is_wanted: bool, text: &str| if is_wanted { Value::from(text) } else { Value::Null };
    let sums = &row.sums;
    let millis = |micros: Option<u64>| micros.map_or(Value::Null, |micros| json!(micros as f64 / 1e3));
    let currency = prices.map(Prices::currency);
    let values = [
        time(row.key.start).into(),
        time(row.end).into(),
        text(request.by.tenant, &name.tenant),
        text(request.by.service, &name.service),
        text(request.by.interface, &name.interface),
        sums.calls.into(),
        sums.errors.into(),
        sums.request_bytes.into(),
        sums.response_bytes.into(),
        sums.input_tokens.into(),
        sums.output_tokens.into(),
        json!(sums.gpu_micros as f64 / 1e6),
        json!(sums.energy_millijoules as f64 / 1e3),
        millis(row.quantiles.map(|(p50, _)| p50)),
        millis(row.quantiles.map(|(_, p99)| p99)),
        row.amount.map(|amount| prices::round(amount, prices::ROW_DECIMALS)).into(),
        currency.into(),
    ];
    COLUMNS.iter().map(|name| (*name).to_owned()).zip(values).collect()
}

/// The rows as CSV with a header (RFC 4180).
pub fn csv(report: &Report, request: &Request, prices: Option<&Prices>) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for row in &report.rows {
        let fields = fields(row, request, prices);
        let texts = COLUMNS.iter().map(|name| match fields.get(*name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => harmless(text),
            Some(other) => other.to_string(),
        });
        writer.write_record(texts)?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// A name that a spreadsheet would take for a formula becomes text.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// A page's last row and what was asked for, as text without meaning to others.
fn cursor(request: &Request, key: &Key) -> String {
    let name = &key.name;
    let window = (request.start, request.end, fingerprint(request));
    hex::encode(json!([window, key.start, name.tenant, name.service, name.interface]).to_string())
}

/// What tells one question from others, but for its time.
fn fingerprint(request: &Request) -> String {
    let Request { step, by, zone, service, interface, .. } = request;
    let text = format!("{step:?} {by:?} {:?} {service:?} {interface:?}", zone.iana_name());
    hex::encode(&Sha256::digest(text)[..8])
}

/// What [`json`] gave as `next_cursor`: the page's last row. The time of the question becomes that of the first page,
/// since `now` is later; `None` where it is no cursor, or one of another question.
pub fn read_cursor(text: &str, request: &mut Request) -> Option<Key> {
    let bytes = hex::decode(text).ok()?;
    let (window, at, tenant, service, interface) = serde_json::from_slice(&bytes).ok()?;
    let (start, end, of): (i64, i64, String) = window;
    if of != fingerprint(request) || start > end || pieces::hour_of(start) != start || pieces::hour_of(end) != end {
        return None;
    }
    (request.start, request.end) = (start, end);
    Some(Key { start: at, name: crate::cell::Name { tenant, service, interface } })
}
