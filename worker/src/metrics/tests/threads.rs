//! What a shard thread counts.

use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_worker_core::decode::{Records, Span};
use tocsin_worker_core::engine::{Arrived, Engine, Outputs};
use tocsin_worker_core::json::JsonDecoder;
use tocsin_worker_core::plan::{Plan, References, compile};

use super::*;

fn plan() -> Plan {
    let spec: IncidentPipelineSpec = serde_json::from_value(serde_json::json!({
        "sources": [{"name": "alerts", "kafka": {"topic": "incident_alerts"}, "eventTime": {"field": "ts", "unit": "Milliseconds"}}],
        "stages": [{"name": "critical", "from": "alerts", "filter": "severity = 'CRITICAL'"}],
        "sinks": [{"name": "pager", "from": "critical", "kafka": {"topic": "pager"}}],
    }))
    .unwrap();
    compile("noc", &spec, &References::default()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

struct Bench {
    measures: Arc<Measures>,
    thread: ThreadMeasure,
    engine: Engine,
    outputs: Outputs,
    offset: u64,
}

impl Bench {
    fn new() -> Self {
        let plan = plan();
        let measures = Measures::new(About::of(&plan, &[], "w"));
        measures.assigned(&[0]);
        let decoder = JsonDecoder::new(plan.sources[0].record.clone());
        Self {
            thread: ThreadMeasure::new(&measures, "shards-0"),
            measures,
            engine: Engine::new(plan, vec![Box::new(decoder)]),
            outputs: Outputs::default(),
            offset: 0,
        }
    }

    fn push(&mut self, record: &str) {
        let spans = [Span {
            start: 0,
            end: record.len(),
            offset: self.offset,
        }];
        self.offset += 1;
        let records = Records {
            bytes: record.as_bytes(),
            spans: &spans,
        };
        // Known, so that none is held until another confirms it.
        let arrived = Arrived::At(1_700_000_000_000_000);
        self.engine.push(0, records, arrived, &mut self.outputs);
    }

    fn publish(&mut self) -> ThreadSample {
        let sample = shard(0, ShardPhase::Running);
        let engine = Some(&self.engine);
        self.thread
            .publish(vec![Seen { sample, engine }], Transactions::default());
        self.measures.view().all()
    }
}

const GOOD: &str = "{\"ts\":1700000000000,\"severity\":\"CRITICAL\"}";

#[test]
fn what_a_recovery_does_again_does_not_count() {
    let mut bench = Bench::new();
    bench.push(GOOD);
    bench.thread.shard_runs(0, &bench.engine);
    bench.push(GOOD);
    bench.push("{");
    let all = bench.publish();
    assert_eq!((all.sources[0].records, all.recoveries), (2, 1));
    bench.push(GOOD);
    assert_eq!(bench.publish().sources[0].records, 3);
    // It comes back with other counters: as a shard that was lost and recovered from an older cut.
    let other = Bench::new();
    bench.engine = other.engine;
    bench.thread.shard_runs(0, &bench.engine);
    bench.push(GOOD);
    assert_eq!(bench.publish().sources[0].records, 4);
}

#[test]
fn rows_dead_letters_and_latency_count_once_they_are_committed() {
    let mut bench = Bench::new();
    bench.thread.shard_runs(0, &bench.engine);
    let cut = |bench: &mut Bench| {
        bench.push(GOOD);
        bench.push("{");
        let mut outputs = std::mem::take(&mut bench.outputs);
        bench.thread.cut(&mut outputs, [(wall() - 20_000, 2)]);
        bench.thread.handed_over();
    };
    cut(&mut bench);
    bench.thread.lost();
    let all = bench.publish();
    assert_eq!(
        (all.sinks[0], all.sources[0].dead.len(), all.latency.count()),
        (0, 0, 0)
    );
    assert_eq!(all.transactions.lost, 1);
    cut(&mut bench);
    bench.thread.committed();
    let all = bench.publish();
    assert_eq!((all.sinks[0], all.latency.count(), all.durations.count()), (1, 2, 1));
    assert_eq!(all.sources[0].dead.get("Syntax"), Some(&1));
    assert!((0.04..60.0).contains(&all.latency.sum()), "two of 20 ms or more");
    assert_eq!(bench.thread.rows_and_dead(), (1, 1));
}

#[test]
fn all_time_is_busy_held_back_or_idle_and_a_quota_makes_waiting_busy() {
    // Before its clock begins.
    let begin = Instant::now();
    let mut bench = Bench::new();
    for turn in 0..1_000 {
        bench.thread.works();
        bench.thread.waits(turn % 2 == 0);
    }
    bench.publish();
    let times = |measures: &Measures| measures.view().threads[0].value.times;
    let total = times(&bench.measures).total();
    assert!(total <= begin.elapsed() && !total.is_zero());
    bench.measures.throttling().throttle_for_test();
    bench.thread.waits(false);
    let before = times(&bench.measures);
    bench.publish();
    let passed = times(&bench.measures) - before;
    assert_eq!(passed.idle, Duration::ZERO, "the quota took all of it");
}
