//! The generator as a source: at the pace of its event time, or as fast as asked for.

use std::time::Duration;

use tocsin_worker_core::generator::Generator;

use super::error::SourceError;
use super::pace::{Clock, Pacer, Speed, SystemClock};
use super::{BLOCK_BYTES, Block, Interrupt, Polled, Source};

/// Shortest time between two blocks of a paced generator: fewer, larger blocks cost less.
const BATCH: Duration = Duration::from_millis(10);

/// Hands over generated alerts.
pub struct GeneratorSource {
    generator: Generator,
    pacer: Pacer,
    speed: Speed,
    clock: Box<dyn Clock>,
    last_block: Option<Duration>,
    bytes: u64,
    interrupt: Interrupt,
}

impl GeneratorSource {
    /// Hands over what the generator makes, at a speed.
    pub fn new(generator: Generator, speed: Speed, interrupt: Interrupt) -> Self {
        Self::with_clock(generator, speed, interrupt, Box::new(SystemClock::default()))
    }

    /// The same with a clock of the caller's.
    pub fn with_clock(generator: Generator, speed: Speed, interrupt: Interrupt, clock: Box<dyn Clock>) -> Self {
        Self {
            generator,
            pacer: Pacer::new(speed),
            speed,
            clock,
            last_block: None,
            bytes: 0,
            interrupt,
        }
    }

    /// How long until a block is worth its while; `None` if none will ever be.
    fn until_next(&mut self, now: Duration) -> Option<Duration> {
        let next = self.generator.next_time()?;
        let delay = self.pacer.delay(next, now);
        let pause = match (self.speed, self.last_block) {
            (Speed::Times(_), Some(last)) => last.saturating_add(BATCH).saturating_sub(now),
            _ => Duration::ZERO,
        };
        Some(delay.max(pause))
    }
}

impl Source for GeneratorSource {
    fn poll(&mut self, block: &mut Block, wait: Duration) -> Result<Polled, SourceError> {
        block.clear();
        let deadline = self.clock.now().saturating_add(wait);
        loop {
            if self.interrupt.is_raised() {
                return Ok(Polled::End);
            }
            let now = self.clock.now();
            let Some(delay) = self.until_next(now) else {
                return Ok(Polled::End);
            };
            if delay.is_zero() {
                let due = self
                    .generator
                    .due_at(self.pacer.due_at(now))
                    .saturating_sub(self.generator.produced());
                // The next alert is due; rounding must not say otherwise.
                self.generator
                    .fill(&mut block.bytes, &mut block.spans, BLOCK_BYTES, due.max(1));
                self.bytes += block.bytes.len() as u64;
                self.last_block = Some(now);
                return Ok(Polled::Records);
            }
            let left = deadline.saturating_sub(now);
            if left.is_zero() {
                return Ok(Polled::Idle);
            }
            self.clock.sleep(delay.min(left).min(Interrupt::HEARD_WITHIN));
        }
    }

    fn total_bytes(&self) -> Option<u64> {
        None
    }

    fn read_bytes(&self) -> u64 {
        self.bytes
    }

    fn is_live(&self) -> bool {
        self.speed != Speed::Max
    }

    /// As far as the pace has come, but not past an alert that is still to be handed over.
    fn event_time_now(&self, _: i64) -> i64 {
        let due = self.pacer.due_at(self.clock.now());
        self.generator.next_time().map_or(due, |next| due.min(next))
    }

    fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use tocsin_contract::pipeline::source::GeneratorSource as Spec;

    use super::*;
    use crate::source::pace::ManualClock;

    fn source(spec: Spec, speed: Speed) -> (GeneratorSource, ManualClock) {
        let clock = ManualClock::default();
        let made = GeneratorSource::with_clock(
            Generator::new(&spec),
            speed,
            Interrupt::default(),
            Box::new(clock.clone()),
        );
        (made, clock)
    }

    /// So many alerts a second of event time, at this speed.
    fn source_at(rate: u64, speed: f64) -> (GeneratorSource, ManualClock) {
        let spec = Spec {
            rate,
            ..Spec::default()
        };
        source(spec, Speed::Times(speed))
    }

    fn check_pace(rate: u64, speed: f64, seconds: u64, expected: u64) {
        let (mut source, clock) = source_at(rate, speed);
        let (mut block, mut n_alerts) = (Block::default(), 0);
        while clock.now() < Duration::from_secs(seconds) {
            if source.poll(&mut block, Duration::from_millis(50)).unwrap() == Polled::Records {
                n_alerts += block.spans.len() as u64;
            }
        }
        assert!(
            n_alerts.abs_diff(expected) <= rate / 50 + 2,
            "{n_alerts} instead of {expected}"
        );
    }

    #[test]
    fn alerts_come_at_the_pace_of_event_time() {
        check_pace(1_000, 1.0, 10, 10_000);
        check_pace(100, 60.0, 2, 12_000);
        check_pace(2, 0.5, 20, 20);
    }

    #[test]
    fn a_poll_returns_idle_when_its_time_is_up() {
        let (mut source, clock) = source_at(1, 1.0);
        let mut block = Block::default();
        assert_eq!(
            source.poll(&mut block, Duration::ZERO).unwrap(),
            Polled::Records,
            "the first is due at once"
        );
        assert_eq!(
            source.poll(&mut block, Duration::from_millis(100)).unwrap(),
            Polled::Idle
        );
        assert!(block.is_empty());
        assert_eq!(clock.now(), Duration::from_millis(100));
        assert!(source.is_live());
    }

    #[test]
    fn it_is_as_late_as_the_pace_has_come_whatever_the_wall_shows() {
        let (mut source, clock) = source_at(1, 0.2);
        let start = tocsin_worker_core::generator::START;
        let mut block = Block::default();
        source.poll(&mut block, Duration::ZERO).unwrap();
        clock.sleep(Duration::from_secs(4));
        assert_eq!(source.event_time_now(i64::MAX), start + 800_000);
        clock.sleep(Duration::from_secs(4));
        let next = start + 1_000_000;
        assert_eq!(source.event_time_now(i64::MAX), next, "the next one is not handed over");
        source.poll(&mut block, Duration::ZERO).unwrap();
        assert_eq!(source.event_time_now(0), start + 1_600_000);
    }

    #[test]
    fn at_full_speed_all_alerts_come_at_once_and_then_the_end() {
        let (mut source, clock) = source(
            Spec {
                count: Some(12_345),
                ..Spec::default()
            },
            Speed::Max,
        );
        let (mut block, mut n_alerts) = (Block::default(), 0);
        while source.poll(&mut block, Duration::ZERO).unwrap() == Polled::Records {
            n_alerts += block.spans.len();
        }
        assert_eq!((n_alerts, clock.now()), (12_345, Duration::ZERO));
        assert!(!source.is_live() && source.read_bytes() > 12_345 * 150);
    }

    #[test]
    fn an_interrupt_ends_an_endless_generator() {
        let (mut source, _) = source(Spec::default(), Speed::Max);
        let mut block = Block::default();
        assert_eq!(source.poll(&mut block, Duration::ZERO).unwrap(), Polled::Records);
        source.interrupt().raise();
        assert_eq!(source.poll(&mut block, Duration::ZERO).unwrap(), Polled::End);
    }
}
