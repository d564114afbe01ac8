//! A chunk: up to [`MAX_LINES`] lines of one source in time order, the unit of the index. Its lines are kept as columns
//! ([`codec`]), and its words and fields are listed once, each with the number of lines that hold it ([`terms`]).

pub mod codec;
pub mod terms;

/// Most lines of a chunk.
pub const MAX_LINES: usize = 1024;

/// A chunk is closed when what its lines say reaches this size, so that reading one line never costs much more.
pub const MAX_BYTES: usize = 512 << 10;
