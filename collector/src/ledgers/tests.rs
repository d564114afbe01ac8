use prost::Message as _;
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;

use super::*;
use crate::points::look::value;

fn row(path: &str, tenant: &str, (waiting, waiting_seconds): (u64, u64), lost: &[(Reason, u64)]) -> Row {
    let lost = lost.iter().copied().collect();
    Row { path: path.to_owned(), tenant: tenant.to_owned(), files: 1, waiting, waiting_seconds, lost, ..Row::default() }
}

fn totals(read: u64, acknowledged: u64, lost: &[(Reason, u64)]) -> Totals {
    Totals { since: 7, read, acknowledged, lost: lost.iter().copied().collect(), ..Totals::default() }
}

fn request(points: Points) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest::decode(points.encode()).unwrap()
}

#[test]
fn each_tenant_has_its_own_books_and_what_is_of_none_yet_is_of_the_machines() {
    let others = Row { path: "(others)".to_owned(), acknowledged: 99, ..Row::default() };
    let rows = [row("/a", "acme", (0, 0), &[]), row("/g", "globex", (0, 0), &[]), row("/n", "", (0, 0), &[]), others];
    let tenants: Tenants = [("acme", 1), ("", 2), ("default", 3)]
        .into_iter()
        .map(|(tenant, read)| (tenant.to_owned(), totals(read, 0, &[])))
        .collect();
    let found = books(&rows, &tenants, "default");
    let told: Vec<_> = found
        .iter()
        .map(|(tenant, books)| {
            let paths: Vec<_> = books.rows.iter().map(|row| row.path.as_str()).collect();
            (tenant.as_str(), books.totals.read, paths)
        })
        .collect();
    assert_eq!(told, [("acme", 1, vec!["/a"]), ("default", 5, vec!["/n"]), ("globex", 0, vec!["/g"])]);
    assert_eq!(books(&[], &Tenants::new(), "default").len(), 1);
}

#[test]
fn sums_of_a_tenant_have_every_reason_of_losses_and_gauges_are_of_all_its_files() {
    let rows = [row("/a", "acme", (5, 3), &[]), row("/b", "acme", (6, 40), &[])];
    let books = Books { totals: totals(30, 20, &[(Reason::Truncated, 4)]), rows: rows.iter().collect() };
    let mut points = Points::new(&[], 100);
    of_sources(&mut points, &books, 50);
    let request = request(points);
    let is = |name: &str| value(&request, &format!("weir.collector.source.{name}"), &[]);
    assert_eq!((is("read"), is("acknowledged"), is("waiting")), (Some(30.0), Some(20.0), Some(11.0)));
    assert_eq!((is("waiting_time"), is("count")), (Some(40.0), Some(2.0)));
    for reason in Reason::ALL {
        let bytes = if reason == Reason::Truncated { 4.0 } else { 0.0 };
        assert_eq!(value(&request, "weir.collector.source.lost", &[("reason", reason.name())]), Some(bytes));
    }
}

#[test]
fn files_that_wait_the_longest_are_told_first_then_those_that_lost_the_most_and_no_others() {
    let mut rows: Vec<Row> =
        (0..40).map(|at| row(&format!("/lost{at}"), "acme", (0, 0), &[(Reason::Deleted, 1 + at)])).collect();
    rows.extend((0..20).map(|at| row(&format!("/late{at}"), "acme", (1, LATE + 1 + at), &[])));
    rows.push(row("/fresh", "acme", (1, LATE), &[]));
    let long = format!("/{}", "é".repeat(MOST_PATH));
    rows.push(row(&long, "acme", (1, 9999), &[]));
    rows.push(row("/whose", "", (1, 9999), &[(Reason::Deleted, 999)]));
    rows.push(Row { is_of_several: true, ..row("/several", "acme", (1, 9999), &[]) });
    let mut points = Points::new(&[], 100);
    of_files(&mut points, &rows.iter().collect::<Vec<_>>());
    let request = request(points);
    let is =
        |path: &str, name: &str| value(&request, &format!("weir.collector.file.{name}"), &[("log.file.path", path)]);
    for late in 0..20 {
        assert_eq!(is(&format!("/late{late}"), "waiting_time"), Some((LATE + 1 + late) as f64));
    }
    // 21 wait: 29 places are left for those that lost the most.
    assert_eq!((is("/lost11", "lost"), is("/lost10", "lost")), (Some(12.0), None));
    assert!(["/fresh", "/whose", "/several"].iter().all(|path| is(path, "waiting").is_none()));
    assert_eq!(is(&long[..MOST_PATH - 1], "waiting_time"), Some(9999.0));
}
