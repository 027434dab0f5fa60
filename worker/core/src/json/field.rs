//! A column's rules: where its value stands, what type it has, and what a value of another type means.

use super::paths::Paths;
use super::scan::Input;
use super::slots::{Kind, Node, Slot};
use super::value::{Mismatch, Value, value};
use crate::decode::{Cause, ColumnSpec, ColumnType, Origin};

/// A column of the schema.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Its index in the schema.
    pub(super) column: usize,
    /// Its type.
    pub(super) ty: ColumnType,
    /// Where its type comes from.
    pub(super) origin: Origin,
    node: Option<Node>,
}

/// Why a column's value makes its record dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    column: usize,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Missing,
    Mismatch(Mismatch),
}

impl Field {
    /// The rules of a column.
    pub(super) fn new(column: usize, spec: &ColumnSpec, paths: &Paths) -> Self {
        Self {
            column,
            ty: spec.ty,
            origin: spec.origin,
            node: paths.find(&spec.path),
        }
    }

    /// Whether its type is declared.
    pub(super) fn is_declared(&self) -> bool {
        matches!(self.origin, Origin::Declared { .. })
    }

    /// What was found for it.
    #[inline(always)]
    pub(super) fn slot<'a>(&self, slots: &'a [Slot]) -> &'a Slot {
        Slot::at(self.node, slots)
    }

    /// Whether any value but an object or array, as it is written, is text for it.
    #[inline(always)]
    pub(super) fn takes_all(&self) -> bool {
        matches!(self.origin, Origin::Key | Origin::IfPresent) && self.ty == ColumnType::Utf8
    }

    /// Its value. Text with escapes goes to `room`.
    #[inline]
    pub(super) fn value<'a>(
        &self,
        slot: &Slot,
        input: Input<'a>,
        room: &'a mut Vec<u8>,
    ) -> Result<Value<'a>, Mismatch> {
        let is_plain = matches!(slot.kind, Kind::True | Kind::False | Kind::Integer | Kind::Number);
        if self.takes_all() && is_plain {
            return Ok(Value::Text(slot.content(input)));
        }
        value(self.ty, slot, input, room)
    }

    /// Whether a value makes its record dead: one of another type than was declared, or none where one is required.
    #[inline]
    pub(super) fn check(&self, slots: &[Slot], input: Input<'_>, room: &mut Vec<u8>) -> Result<(), Fault> {
        let Origin::Declared { required } = self.origin else {
            return Ok(());
        };
        let slot = self.slot(slots);
        if slot.is_null() {
            return if required {
                Err(self.fault(Reason::Missing))
            } else {
                Ok(())
            };
        }
        match (self.ty, slot.kind) {
            (ColumnType::Json, _)
            | (ColumnType::Utf8, Kind::Text | Kind::Escaped)
            | (ColumnType::Boolean, Kind::True | Kind::False) => Ok(()),
            (ColumnType::Float64 | ColumnType::Int64, Kind::Integer) if slot.end - slot.start <= 18 => Ok(()),
            _ => match self.value(slot, input, room) {
                Ok(_) => Ok(()),
                Err(mismatch) => Err(self.fault(Reason::Mismatch(mismatch))),
            },
        }
    }

    fn fault(&self, reason: Reason) -> Fault {
        Fault {
            column: self.column,
            reason,
        }
    }
}

impl Fault {
    /// The cause of death, in terms of the schema's columns.
    #[cold]
    pub(super) fn cause(self, columns: &[ColumnSpec]) -> Cause {
        let (path, expected) = columns
            .get(self.column)
            .map_or((String::new(), ""), |column| (column.path.join("."), column.ty.name()));
        match self.reason {
            Reason::Missing => Cause::Missing { path },
            Reason::Mismatch(Mismatch::Type(found)) => Cause::WrongType { path, expected, found },
            Reason::Mismatch(Mismatch::Range) => Cause::OutOfRange { path, expected },
        }
    }
}
