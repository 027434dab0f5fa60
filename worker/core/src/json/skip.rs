//! Skips objects and arrays that nobody wants, and checks them by RFC 8259.
//!
//! Without recursion: which of object and array is open at each level is a bit of one number.

use super::scalar::{Halt, after_space, number, text, word};
use super::scan::Input;
use super::walk::key_at;
use crate::decode::MAX_DEPTH;

/// The open objects (1) and arrays (0), the innermost in the lowest bit.
#[derive(Clone, Copy, Default)]
struct Open {
    objects: u128,
    levels: usize,
}

impl Open {
    fn push(&mut self, object: bool) {
        self.objects = self.objects << 1 | u128::from(object);
        self.levels += 1;
    }

    fn pop(&mut self) {
        self.objects >>= 1;
        self.levels -= 1;
    }

    fn in_object(self) -> bool {
        self.objects & 1 == 1
    }
}

/// Skips the value at `at`, which stands in so many objects and arrays, and answers with the byte behind it.
pub(super) fn skip(input: Input<'_>, mut at: usize, depth: usize) -> Result<usize, Halt> {
    let mut open = Open::default();
    loop {
        let mut closes = false;
        match input.byte(at) {
            b'"' => at = text(input, at + 1)?.end + 1,
            b'-' | b'0'..=b'9' => at = number(input, at)?.end,
            first @ (b'{' | b'[') => {
                if depth + open.levels >= MAX_DEPTH {
                    return Err(Halt::TooDeep);
                }
                open.push(first == b'{');
                at = after_space(input, at + 1);
                // The closing bracket has the code of the opening one and two more.
                closes = input.byte(at) == first + 2;
                if !closes {
                    if first == b'{' {
                        at = key_at(input, at)?.1;
                    }
                    continue;
                }
            }
            b't' => at = word(input, at, b"true")?,
            b'f' => at = word(input, at, b"false")?,
            b'n' => at = word(input, at, b"null")?,
            _ => return Err(Halt::syntax(at, "expected a value")),
        }
        loop {
            if closes {
                at += 1;
                open.pop();
            }
            if open.levels == 0 {
                return Ok(at);
            }
            at = after_space(input, at);
            match (input.byte(at), open.in_object()) {
                (b',', true) => {
                    at = key_at(input, after_space(input, at + 1))?.1;
                    break;
                }
                (b',', false) => {
                    at = after_space(input, at + 1);
                    break;
                }
                (b'}', true) | (b']', false) => closes = true,
                (_, true) => return Err(Halt::syntax(at, "expected `,` or `}`")),
                (_, false) => return Err(Halt::syntax(at, "expected `,` or `]`")),
            }
        }
    }
}
