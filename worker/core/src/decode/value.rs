//! Values on their way from a record into the columns.

use std::borrow::Cow;

use super::number::NumberError;

/// A value of a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// Missing, or of another type than its use.
    Null,
    /// For `Boolean` columns.
    Boolean(bool),
    /// For `Int64` columns.
    Int64(i64),
    /// For `UInt64` columns.
    UInt64(u64),
    /// For `Float64` columns; finite.
    Float64(f64),
    /// For `Decimal` columns, times 10^9.
    Decimal(i128),
    /// For `Timestamp` columns, in microseconds since 1970.
    Timestamp(i64),
    /// For `Utf8` columns the text, for `Json` columns the JSON text.
    Text(Cow<'a, str>),
}

impl Value<'_> {
    /// How many bytes of text it has.
    pub(crate) fn n_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            _ => 0,
        }
    }

    /// The same, without what it borrows.
    pub(crate) fn into_static(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => Value::Boolean(value),
            Self::Int64(value) => Value::Int64(value),
            Self::UInt64(value) => Value::UInt64(value),
            Self::Float64(value) => Value::Float64(value),
            Self::Decimal(value) => Value::Decimal(value),
            Self::Timestamp(value) => Value::Timestamp(value),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
        }
    }
}

/// Why what stands in a record gives no value of the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is of another type.
    WrongType {
        /// What stands there.
        found: &'static str,
    },
    /// A number that the type cannot hold exactly.
    OutOfRange,
}

impl From<NumberError> for Fault {
    fn from(_: NumberError) -> Self {
        Self::OutOfRange
    }
}
