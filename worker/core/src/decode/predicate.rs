//! Filters that a decoder can apply to a record before it builds columns.

use std::cmp::Ordering;

/// A condition on columns of [`super::RecordSchema::columns`]. A comparison with NULL is not true.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    /// All are true.
    And(Vec<Predicate>),
    /// At least one is true.
    Or(Vec<Predicate>),
    /// `column op literal`.
    Compare {
        /// Index of the column.
        column: usize,
        /// The comparison.
        op: CompareOp,
        /// What the column is compared with; of the column's type.
        literal: Literal,
    },
    /// `column IS NULL`, or `IS NOT NULL` if `negated`.
    IsNull {
        /// Index of the column.
        column: usize,
        /// IS NOT NULL.
        negated: bool,
    },
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// `=`
    Eq,
    /// `<>`
    NotEq,
    /// `<`
    Lt,
    /// `<=`
    LtEq,
    /// `>`
    Gt,
    /// `>=`
    GtEq,
}

impl CompareOp {
    /// Whether it is true of two values in this order.
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::NotEq => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::LtEq => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::GtEq => order.is_ge(),
        }
    }
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// For `Utf8` columns; compared by bytes.
    Utf8(String),
    /// For `Int64` columns.
    Int64(i64),
    /// For `Float64` columns.
    Float64(f64),
    /// For `Boolean` columns.
    Boolean(bool),
}
