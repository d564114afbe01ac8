use std::io::Write as _;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use serde_json::Value;

use super::{Target, hit_line, plain, say};

/// A line of the stream that is longer than this is no hit: a log record of 16 MiB is less, as JSON.
const MAX_LINE: usize = 128 << 20;

/// Arguments of `weir tail`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Query, as for `weir search`
    query: String,
    #[command(flatten)]
    target: Target,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let answer = args.target.weir()?.query(&["api", "v1", "logs", "tail"], &[("query", &args.query)], None).await?;
    let mut stream = answer.bytes_stream();
    let mut events = Events::default();
    while let Some(piece) = stream.next().await {
        for event in events.push(&piece.context("the stream broke off")?)? {
            let line = if event.name == "missed" {
                writeln!(std::io::stderr(), "weir: this terminal is too slow; missed: {}", plain(&event.data))?;
                continue;
            } else if args.target.json {
                event.data
            } else {
                let hit: Value = serde_json::from_str(&event.data).context("the stream holds no hits")?;
                hit_line(&hit)
            };
            if !say(&line)? {
                return Ok(());
            }
        }
    }
    bail!("weir ended the stream")
}

/// Server-sent events, cut out of the pieces in which they come.
#[derive(Debug, Default)]
struct Events {
    rest: Vec<u8>,
    /// So much of the rest holds no end of a line.
    searched: usize,
    name: String,
    data: String,
}

#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    data: String,
}

impl Events {
    fn push(&mut self, piece: &[u8]) -> anyhow::Result<Vec<Event>> {
        let mut events = Vec::new();
        self.rest.extend_from_slice(piece);
        let mut from = 0;
        while let Some(end) = self.rest[self.searched..].iter().position(|&b| b == b'\n') {
            let length = self.searched + end - from;
            let line = String::from_utf8_lossy(&self.rest[from..from + length]).into_owned();
            from += length + 1;
            self.searched = from;
            let line = line.trim_end_matches('\r');
            if line.is_empty() {
                let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
                if !data.is_empty() {
                    events.push(Event { name, data });
                }
            } else if let Some(data) = line.strip_prefix("data:") {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            } else if let Some(name) = line.strip_prefix("event:") {
                name.trim().clone_into(&mut self.name);
            }
        }
        self.rest.drain(..from);
        self.searched = self.rest.len();
        if self.rest.len() + self.data.len() > MAX_LINE {
            bail!("the stream holds no hits");
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_the_stream_is_cut() {
        let stream = ": hello\n\ndata: {\"a\":1}\n\nevent: missed\r\ndata: 3\r\n\r\n";
        let event = |name: &str, data: &str| Event { name: name.to_owned(), data: data.to_owned() };
        let right = vec![event("", "{\"a\":1}"), event("missed", "3")];
        for size in 1..stream.len() {
            let mut events = Events::default();
            let seen: Vec<Event> =
                stream.as_bytes().chunks(size).flat_map(|piece| events.push(piece).unwrap()).collect();
            assert_eq!(seen, right, "{size}");
        }
    }
}
