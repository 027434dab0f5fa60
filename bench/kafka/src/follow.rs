//! Follows an output as a committed reader, and says when the job has come to the end of its input.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use tocsin_e2e::kafka::Isolation;
use tocsin_e2e::process::Process;

use crate::broker::Broker;
use crate::load::fill::END;

/// How often it is looked whether the engine still runs.
const LOOK: Duration = Duration::from_millis(100);

/// How often progress is told.
const TELL: Duration = Duration::from_secs(10);

/// An output that does not grow for so long is complete: longer than the interval of Flink's checkpoints.
const QUIET: Duration = Duration::from_millis(2_500);

/// A committed reader of all partitions of a topic, from its beginning; it belongs to no group. Whoever asks for the ends
/// gets an error `PartitionEOF` at each.
pub fn reader(broker: &Broker, topic: &str, tells_ends: bool) -> anyhow::Result<BaseConsumer> {
    let mut assigned = TopicPartitionList::new();
    for partition in 0..i32::try_from(broker.partitions())? {
        assigned.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap()?)
        .set("group.id", "bench")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", if tells_ends { "true" } else { "false" })
        .create()?;
    consumer.assign(&assigned)?;
    Ok(consumer)
}

/// Waits until the counts of the services that end each partition are there.
pub fn wait_for_end(broker: &Broker, counts: &str, engine: &Process, within: Duration) -> anyhow::Result<()> {
    let consumer = reader(broker, counts, false)?;
    let started = Instant::now();
    let mut told = started;
    let (mut ended, mut n_rows) = (BTreeSet::new(), 0_u64);
    while ended.len() < broker.partitions() as usize {
        match consumer.poll(LOOK) {
            Some(message) => {
                let message = message.with_context(|| format!("following {counts}"))?;
                n_rows += 1;
                ended.extend(ending(&message));
            }
            None => engine.check()?,
        }
        ensure!(
            started.elapsed() < within,
            "the job did not come to its end within {within:?}; the last lines of its log:\n{}",
            engine.last_lines()
        );
        if told.elapsed() > TELL {
            told = Instant::now();
            eprintln!("    {n_rows} counts after {:.0?}", started.elapsed());
        }
    }
    Ok(())
}

/// The name of the service that ends a partition, if this is its count.
fn ending(message: &BorrowedMessage<'_>) -> Option<String> {
    let text = std::str::from_utf8(message.payload()?).ok()?;
    let (_, rest) = text.split_once(&format!("\"service\":\"{END}"))?;
    Some(rest.split('"').next()?.to_owned())
}

/// Waits until nothing more is written to these topics.
pub fn wait_for_quiet(broker: &Broker, topics: &[&str], within: Duration) -> anyhow::Result<()> {
    let started = Instant::now();
    let (mut before, mut since) = (Vec::new(), Instant::now());
    while since.elapsed() < QUIET {
        let mut ends = Vec::new();
        for topic in topics {
            for partition in 0..i32::try_from(broker.partitions())? {
                ends.push(broker.kafka.offsets(topic, partition, Isolation::Committed)?.1);
            }
        }
        if ends != before {
            (before, since) = (ends, Instant::now());
        }
        if started.elapsed() > within {
            bail!("{topics:?} still grow after {within:?}");
        }
        std::thread::park_timeout(LOOK);
    }
    Ok(())
}
