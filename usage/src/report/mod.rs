//! Reports: the cells of a stretch of time, added up by tenant, service and interface, with their amounts.

pub mod buckets;
mod output;
pub mod pieces;
pub mod statement;

use std::collections::BTreeMap;

use ahash::AHashMap;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use weir_service::auth::Tenants;

pub use self::buckets::{BucketError, Step};
pub use self::output::{csv, json, read_cursor, time};
use crate::cell::{Name, Sums};
use crate::prices::Prices;
use crate::store::{Picked, Store, StoreError, Window};

/// What of a name tells rows apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By {
    /// Tenants.
    pub tenant: bool,
    /// Services.
    pub service: bool,
    /// Interfaces.
    pub interface: bool,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// First hour, in unix seconds.
    pub start: i64,
    /// Behind the last hour.
    pub end: i64,
    /// How it is cut over time.
    pub step: Step,
    /// How it is cut by name.
    pub by: By,
    /// Whose days and months.
    pub zone: TimeZone,
    /// Only of this service.
    pub service: Option<String>,
    /// Only of this interface.
    pub interface: Option<String>,
    /// Rows at most.
    pub limit: usize,
    /// Only rows behind this one.
    pub after: Option<Key>,
}

/// A row's start and name; what is not asked for is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// In unix seconds.
    pub start: i64,
    /// Tenant, service, interface.
    pub name: Name,
}

/// A row of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its start and name.
    pub key: Key,
    /// Behind its last hour.
    pub end: i64,
    /// What was counted.
    pub sums: Sums,
    /// Median and 99th percentile of durations in microseconds.
    pub quantiles: Option<(u64, u64)>,
    /// By the prices, unrounded; `None` where no price matches.
    pub amount: Option<Decimal>,
}

/// A page of a report.
#[derive(Debug)]
pub struct Report {
    /// In the order of their keys.
    pub rows: Vec<Row>,
    /// Of everything asked for, on all pages.
    pub totals: Row,
    /// Whether more rows follow.
    pub has_more: bool,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Time.
    #[error(transparent)]
    Buckets(#[from] BucketError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl By {
    /// Everything.
    pub const ALL: Self = Self { tenant: true, service: true, interface: true };

    fn of(self, name: &Name) -> Name {
        let text = |is_wanted: bool, text: &String| if is_wanted { text.clone() } else { String::new() };
        Name {
            tenant: text(self.tenant, &name.tenant),
            service: text(self.service, &name.service),
            interface: text(self.interface, &name.interface),
        }
    }
}

/// `[start, end)` cut where a price begins.
fn priced(start: i64, end: i64, prices: Option<&Prices>) -> Vec<(i64, i64)> {
    let changes = prices.map_or(&[][..], Prices::changes);
    let mut cuts = vec![start];
    cuts.extend(changes.iter().copied().filter(|at| (start + 1..end).contains(at)));
    cuts.push(end);
    cuts.windows(2).map(|pair| (pair[0], pair[1])).filter(|(start, end)| start < end).collect()
}

/// Sums and amount of a group.
#[derive(Debug, Default, Clone, Copy)]
struct Group {
    sums: Sums,
    amount: Option<Decimal>,
}

impl Group {
    fn add(&mut self, sums: &Sums, amount: Option<Decimal>) {
        self.sums.add(sums);
        // A sum beyond 28 digits is no amount of money.
        self.amount = match (self.amount, amount) {
            (Some(one), Some(other)) => one.checked_add(other),
            (one, other) => one.or(other),
        };
    }
}

/// Makes a report of what `tenants` may see.
pub async fn make(
    store: &Store,
    tenants: &Tenants,
    request: &Request,
    prices: Option<&Prices>,
) -> Result<Report, ReportError> {
    let window = Window { service: request.service.as_deref(), interface: request.interface.as_deref() };
    let picked = store.pick(tenants, window).await?;
    let stretches = buckets::of(request.start, request.end, request.step, &request.zone)?;
    // What is cut into one stretch is read once.
    let mut whole = match stretches.as_slice() {
        [(start, end)] if (*start, *end) == (request.start, request.end) => {
            Some(grouped(store, &picked, *start, *end, prices, |name| request.by.of(name)).await?)
        }
        _ => None,
    };
    let mut total = Group::default();
    if let Some(groups) = &whole {
        for group in groups.values() {
            total.add(&group.sums, group.amount);
        }
    } else {
        let all = grouped(store, &picked, request.start, request.end, prices, |_| Name::default()).await?;
        total = all.into_values().next().unwrap_or_default();
    }
    let key = Key { start: request.start, name: Name::default() };
    let totals = Row { key, end: request.end, sums: total.sums, quantiles: None, amount: total.amount };
    let mut rows: Vec<Row> = Vec::new();
    let mut has_more = false;
    if totals.sums.is_zero() {
        return Ok(Report { rows, totals, has_more });
    }
    for (start, end) in stretches {
        if request.after.as_ref().is_some_and(|after| start < after.start) {
            continue;
        }
        let groups = match whole.take() {
            Some(groups) => groups,
            None => grouped(store, &picked, start, end, prices, |name| request.by.of(name)).await?,
        };
        for (name, group) in groups {
            let key = Key { start, name };
            if request.after.as_ref().is_some_and(|after| key <= *after) {
                continue;
            }
            if rows.len() >= request.limit {
                has_more = true;
                break;
            }
            rows.push(Row { key, end, sums: group.sums, quantiles: None, amount: group.amount });
        }
        if has_more {
            break;
        }
    }
    add_quantiles(store, &picked, request.by, &mut rows).await?;
    Ok(Report { rows, totals, has_more })
}

/// What was counted in `[start, end)`, by what `group` makes of a name, in its order.
async fn grouped(
    store: &Store,
    picked: &Picked,
    start: i64,
    end: i64,
    prices: Option<&Prices>,
    group: impl Fn(&Name) -> Name,
) -> Result<BTreeMap<Name, Group>, StoreError> {
    let parts = priced(start, end, prices);
    let pieces: Vec<_> = parts.iter().map(|(start, end)| pieces::of(*start, *end)).collect();
    let sums = store.sums(picked, &pieces).await?;
    let mut groups: BTreeMap<Name, Group> = BTreeMap::new();
    for ((at, _), sums) in parts.iter().zip(sums) {
        for (id, sums) in sums {
            let Some(name) = picked.name(id) else { continue };
            let amount =
                prices.and_then(|prices| prices.amount(&name.tenant, &name.service, &name.interface, *at, &sums));
            groups.entry(group(name)).or_default().add(&sums, amount);
        }
    }
    Ok(groups)
}

/// Quantiles of the rows that hold calls: merged from the cells of their names, of some rows at a time, since a histogram
/// that grows takes some 10 KB.
async fn add_quantiles(store: &Store, picked: &Picked, by: By, rows: &mut [Row]) -> Result<(), StoreError> {
    const AT_ONCE: usize = 1000;
    let of_starts = rows.chunk_by_mut(|a, b| a.key.start == b.key.start);
    for of_start in of_starts.flat_map(|of_start| of_start.chunks_mut(AT_ONCE)) {
        let Some((start, end)) = of_start.first().map(|row| (row.key.start, row.end)) else { continue };
        let wanted: AHashMap<Name, usize> = of_start
            .iter()
            .enumerate()
            .filter(|(_, row)| row.sums.calls > 0)
            .map(|(at, row)| (row.key.name.clone(), at))
            .collect();
        let of_id: AHashMap<i64, usize> =
            picked.iter().filter_map(|(id, name)| Some((id, *wanted.get(&by.of(name))?))).collect();
        let needed =
            if of_id.len() == picked.iter().count() { picked.clone() } else { picked.only(of_id.keys().copied()) };
        let merged = store.durations(&needed, &pieces::of(start, end), |id| of_id.get(&id).copied()).await?;
        for (at, durations) in merged {
            let Some(row) = at.and_then(|at| of_start.get_mut(at)) else { continue };
            row.quantiles = durations.quantile(0.5).zip(durations.quantile(0.99));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
