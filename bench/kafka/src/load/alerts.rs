//! Alerts of the generator, partition by partition, keyed by their service as `partitionedBy` claims.

use tocsin_contract::pipeline::source::{GeneratorSource, Partitioner};
use tocsin_worker_core::decode::Span;
use tocsin_worker_core::generator::{Generator, START};
use tocsin_worker_core::kafka::partitioner;

use super::batch::Builder;

/// Event time of the first alert, in milliseconds since 1970.
pub const FIRST: i64 = START / 1_000;

/// How often something of the load is sent, in milliseconds.
pub const TICK: u64 = 10;

/// Services of the alerts.
const SERVICES: u32 = 1_000;

/// What is in front of the service in an alert: its time stands before, of which no digit is a comma.
const BEFORE_SERVICE: &[u8] = b",\"service\":\"";

/// Alerts to make. None is late: engines agree on what is in a window, not on when it is too late.
#[derive(Clone, Copy, Debug)]
pub struct Alerts {
    /// How many, in all partitions.
    pub count: u64,
    /// How many in a second of event time.
    pub rate: u64,
    /// Partitions of the topic.
    pub partitions: u32,
}

impl Alerts {
    /// Gives the batches of a partition: of each `chunk` alerts of all partitions, those that belong here. A batch comes
    /// with the number of its chunk. Each partition can be made by a thread of its own.
    pub fn batches(
        self,
        partition: u32,
        chunk: u64,
        mut take: impl FnMut(u64, Vec<u8>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut generator = Generator::new(&GeneratorSource {
            count: Some(self.count),
            rate: self.rate,
            services: SERVICES,
            late_percent: 0,
            ..GeneratorSource::default()
        });
        let (mut lines, mut spans): (Vec<u8>, Vec<Span>) = (Vec::new(), Vec::new());
        let mut builder = Builder::default();
        for number in 0.. {
            lines.clear();
            spans.clear();
            if generator.fill(&mut lines, &mut spans, usize::MAX, chunk) == 0 {
                break;
            }
            for line in spans.iter().filter_map(|span| lines.get(span.start..span.end)) {
                let service = service(line);
                if partition_of(service, self.partitions) == partition {
                    builder.push(service, line);
                }
            }
            if !builder.is_empty() {
                take(number, builder.finish())?;
            }
        }
        Ok(())
    }

    /// Event time behind the last alert, in milliseconds since 1970.
    pub fn end(self) -> i64 {
        FIRST + i64::try_from(self.count * 1_000 / self.rate).unwrap_or(i64::MAX / 2)
    }
}

/// The partition of a key, as Kafka's Java client chooses it.
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    let hash = partitioner::hash(Partitioner::Murmur2, key);
    partitioner::partition(Partitioner::Murmur2, hash, partitions)
}

/// An alert of severity CRITICAL.
pub fn critical(service: &str, millis: i64) -> String {
    format!(
        r#"{{"ts":{millis},"service":"{service}","severity":"CRITICAL","host":"h","message":"of the measurement"}}"#
    )
}

/// The service of an alert that the generator made.
fn service(line: &[u8]) -> &[u8] {
    let comma = line.iter().position(|byte| *byte == b',').unwrap_or(line.len());
    let rest = line.get(comma + BEFORE_SERVICE.len()..).unwrap_or_default();
    let end = rest.iter().position(|byte| *byte == b'"').unwrap_or(rest.len());
    &rest[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_of_an_alert_is_found() {
        let alert = critical("checkout-01", FIRST);
        assert_eq!(service(alert.as_bytes()), b"checkout-01");
        assert_eq!(service(b""), b"");
    }

    #[test]
    fn every_alert_is_in_one_partition() {
        let alerts = Alerts {
            count: 5_000,
            rate: 1_000,
            partitions: 3,
        };
        let mut n_records = 0;
        for partition in 0..3 {
            let count = |_, batch: Vec<u8>| {
                n_records += i32::from_be_bytes(batch[57..61].try_into()?);
                Ok(())
            };
            alerts.batches(partition, 700, count).unwrap();
        }
        assert_eq!(n_records, 5_000);
    }
}
