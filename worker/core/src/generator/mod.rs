//! Alerts made from a seed: the same seed gives the same bytes, whatever the size of the blocks.
//!
//! Alert number `i` is a function of the seed and of `i` alone. Event time advances by the asked rate; a share of the
//! alerts is out of order, a share is late. A few services are in trouble at any time: half of the CRITICAL alerts come
//! from them, with high latencies and error rates, so that escalations and incidents have something to find.
//! No clock here: whoever wants alerts at the pace of a clock asks for [`Generator::next_time`].

mod alert;
pub(crate) mod random;
mod trouble;

use tocsin_contract::pipeline::source::GeneratorSource;

use self::alert::{AlertWriter, Severity};
use self::random::{Random, below, percent};
use self::trouble::Trouble;
use crate::decode::Span;

/// Event time of the first alert unless another is set: 2026-01-01T00:00:00Z, in microseconds since 1970.
pub const START: i64 = 1_767_225_600_000_000;

/// How far behind the newest alert one that is out of order may be, unless set otherwise: 5 s, in microseconds.
pub const OUT_OF_ORDER_BOUND: i64 = 5_000_000;

/// How far behind the bound a late alert may be, in milliseconds.
const LATEST_MILLIS: u64 = 55_000;

/// Makes alerts.
#[derive(Clone, Debug)]
pub struct Generator {
    spec: GeneratorSource,
    start: i64,
    bound_millis: u64,
    index: u64,
    random: Random,
    trouble: Trouble,
    writer: AlertWriter,
}

impl Generator {
    /// Alerts of this kind, from number 0 on. A rate or a number of services of 0 counts as 1.
    pub fn new(spec: &GeneratorSource) -> Self {
        let services = spec.services.max(1);
        Self {
            spec: GeneratorSource {
                rate: spec.rate.max(1),
                services,
                ..spec.clone()
            },
            start: START,
            bound_millis: millis(OUT_OF_ORDER_BOUND),
            index: 0,
            random: Random::new(spec.seed),
            trouble: Trouble::new(spec.seed, services),
            writer: AlertWriter::new(),
        }
    }

    /// The same alerts with another event time of the first one, in microseconds since 1970.
    #[must_use]
    pub fn starting_at(mut self, micros: i64) -> Self {
        self.start = micros;
        self
    }

    /// The same alerts for a source with this `maxOutOfOrderness`, in microseconds.
    #[must_use]
    pub fn with_bound(mut self, micros: i64) -> Self {
        self.bound_millis = millis(micros);
        self
    }

    /// How many alerts were made.
    pub fn produced(&self) -> u64 {
        self.index
    }

    /// The time, in microseconds since 1970, at which the next alert is due; `None` after the last one.
    /// This is the running clock of the stream: an alert that is out of order or late carries an earlier time.
    pub fn next_time(&self) -> Option<i64> {
        (!self.is_done()).then(|| self.start.saturating_add(self.elapsed(self.index)))
    }

    /// How many alerts will have been made when the stream's clock stands at `micros` since 1970.
    pub fn due_at(&self, micros: i64) -> u64 {
        let elapsed = u128::from(micros.saturating_sub(self.start).max(0).unsigned_abs());
        let whole = elapsed * u128::from(self.spec.rate) / 1_000_000 + 1;
        u64::try_from(whole)
            .unwrap_or(u64::MAX)
            .min(self.spec.count.unwrap_or(u64::MAX))
    }

    /// Appends at most `most` alerts, a line each, until `bytes` has grown by at least `room` or the last alert is
    /// made. Returns how many were made.
    pub fn fill(&mut self, bytes: &mut Vec<u8>, spans: &mut Vec<Span>, room: usize, most: u64) -> u64 {
        let first = self.index;
        let full = bytes.len().saturating_add(room);
        let last = self.spec.count.unwrap_or(u64::MAX).min(first.saturating_add(most));
        while bytes.len() < full && self.index < last {
            let start = bytes.len();
            self.alert(bytes);
            spans.push(Span {
                start,
                end: bytes.len(),
                offset: self.index,
            });
            bytes.push(b'\n');
            self.index += 1;
        }
        self.index - first
    }

    fn is_done(&self) -> bool {
        self.spec.count.is_some_and(|count| self.index >= count)
    }

    /// Microseconds between the first alert and number `index`.
    #[inline]
    fn elapsed(&self, index: u64) -> i64 {
        let rate = self.spec.rate;
        let (seconds, rest) = (index / rate, index % rate);
        // Below this rate 64 bits are enough, and their division is several times faster.
        let micros = if rate < u64::MAX / 1_000_000 {
            rest * 1_000_000 / rate
        } else {
            (u128::from(rest) * 1_000_000 / u128::from(rate)) as u64
        };
        i64::try_from(seconds.saturating_mul(1_000_000).saturating_add(micros)).unwrap_or(i64::MAX)
    }

    fn alert(&mut self, bytes: &mut Vec<u8>) {
        let [kind, what, place, value] = self.random.of(self.index);
        let elapsed = self.elapsed(self.index);
        self.trouble.advance(elapsed);
        let severity = if percent(kind, self.spec.critical_percent) {
            Severity::Critical
        } else {
            Severity::lesser(what)
        };
        let from_trouble = severity == Severity::Critical && kind >> 63 == 0;
        let service = if from_trouble {
            self.trouble.any(place)
        } else {
            below(place, self.spec.services)
        };
        let time = self
            .start
            .saturating_add(elapsed)
            .div_euclid(1_000)
            .saturating_sub(self.behind(kind, what));
        let in_trouble = self.trouble.is_in_trouble(service);
        self.writer
            .write(bytes, time, service, severity, in_trouble, place, value);
    }

    /// By how many milliseconds the alert's time is behind the stream's clock.
    fn behind(&self, kind: u64, what: u64) -> i64 {
        let period = 1_000 / self.spec.rate;
        let choice = kind.rotate_left(32);
        let late = self.spec.late_percent.min(100);
        let millis = if percent(choice, late) {
            self.bound_millis + 2 * period + 1 + below_u64(what.rotate_left(32), LATEST_MILLIS)
        } else if percent(choice, late.saturating_add(self.spec.out_of_order_percent)) && self.bound_millis > 1 {
            let least = (2 * period + 1).min(self.bound_millis - 1);
            least + below_u64(what.rotate_left(32), self.bound_millis - least)
        } else {
            0
        };
        i64::try_from(millis).unwrap_or(i64::MAX)
    }
}

fn below_u64(bits: u64, bound: u64) -> u64 {
    u64::from(below(bits, u32::try_from(bound).unwrap_or(u32::MAX)))
}

fn millis(micros: i64) -> u64 {
    micros.max(0).unsigned_abs() / 1_000
}

#[cfg(test)]
mod tests;
