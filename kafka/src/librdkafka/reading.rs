//! The thread that owns a consumer: it takes what that says, and hands on what was read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use tocsin_worker_core::kafka::Framing;
use tocsin_worker_core::kafka::fetching::{Loss, Partition, Position};

use super::consumer::Quiet;
use super::look::{Found, Looked};
use super::queue::{Place, Queue, Said, set_epoch};
use super::source::Command;
use crate::cluster::TopicInfo;
use crate::error::KafkaError;
use crate::fetcher::{Event, Fetched, FetcherSettings};

/// How long the thread waits for an event.
const WAIT: Duration = Duration::from_millis(100);

/// So many events are taken before they are handed on.
const AT_ONCE: usize = 10_000;

/// Between two looks at the logs.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// While nobody takes events it looks again after so long.
const UNTIL_ROOM: Duration = Duration::from_millis(2);

/// How long librdkafka may take to begin at a position.
const BEGINNING: Duration = Duration::from_millis(100);

/// The same trouble is told once in so long.
const BETWEEN_WORDS: Duration = Duration::from_secs(1);

/// A partition that is read.
pub struct Part {
    number: u64,
    /// Behind what was handed on.
    position: Position,
    /// What was read since.
    framing: Option<Framing>,
    /// Bytes that wait to be processed.
    buffered: usize,
    is_paused: bool,
    /// Whether nobody has asked yet if the log still has what was read before the position: nothing is taken until then.
    is_unchecked: bool,
    /// Whether it was read to its end.
    is_at_end: bool,
    /// Whether librdkafka has given up on the position, and whether because the log was cut.
    lost: Option<bool>,
    missing_since: Option<Instant>,
}

/// What the thread has.
pub struct Reading {
    pub(super) consumer: Arc<BaseConsumer<Quiet>>,
    pub(super) queue: Arc<Queue<Quiet>>,
    pub(super) topics: Arc<Vec<TopicInfo>>,
    pub(super) settings: FetcherSettings,
    pub(super) brokers: String,
    pub(super) commands: Receiver<Command>,
    pub(super) events: Sender<Event>,
    /// Events for which there was no room; meanwhile nothing is read.
    pub(super) unsaid: VecDeque<Event>,
    pub(super) questions: Sender<Vec<Partition>>,
    pub(super) looked: Instant,
    pub(super) is_looking: bool,
    pub(super) parts: BTreeMap<Partition, Part>,
    pub(super) told: Option<(String, Instant)>,
}

impl Reading {
    /// False when it is told to end.
    pub(super) fn turn(&mut self) -> bool {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Stop => return false,
                other => self.obey(other),
            }
        }
        self.check_positions();
        self.say_rest();
        if !self.unsaid.is_empty() {
            std::thread::park_timeout(UNTIL_ROOM);
            return true;
        }
        let queue = Arc::clone(&self.queue);
        let mut wait = WAIT;
        for _ in 0..AT_ONCE {
            if !queue.poll(wait, |said| self.hear(said)) {
                break;
            }
            wait = Duration::ZERO;
        }
        self.hand_on();
        let is_due = self.looked.elapsed() >= BETWEEN_LOOKS;
        if is_due && !self.is_looking && !self.parts.is_empty() {
            (self.looked, self.is_looking) = (Instant::now(), true);
            self.questions.send(self.parts.keys().copied().collect()).ok();
        }
        true
    }

    /// Hands an event over, behind those for which there was no room.
    fn say(&mut self, event: Event) {
        self.unsaid.push_back(event);
        self.say_rest();
    }

    fn say_rest(&mut self) {
        while let Some(event) = self.unsaid.pop_front() {
            if let Err(TrySendError::Full(event)) = self.events.try_send(event) {
                self.unsaid.push_front(event);
                return;
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Add {
                partition,
                position,
                number,
            } => {
                self.remove(partition);
                let part = Part {
                    number,
                    position,
                    framing: None,
                    buffered: 0,
                    is_paused: false,
                    is_unchecked: false,
                    is_at_end: false,
                    lost: None,
                    missing_since: None,
                };
                self.parts.insert(partition, part);
                self.assign(partition, position);
            }
            Command::Remove(partition) => self.remove(partition),
            Command::Processed(partition, bytes) => {
                if let Some(part) = self.parts.get_mut(&partition) {
                    part.buffered = part.buffered.saturating_sub(bytes);
                    if part.is_paused && part.buffered < self.settings.reading.buffered {
                        part.is_paused = false;
                        let outcome = self.consumer.resume(&self.list(partition, None));
                        self.tried(outcome);
                    }
                }
            }
            Command::Looked(looked) => self.learn(looked),
            Command::Stop => {}
        }
    }

    fn list(&self, partition: Partition, position: Option<Position>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        self.add_to(&mut list, partition, position);
        list
    }

    fn add_to(&self, list: &mut TopicPartitionList, partition: Partition, position: Option<Position>) {
        let Some(topic) = self.topics.get(partition.topic as usize) else {
            return;
        };
        let mut element = list.add_partition(&topic.name, partition.partition as i32);
        if let Some(position) = position {
            // An offset of a log is one.
            element.set_offset(Offset::Offset(position.offset)).ok();
            set_epoch(list, position.epoch);
        }
    }

    fn assign(&mut self, partition: Partition, position: Position) {
        let outcome = self.consumer.incremental_assign(&self.list(partition, Some(position)));
        self.tried(outcome);
        if let Some(part) = self.parts.get_mut(&partition) {
            part.is_unchecked = position.epoch >= 0 && position.offset > 0;
        }
    }

    /// Lets librdkafka ask whether logs still have what was read before positions. It does not where it begins, but where it
    /// is sent to; and it can be sent only once it has begun.
    fn check_positions(&mut self) {
        let mut list = TopicPartitionList::new();
        for (partition, part) in self.parts.iter().filter(|(_, part)| part.is_unchecked) {
            self.add_to(&mut list, *partition, Some(part.position));
        }
        if list.count() == 0 {
            return;
        }
        let Ok(list) = self.consumer.seek_partitions(list, BEGINNING) else {
            return;
        };
        for element in list.elements().iter().filter(|element| element.error().is_ok()) {
            let partition = self.partition(element.topic(), element.partition());
            if let Some(part) = partition.and_then(|partition| self.parts.get_mut(&partition)) {
                part.is_unchecked = false;
            }
        }
    }

    fn remove(&mut self, partition: Partition) {
        if self.parts.remove(&partition).is_some() {
            let outcome = self.consumer.incremental_unassign(&self.list(partition, None));
            self.tried(outcome);
        }
    }

    fn tried(&mut self, outcome: Result<(), ClientError>) {
        if let Err(error) = outcome {
            self.trouble(error.to_string(), false);
        }
    }

    fn trouble(&mut self, reason: String, is_final: bool) {
        let is_new = self
            .told
            .as_ref()
            .is_none_or(|(told, at)| *told != reason || at.elapsed() > BETWEEN_WORDS);
        if !is_new {
            return;
        }
        self.told = Some((reason.clone(), Instant::now()));
        let error = KafkaError::Client {
            brokers: self.brokers.clone(),
            reason,
            is_final,
        };
        let event = if is_final { Event::Failed } else { Event::Trouble };
        self.say(event(error));
    }

    fn lose(&mut self, partition: Partition, loss: Loss) {
        self.remove(partition);
        self.say(Event::Lost(partition, loss));
    }

    fn partition(&self, topic: &str, partition: i32) -> Option<Partition> {
        let number = self.topics.iter().position(|known| known.name == topic)?;
        Some(Partition {
            topic: number as u32,
            partition: u32::try_from(partition).ok()?,
        })
    }

    fn hear(&mut self, said: Said<'_>) {
        match said {
            Said::Record {
                topic,
                partition,
                record,
                epoch,
            } => {
                let place = self.partition(topic, partition);
                let part = place.and_then(|place| self.parts.get_mut(&place));
                if let Some(part) = part.filter(|part| !part.is_unchecked) {
                    part.is_at_end = false;
                    let framing = part.framing.get_or_insert_with(|| Framing::new(part.position));
                    framing.push(&record, epoch);
                }
            }
            Said::End(place) => {
                let partition = self.partition(&place.topic, place.partition);
                let part = partition.and_then(|partition| self.parts.get_mut(&partition));
                if let Some(part) = part.filter(|part| !part.is_unchecked) {
                    part.is_at_end = true;
                    let framing = part.framing.get_or_insert_with(|| Framing::new(part.position));
                    framing.go_over(place.offset);
                }
            }
            Said::Error { place, code, text } => self.failed(place.as_ref(), code, text),
            Said::Token => self.queue.answer_token(),
        }
    }

    fn failed(&mut self, place: Option<&Place>, code: Code, text: String) {
        let partition = place.and_then(|place| Some((self.partition(&place.topic, place.partition)?, place.offset)));
        let partition = partition.filter(|(partition, _)| self.parts.contains_key(partition));
        match (partition, code) {
            (Some((partition, _)), Code::AutoOffsetReset) => {
                if let Some(part) = self.parts.get_mut(&partition) {
                    part.lost = Some(text.contains("truncat"));
                }
            }
            (Some((partition, _)), Code::TopicAuthorizationFailed) => self.lose(partition, Loss::NotAllowed),
            // librdkafka would go on behind it.
            (Some((partition, offset)), Code::BadMessage | Code::BadCompression | Code::NotImplemented) => {
                self.lose(partition, Loss::Corrupt { offset });
            }
            // Whether the topic is there is looked for.
            (_, Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::UnknownTopic) => {}
            // The group is never joined.
            (_, Code::GroupAuthorizationFailed) => {}
            (_, Code::Authentication | Code::SSL) => self.trouble(text, true),
            (_, _) => self.trouble(text, false),
        }
    }

    /// Hands on what was read.
    fn hand_on(&mut self) {
        let (mut full, mut read) = (Vec::new(), Vec::new());
        for (&partition, part) in &mut self.parts {
            let Some(framing) = part.framing.take().filter(|framing| !framing.is_empty()) else {
                continue;
            };
            let (from, next) = (framing.from(), framing.next());
            let records = Bytes::from(framing.finish());
            part.buffered += records.len();
            part.position = next;
            if part.buffered >= self.settings.reading.buffered && !part.is_paused {
                part.is_paused = true;
                full.push(partition);
            }
            read.push(Fetched {
                partition,
                from,
                next,
                records,
                aborted: Vec::new(),
                // Only a look tells them.
                high_watermark: -1,
                last_stable: -1,
                number: part.number,
                at: Instant::now(),
            });
        }
        for fetched in read {
            self.say(Event::Fetched(fetched));
        }
        for partition in full {
            let outcome = self.consumer.pause(&self.list(partition, None));
            self.tried(outcome);
        }
    }

    /// Takes what a look at the logs found.
    fn learn(&mut self, looked: Looked) {
        self.is_looking = false;
        let found = match looked.found {
            Ok(found) => found,
            Err(error) => {
                let is_final = !error.may_pass();
                self.trouble(error.to_string(), is_final);
                return;
            }
        };
        for (partition, found) in found {
            let patience = Duration::from_millis(self.settings.reading.patience);
            let Some(part) = self.parts.get_mut(&partition) else {
                continue;
            };
            let position = part.position;
            match found {
                Found::Recreated => self.lose(partition, Loss::TopicRecreated),
                Found::Missing => {
                    if part.missing_since.get_or_insert(looked.at).elapsed() > patience {
                        self.lose(partition, Loss::UnknownTopic);
                    }
                }
                Found::Log { begins, end, stable } => {
                    part.missing_since = None;
                    let (wanted, read) = (position.offset, position.offset);
                    match part.lost.take() {
                        Some(_) if wanted < begins => self.lose(partition, Loss::ReplayGap { wanted, begins }),
                        Some(is_cut) if is_cut || read > end => {
                            self.lose(partition, Loss::LogTruncated { end, read });
                        }
                        Some(_) => {
                            let outcome = self.consumer.incremental_unassign(&self.list(partition, None));
                            self.tried(outcome);
                            self.assign(partition, position);
                        }
                        None if part.is_at_end && part.framing.is_none() => {
                            let fetched = Fetched {
                                partition,
                                from: position,
                                next: position,
                                records: Bytes::new(),
                                aborted: Vec::new(),
                                high_watermark: end,
                                last_stable: stable,
                                number: part.number,
                                at: looked.at,
                            };
                            self.say(Event::Fetched(fetched));
                        }
                        None => {}
                    }
                }
            }
        }
    }
}
