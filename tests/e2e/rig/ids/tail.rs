//! Follows a topic as a committed reader, and counts how often each id was seen.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::oracle::{Event, SERVICES};
use crate::RigError;
use crate::kafka::{Isolation, Kafka, Quiet};

/// A reader that goes on where it was.
pub struct Tail {
    consumer: BaseConsumer<Quiet>,
    topic: String,
    seen: BTreeMap<i64, u32>,
    /// Every event of the stream before this one was seen, if it passes.
    complete: i64,
}

impl Tail {
    pub(super) fn start(kafka: &Kafka, topic: &str, partitions: i32) -> Result<Self, RigError> {
        let consumer = kafka.reader("rig", Isolation::Committed)?;
        let mut assigned = TopicPartitionList::new();
        for partition in 0..partitions {
            assigned
                .add_partition_offset(topic, partition, Offset::Beginning)
                .map_err(RigError::client(format!("reading {topic}")))?;
        }
        consumer
            .assign(&assigned)
            .map_err(RigError::client(format!("reading {topic}")))?;
        Ok(Self {
            consumer,
            topic: topic.to_owned(),
            seen: BTreeMap::new(),
            complete: 0,
        })
    }

    /// How often each id was seen so far.
    pub fn seen(&self) -> &BTreeMap<i64, u32> {
        &self.seen
    }

    /// Reads on until every event before this id was seen that passes.
    ///
    /// # Errors
    /// When one does not come in time.
    pub fn wait_for(&mut self, id: i64, within: Duration) -> Result<(), RigError> {
        let mut complete = self.complete;
        let what = format!("every event before {id}");
        let waited = self.wait_until(&what, within, |seen| {
            while !Event::of(complete, 0).passes || seen.contains_key(&complete) {
                complete += 1;
            }
            complete >= id
        });
        self.complete = complete;
        waited.map_err(|error| match error {
            RigError::TimedOut { what, within } => RigError::TimedOut {
                what: format!("{what}, the first that is missing is {complete}"),
                within,
            },
            other => other,
        })
    }

    /// Reads on until so many different ids were seen.
    ///
    /// # Errors
    /// As [`Tail::wait_for`].
    pub fn wait_for_count(&mut self, count: usize, within: Duration) -> Result<(), RigError> {
        self.wait_until(&format!("{count} different events"), within, |seen| seen.len() >= count)
    }

    /// Reads on until each of so many events that passes was seen.
    ///
    /// # Errors
    /// As [`Tail::wait_for`].
    pub fn wait_for_all_passed(&mut self, n_events: i64, within: Duration) -> Result<(), RigError> {
        let closing = n_events - SERVICES;
        let pass = |id: &i64| *id >= closing || Event::of(*id, 0).passes;
        self.wait_for_count((0..n_events).filter(pass).count(), within)
    }

    fn wait_until(
        &mut self,
        what: &str,
        within: Duration,
        mut ask: impl FnMut(&BTreeMap<i64, u32>) -> bool,
    ) -> Result<(), RigError> {
        let deadline = Instant::now() + within;
        while !ask(&self.seen) {
            if Instant::now() > deadline {
                let newest = self.seen.keys().next_back();
                let what = format!(
                    "{what} in {}; {} were seen, the newest is {newest:?}",
                    self.topic,
                    self.seen.len()
                );
                return Err(RigError::TimedOut { what, within });
            }
            // What fails is asked for again: brokers come and go.
            if let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(50)) {
                let event = message.payload().and_then(Event::read);
                if let Some(event) = event {
                    *self.seen.entry(event.id).or_default() += 1;
                }
            }
        }
        Ok(())
    }
}
