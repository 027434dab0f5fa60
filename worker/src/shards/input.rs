//! Fetched records of one source of one shard that wait to be processed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tocsin_worker_core::kafka::fetching::Position;
use tocsin_worker_core::kafka::{CorruptBatch, PartitionReader, ReadMark};
use tocsin_worker_core::repartition::DealtOtherwise;
use tocsin_worker_core::shard::Shard;

use super::schemas::{Purpose, Schemas};
use crate::metrics::Reading;
use tocsin_kafka::Fetched;

/// How much is brought to a shard at once: a batch may grow a thousandfold.
const MOST_UNPACKED: usize = 32 << 20;

/// An answer that is older says nothing of now, and none between two that are further apart says nothing of that time.
const JUST_NOW: Duration = Duration::from_secs(1);

/// What waits of a source.
#[derive(Debug)]
pub struct Input {
    waiting: VecDeque<Fetched>,
    /// Where the first of it is read on, if a part of it was read.
    mark: Option<ReadMark>,
    /// Where the next part begins; none as long as nothing is asked for.
    next: Option<i64>,
    /// Answers to questions up to this are of an earlier life of the shard here.
    after: u64,
    /// Since when answers have said that all is read that there is.
    silent_since: Option<Instant>,
    last_answer: Instant,
    /// What is measured.
    pub reading: Reading,
}

/// What became of fetched records.
#[derive(Debug, PartialEq, Eq)]
pub enum Added {
    /// They wait.
    Taken,
    /// They are of an earlier life of the shard here.
    Stale,
    /// They do not follow what came before: reading must begin again where the shard stands.
    Gap,
}

/// Why a part cannot be brought to a shard.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// A batch is damaged; the shard stands in front of it.
    #[error("a batch is damaged")]
    Damaged(Position, CorruptBatch),
    /// Another shard sent rows of another form.
    #[error(transparent)]
    Otherwise(#[from] DealtOtherwise),
}

/// What became of waiting records.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// So many records; so many fetched bytes are done with.
    Some {
        /// The bytes.
        bytes: usize,
        /// The records.
        records: u64,
    },
    /// Nothing waits.
    Nothing,
    /// A schema registry has not said what the next records are.
    Waits,
}

impl Input {
    pub fn new(now: Instant) -> Self {
        Self {
            waiting: VecDeque::new(),
            mark: None,
            next: None,
            after: 0,
            silent_since: None,
            last_answer: now,
            reading: Reading::default(),
        }
    }

    /// Reading begins at an offset, by questions behind number `after`; what waits is dropped.
    pub fn begin(&mut self, offset: i64, after: u64) {
        self.waiting.clear();
        self.mark = None;
        self.next = Some(offset);
        self.after = after;
        self.silent_since = None;
    }

    /// Takes what was fetched.
    pub fn add(&mut self, fetched: Fetched) -> Added {
        if self.next.is_none() || fetched.number <= self.after {
            return Added::Stale;
        }
        if self.next != Some(fetched.from.offset) {
            return Added::Gap;
        }
        self.next = Some(fetched.next.offset);
        // A broker, a network or this process stood still: what producers had to say meanwhile may be still on its way.
        if fetched.at.saturating_duration_since(self.last_answer) > JUST_NOW {
            self.silent_since = None;
        }
        self.last_answer = fetched.at;
        self.reading.answered(&fetched);
        let has_moved = fetched.next.offset > fetched.from.offset;
        // The high watermark, not the end of what is committed: behind an open transaction there is something.
        let caught_up = fetched.high_watermark >= 0 && fetched.next.offset >= fetched.high_watermark;
        if has_moved || !caught_up {
            self.silent_since = None;
        } else {
            self.silent_since.get_or_insert(fetched.at);
        }
        if has_moved {
            self.waiting.push_back(fetched);
        }
        Added::Taken
    }

    /// Whoever cannot be asked, or is held back, is not silent.
    pub fn is_not_silent(&mut self) {
        self.silent_since = None;
    }

    /// Whether answers have said for so long, and just now, that nothing comes.
    /// Answers how long ago that was.
    pub fn silent_until(&self, timeout: Duration, now: Instant) -> Option<Duration> {
        let since = self.silent_since.filter(|_| self.waiting.is_empty())?;
        let age = now.saturating_duration_since(self.last_answer);
        let silent = self.last_answer.saturating_duration_since(since) >= timeout;
        (silent && age < JUST_NOW).then_some(age)
    }

    /// When a broker last answered.
    pub fn answered(&self) -> Instant {
        self.last_answer
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Brings the next part to the shard, up to an offset and not beyond.
    ///
    /// # Errors
    /// If a batch is damaged: with where the shard stands in front of it; or if another shard sent rows of another form.
    pub fn take(
        &mut self,
        source: usize,
        shard: &mut Shard,
        reader: &mut PartitionReader,
        until: i64,
        (schemas, purpose): (&Schemas, Purpose),
    ) -> Result<Taken, NotTaken> {
        let (Some(fetched), Some(from)) = (self.waiting.front(), shard.positions()[source]) else {
            return Ok(Taken::Nothing);
        };
        let mark = self.mark.take().unwrap_or_else(|| ReadMark::new(&fetched.aborted));
        let mut reading = reader.read_on(&fetched.records, &mark, from.offset, until);
        let (mut records, mut unpacked) = (0, 0);
        let mut waits = false;
        while unpacked < MOST_UNPACKED {
            match reading.next_block() {
                Ok(Some(block)) => {
                    if !schemas.tell(shard, source, &block, purpose) {
                        waits = true;
                        break;
                    }
                    // What stands between values is little beside them.
                    let spans = block.records.spans;
                    let place = spans.first().zip(spans.last());
                    unpacked += place.map_or(0, |(first, last)| last.end - first.start);
                    records += (block.records.spans.len() + block.unread.len()) as u64;
                    shard.take(source, &block, fetched.next.epoch)?;
                    self.reading.processed(block.next_offset, block.arrived);
                }
                Ok(None) => break,
                Err(corrupt) => {
                    let position = shard.positions()[source].unwrap_or(from);
                    return Err(NotTaken::Damaged(position, corrupt));
                }
            }
        }
        // A block that waits is read again.
        let mark = if waits { mark } else { reading.mark() };
        if waits {
            self.silent_since = None;
            if records == 0 {
                self.mark = Some(mark);
                return Ok(Taken::Waits);
            }
        }
        let reached = shard.positions()[source].map_or(i64::MAX, |position| position.offset);
        if reached < fetched.next.offset {
            self.mark = Some(mark);
            return Ok(Taken::Some { bytes: 0, records });
        }
        let bytes = fetched.records.len();
        self.waiting.pop_front();
        Ok(Taken::Some { bytes, records })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tocsin_worker_core::kafka::fetching::Partition;

    use super::*;

    const IDLE: Duration = Duration::from_secs(5);

    /// Answers at these milliseconds, each of `(asked from, next, high watermark)`; then for how long it is silent at the last.
    fn silent(answers: &[(u64, (i64, i64, i64))]) -> bool {
        let start = Instant::now();
        let mut input = Input::new(start);
        input.begin(0, 0);
        let mut now = start;
        for (number, (millis, (from, next, high_watermark))) in (1..).zip(answers) {
            now = start + Duration::from_millis(*millis);
            let added = input.add(Fetched {
                partition: Partition { topic: 0, partition: 0 },
                from: Position {
                    offset: *from,
                    epoch: 0,
                },
                next: Position {
                    offset: *next,
                    epoch: 0,
                },
                records: Bytes::new(),
                aborted: Vec::new(),
                high_watermark: *high_watermark,
                last_stable: *high_watermark,
                number,
                at: now,
            });
            assert_eq!(added, Added::Taken);
            input.waiting.clear();
        }
        input.silent_until(IDLE, now).is_some()
    }

    /// Answers without records every 100 ms, between these milliseconds.
    fn nothing(from: u64, until: u64) -> Vec<(u64, (i64, i64, i64))> {
        (from..=until).step_by(100).map(|millis| (millis, (0, 0, 0))).collect()
    }

    #[test]
    fn an_input_is_silent_once_answers_have_said_so_for_long_enough() {
        assert!(silent(&nothing(0, 5_000)));
        assert!(!silent(&nothing(0, 4_900)));
    }

    #[test]
    fn time_without_an_answer_is_no_silence() {
        // A broker stands still for three seconds of six, and for one behind six.
        assert!(!silent(&[nothing(0, 2_000), nothing(5_000, 6_000)].concat()));
        assert!(!silent(&[nothing(0, 6_000), nothing(7_100, 7_100)].concat()));
        assert!(silent(&[nothing(0, 6_000), nothing(7_100, 12_100)].concat()));
    }

    #[test]
    fn who_has_something_to_say_or_cannot_say_it_is_not_silent() {
        let open_transaction = (0..=60).map(|i| (i * 100, (0, 0, 3)));
        assert!(!silent(&open_transaction.collect::<Vec<_>>()));
        let throttled = (0..=60).map(|i| (i * 100, (0, 0, -1)));
        assert!(!silent(&throttled.collect::<Vec<_>>()));
        assert!(!silent(&[nothing(0, 5_000), vec![(5_100, (0, 2, 2))]].concat()));
    }
}
