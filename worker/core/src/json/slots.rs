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

    /// What was found at a node.
    #[inline(always)]
    pub(super) fn at(node: Option<Node>, slots: &[Self]) -> &Self {
        node.and_then(|node| slots.get(node as usize)).unwrap_or(&Self::MISSING)
    }

    /// The bytes of the value, as written; of strings the content alone.
    #[inline(always)]
    pub(super) fn content<'a>(&self, input: Input<'a>) -> &'a [u8] {
        input.slice(self.start, self.end)
    }

    /// The JSON text of the value, as written.
    pub(super) fn json<'a>(&self, input: Input<'a>) -> &'a [u8] {
        match self.kind {
            Kind::Text | Kind::Escaped => input.slice(self.start.saturating_sub(1), self.end + 1),
            _ => self.content(input),
        }
    }

    /// Whether there is no value, or null.
    #[inline(always)]
    pub(super) fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Missing | Kind::Absent | Kind::Null)
    }

    /// The value's kind in the words of a message.
    pub(super) fn found(&self) -> &'static str {
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

/// How many values of each use are still to be found, in one word: 21 bits for a use, more than there are places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted(u64);

/// What a value is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// The event time.
    Time,
    /// The filter.
    Filter,
    /// A column that only rows that pass have. These are the highest bits: taking away more than there are, when they are
    /// wanted no longer, changes no other count.
    Column,
}

impl Use {
    /// Its bits.
    const fn bits(self) -> u64 {
        match self {
            Self::Time => (1 << 21) - 1,
            Self::Filter => ((1 << 21) - 1) << 21,
            Self::Column => u64::MAX << 42,
        }
    }
}

impl Wanted {
    /// One value for a use.
    pub(super) const fn one(use_: Use) -> Self {
        Self(use_.bits() & use_.bits().wrapping_neg())
    }

    /// One value for the uses of both.
    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The values of both.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left when these were found.
    #[inline(always)]
    pub(super) const fn without(self, found: Self) -> Self {
        Self(self.0.wrapping_sub(found.0))
    }

    /// What is left if values for a use are wanted no longer.
    #[inline(always)]
    pub(super) const fn without_any(self, use_: Use) -> Self {
        Self(self.0 & !use_.bits())
    }

    /// Whether no value for a use is left.
    #[inline(always)]
    pub(super) const fn has_no(self, use_: Use) -> bool {
        self.0 & use_.bits() == 0
    }

    /// Whether nothing is left.
    #[inline(always)]
    pub(super) const fn is_none(self) -> bool {
        self.0 == 0
    }
}
