//! Finds where strings, numbers and words end, and checks them by RFC 8259 on the way.
//!
//! Says what a value looks like, not what it means: nothing is converted or unescaped here.

use super::scan::{Input, NumberMarks, TextMarks, WIDTH};
use super::slots::Kind;

/// Why the walk over a record ended before the end of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// All that is wanted of the record is known; the walk stands here.
    Enough(usize),
    /// Not well-formed.
    Syntax {
        /// Byte in the buffer.
        at: usize,
        /// What was expected or found.
        what: &'static str,
    },
    /// Not UTF-8 at this byte of the buffer.
    InvalidUtf8(usize),
    /// Nested too deep.
    TooDeep,
}

impl Halt {
    /// Something is wrong at a place.
    #[cold]
    pub(super) fn syntax(at: usize, what: &'static str) -> Self {
        Self::Syntax { at, what }
    }
}

/// A string that was found to be well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// The closing quote.
    pub(super) end: usize,
    /// Whether it has escapes.
    pub(super) escaped: bool,
}

impl Text {
    /// What kind of value it is.
    #[inline(always)]
    pub(super) fn kind(self) -> Kind {
        if self.escaped { Kind::Escaped } else { Kind::Text }
    }
}

/// A number that was found to be well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    /// One behind its last byte.
    pub(super) end: usize,
    /// Whether it is written without fraction and exponent.
    pub(super) integer: bool,
}

impl Number {
    /// What kind of value it is.
    #[inline(always)]
    pub(super) fn kind(self) -> Kind {
        if self.integer { Kind::Integer } else { Kind::Number }
    }
}

/// The next byte that is not white space, from `at` on.
#[inline(always)]
pub(super) fn after_space(input: Input<'_>, mut at: usize) -> usize {
    while is_space(input.byte(at)) {
        at += 1;
    }
    at
}

/// White space of JSON.
#[inline(always)]
pub(super) fn is_space(byte: u8) -> bool {
    byte <= b' ' && matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Finds the end of the string whose first byte behind the quote is `start`.
#[inline(always)]
pub(super) fn text(input: Input<'_>, start: usize) -> Result<Text, Halt> {
    let mut at = start;
    loop {
        let TextMarks { quotes, others } = input.chunk(at).text();
        // Below the first quote; all if there is none.
        if quotes.wrapping_sub(1) & others != 0 {
            return odd_text(input, at);
        }
        if quotes != 0 {
            return Ok(Text {
                end: at + quotes.trailing_zeros() as usize,
                escaped: false,
            });
        }
        at += WIDTH;
    }
}

/// Goes on with a string from its first chunk that is not plain.
#[cold]
#[inline(never)]
fn odd_text(input: Input<'_>, mut at: usize) -> Result<Text, Halt> {
    let mut escaped = false;
    loop {
        let TextMarks { quotes, others } = input.chunk(at).text();
        let marks = quotes | others;
        if marks == 0 {
            at += WIDTH;
            continue;
        }
        at += marks.trailing_zeros() as usize;
        match input.byte(at) {
            b'"' => return Ok(Text { end: at, escaped }),
            b'\\' => {
                escaped = true;
                at = escape(input, at)?;
            }
            0x80.. => at = beyond_ascii(input, at)?,
            _ => return Err(Halt::syntax(at, "control character in a string")),
        }
    }
}

/// Checks characters beyond ASCII, of which UTF-8 has no other bytes, and answers with the first byte of another.
fn beyond_ascii(input: Input<'_>, start: usize) -> Result<usize, Halt> {
    let mut end = start;
    while input.byte(end) >= 0x80 {
        end += 1;
    }
    match std::str::from_utf8(input.slice(start, end)) {
        Ok(_) => Ok(end),
        Err(error) => Err(Halt::InvalidUtf8(start + error.valid_up_to())),
    }
}

/// Checks the escape whose backslash is at `at`, and answers with the byte behind it. A surrogate must be a pair.
fn escape(input: Input<'_>, at: usize) -> Result<usize, Halt> {
    match input.byte(at + 1) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
        b'u' => match code_unit(input.slice(at, at + 6)) {
            None => Err(Halt::syntax(at, "invalid \\u escape")),
            Some(0xd800..=0xdbff) => match code_unit(input.slice(at + 6, at + 12)) {
                Some(0xdc00..=0xdfff) => Ok(at + 12),
                _ => Err(Halt::syntax(at, "lone surrogate")),
            },
            Some(0xdc00..=0xdfff) => Err(Halt::syntax(at, "lone surrogate")),
            Some(_) => Ok(at + 6),
        },
        _ => Err(Halt::syntax(at + 1, "invalid escape")),
    }
}

/// The UTF-16 code unit of an escape: `\u` and four hexadecimal digits.
pub(super) fn code_unit(escape: &[u8]) -> Option<u32> {
    let digits = escape.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    digits
        .iter()
        .try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

/// Finds the end of the number that begins at `start` with a digit or a minus sign.
#[inline(always)]
pub(super) fn number(input: Input<'_>, start: usize) -> Result<Number, Halt> {
    match plain_number(input.chunk(start).number(), input.byte(start), WIDTH) {
        Some((length, integer)) => Ok(Number {
            end: start + length,
            integer,
        }),
        None => long_number(input, start),
    }
}

/// Length of a number without sign and exponent, and whether it is an integer, if it ends within `width` bytes whose
/// marks these are, the first of them `first`.
#[inline(always)]
fn plain_number(marks: NumberMarks, first: u8, width: usize) -> Option<(usize, bool)> {
    let NumberMarks {
        digits,
        points,
        exponents,
    } = marks;
    // The lowest bit that is no byte of the number, and the points below it.
    let end = !(digits | points) & (digits | points).wrapping_add(1);
    let points = points & end.wrapping_sub(1);
    let two_points = points & points.wrapping_sub(1);
    let last_point = points << 1 & end;
    let leading_zero = if first == b'0' { digits & 2 } else { 0 };
    let is_plain = two_points | last_point | leading_zero | (exponents & end) == 0;
    // Without a first digit, a number is none, or a negative one.
    let length = end.trailing_zeros() as usize;
    (is_plain && digits & 1 == 1 && length < width).then_some((length, points == 0))
}

/// Any number.
#[inline(never)]
fn long_number(input: Input<'_>, start: usize) -> Result<Number, Halt> {
    let first = start + usize::from(input.byte(start) == b'-');
    let (low, high) = (input.chunk(first).number(), input.chunk(first + WIDTH).number());
    let marks = NumberMarks {
        digits: low.digits | high.digits << WIDTH,
        points: low.points | high.points << WIDTH,
        exponents: low.exponents | high.exponents << WIDTH,
    };
    match plain_number(marks, input.byte(first), 2 * WIDTH) {
        Some((length, integer)) => Ok(Number {
            end: first + length,
            integer,
        }),
        None => any_number(input, start),
    }
}

/// Any number, byte by byte.
fn any_number(input: Input<'_>, start: usize) -> Result<Number, Halt> {
    let digits = |at: usize| (at..).take_while(|at| input.byte(*at).is_ascii_digit()).count();
    let some_digits = |at: usize, what| match digits(at) {
        0 => Err(Halt::syntax(at, what)),
        count => Ok(at + count),
    };
    let first = start + usize::from(input.byte(start) == b'-');
    let mut end = some_digits(first, "expected a digit")?;
    if end > first + 1 && input.byte(first) == b'0' {
        return Err(Halt::syntax(first, "a number begins with 0"));
    }
    let mut integer = true;
    if input.byte(end) == b'.' {
        integer = false;
        end = some_digits(end + 1, "expected a digit behind the point")?;
    }
    if matches!(input.byte(end), b'e' | b'E') {
        integer = false;
        let sign = usize::from(matches!(input.byte(end + 1), b'+' | b'-'));
        end = some_digits(end + 1 + sign, "expected a digit in the exponent")?;
    }
    Ok(Number { end, integer })
}

/// Checks that a word stands at `at`, and answers with the byte behind it.
#[inline(always)]
pub(super) fn word(input: Input<'_>, at: usize, word: &'static [u8]) -> Result<usize, Halt> {
    let end = at + word.len();
    if input.slice(at, end) == word {
        Ok(end)
    } else {
        Err(Halt::syntax(at, "expected a value"))
    }
}
