use std::fmt;
use std::str::FromStr;

/// Where a record came from: a byte range of one generation of a file, written `file/<identity>/<start>-<end>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Stable for one generation of a file; 1 to 128 characters of `[A-Za-z0-9._-]`.
    pub identity: String,
    /// First byte.
    pub start: u64,
    /// Behind the last byte; at least `start`.
    pub end: u64,
}

/// The text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no origin: expected file/<identity>/<start>-<end>")]
pub struct OriginError(String);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file/{}/{}-{}", self.identity, self.start, self.end)
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| OriginError(text.chars().take(200).collect()))
    }
}

fn parse(text: &str) -> Option<Origin> {
    let (identity, range) = text.strip_prefix("file/")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let origin = Origin { identity: identity.to_owned(), start: number(start)?, end: number(end)? };
    let sound = (1..=128).contains(&identity.len()) && identity.chars().all(plain) && origin.start <= origin.end;
    sound.then_some(origin)
}

/// Digits alone: `u64::from_str` would take a sign too.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_reads_back_as_it_was_written() {
        let origin = Origin { identity: "fd00-1a2b.3_c".into(), start: 7, end: 4096 };
        assert_eq!(origin.to_string(), "file/fd00-1a2b.3_c/7-4096");
        assert_eq!(origin.to_string().parse(), Ok(origin));
    }

    #[test]
    fn what_is_no_origin_is_refused_by_name() {
        for text in ["", "file/", "file/a/1", "file/a/2-1", "file//1-2", "otlp/a/1-2", "file/a b/1-2", "file/a/+1-2"] {
            let error = text.parse::<Origin>().unwrap_err();
            assert!(error.to_string().contains("file/<identity>/<start>-<end>"), "{error}");
        }
    }
}
