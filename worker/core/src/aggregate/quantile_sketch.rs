//! A sketch of a distribution from which quantiles are read: counts of values in buckets whose width grows with the
//! values.
//!
//! It is of the DDSketch family (Masson, Rim, Lee: "DDSketch: A fast and fully-mergeable quantile sketch with
//! relative-error guarantees", PVLDB 12(12), 2019) with the linearly interpolated logarithm as its mapping: the bucket
//! is the double rounded to 7 bits behind the leading one. That takes integer arithmetic alone, so every machine finds
//! the same bucket. Counts are integers, so the order of values, merges and splits does not matter, and what was added
//! can be taken away.
//!
//! A bucket stands for the number in its middle, which is at most 1/257 (0.39%) away from every value in it, relative to
//! that value. Numbers of at most 8 significant bits, such as the integers up to 256, are met exactly. Below 2.2e-308 the
//! error is absolute, at most 1e-310. A bucket holds up to 2^45 values.

use super::CorruptState;
use super::bytes::{put_i64, put_u64, take_count, take_i64, take_u64};

/// A distribution.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketch {
    total: u64,
    buckets: Buckets,
}

/// Counts by bucket. Which of the two it is follows from how close the buckets lie and makes no difference to results.
#[derive(Clone, Debug)]
enum Buckets {
    /// Ascending; in each the bucket (biased to be positive) in the upper 19 bits, the count in the lower 45.
    Sparse(Vec<u64>),
    /// Counts of all buckets from `first` on.
    Dense { first: i32, counts: Vec<u32> },
}

impl Default for Buckets {
    fn default() -> Self {
        Self::Sparse(Vec::new())
    }
}

/// Bits of a double's mantissa that a bucket ignores.
const IGNORED_BITS: u32 = 45;
const COUNT_MASK: u64 = (1 << IGNORED_BITS) - 1;
const BIAS: i32 = 1 << 18;
/// The bucket that the greatest doubles are rounded to.
const LAST_BUCKET: i32 = 0x3ff80;
/// Buckets that a dense range grows by beyond what is needed.
const SLACK: i32 = 32;

impl Sketch {
    /// Adds a finite value.
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        let bucket = bucket_of(value);
        if let Buckets::Dense { first, counts } = &mut self.buckets
            && let Some(count) = counts.get_mut(bucket.wrapping_sub(*first) as usize)
            && *count < u32::MAX
        {
            *count += 1;
            self.total = self.total.wrapping_add(1);
        } else {
            self.add_count(bucket, 1);
        }
    }

    /// Adds the values of another sketch.
    pub(super) fn merge(&mut self, other: &Self) {
        other.each_bucket(|bucket, count| self.add_count(bucket, count));
    }

    /// Takes the values of another sketch away.
    pub(super) fn retract(&mut self, other: &Self) {
        other.each_bucket(|bucket, count| self.remove_count(bucket, count));
    }

    /// How many values there are.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The quantile at `q` from 0 to 1, as `percentile_cont` defines it: with the values in order and numbered from 0,
    /// the one at `q * (n - 1)`, interpolated between its two neighbours if that is not whole. `None` without values.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        let highest = self.total.checked_sub(1)?;
        let position = q.clamp(0.0, 1.0) * highest as f64;
        let lower_rank = (position.floor() as u64).min(highest);
        let fraction = position - position.floor();
        let lower = middle_of(self.bucket_at(lower_rank));
        let upper = if fraction > 0.0 {
            middle_of(self.bucket_at(lower_rank + 1))
        } else {
            lower
        };
        Some(if lower == upper {
            lower
        } else {
            lower * (1.0 - fraction) + upper * fraction
        })
    }

    /// The bucket of the value of this rank, from 0; the last one for a rank beyond.
    fn bucket_at(&self, rank: u64) -> i32 {
        let mut rest = rank;
        match &self.buckets {
            Buckets::Sparse(buckets) => {
                let found = buckets.iter().find(|packed| pass(&mut rest, *packed & COUNT_MASK));
                found.or(buckets.last()).map_or(0, |packed| bucket_in(*packed))
            }
            Buckets::Dense { first, counts } => {
                // Sums of a few at a time: most of the range lies before the rank.
                let passed = counts.chunks(16).position(|counts| {
                    let sum = counts.iter().map(|count| u64::from(*count)).sum();
                    pass(&mut rest, sum)
                });
                let start = 16 * passed.unwrap_or(0);
                let within = counts[start..]
                    .iter()
                    .position(|count| pass(&mut rest, u64::from(*count)));
                first + (start + within.unwrap_or(0)) as i32
            }
        }
    }

    /// Appends the sketch: distances between buckets and their counts.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        let mut buckets = 0;
        self.each_bucket(|_, _| buckets += 1);
        put_u64(out, buckets);
        let mut previous = 0;
        self.each_bucket(|bucket, count| {
            put_i64(out, i64::from(bucket - previous));
            put_u64(out, count);
            previous = bucket;
        });
    }

    /// Takes what [`Sketch::save`] wrote.
    pub(super) fn load(bytes: &mut &[u8]) -> Result<Self, CorruptState> {
        let what = "quantile sketch";
        let mut sketch = Self::default();
        let mut previous: Option<i64> = None;
        for _ in 0..take_count(bytes, what)? {
            let step = take_i64(bytes, what)?;
            let bucket = previous
                .unwrap_or(0)
                .checked_add(step)
                .filter(|_| step > 0 || previous.is_none());
            let bucket = bucket
                .and_then(|bucket| i32::try_from(bucket).ok())
                .ok_or(CorruptState { what })?;
            let count = take_u64(bytes, what)?;
            if !(-LAST_BUCKET..=LAST_BUCKET).contains(&bucket) || count == 0 || count > COUNT_MASK {
                return Err(CorruptState { what });
            }
            sketch.add_count(bucket, count);
            previous = Some(i64::from(bucket));
        }
        Ok(sketch)
    }

    /// Bytes of memory held besides the sketch itself.
    pub(super) fn memory(&self) -> usize {
        match &self.buckets {
            Buckets::Sparse(buckets) => buckets.capacity() * size_of::<u64>(),
            Buckets::Dense { counts, .. } => counts.capacity() * size_of::<u32>(),
        }
    }

    /// Calls `f` with each bucket that has values and their number, ascending.
    fn each_bucket(&self, mut f: impl FnMut(i32, u64)) {
        match &self.buckets {
            Buckets::Sparse(buckets) => buckets
                .iter()
                .for_each(|packed| f(bucket_in(*packed), packed & COUNT_MASK)),
            Buckets::Dense { first, counts } => {
                let buckets = (*first..).zip(counts).filter(|(_, count)| **count > 0);
                buckets.for_each(|(bucket, count)| f(bucket, u64::from(*count)));
            }
        }
    }

    fn add_count(&mut self, bucket: i32, count: u64) {
        self.total = self.total.saturating_add(count);
        if let Buckets::Dense { first, counts } = &mut self.buckets {
            let held = counts.get_mut(bucket.wrapping_sub(*first) as usize);
            if let Some((held, sum)) = held.and_then(|held| {
                let sum = u32::try_from(u64::from(*held) + count).ok()?;
                Some((held, sum))
            }) {
                *held = sum;
                return;
            }
            self.widen(bucket, count);
        }
        match &mut self.buckets {
            Buckets::Dense { first, counts } => {
                if let Some(held) = counts.get_mut(bucket.wrapping_sub(*first) as usize) {
                    *held += count as u32;
                }
            }
            Buckets::Sparse(buckets) => match buckets.binary_search_by_key(&bucket, |packed| bucket_in(*packed)) {
                Ok(at) => {
                    let sum = (buckets[at] & COUNT_MASK) + count;
                    buckets[at] = pack(bucket, sum.min(COUNT_MASK));
                }
                Err(at) => {
                    buckets.insert(at, pack(bucket, count));
                    if buckets.len() % 16 == 0 {
                        self.densify();
                    }
                }
            },
        }
    }

    fn remove_count(&mut self, bucket: i32, count: u64) {
        self.total = self.total.saturating_sub(count);
        match &mut self.buckets {
            Buckets::Sparse(buckets) => {
                if let Ok(at) = buckets.binary_search_by_key(&bucket, |packed| bucket_in(*packed)) {
                    match (buckets[at] & COUNT_MASK).saturating_sub(count) {
                        0 => drop(buckets.remove(at)),
                        rest => buckets[at] = pack(bucket, rest),
                    }
                }
            }
            Buckets::Dense { first, counts } => {
                if let Some(held) = counts.get_mut(bucket.wrapping_sub(*first) as usize) {
                    *held = u64::from(*held).saturating_sub(count) as u32;
                }
            }
        }
    }

    /// Makes the dense range take `count` values of `bucket`, or gives it up for a sparse list if it would be mostly
    /// empty or the count too large.
    fn widen(&mut self, bucket: i32, count: u64) {
        let Buckets::Dense { first, counts } = &mut self.buckets else {
            return;
        };
        let end = *first + counts.len() as i32;
        let (new_first, new_end) = (
            bucket.saturating_sub(SLACK).min(*first),
            bucket.saturating_add(SLACK).max(end),
        );
        let filled = counts.iter().filter(|count| **count > 0).count();
        let inside = (*first..end).contains(&bucket);
        if !inside && count <= u64::from(u32::MAX) && (new_end - new_first) as usize <= 16 * (filled + 16) {
            // Only the side that is too short grows.
            let new_first = if bucket < *first { new_first } else { *first };
            let new_end = if bucket < *first { end } else { new_end };
            counts.splice(0..0, std::iter::repeat_n(0, (*first - new_first) as usize));
            counts.resize((new_end - new_first) as usize, 0);
            *first = new_first;
        } else {
            let mut buckets = Vec::with_capacity(filled + 1);
            self.each_bucket(|bucket, count| buckets.push(pack(bucket, count)));
            self.buckets = Buckets::Sparse(buckets);
        }
    }

    /// Makes a sparse list dense if its buckets lie close and their counts are small.
    fn densify(&mut self) {
        let Buckets::Sparse(buckets) = &self.buckets else {
            return;
        };
        let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else {
            return;
        };
        let (first, last) = (bucket_in(*first) - SLACK, bucket_in(*last) + SLACK);
        let length = (last - first + 1) as usize;
        let small = buckets.iter().all(|packed| packed & COUNT_MASK <= u64::from(u32::MAX));
        if small && length <= 4 * buckets.len() + 2 * SLACK as usize {
            let mut counts = vec![0; length];
            self.each_bucket(|bucket, count| counts[(bucket - first) as usize] = count as u32);
            self.buckets = Buckets::Dense { first, counts };
        }
    }
}

/// Whether the rank lies among the next `count` values; if not, what is left of it behind them.
fn pass(rank: &mut u64, count: u64) -> bool {
    let inside = *rank < count;
    if !inside {
        *rank -= count;
    }
    inside
}

/// The double rounded to 7 bits of mantissa, as an integer that orders as the doubles do.
#[inline]
fn bucket_of(value: f64) -> i32 {
    let bits = value.to_bits();
    let magnitude = ((bits & !(1 << 63)) + (1 << (IGNORED_BITS - 1))) >> IGNORED_BITS;
    let sign = (bits as i64 >> 63) as i32;
    (magnitude as i32 ^ sign) - sign
}

/// The double that a bucket stands for.
fn middle_of(bucket: i32) -> f64 {
    let magnitude = f64::from_bits(u64::from(bucket.unsigned_abs()) << IGNORED_BITS).min(f64::MAX);
    if bucket < 0 { -magnitude } else { magnitude }
}

fn pack(bucket: i32, count: u64) -> u64 {
    ((bucket + BIAS) as u64) << IGNORED_BITS | count
}

fn bucket_in(packed: u64) -> i32 {
    (packed >> IGNORED_BITS) as i32 - BIAS
}
