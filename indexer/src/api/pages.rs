//! Hits in order, written while they are found: pages of a search, and exports.
//!
//! An answer is found in parts of some memory ([`Place::piece`]), each by a search that goes on behind the last line of
//! the part before. Only one part is held at a time, as text, until its client has taken it; nothing is searched
//! meanwhile. So memory is bounded whatever is asked for and however it is read, and lines that arrive between parts
//! neither repeat nor shift what is written.

use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, header};
use weir_query::line::Line;
use weir_service::http::Problem;

use super::Api;
use super::answer::{self, Gone, Writer};
use super::extent::Extent;
use crate::schedule::{Caller, Place};
use crate::search::{self, MAX_PAGE_BYTES, Paging, Selection};

/// How lines become text.
pub(super) trait Format: Send + Sync + 'static {
    /// Of the body.
    const KIND: &'static str;
    /// Before the first line.
    fn head(&self) -> String;
    /// One line; `first` says whether it is the first of all.
    fn line(&self, line: &Line, first: bool, text: &mut Vec<u8>);
    /// Behind the last one.
    fn tail(&self, end: &End) -> String;
}

/// What is known when the last line is written.
pub(super) struct End {
    /// The last line, where there are more behind it.
    pub(super) next: Option<search::Place>,
    /// `None` before the first part.
    pub(super) extent: Option<Extent>,
    pub(super) began: Instant,
}

/// Lines that are written, one part after the other.
struct Pages<F> {
    api: Api,
    caller: Caller,
    place: Place,
    asked: Selection,
    /// What is still to be written.
    paging: Paging,
    format: std::sync::Arc<F>,
    is_first: bool,
    end: End,
}

/// Some lines as text.
struct Part {
    text: Vec<u8>,
    lines: usize,
    last: Option<search::Place>,
    more: bool,
    extent: Extent,
}

/// Answers with the lines that `asked` and `paging` say. What is wrong before the first part is there is a problem;
/// afterwards the answer breaks off.
pub(super) async fn answer<F: Format>(
    api: Api,
    caller: Caller,
    place: Place,
    asked: Selection,
    paging: Paging,
    format: F,
) -> Result<Response, Problem> {
    let began = Instant::now();
    let end = End { next: None, extent: None, began };
    let format = std::sync::Arc::new(format);
    let mut pages = Pages { api, caller, place, asked, paging, format, is_first: true, end };
    let mut text = pages.format.head().into_bytes();
    let is_last = pages.part(&mut text).await?;
    if is_last {
        text.extend_from_slice(pages.format.tail(&pages.end).as_bytes());
        // The text was made of UTF-8 alone.
        let text = String::from_utf8(text).unwrap_or_default();
        return Ok(answer::whole(pages.place, F::KIND, text));
    }
    let (writer, body) = answer::body();
    // Nothing is searched for a client that has left, and whoever does not read is not waited for.
    tokio::spawn(async move {
        if pages.write(text, &writer).await.is_ok() {
            let _ = writer.end().await;
        }
    });
    Ok(response::<F>(body))
}

fn response<F: Format>(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(F::KIND));
    response
}

impl<F: Format> Pages<F> {
    async fn write(&mut self, first: Vec<u8>, writer: &Writer) -> Result<(), Gone> {
        let mut text = first;
        loop {
            writer.write(std::mem::take(&mut text)).await?;
            let part = tokio::select! {
                part = self.part(&mut text) => part,
                () = writer.gone() => return Err(Gone),
            };
            match part {
                Ok(false) => {}
                Ok(true) => {
                    text.extend_from_slice(self.format.tail(&self.end).as_bytes());
                    return writer.write(text).await;
                }
                Err(problem) => {
                    tracing::info!(detail = problem.detail, "an answer broke off");
                    return Err(Gone);
                }
            }
        }
    }

    /// Adds the next part to `text`; whether it is the last.
    async fn part(&mut self, text: &mut Vec<u8>) -> Result<bool, Problem> {
        let paging = Paging { bytes: self.place.piece().min(MAX_PAGE_BYTES), ..self.paging.clone() };
        let (now, tenants) = (self.api.now.clone(), self.caller.tenants.clone());
        let (asked, format, is_first) = (self.asked.clone(), self.format.clone(), self.is_first);
        let part = self.place.run(move |budget| {
            let snapshot = now(&tenants).within(budget);
            let asked = Selection { budget: budget.clone(), ..asked };
            let page = search::page(snapshot.as_ref(), &asked, &paging, &|_| true)?;
            let mut text = Vec::new();
            for (at, line) in page.lines.iter().enumerate() {
                format.line(line, is_first && at == 0, &mut text);
            }
            let last = page.lines.last().map(|line| (line.time, line.id));
            let extent = Extent::of(snapshot.as_ref(), asked.start, asked.end);
            Ok::<_, search::Error>(Part { text, lines: page.lines.len(), last, more: page.more, extent })
        });
        let part = part.await?;
        self.is_first &= part.lines == 0;
        self.paging.limit = self.paging.limit.saturating_sub(part.lines);
        self.paging.after = part.last.or(self.paging.after);
        // What was searched first may not have had what was searched last.
        self.end.extent = Some(match self.end.extent.take() {
            Some(extent) => extent.and(part.extent),
            None => part.extent,
        });
        self.end.next = part.last.filter(|_| part.more);
        text.extend_from_slice(&part.text);
        Ok(!part.more || self.paging.limit == 0 || part.lines == 0)
    }
}
