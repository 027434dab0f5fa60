//! Random numbers by index: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
//!
//! Its state advances by a constant, so that the numbers of any index are found without those before. No secrets here.

/// The constant that SplitMix64's state advances by: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A source of random numbers that is read by index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random {
    base: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            base: mix(seed.wrapping_add(GOLDEN)),
        }
    }

    /// The four numbers of this index.
    #[inline]
    pub(crate) fn of(self, index: u64) -> [u64; 4] {
        let first = self.base.wrapping_add(index.wrapping_mul(GOLDEN.wrapping_mul(4)));
        [1u64, 2, 3, 4].map(|step| mix(first.wrapping_add(GOLDEN.wrapping_mul(step))))
    }
}

/// SplitMix64's output function.
#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number from 0 up to, not including, `bound`, from the upper half of `bits` (Lemire's multiplication). The bias is
/// below `bound` in 2^32.
#[inline]
pub(crate) fn below(bits: u64, bound: u32) -> u32 {
    (((bits >> 32) * u64::from(bound)) >> 32) as u32
}

/// True for this share of all `bits`; decided by the lower half.
#[inline]
pub(crate) fn percent(bits: u64, share: u8) -> bool {
    (bits & 0xffff_ffff) * 100 < u64::from(share) << 32
}
