//! What is shown of a worker: in metrics, in its status, and to probes.
#![allow(clippy::unwrap_used, clippy::panic)]

mod degraded;
mod exposition;
mod probes;
mod threads;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tocsin_contract::worker::ShardPhase;
use tocsin_worker_core::delivery::circuit::CircuitState;
use tocsin_worker_core::engine::Timer;
use tocsin_worker_core::kafka::lag::Behind;

use super::*;

fn about() -> About {
    About {
        pipeline: "noc".to_owned(),
        worker: "w \"0\"\\\n".to_owned(),
        sources: vec![
            ("alerts".to_owned(), "incident_alerts".to_owned()),
            ("metrics".to_owned(), "system_metrics".to_owned()),
        ],
        stages: vec!["critical".to_owned(), "kpis".to_owned()],
        sinks: vec!["pager".to_owned()],
    }
}

fn input(records: u64, since: Option<Micros>) -> InputSample {
    InputSample {
        offset: 40,
        behind: Some(Behind { records, since }),
        watermark: Some(wall() - 7_000_000),
        idle: false,
        held_up_since: None,
        answered: Instant::now(),
        waits: false,
    }
}

fn shard(shard: u32, phase: ShardPhase) -> ShardSample {
    ShardSample {
        shard,
        phase,
        sequence: Some(9),
        epoch: Some(0),
        held: false,
        busy_ratio: 0.25,
        top_keys: Vec::new(),
        earliest_timer: Some(Timer {
            stage: 1,
            due: 1_767_225_660_000_000,
        }),
        inputs: vec![Some(input(60, Some(wall() - 3_000_000))), None],
    }
}

/// A worker of which everything is known, with two shards that run.
fn full() -> Arc<Measures> {
    let measures = Measures::new(about());
    measures.assigned(&[0, 3]);
    measures.trouble(&"broker 1 is away");
    measures.checkpoint_failed(0, &"the store is away");
    measures.checkpoint_written(Checkpoint {
        shard: 0,
        sequence: 7,
        bytes: 1_000,
        duration: Duration::from_millis(250),
        pause: Pause {
            wall: Duration::from_millis(2),
            cpu: Duration::from_millis(1),
        },
        at: wall() - 30_000_000,
    });
    measures.throttling.throttle_for_test();
    let pager = Arc::new(DeliveryMetrics::default());
    pager.set(CircuitState::Open, 3, Some((wall() - 60_000_000) / 1_000));
    measures.deliveries(vec![("pager".to_owned(), pager)]);
    for (name, number) in [("shards-0", 0), ("shards-1", 3)] {
        let sample = measures.add_thread(name);
        let mut sample = sample.lock();
        sample.shards = vec![shard(number, ShardPhase::Running)];
        sample.times = Times {
            busy: Duration::from_secs(6),
            held_back: Duration::from_secs(1),
            idle: Duration::from_secs(3),
        };
        (sample.busy_ratio, sample.held_back_ratio) = (0.6, 0.1);
        for source in &mut sample.sources {
            source.records = 100;
            source.dead.insert("Syntax", 2);
        }
        sample.stages[1].rows_in = 50;
        sample.stages[1].misplaced = Some(1);
        sample.sinks[0] = 5;
        sample.state[1] = (10, 4_096);
        sample.latency.add(Duration::from_millis(80), 100);
        sample.transactions.committed = 20;
    }
    measures
}
