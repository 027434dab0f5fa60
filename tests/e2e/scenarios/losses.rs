//! What a log has lost that a pipeline needs ends its workers, with its name, and nothing is written behind it: to go on would be to
//! give a wrong result.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::PathBuf;

use support::{END, PATIENCE, or_tell};
use tocsin_e2e::ids::{Event, Ids};
use tocsin_e2e::kafka::Topic;
use tocsin_e2e::wait::until;
use tocsin_e2e::{Kafka, Listener, home};

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
            let worker = ids.worker("w").unwrap();
            let status = or_tell(name, &[&worker], worker.wait(PATIENCE));
            assert_eq!(status.code(), Some(4), "{name}: {}", worker.said());
            let text = worker.said();
            let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
            assert!(
                matches!(errors[..], [error] if error.contains(said)),
                "{name}: {errors:?}"
            );
        }
        assert_eq!(written(), before, "{name}");
    }
}
