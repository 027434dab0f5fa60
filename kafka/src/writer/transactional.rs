//! Transactions over our own Produce path: begin, offsets, commit or abort.
//!
//! Where the cluster has `transaction.version` 2 (KIP-890, the default of Kafka 4), each transaction has an epoch of its own: what
//! was delayed on the way from an earlier one can end no later one, and brokers add partitions to it by themselves. Older
//! clusters are asked as all clients did before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, GroupId, InitProducerIdRequest, ProducerId,
    TransactionalId, TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::{Request, StrBytes};
use tocsin_worker_core::kafka::Producer;
use tocsin_worker_core::kafka::error_code::{
    CONCURRENT_TRANSACTIONS, COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR,
    OPERATION_NOT_ATTEMPTED,
};

use super::patience::Trouble;
use super::{INIT_PRODUCER_ID, LastOffsets, NewRecords, Patience, RecordWriter, WriteError};
use crate::cluster::{Cluster, topic_name};
use crate::connection::Connection;
use crate::error::KafkaError;
use crate::groups::CoordinatorOf;
use crate::settings::ClusterSettings;

/// The feature that says how transactions are.
const FEATURE: &str = "transaction.version";
/// From this level on each transaction has an epoch of its own.
const WITH_EPOCHS: i16 = 2;

/// The newest version in which a transaction is one of itself; later ones add partitions of many.
const ADD_PARTITIONS: i16 = 3;
const ADD_OFFSETS: i16 = 3;
/// With and without epochs: of EndTxn and of TxnOffsetCommit.
const END: (i16, i16) = (5, 4);
const COMMIT_OFFSETS: (i16, i16) = (5, 4);

/// Between two tries: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// A connection that nobody used for so long may be closed: brokers hang up after ten minutes.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

/// What proves that we are a member of a group, of one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: String,
    /// Its generation.
    pub generation: i32,
    /// The member.
    pub member: String,
    /// The name of a static member.
    pub instance: Option<String>,
}

/// An offset to commit.
#[derive(Clone, Debug)]
pub struct OffsetOf<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: u32,
    /// Of the next record.
    pub offset: i64,
    /// What is written beside it.
    pub metadata: String,
}

/// Writes records in transactions, one after the other.
#[derive(Debug)]
pub struct TransactionalWriter {
    writer: RecordWriter,
    /// Finds coordinators.
    cluster: Cluster,
    id: String,
    has_epochs: bool,
    /// That of the transactions, and that of the group.
    coordinators: [Option<Coordinator>; 2],
    /// Partitions that are in the transaction, where brokers must be told.
    added: BTreeSet<(Arc<str>, u32)>,
}

#[derive(Debug)]
struct Coordinator {
    connection: Connection,
    used: Instant,
}

impl TransactionalWriter {
    /// Begins with this id. It waits until what a producer of this id has left open has ended.
    ///
    /// # Errors
    /// If brokers do not answer in time, or do not let us.
    pub fn begin(
        settings: &ClusterSettings,
        id: &str,
        timeout: Duration,
        patience: Patience<'_>,
    ) -> Result<Self, KafkaError> {
        let mut writer = Self {
            writer: RecordWriter::new(Cluster::new(settings.clone())?, Some(id)),
            cluster: Cluster::new(settings.clone())?,
            id: id.to_owned(),
            has_epochs: false,
            coordinators: [None, None],
            added: BTreeSet::new(),
        };
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(writer.transactional_id()))
            .with_transaction_timeout_ms(timeout.as_millis() as i32);
        let begun = Call {
            what: "InitProducerId",
            of: CoordinatorOf::Transactions,
            newest: INIT_PRODUCER_ID,
            may_repeat: true,
        };
        let response = writer.ask(&begun, &request, id, patience, |response| response.error_code)?;
        let coordinator = writer.coordinators[CoordinatorOf::Transactions as usize].as_ref();
        let level = coordinator.map_or(0, |coordinator| coordinator.connection.feature(FEATURE));
        writer.has_epochs = level >= WITH_EPOCHS;
        let kind = if writer.has_epochs {
            "an epoch each"
        } else {
            "one epoch for all"
        };
        tracing::info!(id, "transactions have {kind}");
        writer.writes_as(response.producer_id, response.producer_epoch);
        Ok(writer)
    }

    /// Writes records in the open transaction, which begins with the first. Answers where the last of each partition stands.
    ///
    /// # Errors
    /// If not all were written: what became of the others is not known.
    pub fn write(&mut self, records: &NewRecords, patience: Patience<'_>) -> Result<LastOffsets, WriteError> {
        self.writer.take(records, patience)?;
        if !self.has_epochs {
            self.add_partitions(patience)?;
        }
        self.writer.flush(patience)
    }

    /// How long brokers want to be left alone, if they do. In an open transaction that would cost the time that it has.
    pub fn throttled_for(&self) -> Option<Duration> {
        self.writer.throttled_for()
    }

    /// Adds offsets of a group to the transaction.
    ///
    /// # Errors
    /// If the group does not take them: an answer says that the transaction can be aborted.
    pub fn commit_offsets(
        &mut self,
        offsets: &[OffsetOf<'_>],
        by: &Membership,
        patience: Patience<'_>,
    ) -> Result<(), KafkaError> {
        let producer = self.writer.producer();
        let (id, group) = (self.id.clone(), GroupId(StrBytes::from_string(by.group.clone())));
        if !self.has_epochs {
            let request = AddOffsetsToTxnRequest::default()
                .with_transactional_id(self.transactional_id())
                .with_producer_id(ProducerId(producer.id))
                .with_producer_epoch(producer.epoch)
                .with_group_id(group.clone());
            let added = Call {
                what: "AddOffsetsToTxn",
                of: CoordinatorOf::Transactions,
                newest: ADD_OFFSETS,
                may_repeat: true,
            };
            self.ask(&added, &request, &id, patience, |response| response.error_code)?;
        }
        let mut topics: Vec<TxnOffsetCommitRequestTopic> = Vec::new();
        for of in offsets {
            let partition = TxnOffsetCommitRequestPartition::default()
                .with_partition_index(of.partition as i32)
                .with_committed_offset(of.offset)
                .with_committed_leader_epoch(-1)
                .with_committed_metadata(Some(StrBytes::from_string(of.metadata.clone())));
            match topics.iter_mut().find(|topic| topic.name.0.as_str() == of.topic) {
                Some(topic) => topic.partitions.push(partition),
                None => topics.push(
                    TxnOffsetCommitRequestTopic::default()
                        .with_name(topic_name(of.topic))
                        .with_partitions(vec![partition]),
                ),
            }
        }
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_group_id(group)
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch)
            .with_generation_id(by.generation)
            .with_member_id(StrBytes::from_string(by.member.clone()))
            .with_group_instance_id(by.instance.clone().map(StrBytes::from_string))
            .with_topics(topics);
        let committed = Call {
            what: "TxnOffsetCommit",
            of: CoordinatorOf::Group,
            newest: self.version(COMMIT_OFFSETS),
            // Without an epoch of its own, what is late could come behind the offsets of the next transaction.
            may_repeat: self.has_epochs,
        };
        let first_error = |response: &<TxnOffsetCommitRequest as Request>::Response| {
            let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            partitions
                .map(|partition| partition.error_code)
                .find(|code| *code != 0)
                .unwrap_or_default()
        };
        self.ask(&committed, &request, &by.group, patience, first_error)?;
        Ok(())
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// Whatever it is: nobody knows whether the transaction is committed.
    pub fn commit(&mut self, patience: Patience<'_>) -> Result<(), KafkaError> {
        self.end(true, patience)
    }

    /// Aborts the transaction. Answers whether the next can begin: else nobody knows what brokers have.
    ///
    /// # Errors
    /// As [`TransactionalWriter::commit`].
    pub fn abort(&mut self, patience: Patience<'_>) -> Result<bool, KafkaError> {
        let is_known = self.writer.give_up();
        self.end(false, patience)?;
        Ok(is_known || self.has_epochs)
    }

    fn end(&mut self, is_committed: bool, patience: Patience<'_>) -> Result<(), KafkaError> {
        let producer = self.writer.producer();
        let request = EndTxnRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch)
            .with_committed(is_committed);
        let ended = Call {
            what: "EndTxn",
            of: CoordinatorOf::Transactions,
            newest: self.version(END),
            may_repeat: false,
        };
        let id = self.id.clone();
        let response = self.ask(&ended, &request, &id, patience, |response| response.error_code)?;
        self.added.clear();
        if self.has_epochs {
            self.writes_as(response.producer_id, response.producer_epoch);
        }
        Ok(())
    }

    /// Tells the coordinator of partitions that it does not know to be in the transaction.
    fn add_partitions(&mut self, patience: Patience<'_>) -> Result<(), WriteError> {
        let mut topics = Vec::new();
        let mut added = Vec::new();
        for (topic, partitions) in self.writer.open_partitions() {
            let at = |partition: u32| (Arc::clone(&topic), partition);
            let partitions: Vec<u32> = partitions
                .into_iter()
                .filter(|partition| !self.added.contains(&at(*partition)))
                .collect();
            if !partitions.is_empty() {
                topics.push(
                    AddPartitionsToTxnTopic::default()
                        .with_name(topic_name(&topic))
                        .with_partitions(partitions.iter().map(|partition| *partition as i32).collect()),
                );
                added.extend(partitions.into_iter().map(at));
            }
        }
        if topics.is_empty() {
            return Ok(());
        }
        let producer = self.writer.producer();
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.transactional_id())
            .with_v3_and_below_producer_id(ProducerId(producer.id))
            .with_v3_and_below_producer_epoch(producer.epoch)
            .with_v3_and_below_topics(topics);
        let call = Call {
            what: "AddPartitionsToTxn",
            of: CoordinatorOf::Transactions,
            newest: ADD_PARTITIONS,
            may_repeat: true,
        };
        let mut at_fault = String::new();
        let first_error = |response: &<AddPartitionsToTxnRequest as Request>::Response| {
            let mut first = 0;
            for topic in &response.results_by_topic_v3_and_below {
                for code in topic
                    .results_by_partition
                    .iter()
                    .map(|result| result.partition_error_code)
                {
                    // The others were not attempted because of one.
                    if code != 0 && (first == 0 || first == OPERATION_NOT_ATTEMPTED) {
                        first = code;
                        at_fault = topic.name.0.to_string();
                    }
                }
            }
            first
        };
        let id = self.id.clone();
        match self.ask(&call, &request, &id, patience, first_error) {
            Ok(_) => {
                self.added.extend(added);
                Ok(())
            }
            Err(error) if error.is_about_a_topic() => Err(WriteError::Refused {
                topic: at_fault,
                source: error,
            }),
            Err(error) => Err(error.into()),
        }
    }

    fn writes_as(&mut self, id: ProducerId, epoch: i16) {
        let producer = Producer {
            id: id.0,
            epoch,
            is_transactional: true,
        };
        self.writer.begin(producer, self.has_epochs);
    }

    fn transactional_id(&self) -> TransactionalId {
        TransactionalId(StrBytes::from_string(self.id.clone()))
    }

    fn version(&self, (with_epochs, without): (i16, i16)) -> i16 {
        if self.has_epochs { with_epochs } else { without }
    }

    /// Asks a coordinator until it does what it is asked for, or says that it never will.
    fn ask<R: Request>(
        &mut self,
        call: &Call,
        request: &R,
        key: &str,
        patience: Patience<'_>,
        mut code: impl FnMut(&R::Response) -> i16,
    ) -> Result<R::Response, KafkaError> {
        let (mut pause, longest) = PAUSE;
        let mut trouble = Trouble::default();
        loop {
            trouble.or_too_late(patience.check(call.what, &self.cluster))?;
            match self.coordinator(call.of, key) {
                Ok(connection) => match connection.call(call.what, request, call.newest) {
                    Ok(response) => {
                        let code = code(&response);
                        let checked = connection.check(call.what, code);
                        match (code, checked) {
                            (_, Ok(())) => return Ok(response),
                            (COORDINATOR_LOAD_IN_PROGRESS | CONCURRENT_TRANSACTIONS, Err(error)) => trouble.note(error),
                            (COORDINATOR_NOT_AVAILABLE | NOT_COORDINATOR, Err(error)) => {
                                self.coordinators[call.of as usize] = None;
                                self.cluster.forget_any();
                                trouble.note(error);
                            }
                            (_, Err(error)) => return Err(error),
                        }
                    }
                    Err(error) => {
                        self.coordinators[call.of as usize] = None;
                        if !call.may_repeat || !error.may_pass() {
                            return Err(error);
                        }
                        trouble.note(error);
                    }
                },
                Err(error) if error.may_pass() => trouble.note(error),
                Err(error) => return Err(error),
            }
            std::thread::park_timeout(pause);
            pause = (2 * pause).min(longest);
        }
    }

    /// The connection to a coordinator, looked for if there is none that is good.
    fn coordinator(&mut self, of: CoordinatorOf, key: &str) -> Result<&mut Connection, KafkaError> {
        let usable = |there: &Coordinator| there.used.elapsed() < LONGEST_IDLE && !there.connection.is_old();
        let place = &mut self.coordinators[of as usize];
        let connection = match place.take().filter(usable) {
            Some(there) => there.connection,
            None => self.cluster.coordinator(of, key)?,
        };
        let used = Instant::now();
        Ok(&mut place.insert(Coordinator { connection, used }).connection)
    }
}

/// A question to a coordinator.
struct Call {
    what: &'static str,
    of: CoordinatorOf,
    newest: i16,
    /// Whether it can be asked again when nobody knows whether it was heard.
    may_repeat: bool,
}
