//! For how long a snapshot keeps its thread from records.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A time without a break, measured twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// By the clock: with what other threads and processes took of the processor meanwhile.
    pub wall: Duration,
    /// Of the thread's own processor time: what the snapshot itself cost.
    pub cpu: Duration,
}

impl Pause {
    /// The longer of two, by either measure.
    pub fn max(self, other: Self) -> Self {
        Self {
            wall: self.wall.max(other.wall),
            cpu: self.cpu.max(other.cpu),
        }
    }
}

/// The beginning of a pause.
#[derive(Clone, Copy, Debug)]
pub struct PauseBegun {
    wall: Instant,
    cpu: Duration,
}

impl PauseBegun {
    /// A pause of the calling thread begins now.
    pub fn now() -> Self {
        Self {
            wall: Instant::now(),
            cpu: thread_cpu(),
        }
    }

    /// How long it has been by the clock.
    pub fn wall(self) -> Duration {
        self.wall.elapsed()
    }

    /// How long it has been. To be asked by the thread that began it.
    pub fn elapsed(self) -> Pause {
        Pause {
            wall: self.wall(),
            cpu: thread_cpu().saturating_sub(self.cpu),
        }
    }
}

/// Processor time of the calling thread.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_spends_time_and_no_processor_time() {
        let begun = PauseBegun::now();
        std::thread::park_timeout(Duration::from_millis(30));
        while begun.wall() < Duration::from_millis(30) {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        let pause = begun.elapsed();
        assert!(pause.wall >= Duration::from_millis(30), "{pause:?}");
        assert!(pause.cpu < pause.wall, "{pause:?}");
    }

    #[test]
    fn each_measure_keeps_its_longest() {
        let pause = |wall, cpu| Pause {
            wall: Duration::from_millis(wall),
            cpu: Duration::from_millis(cpu),
        };
        assert_eq!(pause(9, 1).max(pause(3, 2)), pause(9, 2));
    }
}
