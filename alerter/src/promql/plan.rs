//! What a query is made of: only what can be evaluated.

use super::functions::{Function, Kind};
use super::relabel::Relabel;
use crate::series::read::Matcher;

/// Between two evaluations of a subquery that does not say, in milliseconds; as Prometheus' default.
pub(super) const DEFAULT_RESOLUTION_MS: i64 = 60_000;

#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) root: Node,
    pub(super) selectors: Vec<Selector>,
    pub(super) subqueries: Vec<Subquery>,
    pub(super) resolution_ms: i64,
}

/// What is read from the store: `(t - back, t]`, where `t` is the time that the anchor makes of the time of evaluation.
#[derive(Debug, Clone)]
pub(super) struct Selector {
    pub(super) matchers: Vec<Matcher>,
    pub(super) back_ms: i64,
    pub(super) anchor: Anchor,
    /// Only the latest sample of the range counts.
    pub(super) is_instant: bool,
    /// The innermost subquery around it.
    pub(super) within: Option<usize>,
}

/// An expression evaluated at the multiples of its step in `(t - range, t]`.
#[derive(Debug, Clone)]
pub(super) struct Subquery {
    pub(super) of: Node,
    pub(super) range_ms: i64,
    pub(super) step_ms: Option<i64>,
    pub(super) anchor: Anchor,
    /// The innermost subquery around it.
    pub(super) within: Option<usize>,
}

/// `@` and `offset`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anchor {
    pub(super) at: At,
    pub(super) offset_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// The time of evaluation.
    Time,
    /// The first time of the whole query.
    Start,
    /// The last time of the whole query.
    End,
    /// Unix milliseconds.
    Fixed(i64),
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    Number(f64),
    Text(String),
    /// Index into [`Plan::selectors`].
    Selector(usize),
    /// A range vector; the argument of a function, or the whole query.
    Range(Source),
    Negate(Box<Node>),
    Binary(Box<Binary>),
    Aggregate(Box<Aggregate>),
    Relabel(Box<Relabel>),
    Call(Function, Vec<Node>),
}

/// Where a range vector comes from: an index into [`Plan::selectors`] or [`Plan::subqueries`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Selector(usize),
    Subquery(usize),
}

#[derive(Debug, Clone)]
pub(super) struct Binary {
    pub(super) op: Op,
    pub(super) lhs: Node,
    pub(super) rhs: Node,
    pub(super) returns_bool: bool,
    pub(super) on: bool,
    pub(super) labels: Vec<String>,
    pub(super) group: Group,
}

/// Which side may have many series to one of the other, and the labels taken over from the one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Group {
    None,
    Left(Vec<String>),
    Right(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
    Unless,
}

#[derive(Debug, Clone)]
pub(super) struct Aggregate {
    pub(super) op: Aggregation,
    pub(super) grouping: Grouping,
    pub(super) of: Node,
}

#[derive(Debug, Clone)]
pub(super) enum Aggregation {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stddev,
    Stdvar,
    /// The number of series wanted.
    Topk(Node),
    Bottomk(Node),
    /// The quantile wanted.
    Quantile(Node),
    /// The label that gets the value.
    CountValues(String),
}

#[derive(Debug, Clone)]
pub(super) enum Grouping {
    By(Vec<String>),
    Without(Vec<String>),
}

impl Anchor {
    /// The time that is looked at when the query from `start_ms` to `end_ms` is evaluated at `time_ms`.
    pub(super) fn time(self, time_ms: i64, start_ms: i64, end_ms: i64) -> i64 {
        let at = match self.at {
            At::Time => time_ms,
            At::Start => start_ms,
            At::End => end_ms,
            At::Fixed(ms) => ms,
        };
        at.saturating_sub(self.offset_ms)
    }
}

impl Node {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Number(_) => Kind::Scalar,
            Self::Text(_) => Kind::Text,
            Self::Selector(_) | Self::Aggregate(_) | Self::Relabel(_) => Kind::Vector,
            Self::Range(_) => Kind::Matrix,
            Self::Negate(of) => of.kind(),
            Self::Binary(binary) => {
                if binary.lhs.kind() == Kind::Scalar && binary.rhs.kind() == Kind::Scalar {
                    Kind::Scalar
                } else {
                    Kind::Vector
                }
            }
            Self::Call(function, _) => function.gives(),
        }
    }

    /// Whether the order of the series is part of the answer.
    pub(super) fn is_ordered(&self) -> bool {
        match self {
            Self::Aggregate(aggregate) => {
                matches!(aggregate.op, Aggregation::Topk(_) | Aggregation::Bottomk(_))
            }
            Self::Call(function, _) => matches!(function, Function::Sort | Function::SortDesc),
            _ => false,
        }
    }
}

impl Plan {
    /// How many milliseconds before the time of evaluation a selector's samples may lie; 0 where only the latest counts.
    pub(super) fn back_ms(&self, selector: &Selector) -> i64 {
        let mut back = if selector.is_instant { 0 } else { selector.back_ms };
        let (mut anchor, mut within) = (selector.anchor, selector.within);
        loop {
            if matches!(anchor.at, At::Fixed(_)) {
                return i64::MAX;
            }
            back = back.saturating_add(anchor.offset_ms.max(0));
            let Some(around) = within.and_then(|at| self.subqueries.get(at)) else { return back };
            back = back.saturating_add(around.range_ms);
            (anchor, within) = (around.anchor, around.within);
        }
    }
}

impl Op {
    pub(super) fn is_comparison(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual | Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual)
    }

    pub(super) fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}
