//! What a walk over a record found at the places that are wanted.

use super::scan::Input;

/// A place that is wanted: the number of a node in [`super::paths::Paths`].
pub(super) type Node = u32;

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing was seen there yet.
    Missing,
    /// The object that it would stand in has ended without it.
    Absent,
    /// `null`
    Null,
    /// `true`
    True,
    /// `false`
    False,
    /// A number without fraction and exponent.
    Integer,
    /// A number with fraction or exponent.
    Number,
    /// A string without escapes.
    Text,
    /// A string with escapes.
    Escaped,
    /// An object.
    Object,
    /// An array.
    Array,
}

/// A value in the buffer. Of strings, the content without the quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(32))]
pub(super) struct Slot {
    /// First byte.
    pub(super) start: usize,
    /// One behind the last byte.
    pub(super) end: usize,
    /// What it is.
    pub(super) kind: Kind,
}

impl Slot {
    /// A place where nothing was seen.
    pub(super) const MISSING: Self = Self {
        start: 0,
        end: 0,
        kind: Kind::Missing,
    };

    /// The bytes of the value, as written; of strings the content alone.
    #[inline(always)]
    pub(super) fn content(self, input: Input<'_>) -> &[u8] {
        input.slice(self.start, self.end)
    }

    /// The JSON text of the value, as written.
    pub(super) fn json(self, input: Input<'_>) -> &[u8] {
        match self.kind {
            Kind::Text | Kind::Escaped => input.slice(self.start.saturating_sub(1), self.end + 1),
            _ => self.content(input),
        }
    }

    /// Whether there is no value, or null.
    #[inline(always)]
    pub(super) fn is_null(self) -> bool {
        matches!(self.kind, Kind::Missing | Kind::Absent | Kind::Null)
    }

    /// The value's kind in the words of a message.
    pub(super) fn found(self) -> &'static str {
        match self.kind {
            Kind::Missing | Kind::Absent => "nothing",
            Kind::Null => "null",
            Kind::True | Kind::False => "a boolean",
            Kind::Integer | Kind::Number => "a number",
            Kind::Text | Kind::Escaped => "a string",
            Kind::Object => "an object",
            Kind::Array => "an array",
        }
    }
}

/// How many values of each use are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The event time.
    pub(super) time: u32,
    /// Values that the filter reads.
    pub(super) filter: u32,
    /// Values of columns that only rows that pass have.
    pub(super) column: u32,
}

impl Wanted {
    /// Both together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            time: self.time + other.time,
            filter: self.filter + other.filter,
            column: self.column + other.column,
        }
    }

    /// What is left when these were found.
    #[inline(always)]
    pub(super) fn without(self, found: Self) -> Self {
        Self {
            time: self.time.wrapping_sub(found.time),
            filter: self.filter.wrapping_sub(found.filter),
            column: self.column.wrapping_sub(found.column),
        }
    }

    /// Whether nothing is left.
    #[inline(always)]
    pub(super) fn is_none(self) -> bool {
        self.time | self.filter | self.column == 0
    }
}
