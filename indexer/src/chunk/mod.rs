//! A chunk: up to [`MAX_LINES`] lines of one source in time order, the unit of the index. Its lines are kept as columns
//! ([`encode`], [`decode`]), by which queries are decided ([`scan`]), and its words and fields are listed once, each with
//! the number of lines that hold it ([`terms`]).

pub(crate) mod bytes;
mod column;
mod decode;
mod encode;
mod listing;
mod scan;
mod template;
pub mod terms;
#[cfg(test)]
mod tests;

use weir_query::Matcher;
use weir_query::line::Line;

use self::decode::{Data, Head};
pub use self::encode::Encoded;
use self::scan::Scan;
use self::template::Templates;
use self::terms::Terms;
use crate::Error;
use crate::bits::Bits;
use crate::fields::FieldList;

/// Most lines of a chunk.
pub const MAX_LINES: usize = 1024;

/// Name of an attribute that a sender cannot give: chunks are not listed under it, and no query finds it.
pub(crate) const OPAQUE: &str = "\u{0}";

/// A chunk is closed when what its lines say reaches this size, so that reading one line never costs much more.
pub const MAX_BYTES: usize = 512 << 10;

/// Lines whose memory is more than this are in no chunk with others: millions of attributes may take thirty times their
/// bytes.
pub const MAX_MEMORY: usize = 32 << 20;

/// The columns of `lines`, which all have the source of the first, and what they are listed under. No line makes an empty
/// chunk.
pub fn encode(lines: &[&Line]) -> (Encoded, Terms) {
    let templates = Templates::of(lines);
    (encode::encode(lines, &templates), Terms::of(lines, &templates))
}

/// All lines of a chunk, as they were given to [`encode`].
pub fn decode(head: &[u8], data: &[u8]) -> Result<Vec<Line>, Error> {
    decode::lines(&Head::open(head)?, &Data::open(data)?, |_| true)
}

/// The lines of a chunk that are `wanted`, in order.
pub fn take(head: &[u8], data: &[u8], wanted: &Bits) -> Result<Vec<Line>, Error> {
    decode::lines(&Head::open(head)?, &Data::open(data)?, |at| wanted.contains(at))
}

/// Event times of the lines.
pub fn times(head: &[u8]) -> Result<Vec<i64>, Error> {
    Head::open(head)?.times()
}

/// Adds the fields of the lines that are `wanted`; `data` is opened for ids, and for lines of which the head does not say
/// all fields.
pub fn fields<'a>(
    head: &'a [u8],
    data: &dyn Fn() -> Result<&'a [u8], Error>,
    wanted: &Bits,
    found: &mut FieldList,
) -> Result<(), Error> {
    listing::fields(&Head::open(head)?, data, wanted, found)
}

/// The lines that match and whose times lie in `[start, end)`; `data` is opened where the head does not decide.
pub fn matching<'a>(
    head: &'a [u8],
    data: &dyn Fn() -> Result<&'a [u8], Error>,
    matcher: &Matcher,
    start: i64,
    end: i64,
) -> Result<Bits, Error> {
    let head = Head::open(head)?;
    let times = head.times()?;
    let within =
        Bits::of(head.count as u32, |at| times.get(at as usize).is_some_and(|time| (start..end).contains(time)));
    Scan::new(head, data).node(matcher.root(), &within)
}
