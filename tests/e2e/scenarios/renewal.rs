//! Offsets and journals that brokers forget: a partition without events is none without a place.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use support::{END, PATIENCE, or_tell};
use tocsin_e2e::ids::{Event, Ids};
use tocsin_e2e::kafka::Isolation;
use tocsin_e2e::wait::until;
use tocsin_e2e::{Kafka, Listener, Worker, home};

/// Of each partition of the input, what stands beside its offset: the number of the cut.
fn cuts(ids: &Ids<'_>) -> BTreeMap<i32, String> {
    let committed = ids.kafka.committed(&ids.name, &ids.topic("events"));
    committed
        .into_iter()
        .flatten()
        .map(|of_partition| (of_partition.partition, of_partition.metadata))
        .collect()
}

fn journal_ends(ids: &Ids<'_>) -> Vec<i64> {
    let journal = format!("{}.journal", ids.name);
    // A worker that has just begun has not made it yet.
    let end = |partition| ids.kafka.offsets(&journal, partition, Isolation::Committed);
    (0..4)
        .map(|partition| end(partition).map_or(0, |(_, end)| end))
        .collect()
}

/// Waits until the offsets of all partitions were committed anew, and each has more in the journal.
fn wait_until_renewed(ids: &Ids<'_>, worker: &Worker, before: (&BTreeMap<i32, String>, &[i64])) {
    let renewed = until("offsets that are renewed", PATIENCE, || {
        worker.check()?;
        let (cuts, ends) = (cuts(ids), journal_ends(ids));
        let has_cuts = cuts.len() == 4 && cuts.iter().all(|(partition, cut)| before.0.get(partition) != Some(cut));
        let has_ends = ends.iter().zip(before.1).all(|(now, then)| now > then);
        Ok((has_cuts && has_ends).then_some(()))
    });
    or_tell("renewed", &[worker], renewed);
}

#[test]
fn a_partition_without_events_says_where_it_stands_at_its_start_and_again_and_again() {
    let kafka = Kafka::shared().unwrap();
    let ids = Ids::new(kafka, "renewed", Listener::Plain).unwrap();
    let worker = ids.worker_with("w", &["--renew-offsets", "1s"]).unwrap();
    wait_until_renewed(&ids, &worker, (&BTreeMap::new(), &[0; 4]));
    for _ in 0..2 {
        let before = (cuts(&ids), journal_ends(&ids));
        wait_until_renewed(&ids, &worker, (&before.0, &before.1));
    }
    worker.end(END).unwrap();
}

fn events(from: i64, to: i64) -> Vec<Event> {
    // Behind the clock, so that nothing is too far ahead of it.
    let base = 1_767_225_600_000;
    (from..to).map(|id| Event::of(id, base + id * 10)).collect()
}

/// The journal says how far the pipeline had come, with snapshots and without.
#[test]
fn a_pipeline_goes_on_though_the_offsets_of_its_group_are_gone() {
    let kafka = Kafka::shared().unwrap();
    for (name, has_state) in [("forgotten", false), ("forgotten-with-state", true)] {
        let mut ids = Ids::new(kafka, name, Listener::Plain).unwrap();
        if has_state {
            ids.state = Some(home::new_folder("state").unwrap().display().to_string());
        }
        let mut tail = ids.tail().unwrap();
        let n_passing = |events: &[Event]| events.iter().filter(|event| event.passes).count();
        let mut all = events(0, 3_000);
        ids.write(&all).unwrap();
        let worker = ids.worker("w").unwrap();
        or_tell(name, &[&worker], tail.wait_for_count(n_passing(&all), PATIENCE));
        worker.end(END).unwrap();
        kafka.delete_group(&ids.name).unwrap();
        all.extend(events(3_000, 4_000));
        ids.write(&all[3_000..]).unwrap();
        let worker = ids.worker("w").unwrap();
        or_tell(name, &[&worker], tail.wait_for_count(n_passing(&all), PATIENCE));
        worker.end(END).unwrap();
        assert_eq!(or_tell(name, &[&worker], ids.check()), all.len(), "{name}");
    }
}
