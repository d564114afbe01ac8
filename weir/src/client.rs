//! Commands that ask a running weir, for people and, with `--json`, for programs.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use serde_json::Value;

use crate::cli::{Search, Server, Tail, Trace};

/// Greatest line of an event stream.
const MAX_EVENT: usize = 16 << 20;

async fn ask(server: &Server, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<reqwest::Response> {
    let base = server.url.trim_end_matches('/');
    let mut url = reqwest::Url::parse(&format!("{base}{path}")).with_context(|| format!("--url {base}"))?;
    if !parameters.is_empty() {
        url.query_pairs_mut().extend_pairs(parameters);
    }
    let client = reqwest::Client::builder().no_proxy().build()?;
    let response =
        client.get(url).send().await.with_context(|| format!("no answer from {base}: is weir running there?"))?;
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let problem: Value = response.json().await.unwrap_or_default();
    match problem["detail"].as_str() {
        Some(detail) => bail!("{detail}"),
        None => bail!("{base} answers {status}"),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn shown(hit: &Value) -> String {
    let body = hit["body"].as_str().map_or_else(|| hit["body"].to_string(), str::to_owned);
    format!(
        "{} {:5} {}/{}  {body}",
        text(hit, "timestamp"),
        text(hit, "severity"),
        text(hit, "tenant"),
        text(hit, "service")
    )
}

fn print_hit(server: &Server, hit: &Value) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if server.json { writeln!(out, "{hit}") } else { writeln!(out, "{}", shown(hit)) }
}

pub(crate) async fn search(args: &Search) -> anyhow::Result<()> {
    let (mut cursor, mut left) = (String::new(), args.limit);
    while left > 0 {
        let limit = left.min(1000).to_string();
        let mut parameters = vec![("query", args.query.as_str()), ("limit", &limit), ("cursor", &cursor)];
        parameters.extend(args.start.as_deref().map(|start| ("start", start)));
        parameters.extend(args.end.as_deref().map(|end| ("end", end)));
        let page: Value = ask(&args.server, "/api/v1/logs/search", &parameters).await?.json().await?;
        let hits = page["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
        for hit in hits {
            print_hit(&args.server, hit)?;
        }
        left = left.saturating_sub(hits.len());
        match page["next_cursor"].as_str() {
            Some(next) if !hits.is_empty() => next.clone_into(&mut cursor),
            _ => break,
        }
    }
    Ok(())
}

pub(crate) async fn tail(args: &Tail) -> anyhow::Result<()> {
    let mut stream = ask(&args.server, "/api/v1/logs/tail", &[("query", &args.query)]).await?.bytes_stream();
    let mut waiting = Vec::new();
    while let Some(bytes) = stream.next().await {
        waiting.extend_from_slice(&bytes.context("the stream broke off")?);
        while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = waiting.drain(..=end).collect();
            let Some(data) = line.strip_prefix(b"data:") else { continue };
            let event: Value = serde_json::from_slice(data).context("the stream holds something else than events")?;
            match event["batches"].as_u64() {
                Some(batches) => writeln!(std::io::stderr(), "weir: too slow: {batches} batches were missed")?,
                None => print_hit(&args.server, &event)?,
            }
        }
        if waiting.len() > MAX_EVENT {
            bail!("the stream holds a line of over {MAX_EVENT} bytes");
        }
    }
    Ok(())
}

pub(crate) async fn trace(args: &Trace) -> anyhow::Result<()> {
    let path = format!("/api/v1/traces/{}", args.id);
    let trace: Value = ask(&args.server, &path, &[]).await?.json().await?;
    let spans = trace["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown = if args.server.json { format!("{trace}\n") } else { tree(spans) };
    Ok(std::io::stdout().write_all(shown.as_bytes())?)
}

/// Spans below their parents, by start; those whose parent is not there stand at the top.
fn tree(spans: &[Value]) -> String {
    let there = |id: &str| !id.is_empty() && spans.iter().any(|span| text(span, "span_id") == id);
    let mut order: Vec<&Value> = spans.iter().collect();
    order.sort_by_key(|span| text(span, "start"));
    let mut waiting: Vec<(usize, &Value)> =
        order.iter().rev().filter(|span| !there(text(span, "parent_span_id"))).map(|span| (0, *span)).collect();
    let (mut shown, mut seen) = (String::new(), std::collections::HashSet::new());
    while let Some((depth, span)) = waiting.pop() {
        let id = text(span, "span_id");
        if !seen.insert(id) {
            continue;
        }
        let millis = span["duration_ns"].as_f64().unwrap_or_default() / 1e6;
        let status = if text(span, "status") == "error" { "  ERROR" } else { "" };
        let indent = 2 * depth.min(40);
        let _ =
            writeln!(shown, "{:indent$}{} {}  {millis:.3} ms{status}", "", text(span, "service"), text(span, "name"));
        waiting.extend(
            order.iter().rev().filter(|child| text(child, "parent_span_id") == id).map(|child| (depth + 1, *child)),
        );
    }
    shown
}

pub(crate) async fn alerts(server: &Server) -> anyhow::Result<()> {
    let answer: Value = ask(server, "/api/v1/alerts", &[]).await?.json().await?;
    let mut out = std::io::stdout().lock();
    for alert in answer["alerts"].as_array().map(Vec::as_slice).unwrap_or_default() {
        if server.json {
            writeln!(out, "{alert}")?;
            continue;
        }
        let labels = alert["labels"].as_object().into_iter().flatten();
        let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
        writeln!(out, "{:8} {}  value {}", text(alert, "state"), labels.join(" "), alert["value"])?;
    }
    Ok(())
}
