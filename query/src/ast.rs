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
    /// A field (`body` for a bare word) and what it must be. A name with `*` in it is any field that is named so.
    Field(String, Test),
}

/// What a field must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// In the body: this text's words in a row. Elsewhere: this value, letters of either case, numbers by value, and of an
    /// address block (`10.0.0.0/8`) any address in it.
    Is(String),
    /// This text's words, moved by so many places in all at most, as Lucene counts them (`"a b"~2`).
    Near(String, u32),
    /// A pattern of `*` (any run) and `?` (one character): of a word of the body, or of the whole value.
    Glob(String),
    /// A regular expression: of a stretch of the body from the edge of a word to the edge of a word, or of the whole value.
    Regex(String),
    /// A word, or a value, that becomes this one by so many letters put in, left out, changed, or swapped with the next.
    Fuzzy(String, u8),
    /// The field is there.
    Exists,
    /// Between the bounds; numbers by value, addresses by theirs, other text by its letters of either case.
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

impl Query {
    /// What matches nothing.
    pub fn nothing() -> Self {
        Self::Not(Box::new(Self::All))
    }

    /// Calls `each` with every field and its test.
    pub fn each_field<'a>(&'a self, each: &mut impl FnMut(&'a str, &'a Test)) {
        match self {
            Self::All => {}
            Self::And(queries) | Self::Or(queries) => queries.iter().for_each(|query| query.each_field(each)),
            Self::Not(query) => query.each_field(each),
            Self::Field(name, test) => each(name, test),
        }
    }
}

impl Test {
    /// Least and greatest number that the test takes, whose texts `read` makes numbers: first and last of those that a
    /// text stands for. All numbers, where it is a pattern or asks whether the field is there.
    pub fn interval<E>(&self, read: impl Fn(&str) -> Result<(i64, i64), E>) -> Result<(i64, i64), E> {
        let (low, high) = match self {
            Self::Is(text) => return read(text),
            Self::Range(low, high) => (low, high),
            _ => return Ok((i64::MIN, i64::MAX)),
        };
        let low = match low {
            Bound::Open => i64::MIN,
            Bound::Including(text) => read(text)?.0,
            Bound::Excluding(text) => read(text)?.1.saturating_add(1),
        };
        let high = match high {
            Bound::Open => i64::MAX,
            Bound::Including(text) => read(text)?.1,
            Bound::Excluding(text) => read(text)?.0.saturating_sub(1),
        };
        Ok((low, high))
    }
}
