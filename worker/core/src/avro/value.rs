//! What Avro's values mean: as values of columns, and as JSON.

use std::fmt::Write as _;

use tocsin_contract::pipeline::source::TimeUnit;

use super::reader::{ReadError, Reader};
use super::schema::{Node, NodeId, Schema};
use crate::decode::scalar::{Scalar, json_string};
use crate::decode::time::from_integer;
use crate::decode::value::Fault;

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueError {
    /// The record is broken.
    Read(ReadError),
    /// No type of a column holds it.
    Fault(Fault),
}

impl From<ReadError> for ValueError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

/// Reads a value.
pub(super) fn scalar<'a>(schema: &Schema, node: NodeId, reader: &mut Reader<'a>) -> Result<Scalar<'a>, ValueError> {
    let time = |number: i64, unit| match from_integer(number.into(), unit) {
        Ok(time) => Ok(Scalar::Time(time)),
        Err(_) => Err(ValueError::Fault(Fault::OutOfRange)),
    };
    Ok(match schema.node(node) {
        Node::Null => Scalar::Null,
        Node::Boolean => Scalar::Boolean(reader.boolean()?),
        Node::Long => Scalar::Int(reader.long()?),
        Node::Float => Scalar::Float(reader.float()?.into()),
        Node::Double => Scalar::Float(reader.double()?),
        Node::String => Scalar::Text(reader.text()?.into()),
        Node::Bytes => Scalar::Text(bytes_as_text(reader.bytes()?).into()),
        Node::Fixed(size) => Scalar::Text(bytes_as_text(reader.take(*size)?).into()),
        Node::Enum(symbols) => {
            let symbol = reader.choice(symbols.len())?;
            Scalar::Text(symbols[symbol].clone().into())
        }
        Node::Date => time(reader.long()?.saturating_mul(86_400), TimeUnit::Seconds)?,
        Node::Timestamp(unit) => time(reader.long()?, *unit)?,
        Node::Decimal { scale, size } => {
            let bytes = match size {
                Some(size) => reader.take(*size)?,
                None => reader.bytes()?,
            };
            let units = big_endian(bytes).ok_or(ValueError::Fault(Fault::OutOfRange))?;
            Scalar::Digits(digits(units, *scale).into())
        }
        Node::Union(branches) => {
            let branch = reader.choice(branches.len())?;
            return scalar(schema, branches[branch], reader);
        }
        Node::Array(_) | Node::Map(_) | Node::Record(_) => {
            let mut json = String::new();
            write_json(schema, node, reader, 0, &mut json)?;
            Scalar::Json(json)
        }
    })
}

/// Writes a value as JSON. What no JSON number or time can say is null.
pub(super) fn write_json(
    schema: &Schema,
    node: NodeId,
    reader: &mut Reader<'_>,
    depth: usize,
    out: &mut String,
) -> Result<(), ReadError> {
    reader.enter(depth)?;
    match schema.node(node) {
        Node::Record(fields) => {
            for (n, (name, field)) in fields.iter().enumerate() {
                out.push(if n == 0 { '{' } else { ',' });
                out.push_str(&json_string(name));
                out.push(':');
                write_json(schema, *field, reader, depth + 1, out)?;
            }
            out.push_str(if fields.is_empty() { "{}" } else { "}" });
        }
        Node::Union(branches) => {
            let branch = reader.choice(branches.len())?;
            write_json(schema, branches[branch], reader, depth + 1, out)?;
        }
        Node::Array(items) => {
            out.push('[');
            let mut separator = "";
            items_of(reader, |reader| {
                out.push_str(std::mem::replace(&mut separator, ","));
                write_json(schema, *items, reader, depth + 1, out)
            })?;
            out.push(']');
        }
        Node::Map(values) => {
            out.push('{');
            let mut separator = "";
            items_of(reader, |reader| {
                out.push_str(std::mem::replace(&mut separator, ","));
                out.push_str(&json_string(reader.text()?));
                out.push(':');
                write_json(schema, *values, reader, depth + 1, out)
            })?;
            out.push('}');
        }
        _ => match scalar(schema, node, reader) {
            Ok(scalar) => out.push_str(&scalar.json()),
            Err(ValueError::Fault(_)) => out.push_str("null"),
            Err(ValueError::Read(error)) => return Err(error),
        },
    }
    Ok(())
}

fn items_of<'a>(
    reader: &mut Reader<'a>,
    mut item: impl FnMut(&mut Reader<'a>) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    loop {
        let n = reader.block()?;
        if n == 0 {
            return Ok(());
        }
        for _ in 0..n {
            item(reader)?;
        }
    }
}

/// As Avro writes bytes in JSON: each is the character with its number.
fn bytes_as_text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// A whole number in two's complement, the highest byte first; nothing if it needs more than 128 bits.
fn big_endian(bytes: &[u8]) -> Option<i128> {
    let is_negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let sign = if is_negative { 0xff } else { 0 };
    let (front, last) = bytes.split_at(bytes.len().saturating_sub(16));
    let mut all = [sign; 16];
    all.get_mut(16 - last.len()..)?.copy_from_slice(last);
    let number = i128::from_be_bytes(all);
    let fits = front.iter().all(|byte| *byte == sign) && (number < 0) == is_negative;
    fits.then_some(number)
}

/// Most places behind the point that are written out.
const MOST_PLACES: u32 = 38;

/// The digits of units of `10^-scale`.
fn digits(units: i128, scale: u32) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let magnitude = units.unsigned_abs();
    let mut text = sign.to_owned();
    // Writing to a text does not fail.
    let _ = match scale {
        0 => write!(text, "{magnitude}"),
        1..=MOST_PLACES => {
            let factor = 10_u128.pow(scale);
            let (whole, rest) = (magnitude / factor, magnitude % factor);
            write!(text, "{whole}.{rest:0places$}", places = scale as usize)
        }
        _ => write!(text, "{magnitude}e-{scale}"),
    };
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_written_as_they_are() {
        assert_eq!(digits(12_345, 2), "123.45");
        assert_eq!(digits(-5, 3), "-0.005");
        assert_eq!(digits(7, 0), "7");
        assert_eq!(digits(7, 100), "7e-100");
        assert_eq!(digits(i128::MIN, 38), "-1.70141183460469231731687303715884105728");
    }

    proptest! {
        #[test]
        fn big_numbers_are_read_from_as_many_bytes_as_there_are(number: i128, more in 0_usize..4) {
            let sign = if number < 0 { 0xff } else { 0 };
            let mut bytes = vec![sign; more];
            bytes.extend(number.to_be_bytes());
            prop_assert_eq!(big_endian(&bytes), Some(number));
            bytes.insert(0, 1);
            prop_assert_eq!(big_endian(&bytes), None);
            let small = number as i16;
            prop_assert_eq!(big_endian(&small.to_be_bytes()), Some(small.into()));
        }
    }
}
