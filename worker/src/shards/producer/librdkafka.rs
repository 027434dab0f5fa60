//! A try by librdkafka's transactional producer.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders as ClientHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tocsin_worker_core::kafka::OwnedHeaders;

use super::offsets::OffsetsSender;
use super::{CALL, ProducerError, TRANSACTION_TIMEOUT, Tried};
use crate::shards::grant::Grant;
use crate::shards::sequence;
use crate::shards::transaction::Transaction;
use tocsin_kafka::{ClusterSettings, NewRecord, TokenLogin, client_config};

/// Between two looks whether the brokers have taken all records.
const BETWEEN_POLLS: Duration = Duration::from_micros(200);

/// What is larger the brokers judge.
pub const LARGEST_MESSAGE: &str = "67108864";

/// What the broker refused.
type Refused = Arc<Mutex<Option<(String, ClientError)>>>;

/// Hears what became of records.
#[derive(Default)]
struct Deliveries {
    login: TokenLogin,
    /// The first that was refused since somebody looked.
    refused: Refused,
    /// Offsets of the journal's records, by partition.
    journal: JournalOffsets,
}

/// Where the last record of each partition of the journal stands.
#[derive(Default)]
struct JournalOffsets {
    topic: String,
    offsets: Arc<Mutex<BTreeMap<u32, i64>>>,
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.login.answer()
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Ok(record) = result
            && record.topic() == self.journal.topic
            && record.offset() >= 0
        {
            let mut offsets = self.journal.offsets.lock();
            offsets.insert(record.partition() as u32, record.offset());
        }
        if let Err((error, record)) = result {
            let mut refused = self.refused.lock();
            refused.get_or_insert_with(|| (record.topic().to_owned(), error.clone()));
        }
    }
}

/// A producer whose transactions can begin.
pub struct LibrdkafkaTransactional {
    producer: Arc<BaseProducer<Deliveries>>,
    offsets: OffsetsSender,
    refused: Refused,
    journal: Arc<Mutex<BTreeMap<u32, i64>>>,
}

impl LibrdkafkaTransactional {
    /// A new producer with this id. It waits until what one before it has left open has ended.
    ///
    /// It notes where records of `journal` stand.
    pub fn begin(settings: &ClusterSettings, id: &str, journal: &str) -> Result<Self, ProducerError> {
        let mut deliveries = Deliveries {
            login: settings.token_login(),
            ..Deliveries::default()
        };
        journal.clone_into(&mut deliveries.journal.topic);
        let offsets = Arc::clone(&deliveries.journal.offsets);
        let refused = Arc::clone(&deliveries.refused);
        let mut config = client_config(settings);
        config
            .set("transactional.id", id)
            .set("transaction.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string())
            .set("message.timeout.ms", "9000")
            .set("retry.backoff.ms", "1")
            .set("retry.backoff.max.ms", "100")
            .set("linger.ms", "0")
            .set("message.max.bytes", LARGEST_MESSAGE)
            .set("compression.type", "lz4")
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "262144")
            .set("partitioner", "murmur2_random");
        let producer: BaseProducer<Deliveries> = config.create_with_context(deliveries)?;
        // Where a token is needed, it is asked for by the first event: nobody polls while transactions begin.
        producer.poll(Duration::ZERO);
        producer.init_transactions(CALL)?;
        let producer = Arc::new(producer);
        Ok(Self {
            offsets: OffsetsSender::start(&producer, CALL),
            producer,
            refused,
            journal: offsets,
        })
    }

    /// Writes a transaction and commits it, once.
    pub fn attempt(&mut self, transaction: &Transaction, grant: &Grant) -> Tried {
        let mut offsets = self.journal.lock();
        offsets.clear();
        drop(offsets);
        attempt(self, transaction, grant)
    }

    /// Where the records of the last transaction stand in the journal, by shard.
    pub fn journal_offsets(&self) -> BTreeMap<u32, i64> {
        self.journal.lock().clone()
    }
}

fn attempt(transactional: &mut LibrdkafkaTransactional, transaction: &Transaction, grant: &Grant) -> Tried {
    let LibrdkafkaTransactional {
        producer,
        offsets,
        refused,
        ..
    } = transactional;
    if let Err(error) = producer.begin_transaction() {
        return Tried::Unknown(error.into());
    }
    let take_refused = || refused.lock().take();
    take_refused();
    let filled = fill(producer, offsets, transaction, grant);
    if let Some((topic, error)) = take_refused() {
        return if ProducerError::from(error.clone()).is_never_taken() {
            Tried::Refused(topic, error.into())
        } else {
            abort(producer, error)
        };
    }
    match filled {
        Ok(()) => match producer.commit_transaction(CALL) {
            Ok(()) => Tried::Committed,
            // Whatever the error says of an abort: the commit may have come through.
            Err(error) => Tried::Unknown(error.into()),
        },
        Err((Some(topic), error)) if ProducerError::from(error.clone()).is_never_taken() => {
            Tried::Refused(topic, error.into())
        }
        Err((_, error)) if may_abort(&error) => abort(producer, error),
        Err((_, error)) => Tried::Unknown(error.into()),
    }
}

fn abort(producer: &BaseProducer<Deliveries>, error: ClientError) -> Tried {
    // An abort waits for what is under way, and nobody else hears what becomes of it.
    producer.purge(PurgeConfig::default().queue());
    producer.flush(CALL).ok();
    match producer.abort_transaction(CALL) {
        Ok(()) => Tried::Aborted(error.into()),
        Err(error) => Tried::Unknown(error.into()),
    }
}

/// Whether an error leaves no doubt that the transaction is not committed.
fn may_abort(error: &ClientError) -> bool {
    match error {
        ClientError::Transaction(error) => error.txn_requires_abort(),
        ClientError::MessageProduction(_) => true,
        _ => false,
    }
}

/// Hands a record to a producer; waits while that has too many. An error comes with the topic.
pub fn send<C: ProducerContext>(
    producer: &BaseProducer<C>,
    record: NewRecord<'_>,
    opaque: C::DeliveryOpaque,
) -> Result<(), (String, ClientError)> {
    let mut base: BaseRecord<'_, [u8], [u8], _> =
        BaseRecord::with_opaque_to(record.topic, opaque).payload(record.value);
    base.partition = record.partition.map(|partition| partition as i32);
    base.key = record.key;
    base.headers = record.headers.map(headers);
    let mut unsent = Some(base);
    while let Some(record) = unsent.take() {
        match producer.send(record) {
            Ok(()) => {}
            Err((ClientError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) => {
                producer.poll(Duration::from_millis(10));
                unsent = Some(record);
            }
            Err((error, record)) => return Err((record.topic.to_owned(), error)),
        }
    }
    Ok(())
}

fn headers(headers: &OwnedHeaders) -> ClientHeaders {
    let none = ClientHeaders::new_with_capacity(headers.len());
    headers.iter().fold(none, |all, (name, value)| {
        all.insert(Header {
            key: &String::from_utf8_lossy(name),
            value: value.as_ref(),
        })
    })
}

/// Sends the records and the offsets of a transaction. An error may name the topic at fault.
fn fill(
    producer: &BaseProducer<Deliveries>,
    sender: &mut OffsetsSender,
    transaction: &Transaction,
    grant: &Grant,
) -> Result<(), (Option<String>, ClientError)> {
    let nowhere = |error| (None, error);
    for record in transaction.records.iter() {
        send(producer, record, ()).map_err(|(topic, error)| (Some(topic), error))?;
    }
    // The commit's own flush waits in steps of 100 ms.
    let until = Instant::now() + CALL;
    while producer.in_flight_count() > 0 {
        // The client's own wait is in whole milliseconds, and runs to its end.
        producer.poll(Duration::ZERO);
        std::thread::park_timeout(BETWEEN_POLLS);
        if Instant::now() > until {
            return Err(nowhere(ClientError::Flush(RDKafkaErrorCode::OperationTimedOut)));
        }
    }
    let mut offsets = TopicPartitionList::new();
    for cut in &transaction.shards {
        for (topic, position) in &cut.positions {
            let mut element = offsets.add_partition(topic, cut.shard as i32);
            element.set_offset(Offset::Offset(position.offset)).map_err(nowhere)?;
            element.set_metadata(sequence::to_metadata(cut.sequence, cut.epoch));
        }
    }
    sender.send(offsets, grant).map_err(nowhere)
}
