//! Bodies within bounds: of one request, and of all that are in flight at once.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;
use crate::limits::{Closed, Limits};

/// A body must be there this long after its headers.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Room made at once for what is only announced.
const RESERVED: usize = 1 << 20;

/// So many times the greatest body is what one may need, at most: packed, unpacked, and as records if it is JSON.
const MOST: usize = 1 + 1 + RECORDS_OF_JSON;

/// Room that is promised before the first byte has come, and so many times what has come after it.
const BEFORE: usize = 64 << 10;
const AHEAD: usize = 64;

/// Records take so many times their JSON, at most: numbers are shorter there.
pub(super) const RECORDS_OF_JSON: usize = 4;

/// What is packed becomes so many times as large, as a rule.
const PACKED: usize = 6;

/// A sender that is refused is heard out this far, in bytes.
const PASS_OVER: usize = 256 << 20;

/// And this long.
const PASS_TIMEOUT: Duration = Duration::from_secs(10);

/// zstd frames may ask for a window of 2^24 bytes, no more than a body may hold.
const ZSTD_WINDOW_LOG: u32 = 24;

/// Memory for bodies in flight: as sent, as unpacked, and as records for the bus. Whoever finds none is sent away to try
/// again: nobody waits for memory while holding some.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    bytes: Arc<Semaphore>,
    /// Greatest body, as sent and as unpacked.
    body: usize,
    limits: Limits,
}

/// A share of the budget; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    permits: Option<OwnedSemaphorePermit>,
    /// Of those, for what is still to come.
    promised: usize,
}

impl Budget {
    /// So many bytes, and of one body so many.
    pub(super) fn new(bytes: usize, body: usize) -> Self {
        Self { bytes: Arc::new(Semaphore::new(bytes)), body, limits: Limits::default() }
    }

    /// As these limits allow.
    pub(super) fn within(limits: &Limits) -> Self {
        let bounds = limits.bounds();
        Self { limits: limits.clone(), ..Self::new(bounds.exports, bounds.export) }
    }

    /// Before anything of a body is read: waits for CPU time, and gives it a share of the memory.
    pub(super) async fn enter(&self) -> Result<Share, Refusal> {
        self.limits.pass().await.map_err(|closed| match closed {
            Closed::Full => Refusal::Memory,
            Closed::Busy => Refusal::Busy,
        })?;
        Ok(self.share())
    }

    fn share(&self) -> Share {
        Share { budget: self.clone(), permits: None, promised: 0 }
    }
}

impl Share {
    /// Greatest body, as sent and as unpacked.
    pub(super) fn body(&self) -> usize {
        self.budget.body
    }

    /// Makes sure of room for what is to come, where memory is limited: or many would be taken in half, and none to the
    /// end.
    fn expect(&mut self, bytes: usize, came: usize) -> Result<(), Refusal> {
        // Who only announces much gets little, or a few of them would be all.
        let bytes = bytes.min(BEFORE + AHEAD * came);
        // More may be needed than there ever is, though it is not likely.
        let taken = self.permits.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) - self.promised;
        let bytes = bytes.min((MOST * self.body()).saturating_sub(taken));
        let more = bytes.saturating_sub(self.promised);
        if self.budget.limits.promise(more).map_err(|_| Refusal::Memory)? {
            self.promised += more;
            self.acquire(more)?;
        }
        Ok(())
    }

    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let promised = bytes.min(self.promised);
        self.promised -= promised;
        self.budget.limits.keep(promised, 0);
        if bytes > promised {
            self.budget.limits.grant(bytes - promised).map_err(|_| Refusal::Memory)?;
            self.acquire(bytes - promised)?;
        }
        Ok(())
    }

    fn acquire(&mut self, bytes: usize) -> Result<(), Refusal> {
        let bytes = u32::try_from(bytes).map_err(|_| Refusal::Busy)?;
        let more = self.budget.bytes.clone().try_acquire_many_owned(bytes).map_err(|_| Refusal::Busy)?;
        match &mut self.permits {
            Some(permits) => permits.merge(more),
            None => self.permits = Some(more),
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.limits.keep(0, self.promised);
    }
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Zstd,
}

impl Encoding {
    /// From `content-encoding` or `grpc-encoding`.
    pub(super) fn of(headers: &HeaderMap, name: &str) -> Result<Self, Refusal> {
        let mut values = headers.get_all(name).iter();
        let value = values.next().map_or(&b""[..], |value| value.as_bytes());
        let text = String::from_utf8_lossy(value).trim().to_ascii_lowercase();
        match (text.as_str(), values.next()) {
            ("" | "identity", None) => Ok(Self::Identity),
            ("gzip" | "x-gzip", None) => Ok(Self::Gzip),
            ("deflate", None) => Ok(Self::Deflate),
            ("zstd", None) => Ok(Self::Zstd),
            _ => Err(Refusal::UnknownEncoding(text.chars().take(100).collect())),
        }
    }

    /// So many times its length a body takes of its share, with all that is made of it.
    pub(super) fn times(self, json: bool) -> usize {
        let unpacked = 1 + if json { RECORDS_OF_JSON } else { 1 };
        if self == Self::Identity { unpacked } else { 1 + PACKED * unpacked }
    }

    /// Unpacks, up to the greatest body: what would become larger is refused when it passes the limit, however small
    /// it was packed.
    pub(super) fn unpack(self, packed: Bytes, share: &mut Share) -> Result<Bytes, Refusal> {
        match self {
            Self::Identity => Ok(packed),
            Self::Gzip => drain("gzip", flate2::bufread::MultiGzDecoder::new(&*packed), share),
            Self::Deflate => drain("deflate", flate2::bufread::ZlibDecoder::new(&*packed), share),
            Self::Zstd => {
                let failed = |source| Refusal::Encoding { encoding: "zstd", source };
                let mut reader = zstd::stream::read::Decoder::with_buffer(&*packed).map_err(failed)?;
                reader.window_log_max(ZSTD_WINDOW_LOG).map_err(failed)?;
                drain("zstd", reader, share)
            }
        }
    }
}

fn drain(encoding: &'static str, mut reader: impl Read, share: &mut Share) -> Result<Bytes, Refusal> {
    let mut out = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = reader.read(&mut chunk).map_err(|source| Refusal::Encoding { encoding, source })?;
        if read == 0 {
            return Ok(out.into());
        }
        if out.len() + read > share.body() {
            return Err(Refusal::TooLarge { limit: share.body(), what: "unpacked" });
        }
        share.grow(read)?;
        out.extend_from_slice(&chunk[..read]);
    }
}

/// Reads a body of at most `limit` bytes, which will need so many `times` its length of the share. `expected` is what its
/// first bytes say of its length, which may be wrong.
pub(super) async fn read(
    headers: &HeaderMap,
    body: &mut Body,
    limit: usize,
    share: &mut Share,
    times: usize,
    expected: impl Fn(&[u8]) -> usize + Send + Sync,
) -> Result<Bytes, Refusal> {
    let announced = headers.get(http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > limit as u64) {
        return Err(Refusal::TooLarge { limit, what: "as sent" });
    }
    let length = announced.map_or(0, |length| length as usize);
    share.expect(length * times, 0)?;
    let reading = collect(body, limit, share, times, |first| length.max(expected(first)).min(limit));
    tokio::time::timeout(READ_TIMEOUT, reading).await.map_err(|_| Refusal::Slow(READ_TIMEOUT))?
}

/// Reads what is left of a refused body, beside the answer, and keeps none of it: who is still sending would not hear
/// the answer, but find the connection broken.
pub(super) fn pass_over(headers: &HeaderMap, mut body: Body) {
    if headers.contains_key(http::header::EXPECT) && headers.contains_key(http::header::CONTENT_LENGTH) {
        return; // It waits for the answer before it sends.
    }
    let passing = async move {
        let mut passed = 0;
        while passed < PASS_OVER
            && let Some(Ok(frame)) = body.frame().await
        {
            passed += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    tokio::spawn(tokio::time::timeout(PASS_TIMEOUT, passing));
}

async fn collect(
    body: &mut Body,
    limit: usize,
    share: &mut Share,
    times: usize,
    expected: impl Fn(&[u8]) -> usize + Send + Sync,
) -> Result<Bytes, Refusal> {
    let (mut came, mut needed) = (0, 0);
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Refusal::Broken)?.into_data() else { continue };
        came += data.len();
        if came > limit {
            return Err(Refusal::TooLarge { limit, what: "as sent" });
        }
        share.grow(data.len())?;
        if came == data.len() {
            needed = expected(&data) * times;
        }
        share.expect(needed.saturating_sub(came), came)?;
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(expected(&first).min(RESERVED.max(share.promised)).max(first.len() + data.len()));
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

#[cfg(test)]
mod tests {
    use weir_service::config::Size;

    use super::*;
    use crate::limits::{Bounds, LimitOptions};

    #[tokio::test]
    async fn the_greatest_export_finds_room_whatever_the_limit_is_where_nothing_else_is_on_its_way() {
        for mebibytes in [48_u64, 64, 100, 160, 200, 448] {
            let meter = opentelemetry::global::meter("test");
            // Memory is not what is short here.
            let limits = Limits::new(&LimitOptions { memory: Some(Size(8 << 30)), cpu: None }, &meter);
            let bounds = Bounds::of(Some(Size(mebibytes << 20)));
            let budget = Budget { limits, ..Budget::new(bounds.exports, bounds.export) };
            for (json, part) in [(true, 0.25), (true, 1.0), (false, 0.5), (false, 1.0)] {
                let (length, mut share) = ((bounds.export as f64 * part) as usize, budget.share());
                let headers = HeaderMap::from_iter([(http::header::CONTENT_LENGTH, length.into())]);
                let (mut body, limit, times) = (Body::from(vec![0; length]), share.body(), Encoding::Gzip.times(json));
                let read = read(&headers, &mut body, limit, &mut share, times, |_| 0).await;
                assert_eq!(read.unwrap().len(), length, "{mebibytes} MiB, JSON {json}, {part}");
            }
        }
    }
}
