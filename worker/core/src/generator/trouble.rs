//! Which services are in trouble when.
//!
//! One slot for every hundred services, from one to 32. In each slot trouble lasts some minutes of event time, then moves
//! on to another service. A function of the seed and of the elapsed time alone.

use super::random::{Random, below};

/// Event time that trouble lasts in a slot: 2 to 6 minutes, in microseconds.
const SHORTEST: u64 = 120_000_000;
const LONGEST: u64 = 360_000_000;

/// Bounds the cost of asking whether a service is in trouble.
const MOST_SLOTS: u32 = 32;

/// Keeps the numbers of slots apart from those of alerts.
const DOMAIN: u64 = 0x7472_6f75_626c_6521;

/// The services in trouble at a moment that only moves on.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    random: Random,
    services: u32,
    slots: Vec<Slot>,
    /// The service in trouble of each slot.
    current: Vec<u32>,
    next_change: i64,
}

#[derive(Clone, Debug)]
struct Slot {
    lasts: i64,
    phase: i64,
}

impl Trouble {
    pub(super) fn new(seed: u64, services: u32) -> Self {
        let random = Random::new(seed ^ DOMAIN);
        let slots = (0..u64::from((services / 100).clamp(1, MOST_SLOTS)))
            .map(|slot| {
                let [lasts, phase, ..] = random.of(u64::MAX - slot);
                let lasts = SHORTEST + lasts % (LONGEST - SHORTEST);
                Slot {
                    lasts: lasts as i64,
                    phase: (phase % lasts) as i64,
                }
            })
            .collect();
        let mut trouble = Self {
            random,
            services,
            slots,
            current: Vec::new(),
            next_change: i64::MIN,
        };
        trouble.advance(0);
        trouble
    }

    /// Moves on to `elapsed` microseconds after the start.
    #[inline]
    pub(super) fn advance(&mut self, elapsed: i64) {
        if elapsed >= self.next_change {
            self.change(elapsed);
        }
    }

    fn change(&mut self, elapsed: i64) {
        self.current.clear();
        self.next_change = i64::MAX;
        for (number, slot) in (0u64..).zip(&self.slots) {
            let spell = elapsed.saturating_add(slot.phase) / slot.lasts;
            let [choice, ..] = self.random.of((number << 40) ^ spell.unsigned_abs());
            self.current.push(below(choice, self.services));
            let ends = (spell + 1).saturating_mul(slot.lasts) - slot.phase;
            self.next_change = self.next_change.min(ends);
        }
    }

    /// A service that is in trouble.
    #[inline]
    pub(super) fn any(&self, bits: u64) -> u32 {
        self.current[below(bits, self.current.len() as u32) as usize]
    }

    #[inline]
    pub(super) fn is_in_trouble(&self, service: u32) -> bool {
        self.current.contains(&service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_moves_on_after_minutes_and_is_never_over() {
        let mut trouble = Trouble::new(7, 40);
        let mut seen = std::collections::BTreeSet::new();
        for minute in 0..240 {
            trouble.advance(minute * 60_000_000);
            assert_eq!(trouble.current.len(), 1);
            assert!(trouble.is_in_trouble(trouble.any(u64::MAX / 3)));
            seen.insert(trouble.any(0));
        }
        assert!(seen.len() > 10, "{seen:?}");
    }

    #[test]
    fn the_way_to_a_moment_does_not_matter() {
        let (mut by_steps, mut at_once) = (Trouble::new(3, 1_000), Trouble::new(3, 1_000));
        for second in 0..=1_000 {
            by_steps.advance(second * 1_000_000);
        }
        at_once.advance(1_000_000_000);
        assert_eq!(by_steps.current, at_once.current);
    }
}
