//! Shards that deal rows out by key come to what one shard comes to, and to the same whatever order they work in, wherever
//! one stops and follows its journal, and wherever state is captured and taken back.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value};
use support::captured::{capture_shard, restored_into};
use support::log::{append, log};
use support::{Decoding, Results, engine, pipeline};
use tocsin_contract::pipeline::source::Partitioner;
use tocsin_worker_core::engine::Engine;
use tocsin_worker_core::kafka::fetching::Position;
use tocsin_worker_core::kafka::partitioner::{hash, partition};
use tocsin_worker_core::kafka::{PartitionReader, Settings};
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::plan::repartition::repartition;
use tocsin_worker_core::shard::{JournalRecord, Shard, Wants};

const START: Position = Position { offset: 0, epoch: -1 };

/// Later than all events, in microseconds.
const END_OF_TIME: i64 = 3_000_000_000_000_000;

/// A stream, and what names a row of it.
type Named = (&'static str, &'static [&'static str]);

/// Stages by key, and the streams that are looked at, with what names a row of each.
const STAGES: &[(&str, &[Named])] = &[
    (
        "{name: kpis, from: alerts, aggregate: {by: [service], window: {tumbling: 30s}, \
          select: {'n': count(*), total: sum(ms), high: 'max(ms + 0)', hosts: 'count(DISTINCT host)'}}}",
        &[("kpis", &["service", "window_start"]), ("kpis.late", &["id"])],
    ),
    (
        "{name: critical, from: alerts, filter: \"severity = 'CRITICAL'\"}, \
         {name: all, from: critical, emit: Final, aggregate: {window: {tumbling: 20s}, select: {'n': count(*), p: 'p95(ms)'}}}",
        &[("all", &["window_start"]), ("all.late", &["id"])],
    ),
    (
        "{name: slide, from: alerts, aggregate: {by: [host, service], window: {sliding: {size: 40s, every: 10s}}, \
          select: {'n': count(*), total: sum(ms)}}}",
        &[("slide", &["host", "service", "window_start"]), ("slide.late", &["id"])],
    ),
    (
        "{name: visits, from: alerts, aggregate: {by: [host], window: {session: {gap: 15s}}, select: {'n': count(*)}}}",
        &[("visits", &["host", "window_start"]), ("visits.late", &["id"])],
    ),
    (
        "{name: hosts, from: alerts, emit: Final, aggregate: {by: [host], window: {tumbling: 10s}, select: {'n': count(*)}}}, \
         {name: busiest, from: hosts, emit: Final, aggregate: {window: {tumbling: 60s}, select: {most: max('n'), hosts: count(*)}}}",
        &[("busiest", &["window_start"])],
    ),
    (
        "{name: q, sql: \"SELECT upper(service) AS name, count(*) AS total, window_end FROM alerts \
          GROUP BY upper(service), TUMBLE(event_time, INTERVAL '20' SECOND)\"}",
        &[("q", &["name", "window_end"])],
    ),
    (
        "{name: kpis, from: alerts, skew: TwoPhase, aggregate: {by: [service], window: {tumbling: 30s}, \
          select: {'n': count(*), total: sum(ms), mean: avg(ms), spread: var(ms), p: 'p95(ms)', high: 'max(ms + 0)', \
                   end: last(id), hosts: 'count(DISTINCT host)', slow: 'count(*) FILTER (WHERE ms > 50)'}}}",
        &[("kpis", &["service", "window_start"]), ("kpis.late", &["id"])],
    ),
    (
        "{name: slide, from: alerts, skew: TwoPhase, aggregate: {window: {sliding: {size: 40s, every: 10s}}, \
          select: {'n': count(*), total: sum(ms), low: 'min(ms + 0)'}}}",
        &[("slide", &["window_start"]), ("slide.late", &["id"])],
    ),
    (
        "{name: slow, from: alerts, alarm: {by: [service, host], when: 'ms > 50', for: 20s, maxGap: 300s, severity: MAJOR}}",
        &[("slow", &["service", "host", "event_time", "status"])],
    ),
];

/// Something that happens to a shard.
#[derive(Clone, Copy, Debug)]
enum Action {
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
}

/// A topic: the log of each partition, and how many records it has.
#[derive(Clone, Debug, Default)]
struct Topic(Vec<(Vec<u8>, i64)>);

/// State, positions and number of a cut.
type Begin = (support::captured::Captured, Vec<Option<Position>>, u64);

/// The shards of a pipeline, and the topics between them.
struct Cluster<'a> {
    plan: &'a Plan,
    topics: Vec<Topic>,
    shards: Vec<Shard>,
    journals: Vec<Vec<Vec<u8>>>,
    /// What each journal begins behind, and the state there.
    begins: Vec<Option<Begin>>,
    results: Results,
}

impl<'a> Cluster<'a> {
    fn new(plan: &'a Plan, sources: Vec<Topic>, n_shards: usize) -> Self {
        let n_inputs = plan.input_names().len();
        let mut topics = sources;
        topics.resize(n_inputs, Topic(vec![(Vec::new(), 0); n_shards]));
        let mut cluster = Self {
            plan,
            topics,
            shards: Vec::new(),
            journals: vec![Vec::new(); n_shards],
            begins: vec![None; n_shards],
            results: Results::default(),
        };
        cluster.shards = (0..n_shards).map(|number| cluster.begin(number)).collect();
        cluster
    }

    fn engine(&self, number: usize) -> Engine {
        let mut engine = engine(self.plan, Decoding::Own);
        engine.set_shard(number as u32);
        engine
    }

    fn begin(&self, number: usize) -> Shard {
        match &self.begins[number] {
            None => Shard::new(self.engine(number), vec![Some(START); self.topics.len()], 0),
            Some((captured, positions, sequence)) => {
                let engine = restored_into(self.engine(number), captured);
                Shard::resumed(engine, positions.clone(), *sequence, 0)
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
        let mut reader = PartitionReader::new(settings);
        let from = self.shards[number].positions()[input].unwrap().offset;
        let (log, _) = &self.topics[input].0[number];
        let mut reading = reader.read_until(log, &[], from, until);
        while let Some(block) = reading.next_block().unwrap() {
            self.shards[number].take(input, &block, 0);
        }
    }

    fn read_some(&mut self, number: usize, input: usize, n: usize) {
        let from = self.shards[number].positions()[input].unwrap().offset;
        self.read(number, input, from + n as i64);
    }

    fn cut(&mut self, number: usize) -> bool {
        let Some(cut) = self.shards[number].cut() else {
            return false;
        };
        self.journals[number].push(cut.journal);
        self.results.add(self.plan, cut.outputs);
        for dealt in cut.dealt {
            let (log, n) = &mut self.topics[dealt.input].0[dealt.to as usize];
            append(log, *n, [dealt.record.as_slice()].into_iter());
            *n += 1;
        }
        true
    }

    fn act(&mut self, number: usize, action: Action) {
        let n_sources = self.plan.sources.len();
        match action {
            Action::Read(n) => self.read_some(number, 0, n),
            Action::Take(n) => (n_sources..self.topics.len()).for_each(|input| self.read_some(number, input, n)),
            Action::Cut => drop(self.cut(number)),
            Action::Fail => {
                self.shards[number] = self.begin(number);
                for journal in self.journals[number].clone() {
                    let record = JournalRecord::decode(&journal).unwrap();
                    let mut replay = self.shards[number].replay(record).unwrap();
                    while let Wants::Records { source, until } = replay.go_on(&mut self.shards[number]) {
                        self.read(number, source, until);
                    }
                }
                let again = &self.shards[number];
                assert!(!again.has_output() && !again.has_moved());
            }
            Action::Restore => {
                self.cut(number);
                let shard = &mut self.shards[number];
                let state = (capture_shard(shard), shard.positions().to_vec(), shard.sequence());
                self.begins[number] = Some(state);
                self.journals[number].clear();
                self.shards[number] = self.begin(number);
            }
        }
    }

    /// All is read, the clock goes on, and what follows from it is done.
    fn finish(mut self) -> (Results, Vec<Topic>) {
        let all: usize = 1_000_000;
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

/// Step of the time, service, host, value, whether it is critical, and where it stands.
type Said = (i64, u8, u8, Option<u32>, bool, usize);

/// Times that are at most 5 s out of order, unless `late`, and what the records say.
fn records(late: bool) -> impl Strategy<Value = Vec<(String, usize)>> {
    let step = if late {
        prop_oneof![8 => -5i64..8, 1 => -120i64..0, 1 => 0i64..60].boxed()
    } else {
        (-4i64..8).boxed()
    };
    let record = (
        step,
        0..4u8,
        0..3u8,
        prop::option::of(0..100u32),
        any::<bool>(),
        0..12usize,
    );
    prop::collection::vec(record, 1..150).prop_map(|records| {
        let mut now = 1_000_000i64;
        let line = |(id, (step, service, host, value, critical, at)): (usize, Said)| {
            let time = now + step;
            now = now.max(time);
            let service = ["\"a\"", "\"b\"", "\"c\"", "null"][usize::from(service)];
            let value = value.map_or_else(|| "null".to_owned(), |value| format!("{value}.5"));
            let severity = if critical { "CRITICAL" } else { "MINOR" };
            // No two at the same time: one shard would take them as they come.
            let time = time * 1_000 + id as i64;
            let text = format!(
                "{{\"ts\":{time},\"id\":{id},\"service\":{service},\"host\":\"h{host}\",\"ms\":{value},\
                 \"severity\":\"{severity}\"}}"
            );
            (text, at)
        };
        records.into_iter().enumerate().map(line).collect()
    })
}

fn actions() -> impl Strategy<Value = Vec<(usize, Action)>> {
    let action = prop_oneof![
        6 => (1..12_usize).prop_map(Action::Read),
        4 => (1..4_usize).prop_map(Action::Take),
        4 => Just(Action::Cut),
        1 => Just(Action::Fail),
        1 => Just(Action::Restore),
    ];
    prop::collection::vec((0..12_usize, action), 0..80)
}

/// The plan of a pipeline, and in so many shards.
fn plans(which: usize, claim: &str, n_shards: usize) -> (Plan, Plan) {
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
    let (pipeline, one) = pipeline(&spec);
    let mut many = one.clone();
    repartition(&mut many, &pipeline.spec.sources, &[n_shards as u32]);
    (one, many)
}

/// What is known in the end: of each stream, by what names a row, the last row.
fn known(which: usize, results: &Results) -> Vec<BTreeMap<String, Map<String, Value>>> {
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

fn topic(records: &[(String, usize)], n_shards: usize) -> Topic {
    let of_partition = |partition: usize| {
        let of = records.iter().filter(|(_, at)| at % n_shards == partition);
        let texts: Vec<String> = of.map(|(text, _)| text.clone()).collect();
        (log(&texts, 5), texts.len() as i64)
    };
    Topic((0..n_shards).map(of_partition).collect())
}

fn run(plan: &Plan, records: &[(String, usize)], n_shards: usize, actions: &[(usize, Action)]) -> Results {
    let mut cluster = Cluster::new(plan, vec![topic(records, n_shards)], n_shards);
    for (number, action) in actions {
        cluster.act(number % n_shards, *action);
    }
    cluster.finish().0
}

const CLAIM: &str = ", partitionedBy: {key: [service]}";

proptest! {
    // Each case runs many shards.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn shards_that_deal_out_by_key_come_to_what_one_comes_to(
        which in 0..STAGES.len(),
        records in records(false),
        n_shards in 2..4_usize,
        actions in actions(),
    ) {
        let (one, many) = plans(which, "", n_shards);
        prop_assert!(many.repartitioned().next().is_some());
        let expected = run(&one, &records, 1, &[]);
        let found = run(&many, &records, n_shards, &actions);
        prop_assert_eq!(known(which, &found), known(which, &expected));
    }

    /// Of sliding windows only: one that is not given out takes a late row in, and which those are depends on the others.
    #[test]
    fn what_is_late_does_not_depend_on_how_far_other_shards_are(
        which in prop::sample::select(vec![0_usize, 1, 3, 4, 5, 6, 8]),
        records in records(true),
        n_shards in 2..4_usize,
        actions in actions(),
        others in actions(),
    ) {
        let (_, many) = plans(which, "", n_shards);
        let first = run(&many, &records, n_shards, &actions);
        let second = run(&many, &records, n_shards, &others);
        prop_assert_eq!(known(which, &first), known(which, &second));
    }

    #[test]
    fn records_that_stand_in_another_partition_than_their_key_count_once_with_their_key(
        records in records(true),
        n_shards in 2..4_usize,
        actions in actions(),
    ) {
        let (_, many) = plans(0, CLAIM, n_shards);
        prop_assert!(many.stages.iter().flat_map(|stage| &stage.repartition).all(|dealt| dealt.claimed));
        let found = run(&many, &records, n_shards, &actions);
        let [windows, late] = &known(0, &found)[..] else { panic!("two streams") };
        // Behind the end of their window they count as long as that is allowed.
        let counted: u64 = windows.values().map(|row| row["n"].as_u64().unwrap()).sum();
        prop_assert_eq!(counted as usize + late.len(), records.len());
    }

    #[test]
    fn where_the_claim_is_true_nothing_is_sent_and_nobody_waits(
        records in records(false),
        n_shards in 2..4_u32,
        actions in actions(),
    ) {
        let (one, many) = plans(0, CLAIM, n_shards as usize);
        let placed = records.into_iter().map(|(text, _)| {
            let record: Map<String, Value> = serde_json::from_str(&text).unwrap();
            let key = record["service"].as_str().unwrap_or_default().as_bytes();
            let at = partition(Partitioner::Murmur2, hash(Partitioner::Murmur2, key), n_shards);
            (text, at as usize)
        });
        let records: Vec<(String, usize)> = placed.collect();
        let mut cluster = Cluster::new(&many, vec![topic(&records, n_shards as usize)], n_shards as usize);
        for (number, action) in &actions {
            cluster.act(number % n_shards as usize, *action);
        }
        let (found, topics) = cluster.finish();
        prop_assert!(topics[1].0.iter().all(|(_, n)| *n == 0));
        prop_assert_eq!(known(0, &found), known(0, &run(&one, &records, 1, &[])));
    }
}
