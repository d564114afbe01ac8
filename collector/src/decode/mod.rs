//! One physical line: CRI read in place, docker json into a text of its own (its escapes are undone). Nothing here
//! panics or keeps state, whatever the bytes.

pub mod cri;
pub mod docker;
pub mod json;
pub mod otlp_json;
pub mod repair;
mod timestamp;

pub use timestamp::{Clock, unix_nano};

/// Which of a container's outputs a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The value of `log.iostream`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"stdout" => Some(Self::Stdout),
            b"stderr" => Some(Self::Stderr),
            _ => None,
        }
    }
}
