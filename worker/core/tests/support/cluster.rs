//! Shards that deal rows out by key, the topics between them, and what is known of their results in the end.

use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::prelude::*;
use serde_json::{Map, Value};
use tocsin_contract::pipeline::IncidentPipeline;
use tocsin_contract::pipeline::source::Source;
use tocsin_worker_core::engine::Engine;
use tocsin_worker_core::kafka::fetching::Position;
use tocsin_worker_core::kafka::{PartitionReader, Settings};
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::plan::repartition::repartition;
use tocsin_worker_core::shard::{Hold, JournalRecord, Shard, Wants};
use tocsin_worker_core::snapshot::{ReadFrom, TopicNow, is_drained};

use super::captured::{Captured, capture_shard, restored_into};
use super::dealt::STAGES;
use super::log::{append, log};
use super::savepoint::Savepoint;
use super::{Decoding, Results, engine, pipeline};

const START: Position = Position { offset: 0, epoch: -1 };

/// What has revisions in the tests.
const REVISED: u32 = 3;

/// Later than all events, in microseconds.
const END_OF_TIME: i64 = 3_000_000_000_000_000;

/// Something that happens to a shard.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// It reads so many records of its source.
    Read(usize),
    /// It reads so many records that others sent it.
    Take(usize),
    /// It commits.
    Cut,
    /// It ends, and another follows its journal.
    Fail,
    /// It commits, is captured, and goes on from that.
    Restore,
    /// It is held.
    Hold,
    /// It goes on.
    GoOn,
    /// Its source is idle, by the clock after all events.
    Idle,
    /// A revision is in effect from its next record on.
    Revise(u64),
}

/// A topic: the log of each partition, and how many records it has.
#[derive(Clone, Debug, Default)]
pub struct Topic(pub Vec<(Vec<u8>, i64)>);

/// What a journal begins behind.
#[derive(Clone)]
enum Begin {
    /// Nothing.
    New,
    /// State, positions and number of a cut, and the revisions in effect.
    Captured(Captured, Vec<Option<Position>>, u64, BTreeMap<u32, u64>),
    /// A savepoint of shards of the run epoch before.
    Savepoint(Rc<Savepoint>),
}

/// The shards of a pipeline, and the topics between them.
pub struct Cluster {
    plan: Plan,
    sources: Vec<Source>,
    pub topics: Vec<Topic>,
    /// As snapshots know them.
    known: Vec<TopicNow>,
    /// How often they were made anew.
    n_made: u32,
    pub shards: Vec<Shard>,
    journals: Vec<Vec<Vec<u8>>>,
    begins: Vec<Begin>,
    epoch: u32,
    pub results: Results,
    /// By shard, source and offset, the revision with which records were read that are committed; and those that are not.
    revised: BTreeMap<(usize, usize, i64), Option<u64>>,
    uncommitted: Vec<Vec<(usize, i64, Option<u64>)>>,
}

impl Cluster {
    pub fn new(plan: &Plan, sources: Vec<Topic>, n_shards: usize) -> Self {
        let mut cluster = Self {
            plan: plan.clone(),
            sources: Vec::new(),
            topics: sources,
            known: Vec::new(),
            n_made: 0,
            shards: Vec::new(),
            journals: vec![Vec::new(); n_shards],
            begins: vec![Begin::New; n_shards],
            epoch: 0,
            results: Results::default(),
            revised: BTreeMap::new(),
            uncommitted: vec![Vec::new(); n_shards],
        };
        cluster.make_topics();
        cluster.shards = (0..n_shards).map(|number| cluster.begin(number)).collect();
        cluster
    }

    /// Makes topics that are missing, and partitions.
    fn make_topics(&mut self) {
        let n_shards = self.journals.len();
        self.topics.resize(self.plan.input_names().len(), Topic::default());
        let n_sources = self.plan.sources.len();
        for topic in self.topics.iter_mut().skip(n_sources) {
            topic.0.resize(n_shards.max(topic.0.len()), (Vec::new(), 0));
        }
        let names = self.plan.input_names().into_iter().zip(&self.topics);
        let known = names.map(|(name, topic)| TopicNow {
            id: Some(format!("{name}-{}", self.n_made)),
            name,
            n_partitions: topic.0.len() as u32,
        });
        self.known = known.collect();
    }

    /// Goes on from a savepoint, in the next run epoch, with so many shards and this topic; `others` if it is another.
    pub fn go_on_with(&mut self, pipeline: &IncidentPipeline, plan: &Plan, topic: Topic, others: bool) {
        self.sources.clone_from(&pipeline.spec.sources);
        let savepoint = Savepoint::of(&self.plan, &self.sources, &self.known, &mut self.shards);
        assert!(is_drained(&savepoint.parts));
        let savepoint = Rc::new(savepoint);
        let n_shards = topic.0.len();
        self.plan = plan.clone();
        self.topics[0] = topic;
        self.epoch += 1;
        self.journals = vec![Vec::new(); n_shards];
        self.revised.clear();
        self.uncommitted = vec![Vec::new(); n_shards];
        self.begins = vec![Begin::Savepoint(savepoint); n_shards];
        self.n_made += u32::from(others);
        self.make_topics();
        self.shards = (0..n_shards).map(|number| self.begin(number)).collect();
    }

    fn engine(&self, number: usize) -> Engine {
        let mut engine = engine(&self.plan, Decoding::Own);
        engine.set_shard(number as u32);
        engine
    }

    fn begin(&self, number: usize) -> Shard {
        match &self.begins[number] {
            Begin::New => Shard::new(self.engine(number), vec![Some(START); self.topics.len()], self.epoch),
            Begin::Captured(captured, positions, sequence, revisions) => {
                let engine = restored_into(self.engine(number), captured);
                let resumed = Shard::resumed(engine, positions.clone(), *sequence, self.epoch);
                resumed.with_revisions(revisions.clone())
            }
            Begin::Savepoint(savepoint) => {
                let place = (number as u32, self.journals.len() as u32);
                let begun = savepoint.begin(self.engine(number), &self.sources, &self.known, place);
                let (engine, read_from) = begun;
                let positions = read_from.into_iter().map(|from| match from {
                    ReadFrom::Nowhere => None,
                    ReadFrom::Position(position) => Some(position),
                    ReadFrom::First | ReadFrom::Start => Some(START),
                });
                let mut shard = Shard::new(engine, positions.collect(), self.epoch);
                if self.journals[number].is_empty() {
                    // The next cut says where it begins.
                    shard.begin(Vec::new());
                }
                shard
            }
        }
    }

    /// A shard reads an input up to an offset.
    fn read(&mut self, number: usize, input: usize, until: i64) {
        let settings = Settings {
            block_bytes: 500,
            record_limit: 1 << 20,
            head_bytes: 64,
        };
        let Some(from) = self.shards[number].positions()[input] else {
            return;
        };
        let mut reader = PartitionReader::new(settings);
        let (log, _) = &self.topics[input].0[number];
        let mut reading = reader.read_until(log, &[], from.offset, until);
        while let Some(block) = reading.next_block().unwrap() {
            let revision = self.shards[number].revisions().get(&REVISED).copied();
            let read = block
                .records
                .spans
                .iter()
                .map(|span| (input, span.offset as i64, revision));
            self.uncommitted[number].extend(read);
            self.shards[number].take(input, &block, 0).unwrap();
        }
    }

    pub fn read_some(&mut self, number: usize, input: usize, n: usize) {
        if self.shards[number].order().contains(&input) {
            let from = self.shards[number].positions()[input].unwrap().offset;
            self.read(number, input, from + n as i64);
        }
    }

    pub fn cut(&mut self, number: usize) -> bool {
        let Some(cut) = self.shards[number].cut() else {
            return false;
        };
        self.journals[number].push(cut.journal);
        for (input, offset, revision) in self.uncommitted[number].drain(..) {
            self.revised.insert((number, input, offset), revision);
        }
        self.results.add(&self.plan, cut.outputs);
        for dealt in cut.dealt {
            let (log, n) = &mut self.topics[dealt.input].0[dealt.to as usize];
            append(log, *n, [dealt.record.as_slice()].into_iter());
            *n += 1;
        }
        true
    }

    pub fn act(&mut self, number: usize, action: Action) {
        let n_sources = self.plan.sources.len();
        match action {
            Action::Read(n) => self.read_some(number, 0, n),
            Action::Take(n) => (n_sources..self.topics.len()).for_each(|input| self.read_some(number, input, n)),
            Action::Cut => drop(self.cut(number)),
            Action::Hold => self.shards[number].hold(Hold::default()),
            Action::GoOn => self.shards[number].go_on(),
            Action::Idle => self.shards[number].tick(0, END_OF_TIME),
            Action::Revise(revision) => self.shards[number].revise(REVISED, revision),
            Action::Fail => {
                self.shards[number] = self.begin(number);
                self.uncommitted[number].clear();
                for journal in self.journals[number].clone() {
                    let record = JournalRecord::decode(&journal).unwrap();
                    let mut replay = self.shards[number].replay(record).unwrap();
                    while let Wants::Records { source, until } = replay.go_on(&mut self.shards[number]) {
                        self.read(number, source, until);
                    }
                }
                for (input, offset, revision) in self.uncommitted[number].drain(..) {
                    let before = self.revised.get(&(number, input, offset));
                    assert_eq!(before, Some(&revision), "offset {offset} of input {input}");
                }
                let again = &self.shards[number];
                // One at its beginning may have something to say.
                let is_new = self.journals[number].is_empty();
                assert!(is_new || (!again.has_output() && !again.has_moved()));
            }
            Action::Restore => {
                self.cut(number);
                let shard = &mut self.shards[number];
                // While it is held the journal is followed from before.
                if !shard.is_held() {
                    let (positions, sequence) = (shard.positions().to_vec(), shard.sequence());
                    let revisions = shard.revisions().clone();
                    self.begins[number] = Begin::Captured(capture_shard(shard), positions, sequence, revisions);
                    self.journals[number].clear();
                    self.shards[number] = self.begin(number);
                }
            }
        }
    }

    /// Holds all shards until nothing is on its way between them; `actions` happen meanwhile, and a shard that went on is
    /// held again.
    pub fn drain(&mut self, actions: &[(usize, Action)]) {
        let n_shards = self.shards.len();
        for (number, action) in actions {
            let number = number % n_shards;
            match action {
                Action::Restore => self.act(number, Action::Fail),
                action => self.act(number, *action),
            }
        }
        for _ in 0..20 {
            let mut moved = false;
            for number in 0..n_shards {
                self.act(number, Action::Hold);
                self.act(number, Action::Take(1_000_000));
                moved |= self.cut(number);
            }
            if !moved {
                return;
            }
        }
        panic!("it does not drain");
    }

    /// The revisions with which records of the first source were read that are committed, in order.
    pub fn revisions_by_offset(&self, number: usize) -> Vec<Option<u64>> {
        let of_source = self
            .revised
            .iter()
            .filter(|((shard, input, _), _)| (*shard, *input) == (number, 0));
        of_source.map(|(_, revision)| *revision).collect()
    }

    /// All records of the sources are read.
    pub fn read_all(&mut self) {
        for number in 0..self.shards.len() {
            self.act(number, Action::GoOn);
            self.act(number, Action::Read(1_000_000));
            self.act(number, Action::Cut);
        }
    }

    /// All is read, the clock goes on, and what follows from it is done.
    pub fn finish(mut self) -> (Results, Vec<Topic>) {
        let all: usize = 1_000_000;
        (0..self.shards.len()).for_each(|number| self.act(number, Action::GoOn));
        for now in [None, Some(END_OF_TIME)] {
            loop {
                let mut moved = false;
                for number in 0..self.shards.len() {
                    for input in 0..self.topics.len() {
                        self.read_some(number, input, all);
                    }
                    if let Some(now) = now {
                        self.shards[number].tick(0, now);
                    }
                    moved |= self.cut(number);
                }
                if !moved {
                    break;
                }
            }
        }
        (self.results, self.topics)
    }
}

pub fn actions() -> impl Strategy<Value = Vec<(usize, Action)>> {
    let action = prop_oneof![
        6 => (1..12_usize).prop_map(Action::Read),
        4 => (1..4_usize).prop_map(Action::Take),
        4 => Just(Action::Cut),
        1 => Just(Action::Fail),
        1 => Just(Action::Restore),
        1 => Just(Action::Hold),
        1 => Just(Action::GoOn),
    ];
    prop::collection::vec((0..12_usize, action), 0..80)
}

/// The plan of a pipeline, and in so many shards.
pub fn plans(which: usize, claim: &str, n_shards: usize) -> (Plan, Plan) {
    let (pipeline, one) = compiled(which, claim);
    let mut many = one.clone();
    repartition(&mut many, &pipeline.spec.sources, &[n_shards as u32]);
    (one, many)
}

/// A pipeline and its plan.
pub fn compiled(which: usize, claim: &str) -> (IncidentPipeline, Plan) {
    let (stages, streams) = STAGES[which];
    let sinks: Vec<String> = (streams.iter().enumerate())
        .map(|(i, (stream, _))| format!("{{name: s{i}, from: {stream}, stdout: {{}}}}"))
        .collect();
    let source = format!(
        "{{name: alerts, kafka: {{topic: alerts}}{claim}, eventTime: {{field: ts, unit: Milliseconds, \
         maxOutOfOrderness: 6s, allowedLateness: 10s}}}}"
    );
    let spec = format!(
        "{{sources: [{source}], stages: [{stages}], sinks: [{}]}}",
        sinks.join(", ")
    );
    pipeline(&spec)
}

/// A source that says by what its topic is partitioned.
pub const CLAIM: &str = ", partitionedBy: {key: [service]}";

/// What is known in the end: of each stream, by what names a row, the last row.
pub fn known(which: usize, results: &Results) -> Vec<BTreeMap<String, Map<String, Value>>> {
    assert_eq!(results.dead, []);
    let (_, streams) = STAGES[which];
    let of_stream = |(i, (_, key)): (usize, &(&str, &[&str]))| {
        let mut known = BTreeMap::new();
        for line in results.sinks.get(&format!("s{i}")).into_iter().flatten() {
            let mut row: Map<String, Value> = serde_json::from_str(line).unwrap();
            // How often it was given out meanwhile says nothing.
            row.remove("_rev");
            row.remove("_final");
            let name: Vec<String> = key.iter().map(|column| row[*column].to_string()).collect();
            known.insert(name.join(" "), row);
        }
        known
    };
    streams.iter().enumerate().map(of_stream).collect()
}

/// The same topic with so many partitions and further records.
pub fn grown(topic: &Topic, records: &[(String, usize)], n_shards: usize) -> Topic {
    let mut grown = topic.clone();
    grown.0.resize(n_shards.max(topic.0.len()), (Vec::new(), 0));
    for (text, at) in records {
        let (log, n) = &mut grown.0[at % n_shards];
        append(log, *n, [text.as_bytes()].into_iter());
        *n += 1;
    }
    grown
}

pub fn topic(records: &[(String, usize)], n_shards: usize) -> Topic {
    let of_partition = |partition: usize| {
        let of = records.iter().filter(|(_, at)| at % n_shards == partition);
        let texts: Vec<String> = of.map(|(text, _)| text.clone()).collect();
        (log(&texts, 5), texts.len() as i64)
    };
    Topic((0..n_shards).map(of_partition).collect())
}
