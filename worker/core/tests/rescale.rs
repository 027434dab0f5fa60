//! State that is dealt out to another number of shards gives what it would have given where it was: each result once.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value;
use support::compile_with_sources;
use support::fleet::{Fleet, place};
use support::pipelines::{PIPELINES, records, spec};
use tocsin_contract::pipeline::source::Source;
use tocsin_worker_core::plan::Plan;

const SECOND: i64 = 1_000_000;

/// Times of the records begin behind this, in seconds.
const BEGIN: i64 = 999_000;

/// A pipeline all of whose keys have the service, by which its topics are partitioned.
fn by_service(which: usize) -> (Vec<Source>, Plan) {
    let (stages, streams) = PIPELINES[which];
    let stages = stages.replace("by: [host]", "by: [service, host]");
    let claimed = |topic: &str| {
        let kafka = format!("kafka: {{topic: {topic}}}");
        (kafka.clone(), format!("{kafka}, partitionedBy: {{key: [service]}}"))
    };
    let text = [claimed("alerts"), claimed("metrics")]
        .iter()
        .fold(spec(&stages, streams), |text, (kafka, claim)| {
            text.replace(kafka, claim)
        });
    compile_with_sources(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A record, and the key that its producer gave it.
#[derive(Clone, Debug)]
struct Event {
    source: usize,
    key: String,
    time: Option<i64>,
    text: String,
}

/// What happens to a fleet in front of an event.
#[derive(Clone, Copy, Debug)]
enum Act {
    Rescale(u32),
    Restart,
}

fn event(source: usize, text: &str) -> Event {
    let value: Option<Value> = serde_json::from_str(text).ok();
    let key = value
        .as_ref()
        .and_then(|value| value["service"].as_str())
        .unwrap_or_default();
    Event {
        source,
        key: key.to_owned(),
        time: value
            .as_ref()
            .and_then(|value| value["ts"].as_i64())
            .map(|time| time * SECOND),
        text: text.to_owned(),
    }
}

/// The records of both sources, as `turns` takes turns.
fn interleaved(alerts: &[String], metrics: &[String], turns: &[bool]) -> Vec<Event> {
    let mut inputs = [alerts.iter(), metrics.iter()];
    let mut events = Vec::new();
    for turn in turns.iter().cycle().take(4 * (alerts.len() + metrics.len()) + 4) {
        let source = usize::from(*turn);
        events.extend(inputs[source].next().map(|text| event(source, text)));
    }
    for (source, rest) in inputs.into_iter().enumerate() {
        events.extend(rest.map(|text| event(source, text)));
    }
    events
}

/// The lines of each sink in any order: shards give them out beside one another.
fn in_any_order(fleet: &Fleet) -> BTreeMap<String, Vec<String>> {
    let mut sinks = fleet.results.sinks.clone();
    sinks.values_mut().for_each(|lines| lines.sort());
    sinks.retain(|_, lines| !lines.is_empty());
    sinks
}

/// Lets event time come to its end.
fn close(fleet: &mut Fleet, events: &[Event]) {
    let newest = events.iter().filter_map(|event| event.time).max().unwrap_or(0);
    for source in 0..2 {
        fleet.tick(source, newest + 200_000 * SECOND);
    }
}

fn acts() -> impl Strategy<Value = BTreeMap<usize, Act>> {
    let act = prop_oneof![3 => (1u32..6).prop_map(Act::Rescale), 1 => Just(Act::Restart)];
    prop::collection::btree_map(0usize..150, act, 1..5)
}

fn act(fleet: &mut Fleet, act: Option<&Act>) {
    match act {
        Some(Act::Rescale(n_shards)) => fleet.rescale(*n_shards, false),
        Some(Act::Restart) => fleet.restart(),
        None => {}
    }
}

proptest! {
    /// Where all shards are equally far in event time, rows that are late included.
    #[test]
    fn shards_of_any_number_give_together_what_one_gives(
        which in 0..PIPELINES.len(),
        alerts in records("ms"),
        metrics in records("cpu"),
        turns in prop::collection::vec(any::<bool>(), 1..20),
        n_shards in 1u32..6,
        acts in acts(),
    ) {
        let (sources, plan) = by_service(which);
        let events = interleaved(&alerts, &metrics, &turns);
        let run = |n_shards, acts: &BTreeMap<usize, Act>| {
            let mut fleet = Fleet::new(&plan, &sources, n_shards);
            let mut newest = [BEGIN * SECOND; 2];
            (0..2).for_each(|source| fleet.tick(source, newest[source]));
            for (number, event) in events.iter().enumerate() {
                act(&mut fleet, acts.get(&number));
                (0..2).for_each(|source| fleet.tick(source, newest[source]));
                fleet.push(event.source, &event.key, &event.text);
                newest[event.source] = newest[event.source].max(event.time.unwrap_or(0));
                fleet.tick(event.source, newest[event.source]);
            }
            close(&mut fleet, &events);
            fleet
        };
        let whole = run(1, &BTreeMap::new());
        let dealt = run(n_shards, &acts);
        prop_assert_eq!(in_any_order(&dealt), in_any_order(&whole));
        prop_assert_eq!(dealt.results.dead.len(), whole.results.dead.len());
    }
}

/// Brings records to shards of which each stops at another one, and deals their state out, again and again.
fn unevenly(which: usize, events: &[Event], phases: &[(u32, Vec<usize>)], others: bool) -> Fleet {
    let (sources, plan) = by_service(which);
    let first = phases.first().map_or(1, |(n_shards, _)| *n_shards);
    let mut fleet = Fleet::new(&plan, &sources, first);
    let mut pending: Vec<(usize, &Event)> = events.iter().enumerate().collect();
    for (n_shards, stops) in phases {
        if *n_shards != fleet.n_shards() {
            fleet.rescale(*n_shards, others);
        }
        let stop = |shard: u32| stops.get(shard as usize % stops.len().max(1)).copied().unwrap_or(0);
        let mut left = Vec::new();
        for (number, event) in pending {
            if number < stop(place(&event.key, *n_shards)) {
                fleet.push(event.source, &event.key, &event.text);
            } else {
                left.push((number, event));
            }
        }
        pending = left;
    }
    fleet.rescale(1 + phases.len() as u32 % 4, others);
    for (_, event) in pending {
        fleet.push(event.source, &event.key, &event.text);
    }
    close(&mut fleet, events);
    fleet
}

fn phases() -> impl Strategy<Value = Vec<(u32, Vec<usize>)>> {
    prop::collection::vec((1u32..6, prop::collection::vec(0usize..160, 1..5)), 1..4)
}

/// Events of which none is late anywhere.
fn in_time() -> impl Strategy<Value = Vec<Event>> {
    let one = (
        0i64..6,
        0i64..5,
        any::<bool>(),
        0u8..9,
        0u8..3,
        0u32..100,
        any::<bool>(),
    );
    prop::collection::vec(one, 1..160).prop_map(|all| {
        let mut now = 1_000_000;
        let event = |(step, back, other, service, host, value, critical): (i64, i64, bool, u8, u8, u32, bool)| {
            now += step;
            let measure = if other { "cpu" } else { "ms" };
            let severity = if critical { "CRITICAL" } else { "MINOR" };
            let text = format!(
                "{{\"ts\":{},\"service\":\"s{service}\",\"host\":\"h{host}\",\"{measure}\":{value}.5,\"severity\":\"{severity}\"}}",
                now - back
            );
            event(usize::from(other), &text)
        };
        all.into_iter().map(event).collect()
    })
}

/// The one without windows: when it gives out totals goes by each partition's watermark.
const TOTALS: usize = 5;

proptest! {
    /// Where shards had come unequally far.
    #[test]
    fn shards_that_were_not_equally_far_go_on_without_a_gap(
        which in (0..PIPELINES.len()).prop_filter("windows", |which| *which != TOTALS),
        events in in_time(),
        phases in phases(),
    ) {
        // A shard that was ahead would find late what one behind it had not read.
        let dealt = unevenly(which, &events, &phases, true);
        let whole = unevenly(which, &events, &[], true);
        prop_assert_eq!(in_any_order(&dealt), in_any_order(&whole));
    }

    /// Late rows included: whatever is late where its key was is late where its key came to.
    #[test]
    fn no_window_is_given_out_twice_and_no_row_counts_nowhere(
        // Windows that give out what changed count a key that is gone as a revision, or not, as it leaves.
        which in (0usize..5).prop_filter("all keys", |which| *which != 3),
        alerts in records("ms"),
        phases in phases(),
        others: bool,
    ) {
        let events: Vec<Event> = alerts.iter().map(|text| event(0, text)).collect();
        let fleet = unevenly(which, &events, &phases, others);
        let lines = |sink: &str| -> Vec<Value> {
            let lines = fleet.results.sinks.get(sink).into_iter().flatten();
            lines.map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        // The first pipeline gives its input out as well.
        let windows = lines(if which == 0 { "s1" } else { "s0" });
        let mut seen = BTreeSet::new();
        let mut newest: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for row in &windows {
            // A late row may give an open session the beginning of one that was given out.
            let key = format!("{} {} {} {}", row["service"], row["host"], row["window_start"], row["window_end"]);
            let revision = row["_rev"].as_i64().unwrap();
            prop_assert!(seen.insert((key.clone(), revision)), "twice: {row}");
            let count = (revision, row["n"].as_i64().unwrap());
            newest.entry(key).and_modify(|newest| *newest = count.max(*newest)).or_insert(count);
        }
        let good = match which {
            0 => lines("s0").len(),
            _ => events.len() - fleet.results.dead.len(),
        };
        let late = lines(if which == 0 { "s2" } else { "s1" }).len();
        let counted: i64 = newest.values().map(|(_, n)| n).sum();
        // A row is in several sliding windows.
        if which != 2 {
            prop_assert_eq!(counted as usize + late, good);
        }
    }

    /// Keys are then in several shards, each with a part of its rows. They stay apart wherever they come to.
    #[test]
    fn records_in_other_partitions_than_their_keys_count_once_all_the_same(
        // Windows that are given out once.
        which in prop_oneof![Just(1usize), Just(4)],
        alerts in records("ms"),
        places in prop::collection::vec(0u32..6, 1..40),
        acts in acts(),
    ) {
        let (sources, plan) = by_service(which);
        let events: Vec<Event> = alerts.iter().map(|text| event(0, text)).collect();
        let mut fleet = Fleet::new(&plan, &sources, 3);
        for (number, event) in events.iter().enumerate() {
            act(&mut fleet, acts.get(&number));
            fleet.push_to(places[number % places.len()], 0, &event.text);
        }
        close(&mut fleet, &events);
        let count = |row: &String| serde_json::from_str::<Value>(row).unwrap()["n"].as_u64().unwrap();
        let counted: u64 = fleet.results.sinks.get("s0").into_iter().flatten().map(count).sum();
        let late = fleet.results.sinks.get("s1").map_or(0, Vec::len);
        prop_assert_eq!(counted as usize + late, events.len() - fleet.results.dead.len());
    }
}
