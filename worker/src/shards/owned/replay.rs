//! What the journal says, done again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tocsin_worker_core::kafka::fetching::{Loss, Partition, Position};
use tocsin_worker_core::shard::{JournalRecord, Replay, Shard, Wants};
use tocsin_worker_core::snapshot::{ChangedInput, is_another};

use super::beginning::{check_beginning, check_rewind};
use super::{Asked, Common, Owned, Phase, STORE_AGAIN, begin_again, begin_inputs, place};
use crate::shards::ShardsError;
use crate::shards::input::{Input, NotTaken, Taken};
use crate::shards::restoring::{Answer, Restoring, engine};
use crate::shards::schemas::Purpose;
use crate::snapshots::Begun;
use tocsin_kafka::Fetched;

/// So many records of the journal wait at most before more are fetched.
const FEW_RECORDS: usize = 1_000;

/// Records that were read or written before, and that brokers have not had for so long, they have lost. A leader that was elected
/// just now may have heard of less than there is.
const GONE: Duration = Duration::from_secs(5);

/// For so long a shard goes on without a look at anything else.
const TURN: Duration = Duration::from_millis(20);

/// What is done again.
pub(super) struct Replaying {
    asked: Asked,
    /// Where the next part of the journal begins, and behind which question.
    next: i64,
    after: u64,
    records: VecDeque<JournalRecord>,
    /// Bytes of the journal that wait in `records`.
    waiting: usize,
    replay: Option<Replay>,
    /// Since when answers have said that nothing follows what was read, nor is hidden by a transaction that has not ended.
    at_end_since: Option<Instant>,
    /// Whether they have said so for so long that what is missing is gone.
    is_gone: bool,
    /// The savepoint that it begins with is read.
    beginning: Option<Restoring<Box<Begun>>>,
}

impl Replaying {
    /// The journal from `next` on, behind the question with number `after`.
    pub fn new(asked: Asked, next: i64, after: u64) -> Self {
        Self {
            asked,
            next,
            after,
            records: VecDeque::new(),
            waiting: 0,
            replay: None,
            at_end_since: None,
            is_gone: false,
            beginning: None,
        }
    }

    /// Whether a savepoint is waited for.
    pub fn is_beginning(&self) -> bool {
        self.beginning.is_some()
    }
}

impl Replaying {
    /// What came of reading the savepoint that the journal begins with, once it is known.
    fn savepoint(
        &mut self,
        shard: u32,
        savepoint: &str,
        common: &Common<'_>,
    ) -> Result<Option<Answer<Box<Begun>>>, ShardsError> {
        let Some(snapshots) = common.snapshots else {
            let savepoint = savepoint.to_owned();
            return Err(ShardsError::NoState { shard, savepoint });
        };
        let start = || Restoring::savepoint(snapshots, common, shard, savepoint);
        let answer = self.beginning.get_or_insert_with(start).answer();
        if answer.is_some() {
            self.beginning = None;
        }
        Ok(answer)
    }
}

impl Owned {
    /// Takes a part of the journal.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn take_journal(&mut self, fetched: &Fetched, common: &mut Common<'_>) -> Result<(), ShardsError> {
        let shard = self.number;
        let journal = self.journal();
        let Phase::Replaying(replaying) = &mut self.phase else {
            return Ok(());
        };
        let from = fetched.from.offset;
        if fetched.number <= replaying.after || replaying.next != from {
            // Of an earlier life of the shard here.
            return Ok(());
        }
        let mut reading = common.reader.read(&fetched.records, &fetched.aborted, from);
        while let Ok(Some(block)) = reading.next_block() {
            for span in block.records.spans {
                let bytes = &block.records.bytes[span.start..span.end];
                let record = JournalRecord::decode(bytes).map_err(|source| ShardsError::Journal { shard, source })?;
                let asked = &replaying.asked;
                if asked.until.is_none_or(|until| record.sequence <= until) && record.epoch >= asked.epoch {
                    replaying.records.push_back(record);
                }
            }
        }
        let behind = reading.behind();
        replaying.next = behind;
        let stable = fetched.last_stable;
        let is_end = behind >= fetched.high_watermark && stable >= 0 && stable >= fetched.high_watermark;
        replaying.at_end_since = replaying.at_end_since.or(Some(fetched.at)).filter(|_| is_end);
        let long_ago = |since: Instant| fetched.at.saturating_duration_since(since) >= GONE;
        replaying.is_gone = replaying.at_end_since.is_some_and(long_ago);
        replaying.waiting += fetched.records.len();
        if behind < fetched.next.offset {
            let (offset, epoch) = (behind, fetched.from.epoch);
            match common.fetcher.damaged(journal, Position { offset, epoch }, behind) {
                Ok(after) => replaying.after = after,
                Err(loss) => {
                    let topic = common.layout.journal.name.clone();
                    let partition = shard;
                    return Err(ShardsError::Lost { topic, partition, loss });
                }
            }
        }
        Ok(())
    }

    /// Goes on with what is done again, as far as there are records. Answers whether there are more: the thread's other
    /// shards, and the group, wait no longer than a turn.
    pub(super) fn replay(&mut self, common: &mut Common<'_>) -> Result<bool, ShardsError> {
        let (number, journal) = (self.number, self.journal());
        let Phase::Replaying(replaying) = &mut self.phase else {
            return Ok(false);
        };
        let until = Instant::now() + TURN;
        loop {
            if Instant::now() > until {
                return Ok(true);
            }
            if let (Some(shard), Some(current)) = (&mut self.shard, replaying.replay.as_mut()) {
                match current.go_on(shard) {
                    Wants::Nothing => replaying.replay = None,
                    Wants::Schema { source, id } => {
                        if !common.schemas.tell_again(shard, source, id) {
                            return Ok(false);
                        }
                    }
                    Wants::Records { source, until } => {
                        if !bring(number, shard, source, &mut self.inputs[source], until, common)? {
                            return Ok(false);
                        }
                    }
                }
                continue;
            }
            if replaying.records.len() < FEW_RECORDS {
                common
                    .fetcher
                    .processed(journal, std::mem::take(&mut replaying.waiting));
            }
            let reached = self.shard.as_ref().map(Shard::sequence);
            if replaying.asked.until.is_some() && reached >= replaying.asked.until {
                break;
            }
            let Some(record) = replaying.records.pop_front() else {
                if let Some(until) = replaying.asked.until.filter(|_| replaying.is_gone) {
                    // The cut that is committed was committed together with its record: that is gone.
                    return Err(match reached {
                        None => ShardsError::NoBeginning { shard: number },
                        Some(reached) => ShardsError::JournalEnds {
                            shard: number,
                            reached,
                            until,
                        },
                    });
                }
                // The group's offsets are gone; the journal says how far the pipeline has come.
                if replaying.asked.until.is_none() && replaying.next >= replaying.asked.journal.end {
                    break;
                }
                return Ok(false);
            };
            match &mut self.shard {
                // Where the group's offsets are gone, the journal is followed over the ends of epochs.
                Some(shard) if !record.is_beginning() || record.epoch <= shard.epoch() => {
                    let begun = shard.replay(record);
                    replaying.replay = Some(begun.map_err(|source| ShardsError::Replay { shard: number, source })?);
                }
                _ if record.is_beginning() => {
                    let topics = common.layout.inputs.iter().map(|topic| topic.name.as_str());
                    if !topics.eq(record.sources.iter().map(String::as_str)) {
                        let found = record.sources.join(", ");
                        return Err(ShardsError::OtherTopics { shard: number, found });
                    }
                    let now = common.layout.topics_now();
                    let mut both = record.topic_ids.iter().zip(&now);
                    if let Some((_, topic)) = both.find(|(then, now)| is_another(then.as_ref(), now.id.as_ref())) {
                        let topic = topic.name.clone();
                        let source = ChangedInput::Recreated { topic };
                        return Err(ShardsError::ChangedInput { shard: number, source });
                    }
                    // A partition that was added would never be read.
                    let grown = record.cut.iter().enumerate();
                    let grown =
                        grown.filter(|(source, at)| at.is_none() && common.layout.has_partition(*source, number));
                    if let Some((source, _)) = grown.into_iter().next() {
                        let topic = common.layout.inputs[source].name.clone();
                        let source = ChangedInput::Grown { topic };
                        return Err(ShardsError::ChangedInput { shard: number, source });
                    }
                    check_beginning(common, number, record.restored_from.as_deref(), record.epoch)?;
                    let engine = match &record.restored_from {
                        None => engine(common.plan, number, common.is_watched),
                        Some(savepoint) => {
                            let Some(answer) = replaying.savepoint(number, savepoint, common)? else {
                                replaying.records.push_front(record);
                                return Ok(false);
                            };
                            match answer {
                                Ok(begun) => begun.engine,
                                Err(error) if error.may_pass() => {
                                    tracing::warn!(%error, shard = number, "the savepoint cannot be read yet");
                                    common.fetcher.remove(journal);
                                    self.ask_again(STORE_AGAIN);
                                    return Ok(false);
                                }
                                Err(error) => return Err(error.into()),
                            }
                        }
                    };
                    let (cut, epoch) = (record.cut, record.epoch);
                    let placed = place(number, &mut self.inputs, common, engine, cut, epoch);
                    self.shard = Some(placed.begun_with(record.restored_from).begun_at(record.sequence));
                }
                _ => return Err(ShardsError::NoBeginning { shard: number }),
            }
        }
        common.fetcher.remove(journal);
        let asked = replaying.asked.clone();
        self.replayed(&asked, common)?;
        Ok(false)
    }

    /// What was done again must have come to what is committed.
    fn replayed(&mut self, asked: &Asked, common: &mut Common<'_>) -> Result<(), ShardsError> {
        let Some(shard) = &self.shard else {
            // The journal has only what was never committed.
            return self.begin(common);
        };
        check_rewind(common, self.number, asked, shard.epoch())?;
        if asked.until.is_none() && shard.epoch() > common.layout.epoch {
            // Whoever begins in an epoch that was, ends in none.
            let (shard, epoch) = (self.number, shard.epoch());
            return Err(ShardsError::EpochForgotten { shard, epoch });
        }
        // A broker says whether the log was cut behind what was read before (LogTruncated).
        begin_inputs(self.number, &mut self.inputs, common, shard.doubtful());
        for (topic, position) in common.layout.inputs.iter().zip(shard.positions()) {
            let found = position.map(|position| position.offset);
            let committed = asked.committed.get(&topic.name).copied();
            if committed.is_some() && committed != found {
                return Err(ShardsError::OffsetMoved {
                    shard: self.number,
                    topic: topic.name.clone(),
                    committed: committed.unwrap_or_default(),
                    journal: found.unwrap_or_default(),
                });
            }
        }
        self.phase = Phase::Running;
        Ok(())
    }
}

/// Brings the next part of a source to a shard. Answers whether there was one.
fn bring(
    number: u32,
    shard: &mut Shard,
    source: usize,
    input: &mut Input,
    until: i64,
    common: &mut Common<'_>,
) -> Result<bool, ShardsError> {
    let partition = Partition {
        topic: source as u32,
        partition: number,
    };
    let schemas = (common.schemas, Purpose::Again);
    match input.take(source, shard, common.reader, until, schemas) {
        Ok(Taken::Nothing) if input.silent_until(GONE, Instant::now()).is_some() => Err(ShardsError::Lost {
            topic: common.layout.inputs[source].name.clone(),
            partition: number,
            loss: Loss::LogTruncated {
                end: shard.positions()[source].map_or(0, |position| position.offset),
                read: until,
            },
        }),
        Ok(Taken::Nothing | Taken::Waits) => Ok(false),
        Ok(Taken::Some { bytes, .. }) => {
            common.fetcher.processed(partition, bytes);
            Ok(true)
        }
        Err(NotTaken::Otherwise(source)) => Err(ShardsError::DealtOtherwise { shard: number, source }),
        Err(NotTaken::Damaged(position, corrupt)) => {
            begin_again(
                input,
                common.fetcher,
                common.layout,
                partition,
                position,
                corrupt.offset,
            )?;
            Ok(false)
        }
    }
}
