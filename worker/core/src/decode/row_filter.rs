//! Whether a row passes the pushed-down filter.
//!
//! A comparison with NULL is not true. Where a literal is not of the column's type the record passes: a filter that is
//! pushed down may only leave out rows that it surely drops.

use std::cmp::Ordering;

use super::predicate::{Literal, Predicate};
use super::value::Value;

/// Evaluates a predicate; `values` has one a column.
pub(crate) fn passes(predicate: &Predicate, values: &[Value<'_>]) -> bool {
    match predicate {
        Predicate::And(all) => all.iter().all(|part| passes(part, values)),
        Predicate::Or(any) => any.iter().any(|part| passes(part, values)),
        Predicate::IsNull { column, negated } => is_null(values.get(*column)) != *negated,
        Predicate::Compare { column, op, literal } => match values.get(*column) {
            None | Some(Value::Null) => false,
            Some(value) => order(value, literal).is_none_or(|order| op.holds(order)),
        },
    }
}

fn is_null(value: Option<&Value<'_>>) -> bool {
    matches!(value, None | Some(Value::Null))
}

/// Floats are in IEEE 754's total order, as in Arrow's comparisons.
fn order(value: &Value<'_>, literal: &Literal) -> Option<Ordering> {
    Some(match (value, literal) {
        (Value::Text(value), Literal::Utf8(literal)) => value.as_bytes().cmp(literal.as_bytes()),
        (Value::Int64(value), Literal::Int64(literal)) => value.cmp(literal),
        (Value::Float64(value), Literal::Float64(literal)) => value.total_cmp(literal),
        (Value::Boolean(value), Literal::Boolean(literal)) => value.cmp(literal),
        _ => return None,
    })
}

/// The columns that a predicate reads.
pub(crate) fn columns(predicate: &Predicate, out: &mut Vec<usize>) {
    match predicate {
        Predicate::And(parts) | Predicate::Or(parts) => parts.iter().for_each(|part| columns(part, out)),
        Predicate::IsNull { column, .. } | Predicate::Compare { column, .. } => out.push(*column),
    }
}
