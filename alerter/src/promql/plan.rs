//! From the parser's tree to one that holds only what can be evaluated.

use std::time::Duration;

use promql_parser::label::MatchOp as ParsedOp;
use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_AVG, T_COUNT, T_DIV, T_EQLC, T_GROUP, T_GTE, T_GTR, T_LAND, T_LOR, T_LSS, T_LTE, T_LUNLESS,
    T_MAX, T_MIN, T_MOD, T_MUL, T_NEQ, T_POW, T_SUB, T_SUM, TokenId,
};
use promql_parser::parser::{self, Expr, LabelModifier, Offset, VectorMatchCardinality, VectorSelector};

use super::functions::Function;
use super::{Error, LOOKBACK_MS, MAX_DEPTH, MAX_QUERY_BYTES};
use crate::series::read::{MatchOp, Matcher};

/// Ten years: longer ranges and offsets are mistakes.
const MAX_RANGE_MS: u128 = 10 * 365 * 86_400_000;

#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) root: Node,
    pub(super) selectors: Vec<Selector>,
}

/// What is read from the store: `(t - offset - back, t - offset]`.
#[derive(Debug, Clone)]
pub(super) struct Selector {
    pub(super) matchers: Vec<Matcher>,
    pub(super) back_ms: i64,
    pub(super) offset_ms: i64,
    /// Only the latest sample of the range counts.
    pub(super) is_instant: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    Number(f64),
    /// Index into [`Plan::selectors`].
    Selector(usize),
    /// A range vector; only ever the argument of a function.
    Range(usize),
    Negate(Box<Node>),
    Binary(Box<Binary>),
    Aggregate {
        op: Aggregation,
        grouping: Grouping,
        of: Box<Node>,
    },
    Call(Function, Vec<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar,
    Vector,
    Matrix,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregation {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
}

#[derive(Debug, Clone)]
pub(super) enum Grouping {
    By(Vec<String>),
    Without(Vec<String>),
}

impl Node {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Number(_) => Kind::Scalar,
            Self::Selector(_) | Self::Aggregate { .. } => Kind::Vector,
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
}

pub(super) fn parse(text: &str) -> Result<Plan, Error> {
    if text.len() > MAX_QUERY_BYTES {
        return Err(Error::Limit { what: "bytes", limit: MAX_QUERY_BYTES as u64 });
    }
    check_tokens(text)?;
    // The grammar's actions are foreign code that is known to panic on some numbers; what the check above does not
    // know must not end the program either.
    let parsed = std::panic::catch_unwind(|| parser::parse(text))
        .map_err(|_| Error::Parse("the parser gave up on it".to_owned()))?
        .map_err(Error::Parse)?;
    let mut plan = Plan { root: Node::Number(0.0), selectors: Vec::new() };
    plan.root = plan.lower(&parsed, 0)?;
    if plan.root.kind() == Kind::Matrix {
        return Err(Error::Type("a range vector must be the argument of a function such as rate()".to_owned()));
    }
    Ok(plan)
}

/// The parser converts bare numbers that stand for durations with a function that panics outside of its range, and
/// recurses over parentheses; both are refused before it sees them.
fn check_tokens(text: &str) -> Result<(), Error> {
    let (mut open, mut in_range, mut as_duration) = (0_usize, false, false);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        match first {
            '"' | '\'' | '`' => {
                let mut escaped = false;
                let end = rest.char_indices().skip(1).find(|&(_, c)| {
                    let ends = c == first && !escaped;
                    escaped = c == '\\' && !escaped && first != '`';
                    ends
                });
                length = end.map_or(rest.len(), |(at, _)| at + 1);
                as_duration = false;
            }
            '#' => length = rest.find('\n').unwrap_or(rest.len()),
            '(' => {
                open += 1;
                if open > MAX_DEPTH {
                    return Err(Error::Limit { what: "nested expressions", limit: MAX_DEPTH as u64 });
                }
            }
            ')' => open = open.saturating_sub(1),
            '[' => (in_range, as_duration) = (true, true),
            ']' => (in_range, as_duration) = (false, false),
            ':' if in_range => as_duration = true,
            '+' | '-' => {}
            _ if first.is_whitespace() => {}
            _ if first.is_ascii_alphanumeric() || matches!(first, '_' | '.') => {
                let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
                // The sign of an exponent is part of the number.
                let mut before = ' ';
                length = rest
                    .find(|c: char| {
                        let inside = word(c) || (matches!(c, '+' | '-') && matches!(before, 'e' | 'E'));
                        before = c;
                        !inside
                    })
                    .unwrap_or(rest.len());
                let token = &rest[..length];
                if as_duration
                    && let Ok(seconds) = token.replace('_', "").parse::<f64>()
                    && !(seconds >= 0.0 && seconds * 1000.0 <= MAX_RANGE_MS as f64)
                {
                    return Err(Error::Type(format!("«{token}» is not a duration")));
                }
                as_duration = token.eq_ignore_ascii_case("offset");
            }
            _ => as_duration = false,
        }
        rest = &rest[length..];
    }
    Ok(())
}

impl Plan {
    fn lower(&mut self, expr: &Expr, depth: usize) -> Result<Node, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::Limit { what: "nested expressions", limit: MAX_DEPTH as u64 });
        }
        match expr {
            Expr::NumberLiteral(number) => Ok(Node::Number(number.val)),
            Expr::StringLiteral(text) => Err(unsupported("string", &format!("{:?}", text.val))),
            Expr::Paren(paren) => self.lower(&paren.expr, depth + 1),
            Expr::Subquery(subquery) => Err(unsupported("subquery", &subquery.to_string())),
            Expr::Extension(extension) => Err(unsupported("extension", extension.expr.name())),
            Expr::VectorSelector(selector) => Ok(Node::Selector(self.selector(selector, None)?)),
            Expr::MatrixSelector(selector) => {
                let range = millis(selector.range)?;
                if range == 0 {
                    return Err(Error::Type("the range of a selector must be longer than 0".to_owned()));
                }
                Ok(Node::Range(self.selector(&selector.vs, Some(range))?))
            }
            Expr::Unary(unary) => {
                let of = self.lower(&unary.expr, depth + 1)?;
                if of.kind() == Kind::Matrix {
                    return Err(Error::Type("a range vector has no sign".to_owned()));
                }
                Ok(Node::Negate(Box::new(of)))
            }
            Expr::Aggregate(aggregate) => {
                let op = match aggregate.op.id() {
                    T_SUM => Aggregation::Sum,
                    T_AVG => Aggregation::Avg,
                    T_MIN => Aggregation::Min,
                    T_MAX => Aggregation::Max,
                    T_COUNT => Aggregation::Count,
                    T_GROUP => Aggregation::Group,
                    _ => return Err(unsupported("aggregation", &aggregate.op.to_string())),
                };
                if aggregate.param.is_some() {
                    return Err(Error::Type(format!("{} takes no parameter", aggregate.op)));
                }
                let of = self.lower(&aggregate.expr, depth + 1)?;
                if of.kind() != Kind::Vector {
                    return Err(Error::Type(format!("{} takes an instant vector", aggregate.op)));
                }
                let grouping = match &aggregate.modifier {
                    None => Grouping::By(Vec::new()),
                    Some(LabelModifier::Include(labels)) => Grouping::By(labels.labels.clone()),
                    Some(LabelModifier::Exclude(labels)) => Grouping::Without(labels.labels.clone()),
                };
                Ok(Node::Aggregate { op, grouping, of: Box::new(of) })
            }
            Expr::Call(call) => {
                let function =
                    Function::named(call.func.name).ok_or_else(|| unsupported("function", call.func.name))?;
                let arguments =
                    call.args.args.iter().map(|arg| self.lower(arg, depth + 1)).collect::<Result<Vec<_>, _>>()?;
                function.check(call.func.name, &arguments)?;
                Ok(Node::Call(function, arguments))
            }
            Expr::Binary(binary) => self.binary(binary, depth),
        }
    }

    fn binary(&mut self, binary: &parser::BinaryExpr, depth: usize) -> Result<Node, Error> {
        let op = op(binary.op.id()).ok_or_else(|| unsupported("operator", &binary.op.to_string()))?;
        let lhs = self.lower(&binary.lhs, depth + 1)?;
        let rhs = self.lower(&binary.rhs, depth + 1)?;
        for side in [&lhs, &rhs] {
            if side.kind() == Kind::Matrix || (op.is_set() && side.kind() != Kind::Vector) {
                return Err(Error::Type(format!("{} does not take this operand", binary.op)));
            }
        }
        let mut made = Binary { op, lhs, rhs, returns_bool: false, on: false, labels: Vec::new(), group: Group::None };
        if let Some(modifier) = &binary.modifier {
            if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
                return Err(unsupported("modifier", "fill"));
            }
            made.returns_bool = modifier.return_bool;
            if let Some(matching) = &modifier.matching {
                made.on = matching.is_include();
                made.labels.clone_from(&matching.labels().labels);
            }
            made.group = match &modifier.card {
                VectorMatchCardinality::ManyToOne(labels) => Group::Left(labels.labels.clone()),
                VectorMatchCardinality::OneToMany(labels) => Group::Right(labels.labels.clone()),
                VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => Group::None,
            };
        }
        let scalars = made.lhs.kind() == Kind::Scalar && made.rhs.kind() == Kind::Scalar;
        if op.is_comparison() && scalars && !made.returns_bool {
            return Err(Error::Type("comparisons between scalars must use bool".to_owned()));
        }
        if made.returns_bool && !op.is_comparison() {
            return Err(Error::Type("bool is only for comparisons".to_owned()));
        }
        if op.is_set() && made.group != Group::None {
            return Err(Error::Type("no grouping with and, or, unless".to_owned()));
        }
        Ok(Node::Binary(Box::new(made)))
    }

    fn selector(&mut self, selector: &VectorSelector, range_ms: Option<i64>) -> Result<usize, Error> {
        if !selector.matchers.or_matchers.is_empty() {
            return Err(unsupported("matcher", "or"));
        }
        if let Some(at) = &selector.at {
            return Err(unsupported("modifier", &at.to_string()));
        }
        let offset_ms = match &selector.offset {
            None => 0,
            Some(Offset::Pos(offset)) => millis(*offset)?,
            Some(Offset::Neg(offset)) => -millis(*offset)?,
        };
        let mut matchers = Vec::with_capacity(selector.matchers.matchers.len() + 1);
        if let Some(name) = &selector.name {
            matchers.push(Matcher { name: "__name__".to_owned(), op: MatchOp::Equal, value: name.clone() });
        }
        for matcher in &selector.matchers.matchers {
            let (op, pattern) = match &matcher.op {
                ParsedOp::Equal => (MatchOp::Equal, None),
                ParsedOp::NotEqual => (MatchOp::NotEqual, None),
                ParsedOp::Re(regex) => (MatchOp::Match, Some(regex)),
                ParsedOp::NotRe(regex) => (MatchOp::NoMatch, Some(regex)),
            };
            // Go allows a brace that repeats nothing; the parser has escaped it in the pattern that it compiled.
            let value = match pattern {
                Some(regex) if regex::Regex::new(&matcher.value).is_err() => regex.as_str().to_owned(),
                _ => matcher.value.clone(),
            };
            let made = Matcher { name: matcher.name.clone(), op, value };
            if !matchers.contains(&made) {
                matchers.push(made);
            }
        }
        let back_ms = range_ms.unwrap_or(LOOKBACK_MS);
        self.selectors.push(Selector { matchers, back_ms, offset_ms, is_instant: range_ms.is_none() });
        Ok(self.selectors.len() - 1)
    }
}

fn unsupported(kind: &'static str, name: &str) -> Error {
    Error::Unsupported { kind, name: name.to_owned() }
}

fn millis(duration: Duration) -> Result<i64, Error> {
    let millis = duration.as_millis();
    if millis > MAX_RANGE_MS {
        return Err(Error::Type("ranges and offsets are at most ten years".to_owned()));
    }
    Ok(millis as i64)
}

fn op(id: TokenId) -> Option<Op> {
    Some(match id {
        T_ADD => Op::Add,
        T_SUB => Op::Sub,
        T_MUL => Op::Mul,
        T_DIV => Op::Div,
        T_MOD => Op::Mod,
        T_POW => Op::Pow,
        T_ATAN2 => Op::Atan2,
        T_EQLC => Op::Equal,
        T_NEQ => Op::NotEqual,
        T_LSS => Op::Less,
        T_LTE => Op::LessEqual,
        T_GTR => Op::Greater,
        T_GTE => Op::GreaterEqual,
        T_LAND => Op::And,
        T_LOR => Op::Or,
        T_LUNLESS => Op::Unless,
        _ => return None,
    })
}

impl Op {
    pub(super) fn is_comparison(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual | Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual)
    }

    pub(super) fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}
