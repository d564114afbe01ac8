use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::{Target, hit_line, plain, say, text};

/// Greatest page that is asked for at once.
const PAGE: usize = 1000;

/// Longest time until a page is there.
const WITHIN: Duration = Duration::from_mins(2);

/// Arguments of `weir search`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Query, in Lucene's grammar: service:ocr AND severity:>=warn AND "connection reset"
    query: String,
    /// From this time on: RFC 3339, unix seconds, or relative (now-15m)
    #[arg(long)]
    start: Option<String>,
    /// Before this time
    #[arg(long)]
    end: Option<String>,
    /// How many lines, newest first
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let weir = args.target.weir()?;
    let mut left = args.limit;
    let mut has_hit = false;
    let mut cursor = String::new();
    while left > 0 {
        let limit = left.min(PAGE).to_string();
        let mut query = vec![("query", args.query.as_str()), ("limit", &limit)];
        query.extend(args.start.as_deref().map(|start| ("start", start)));
        query.extend(args.end.as_deref().map(|end| ("end", end)));
        if !cursor.is_empty() {
            query.push(("cursor", &cursor));
        }
        let page = weir.query(&["api", "v1", "logs", "search"], &query, Some(WITHIN)).await?;
        let page: Value = page.json().await.context("the answer is not JSON: is this weir's address?")?;
        if cursor.is_empty() {
            for hint in page["hints"].as_array().into_iter().flatten() {
                writeln!(std::io::stderr(), "hint: {}", hint_line(hint))?;
            }
            for gap in page["gaps"].as_array().into_iter().flatten() {
                writeln!(std::io::stderr(), "{}", gap_line(gap))?;
            }
        }
        let hits = page["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
        for hit in hits {
            if !say(&if args.target.json { hit.to_string() } else { hit_line(hit) })? {
                return Ok(());
            }
        }
        has_hit |= !hits.is_empty();
        left = left.saturating_sub(hits.len());
        text(&page, "next_cursor").clone_into(&mut cursor);
        if cursor.is_empty() || hits.is_empty() {
            break;
        }
    }
    // Somebody who looks at the terminal would wonder; a pipe gets lines and nothing else.
    if !has_hit && args.limit > 0 && !args.target.json && std::io::stdout().is_terminal() {
        writeln!(std::io::stderr(), "no lines match")?;
    }
    Ok(())
}

/// What the query may have meant, as a line for people.
fn hint_line(hint: &Value) -> String {
    let message = plain(text(hint, "message"));
    match text(hint, "query") {
        "" => message,
        query => format!("{message}: {}", plain(query)),
    }
}

/// What cannot be found, as a line for people.
fn gap_line(gap: &Value) -> String {
    let time = |name, open: &str| match text(gap, name) {
        "" => open.to_owned(),
        time => plain(time),
    };
    let records = gap["records"].as_u64().map_or_else(|| "records".to_owned(), |records| format!("{records} records"));
    let why = match text(gap, "reason") {
        "dropped" => "the bus dropped them before they were read",
        _ => "the topic was removed before it was read to its end",
    };
    let (start, end) = (time("start", "the beginning"), time("end", "now"));
    format!("gap: {records} that arrived between {start} and {end} are missing, as {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_says_what_is_missing_and_why() {
        let gap = serde_json::json!({"start": null, "end": "2026-01-02T03:04:05Z", "reason": "dropped", "records": 7});
        let line = gap_line(&gap);
        let want = "gap: 7 records that arrived between the beginning and 2026-01-02T03:04:05Z are missing, as the bus \
                    dropped them before they were read";
        assert_eq!(line, want);
    }

    #[test]
    fn a_hint_shows_the_query_that_may_be_meant_where_there_is_one() {
        let hint = |query: &str| hint_line(&serde_json::json!({"message": "`or` is a word", "query": query}));
        assert_eq!((hint("a OR b").as_str(), hint("").as_str()), ("`or` is a word: a OR b", "`or` is a word"));
    }
}
