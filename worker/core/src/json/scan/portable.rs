//! Sixteen bytes in two 64-bit words, for machines without SSE2.

use super::{Input, NumberMarks, TextMarks, WIDTH};

/// Sixteen bytes of the input.
#[derive(Clone, Copy)]
pub(in crate::json) struct Chunk([u64; 2]);

const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const HIGH_BIT: u64 = 0x8080_8080_8080_8080;

impl Chunk {
    /// The bytes from `at` on; zeros if there are not enough.
    #[inline(always)]
    pub(super) fn at(input: Input<'_>, at: usize) -> Self {
        let chunk = input.bytes.get(at..).and_then(<[u8]>::first_chunk);
        chunk.map_or(Self([0; 2]), |chunk| Self(words(chunk)))
    }

    /// Bytes that end a string, or that are not plain.
    #[inline(always)]
    pub(in crate::json) fn text(self) -> TextMarks {
        let others = |word| zeros(word ^ each(b'\\')) | below(word, 0x20) | word;
        TextMarks {
            quotes: self.all(b'"'),
            others: self.mask(others),
        }
    }

    /// Bytes of numbers.
    #[inline(always)]
    pub(in crate::json) fn number(self) -> NumberMarks {
        let digits = |word| below(word, b'9' + 1) & !below(word, b'0');
        let exponents = |word| zeros((word | each(0x20)) ^ each(b'e'));
        NumberMarks {
            digits: self.mask(digits),
            points: self.all(b'.'),
            exponents: self.mask(exponents),
        }
    }

    /// Bytes that are as expected.
    #[inline(always)]
    pub(in crate::json) fn equal(self, expected: &[u8; WIDTH]) -> u32 {
        let expected = words(expected);
        Self([self.0[0] ^ expected[0], self.0[1] ^ expected[1]]).mask(zeros)
    }

    /// The bytes as a number, the first in the lowest bits.
    #[inline(always)]
    pub(in crate::json) fn bits(self) -> u128 {
        u128::from(self.0[1]) << 64 | u128::from(self.0[0])
    }

    /// Bytes that are this one.
    #[inline(always)]
    fn all(self, byte: u8) -> u32 {
        self.mask(|word| zeros(word ^ each(byte)))
    }

    /// Asks of both words; the answer stands in the highest bit of each byte.
    #[inline(always)]
    fn mask(self, ask: impl Fn(u64) -> u64) -> u32 {
        // The product brings the highest bits of the eight bytes together in the highest byte.
        let gather = |word: u64| ((word >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32;
        gather(ask(self.0[0]) & HIGH_BIT) | gather(ask(self.0[1]) & HIGH_BIT) << 8
    }
}

#[inline(always)]
fn words(bytes: &[u8; WIDTH]) -> [u64; 2] {
    let whole = u128::from_le_bytes(*bytes);
    [whole as u64, (whole >> 64) as u64]
}

/// The same byte eight times.
const fn each(byte: u8) -> u64 {
    byte as u64 * 0x0101_0101_0101_0101
}

/// Bytes that are zero. No carry passes from byte to byte, so that each answer is exact.
#[inline(always)]
fn zeros(word: u64) -> u64 {
    !(((word & LOW_BITS) + LOW_BITS) | word) & HIGH_BIT
}

/// ASCII bytes below a bound of at most 0x80.
#[inline(always)]
fn below(word: u64, bound: u8) -> u64 {
    !((word & LOW_BITS) + each(0x80 - bound)) & !word & HIGH_BIT
}
