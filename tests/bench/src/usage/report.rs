//! How long a monthly report takes, of all tenants and of one, and how much a cell takes on disk.
//!
//! The store holds some hours of every name, and so their days and their month. A monthly report reads the cells of the
//! month alone, however many hours there are.

use std::time::Instant;

use jiff::tz::TimeZone;
use serde_json::{Map, json};
use weir_calls::Hdr;
use weir_service::auth::{Auth, Tenants};
use weir_usage::cell::{Name, Sums};
use weir_usage::prices::Prices;
use weir_usage::report::{self, By, Request, Step};
use weir_usage::store::{Batch, CellKey, Store};

use crate::{Ready, Work};

/// 1 November 2023, UTC.
const MONTH: i64 = 1_698_796_800;
const NEXT_MONTH: i64 = MONTH + 30 * 24 * 3600;
const INTERFACES: usize = 50;
const PRICES: &str =
    "{currency: CNY, prices: [{per_call: '0.01', per_1k_input_tokens: '2', per_1k_output_tokens: '10'}]}";

/// Reports over 2,000 tenants of 50 interfaces.
pub(crate) fn report(smoke: bool) -> anyhow::Result<Ready> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let store = runtime.block_on(Store::open("sqlite", folder.path()))?;
    let (tenants, hours) = if smoke { (20, 3) } else { (2000, 4) };
    runtime.block_on(fill(&store, tenants, hours))?;
    Ok(Box::new(move || {
        let work = runtime.block_on(measure(&store, tenants, hours, folder.path()));
        drop(folder);
        work
    }))
}

async fn fill(store: &Store, tenants: usize, hours: usize) -> anyhow::Result<()> {
    let mut state = store.state().await?;
    let mut durations = Hdr::default();
    (0..200_u64).for_each(|n| durations.record(20_000 + n * n * 40));
    for hour in 0..hours {
        for of_batch in (0..tenants).collect::<Vec<_>>().chunks(400) {
            let mut batch = Batch::default();
            for tenant in of_batch {
                for interface in 0..INTERFACES {
                    let name = Name {
                        tenant: format!("tenant-{tenant:04}"),
                        service: "chat".to_owned(),
                        interface: format!("POST /v1/chat/{interface}"),
                    };
                    let sums =
                        Sums { calls: 200, errors: 1, input_tokens: 90_000, output_tokens: 40_000, ..Sums::default() };
                    let key = CellKey { hour: MONTH + 3600 * hour as i64, name };
                    batch.cells.insert(key, (sums, durations.clone()));
                }
            }
            store.commit(&mut state, &mut batch).await?;
        }
    }
    Ok(())
}

async fn measure(store: &Store, tenants: usize, hours: usize, folder: &std::path::Path) -> anyhow::Result<Work> {
    let prices = Prices::parse(PRICES)?;
    let everything = Auth::off().everything().ok_or_else(|| anyhow::anyhow!("no tenants"))?;
    let one = everything.narrow(["tenant-0007"]).map_err(|problem| anyhow::anyhow!(problem.detail))?;
    let request = |by| Request {
        start: MONTH,
        end: NEXT_MONTH,
        step: Step::Month,
        by,
        zone: TimeZone::UTC,
        service: None,
        interface: None,
        limit: 10_000,
        after: None,
    };
    let by_tenant = By { tenant: true, service: false, interface: false };
    let mut more = Map::new();
    let mut records = 0;
    for (name, whose, by) in [("all", &everything, by_tenant), ("one", &one, By::ALL)] {
        let times = if name == "all" { 5 } else { 50 };
        let mut took: Vec<f64> = Vec::new();
        for _ in 0..times {
            let began = Instant::now();
            let rows = rows(store, whose, &request(by), &prices).await?;
            took.push(began.elapsed().as_secs_f64() * 1e3);
            anyhow::ensure!(rows == if name == "all" { tenants } else { INTERFACES }, "{rows} rows");
            records += rows as u64;
        }
        took.sort_by(f64::total_cmp);
        more.insert(format!("{name}_p50_ms"), json!(took[took.len() / 2]));
        more.insert(format!("{name}_max_ms"), json!(took[took.len() - 1]));
    }
    let cells = tenants * INTERFACES * (hours + 2);
    let size: u64 =
        std::fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.metadata().ok()).map(|file| file.len()).sum();
    more.insert("cells".to_owned(), json!(cells));
    more.insert("bytes_per_cell".to_owned(), json!(size / cells as u64));
    Ok(Work { records, bytes: size, more })
}

async fn rows(store: &Store, tenants: &Tenants, request: &Request, prices: &Prices) -> anyhow::Result<usize> {
    let report = report::make(store, tenants, request, Some(prices)).await?;
    Ok(report.rows.len())
}
