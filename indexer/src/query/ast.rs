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
