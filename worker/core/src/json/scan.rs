//! Looks at sixteen bytes at once: where a string ends, which bytes are digits, whether expected bytes stand there.
//!
//! Knows bytes, not JSON. A chunk answers with masks whose bit `i` speaks of its byte `i`. Behind the end of the input
//! stand zero bytes, which are neither digits nor allowed in a string, so that nobody reads on over the end.

#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable;
#[cfg(target_arch = "x86_64")]
mod sse2;

#[cfg(not(target_arch = "x86_64"))]
pub(super) use self::portable::Chunk;
#[cfg(target_arch = "x86_64")]
pub(super) use self::sse2::Chunk;

/// Bytes in a chunk.
pub(super) const WIDTH: usize = 16;

/// The bytes that a walk may read.
///
/// Whoever makes one puts at least [`WIDTH`] bytes behind those that count: a chunk that is not whole reads as zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    /// Never less than a chunk.
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    /// Bytes to read; none if there is not even one chunk.
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        (bytes.len() >= WIDTH).then_some(Self { bytes })
    }

    /// The byte at a place, or 0 behind the end. A zero byte is an error wherever it stands in JSON.
    #[inline(always)]
    pub(super) fn byte(self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// The bytes from one place to another; none if they are not there.
    #[inline(always)]
    pub(super) fn slice(self, start: usize, end: usize) -> &'a [u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// The chunk at a place.
    #[inline(always)]
    pub(super) fn chunk(self, at: usize) -> Chunk {
        Chunk::at(self, at)
    }
}

/// Where the quotes and the other bytes are at which a plain string cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextMarks {
    /// Quotes.
    pub(super) quotes: u32,
    /// Backslashes, control characters, and all that is not ASCII.
    pub(super) others: u32,
}

/// Where the bytes are that numbers are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NumberMarks {
    /// `0` to `9`
    pub(super) digits: u32,
    /// `.`
    pub(super) points: u32,
    /// `e` and `E`
    pub(super) exponents: u32,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Input, NumberMarks, TextMarks, WIDTH, portable};

    fn check(bytes: &[u8], at: usize, expected: &[u8; WIDTH]) {
        let Some(input) = Input::new(bytes) else { return };
        let whole = at + WIDTH <= bytes.len();
        let byte = |i: usize| if whole { bytes[at + i] } else { 0 };
        let mask = |is: &dyn Fn(usize) -> bool| (0..WIDTH).filter(|i| is(*i)).fold(0, |mask, i| mask | 1 << i);
        let text = TextMarks {
            quotes: mask(&|i| byte(i) == b'"'),
            others: mask(&|i| byte(i) == b'\\' || byte(i) < 0x20 || byte(i) >= 0x80),
        };
        let number = NumberMarks {
            digits: mask(&|i| byte(i).is_ascii_digit()),
            points: mask(&|i| byte(i) == b'.'),
            exponents: mask(&|i| matches!(byte(i), b'e' | b'E')),
        };
        let equal = mask(&|i| byte(i) == expected[i]);
        let bits = u128::from_le_bytes(std::array::from_fn(byte));

        let chunk = portable::Chunk::at(input, at);
        assert_eq!(
            (chunk.text(), chunk.number(), chunk.equal(expected)),
            (text, number, equal),
            "portable"
        );
        assert_eq!(chunk.bits(), bits, "portable");
        #[cfg(target_arch = "x86_64")]
        {
            let chunk = super::sse2::Chunk::at(input, at);
            assert_eq!(
                (chunk.text(), chunk.number(), chunk.equal(expected)),
                (text, number, equal),
                "SSE2"
            );
            assert_eq!(chunk.bits(), bits, "SSE2");
        }
    }

    #[test]
    fn every_byte_is_told_apart_at_every_place() {
        for byte in 0..=255 {
            for place in 0..WIDTH {
                let mut bytes = [b'a'; WIDTH];
                bytes[place] = byte;
                check(&bytes, 0, &[b'a'; WIDTH]);
                check(&bytes, 0, &[byte; WIDTH]);
            }
        }
    }

    proptest! {
        #[test]
        fn chunks_agree_with_a_look_at_each_byte(bytes in prop::collection::vec(any::<u8>(), 0..40), at in 0_usize..48,
                                                 expected in any::<[u8; WIDTH]>()) {
            check(&bytes, at, &expected);
        }
    }
}
