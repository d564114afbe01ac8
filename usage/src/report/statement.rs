//! A tenant's statement of a month: what is to be paid, and corrections of months that were billed before.
//!
//! An issued statement closes its hours: what comes to them later changes the cells, and is a correction line of the next
//! statement, never of the one that was given out.

use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use weir_service::auth::Tenants;
use weir_service::time::now_unix_nano;

use super::output::time;
use super::{BucketError, Step, buckets, pieces, priced};
use crate::cell::{Name, Sums};
use crate::prices::{self, Prices};
use crate::store::{Billed, Issued, Picked, Store, StoreError, Window};

/// Statements of one tenant: of more months than anybody corrects.
const MOST_STATEMENTS: usize = 600;

/// Why a statement is not issued.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// The month.
    #[error(transparent)]
    Month(#[from] BucketError),
    /// It is not over, or late data may come yet.
    #[error("usage is complete up to {until}, and the month ends at {end}: issue it later")]
    Incomplete {
        /// RFC 3339, or that nothing was read.
        until: String,
        /// RFC 3339.
        end: String,
    },
    /// It was issued already.
    #[error(
        "the statement of this month was issued at {0}: it is closed; what came since is corrected by the next one"
    )]
    Closed(String),
    /// It shares hours with another, or leaves hours between that no month has.
    #[error(
        "the statement {id} of {start} to {end} {how}: a tenant's months are all of one time zone, so that every hour is \
         billed once"
    )]
    Zone {
        /// Number of the other statement.
        id: i64,
        /// RFC 3339.
        start: String,
        /// RFC 3339.
        end: String,
        /// What is wrong with both.
        how: &'static str,
    },
    /// There are no prices.
    #[error("there are no prices: set `usage.prices`")]
    NoPrices,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One line, priced.
#[derive(Debug)]
struct Line {
    billed: Billed,
    amount: Option<Decimal>,
}

/// A month of a time zone, such as `2026-10`.
pub fn month(text: &str, zone: &TimeZone) -> Option<Result<(i64, i64), BucketError>> {
    let first: jiff::civil::Date = format!("{text}-01").parse().ok().filter(|_| text.len() == 7)?;
    let start = zone.to_timestamp(first.to_datetime(jiff::civil::Time::midnight())).ok()?.as_second();
    Some(
        buckets::start_of(start, Step::Month, zone)
            .and_then(|start| Ok((start, buckets::after(start, Step::Month, zone)?))),
    )
}

/// Makes and keeps the statement of `[start, end)`; `tenants` is the tenant whose it is, alone.
pub async fn issue(
    store: &Store,
    tenants: &Tenants,
    tenant: &str,
    (start, end): (i64, i64),
    prices: Option<&Prices>,
    complete_until: Option<u64>,
) -> Result<Issued, StatementError> {
    let prices = prices.ok_or(StatementError::NoPrices)?;
    let until = complete_until.map(|nano| i64::try_from(nano / 1_000_000_000).unwrap_or(i64::MAX));
    if until.is_none_or(|until| until < end) {
        let until = until.map_or_else(|| "no time yet".to_owned(), time);
        return Err(StatementError::Incomplete { until, end: time(end) });
    }
    // First, so that one that is issued meanwhile has this number, and this one is refused.
    let id = store.next_statement().await?;
    let mut before = store.statements(tenants, i64::MAX, MOST_STATEMENTS).await?;
    before.retain(|issued| issued.tenant == tenant);
    before.reverse();
    for issued in &before {
        fits(issued, start, end)?;
    }
    let picked = store.pick(tenants, Window::default()).await?;
    let mut lines = Vec::new();
    let billed = store.billed(&before).await?;
    for issued in &before {
        // As it was cut then: prices that changed since must not bill anything again.
        for mut line in used(store, &picked, issued.id, &issued.cuts).await? {
            if let Some(known) = billed.get(&(issued.id, line.name, line.start)) {
                line.sums = line.sums.less(&known.sums);
            }
            if !line.sums.is_zero() {
                lines.push(line);
            }
        }
    }
    let mut cuts: Vec<i64> = priced(start, end, Some(prices)).into_iter().map(|(start, _)| start).collect();
    cuts.push(end);
    lines.extend(used(store, &picked, id, &cuts).await?);
    let priced: Vec<Line> = lines.into_iter().map(|billed| priced_line(billed, &picked, prices)).collect();
    let issued_at = now_unix_nano() / 1_000_000_000;
    let document = document(id, tenant, (start, end), issued_at, &priced, &picked, prices);
    let document = document.to_string();
    let issued = Issued { id, tenant: tenant.to_owned(), start, end, issued_at, cuts, document };
    let billed: Vec<Billed> = priced.into_iter().map(|line| line.billed).collect();
    store.issue(&issued, &billed).await?;
    Ok(issued)
}

/// Whether a month can be issued beside another: as a whole number of months before or behind it.
fn fits(issued: &Issued, start: i64, end: i64) -> Result<(), StatementError> {
    const SHORTEST_MONTH: i64 = 27 * pieces::DAY_SECONDS;
    if (issued.start, issued.end) == (start, end) {
        return Err(StatementError::Closed(time(issued.issued_at)));
    }
    let between = (start - issued.end).max(issued.start - end);
    if between == 0 || between >= SHORTEST_MONTH {
        return Ok(());
    }
    let how = if between < 0 { "has hours of this month" } else { "would leave hours that are in neither" };
    Err(StatementError::Zone { id: issued.id, start: time(issued.start), end: time(issued.end), how })
}

/// What was used between these cuts, by name; in the order of names.
async fn used(store: &Store, picked: &Picked, corrects: i64, cuts: &[i64]) -> Result<Vec<Billed>, StoreError> {
    let parts: Vec<(i64, i64)> = cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
    let stretches: Vec<_> = parts.iter().map(|(start, end)| pieces::of(*start, *end)).collect();
    let mut lines = Vec::new();
    for ((start, end), sums) in parts.into_iter().zip(store.sums(picked, &stretches).await?) {
        lines.extend(sums.into_iter().map(|(name, sums)| Billed { corrects, name, start, end, sums }));
    }
    lines.sort_by(|a, b| (picked.name(a.name), a.start).cmp(&(picked.name(b.name), b.start)));
    Ok(lines)
}

fn priced_line(billed: Billed, picked: &Picked, prices: &Prices) -> Line {
    let name = picked.name(billed.name);
    let amount =
        name.and_then(|name| prices.amount(&name.tenant, &name.service, &name.interface, billed.start, &billed.sums));
    Line { billed, amount }
}

fn document(
    id: i64,
    tenant: &str,
    (start, end): (i64, i64),
    issued_at: i64,
    lines: &[Line],
    picked: &Picked,
    prices: &Prices,
) -> Value {
    let nobody = Name::default();
    let shown = |line: &Line| {
        let (billed, name) = (&line.billed, picked.name(line.billed.name).unwrap_or(&nobody));
        let Sums { calls, errors, input_tokens, output_tokens, .. } = billed.sums;
        json!({
            "start": time(billed.start), "end": time(billed.end), "service": name.service, "interface": name.interface,
            "calls": calls, "errors": errors, "input_tokens": input_tokens, "output_tokens": output_tokens,
            "gpu_seconds": billed.sums.gpu_micros as f64 / 1e6,
            "amount": line.amount.map(|amount| prices::round(amount, prices::ROW_DECIMALS)),
        })
    };
    let (own, corrections): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(|line| line.billed.corrects == id);
    let corrections: Vec<Value> = corrections
        .into_iter()
        .map(|line| {
            let mut value = shown(line);
            value["corrects"] = line.billed.corrects.into();
            value
        })
        .collect();
    let own: Vec<Value> = own.into_iter().map(shown).collect();
    let total = lines.iter().filter_map(|line| line.amount).try_fold(Decimal::ZERO, Decimal::checked_add);
    let decimals = prices::currency_decimals(prices.currency());
    json!({
        "statement": id, "tenant": tenant, "start": time(start), "end": time(end), "issued_at": time(issued_at),
        "currency": prices.currency(), "lines": own, "corrections": corrections,
        // Half to even, once, of the exact sum.
        "total": total.map(|total| prices::round(total, decimals)),
    })
}
