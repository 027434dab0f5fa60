//! A shard that does again what its journal says gives, from there on, what it would have given: whatever blocks its
//! records come in, wherever it stopped.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use proptest::prelude::*;
use support::log::log;
use support::pipelines::{PIPELINES, records, spec};
use support::{Decoding, Results, engine, plan};
use tocsin_worker_core::kafka::fetching::Position;
use tocsin_worker_core::kafka::{PartitionReader, Settings};
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::shard::{JournalRecord, Shard, Wants};

const START: Position = Position { offset: 0, epoch: -1 };

/// Something that a shard does while it runs.
#[derive(Clone, Copy, Debug)]
enum Action {
    /// Reads so many records of a source.
    Read(usize, usize),
    /// The clock ticks for a source, so many seconds behind the first record.
    Tick(usize, i64),
    /// Commits.
    Cut,
}

/// A shard, and the logs that it reads.
struct Run<'a> {
    plan: &'a Plan,
    logs: &'a [Vec<u8>],
    reader: PartitionReader,
    shard: Shard,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, logs: &'a [Vec<u8>], block_bytes: usize) -> Self {
        let settings = Settings {
            block_bytes,
            record_limit: 1 << 20,
            head_bytes: 64,
        };
        Self {
            plan,
            logs,
            reader: PartitionReader::new(settings),
            shard: Shard::new(engine(plan, Decoding::Own), vec![Some(START); 2], 0),
        }
    }

    fn read(&mut self, source: usize, until: i64) {
        let from = self.shard.positions()[source].unwrap().offset;
        let mut reading = self.reader.read_until(&self.logs[source], &[], from, until);
        while let Some(block) = reading.next_block().unwrap() {
            self.shard.take(source, &block, 0);
        }
    }

    fn act(&mut self, action: Action) -> Option<(Vec<u8>, Results)> {
        match action {
            Action::Read(source, n) => {
                let from = self.shard.positions()[source].unwrap().offset;
                self.read(source, from + n as i64);
            }
            Action::Tick(source, seconds) => self.shard.tick(source, (1_000_000 + seconds) * 1_000_000),
            Action::Cut => {
                let cut = self.shard.cut()?;
                let mut results = Results::default();
                results.add(self.plan, cut.outputs);
                return Some((cut.journal, results));
            }
        }
        None
    }

    fn replay(&mut self, journal: &[u8]) {
        let record = JournalRecord::decode(journal).unwrap();
        let (sequence, cut) = (record.sequence, record.cut.clone());
        let mut replay = self.shard.replay(record).unwrap();
        while let Wants::Records { source, until } = replay.go_on(&mut self.shard) {
            self.read(source, until);
        }
        assert_eq!(self.shard.sequence(), sequence);
        assert_eq!(self.shard.positions(), cut);
        assert!(!self.shard.has_output() && !self.shard.has_moved());
    }
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        6 => (0..2_usize, 1..15_usize).prop_map(|(source, n)| Action::Read(source, n)),
        1 => (0..2_usize, -20..200_i64).prop_map(|(source, seconds)| Action::Tick(source, seconds)),
        2 => Just(Action::Cut),
    ];
    prop::collection::vec(action, 1..60)
}

proptest! {
    #[test]
    fn what_a_journal_says_is_done_again(
        which in 0..PIPELINES.len(),
        alerts in records("ms"),
        metrics in records("cpu"),
        actions in actions(),
        stopped_at in 0..40_usize,
        batch in 1..20_usize,
        block_bytes in prop::collection::vec(1..3_000_usize, 2),
    ) {
        let (stages, streams) = PIPELINES[which];
        let plan = plan(&spec(stages, streams));
        let logs = [log(&alerts, batch), log(&metrics, batch)];
        let mut live = Run::new(&plan, &logs, block_bytes[0]);
        let mut again = Run::new(&plan, &logs, block_bytes[1]);
        let mut n_cuts = 0;
        for action in actions.into_iter().chain([Action::Cut]) {
            let stopped = n_cuts >= stopped_at;
            let done = live.act(action);
            if stopped {
                let done_again = again.act(action);
                prop_assert_eq!(&done_again, &done);
            } else if let Some((journal, _)) = done {
                again.replay(&journal);
                n_cuts += 1;
            }
        }
    }
}
