//! A shard that is ours: how it comes to where the pipeline has committed, and its inputs.

use std::collections::VecDeque;
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
use super::input::{Input, Taken};
use super::sequence;
use super::start::Layout;
use crate::kafka::{Cluster, Fetched, Fetcher, KafkaError, Time};

/// After an answer that is not final.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// A shard that is ours.
pub struct Owned {
    pub number: u32,
    pub shard: Option<Shard>,
    pub inputs: Vec<Input>,
    phase: Phase,
    /// Where the shard began, as long as the journal does not have it.
    pub beginning: Option<JournalRecord>,
}

enum Phase {
    /// Where the pipeline has come to is asked for.
    Asking {
        not_before: Instant,
    },
    /// What was done up to cut `until` is done again.
    Replaying {
        until: u64,
        records: VecDeque<JournalRecord>,
        replay: Option<Replay>,
    },
    Running,
}

/// What shards of a thread share.
pub struct Common<'a> {
    pub plan: &'a Plan,
    pub layout: &'a Layout,
    pub group: &'a str,
    pub starting_offsets: StartingOffsets,
    pub cluster: &'a mut Cluster,
    pub fetcher: &'a Fetcher,
    pub reader: &'a mut PartitionReader,
}

impl Owned {
    pub fn new(number: u32, layout: &Layout) -> Self {
        let now = Instant::now();
        Self {
            number,
            shard: None,
            inputs: layout.inputs.iter().map(|_| Input::new(now)).collect(),
            phase: Phase::Asking { not_before: now },
            beginning: None,
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
        if let Phase::Asking { not_before } = self.phase
            && Instant::now() >= not_before
        {
            self.ask(common)?;
        }
        if let Phase::Replaying { .. } = self.phase {
            self.replay(common)?;
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
            Err(error) if error.is_transient() => {
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
        match until {
            None => match self.begin(common) {
                Err(ShardsError::Kafka(error)) if error.is_transient() => self.phase = later,
                outcome => return outcome,
            },
            Some(until) => match self.offset(common, self.inputs.len(), Time::Earliest) {
                Ok(offset) => {
                    common.fetcher.add(self.journal(), Position { offset, epoch: -1 });
                    self.phase = Phase::Replaying {
                        until,
                        records: VecDeque::new(),
                        replay: None,
                    };
                }
                Err(error) if error.is_transient() => self.phase = later,
                Err(error) => return Err(error.into()),
            },
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
        self.place(common, positions, 0);
        self.beginning = self.shard.as_ref().map(Shard::beginning);
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

    /// Makes the shard, and reads its inputs from these positions on.
    fn place(&mut self, common: &Common<'_>, positions: Vec<Option<Position>>, epoch: u32) {
        for (source, position) in positions.iter().enumerate() {
            if let Some(position) = position {
                common.fetcher.add(self.partition(source), *position);
            }
        }
        let decoder = |source: &tocsin_worker_core::plan::SourcePlan| -> Box<dyn Decoder> {
            Box::new(JsonDecoder::new(source.record.clone()))
        };
        let decoders = common.plan.sources.iter().map(decoder).collect();
        let engine = Engine::new(common.plan.clone(), decoders);
        self.shard = Some(Shard::new(engine, positions, epoch));
    }

    /// Takes a part of the journal.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn take_journal(&mut self, fetched: &Fetched, common: &mut Common<'_>) -> Result<(), ShardsError> {
        let Phase::Replaying { until, records, .. } = &mut self.phase else {
            return Ok(());
        };
        let shard = self.number;
        let from = fetched.from.offset;
        let mut complete = false;
        let mut reading = common.reader.read(&fetched.records, &fetched.aborted, from);
        while let Ok(Some(block)) = reading.next_block() {
            for span in block.records.spans {
                let bytes = &block.records.bytes[span.start..span.end];
                let record = JournalRecord::decode(bytes).map_err(|source| ShardsError::Journal { shard, source })?;
                complete |= record.sequence == *until;
                if record.sequence <= *until {
                    records.push_back(record);
                }
            }
        }
        let behind = reading.behind();
        if behind < fetched.next.offset {
            let position = Position {
                offset: behind,
                epoch: fetched.from.epoch,
            };
            if let Some(loss) = common.fetcher.damaged(self.journal(), position, behind) {
                let topic = common.layout.journal.name.clone();
                let partition = self.number;
                return Err(ShardsError::Lost { topic, partition, loss });
            }
        }
        common.fetcher.processed(self.journal(), fetched.records.len());
        if complete {
            common.fetcher.remove(self.journal());
        }
        Ok(())
    }

    fn replay(&mut self, common: &mut Common<'_>) -> Result<(), ShardsError> {
        let number = self.number;
        loop {
            let Phase::Replaying { until, records, replay } = &mut self.phase else {
                return Ok(());
            };
            let until = *until;
            if let (Some(shard), Some(current)) = (&mut self.shard, replay.as_mut()) {
                match current.go_on(shard) {
                    Wants::Nothing => *replay = None,
                    Wants::Records { source, until } => {
                        let taken = self.inputs[source].take(source, shard, common.reader, until);
                        let partition = Partition {
                            topic: source as u32,
                            partition: number,
                        };
                        match taken {
                            Ok(Taken::Nothing) => return Ok(()),
                            Ok(Taken::Some { bytes, .. }) => common.fetcher.processed(partition, bytes),
                            Err((position, corrupt)) => {
                                let loss = common.fetcher.damaged(partition, position, corrupt.offset);
                                if let Some(loss) = loss {
                                    let topic = common.layout.inputs[source].name.clone();
                                    let partition = number;
                                    return Err(ShardsError::Lost { topic, partition, loss });
                                }
                                return Ok(());
                            }
                        }
                    }
                }
                continue;
            }
            if self.shard.as_ref().is_some_and(|shard| shard.sequence() >= until) {
                self.phase = Phase::Running;
                return Ok(());
            }
            let Some(record) = records.pop_front() else {
                return Ok(());
            };
            match &mut self.shard {
                Some(shard) => {
                    let begun = shard.replay(record);
                    *replay = Some(begun.map_err(|source| ShardsError::Replay { shard: number, source })?);
                }
                None if record.sequence == 0 => self.place(common, record.cut, record.epoch),
                None => return Err(ShardsError::NoBeginning { shard: number }),
            }
        }
    }
}
