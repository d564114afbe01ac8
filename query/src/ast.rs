//! The tree of a query.

/// One query.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// Everything.
    All,
    /// All of them.
    And(Vec<Query>),
    /// Any of them.
    Or(Vec<Query>),
    /// Not this.
    Not(Box<Query>),
    /// A field (`body` for a bare word) and what it must be.
    Field(String, Test),
}

/// What a field must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// In the body: this text's words in a row. Elsewhere: this value, letters of either case.
    Is(String),
    /// A pattern of `*` (any run) and `?` (one character): of a word of the body, or of the whole value.
    Glob(String),
    /// The field is there.
    Exists,
    /// Between the bounds; numbers by value, other text by its bytes.
    Range(Bound, Bound),
}

/// One end of a range.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// Without limit.
    Open,
    /// With the value.
    Including(String),
    /// Without the value.
    Excluding(String),
}

impl Test {
    /// Least and greatest number that the test takes, whose texts `read` makes numbers; all numbers, where it is a
    /// pattern or asks whether the field is there.
    pub(crate) fn interval<E>(&self, read: impl Fn(&str) -> Result<i64, E>) -> Result<(i64, i64), E> {
        let (low, high) = match self {
            Self::Is(text) => return read(text).map(|number| (number, number)),
            Self::Range(low, high) => (low, high),
            Self::Glob(_) | Self::Exists => return Ok((i64::MIN, i64::MAX)),
        };
        let low = match low {
            Bound::Open => i64::MIN,
            Bound::Including(text) => read(text)?,
            Bound::Excluding(text) => read(text)?.saturating_add(1),
        };
        let high = match high {
            Bound::Open => i64::MAX,
            Bound::Including(text) => read(text)?,
            Bound::Excluding(text) => read(text)?.saturating_sub(1),
        };
        Ok((low, high))
    }
}
