//! A paced generator has its own time, whatever the wall shows.

use tocsin_contract::pipeline::source::GeneratorSource as Spec;
use tocsin_worker_core::generator::Generator;

use super::*;
use crate::source::{GeneratorSource, Speed};

const COUNTS: &str = "\
spec:
  sources:
  - name: a
    generator: {}
    eventTime: {field: ts, unit: Milliseconds, maxOutOfOrderness: 2s, idleTimeout: 1s}
  stages:
  - {name: counts, from: a, aggregate: {select: {total: count(*)}, window: {tumbling: 5s}}}
  sinks:
  - {name: out, from: counts, kafka: {topic: out}}
";

/// 21 alerts, one in 5 s, while the wall shows `wall`: none is late or dead, and windows close while they come.
fn check(wall: i64) {
    let (clock, plan) = (ManualClock::beginning_at(wall), plan_of(COUNTS));
    let spec = Spec {
        rate: 1,
        count: Some(21),
        late_percent: 0,
        ..Spec::default()
    };
    let generator = Generator::new(&spec).with_bound(plan.sources[0].max_out_of_orderness);
    let clock_of_source = Box::new(clock.clone());
    let source = GeneratorSource::with_clock(generator, Speed::Times(0.2), Interrupt::default(), clock_of_source);
    let inputs = vec![input(&plan, 0, Box::new(source))];
    let (rows, summary) = run_inputs(&clock, plan, inputs);
    assert_eq!((summary.events, summary.stages[0].late), (21, 0), "{rows:?}");
    assert!(summary.dead.is_empty(), "{:?}", summary.dead);
    // The first window ends at 5 s of event time and is over at 7 s; a second takes 5 s.
    assert_eq!(rows.first().map(|(_, at, _)| at / 1_000), Some(35), "{rows:?}");
}

#[test]
fn a_paced_generator_goes_by_its_own_time() {
    check(BEGAN);
    // The wall may show a time before the first alert.
    check(BEGAN - 10 * 365 * 86_400_000_000);
}
