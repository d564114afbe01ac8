//! Callers that hold connections and say nothing: they must not keep the others out.

use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// A caller has this long to begin.
const BEGIN: Duration = Duration::from_secs(10);

/// A connection that takes nothing of what is written to it ends after this long: what waits for it holds memory.
const STALL: Duration = Duration::from_secs(30);

/// What HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What every accepted connection gets: answers go out at once, and a caller that is gone without a word is noticed. A
/// socket without these works as well.
pub(crate) fn set_up(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(Duration::from_mins(1)).with_interval(Duration::from_secs(15));
    let done = stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keepalive));
    if let Err(error) = done {
        tracing::debug!(%error, "a connection without TCP_NODELAY or keep-alive");
    }
}

/// Places by holder (connections by address, requests by credential), so that no single holder has them all.
#[derive(Debug, Clone)]
pub(crate) struct Shares<K> {
    open: Arc<Mutex<HashMap<K, usize>>>,
    most: usize,
}

impl<K: Hash + Eq + Clone> Shares<K> {
    /// Of all `places`, one holder has at most half: many senders share an address behind a translation of addresses.
    pub(crate) fn new(places: usize) -> Self {
        Self { open: Arc::default(), most: places.div_ceil(2) }
    }

    /// A place, until it is dropped; `None` if the holder has its share.
    pub(crate) fn place(&self, holder: K) -> Option<Place<K>> {
        let mut open = self.open.lock();
        let count = open.entry(holder.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { open: self.open.clone(), holder })
    }
}

/// One place of a holder.
#[derive(Debug)]
pub(crate) struct Place<K: Hash + Eq> {
    open: Arc<Mutex<HashMap<K, usize>>>,
    holder: K,
}

impl<K: Hash + Eq> Drop for Place<K> {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.holder);
            }
        }
    }
}

/// A connection that fails where its caller does not begin in time, or takes nothing of an answer for [`STALL`]. Hyper
/// waits for ever for the bytes that tell HTTP/1 from HTTP/2, and for a caller that does not read.
#[derive(Debug)]
pub(crate) struct Prompt<S> {
    stream: S,
    /// Until a write that waits has waited too long.
    stalled: Option<Pin<Box<Sleep>>>,
    stall: Duration,
    /// Until it is known which of them it is.
    late: Option<Pin<Box<Sleep>>>,
    /// Bytes of the preface that were read.
    begun: usize,
}

impl<S> Prompt<S> {
    /// The time begins now.
    pub(crate) fn new(stream: S) -> Self {
        Self::within(stream, BEGIN, STALL)
    }

    fn within(stream: S, time: Duration, stall: Duration) -> Self {
        Self { stream, stalled: None, stall, late: Some(Box::pin(tokio::time::sleep(time))), begun: 0 }
    }
}

impl<S> Prompt<S> {
    /// The same, or an error where writes have been waiting for too long.
    fn moving<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall = self.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing of an answer is read")))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buf);
        let Some(late) = &mut self.late else { return read };
        match read {
            Poll::Pending if late.as_mut().poll(context).is_ready() => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no request began in time")))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => {
                let came = &buf.filled()[before..];
                self.begun += came.len();
                let is_open = PREFACE.get(self.begun - came.len()..self.begun) == Some(came);
                if !is_open || self.begun == PREFACE.len() {
                    self.late = None;
                }
                Poll::Ready(result)
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.moving(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.moving(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.moving(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn who_begins_with_nothing_or_half_a_preface_is_late_and_who_asked_may_be_silent() {
        for (said, is_late) in [(&b""[..], true), (b"PRI", true), (b"PO", false), (b"GET /", false), (PREFACE, false)] {
            let (mut caller, stream) = tokio::io::duplex(64);
            caller.write_all(said).await.unwrap();
            let mut stream = Prompt::within(stream, Duration::from_millis(20), STALL);
            let reading = async {
                while stream.read(&mut [0; 2]).await? > 0 {}
                Ok::<_, io::Error>(())
            };
            let ended = tokio::time::timeout(Duration::from_millis(500), reading).await;
            assert_eq!(ended.is_ok_and(|read| read.is_err()), is_late, "{said:?}");
        }
    }

    #[tokio::test]
    async fn who_reads_nothing_of_an_answer_is_late_and_who_reads_slowly_is_not() {
        for reads in [false, true] {
            let (mut caller, stream) = tokio::io::duplex(64);
            let mut stream = Prompt::within(stream, BEGIN, Duration::from_millis(200));
            let reading = tokio::spawn(async move {
                while reads && caller.read(&mut [0; 16]).await.is_ok_and(|read| read > 0) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                std::future::pending::<()>().await;
            });
            let written = stream.write_all(&[0; 512]).await;
            assert_eq!(
                written.map_err(|error| error.kind()),
                if reads { Ok(()) } else { Err(io::ErrorKind::TimedOut) }
            );
            reading.abort();
        }
    }

    #[test]
    fn one_address_leaves_half_to_the_others_and_gives_back_what_it_had() {
        let peers = Shares::new(4);
        let (one, other) = ("10.0.0.1", "fd00::1");
        let held = (peers.place(one).unwrap(), peers.place(one).unwrap());
        assert!(peers.place(one).is_none() && peers.place(other).is_some());
        drop(held);
        assert!(peers.place(one).is_some() && peers.open.lock().is_empty());
    }
}
