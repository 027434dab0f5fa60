//! A shard that is ours: how it comes to where the pipeline has committed, and its inputs.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use tocsin_worker_core::decode::Decoder;
use tocsin_worker_core::engine::Engine;
use tocsin_worker_core::json::JsonDecoder;
use tocsin_worker_core::kafka::PartitionReader;
use tocsin_worker_core::kafka::fetching::{Partition, Position};
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::shard::{JournalRecord, Replay, Shard, Wants};

use tocsin_contract::pipeline::kafka::StartingOffsets;

use super::ShardsError;
use super::grant::Term;
use super::input::{Input, Taken};
use super::sequence;
use super::start::Layout;
use crate::kafka::{Cluster, Fetched, Fetcher, KafkaError, Time};

/// After an answer that is not final.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// A shard that is ours.
pub struct Owned {
    pub number: u32,
    /// Which of its times with us this is.
    pub term: Term,
    pub shard: Option<Shard>,
    pub inputs: Vec<Input>,
    phase: Phase,
    /// Where the shard began, as long as the journal does not have it.
    pub beginning: Option<JournalRecord>,
    /// Open until it runs.
    recovery: tracing::Span,
}

enum Phase {
    /// Where the pipeline has come to is asked for.
    Asking {
        not_before: Instant,
    },
    /// What the journal says is done again.
    Replaying(Box<Replaying>),
    Running,
}

/// What is done again.
struct Replaying {
    /// The last cut that is committed. Not known where the group's offsets are gone: then it is the journal's last.
    until: Option<u64>,
    /// The offsets that are committed, by topic.
    committed: BTreeMap<String, i64>,
    /// Where the journal ended when it was looked at.
    end: i64,
    /// Where the next part of the journal begins, and behind which question.
    next: i64,
    after: u64,
    records: VecDeque<JournalRecord>,
    /// Bytes of the journal that wait in `records`.
    waiting: usize,
    replay: Option<Replay>,
}

/// So many records of the journal wait at most before more are fetched.
const FEW_RECORDS: usize = 1_000;

/// What shards of a thread share.
pub struct Common<'a> {
    pub plan: &'a Plan,
    pub layout: &'a Layout,
    pub group: &'a str,
    pub starting_offsets: StartingOffsets,
    /// Whether a person watches the rows of stages.
    pub is_watched: bool,
    pub cluster: &'a mut Cluster,
    pub fetcher: &'a Fetcher,
    pub reader: &'a mut PartitionReader,
}

impl Owned {
    pub fn new(number: u32, term: Term, layout: &Layout) -> Self {
        let now = Instant::now();
        Self {
            number,
            term,
            shard: None,
            inputs: layout.inputs.iter().map(|_| Input::new(now)).collect(),
            phase: Phase::Asking { not_before: now },
            beginning: None,
            recovery: tracing::info_span!("recover a shard", shard = number),
        }
    }

    /// Whether it processes new records.
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// Whether there may be something to do without a new event.
    pub fn is_asking(&self) -> bool {
        matches!(self.phase, Phase::Asking { .. })
    }

    fn partition(&self, source: usize) -> Partition {
        Partition {
            topic: source as u32,
            partition: self.number,
        }
    }

    fn journal(&self) -> Partition {
        self.partition(self.inputs.len())
    }

    /// Nothing of the shard is fetched any more.
    pub fn stop_fetching(&self, fetcher: &Fetcher) {
        for source in 0..=self.inputs.len() {
            fetcher.remove(self.partition(source));
        }
    }

    /// Goes on as far as it can without new events.
    ///
    /// # Errors
    /// What a person must see.
    pub fn go_on(&mut self, common: &mut Common<'_>) -> Result<(), ShardsError> {
        let _span = self.recovery.clone().entered();
        if let Phase::Asking { not_before } = self.phase
            && Instant::now() >= not_before
        {
            self.ask(common)?;
        }
        if let Phase::Replaying(_) = self.phase {
            self.replay(common)?;
        }
        if self.is_running() {
            self.recovery = tracing::Span::none();
        }
        Ok(())
    }

    /// Asks where the pipeline has come to.
    fn ask(&mut self, common: &mut Common<'_>) -> Result<(), ShardsError> {
        let layout = common.layout;
        let there = (0..self.inputs.len()).filter(|&source| layout.has_partition(source, self.number));
        let partitions: Vec<(String, u32)> = there
            .map(|source| (layout.inputs[source].name.clone(), self.number))
            .collect();
        let later = Phase::Asking {
            not_before: Instant::now() + ASK_AGAIN,
        };
        let committed = match common.cluster.committed(common.group, &partitions) {
            Ok(Some(committed)) => committed,
            // A transaction that is still open may have committed more.
            Ok(None) => {
                self.phase = later;
                return Ok(());
            }
            Err(error) if error.may_pass() => {
                tracing::warn!(%error, shard = self.number, "what is committed cannot be asked for yet");
                self.phase = later;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let mut until = None;
        for ((topic, _), committed) in &committed {
            let sequence = sequence::of_metadata(&committed.metadata).ok_or_else(|| ShardsError::ForeignOffset {
                shard: self.number,
                topic: topic.clone(),
                metadata: committed.metadata.clone(),
            })?;
            until = until.max(Some(sequence));
        }
        let offsets = self
            .offset(common, self.inputs.len(), Time::Earliest)
            .and_then(|begins| {
                let end = self.offset(common, self.inputs.len(), Time::LatestCommitted)?;
                Ok((begins, end))
            });
        match offsets {
            // The journal has nothing, and nothing is committed: nobody has been here.
            Ok((begins, end)) if until.is_none() && begins >= end => match self.begin(common) {
                Err(ShardsError::Kafka(error)) if error.may_pass() => self.phase = later,
                outcome => return outcome,
            },
            Ok((begins, end)) => {
                let position = Position {
                    offset: begins,
                    epoch: -1,
                };
                let committed = committed
                    .into_iter()
                    .map(|((topic, _), committed)| (topic, committed.offset));
                self.phase = Phase::Replaying(Box::new(Replaying {
                    until,
                    committed: committed.collect(),
                    end,
                    next: begins,
                    after: common.fetcher.add(self.journal(), position),
                    records: VecDeque::new(),
                    waiting: 0,
                    replay: None,
                }));
            }
            Err(error) if error.may_pass() => self.phase = later,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Begins where nobody has been.
    fn begin(&mut self, common: &mut Common<'_>) -> Result<(), ShardsError> {
        let time = match common.starting_offsets {
            StartingOffsets::Earliest => Time::Earliest,
            StartingOffsets::Latest => Time::LatestCommitted,
        };
        let mut positions = Vec::new();
        for source in 0..self.inputs.len() {
            positions.push(if common.layout.has_partition(source, self.number) {
                let offset = self.offset(common, source, time)?;
                Some(Position { offset, epoch: -1 })
            } else {
                None
            });
        }
        self.shard = Some(place(self.number, &mut self.inputs, common, positions, 0));
        let topics = common.layout.inputs.iter().map(|topic| topic.name.clone()).collect();
        if let Some(shard) = &mut self.shard {
            self.beginning = Some(shard.begin(topics));
        }
        self.phase = Phase::Running;
        Ok(())
    }

    fn offset(&self, common: &mut Common<'_>, topic: usize, time: Time) -> Result<i64, KafkaError> {
        let names = common.layout.fetched();
        // Leaders may have changed since the start.
        let info = common.cluster.topic(&names[topic].name)?;
        let offsets = common.cluster.offsets(&info, &[self.number], time)?;
        Ok(offsets.first().copied().unwrap_or(0))
    }

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
                if replaying.until.is_none_or(|until| record.sequence <= until) {
                    replaying.records.push_back(record);
                }
            }
        }
        let behind = reading.behind();
        replaying.next = behind;
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

    /// Goes on with what is done again, as far as there are records.
    fn replay(&mut self, common: &mut Common<'_>) -> Result<(), ShardsError> {
        let (number, journal) = (self.number, self.journal());
        let Phase::Replaying(replaying) = &mut self.phase else {
            return Ok(());
        };
        loop {
            if let (Some(shard), Some(current)) = (&mut self.shard, replaying.replay.as_mut()) {
                match current.go_on(shard) {
                    Wants::Nothing => replaying.replay = None,
                    Wants::Records { source, until } => {
                        if !bring(number, shard, source, &mut self.inputs[source], until, common)? {
                            return Ok(());
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
            if replaying.until.is_some() && reached >= replaying.until {
                break;
            }
            let Some(record) = replaying.records.pop_front() else {
                // The group's offsets are gone; the journal says how far the pipeline has come.
                if replaying.until.is_none() && replaying.next >= replaying.end {
                    break;
                }
                return Ok(());
            };
            match &mut self.shard {
                Some(shard) => {
                    let begun = shard.replay(record);
                    replaying.replay = Some(begun.map_err(|source| ShardsError::Replay { shard: number, source })?);
                }
                None if record.sequence == 0 => {
                    let topics = common.layout.inputs.iter().map(|topic| topic.name.as_str());
                    if !topics.eq(record.sources.iter().map(String::as_str)) {
                        let found = record.sources.join(", ");
                        return Err(ShardsError::OtherTopics { shard: number, found });
                    }
                    let (cut, epoch) = (record.cut, record.epoch);
                    self.shard = Some(place(number, &mut self.inputs, common, cut, epoch));
                }
                None => return Err(ShardsError::NoBeginning { shard: number }),
            }
        }
        common.fetcher.remove(journal);
        let committed = std::mem::take(&mut replaying.committed);
        self.replayed(&committed, common)
    }

    /// What was done again must have come to what is committed.
    fn replayed(&mut self, committed: &BTreeMap<String, i64>, common: &mut Common<'_>) -> Result<(), ShardsError> {
        let Some(shard) = &self.shard else {
            // The journal has only what was never committed.
            return self.begin(common);
        };
        for (topic, position) in common.layout.inputs.iter().zip(shard.positions()) {
            let found = position.map(|position| position.offset);
            let committed = committed.get(&topic.name).copied();
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
    match input.take(source, shard, common.reader, until) {
        Ok(Taken::Nothing) => Ok(false),
        Ok(Taken::Some { bytes, .. }) => {
            common.fetcher.processed(partition, bytes);
            Ok(true)
        }
        Err((position, corrupt)) => {
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

/// Reads an input again from a damaged batch on.
pub fn begin_again(
    input: &mut Input,
    fetcher: &Fetcher,
    layout: &Layout,
    partition: Partition,
    position: Position,
    damaged: i64,
) -> Result<(), ShardsError> {
    match fetcher.damaged(partition, position, damaged) {
        Ok(after) => {
            input.begin(position.offset, after);
            Ok(())
        }
        Err(loss) => Err(ShardsError::Lost {
            topic: layout.inputs[partition.topic as usize].name.clone(),
            partition: partition.partition,
            loss,
        }),
    }
}

/// Makes a shard, and reads its inputs from these positions on.
fn place(
    number: u32,
    inputs: &mut [Input],
    common: &Common<'_>,
    positions: Vec<Option<Position>>,
    epoch: u32,
) -> Shard {
    for (source, position) in positions.iter().enumerate() {
        if let Some(position) = position {
            let partition = Partition {
                topic: source as u32,
                partition: number,
            };
            let after = common.fetcher.add(partition, *position);
            inputs[source].begin(position.offset, after);
        }
    }
    let decoder = |source: &tocsin_worker_core::plan::SourcePlan| -> Box<dyn Decoder> {
        Box::new(JsonDecoder::new(source.record.clone()))
    };
    let decoders = common.plan.sources.iter().map(decoder).collect();
    let mut engine = Engine::new(common.plan.clone(), decoders);
    if common.is_watched {
        engine.observe();
    }
    Shard::new(engine, positions, epoch)
}
