//! What this collector reports of itself on `otlp_metrics`, so that whoever wants to know needs no collector's address:
//! what became of the files of each tenant, of what came over OTLP, and which version runs since when.
//!
//! The resource is `service.name=weir-collector` of this machine, with the collector's id of `weir_progress` as
//! `service.instance.id`. Sums of a tenant's files carry its name as `weir.tenant`, so that it sees its own; what is
//! nobody's goes where the metrics of the machine go. All reasons of losses are reported from the first point on: a loss
//! is a step of a sum that was there before.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use weir_proto::attribute;
use weir_service::time::now_unix_nano_unsigned as now;

use crate::file::{Reason, Row, Sources, Tenants, Totals};
use crate::naming::Naming;
use crate::otlp::{Counts, Store};
use crate::points::Points;
use crate::samples::Samples;

/// Files of one tenant that are reported one by one at most.
const MOST_FILES: usize = 50;
/// A file that has waited for longer is one of them, in seconds.
const LATE: u64 = 10;
/// Bytes of a path that are reported.
const MOST_PATH: usize = 1024;

/// Reports for as long as it runs.
#[derive(Debug)]
pub(crate) struct Ledgers {
    naming: Naming,
    /// The collector's id.
    id: String,
    sources: Sources,
    store: Store,
    counts: Counts,
    samples: Samples,
    interval: Duration,
    started: (Instant, u64),
}

/// What is known of a tenant's files.
#[derive(Debug, Default)]
struct Books<'a> {
    totals: Totals,
    rows: Vec<&'a Row>,
}

impl Ledgers {
    /// Reports every `interval`, once it runs.
    pub(crate) fn new(
        naming: Naming,
        id: String,
        sources: Sources,
        (store, counts): (Store, Counts),
        samples: Samples,
        interval: Duration,
    ) -> Self {
        Self { naming, id, sources, store, counts, samples, interval, started: (Instant::now(), now()) }
    }

    /// Reports until stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut every = tokio::time::interval(self.interval);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(every.tick()).await.is_some() {
            self.report();
        }
    }

    fn report(&self) {
        let (rows, tenants) = (self.sources.rows(), self.sources.tenants());
        let own = self.naming.tenant(None, None);
        for (tenant, books) in &books(&rows, &tenants, &own) {
            let mut points = Points::new(&self.resource(tenant), now());
            of_sources(&mut points, books, self.started.1);
            of_files(&mut points, &books.rows);
            if *tenant == own {
                self.of_process(&mut points);
            }
            self.samples.points("ledger", &format!("collector/{}/{tenant}", self.id), points);
        }
    }

    fn resource(&self, tenant: &str) -> Vec<(String, String)> {
        let own = [
            (attribute::TENANT, tenant),
            ("service.name", "weir-collector"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", &self.id),
        ];
        own.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).chain(self.naming.machine()).collect()
    }

    /// What is no tenant's.
    fn of_process(&self, points: &mut Points) {
        let (since, started) = self.started;
        let version = [("service.version", env!("CARGO_PKG_VERSION"))];
        points.gauge("weir.collector.uptime", "s", since.elapsed().as_secs_f64(), &version);
        for (signal, acknowledged, rejected) in self.counts.records() {
            let signal = [("signal", signal.name())];
            points.counter("weir.collector.otlp.acknowledged", "{record}", started, acknowledged, &signal);
            points.counter("weir.collector.otlp.rejected", "{record}", started, rejected, &signal);
        }
        for ((signal, reason), requests) in self.counts.refused() {
            let of = [("signal", signal.name()), ("reason", reason)];
            points.counter("weir.collector.otlp.refused", "{request}", started, requests, &of);
        }
        let Some(spool) = self.store.spool() else { return };
        let status = spool.status();
        points.up_down("weir.collector.otlp.spool.waiting", "By", status.bytes, &[]);
        points.up_down("weir.collector.otlp.spool.limit", "By", status.limit, &[]);
        points.gauge("weir.collector.otlp.spool.waiting_time", "s", status.oldest.as_secs_f64(), &[]);
        points.counter("weir.collector.otlp.spool.lost", "{record}", started, status.lost, &[]);
    }
}

/// What is known of each tenant's files. What is of a tenant that was not known yet is `own`'s, which is always there.
fn books<'a>(rows: &'a [Row], tenants: &Tenants, own: &str) -> BTreeMap<String, Books<'a>> {
    let whose = |tenant: &str| if tenant.is_empty() { own.to_owned() } else { tenant.to_owned() };
    let mut books = BTreeMap::from([(own.to_owned(), Books::default())]);
    for (tenant, totals) in tenants {
        books.entry(whose(tenant)).or_default().totals.add(totals);
    }
    for row in rows.iter().filter(|row| !row.is_of_others()) {
        books.entry(whose(&row.tenant)).or_default().rows.push(row);
    }
    books
}

/// Sums over all files of a tenant. Of one of which nothing was ever counted, they begin with the process.
fn of_sources(points: &mut Points, books: &Books<'_>, started: u64) {
    let totals = &books.totals;
    let since = if totals.since > 0 { totals.since } else { started };
    points.counter("weir.collector.source.read", "By", since, totals.read, &[]);
    points.counter("weir.collector.source.acknowledged", "By", since, totals.acknowledged, &[]);
    for reason in Reason::ALL {
        let bytes = totals.lost.get(&reason).copied().unwrap_or(0);
        points.counter("weir.collector.source.lost", "By", since, bytes, &[("reason", reason.name())]);
    }
    let sum = |of: fn(&Row) -> u64| books.rows.iter().map(|row| of(row)).sum::<u64>();
    points.up_down("weir.collector.source.waiting", "By", sum(|row| row.waiting), &[]);
    let longest = books.rows.iter().map(|row| row.waiting_seconds).max().unwrap_or(0);
    points.gauge("weir.collector.source.waiting_time", "s", longest, &[]);
    points.up_down("weir.collector.source.count", "{file}", sum(|row| row.files), &[]);
}

/// The files that have waited the longest, and then those that have lost the most: what their ledger says, as it stands.
/// One whose tenant is not known, or was another, is not among them: its path, or its bytes, may be others'.
fn of_files(points: &mut Points, rows: &[&Row]) {
    let lost = |row: &Row| row.lost.values().sum::<u64>();
    let late = |row: &Row| if row.waiting_seconds > LATE { row.waiting_seconds } else { 0 };
    let is_told = |row: &&Row| !row.tenant.is_empty() && !row.is_of_several && (late(row) > 0 || lost(row) > 0);
    let mut worst: Vec<&Row> = rows.iter().copied().filter(is_told).collect();
    worst.sort_by_key(|row| std::cmp::Reverse((late(row), lost(row))));
    for row in worst.into_iter().take(MOST_FILES) {
        let path = &row.path[..row.path.floor_char_boundary(MOST_PATH)];
        let file = [("log.file.path", path)];
        points.up_down("weir.collector.file.acknowledged", "By", row.acknowledged, &file);
        points.up_down("weir.collector.file.waiting", "By", row.waiting, &file);
        points.gauge("weir.collector.file.waiting_time", "s", row.waiting_seconds, &file);
        for (reason, bytes) in &row.lost {
            let of = [file[0], ("reason", reason.name())];
            points.up_down("weir.collector.file.lost", "By", *bytes, &of);
        }
    }
}
