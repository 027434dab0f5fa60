//! The thread that asks one broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse};
use kafka_protocol::protocol::StrBytes;
use rustls::ClientConfig;
use tocsin_worker_core::kafka::fetching::{Ask, Millis, Verdict};
use tocsin_worker_core::kafka::{AbortedTransaction, Answer};

use super::shared::Shared;
use super::{Event, Fetched};
use crate::cluster::{Cluster, topic_name};
use crate::connection::Connection;
use crate::error::KafkaError;
use crate::settings::ClusterSettings;
use crate::throttled::Throttled;

/// Newest version of Fetch that is spoken: 13 has ids of topics.
const WITH_TOPIC_IDS: i16 = 13;

/// The oldest that tells where logs part, and in whose reign.
const OLDEST: i16 = 12;

/// A thread that is not woken looks by itself.
const PATIENCE: Duration = Duration::from_millis(200);

struct Broker {
    number: i32,
    shared: Arc<Shared>,
    settings: ClusterSettings,
    tls: Option<Arc<ClientConfig>>,
    connection: Option<Connection>,
    throttled: Throttled,
}

/// Starts the thread of a broker. It ends when the fetcher is stopped.
pub fn start(number: i32, shared: Arc<Shared>, cluster: &Cluster) -> JoinHandle<()> {
    let mut broker = Broker {
        number,
        shared,
        settings: cluster.settings().clone(),
        tls: cluster.tls().cloned(),
        connection: None,
        throttled: Throttled::reading(),
    };
    std::thread::spawn(move || while broker.turn() {})
}

impl Broker {
    /// Asks once, if there is something to ask for. False when the fetcher is stopped.
    fn turn(&mut self) -> bool {
        let mut state = self.shared.lock();
        let asks = loop {
            if state.stopped {
                return false;
            }
            let now = self.shared.now();
            let asks = state.fetching.ask(self.number, now);
            if !asks.is_empty() {
                break asks;
            }
            self.shared.memory.let_go(Instant::now());
            let wait = state.fetching.next_try(self.number, now);
            let wait = wait.map_or(PATIENCE, |at| Duration::from_millis(at.saturating_sub(now).max(1)));
            self.shared.wait(&mut state, wait.min(PATIENCE));
        };
        let longest = self.shared.settings.max_wait.as_millis() as Millis;
        let wait = state.fetching.next_wait(self.number, self.shared.now(), longest);
        drop(state);
        match self.fetch(&asks, wait) {
            Ok(response) => {
                self.heed_throttling(&response);
                self.take(&asks, response)
            }
            Err(error) => {
                self.connection = None;
                let mut state = self.shared.lock();
                state.connections.remove(&self.number);
                state.fetching.unanswered(&asks, self.shared.now());
                let stopped = state.stopped;
                drop(state);
                self.shared.notify();
                let event = if error.is_transient() {
                    Event::Trouble
                } else {
                    Event::Failed
                };
                !stopped && self.shared.tell(event(error))
            }
        }
    }

    /// Asks nothing more before the broker wants it: what our quota lets us take is used up. The answer counts all the same.
    fn heed_throttling(&mut self, response: &FetchResponse) {
        let Ok(millis @ 1..) = u64::try_from(response.throttle_time_ms) else {
            return;
        };
        let mut state = self.shared.lock();
        let until = self.shared.now() + millis;
        state.fetching.throttled(self.number, until);
        drop(state);
        self.throttled.note(self.number, millis);
    }

    fn fetch(&mut self, asks: &[Ask], wait: Millis) -> Result<FetchResponse, KafkaError> {
        let shared = Arc::clone(&self.shared);
        let connection = self.connect()?;
        let what = "Fetch";
        let too_old = || KafkaError::Version {
            broker: connection.broker().to_owned(),
            what,
        };
        let version = connection.version::<FetchRequest>(WITH_TOPIC_IDS).ok_or_else(too_old)?;
        if version < OLDEST {
            return Err(too_old());
        }
        let request = request(&shared, &self.settings, asks, wait);
        let Some(connection) = &mut self.connection else {
            return Err(KafkaError::Stopped);
        };
        let sent = connection.send(what, &request, version)?;
        let response = connection.receive::<FetchRequest>(sent, Duration::from_millis(wait))?;
        connection.check(what, response.error_code)?;
        Ok(response)
    }

    fn connect(&mut self) -> Result<&mut Connection, KafkaError> {
        let usable = self.connection.take().filter(|connection| !connection.is_old());
        let connection = match usable {
            Some(connection) => connection,
            None => {
                let address = self.shared.lock().addresses.get(&self.number).cloned();
                let address = address.ok_or(KafkaError::Stopped)?;
                let mut connection = Connection::open(&address, &self.settings, self.tls.as_ref())?;
                connection.share_memory(&self.shared.memory);
                let hang_up = connection.hang_up()?;
                let mut state = self.shared.lock();
                if state.stopped {
                    return Err(KafkaError::Stopped);
                }
                state.connections.insert(self.number, hang_up);
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// Hands an answer over. False when nobody is there to take it.
    fn take(&mut self, asks: &[Ask], response: FetchResponse) -> bool {
        let mut parts = self.parts(response);
        for ask in asks {
            let key = (ask.partition.topic, ask.partition.partition);
            let event = match parts.remove(&key) {
                Some(part) => self.judge(ask, part),
                None => {
                    // The answer was full before it came to this partition.
                    let empty = PartitionData::default().with_high_watermark(-1);
                    self.judge(ask, empty)
                }
            };
            let Some(event) = event else { continue };
            if !self.shared.tell(event) {
                return false;
            }
            self.shared.change(|fetching| fetching.told(ask));
        }
        true
    }

    /// The parts of an answer, by numbers of topic and partition.
    fn parts(&self, response: FetchResponse) -> BTreeMap<(u32, u32), PartitionData> {
        let mut parts = BTreeMap::new();
        for topic in response.responses {
            let number = self.shared.topics.iter().position(|known| {
                if topic.topic_id.is_nil() {
                    *known.name == *topic.topic.0
                } else {
                    known.id == Some(topic.topic_id)
                }
            });
            let Some(number) = number else { continue };
            for partition in topic.partitions {
                parts.insert((number as u32, partition.partition_index as u32), partition);
            }
        }
        parts
    }

    fn judge(&self, ask: &Ask, part: PartitionData) -> Option<Event> {
        let records = part.records.unwrap_or_default();
        let answer = Answer {
            code: part.error_code,
            diverging_end: (part.diverging_epoch.epoch >= 0).then_some(part.diverging_epoch.end_offset),
            follower: Some(part.preferred_read_replica.0).filter(|broker| *broker >= 0),
            records: &records,
        };
        let mut state = self.shared.lock();
        let verdict = state.fetching.answered(ask, &answer, self.shared.now());
        match verdict {
            Verdict::Good => {}
            Verdict::Unwanted => return None,
            Verdict::Failed(loss) => return Some(Event::Lost(ask.partition, loss)),
            Verdict::Later | Verdict::OutOfRange => {
                if verdict == Verdict::OutOfRange {
                    state.out_of_range.push(*ask);
                }
                drop(state);
                self.shared.notify();
                return None;
            }
        }
        let next = state.fetching.position(ask.partition)?;
        drop(state);
        let aborted = part.aborted_transactions.unwrap_or_default();
        let aborted = aborted.iter().map(|aborted| AbortedTransaction {
            first_offset: aborted.first_offset,
            producer_id: aborted.producer_id.0,
        });
        Some(Event::Fetched(Fetched {
            partition: ask.partition,
            from: ask.from,
            next,
            records,
            aborted: aborted.collect(),
            high_watermark: part.high_watermark,
            last_stable: part.last_stable_offset,
            number: ask.number,
            at: Instant::now(),
        }))
    }
}

fn request(shared: &Shared, settings: &ClusterSettings, asks: &[Ask], wait: Millis) -> FetchRequest {
    let mut topics: Vec<(u32, Vec<FetchPartition>)> = Vec::new();
    for ask in asks {
        let partition = FetchPartition::default()
            .with_partition(ask.partition.partition as i32)
            .with_current_leader_epoch(ask.leader_epoch)
            .with_fetch_offset(ask.from.offset)
            .with_last_fetched_epoch(ask.from.epoch)
            .with_partition_max_bytes(shared.settings.partition_bytes as i32);
        match topics.iter_mut().find(|(topic, _)| *topic == ask.partition.topic) {
            Some((_, partitions)) => partitions.push(partition),
            None => topics.push((ask.partition.topic, vec![partition])),
        }
    }
    let topics = topics.into_iter().map(|(number, partitions)| {
        let topic = &shared.topics[number as usize];
        FetchTopic::default()
            .with_topic(topic_name(&topic.name))
            .with_topic_id(topic.id.unwrap_or_default())
            .with_partitions(partitions)
    });
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(wait as i32)
        .with_min_bytes(shared.settings.min_bytes as i32)
        .with_max_bytes(shared.settings.max_bytes as i32)
        .with_isolation_level(i8::from(shared.settings.committed))
        .with_session_id(0)
        .with_session_epoch(-1)
        .with_topics(topics.collect())
        .with_rack_id(StrBytes::from_string(settings.rack.clone().unwrap_or_default()))
}
