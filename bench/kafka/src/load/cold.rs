//! Services with one alert each: state that there is much of, and that no load touches.

use std::time::Instant;

use anyhow::anyhow;

use super::alerts::{FIRST, critical, partition_of};
use super::batch::{Builder, set_time};
use super::fill::now;
use super::producer::Producer;
use crate::broker::Broker;

/// Batches on their way to the broker at once.
const IN_FLIGHT: u32 = 8;

/// Alerts of a batch.
const BATCH: u64 = 1_000;

/// Writes an alert of severity CRITICAL of so many services, each into the partition of its service.
pub fn fill_cold(broker: &Broker, topic: &str, services: u64) -> anyhow::Result<()> {
    let started = Instant::now();
    std::thread::scope(|scope| {
        let fill = |partition| move || fill_partition(broker, topic, services, partition);
        let filling: Vec<_> = (0..broker.partitions())
            .map(|partition| scope.spawn(fill(partition)))
            .collect();
        filling.into_iter().try_for_each(|partition| {
            let filled = partition.join();
            filled.unwrap_or_else(|_| Err(anyhow!("the thread that fills a partition panicked")))
        })
    })?;
    eprintln!("{services} services have an alert each ({:.0?})", started.elapsed());
    Ok(())
}

fn fill_partition(broker: &Broker, topic: &str, services: u64, partition: u32) -> anyhow::Result<()> {
    let mut producer = Producer::connect(broker.address()?, topic, IN_FLIGHT)?;
    let mut builder = Builder::default();
    for number in 0..services {
        let service = format!("cold-{number}");
        if partition_of(service.as_bytes(), broker.partitions()) == partition {
            builder.push(service.as_bytes(), critical(&service, FIRST).as_bytes());
        }
        if (number + 1) % (BATCH * u64::from(broker.partitions())) == 0 && !builder.is_empty() {
            send(&mut producer, partition, &mut builder)?;
        }
    }
    if !builder.is_empty() {
        send(&mut producer, partition, &mut builder)?;
    }
    producer.finish()
}

fn send(producer: &mut Producer, partition: u32, builder: &mut Builder) -> anyhow::Result<()> {
    let mut batch = builder.finish();
    set_time(&mut batch, now());
    producer.send(partition, &batch)
}
