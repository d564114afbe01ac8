//! Queries over many windows.

use std::time::Duration;

use prost::Message as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use weir_bus::{Message, Partition};
use weir_indexer::ingest::Signal;
use weir_indexer::store::Store;
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span};
use weir_proto::topic;

use super::{DAY, all, page, timed};
use crate::Ready;

const WINDOWS: u64 = 30;
/// Time of the first window, in days since the epoch.
const FIRST: u64 = 20_400;
const DAY_NANOS: u64 = 86_400_000_000_000;
/// Spans of a trace.
const SPANS: u64 = 8;

/// The spans of a trace by its id, over thirty windows; each time another trace.
pub(crate) fn trace(smoke: bool) -> anyhow::Result<Ready> {
    let (traces, queries) = if smoke { (50, 3) } else { (5_000, 100) };
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path().join("spans"), Signal::Spans, DAY, Duration::from_hours(24 * 60))?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut ids = Vec::new();
    let end_ms = (FIRST + WINDOWS) * (DAY_NANOS / 1_000_000);
    let mut offset = 0;
    for window in 0..WINDOWS {
        for first in (0..traces).step_by(50) {
            let mut spans = Vec::new();
            for trace in first..(first + 50).min(traces) {
                let trace_id: [u8; 16] = rng.random();
                if trace % (traces / 10) == 0 {
                    ids.push(hex(&trace_id));
                }
                let start = (FIRST + window) * DAY_NANOS + trace * (DAY_NANOS / traces);
                let span = |n: u64, span_id: [u8; 8]| Span {
                    trace_id: trace_id.to_vec(),
                    span_id: span_id.to_vec(),
                    name: format!("step {n}"),
                    kind: 2,
                    start_time_unix_nano: start + n * 1_000_000,
                    end_time_unix_nano: start + (n + 5) * 1_000_000,
                    ..Span::default()
                };
                spans.extend((0..SPANS).map(|n| span(n, rng.random())));
            }
            let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
            let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
            let done = store.ingest(&[Message {
                partition: Partition::new(topic::SPANS, 0),
                offset,
                key: None,
                value: ExportTraceServiceRequest { resource_spans }.encode_to_vec().into(),
                headers: Vec::new(),
                timestamp_ms: end_ms as i64,
            }]);
            anyhow::ensure!(done.poison.is_none(), "a record cannot be read: {:?}", done.poison);
            offset += 1;
        }
        store.seal(end_ms as i64)?;
    }
    let moment = store.snapshot(&all()?);
    let step = (ids.len() / queries).max(1);
    let texts: Vec<String> = ids.iter().step_by(step).take(queries).map(|id| format!("trace_id:{id}")).collect();
    // What is measured is a warm answer.
    timed(moment.as_ref(), &texts, page)?;
    Ok(Box::new(move || {
        let _folder = folder;
        let mut work = timed(moment.as_ref(), &texts, page)?;
        anyhow::ensure!(work.more["found"] == texts.len() as u64 * SPANS, "spans are missing: {:?}", work.more);
        work.more.insert("lines".into(), (WINDOWS * traces * SPANS).into());
        work.more.insert("windows".into(), WINDOWS.into());
        Ok(work)
    }))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
