//! What an alert's expression compares with a number, to be drawn beside what it compares.

use promql_parser::parser::token::{T_ADD, T_DIV, T_EQLC, T_GTE, T_GTR, T_LSS, T_LTE, T_MUL, T_NEQ, T_SUB, TokenId};
use promql_parser::parser::{BinaryExpr, Expr};

use super::lower::{tree, written};

/// `EXPR OP VALUE`, which is the whole of an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// What is compared.
    pub expr: String,
    /// `>`, `>=`, `<`, `<=`, `==` or `!=`; a number on the left side is put on the right.
    pub op: &'static str,
    /// The number.
    pub value: f64,
}

/// Of an expression whose top is a comparison with a number; one by `bool` chooses nothing.
pub(super) fn of(text: &str) -> Option<Threshold> {
    let whole = tree(text).ok()?;
    let Expr::Binary(binary) = bare(&whole) else { return None };
    let BinaryExpr { lhs, rhs, modifier, op } = binary;
    if modifier.as_ref().is_some_and(|modifier| modifier.return_bool) {
        return None;
    }
    let (compared, value, op) = match (number(rhs), number(lhs)) {
        (Some(value), None) => (lhs, value, name(op.id(), false)?),
        (None, Some(value)) => (rhs, value, name(op.id(), true)?),
        _ => return None,
    };
    let expr = written(bare(compared)).ok()?;
    // What the parser writes is only shown where it reads the same of it.
    (tree(&expr).ok()? == *bare(compared)).then_some(Threshold { expr, op, value })
}

fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Paren(paren) = expr {
        expr = &paren.expr;
    }
    expr
}

fn name(op: TokenId, is_swapped: bool) -> Option<&'static str> {
    Some(match (op, is_swapped) {
        (T_GTR, false) | (T_LSS, true) => ">",
        (T_GTE, false) | (T_LTE, true) => ">=",
        (T_LSS, false) | (T_GTR, true) => "<",
        (T_LTE, false) | (T_GTE, true) => "<=",
        (T_EQLC, _) => "==",
        (T_NEQ, _) => "!=",
        _ => return None,
    })
}

/// A number, as it is or as it is worked out of others: `0.5 * 1e9`.
fn number(expr: &Expr) -> Option<f64> {
    match bare(expr) {
        Expr::NumberLiteral(number) => Some(number.val),
        Expr::Unary(unary) => number(&unary.expr).map(|number| -number),
        Expr::Binary(binary) => {
            let (lhs, rhs) = (number(&binary.lhs)?, number(&binary.rhs)?);
            match binary.op.id() {
                T_ADD => Some(lhs + rhs),
                T_SUB => Some(lhs - rhs),
                T_MUL => Some(lhs * rhs),
                T_DIV => Some(lhs / rhs),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_comparison_with_a_number_then_both_sides_are_told_apart_and_all_else_has_no_threshold() {
        let p99 = "histogram_quantile(0.99, sum by (service) (rate(weir_call_duration_seconds[1m])))";
        let over = format!("{p99} > 1.2");
        let quantile = "histogram_quantile(0.99, sum by (service) (rate(weir_call_duration_seconds[1m])))";
        for (text, right) in [
            (over.as_str(), Some((quantile, ">", 1.2))),
            ("up == 0", Some(("up", "==", 0.0))),
            ("(up{a=\"x\\\\y\"} <= 2 * 1e3)", Some(("up{a=\"x\\\\y\"}", "<=", 2000.0))),
            ("5 < (a + b)", Some(("a + b", ">", 5.0))),
            ("a / b != -(1 / 4)", Some(("a / b", "!=", -0.25))),
            ("a > 5 > 3", Some(("a > 5", ">", 3.0))),
            ("a > b", None),
            ("a > bool 5", None),
            ("a > 5 and b > 3", None),
            ("absent(a)", None),
            ("a + 5", None),
            ("1 > bool 2", None),
            ("rate(", None),
        ] {
            let found = of(text);
            let found = found.as_ref().map(|found| (found.expr.as_str(), found.op, found.value));
            assert_eq!(found, right, "{text}");
        }
    }
}
