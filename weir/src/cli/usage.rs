//! `weir usage`: reports, statements, and proofs that are checked offline.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::Value;
use weir_usage::proof;

use super::{Target, plain, say, text};
use crate::Place;

/// Rows that are asked for at once.
const PAGE: &str = "1000";

/// Arguments of `weir usage`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Configuration: runs the statistics service
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    report: Report,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
struct Report {
    /// From this hour on: RFC 3339, unix seconds, or relative (now-24h); the start of the month where it is not given
    #[arg(long)]
    start: Option<String>,
    /// Before this hour; now where it is not given
    #[arg(long)]
    end: Option<String>,
    /// hour, day, month or total
    #[arg(long, default_value = "total")]
    step: String,
    /// tenant, service and interface, separated by commas
    #[arg(long, default_value = "tenant,service,interface")]
    by: String,
    /// Time zone of days and months, such as Asia/Shanghai
    #[arg(long)]
    tz: Option<String>,
    /// Only of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Only of this service
    #[arg(long)]
    service: Option<String>,
    /// Only of this interface
    #[arg(long)]
    interface: Option<String>,
    /// table, csv or json
    #[arg(long, default_value = "table", value_parser = ["table", "csv", "json"])]
    format: String,
}

/// What else can be done.
#[derive(Debug, Subcommand)]
enum Command {
    /// Check a proof of usage, offline
    Verify {
        /// The proof, as /api/v1/usage/proof gave it
        file: PathBuf,
        /// The public key that it must be signed with: hexadecimal digits, or a file that has them
        #[arg(long, value_name = "PUB")]
        key: Option<String>,
    },
    /// Issue a tenant's statement of a month, which closes it
    Statement {
        /// Such as 2026-10
        #[arg(long)]
        month: String,
        /// Whose
        #[arg(long)]
        tenant: String,
        /// Time zone of the month, such as Asia/Shanghai
        #[arg(long)]
        tz: Option<String>,
        #[command(flatten)]
        target: Target,
    },
}

pub(crate) fn dispatch(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Some(Command::Verify { file, key }) => verify(&file, key.as_deref()),
        Some(Command::Statement { month, tenant, tz, target }) => crate::block_on(async move {
            let mut query = vec![("month", month.as_str()), ("tenant", tenant.as_str())];
            query.extend(tz.as_deref().map(|tz| ("tz", tz)));
            let statement = target.weir()?.post_json(&["api", "v1", "usage", "statements"], &query).await?;
            say(&serde_json::to_string_pretty(&statement)?)?;
            Ok(())
        }),
        None => crate::block_on(report(args.report, args.target)),
    }
}

fn verify(file: &std::path::Path, key: Option<&str>) -> anyhow::Result<ExitCode> {
    let document = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let key = key.map(proof::public_key_of).transpose()?;
    // Its text has its cause already.
    let verified = proof::verify(&document, key.as_deref())
        .map_err(|invalid| anyhow::anyhow!("{}: not proven: {invalid}", file.display()))?;
    say(&format!(
        "{}: proven: {} calls in {} rows from {} partitions, {} to {}{}",
        file.display(),
        verified.calls,
        verified.rows,
        verified.sources,
        verified.window.start,
        verified.window.end,
        if verified.is_complete() { "" } else { "; the window is not complete yet, and more may come" },
    ))?;
    if !verified.key_checked {
        writeln!(std::io::stderr(), "signed with {}: --key says whose key that must be", verified.public_key)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn report(report: Report, target: Target) -> anyhow::Result<()> {
    let weir = target.weir()?;
    let mut query = vec![("step", report.step.as_str()), ("by", report.by.as_str())];
    for (name, value) in [
        ("start", &report.start),
        ("end", &report.end),
        ("tz", &report.tz),
        ("tenant", &report.tenant),
        ("service", &report.service),
        ("interface", &report.interface),
    ] {
        query.extend(value.as_deref().map(|value| (name, value)));
    }
    if report.format == "csv" {
        query.push(("format", "csv"));
        let answer = weir.get(&["api", "v1", "usage"], &query, None).await?;
        let text = answer.text().await.context("the answer broke off")?;
        say(text.trim_end())?;
        return Ok(());
    }
    query.push(("limit", PAGE));
    let is_json = target.json || report.format == "json";
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let mut query = query.clone();
        if !cursor.is_empty() {
            query.push(("cursor", &cursor));
        }
        let page = weir.get_json(&["api", "v1", "usage"], &query).await?;
        let of_page = page["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
        rows.extend(of_page.iter().cloned());
        text(&page, "next_cursor").clone_into(&mut cursor);
        if cursor.is_empty() || of_page.is_empty() {
            if is_json {
                let mut document = page;
                document["rows"] = rows.into();
                say(&document.to_string())?;
                return Ok(());
            }
            for line in table(&rows, &page, &report) {
                if !say(&line)? {
                    break;
                }
            }
            return Ok(());
        }
    }
}

/// Rows as people read them, with their totals: names to the left, numbers to the right.
fn table(rows: &[Value], page: &Value, report: &Report) -> Vec<String> {
    if rows.is_empty() {
        return vec!["no usage in this time".to_owned()];
    }
    let mut columns: Vec<&str> = Vec::new();
    if report.step != "total" {
        columns.push("start");
    }
    columns.extend(["tenant", "service", "interface"].into_iter().filter(|name| rows[0][*name].is_string()));
    let names = columns.len();
    columns.extend(["calls", "errors", "input_tokens", "output_tokens", "gpu_seconds", "p50_ms", "p99_ms"]);
    if rows.iter().any(|row| row["amount"].is_string()) {
        columns.extend(["amount", "currency"]);
    }
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|name| name.to_uppercase()).collect()];
    let line = |row: &Value| columns.iter().map(|name| cell(&row[*name], name)).collect::<Vec<_>>();
    lines.extend(rows.iter().map(line));
    let mut totals = line(&page["totals"]);
    if names > 0 {
        totals.iter_mut().take(names).for_each(String::clear);
        "total".clone_into(&mut totals[0]);
    }
    lines.push(totals);
    let wide = |text: &String| text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>();
    let widths: Vec<usize> =
        (0..columns.len()).map(|at| lines.iter().map(|line| wide(&line[at])).max().unwrap_or(0)).collect();
    let shown = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).enumerate().map(|(at, (text, width))| {
            let space = " ".repeat(width.saturating_sub(wide(text)));
            if at < names { format!("{text}{space}") } else { format!("{space}{text}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut shown: Vec<String> = lines.iter().map(shown).collect();
    match page["complete_until"].as_str() {
        Some(until) => shown.push(format!("complete until {until}")),
        None => shown.push("not complete: no partition has been read yet".to_owned()),
    }
    shown
}

fn cell(value: &Value, name: &str) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => plain(text),
        // A tenth of a millisecond is enough to read.
        Value::Number(number) if name.ends_with("_ms") || name == "gpu_seconds" => {
            format!("{:.1}", number.as_f64().unwrap_or_default())
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn given_rows_then_the_table_has_their_totals_and_what_is_not_known_is_a_dash() {
        let row = |tenant: &str, calls: u64, p99: Value| {
            json!({"tenant": tenant, "service": null, "interface": null, "calls": calls, "errors": 0, "input_tokens": 7,
                "output_tokens": 0, "gpu_seconds": 1.25, "p50_ms": 1.0, "p99_ms": p99, "amount": "0.070000", "currency": "CNY"})
        };
        let rows = [row("acme", 7, json!(12.34)), row("租户", 12_000, Value::Null)];
        let page = json!({"totals": row("x", 12_007, Value::Null), "complete_until": "2026-10-01T00:00:00Z"});
        let report = Report {
            start: None,
            end: None,
            step: "total".to_owned(),
            by: "tenant".to_owned(),
            tz: None,
            tenant: None,
            service: None,
            interface: None,
            format: "table".to_owned(),
        };
        assert_eq!(
            table(&rows, &page, &report),
            [
                "TENANT  CALLS  ERRORS  INPUT_TOKENS  OUTPUT_TOKENS  GPU_SECONDS  P50_MS  P99_MS    AMOUNT  CURRENCY",
                "acme        7       0             7              0          1.2     1.0    12.3  0.070000       CNY",
                "租户    12000       0             7              0          1.2     1.0       -  0.070000       CNY",
                "total   12007       0             7              0          1.2     1.0       -  0.070000       CNY",
                "complete until 2026-10-01T00:00:00Z",
            ]
        );
        assert_eq!(table(&[], &page, &report), ["no usage in this time"]);
    }
}
