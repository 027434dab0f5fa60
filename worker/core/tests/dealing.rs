//! Which parts of a savepoint a shard begins with, and where it reads on.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use support::compile_with_sources;
use support::pipelines::{PIPELINES, spec};
use tocsin_contract::pipeline::source::Source;
use tocsin_worker_core::kafka::fetching::Position;
use tocsin_worker_core::plan::Plan;
use tocsin_worker_core::repartition::Ends;
use tocsin_worker_core::snapshot::{
    Dealt, FORMAT, File, Manifest, ReadFrom, SourcePosition, TopicNow, dealt, is_drained,
};

/// Two sources, of which each has so many partitions.
fn savepoint(alerts: u32, metrics: u32) -> Vec<Manifest> {
    let n_shards = alerts.max(metrics);
    let position = |source: &str, shard: u32, n: u32| SourcePosition {
        source: source.to_owned(),
        position: (shard < n).then(|| (100 + i64::from(shard), 1)),
        topic: Some(source.to_owned()),
        topic_id: Some(format!("{source}-1")),
    };
    let part = |shard| Manifest {
        format: FORMAT,
        pipeline: "noc".to_owned(),
        shard,
        n_shards,
        sequence: 40,
        epoch: 0,
        journal_offset: 81,
        drained: None,
        restored_from: None,
        resumed_from: None,
        revisions: std::collections::BTreeMap::new(),
        positions: vec![position("alerts", shard, alerts), position("metrics", shard, metrics)],
        stages: Vec::new(),
        head: File::default(),
        files: Vec::new(),
    };
    (0..n_shards).map(part).collect()
}

fn topics(alerts: u32, metrics: u32) -> Vec<TopicNow> {
    let topic = |name: &str, n_partitions| TopicNow {
        name: name.to_owned(),
        id: Some(format!("{name}-1")),
        n_partitions,
    };
    vec![topic("alerts", alerts), topic("metrics", metrics)]
}

fn pipeline() -> (Vec<Source>, Plan) {
    let (stages, streams) = PIPELINES[0];
    let text = spec(stages, streams).replace(
        "kafka: {topic: alerts}",
        "kafka: {topic: alerts}, partitionedBy: {key: [service]}",
    );
    compile_with_sources(&text).unwrap()
}

fn of_shard(parts: &[Manifest], topics: &[TopicNow], shard: u32) -> Dealt {
    let (sources, plan) = pipeline();
    let n_shards = topics.iter().map(|topic| topic.n_partitions).max().unwrap();
    dealt(parts, &plan, &sources, topics, (shard, n_shards))
}

const fn at(offset: i64) -> ReadFrom {
    ReadFrom::Position(Position { offset, epoch: 1 })
}

#[test]
fn shards_of_the_same_number_begin_with_their_own_part_as_it_is() {
    let dealt = of_shard(&savepoint(2, 2), &topics(2, 2), 1);
    assert_eq!((dealt.parts, dealt.deal.is_none()), (vec![1], true));
    assert_eq!(dealt.read_from, [at(101), at(101)]);
    assert!(dealt.others.is_empty());
}

#[test]
fn new_partitions_of_a_topic_are_read_from_their_first_record_on() {
    let parts = savepoint(2, 2);
    for (shard, expected) in [(0, at(100)), (1, at(101)), (2, ReadFrom::First), (3, ReadFrom::First)] {
        let dealt = of_shard(&parts, &topics(4, 2), shard);
        assert_eq!(dealt.parts, [0, 1]);
        let deal = dealt.deal.unwrap();
        assert_eq!(deal.reads_on[0], shard < 2);
        let kpis = deal.stages[1].as_ref().unwrap();
        assert_eq!((kpis.before, kpis.now), (2, 4), "as the topic that it reads has");
        let metrics = if shard < 2 { expected } else { ReadFrom::Nowhere };
        assert_eq!(dealt.read_from, [expected, metrics]);
    }
}

#[test]
fn a_stage_is_dealt_out_by_the_partitions_of_what_it_reads() {
    let dealt = of_shard(&savepoint(2, 4), &topics(2, 8), 5);
    let kpis = dealt.deal.unwrap().stages[1].clone().unwrap();
    assert_eq!((kpis.before, kpis.now), (2, 2));
}

#[test]
fn positions_of_another_topic_say_nothing() {
    let parts = savepoint(4, 4);
    // Fewer partitions, made again, or under another name.
    let fewer = topics(2, 4);
    let mut again = topics(4, 4);
    again[0].id = Some("alerts-2".to_owned());
    let mut renamed = topics(4, 4);
    renamed[0].name = "alarms".to_owned();
    for (topics, aligned) in [(fewer, false), (again, true), (renamed, true)] {
        let dealt = of_shard(&parts, &topics, 1);
        assert_eq!(dealt.others, ["alerts"]);
        assert_eq!(dealt.read_from, [ReadFrom::Start, at(101)]);
        assert_eq!(dealt.parts.len(), if aligned { 1 } else { 4 });
        assert_eq!(dealt.deal.unwrap().reads_on, [false, true]);
    }
}

#[test]
fn what_a_first_savepoint_did_not_write_down_does_not_differ() {
    let mut parts = savepoint(2, 2);
    for part in &mut parts {
        part.positions.iter_mut().for_each(|position| {
            (position.topic, position.topic_id) = (None, None);
        });
        // The pipeline that begins has a source that this one had not.
        part.positions.truncate(1);
    }
    let dealt = of_shard(&parts, &topics(2, 2), 0);
    assert_eq!(dealt.read_from, [at(100), ReadFrom::Start]);
    assert!(dealt.others.is_empty() && dealt.deal.is_none());
}

#[test]
fn a_savepoint_is_drained_only_if_what_each_heard_is_what_the_others_said_last() {
    let said = |parts: &mut [Manifest], of: [(Option<u64>, Option<u64>); 2]| {
        for (number, (own, heard)) in of.into_iter().enumerate() {
            let mut others = vec![None; 2];
            others[1 - number] = heard;
            parts[number].drained = Some(BTreeMap::from([("kpis.by".to_owned(), Ends { own, others })]));
        }
    };
    let mut parts = savepoint(2, 2);
    assert!(!is_drained(&parts));
    for (of, expected) in [
        ([(Some(5), Some(7)), (Some(7), Some(5))], true),
        // The second went on, and said it anew.
        ([(Some(5), Some(7)), (Some(9), Some(5))], false),
        ([(Some(5), None), (Some(7), Some(5))], false),
        ([(Some(5), None), (None, Some(5))], false),
    ] {
        said(&mut parts, of);
        assert_eq!(is_drained(&parts), expected, "{of:?}");
    }
    said(&mut parts, [(Some(5), Some(7)), (Some(7), Some(5))]);
    parts[1].epoch += 1;
    assert!(!is_drained(&parts), "of two run epochs");
}
