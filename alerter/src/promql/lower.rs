//! From the parser's tree to a plan; what cannot be evaluated is refused here, by name.

use std::time::{Duration, SystemTime};

use promql_parser::label::MatchOp as ParsedOp;
use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_AVG, T_BOTTOMK, T_COUNT, T_COUNT_VALUES, T_DIV, T_EQLC, T_GROUP, T_GTE, T_GTR, T_LAND, T_LOR,
    T_LSS, T_LTE, T_LUNLESS, T_MAX, T_MIN, T_MOD, T_MUL, T_NEQ, T_POW, T_QUANTILE, T_STDDEV, T_STDVAR, T_SUB, T_SUM,
    T_TOPK, TokenId,
};
use promql_parser::parser::{
    self, AggregateExpr, AtModifier, Call, Expr, LabelModifier, Offset, SubqueryExpr, VectorMatchCardinality,
    VectorSelector,
};

use super::functions::{Function, Kind};
use super::plan::{
    Aggregate, Aggregation, Anchor, At, Binary, DEFAULT_RESOLUTION_MS, Group, Grouping, Node, Op, Plan, Selector,
    Source, Subquery,
};
use super::relabel::Relabel;
use super::tokens::{self, MAX_RANGE_MS};
use super::{Error, LOOKBACK_MS, MAX_DEPTH, MAX_QUERY_BYTES};
use crate::series::read::{MatchOp, Matcher};

/// Reads and checks an expression.
pub(super) fn parse(text: &str) -> Result<Plan, Error> {
    lower(&tree(text)?)
}

/// The expression as Prometheus lays it out, once it was checked.
pub(super) fn pretty(text: &str) -> Result<String, Error> {
    let tree = tree(text)?;
    lower(&tree)?;
    laid_out(|| tree.prettify())
}

/// An expression as the parser writes it.
pub(super) fn written(tree: &Expr) -> Result<String, Error> {
    laid_out(|| tree.to_string())
}

fn laid_out(lay: impl FnOnce() -> String) -> Result<String, Error> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(lay))
        .map_err(|_| Error::Parse("the parser gave up on laying it out".to_owned()))
}

pub(super) fn tree(text: &str) -> Result<Expr, Error> {
    if text.len() > MAX_QUERY_BYTES {
        return Err(Error::Limit { what: "bytes", limit: MAX_QUERY_BYTES as u64 });
    }
    let text = tokens::prepare(text)?;
    // The grammar's actions are foreign code that is known to panic on some numbers; what the check above does not
    // know must not end the program either.
    std::panic::catch_unwind(|| parser::parse(&text))
        .map_err(|_| Error::Parse("the parser gave up on it".to_owned()))?
        .map_err(Error::Parse)
}

fn lower(tree: &Expr) -> Result<Plan, Error> {
    let plan = Plan {
        root: Node::Number(0.0),
        selectors: Vec::new(),
        subqueries: Vec::new(),
        resolution_ms: DEFAULT_RESOLUTION_MS,
    };
    let mut lowering = Lowering { plan, within: None };
    let root = lowering.lower(tree, 0)?;
    Ok(Plan { root, ..lowering.plan })
}

struct Lowering {
    plan: Plan,
    /// The subquery that is being read.
    within: Option<usize>,
}

impl Lowering {
    fn lower(&mut self, expr: &Expr, depth: usize) -> Result<Node, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::Limit { what: "nested expressions", limit: MAX_DEPTH as u64 });
        }
        match expr {
            Expr::NumberLiteral(number) => Ok(Node::Number(number.val)),
            Expr::StringLiteral(text) => Ok(Node::Text(text.val.clone())),
            Expr::Paren(paren) => self.lower(&paren.expr, depth + 1),
            Expr::Subquery(subquery) => self.subquery(subquery, depth),
            Expr::Extension(extension) => Err(unsupported("extension", extension.expr.name())),
            Expr::VectorSelector(selector) => Ok(Node::Selector(self.selector(selector, None)?)),
            Expr::MatrixSelector(selector) => {
                let range = positive(selector.range)?;
                Ok(Node::Range(Source::Selector(self.selector(&selector.vs, Some(range))?)))
            }
            Expr::Unary(unary) => {
                let of = self.lower(&unary.expr, depth + 1)?;
                if !matches!(of.kind(), Kind::Scalar | Kind::Vector) {
                    return Err(Error::Type(format!("{} has no sign", of.kind().name())));
                }
                Ok(Node::Negate(Box::new(of)))
            }
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, depth),
            Expr::Call(call) => self.call(call, depth),
            Expr::Binary(binary) => self.binary(binary, depth),
        }
    }

    fn call(&mut self, call: &Call, depth: usize) -> Result<Node, Error> {
        let name = call.func.name;
        let (function, signature) = Function::named(name).ok_or_else(|| unsupported("function", name))?;
        let arguments = call.args.args.iter().map(|arg| self.lower(arg, depth + 1)).collect::<Result<Vec<_>, _>>()?;
        signature.check(name, &arguments)?;
        match function {
            Function::LabelReplace | Function::LabelJoin => {
                Ok(Node::Relabel(Box::new(Relabel::new(function == Function::LabelReplace, arguments)?)))
            }
            _ => Ok(Node::Call(function, arguments)),
        }
    }

    fn aggregate(&mut self, aggregate: &AggregateExpr, depth: usize) -> Result<Node, Error> {
        let op = &aggregate.op;
        let wrong = |what: &str| Error::Type(format!("{op} takes {what}"));
        let parameter = match &aggregate.param {
            Some(parameter) => Some(self.lower(parameter, depth + 1)?),
            None => None,
        };
        let number = |parameter: Option<Node>| {
            parameter.filter(|node| node.kind() == Kind::Scalar).ok_or_else(|| wrong("a scalar, then a vector"))
        };
        let is_plain = parameter.is_none();
        let made = match op.id() {
            T_SUM => Aggregation::Sum,
            T_AVG => Aggregation::Avg,
            T_MIN => Aggregation::Min,
            T_MAX => Aggregation::Max,
            T_COUNT => Aggregation::Count,
            T_GROUP => Aggregation::Group,
            T_STDDEV => Aggregation::Stddev,
            T_STDVAR => Aggregation::Stdvar,
            T_TOPK => Aggregation::Topk(number(parameter)?),
            T_BOTTOMK => Aggregation::Bottomk(number(parameter)?),
            T_QUANTILE => Aggregation::Quantile(number(parameter)?),
            T_COUNT_VALUES => match parameter {
                Some(Node::Text(label)) if !label.is_empty() => Aggregation::CountValues(label),
                _ => return Err(wrong("the name of a label as a string, then a vector")),
            },
            _ => return Err(unsupported("aggregation", &op.to_string())),
        };
        let takes = matches!(
            made,
            Aggregation::Topk(_) | Aggregation::Bottomk(_) | Aggregation::Quantile(_) | Aggregation::CountValues(_)
        );
        if is_plain == takes {
            return Err(wrong(if takes { "a parameter" } else { "no parameter" }));
        }
        let of = self.lower(&aggregate.expr, depth + 1)?;
        if of.kind() != Kind::Vector {
            return Err(wrong("an instant vector"));
        }
        let grouping = match &aggregate.modifier {
            None => Grouping::By(Vec::new()),
            Some(LabelModifier::Include(labels)) => Grouping::By(labels.labels.clone()),
            Some(LabelModifier::Exclude(labels)) => Grouping::Without(labels.labels.clone()),
        };
        Ok(Node::Aggregate(Box::new(Aggregate { op: made, grouping, of })))
    }

    fn binary(&mut self, binary: &parser::BinaryExpr, depth: usize) -> Result<Node, Error> {
        let op = op(binary.op.id()).ok_or_else(|| unsupported("operator", &binary.op.to_string()))?;
        let lhs = self.lower(&binary.lhs, depth + 1)?;
        let rhs = self.lower(&binary.rhs, depth + 1)?;
        for side in [lhs.kind(), rhs.kind()] {
            if !matches!(side, Kind::Scalar | Kind::Vector) || (op.is_set() && side != Kind::Vector) {
                return Err(Error::Type(format!("{} does not take {}", binary.op, side.name())));
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

    fn subquery(&mut self, subquery: &SubqueryExpr, depth: usize) -> Result<Node, Error> {
        let made = Subquery {
            of: Node::Number(0.0),
            range_ms: positive(subquery.range)?,
            step_ms: subquery.step.map(positive).transpose()?,
            anchor: anchor(subquery.at.as_ref(), subquery.offset.as_ref())?,
            within: self.within,
        };
        let at = self.plan.subqueries.len();
        self.plan.subqueries.push(made);
        let around = self.within.replace(at);
        let of = self.lower(&subquery.expr, depth + 1)?;
        self.within = around;
        if of.kind() != Kind::Vector {
            return Err(Error::Type(format!("a subquery is of an instant vector, not of {}", of.kind().name())));
        }
        self.plan.subqueries[at].of = of;
        Ok(Node::Range(Source::Subquery(at)))
    }

    fn selector(&mut self, selector: &VectorSelector, range_ms: Option<i64>) -> Result<usize, Error> {
        if !selector.matchers.or_matchers.is_empty() {
            return Err(unsupported("matcher", "or"));
        }
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
        self.plan.selectors.push(Selector {
            matchers,
            back_ms: range_ms.unwrap_or(LOOKBACK_MS),
            anchor: anchor(selector.at.as_ref(), selector.offset.as_ref())?,
            is_instant: range_ms.is_none(),
            within: self.within,
        });
        Ok(self.plan.selectors.len() - 1)
    }
}

fn unsupported(kind: &'static str, name: &str) -> Error {
    Error::Unsupported { kind, name: name.to_owned() }
}

fn anchor(at: Option<&AtModifier>, offset: Option<&Offset>) -> Result<Anchor, Error> {
    let at = match at {
        None => At::Time,
        Some(AtModifier::Start) => At::Start,
        Some(AtModifier::End) => At::End,
        Some(AtModifier::At(time)) => At::Fixed(unix_ms(*time)?),
    };
    let offset_ms = match offset {
        None => 0,
        Some(Offset::Pos(offset)) => millis(*offset)?,
        Some(Offset::Neg(offset)) => -millis(*offset)?,
    };
    Ok(Anchor { at, offset_ms })
}

fn unix_ms(time: SystemTime) -> Result<i64, Error> {
    let far = |_| Error::Type("the time behind @ is out of range".to_owned());
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).map_err(far),
        Err(before) => i64::try_from(before.duration().as_millis()).map(|ms| -ms).map_err(far),
    }
}

fn positive(duration: Duration) -> Result<i64, Error> {
    match millis(duration)? {
        0 => Err(Error::Type("ranges and steps must be longer than 0".to_owned())),
        ms => Ok(ms),
    }
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
