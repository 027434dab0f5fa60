//! A load that is made before its clock starts: finished batches, each with the tick at which it is due.

use std::time::Instant;

use anyhow::anyhow;

use super::Load;
use crate::load::alerts::{Alerts, TICK};

/// A finished batch, and the number of its tick.
pub type Due = (u64, Vec<u8>);

/// The batches of each partition.
pub struct Prepared {
    partitions: Vec<Vec<Due>>,
}

impl Prepared {
    /// Makes the whole load. It stands in memory: at a million alerts a second about 50 MB a second.
    pub fn new(load: Load, partitions: u32) -> anyhow::Result<Self> {
        let started = Instant::now();
        let seconds = (load.warm_up + load.measured).as_secs();
        let alerts = Alerts {
            count: load.rate * seconds,
            rate: load.rate,
            partitions,
        };
        let per_tick = (load.rate * TICK / 1_000).max(1);
        let make = |partition| {
            move || {
                let mut batches = Vec::new();
                let take = |tick, batch| {
                    batches.push((tick, batch));
                    Ok(())
                };
                alerts.batches(partition, per_tick, take).map(|()| batches)
            }
        };
        let partitions: anyhow::Result<Vec<Vec<Due>>> = std::thread::scope(|scope| {
            let making: Vec<_> = (0..partitions).map(|partition| scope.spawn(make(partition))).collect();
            let made = making.into_iter().map(|partition| partition.join());
            made.map(|made| made.unwrap_or_else(|_| Err(anyhow!("the thread that makes a load panicked"))))
                .collect()
        });
        let prepared = Self {
            partitions: partitions?,
        };
        let bytes: usize = prepared.partitions.iter().flatten().map(|(_, batch)| batch.len()).sum();
        let megabytes = bytes / 1_000_000;
        eprintln!(
            "{} alerts are prepared, {megabytes} MB ({:.0?})",
            alerts.count,
            started.elapsed()
        );
        Ok(prepared)
    }

    /// The batches of each partition, to be sent; their time is set then.
    pub fn partitions(&mut self) -> impl Iterator<Item = (u32, &mut [Due])> {
        (0..).zip(self.partitions.iter_mut().map(Vec::as_mut_slice))
    }
}
