//! A pipeline whose change went wrong: as it was before, it goes on from a savepoint of before as if the change had never been.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use support::events::Events;
use support::{END, PATIENCE, end_with_savepoint, or_tell};
use tocsin_e2e::ids::{Event, Expected, Ids, PARTITIONS, Placing, SERVICES, rounds};
use tocsin_e2e::wait::until;
use tocsin_e2e::worker::tocsin;
use tocsin_e2e::{Kafka, Listener, RigError, Worker, home};

/// What a worker says of each shard that it resumes.
const RESUMED: &str = "the state is that of a savepoint";

/// Events at a time.
const MANY: i64 = 1_000;

/// A worker has written checkpoints within this: they are due each second.
const CHECKPOINTS: Duration = Duration::from_secs(3);

/// So far behind the last event are those that close all windows, in milliseconds.
const CLOSING: i64 = 120_000;

/// Writes the next events, and waits until a worker has committed all there are.
fn pass(ids: &Ids<'_>, events: &mut Events, worker: &Worker) {
    let first = events.next_id();
    let more: Vec<Event> = (first..first + MANY).map(|id| Event::of(id, events.time(id))).collect();
    ids.write(&events.add(more)).unwrap();
    let all = until("all is committed", PATIENCE, || {
        let ends = ids.kafka.consume_committed(&ids.topic("events"))?.len();
        let committed = ids.kafka.committed(&ids.name, &ids.topic("events"))?;
        let committed: i64 = committed.iter().map(|at| at.offset).sum();
        Ok((usize::try_from(committed) == Ok(ends)).then_some(()))
    });
    or_tell("all is committed", &[worker], all);
}

/// Waits until there are checkpoints of all that was committed: nothing of it is done again with another pipeline.
fn checkpoints(worker: &Worker) {
    let since = Instant::now();
    let passed = until("checkpoints", 2 * CHECKPOINTS, || {
        Ok((since.elapsed() > CHECKPOINTS).then_some(()))
    });
    or_tell("checkpoints", &[worker], passed);
}

/// Waits until each shard has a checkpoint that knows of the savepoint.
fn all_are_resumed(ids: &Ids<'_>, name: &str) -> Result<(), RigError> {
    let state = ids.state.as_deref().unwrap();
    let resumed = format!("resumed from {name}/savepoints/before");
    until("checkpoints behind the savepoint", PATIENCE, || {
        let (_, said) = tocsin(&["snapshot", "inspect", "--state", state, name])?;
        Ok((said.matches(&resumed).count() == PARTITIONS as usize).then_some(()))
    })
}

#[test]
fn a_pipeline_that_is_resumed_from_a_savepoint_goes_on_as_if_its_change_had_never_been() {
    let kafka = Kafka::shared().unwrap();
    for round in 0..rounds() {
        let name = format!("resumed-{round}");
        let mut ids = Ids::new(kafka, &name, Listener::Plain).unwrap();
        let mut events = Events::new();
        run_to_savepoint(&mut ids, &mut events);
        // What passed does not, and the other way round: what escalates is wrong, and what is known of services is.
        let good = std::fs::read_to_string(&ids.pipeline).unwrap();
        let bad = good.replace("severity = 'CRITICAL'", "severity = 'MINOR'");
        assert_ne!(bad, good);
        std::fs::write(&ids.pipeline, bad).unwrap();
        let worker = ids.worker("w").unwrap();
        let wrong = events.next_id()..events.next_id() + MANY;
        pass(&ids, &mut events, &worker);
        checkpoints(&worker);
        worker.kill().unwrap();
        std::fs::write(&ids.pipeline, &good).unwrap();
        ids.further
            .extend(["--resume-from".to_owned(), format!("{name}/savepoints/before")]);
        // Killed at once, it may have no checkpoint of its own; later it has.
        let worker = ids.worker("w").unwrap();
        or_tell(
            "it says so",
            &[&worker],
            worker.wait_for_lines(RESUMED, PARTITIONS as usize, PATIENCE),
        );
        worker.kill().unwrap();
        let worker = ids.worker("w").unwrap();
        pass(&ids, &mut events, &worker);
        or_tell("checkpoints", &[&worker], all_are_resumed(&ids, &name));
        worker.kill().unwrap();
        let worker = ids.worker("w").unwrap();
        let first = events.next_id();
        let time = events.time(first) + CLOSING;
        ids.write(&events.add((first..first + SERVICES).map(|id| Event::closing(id, time))))
            .unwrap();
        pass(&ids, &mut events, &worker);
        worker.end(END).unwrap();
        assert_eq!(worker.lines_with(RESUMED), 0, "it is resumed once");
        let right = ids.events(|_| false).unwrap();
        let mut changed = right.clone();
        for event in changed.values_mut().flatten().filter(|event| wrong.contains(&event.id)) {
            event.passes = !event.passes;
        }
        let changed = Expected::of(&changed);
        let outside = changed.with_escalations_of(&Expected::of(&right), &(0..wrong.start));
        let expected = outside.with_escalations_of(&Expected::of(&right), &(wrong.end..i64::MAX));
        or_tell(&name, &[&worker], ids.check_against(&expected));
    }
}

/// Lets a pipeline process some events, with a savepoint behind them.
fn run_to_savepoint(ids: &mut Ids<'_>, events: &mut Events) {
    ids.state = Some(home::new_folder("state").unwrap().display().to_string());
    ids.further = vec!["--admin".to_owned(), "127.0.0.1:0".to_owned()];
    let worker = ids.worker("w").unwrap();
    pass(ids, events, &worker);
    checkpoints(&worker);
    end_with_savepoint(&worker, "before", false);
}

/// A worker that is to resume from a savepoint must end, and say once why.
fn check_refused(ids: &mut Ids<'_>, savepoint: &str, said: &str) {
    ids.further = vec!["--resume-from".to_owned(), savepoint.to_owned()];
    let worker = ids.worker("w").unwrap();
    let ended = or_tell(savepoint, &[&worker], worker.wait(PATIENCE));
    assert_eq!(ended.code(), Some(4), "{}", worker.last_lines());
    assert_eq!(worker.lines_with("error: "), 1, "{}", worker.said());
    assert_eq!(worker.lines_with(said), 1, "{}", worker.said());
}

#[test]
fn a_savepoint_of_another_pipeline_or_run_epoch_is_refused() {
    let kafka = Kafka::shared().unwrap();
    let mut ids = Ids::new(kafka, "resumed-not", Listener::Plain).unwrap();
    let mut events = Events::new();
    run_to_savepoint(&mut ids, &mut events);
    let none = "resumed-not/savepoints/none";
    check_refused(&mut ids, none, &format!("there is no savepoint {none}"));
    check_refused(&mut ids, "other/savepoints/before", "it is of pipeline other");
    let before = "resumed-not/savepoints/before";
    ids.further = ["--restore-from", before, "--rewind-to-epoch", "1"]
        .map(str::to_owned)
        .to_vec();
    let worker = ids.worker("w").unwrap();
    pass(&ids, &mut events, &worker);
    worker.end(END).unwrap();
    check_refused(&mut ids, before, "it is of run epoch 0, and the pipeline is in 1");
}

/// What shards sent one another since is of the change: with that the state would be of both.
#[test]
fn a_pipeline_whose_rows_are_dealt_out_is_not_resumed() {
    let kafka = Kafka::shared().unwrap();
    let mut ids = Ids::placed(kafka, "resumed-dealt", Placing::Anywhere).unwrap();
    run_to_savepoint(&mut ids, &mut Events::new());
    let savepoint = "resumed-dealt/savepoints/before";
    check_refused(&mut ids, savepoint, "shards send rows to one another");
}
