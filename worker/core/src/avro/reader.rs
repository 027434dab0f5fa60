//! Reads Avro's binary encoding, and passes over values that nobody wants.

use super::schema::{Node, NodeId, Schema};
use crate::decode::MAX_DEPTH;

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadError {
    /// Byte in the record, and what is wrong there.
    Syntax(usize, &'static str),
    /// A text is not UTF-8 from this byte on.
    InvalidUtf8(usize),
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
}

/// A record holds at most so many values, and some for each of its bytes: values that take no bytes could be without end.
const MOST_EMPTY: usize = 65_536;

/// See [`MOST_EMPTY`].
const VALUES_A_BYTE: usize = 8;

const TOO_MANY: &str = "more values than the record can hold";

/// Reads a record from left to right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
    /// How many further values it may hold.
    values_left: usize,
    /// Whether texts that are passed over are checked.
    pub(super) strict: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize, strict: bool) -> Self {
        Self {
            bytes,
            at,
            values_left: bytes.len().saturating_mul(VALUES_A_BYTE).saturating_add(MOST_EMPTY),
            strict,
        }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn error<T>(&self, what: &'static str) -> Result<T, ReadError> {
        Err(ReadError::Syntax(self.at, what))
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], ReadError> {
        let end = self.at.checked_add(n);
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(taken) => {
                self.at += n;
                Ok(taken)
            }
            None => self.error("the record ends inside of a value"),
        }
    }

    pub(super) fn boolean(&mut self) -> Result<bool, ReadError> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => {
                self.at -= 1;
                self.error("expected a boolean: 0 or 1")
            }
        }
    }

    /// An `int` or a `long`: seven bits a byte, the sign in the lowest bit.
    pub(super) fn long(&mut self) -> Result<i64, ReadError> {
        let (mut number, start) = (0u64, self.at);
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?.first().copied().unwrap_or_default();
            if shift == 63 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        self.at = start;
        self.error("a number of more than 64 bits")
    }

    pub(super) fn float(&mut self) -> Result<f32, ReadError> {
        Ok(f32::from_le_bytes(self.take(4)?.try_into().unwrap_or_default()))
    }

    pub(super) fn double(&mut self) -> Result<f64, ReadError> {
        Ok(f64::from_le_bytes(self.take(8)?.try_into().unwrap_or_default()))
    }

    /// Bytes behind their number.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], ReadError> {
        let start = self.at;
        match usize::try_from(self.long()?) {
            Ok(n) => self.take(n),
            Err(_) => {
                self.at = start;
                self.error("a length below zero")
            }
        }
    }

    pub(super) fn text(&mut self) -> Result<&'a str, ReadError> {
        let bytes = self.bytes()?;
        let start = self.at - bytes.len();
        std::str::from_utf8(bytes).map_err(|error| ReadError::InvalidUtf8(start + error.valid_up_to()))
    }

    /// Which branch of a union, or symbol of an enum, follows; there are `n` of them.
    pub(super) fn choice(&mut self, n: usize) -> Result<usize, ReadError> {
        let start = self.at;
        let choice = usize::try_from(self.long()?).ok().filter(|choice| *choice < n);
        choice.map_or_else(
            || {
                self.at = start;
                self.error("a branch of a union, or a symbol, that the schema does not have")
            },
            Ok,
        )
    }

    /// How many items the next block of an array or a map has; 0 at its end.
    pub(super) fn block(&mut self) -> Result<usize, ReadError> {
        let start = self.at;
        let count = self.long()?;
        if count < 0 {
            // The block's size in bytes, for readers that pass over it whole.
            self.long()?;
        }
        match usize::try_from(count.unsigned_abs()) {
            Ok(count) if count <= self.values_left => Ok(count),
            _ => {
                self.at = start;
                self.error(TOO_MANY)
            }
        }
    }

    /// Counts a value, so many levels deep.
    pub(super) fn enter(&mut self, depth: usize) -> Result<(), ReadError> {
        if depth > MAX_DEPTH {
            return Err(ReadError::TooDeep);
        }
        match self.values_left.checked_sub(1) {
            Some(left) => {
                self.values_left = left;
                Ok(())
            }
            None => self.error(TOO_MANY),
        }
    }

    /// From now on checks texts that are passed over, if it is so; says whether it did before.
    pub(super) fn check_texts(&mut self, is_so: bool) -> bool {
        let was = self.strict;
        self.strict |= is_so;
        was
    }

    /// Passes over a value.
    pub(super) fn skip(&mut self, schema: &Schema, node: NodeId, depth: usize) -> Result<(), ReadError> {
        self.enter(depth)?;
        match schema.node(node) {
            Node::Null => {}
            Node::Boolean => drop(self.boolean()?),
            Node::Long | Node::Date | Node::Timestamp(_) => drop(self.long()?),
            Node::Float => drop(self.take(4)?),
            Node::Double => drop(self.take(8)?),
            Node::Bytes | Node::Decimal { size: None, .. } => drop(self.bytes()?),
            Node::String if self.strict => drop(self.text()?),
            Node::String => drop(self.bytes()?),
            Node::Fixed(size) | Node::Decimal { size: Some(size), .. } => drop(self.take(*size)?),
            Node::Enum(symbols) => drop(self.choice(symbols.len())?),
            Node::Union(branches) => {
                let branch = self.choice(branches.len())?;
                self.skip(schema, branches[branch], depth + 1)?;
            }
            Node::Record(fields) => {
                for (_, field) in fields {
                    self.skip(schema, *field, depth + 1)?;
                }
            }
            Node::Array(items) => loop {
                let n = self.block()?;
                if n == 0 {
                    break;
                }
                for _ in 0..n {
                    self.skip(schema, *items, depth + 1)?;
                }
            },
            Node::Map(values) => loop {
                let n = self.block()?;
                if n == 0 {
                    break;
                }
                for _ in 0..n {
                    self.text()?;
                    self.skip(schema, *values, depth + 1)?;
                }
            },
        }
        Ok(())
    }
}
