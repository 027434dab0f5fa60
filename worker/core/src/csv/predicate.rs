//! Whether a record passes the pushed-down filter.
//!
//! A comparison with NULL is not true. Where a literal is not of the column's type the record passes: a filter that is
//! pushed down may only leave out rows that it surely drops.

use std::cmp::Ordering;

use super::value::Value;
use crate::decode::predicate::{Literal, Predicate};

/// Evaluates a predicate; `value` gives the value of a column.
pub(super) fn passes<'a>(predicate: &Predicate, value: &impl Fn(usize) -> Value<'a>) -> bool {
    match predicate {
        Predicate::And(all) => all.iter().all(|part| passes(part, value)),
        Predicate::Or(any) => any.iter().any(|part| passes(part, value)),
        Predicate::IsNull { column, negated } => (value(*column) == Value::Null) != *negated,
        Predicate::Compare { column, op, literal } => match value(*column) {
            Value::Null => false,
            value => order(value, literal).is_none_or(|order| op.holds(order)),
        },
    }
}

/// Floats are in IEEE 754's total order, as in Arrow's comparisons.
fn order(value: Value<'_>, literal: &Literal) -> Option<Ordering> {
    Some(match (value, literal) {
        (Value::Text(value), Literal::Utf8(literal)) => value.as_bytes().cmp(literal.as_bytes()),
        (Value::Int64(value), Literal::Int64(literal)) => value.cmp(literal),
        (Value::Float64(value), Literal::Float64(literal)) => value.total_cmp(literal),
        (Value::Boolean(value), Literal::Boolean(literal)) => value.cmp(literal),
        _ => return None,
    })
}

/// The columns that a predicate reads.
pub(super) fn columns(predicate: &Predicate, out: &mut Vec<usize>) {
    match predicate {
        Predicate::And(parts) | Predicate::Or(parts) => parts.iter().for_each(|part| columns(part, out)),
        Predicate::IsNull { column, .. } | Predicate::Compare { column, .. } => out.push(*column),
    }
}
