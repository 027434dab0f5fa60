//! Sends a prepared load at the pace of the clock.

use std::time::{Duration, Instant};

use super::prepared::Due;
use crate::broker::Broker;
use crate::load::alerts::TICK;
use crate::load::batch::set_time;
use crate::load::fill::now;
use crate::load::producer::Producer;

/// Batches on their way to the broker at once: 640 ms of a partition.
const IN_FLIGHT: u32 = 64;

/// Sends the batches of a partition, each at the end of its tick. Returns by how much it was behind, at most.
pub fn send(
    broker: &Broker,
    topic: &str,
    partition: u32,
    batches: &mut [Due],
    begin: Instant,
) -> anyhow::Result<Duration> {
    let mut producer = Producer::connect(broker.address()?, topic, IN_FLIGHT)?;
    let mut behind = Duration::ZERO;
    for (tick, batch) in batches {
        let due = begin + Duration::from_millis((*tick + 1) * TICK);
        wait_until(due);
        behind = behind.max(due.elapsed());
        set_time(batch, now());
        producer.send(partition, batch)?;
    }
    producer.finish()?;
    Ok(behind)
}

/// Waits for a moment.
pub fn wait_until(moment: Instant) {
    loop {
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}
