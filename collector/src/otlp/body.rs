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

/// Greatest body, as sent and as unpacked.
pub(super) const MAX_BODY: usize = 16 << 20;

/// Greatest sum of all bodies in flight: as sent, as unpacked, and as records for the bus.
pub(super) const MAX_IN_FLIGHT: usize = 192 << 20;

/// A body must be there this long after its headers.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Room made at once for what is only announced.
const RESERVED: usize = 1 << 20;

/// A sender that is refused is heard out this far, in bytes.
const PASS_OVER: usize = 256 << 20;

/// And this long.
const PASS_TIMEOUT: Duration = Duration::from_secs(10);

/// zstd frames may ask for a window of 2^24 bytes, no more than a body may hold.
const ZSTD_WINDOW_LOG: u32 = 24;

/// Memory for bodies in flight. Whoever finds none is sent away to try again: nobody waits for memory while holding
/// some.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Semaphore>);

/// A share of the budget; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    permits: Option<OwnedSemaphorePermit>,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    pub(super) fn share(&self) -> Share {
        Share { budget: self.clone(), permits: None }
    }
}

impl Share {
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let bytes = u32::try_from(bytes).map_err(|_| Refusal::Busy)?;
        let more = self.budget.0.clone().try_acquire_many_owned(bytes).map_err(|_| Refusal::Busy)?;
        match &mut self.permits {
            Some(permits) => permits.merge(more),
            None => self.permits = Some(more),
        }
        Ok(())
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

    /// Unpacks, up to [`MAX_BODY`] bytes: what would become larger is refused when it passes the limit, however small
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
        if out.len() + read > MAX_BODY {
            return Err(Refusal::TooLarge { limit: MAX_BODY, what: "unpacked" });
        }
        share.grow(read)?;
        out.extend_from_slice(&chunk[..read]);
    }
}

/// Reads a body of at most `limit` bytes. `expected` is what its first bytes say of its length, which may be wrong.
pub(super) async fn read(
    headers: &HeaderMap,
    body: &mut Body,
    limit: usize,
    share: &mut Share,
    expected: impl Fn(&[u8]) -> usize + Send + Sync,
) -> Result<Bytes, Refusal> {
    let announced = headers.get(http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > limit as u64) {
        return Err(Refusal::TooLarge { limit, what: "as sent" });
    }
    let length = announced.map_or(0, |length| length as usize);
    let reading = collect(body, limit, share, |first| length.max(expected(first)));
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
    expected: impl Fn(&[u8]) -> usize + Send + Sync,
) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Refusal::Broken)?.into_data() else { continue };
        if first.len() + whole.len() + data.len() > limit {
            return Err(Refusal::TooLarge { limit, what: "as sent" });
        }
        share.grow(data.len())?;
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(expected(&first).min(RESERVED).max(first.len() + data.len()));
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}
