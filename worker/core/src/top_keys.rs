//! The keys that most rows have, by a sample of the rows.
//!
//! Space-Saving: so many counters; a key that has none takes that of the least, and goes on from its count. Source:
//! Metwally, Agrawal and El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams" (2005). A key's
//! count is too large by the share of one counter at most.

use std::collections::BTreeMap;

const COUNTERS: usize = 32;

/// About one row of so many is looked at.
const ONE_OF: u32 = 64;

/// After so many that were looked at all counts are halved: what is long ago counts for less and less.
const HALVED_AT: u32 = 1 << 14;

/// Counts the keys that most rows have.
#[derive(Clone, Debug)]
pub struct TopKeys {
    /// Rows until the next is looked at.
    left: u32,
    random: u32,
    total: u32,
    counters: Vec<(Vec<u8>, u32)>,
}

impl Default for TopKeys {
    fn default() -> Self {
        Self {
            left: ONE_OF,
            random: 0x9e37_79b9,
            total: 0,
            counters: Vec::new(),
        }
    }
}

impl TopKeys {
    /// Notes the key of a row.
    #[inline]
    pub fn note(&mut self, key: &[u8]) {
        self.left -= 1;
        if self.left == 0 {
            self.count(key);
        }
    }

    #[cold]
    fn count(&mut self, key: &[u8]) {
        // Marsaglia, "Xorshift RNGs" (2003): rows that repeat in a pattern must not be looked at in its step.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.left = 1 + self.random % (2 * ONE_OF - 1);
        self.total += 1;
        if let Some((_, count)) = self.counters.iter_mut().find(|(known, _)| known == key) {
            *count += 1;
        } else if self.counters.len() < COUNTERS {
            self.counters.push((key.to_vec(), 1));
        } else if let Some((least, count)) = self.counters.iter_mut().min_by_key(|(_, count)| *count) {
            key.clone_into(least);
            *count += 1;
        }
        if self.total >= HALVED_AT {
            self.total /= 2;
            self.counters.iter_mut().for_each(|(_, count)| *count /= 2);
            self.counters.retain(|(_, count)| *count > 0);
        }
    }
}

/// The keys of several tables together.
#[derive(Clone, Debug, Default)]
pub struct KeyShares {
    total: u64,
    counts: BTreeMap<Vec<u8>, u64>,
}

impl KeyShares {
    /// Adds those of a table.
    pub fn add(&mut self, top: &TopKeys) {
        self.total += u64::from(top.total);
        for (key, count) in &top.counters {
            match self.counts.get_mut(key.as_slice()) {
                Some(known) => *known += u64::from(*count),
                None => drop(self.counts.insert(key.clone(), u64::from(*count))),
            }
        }
    }

    /// Keys that at least this share of the rows have, the largest first, with their share. Nothing is known of few rows.
    pub fn at_least(&self, share: f64) -> Vec<(Vec<u8>, f64)> {
        if self.total < u64::from(ONE_OF) {
            return Vec::new();
        }
        let of_all = |count: u64| count as f64 / self.total as f64;
        let shares = self.counts.iter().map(|(key, count)| (key.clone(), of_all(*count)));
        let mut shares: Vec<(Vec<u8>, f64)> = shares.filter(|(_, of_key)| *of_key >= share).collect();
        shares.sort_by(|one, other| other.1.total_cmp(&one.1));
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of which each key has its share, in a pattern that repeats.
    fn shares(n_rows: u64, pattern: &[u64], further: u64) -> Vec<(u64, f64)> {
        let mut top = TopKeys::default();
        for row in 0..n_rows {
            let at = row % (pattern.len() as u64 + further);
            let key = pattern.get(at as usize).copied().unwrap_or(1_000 + row % 50_000);
            top.note(&key.to_be_bytes());
        }
        let mut all = KeyShares::default();
        all.add(&top);
        let number = |key: Vec<u8>| key.try_into().map_or(0, u64::from_be_bytes);
        let shares = all.at_least(0.1).into_iter();
        shares.map(|(key, share)| (number(key), share)).collect()
    }

    #[test]
    fn keys_that_many_rows_have_are_known_with_about_their_share() {
        // 4 and 2 of 8 rows; the others are of very many keys.
        let found = shares(1_000_000, &[7, 9, 7, 7, 9, 7], 2);
        let keys: Vec<u64> = found.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, [7, 9]);
        assert!(
            (found[0].1 - 0.5).abs() < 0.05 && (found[1].1 - 0.25).abs() < 0.05,
            "{found:?}"
        );
    }

    #[test]
    fn of_many_keys_alike_and_of_few_rows_none_is_known() {
        assert_eq!(shares(1_000_000, &[], 1), []);
        assert_eq!(shares(500, &[7], 0), []);
    }

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let mut top = TopKeys::default();
        (0..2_000_000).for_each(|_| top.note(b"then"));
        (0..4_000_000).for_each(|_| top.note(b"now"));
        let mut all = KeyShares::default();
        all.add(&top);
        assert_eq!(all.at_least(0.5)[0].0, b"now");
    }
}
