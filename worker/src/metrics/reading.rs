//! What is measured where records of a partition are taken.

use std::time::Instant;

use tocsin_worker_core::kafka::lag::{Behind, Lag};
use tocsin_worker_core::stream::Micros;

use super::wall;
use tocsin_kafka::Fetched;

/// So many times stand for those of a block.
const SAMPLES: usize = 8;

/// So many are kept until they are committed; beyond, two become one.
const MOST_SAMPLES: usize = 1_024;

/// What is measured where records of a partition are taken.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    lag: Lag,
    /// Where an open transaction of another producer holds reading up, and since when.
    held_up: Option<(i64, Instant)>,
    /// When Kafka got records that are not committed, and how many each stands for.
    arrivals: Vec<(Micros, u64)>,
}

impl Reading {
    /// An answer came.
    pub fn answered(&mut self, fetched: &Fetched) {
        let age = Instant::now().saturating_duration_since(fetched.at);
        let at = wall().saturating_sub(Micros::try_from(age.as_micros()).unwrap_or(Micros::MAX));
        self.lag.answered(fetched.high_watermark, at);
        let at = fetched.next.offset;
        let is_held_up = at == fetched.last_stable && at < fetched.high_watermark;
        self.held_up = match self.held_up.filter(|(before, _)| *before == at) {
            _ if !is_held_up => None,
            Some(before) => Some(before),
            None => Some((at, fetched.at)),
        };
    }

    /// Since when an open transaction of another producer has held reading up.
    pub fn held_up_since(&self) -> Option<Instant> {
        self.held_up.map(|(_, since)| since)
    }

    /// Records that came at these times were processed, up to a position.
    pub fn processed(&mut self, position: i64, arrived: &[Micros]) {
        self.lag.processed(position, arrived.last().copied());
        let each = arrived.len().div_ceil(SAMPLES).max(1);
        for part in arrived.chunks(each) {
            // The one that has waited longest.
            if let Some(oldest) = part.iter().min().filter(|oldest| **oldest != Micros::MAX) {
                self.arrivals.push((*oldest, part.len() as u64));
            }
        }
        if self.arrivals.len() > MOST_SAMPLES {
            self.arrivals = self.arrivals.chunks(2).map(merged).collect();
        }
    }

    /// How far behind a position is.
    pub fn behind(&mut self, position: i64) -> Option<Behind> {
        self.lag.look(position)
    }

    /// When records came that were processed since this was asked, and how many each time stands for.
    pub fn take_arrivals(&mut self) -> Vec<(Micros, u64)> {
        std::mem::take(&mut self.arrivals)
    }
}

fn merged(pair: &[(Micros, u64)]) -> (Micros, u64) {
    let oldest = pair.iter().map(|(at, _)| *at).min().unwrap_or(Micros::MAX);
    (oldest, pair.iter().map(|(_, weight)| weight).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_counts_and_memory_is_bounded() {
        let mut reading = Reading::default();
        for block in 0..5_000_i64 {
            let arrived: Vec<Micros> = (0..10).map(|record| block * 10 + record).collect();
            reading.processed(block, &arrived);
            assert!(reading.arrivals.len() <= MOST_SAMPLES + SAMPLES);
        }
        let arrivals = reading.take_arrivals();
        assert_eq!(arrivals.iter().map(|(_, weight)| weight).sum::<u64>(), 50_000);
        assert!(arrivals.is_sorted());
        assert_eq!(reading.take_arrivals(), []);
    }

    #[test]
    fn a_single_record_keeps_its_own_time_and_one_without_is_left_out() {
        let mut reading = Reading::default();
        reading.processed(1, &[7]);
        reading.processed(2, &[Micros::MAX]);
        assert_eq!(reading.take_arrivals(), [(7, 1)]);
    }
}
