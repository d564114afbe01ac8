use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use weir_calls::Hdr;
use weir_service::auth::{Auth, Tenants};

use super::statement::{self, StatementError};
use super::*;
use crate::store::{Batch, CellKey, State};

const PRICES: &str = "
currency: CNY
prices:
  - {tenant: acme, from: 2026-10-16, per_call: '0.02'}
  - {per_call: '0.01', per_1k_input_tokens: '2'}
";

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second()
}

fn everything() -> Tenants {
    Auth::off().everything().unwrap()
}

struct Site {
    _folder: tempfile::TempDir,
    store: Store,
    state: State,
    prices: Prices,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open("sqlite", folder.path()).await.unwrap();
        let state = store.state().await.unwrap();
        Self { _folder: folder, store, state, prices: Prices::parse(PRICES).unwrap() }
    }

    /// Calls of a tenant, with 100 tokens each, in one hour.
    async fn calls(&mut self, tenant: &str, interface: &str, hour: &str, calls: u64) {
        let mut durations = Hdr::default();
        (1..=calls).for_each(|n| durations.record(n * 1000));
        let [tenant, service, interface] = [tenant, "ocr", interface].map(str::to_owned);
        let key = CellKey { hour: at(hour), name: Name { tenant, service, interface } };
        let mut batch = Batch::default();
        batch.cells.insert(key, (Sums { calls, input_tokens: calls * 100, ..Sums::default() }, durations));
        self.store.commit(&mut self.state, &mut batch).await.unwrap();
    }

    async fn report(&self, request: &Request) -> (Report, Value) {
        let report = make(&self.store, &everything(), request, Some(&self.prices)).await.unwrap();
        let shown = json(&report, request, Some(&self.prices), Some(0));
        (report, shown)
    }

    async fn issue(&self, tenant: &str, month: &str) -> Result<Value, StatementError> {
        let tenants = everything().narrow([tenant]).unwrap();
        let month = statement::month(month, &TimeZone::UTC).unwrap().unwrap();
        let until = Some((at("2027-06-01T00:00:00Z") * 1_000_000_000).unsigned_abs());
        let issued = statement::issue(&self.store, &tenants, tenant, month, Some(&self.prices), until).await?;
        Ok(serde_json::from_str(&issued.document).unwrap())
    }
}

fn request(start: &str, end: &str, step: Step, by: By) -> Request {
    Request {
        start: at(start),
        end: at(end),
        step,
        by,
        zone: TimeZone::get("Asia/Shanghai").unwrap(),
        service: None,
        interface: None,
        limit: 1000,
        after: None,
    }
}

#[tokio::test]
async fn given_a_price_that_begins_within_a_month_then_each_hour_has_its_own() {
    let mut site = Site::new().await;
    site.calls("acme", "POST /a", "2026-10-15T23:00:00Z", 10).await;
    site.calls("acme", "POST /a", "2026-10-16T00:00:00Z", 10).await;
    site.calls("globex", "POST /a", "2026-10-16T00:00:00Z", 10).await;
    let by = By { interface: false, service: false, ..By::ALL };
    let month = request("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z", Step::Total, by);
    let (report, shown) = site.report(&month).await;
    // 10 calls at 0.01 and 1,000 tokens at 2 a thousand; then 10 calls at 0.02.
    let amounts: Vec<_> = report.rows.iter().map(|row| row.amount.unwrap().to_string()).collect();
    assert_eq!(amounts, ["2.30", "2.10"]);
    assert_eq!(shown["totals"]["amount"], "4.400000");
    assert_eq!((&shown["totals"]["calls"], &shown["rows"][0]["interface"]), (&json!(30), &Value::Null));
    let (p50, p99) = report.rows[0].quantiles.unwrap();
    assert!(p50.abs_diff(5000) < 50 && p99.abs_diff(10_000) < 80, "{p50} {p99}");
}

#[tokio::test]
async fn given_a_zone_then_days_are_its_own_and_pages_hold_every_row_once() {
    let mut site = Site::new().await;
    for (hour, calls) in [("2026-10-01T15:00:00Z", 1), ("2026-10-01T16:00:00Z", 2), ("2026-10-02T15:00:00Z", 3)] {
        for tenant in ["acme", "globex", "租户"] {
            site.calls(tenant, "POST /a", hour, calls).await;
        }
    }
    let mut days = request("2026-09-30T16:00:00Z", "2026-10-03T16:00:00Z", Step::Day, By::ALL);
    let (all, _) = site.report(&days).await;
    let shown: Vec<_> = all.rows.iter().map(|row| (row.key.name.tenant.as_str(), row.sums.calls)).collect();
    assert_eq!(shown, [("acme", 1), ("globex", 1), ("租户", 1), ("acme", 5), ("globex", 5), ("租户", 5)]);
    days.limit = 4;
    let (first, page) = site.report(&days).await;
    assert!(first.has_more);
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    (days.start, days.end) = (0, 0);
    days.after = read_cursor(&cursor, &mut days);
    assert!(days.after.is_some() && days.start == at("2026-09-30T16:00:00Z"), "of the time of the first page");
    let (second, page) = site.report(&days).await;
    assert_eq!((second.has_more, &page["next_cursor"]), (false, &Value::Null));
    assert_eq!([first.rows, second.rows].concat(), all.rows);
    for text in ["", "zz", "7b7d", "5b315d"] {
        assert_eq!(read_cursor(text, &mut days), None, "{text}");
    }
    days.by = By { interface: false, ..By::ALL };
    assert_eq!(read_cursor(&cursor, &mut days), None, "of another question");
}

#[tokio::test]
async fn given_names_that_a_spreadsheet_would_run_then_csv_has_them_as_text() {
    let mut site = Site::new().await;
    site.calls("=1+1", "POST /a,\"b\"", "2026-10-01T15:00:00Z", 1).await;
    let month = request("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z", Step::Total, By::ALL);
    let (report, _) = site.report(&month).await;
    let text = String::from_utf8(csv(&report, &month, None).unwrap()).unwrap();
    assert!(text.starts_with("start,end,tenant,") && text.contains(",'=1+1,ocr,\"POST /a,\"\"b\"\"\",1,"), "{text}");
}

#[tokio::test]
async fn given_an_issued_statement_then_what_comes_later_is_a_correction_of_the_next_one_once() {
    let mut site = Site::new().await;
    site.calls("acme", "POST /a", "2026-10-02T00:00:00Z", 10).await;
    site.calls("globex", "POST /a", "2026-10-02T00:00:00Z", 99).await;
    let october = site.issue("acme", "2026-10").await.unwrap();
    assert_eq!((&october["total"], october["lines"].as_array().unwrap().len()), (&json!("2.10"), 1));
    assert_eq!(october["corrections"], json!([]));
    assert!(matches!(site.issue("acme", "2026-10").await, Err(StatementError::Closed(_))));
    let tenants = everything().narrow(["acme"]).unwrap();
    for month in ["2026-09", "2026-10", "2026-11"] {
        // It would share hours with the one that was issued, or leave some to nobody.
        let month = statement::month(month, &TimeZone::get("Asia/Shanghai").unwrap()).unwrap().unwrap();
        let issued = statement::issue(&site.store, &tenants, "acme", month, Some(&site.prices), Some(u64::MAX)).await;
        assert!(matches!(issued, Err(StatementError::Zone { .. })), "{month:?}: {issued:?}");
    }

    site.calls("acme", "POST /a", "2026-10-02T00:00:00Z", 1).await;
    site.calls("acme", "POST /late", "2026-10-20T00:00:00Z", 2).await;
    site.calls("acme", "POST /a", "2026-11-02T00:00:00Z", 5).await;
    let november = site.issue("acme", "2026-11").await.unwrap();
    let corrections = november["corrections"].as_array().unwrap();
    let shown: Vec<_> = corrections.iter().map(|line| (&line["interface"], &line["calls"], &line["amount"])).collect();
    assert_eq!(
        shown,
        [(&json!("POST /a"), &json!(1), &json!("0.210000")), (&json!("POST /late"), &json!(2), &json!("0.040000")),]
    );
    assert_eq!(november["total"], "0.35");
    let december = site.issue("acme", "2026-12").await.unwrap();
    assert_eq!((&december["corrections"], &december["total"]), (&json!([]), &json!("0.00")));
}

#[tokio::test]
async fn given_prices_that_change_after_a_statement_then_nothing_of_it_is_billed_again() {
    let mut site = Site::new().await;
    site.calls("acme", "POST /a", "2026-10-02T00:00:00Z", 10).await;
    site.calls("acme", "POST /a", "2026-10-20T00:00:00Z", 10).await;
    site.issue("acme", "2026-10").await.unwrap();
    for (month, prices) in [
        ("2026-11", "{currency: CNY, prices: [{per_call: '1'}]}"),
        ("2026-12", "{currency: CNY, prices: [{from: 2026-10-10, per_call: '1'}]}"),
    ] {
        site.prices = Prices::parse(prices).unwrap();
        let next = site.issue("acme", month).await.unwrap();
        assert_eq!((&next["corrections"], &next["total"]), (&json!([]), &json!("0.00")), "{prices}");
    }
}

#[tokio::test]
async fn given_a_month_that_is_not_complete_then_there_is_no_statement() {
    let site = Site::new().await;
    let tenants = everything().narrow(["acme"]).unwrap();
    let month = statement::month("2026-10", &TimeZone::UTC).unwrap().unwrap();
    for until in [None, Some(5)] {
        let issued = statement::issue(&site.store, &tenants, "acme", month, Some(&site.prices), until).await;
        assert!(matches!(issued, Err(StatementError::Incomplete { .. })));
    }
    let issued = statement::issue(&site.store, &tenants, "acme", month, None, Some(u64::MAX)).await;
    assert!(matches!(issued, Err(StatementError::NoPrices)));
    for text in ["2026-13", "2026", "26-10", "2026-10-01", ""] {
        assert!(statement::month(text, &TimeZone::UTC).is_none(), "{text}");
    }
}
