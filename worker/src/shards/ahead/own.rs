//! Results that go ahead by our own Produce path, on a thread of its own: what comes while brokers are asked goes together with
//! the next question.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender as Channel};

use super::{Failure, MOST_SENT, OnTheWay, Sender, Sent};
use crate::shards::producer::ProducerError;
use tocsin_kafka::{Cluster, ClusterSettings, KafkaError, NewRecords, Patience, RecordWriter, WriteError};

/// Brokers that are away are waited for; what is lost with its shard is given up by hand.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// Between two tries to become a producer.
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// Results that were sent together.
type Results = (NewRecords, Arc<Sent>);

/// A thread that writes results.
pub struct OwnSender {
    results: Channel<Results>,
    given_up: Arc<AtomicBool>,
}

impl OwnSender {
    pub fn begin(settings: &ClusterSettings, on_the_way: OnTheWay) -> Result<Self, ProducerError> {
        // Whoever sends stops long before ([`MOST_SENT`]): nobody waits for room.
        let (channel, results) = crossbeam_channel::bounded(2 * MOST_SENT);
        let given_up = Arc::new(AtomicBool::new(false));
        let mut sending = Sending {
            writer: RecordWriter::new(Cluster::new(settings.clone())?, None),
            is_known: false,
            on_the_way,
            given_up: Arc::clone(&given_up),
        };
        std::thread::spawn(move || sending.run(&results));
        Ok(Self {
            results: channel,
            given_up,
        })
    }
}

impl Sender for OwnSender {
    fn send(&self, results: NewRecords, sent: &Arc<Sent>) {
        if self.results.send((results, Arc::clone(sent))).is_err() {
            // The thread has said why with what it could not write.
            sent.fail(stopped());
        }
    }

    fn listen(&self) {}

    fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
    }
}

impl Drop for OwnSender {
    /// The thread is left behind: a broker may be slow to answer what it asked last.
    fn drop(&mut self) {
        self.give_up();
    }
}

struct Sending {
    writer: RecordWriter,
    /// Whether brokers know us as a producer, and count what we write.
    is_known: bool,
    on_the_way: OnTheWay,
    given_up: Arc<AtomicBool>,
}

impl Sending {
    fn run(&mut self, results: &Receiver<Results>) {
        while let Ok(first) = results.recv() {
            let together: Vec<Results> = std::iter::once(first).chain(results.try_iter()).collect();
            let failure = self.write(&together).err().map(|error| match error {
                WriteError::Refused { topic, source } => Failure {
                    refused_by: Some(topic),
                    error: source.into(),
                },
                WriteError::Broker(error) => Failure {
                    refused_by: None,
                    error: error.into(),
                },
            });
            for results in together {
                self.done(results, failure.as_ref());
            }
            if failure.is_some() {
                // Nobody knows any more what brokers have: whoever sends begins anew.
                break;
            }
        }
        for left in results.try_iter() {
            self.done(left, Some(&stopped()));
        }
    }

    /// Results are on the way no more.
    fn done(&self, (records, sent): Results, failure: Option<&Failure>) {
        if let Some(failure) = failure {
            sent.fail(failure.clone());
        }
        self.on_the_way.arrived(&sent, records.len() as u64, records.n_bytes());
    }

    fn write(&mut self, together: &[Results]) -> Result<(), WriteError> {
        let given_up = Arc::clone(&self.given_up);
        let patience = Patience {
            until: Instant::now() + FOR_EVER,
            is_wanted: &|| !given_up.load(Ordering::Acquire),
        };
        if !self.is_known {
            self.writer.introduce(patience, BETWEEN_TRIES)?;
            self.is_known = true;
        }
        for (records, _) in together {
            self.writer.take(records, patience)?;
        }
        self.writer.flush(patience)?;
        Ok(())
    }
}

/// Nobody sends results any more.
fn stopped() -> Failure {
    Failure {
        refused_by: None,
        error: KafkaError::Stopped.into(),
    }
}
