//! Adds offsets to a transaction, and waits no longer than it may.
//!
//! librdkafka keeps no time for this call while the coordinator of the group that it knows of cannot be reached: it waits
//! until the connection to any broker comes or goes (2.12.1: `creq_ts_timeout` of rdkafka_coord.c is set and never read).
//! So the call is made on a thread of its own, which is left behind with its producer when it does not return.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use rdkafka::TopicPartitionList;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use crate::shards::grant::Grant;

/// How much later than promised a call may return.
const GRACE: Duration = Duration::from_millis(500);

/// What adds offsets to the transactions of a producer.
pub struct OffsetsSender {
    calls: Option<Sender<(TopicPartitionList, Grant)>>,
    outcomes: Receiver<Result<(), ClientError>>,
    thread: Option<JoinHandle<()>>,
    longest: Duration,
}

impl OffsetsSender {
    /// For a producer whose calls take at most so long.
    pub fn start<C: ProducerContext + 'static>(producer: &Arc<BaseProducer<C>>, longest: Duration) -> Self {
        let (calls, called) = crossbeam_channel::bounded::<(TopicPartitionList, Grant)>(1);
        let (outcome, outcomes) = crossbeam_channel::bounded(1);
        let producer = Arc::clone(producer);
        let thread = std::thread::spawn(move || {
            for (offsets, grant) in called {
                let sent = producer.send_offsets_to_transaction(&offsets, grant.metadata(), longest);
                if outcome.send(sent).is_err() {
                    return;
                }
            }
        });
        Self {
            calls: Some(calls),
            outcomes,
            thread: Some(thread),
            longest,
        }
    }

    /// Adds offsets to the transaction that is open.
    ///
    /// # Errors
    /// If they could not be added, or nobody knows whether they were: then the producer is of no use any more.
    pub fn send(&mut self, offsets: TopicPartitionList, grant: &Grant) -> Result<(), ClientError> {
        let late = || ClientError::Flush(RDKafkaErrorCode::OperationTimedOut);
        let calls = self.calls.as_ref().ok_or_else(late)?;
        calls.send((offsets, grant.clone())).map_err(|_| late())?;
        self.outcomes.recv_timeout(self.longest + GRACE).unwrap_or_else(|_| {
            tracing::warn!("offsets could not be added to a transaction in time: the call is left behind");
            self.calls = None;
            self.thread = None;
            Err(late())
        })
    }
}

impl Drop for OffsetsSender {
    fn drop(&mut self) {
        self.calls = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
