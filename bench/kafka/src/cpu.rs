//! Processor time of processes, and the time on the clock beside it.

use std::time::{Duration, Instant};

use anyhow::Context as _;

/// Processor time that a process has used, of all its threads, in the kernel and out of it. In steps of 10 ms.
pub fn used(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    // Fields are counted from behind the name, which may hold spaces: utime and stime are the twelfth and thirteenth.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|field| field.parse::<u64>().ok());
    let sum = ticks(11).zip(ticks(12)).map(|(user, system)| user + system);
    let sum = sum.with_context(|| format!("{path} has another form than proc(5) says"))?;
    Ok(Duration::from_secs(sum) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100))
}

/// A moment: the clock, and what each process has used.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    at: Instant,
    engine: Duration,
    broker: Duration,
    own: Duration,
}

/// What was used between two moments, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// On the clock.
    pub wall: f64,
    /// Of processors, by the engine.
    pub engine: f64,
    /// By the broker.
    pub broker: f64,
    /// By this process: it makes the load, and reads results.
    pub own: f64,
}

impl Moment {
    /// Now. Without an engine its count is 0.
    pub fn now(engine: Option<u32>, broker: u32) -> anyhow::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            engine: engine.map_or(Ok(Duration::ZERO), used)?,
            broker: used(broker)?,
            own: used(std::process::id())?,
        })
    }

    /// What was used since an earlier moment.
    pub fn since(&self, earlier: &Self) -> Used {
        let seconds = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64();
        Used {
            wall: self.at.duration_since(earlier.at).as_secs_f64(),
            engine: seconds(self.engine, earlier.engine),
            broker: seconds(self.broker, earlier.broker),
            own: seconds(self.own, earlier.own),
        }
    }
}
