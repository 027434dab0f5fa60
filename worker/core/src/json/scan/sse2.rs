//! Sixteen bytes in an SSE2 register.
//!
//! The one module with `unsafe`. The compiler asks for it because other processors lack these instructions; but this
//! module is compiled for x86-64 alone, of which SSE2 is a part, and none of them touches memory.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m128i, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_cvtsi128_si64, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
    _mm_set_epi64x, _mm_set1_epi8, _mm_sub_epi8, _mm_unpackhi_epi64,
};

use super::{Input, NumberMarks, TextMarks, WIDTH};

/// Sixteen bytes of the input.
#[derive(Clone, Copy)]
pub(in crate::json) struct Chunk(__m128i);

impl Chunk {
    /// The bytes from `at` on; zeros if there are not enough.
    #[inline(always)]
    pub(super) fn at(input: Input<'_>, at: usize) -> Self {
        match input.bytes.get(at..).and_then(<[u8]>::first_chunk) {
            Some(chunk) => Self(register(chunk)),
            None => Self(register(&[0; WIDTH])),
        }
    }

    /// Bytes that end a string, or that are not plain.
    #[inline(always)]
    pub(in crate::json) fn text(self) -> TextMarks {
        // SAFETY: SSE2 is a part of x86-64.
        unsafe {
            let backslashes = _mm_cmpeq_epi8(self.0, _mm_set1_epi8(b'\\' as i8));
            // As signed numbers, bytes from 0x80 on are negative: one comparison finds them and the control characters.
            let others = _mm_cmplt_epi8(self.0, _mm_set1_epi8(0x20));
            TextMarks {
                quotes: self.all(b'"'),
                others: mask(_mm_or_si128(backslashes, others)),
            }
        }
    }

    /// Bytes of numbers.
    #[inline(always)]
    pub(in crate::json) fn number(self) -> NumberMarks {
        // SAFETY: SSE2 is a part of x86-64.
        unsafe {
            let from_zero = _mm_sub_epi8(self.0, _mm_set1_epi8(b'0' as i8));
            let digits = _mm_cmpeq_epi8(_mm_min_epu8(from_zero, _mm_set1_epi8(9)), from_zero);
            let small = Self(_mm_or_si128(self.0, _mm_set1_epi8(0x20)));
            NumberMarks {
                digits: mask(digits),
                points: self.all(b'.'),
                exponents: small.all(b'e'),
            }
        }
    }

    /// Bytes that are as expected.
    #[inline(always)]
    pub(in crate::json) fn equal(self, expected: &[u8; WIDTH]) -> u32 {
        // SAFETY: SSE2 is a part of x86-64.
        unsafe { mask(_mm_cmpeq_epi8(self.0, register(expected))) }
    }

    /// The bytes as a number, the first in the lowest bits.
    #[inline(always)]
    pub(in crate::json) fn bits(self) -> u128 {
        // SAFETY: SSE2 is a part of x86-64.
        let (low, high) = unsafe {
            (
                _mm_cvtsi128_si64(self.0) as u64,
                _mm_cvtsi128_si64(_mm_unpackhi_epi64(self.0, self.0)) as u64,
            )
        };
        u128::from(high) << 64 | u128::from(low)
    }

    /// Bytes that are this one.
    #[inline(always)]
    fn all(self, byte: u8) -> u32 {
        // SAFETY: SSE2 is a part of x86-64.
        unsafe { mask(_mm_cmpeq_epi8(self.0, _mm_set1_epi8(byte as i8))) }
    }
}

/// The compiler makes one load of this where it is told which bytes: both ways in [`Chunk::at`] need their own call.
#[inline(always)]
fn register(bytes: &[u8; WIDTH]) -> __m128i {
    let whole = u128::from_le_bytes(*bytes);
    // SAFETY: SSE2 is a part of x86-64.
    unsafe { _mm_set_epi64x((whole >> 64) as i64, whole as i64) }
}

/// One bit of each byte.
#[inline(always)]
fn mask(bytes: __m128i) -> u32 {
    // SAFETY: SSE2 is a part of x86-64.
    unsafe { _mm_movemask_epi8(bytes) as u32 }
}
