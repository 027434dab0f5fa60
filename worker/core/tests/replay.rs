//! A shard that does again what its journal says gives, from there on, what it would have given: whatever blocks its
//! records come in, wherever it stopped.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use proptest::prelude::*;
use support::log::{ARRIVED, log};
use support::pipelines::{AS_THEY_COME, PIPELINES, records, spec};
use support::{Decoding, Results, engine, plan};
use tocsin_worker_core::kafka::fetching::Position;
use tocsin_worker_core::kafka::{PartitionReader, Settings};
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::shard::{Hold, JournalRecord, ReplayError, Shard, Wants};

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
        self.read_of(source, until, 0);
    }

    /// Reads records of a leader's time.
    fn read_of(&mut self, source: usize, until: i64, epoch: i32) {
        let from = self.shard.positions()[source].unwrap().offset;
        let mut reading = self.reader.read_until(&self.logs[source], &[], from, until);
        while let Some(block) = reading.next_block().unwrap() {
            self.shard.take(source, &block, epoch).unwrap();
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
        which in 0..=PIPELINES.len(),
        alerts in records("ms"),
        metrics in records("cpu"),
        actions in actions(),
        stopped_at in 0..40_usize,
        batch in 1..20_usize,
        block_bytes in prop::collection::vec(1..3_000_usize, 2),
    ) {
        let (stages, streams) = PIPELINES.get(which).unwrap_or(&AS_THEY_COME);
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

proptest! {
    #[test]
    fn a_journal_that_lacks_a_record_in_its_midst_is_refused_by_name(
        alerts in records("ms"),
        metrics in records("cpu"),
        lacks in 0..6_usize,
    ) {
        let (stages, streams) = PIPELINES[0];
        let plan = plan(&spec(stages, streams));
        let logs = [log(&alerts, 3), log(&metrics, 3)];
        let (mut live, mut again) = (Run::new(&plan, &logs, 500), Run::new(&plan, &logs, 500));
        let mut journals = Vec::new();
        for source in [0, 1].into_iter().cycle().take(12) {
            live.act(Action::Read(source, 1));
            journals.extend(live.act(Action::Cut).map(|(journal, _)| journal));
        }
        prop_assume!(journals.len() > lacks + 1);
        for journal in &journals[..lacks] {
            again.replay(journal);
        }
        let behind = JournalRecord::decode(&journals[lacks + 1]).unwrap();
        let gap = ReplayError::Gap {
            expected: again.shard.sequence() + 1,
            found: behind.sequence,
        };
        prop_assert_eq!(again.shard.replay(behind).err(), Some(gap));
    }
}

/// What came out of a run, sorted: sinks have no order between keys.
fn sorted(mut results: Results) -> Results {
    results.sinks.values_mut().for_each(|rows| rows.sort_unstable());
    results.sinks.retain(|_, rows| !rows.is_empty());
    results.dead.sort_by_key(|letter| (letter.source, letter.offset));
    results
}

fn reads() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0..2_usize, 1..15_usize), 1..30)
}

proptest! {
    #[test]
    fn what_goes_ahead_of_a_cut_comes_again_whatever_is_read_first(
        which in 0..PIPELINES.len(),
        alerts in records("ms"),
        metrics in records("cpu"),
        orders in prop::collection::vec(reads(), 2),
        batch in 1..20_usize,
    ) {
        let (stages, streams) = PIPELINES[which];
        let plan = plan(&spec(stages, streams));
        let logs = [log(&alerts, batch), log(&metrics, batch)];
        let mut came = Vec::new();
        for reads in &orders {
            let mut run = Run::new(&plan, &logs, 500);
            let mut results = Results::default();
            for (source, n) in reads.iter().copied().chain([(0, 1_000), (1, 1_000)]) {
                run.act(Action::Read(source, n));
                results.add(&plan, run.shard.take_ahead(|_| true).outputs);
            }
            prop_assert!(!run.shard.has_output(), "all of it goes ahead");
            came.push(sorted(results));
        }
        prop_assert_eq!(&came[0], &came[1]);
    }
}

/// By event time an incident waits for the other source; as they come it opens at once, and not ahead of its transaction.
#[test]
fn incidents_of_sources_that_are_taken_as_they_come_wait_for_no_other() {
    let (stages, streams) = AS_THEY_COME;
    let alerts: Vec<String> = (0..30)
        .map(|second| {
            format!(
                r#"{{"ts": {}, "id": {second}, "service": "a", "severity": "CRITICAL"}}"#,
                1_000_000 + second
            )
        })
        .collect();
    let opened = |stages: &str| {
        let plan = plan(&spec(stages, streams));
        let logs = [log(&alerts, 5), log(&[], 5)];
        let mut run = Run::new(&plan, &logs, 500);
        run.act(Action::Read(0, 30));
        let mut ahead = Results::default();
        ahead.add(&plan, run.shard.take_ahead(|_| true).outputs);
        assert!(ahead.sinks.values().all(Vec::is_empty) || !stages.contains("Arrival"));
        let (_, results) = run.act(Action::Cut).unwrap();
        let n = |results: &Results| results.sinks.get("s0").map_or(0, Vec::len);
        n(&results) + n(&ahead)
    };
    assert_eq!(opened(&stages.replace(", order: Arrival", "")), 0);
    assert!(opened(stages) > 0);
}

#[test]
fn nothing_goes_ahead_behind_a_decision_or_for_a_sink_that_may_not_repeat() {
    let plan = plan(
        "{sources: [{name: a, stdin: {}, eventTime: {field: ts, unit: Milliseconds}}, \
          {name: b, stdin: {}, eventTime: {field: ts, unit: Milliseconds}}], \
          stages: [{name: all, from: a, filter: 'id > 0'}], \
          sinks: [{name: one, from: all, stdout: {}}, {name: two, from: all, stdout: {}}]}",
    );
    let record = |id: usize| format!(r#"{{"ts": 1000, "id": {id}}}"#);
    let records: Vec<String> = (1..6).map(record).chain(["broken".to_owned()]).collect();
    let logs = [log(&records, 1), Vec::new()];
    let mut run = Run::new(&plan, &logs, 500);
    let count = |outputs: &tocsin_worker_core::engine::Outputs| {
        let rows = outputs.sinks.iter().map(|(sink, rows)| (*sink, rows.ends.len()));
        (rows.collect::<Vec<_>>(), outputs.dead.len())
    };
    run.act(Action::Read(0, 2));
    let ahead = run.shard.take_ahead(|sink| sink == 0);
    assert_eq!(count(&ahead.outputs), (vec![(0, 2)], 0));
    assert_eq!(count(&run.shard.cut().unwrap().outputs), (vec![(1, 2)], 0));

    run.shard.tick(0, ARRIVED * 1_000);
    run.act(Action::Read(0, 10));
    assert!(run.shard.has_decided() && run.shard.take_ahead(|_| true).is_empty());
    let cut = run.shard.cut().unwrap();
    assert_eq!(count(&cut.outputs).1, 1);
    assert_eq!(cut.origins.len(), 1);

    // Where a shard begins is a decision.
    let mut run = Run::new(&plan, &logs, 500);
    run.shard.begin(Vec::new());
    run.act(Action::Read(0, 6));
    assert!(run.shard.take_ahead(|_| true).is_empty());
    assert_eq!(count(&run.shard.cut().unwrap().outputs), (vec![(0, 5), (1, 5)], 1));
}

#[test]
fn a_shard_that_is_held_for_a_savepoint_goes_on_when_that_is_given_up_and_not_before() {
    let (stages, streams) = PIPELINES[0];
    let plan = plan(&spec(stages, streams));
    let logs = [log(&[], 1), log(&[], 1)];
    let mut run = Run::new(&plan, &logs, 500);
    let mut again = Run::new(&plan, &logs, 500);
    let first = Hold {
        until: Some(1),
        savepoint: Some(7),
    };
    let mut cut = |run: &mut Run<'_>| {
        let (journal, _) = run.act(Action::Cut).unwrap();
        again.replay(&journal);
        assert_eq!(again.shard.held_for(), run.shard.held_for());
    };
    run.shard.hold(first);
    cut(&mut run);
    // Neither the end of a run, nor another savepoint, nor another's being given up changes for what it is held.
    run.shard.go_on();
    run.shard.give_up(8);
    run.shard.hold(Hold {
        savepoint: Some(8),
        ..first
    });
    run.shard.hold(Hold {
        savepoint: None,
        ..first
    });
    assert_eq!((run.shard.held_for(), run.shard.has_moved()), (Some(first), false));
    run.shard.give_up(7);
    cut(&mut run);
    assert!(!run.shard.is_held());
    // What is to be given up at any time becomes what lasts until the next run epoch, and not the other way round.
    run.shard.hold(Hold::default());
    run.shard.hold(first);
    run.shard.hold(Hold::default());
    cut(&mut run);
    assert_eq!(run.shard.held_for(), Some(first));
}

/// A log that was cut, by an election of a leader that lacked records, and grew again holds others at the same offsets.
#[test]
fn an_input_whose_last_records_are_of_another_leaders_time_than_before_is_doubtful() {
    let (stages, streams) = PIPELINES[0];
    let plan = plan(&spec(stages, streams));
    let alerts: Vec<String> = (0..30).map(|i| format!(r#"{{"ts": {i}, "service": "a"}}"#)).collect();
    let logs = [log(&alerts, 5), log(&alerts, 5)];
    let mut live = Run::new(&plan, &logs, 500);
    live.read_of(0, 20, 3);
    let (first, _) = live.act(Action::Cut).unwrap();
    // The next cut says nothing of that input.
    live.read_of(1, 10, 7);
    let (second, _) = live.act(Action::Cut).unwrap();
    let at = Position { offset: 20, epoch: 3 };
    for (epoch, doubtful) in [(3, None), (4, Some(at))] {
        let mut again = Run::new(&plan, &logs, 500);
        for journal in [&first, &second] {
            let mut replay = again.shard.replay(JournalRecord::decode(journal).unwrap()).unwrap();
            while let Wants::Records { source, until } = replay.go_on(&mut again.shard) {
                again.read_of(source, until, if source == 0 { epoch } else { 7 });
            }
            assert_eq!(again.shard.doubtful()[0], doubtful, "epoch {epoch}");
        }
        assert_eq!(again.shard.doubtful()[1], None);
        assert_eq!(again.shard.positions()[0], Some(at));
    }
}
