//! Turns what a walk found into a value of a type.
//!
//! Says whether that can be done; what it means if not is said in [`super::field`].

use tocsin_contract::pipeline::source::TimeUnit;

use super::escape::unescape;
use super::number::{short_float, short_integer};
use super::scan::Input;
use super::slots::{Kind, Slot};
use crate::decode::ColumnType;
use crate::decode::number;
use crate::decode::time::{self, TimeError};

/// A value of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// NULL.
    Null,
    /// For `Boolean`.
    Boolean(bool),
    /// For `Int64`, and for `Timestamp` in microseconds.
    Int64(i64),
    /// For `UInt64`.
    UInt64(u64),
    /// For `Float64`.
    Float64(f64),
    /// For `Decimal`, in units of the last digit.
    Decimal(i128),
    /// For `Utf8` and `Json`.
    Text(&'a [u8]),
}

/// Why a value is not of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// This was found instead.
    Type(&'static str),
    /// The type cannot hold the number.
    Range,
}

/// The value of a type. Text with escapes goes to `room`.
#[inline(always)]
pub(super) fn value<'a>(
    ty: ColumnType,
    slot: &Slot,
    input: Input<'a>,
    room: &'a mut Vec<u8>,
) -> Result<Value<'a>, Mismatch> {
    if slot.is_null() {
        return Ok(Value::Null);
    }
    let is_number = matches!(slot.kind, Kind::Integer | Kind::Number);
    match (ty, slot.kind) {
        (ColumnType::Utf8, Kind::Text) => Ok(Value::Text(slot.content(input))),
        (ColumnType::Utf8, Kind::Escaped) => Ok(Value::Text(without_escapes(slot, input, room))),
        (ColumnType::Boolean, Kind::True) => Ok(Value::Boolean(true)),
        (ColumnType::Boolean, Kind::False) => Ok(Value::Boolean(false)),
        (ColumnType::Json, _) => Ok(Value::Text(slot.json(input))),
        (ColumnType::Timestamp(unit), _) => match time(slot, unit, input, room) {
            Ok(time) => Ok(Value::Int64(time)),
            Err(TimeError::Fraction | TimeError::OutOfRange) => Err(Mismatch::Range),
            Err(TimeError::NotRfc3339) if matches!(slot.kind, Kind::Text | Kind::Escaped) => {
                Err(Mismatch::Type("a string that is not an RFC 3339 time"))
            }
            Err(TimeError::NotRfc3339) => Err(Mismatch::Type(slot.found())),
        },
        (ColumnType::Int64, _) if is_number => int64(slot, input).map(Value::Int64),
        (ColumnType::Float64, _) if is_number => float64(slot, input).map(Value::Float64),
        (ColumnType::UInt64, _) if is_number => number::uint64(slot.content(input))
            .map(Value::UInt64)
            .map_err(|_| Mismatch::Range),
        (ColumnType::Decimal, _) if is_number => number::decimal(slot.content(input))
            .map(Value::Decimal)
            .map_err(|_| Mismatch::Range),
        _ => Err(Mismatch::Type(slot.found())),
    }
}

/// The time of a value, in microseconds since 1970.
#[inline(always)]
pub(super) fn time(slot: &Slot, unit: TimeUnit, input: Input<'_>, room: &mut Vec<u8>) -> Result<i64, TimeError> {
    if slot.kind == Kind::Integer
        && let Some(number) = short_integer(input, slot.start, slot.end)
    {
        return time::from_short(number, unit);
    }
    odd_time(slot, unit, input, room)
}

#[inline(never)]
fn odd_time(slot: &Slot, unit: TimeUnit, input: Input<'_>, room: &mut Vec<u8>) -> Result<i64, TimeError> {
    match slot.kind {
        Kind::Integer | Kind::Number => time::from_number(slot.content(input), unit),
        Kind::Text => time::from_rfc3339(slot.content(input)),
        Kind::Escaped => time::from_rfc3339(without_escapes(slot, input, room)),
        _ => Err(TimeError::NotRfc3339),
    }
}

/// The number found as `i64`.
#[inline(always)]
fn int64(slot: &Slot, input: Input<'_>) -> Result<i64, Mismatch> {
    if slot.kind == Kind::Integer
        && let Some(number) = short_integer(input, slot.start, slot.end)
    {
        return Ok(number);
    }
    number::int64(slot.content(input)).map_err(|_| Mismatch::Range)
}

/// The number found as `f64`.
#[inline(always)]
fn float64(slot: &Slot, input: Input<'_>) -> Result<f64, Mismatch> {
    match short_float(input, slot.start, slot.end) {
        Some(number) => Ok(number),
        None => number::float64(slot.content(input)).map_err(|_| Mismatch::Range),
    }
}

/// The text of a string with escapes.
fn without_escapes<'a>(slot: &Slot, input: Input<'_>, room: &'a mut Vec<u8>) -> &'a [u8] {
    room.clear();
    unescape(slot.content(input), room);
    room
}
