//! Fills the topic that is read to its end, once for all runs.

use std::time::{Instant, SystemTime};

use anyhow::anyhow;

use super::alerts::{Alerts, critical, partition_of};
use super::batch::{Builder, set_time};
use super::producer::Producer;
use crate::broker::Broker;

const HOUR: i64 = 3_600_000;

/// Batches on their way to the broker at once.
const IN_FLIGHT: u32 = 8;

/// What services are called whose alerts end the topic.
pub const END: &str = "end-";

/// Fills a topic: the alerts, and behind them in each partition two alerts of a service of its own, an hour and two
/// hours later. The first lets all windows of the alerts close; the second closes the window of the first, whose count
/// then says that all before it is done.
pub fn fill(broker: &Broker, topic: &str, alerts: Alerts, per_batch: u64) -> anyhow::Result<()> {
    let started = Instant::now();
    broker.create(topic)?;
    std::thread::scope(|scope| {
        let fill = |partition| move || fill_partition(broker, topic, alerts, per_batch, partition);
        let partitions: Vec<_> = (0..alerts.partitions)
            .map(|partition| scope.spawn(fill(partition)))
            .collect();
        partitions.into_iter().try_for_each(|partition| {
            let filled = partition.join();
            filled.unwrap_or_else(|_| Err(anyhow!("the thread that fills a partition panicked")))
        })
    })?;
    eprintln!("{} alerts are in {topic} ({:.0?})", alerts.count, started.elapsed());
    Ok(())
}

fn fill_partition(broker: &Broker, topic: &str, alerts: Alerts, per_batch: u64, partition: u32) -> anyhow::Result<()> {
    let mut producer = Producer::connect(broker.address()?, topic, IN_FLIGHT)?;
    let mut send = |_, mut batch: Vec<u8>| {
        set_time(&mut batch, now());
        producer.send(partition, &batch)
    };
    alerts.batches(partition, per_batch * u64::from(alerts.partitions), &mut send)?;
    let service = ending_service(partition, alerts.partitions);
    let mut last = Builder::default();
    for hours in [1, 2] {
        let alert = critical(&service, alerts.end() + hours * HOUR);
        last.push(service.as_bytes(), alert.as_bytes());
    }
    send(0, last.finish())?;
    producer.finish()
}

/// A service whose alerts belong to this partition.
fn ending_service(partition: u32, partitions: u32) -> String {
    let names = (0_u32..).map(|number| format!("{END}{number}"));
    let belongs = |name: &String| partition_of(name.as_bytes(), partitions) == partition;
    names.into_iter().find(belongs).unwrap_or_default()
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
