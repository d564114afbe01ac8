//! Answers that are written in pieces, so that who does not read holds one piece and no more.
//!
//! A body ends well only where its writer says so: a writer that is dropped before (the search failed, or nothing was
//! read for [`STALL`]) breaks the body off, which HTTP shows the client as an incomplete answer.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, header};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::schedule::Place;

/// Bytes that are given to a connection at once.
pub(crate) const PIECE: usize = 64 << 10;
/// A client that takes nothing for so long is not waited for.
const STALL: Duration = Duration::from_secs(30);

enum Piece {
    Bytes(Bytes),
    End,
}

/// Writes a body.
pub(crate) struct Writer {
    pieces: mpsc::Sender<Piece>,
    stall: Duration,
}

/// The client left, or takes nothing.
#[derive(Debug)]
pub(crate) struct Gone;

/// A body, and what writes it.
pub(crate) fn body() -> (Writer, Body) {
    body_within(STALL)
}

fn body_within(stall: Duration) -> (Writer, Body) {
    let (pieces, reader) = mpsc::channel(1);
    let read = stream::unfold(Some(reader), async |reader: Option<mpsc::Receiver<Piece>>| {
        let mut reader = reader?;
        match reader.recv().await {
            Some(Piece::Bytes(bytes)) => Some((Ok(bytes), Some(reader))),
            Some(Piece::End) => None,
            None => Some((Err(io::Error::other("the answer broke off")), None)),
        }
    });
    // What compresses a body asks once more after its end, which an unfolded stream answers with a panic.
    (Writer { pieces, stall }, Body::from_stream(Box::pin(futures::StreamExt::fuse(read))))
}

impl Writer {
    /// Writes text in pieces, as the client takes them.
    pub(crate) async fn write(&self, text: impl Into<Bytes>) -> Result<(), Gone> {
        let mut text = text.into();
        while !text.is_empty() {
            let piece = text.split_to(text.len().min(PIECE));
            self.send(Piece::Bytes(piece)).await?;
        }
        Ok(())
    }

    /// Ends the body well.
    pub(crate) async fn end(self) -> Result<(), Gone> {
        self.send(Piece::End).await
    }

    /// Until the client left.
    pub(crate) async fn gone(&self) {
        self.pieces.closed().await;
    }

    async fn send(&self, piece: Piece) -> Result<(), Gone> {
        if self.pieces.send_timeout(piece, self.stall).await.is_err() {
            tracing::debug!("an answer ends early: its client left, or took nothing for {:?}", self.stall);
            return Err(Gone);
        }
        Ok(())
    }
}

/// JSON that is known as a whole; a large one holds the place until it is written.
pub(crate) fn json(place: Place, value: &Value) -> Response {
    whole(place, "application/json", value.to_string())
}

/// A text that is known as a whole.
pub(crate) fn whole(place: Place, kind: &'static str, text: String) -> Response {
    let length = text.len();
    let body = if length <= PIECE {
        Body::from(text)
    } else {
        let (writer, body) = body();
        tokio::spawn(async move {
            if writer.write(text).await.is_ok() {
                // A client that left needs no end.
                let _ = writer.end().await;
            }
            drop(place);
        });
        body
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn given_a_writer_that_ends_early_then_the_body_is_broken_off_and_else_it_is_whole() {
        for ends in [true, false] {
            let (writer, body) = body();
            tokio::spawn(async move {
                writer.write("x".repeat(3 * PIECE)).await.unwrap();
                if ends {
                    writer.end().await.unwrap();
                }
            });
            let pieces: Vec<_> = body.into_data_stream().collect().await;
            assert_eq!((pieces.len(), pieces.iter().all(Result::is_ok)), (if ends { 3 } else { 4 }, ends));
        }
    }

    #[tokio::test]
    async fn given_a_client_that_does_not_read_then_its_answer_ends() {
        let (writer, body) = body_within(Duration::from_millis(20));
        assert!(writer.write("x".repeat(3 * PIECE)).await.is_err());
        drop(writer);
        let pieces: Vec<_> = body.into_data_stream().collect().await;
        assert!(pieces.len() == 2 && pieces[1].is_err(), "one piece waited, and the end is seen");
    }
}
