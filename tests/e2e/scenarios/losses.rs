//! What a log has lost that a pipeline needs ends its workers, with its name, and nothing is written behind it: to go on would be to
//! give a wrong result.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::PathBuf;

use support::{END, PATIENCE, or_tell};
use tocsin_e2e::ids::{Event, Ids, Tail};
use tocsin_e2e::kafka::{Partition, Topic};
use tocsin_e2e::wait::until;
use tocsin_e2e::{Kafka, KafkaOptions, Listener, Worker, home};

/// What happens to a pipeline of these topics while no worker runs.
type Loss = fn(&Ids<'_>);

/// Makes the input's topic anew.
fn recreate(ids: &Ids<'_>) {
    ids.kafka.delete(&ids.topic("events")).unwrap();
    ids.kafka
        .create(&Topic::new(&ids.topic("events")).partitions(4))
        .unwrap();
}

/// The loss, whether the pipeline keeps snapshots, and what a worker says of it.
const LOSSES: [(&str, bool, Loss, &str); 5] = [
    (
        "replay-gap",
        false,
        |ids| ids.kafka.delete_records(&ids.topic("events")).unwrap(),
        "ReplayGap",
    ),
    (
        "journal-gap",
        false,
        |ids| ids.kafka.delete_records(&format!("{}.journal", ids.name)).unwrap(),
        "JournalGap",
    ),
    ("recreated", false, recreate, "TopicRecreated"),
    ("recreated-with-state", true, recreate, "TopicRecreated"),
    (
        "moved",
        true,
        |ids| ids.kafka.commit(&ids.name, &ids.topic("events"), 0, 3).unwrap(),
        "offset",
    ),
];

#[test]
fn a_loss_ends_the_worker_once_with_its_name_and_nothing_is_written() {
    let kafka = Kafka::shared().unwrap();
    for (name, has_state, lose, said) in LOSSES {
        let mut ids = Ids::new(kafka, name, Listener::Plain).unwrap();
        let state = home::new_folder("state").unwrap();
        if has_state {
            ids.state = Some(state.display().to_string());
        }
        let base = 1_767_225_600_000;
        let events: Vec<Event> = (0..1_000).map(|id| Event::of(id, base + id * 10)).collect();
        ids.write(&events).unwrap();
        let mut tail = ids.tail().unwrap();
        let worker = ids.worker("w").unwrap();
        let n_passing = events.iter().filter(|event| event.passes).count();
        or_tell(name, &[&worker], tail.wait_for_count(n_passing, PATIENCE));
        if has_state {
            let folder = state.join(name).join("shards");
            let written = until("snapshots", PATIENCE, || {
                let shards = (0..4).map(|shard| folder.join(shard.to_string()));
                let has_manifest = |folder: &PathBuf| {
                    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
                    files
                        .into_iter()
                        .any(|file| file.path().extension().is_some_and(|end| end == "manifest"))
                };
                // Not each shard has a service.
                Ok((shards.filter(has_manifest).count() > 1).then_some(()))
            });
            or_tell(name, &[&worker], written);
        }
        worker.end(END).unwrap();
        lose(&ids);
        let written = || kafka.consume_committed(&ids.topic("totals")).unwrap().len();
        let before = written();
        for _ in 0..2 {
            ends_with(name, &ids.worker("w").unwrap(), said);
        }
        assert_eq!(written(), before, "{name}");
    }
}

/// A worker ends, and its one error says so.
fn ends_with(name: &str, worker: &Worker, said: &str) {
    let status = or_tell(name, &[worker], worker.wait(PATIENCE));
    assert_eq!(status.code(), Some(4), "{name}: {}", worker.said());
    let text = worker.said();
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(
        matches!(errors[..], [error] if error.contains(said)),
        "{name}: {errors:?}"
    );
}

/// A pipeline whose input may be cut; how its workers read; and whether one runs then, or comes behind it.
const CUT: [(&str, &str, bool); 3] = [
    ("cut-beneath", "own", true),
    ("cut-beneath-librdkafka", "librdkafka", true),
    ("cut-meanwhile", "own", false),
];

/// A broker leads that was away while the other one took records: those are gone, and others stand at their offsets.
#[test]
fn a_log_that_was_cut_and_grew_again_ends_the_worker_that_runs_and_the_one_that_comes_back() {
    let (leads, is_away) = (0, 1);
    let kafka = Kafka::start(KafkaOptions::default().brokers(3)).unwrap();
    let events = |ids: std::ops::Range<i64>| -> Vec<Event> {
        ids.map(|id| Event::of(id, 1_767_225_600_000 + id * 10)).collect()
    };
    let start = |(name, client, _): (&'static str, &str, bool)| {
        let mut ids = Ids::new(&kafka, name, Listener::Plain).unwrap();
        ids.further = vec!["--client".to_owned(), client.to_owned()];
        let topic = ids.topic("events");
        kafka.delete(&topic).unwrap();
        let topic = Topic::new(&topic).partitions(4).on(&[leads, is_away]);
        let topic = topic.setting("min.insync.replicas", "1");
        let topic = topic.setting("unclean.leader.election.enable", "true");
        kafka.create(&topic).unwrap();
        let (worker, tail) = (ids.worker("w").unwrap(), ids.tail().unwrap());
        (ids, worker, tail)
    };
    let mut pipelines = CUT.map(start);
    let mut n_passing = 0;
    let mut write = |pipelines: &mut [(Ids<'_>, Worker, Tail)], ids| {
        let events = events(ids);
        n_passing += events.iter().filter(|event| event.passes).count();
        for (ids, ..) in &*pipelines {
            ids.write(&events).unwrap();
        }
        n_passing
    };
    let wait = |pipelines: &mut [(Ids<'_>, Worker, Tail)], n_passing| {
        for (ids, worker, tail) in pipelines {
            or_tell(&ids.name, &[worker], tail.wait_for_count(n_passing, PATIENCE));
        }
    };
    let led_by = |pipelines: &[(Ids<'_>, Worker, Tail)], broker: usize| {
        until("one broker has all copies", PATIENCE, || {
            for (ids, ..) in pipelines {
                let partitions = kafka.describe(&ids.topic("events"))?;
                let is_alone = |at: &Partition| at.leader == Some(broker) && at.in_sync == [broker];
                if !partitions.iter().all(is_alone) {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .unwrap();
    };
    let passing = write(&mut pipelines, 0..1_000);
    wait(&mut pipelines, passing);
    kafka.kill(is_away).unwrap();
    led_by(&pipelines, leads);
    let passing = write(&mut pipelines, 1_000..1_500);
    wait(&mut pipelines, passing);
    for ((_, worker, _), _) in pipelines.iter().zip(CUT).filter(|(_, (.., runs))| !runs) {
        worker.end(END).unwrap();
    }
    let totals = |ids: &Ids<'_>| kafka.consume_committed(&ids.topic("totals")).unwrap().len();
    let before: Vec<usize> = pipelines.iter().map(|(ids, ..)| totals(ids)).collect();
    kafka.kill(leads).unwrap();
    kafka.start_again(is_away).unwrap();
    led_by(&pipelines, is_away);
    write(&mut pipelines, 2_000..4_000);
    for (((ids, worker, _), (name, _, runs)), before) in pipelines.iter().zip(CUT).zip(before) {
        if runs {
            ends_with(name, worker, "LogTruncated");
        }
        ends_with(name, &ids.worker("w").unwrap(), "LogTruncated");
        assert_eq!(totals(ids), before, "{name}");
    }
}
