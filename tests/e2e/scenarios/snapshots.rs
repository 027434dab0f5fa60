//! Recovery from snapshots: what was done before a snapshot is not done again, and a snapshot that cannot be used is said.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::{END, keep_state, object_store, or_tell};
use tocsin_e2e::http::{HttpRule, request};
use tocsin_e2e::ids::{Ids, PARTITIONS, Pace, few_rounds, rounds};
use tocsin_e2e::wait::until;
use tocsin_e2e::worker::{tocsin, tocsin_with};
use tocsin_e2e::{Kafka, Listener, S3, home};

const PATIENCE: Duration = Duration::from_secs(30);

/// What a worker says when it has brought a shard back.
const RESTORED: &str = "state was restored";

/// The manifests in a folder of snapshots.
fn manifests(state: &Path, pipeline: &str) -> Vec<PathBuf> {
    let shards = (0..PARTITIONS).map(|shard| state.join(format!("{pipeline}/shards/{shard}")));
    let files = shards.flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten());
    let paths = files.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "manifest"))
        .collect()
}

/// How many shards have a snapshot.
fn shards(state: &Path, pipeline: &str) -> usize {
    let folders = manifests(state, pipeline)
        .into_iter()
        .filter_map(|path| Some(path.parent()?.to_owned()));
    folders.collect::<BTreeSet<PathBuf>>().len()
}

/// Waits until some shards have snapshots, and there are so many in all. Not each shard has a service.
fn wait_for_snapshots(state: &Path, pipeline: &str, at_least: usize) {
    let enough = || {
        let all = shards(state, pipeline) > 1 && manifests(state, pipeline).len() >= at_least;
        Ok(all.then_some(()))
    };
    until("snapshots", PATIENCE, enough).unwrap();
}

#[test]
fn a_worker_that_is_killed_goes_on_from_snapshots_and_loses_and_repeats_nothing() {
    let kafka = Kafka::shared().unwrap();
    for round in 0..rounds() {
        let mut ids = Ids::new(kafka, &format!("snapshots-{round}"), Listener::Plain).unwrap();
        let state = home::new_folder("state").unwrap();
        ids.state = Some(state.display().to_string());
        let stream = ids.stream(Pace::default()).unwrap();
        let mut tail = ids.tail().unwrap();
        let mut worker = ids.worker("w").unwrap();
        for kill in 0..4 {
            tail.wait_for(stream.written(), PATIENCE)
                .unwrap_or_else(|error| panic!("round {round}, {kill}: {error}\n{}", worker.last_lines()));
            wait_for_snapshots(&state, &ids.name, PARTITIONS as usize + kill);
            worker.kill().unwrap();
            let shards = shards(&state, &ids.name);
            worker = ids.worker("w").unwrap();
            worker.wait_for_lines(RESTORED, shards, PATIENCE).unwrap();
        }
        let n_events = stream.end().unwrap();
        tail.wait_for_all_passed(n_events, PATIENCE).unwrap();
        worker.end(END).unwrap();
        assert_eq!(i64::try_from(ids.check().unwrap()).unwrap(), n_events);
    }
}

#[test]
fn a_snapshot_that_is_damaged_is_said_and_none_that_is_older_is_taken() {
    let kafka = Kafka::shared().unwrap();
    let mut ids = Ids::new(kafka, "damaged-snapshot", Listener::Plain).unwrap();
    let state = home::new_folder("state").unwrap();
    ids.state = Some(state.display().to_string());
    let stream = ids.stream(Pace::default()).unwrap();
    let mut tail = ids.tail().unwrap();
    let worker = ids.worker("w").unwrap();
    tail.wait_for(stream.written(), PATIENCE).unwrap();
    let two_of_a_shard = || {
        let mut found = manifests(&state, &ids.name);
        found.sort();
        let two = found.windows(2).rfind(|two| two[0].parent() == two[1].parent());
        Ok(two.map(<[PathBuf]>::to_vec))
    };
    until("two snapshots of a shard", PATIENCE, two_of_a_shard).unwrap();
    worker.kill().unwrap();
    // The older one may have gone meanwhile.
    let two = two_of_a_shard().unwrap().unwrap();
    let [older, damaged] = two.try_into().unwrap();
    check_tools(&state, &ids.name, &older, &damaged);
    let whole = std::fs::read(&damaged).unwrap();
    std::fs::write(&damaged, &whole[..whole.len() / 2]).unwrap();
    let worker = ids.worker("w").unwrap();
    assert_eq!(worker.wait(PATIENCE).unwrap().code(), Some(4));
    // Snapshots of other shards may have the same number.
    let name = damaged.strip_prefix(&state).unwrap().to_str().unwrap();
    assert_eq!(worker.lines_with(name), 1, "{}", worker.last_lines());
    // Given back, it is as good as before.
    std::fs::write(&damaged, whole).unwrap();
    let worker = ids.worker("w").unwrap();
    let n_events = stream.end().unwrap();
    tail.wait_for_all_passed(n_events, PATIENCE).unwrap();
    worker.end(END).unwrap();
    assert_eq!(i64::try_from(ids.check().unwrap()).unwrap(), n_events);
}

/// What the tools say of snapshots that are all good, and of one that is damaged.
fn check_tools(state: &Path, pipeline: &str, older: &Path, damaged: &Path) {
    let address = state.to_str().unwrap();
    let ask = |command: &str, further: &[&str]| {
        tocsin(&[&["snapshot", command, "--state", address], further].concat()).unwrap()
    };
    let name = |path: &Path| {
        let name = path.strip_prefix(state).unwrap().with_extension("");
        name.to_str().unwrap().to_owned()
    };
    let (older, name) = (name(older), name(damaged));
    let name = name.as_str();
    let (code, said) = ask("list", &[pipeline]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(name) && said.contains("checkpoint"), "{said}");
    let (code, said) = ask("inspect", &[pipeline]);
    assert_eq!(code, Some(0), "{said}");
    for stage in ["escalated", "totals"] {
        assert!(said.lines().any(|line| line.starts_with(stage)), "{stage}: {said}");
    }
    // Keys that are new, gone or changed, and those that are the same.
    let differing = |first: &str| -> (u64, u64) {
        let (code, said) = ask("diff", &[first, name]);
        assert_eq!(code, Some(0), "{said}");
        let count = |cell: &str| cell.replace(',', "").parse::<u64>().unwrap();
        let lines = said
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().skip(1).map(count));
        let counts = lines.map(Iterator::collect::<Vec<_>>);
        counts.fold((0, 0), |(differ, same), line| {
            let [new, gone, changed, unchanged] = line[..] else {
                panic!("{said}")
            };
            (differ + new + gone + changed, same + unchanged)
        })
    };
    let (differ, same) = differing(name);
    assert!(differ == 0 && same > 0, "{differ} differ, {same} do not");
    assert!(differing(&older).0 > 0, "a second later nothing is different");
    let (code, said) = ask("verify", &[]);
    assert_eq!(code, Some(0), "{said}");
    let files = std::fs::read_dir(damaged.parent().unwrap()).unwrap();
    let blocks = files.filter_map(|entry| Some(entry.ok()?.path()));
    let blocks = blocks
        .filter(|path| path.to_str().is_some_and(|path| path.contains("blocks")))
        .max()
        .unwrap();
    let whole = std::fs::read(&blocks).unwrap();
    std::fs::write(&blocks, &whole[..whole.len() - 1]).unwrap();
    let (code, said) = ask("verify", &[]);
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("bad ") && said.contains("size"), "{said}");
    std::fs::write(&blocks, whole).unwrap();
    let (code, said) = ask("inspect", &["nobody"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("there is no snapshot nobody"), "{said}");
}

/// A stage that is new: what shards send to it is one more input, behind those that the journal knows.
const MINORS: &str = "  - {name: minors, from: events, aggregate: {by: [service], window: {tumbling: 1s}, \
                      select: {events: count(*)}}}\n  sinks:\n";

#[test]
fn state_that_a_changed_pipeline_has_no_place_for_is_dropped_only_with_leave() {
    let kafka = Kafka::shared().unwrap();
    let mut ids = Ids::new(kafka, "changed", Listener::Plain).unwrap();
    let state = home::new_folder("state").unwrap();
    ids.state = Some(state.display().to_string());
    let stream = ids.stream(Pace::default()).unwrap();
    let mut tail = ids.tail().unwrap();
    let worker = ids.worker("w").unwrap();
    wait_for_snapshots(&state, &ids.name, PARTITIONS as usize);
    tail.wait_for(stream.written(), PATIENCE).unwrap();
    worker.kill().unwrap();
    let text = std::fs::read_to_string(&ids.pipeline).unwrap();
    // Other windows: what is kept of the old ones fits nowhere. What escalates is kept whatever the count.
    let changed = text
        .replace("tumbling: 1s", "tumbling: 2s")
        .replace("count: 5", "count: 6")
        .replace("  sinks:\n", MINORS);
    assert_ne!(text, changed);
    let changed = changed + "  - {name: minors, from: minors, kafka: {topic: changed-minors}}\n";
    std::fs::write(&ids.pipeline, changed).unwrap();
    let worker = ids.worker("w").unwrap();
    assert_eq!(worker.wait(PATIENCE).unwrap().code(), Some(4));
    let said = worker.last_lines();
    assert!(
        said.contains("state of [totals] has no place") && said.contains("kept: [escalated], new: [totals, minors]"),
        "{said}"
    );
    ids.further = vec!["--allow-non-restored-state".to_owned()];
    let worker = ids.worker("w").unwrap();
    worker.wait_for_line("dropped=[\"totals\"]", PATIENCE).unwrap();
    let n_events = stream.end().unwrap();
    let passed = tail.wait_for_all_passed(n_events, PATIENCE);
    or_tell("what passes", &[&worker], passed);
    worker.end(END).unwrap();
    assert!(tail.seen().values().all(|times| *times == 1));
    let minors = ids.kafka.consume_committed("changed-minors").unwrap();
    assert!(!minors.is_empty(), "what is new gives nothing out");
}

#[test]
fn snapshots_that_are_older_than_the_journal_are_said() {
    let kafka = Kafka::shared().unwrap();
    let mut ids = Ids::new(kafka, "lost-journal", Listener::Plain).unwrap();
    let state = home::new_folder("state").unwrap();
    ids.state = Some(state.display().to_string());
    let stream = ids.stream(Pace::default()).unwrap();
    let worker = ids.worker("w").unwrap();
    wait_for_snapshots(&state, &ids.name, PARTITIONS as usize);
    stream.end().unwrap();
    worker.end(END).unwrap();
    let journal = format!("{}.journal", ids.name);
    kafka.delete(&journal).unwrap();
    kafka.delete_group(&ids.name).unwrap();
    let worker = ids.worker("w").unwrap();
    assert_eq!(worker.wait(PATIENCE).unwrap().code(), Some(4));
    assert!(
        worker.lines_with("journal and offsets are gone") > 0,
        "{}",
        worker.last_lines()
    );
}

#[test]
fn a_store_that_is_not_there_for_a_while_holds_nothing_up() {
    let kafka = Kafka::shared().unwrap();
    for round in 0..few_rounds() {
        let (s3, proxy) = object_store().unwrap();
        let mut ids = Ids::new(kafka, &format!("store-away-{round}"), Listener::Plain).unwrap();
        keep_state(&mut ids, &proxy);
        let stream = ids.stream(Pace::default()).unwrap();
        let mut tail = ids.tail().unwrap();
        let worker = ids.worker("w").unwrap();
        let shards = || {
            let keys = s3.list("state", "tocsin/").unwrap_or_default();
            let manifests = keys.iter().filter(|key| key.ends_with(".manifest"));
            let folders = manifests.filter_map(|key| key.rsplit_once('/').map(|(folder, _)| folder.to_owned()));
            folders.collect::<BTreeSet<String>>().len()
        };
        until("snapshots", PATIENCE, || Ok((shards() > 1).then_some(()))).unwrap();
        let away = proxy.add(HttpRule::every().answer(503, &[], b"SlowDown"));
        away.wait_for(3, PATIENCE).unwrap();
        // Results come all the same.
        tail.wait_for(stream.written(), PATIENCE)
            .unwrap_or_else(|error| panic!("{error}\n{}", worker.last_lines()));
        // A worker that comes while it is away waits for it.
        worker.kill().unwrap();
        let shards = shards();
        let worker = ids.worker("w").unwrap();
        worker.wait_for_line("the worker cannot begin yet", PATIENCE).unwrap();
        away.remove();
        worker
            .wait_for_lines(RESTORED, shards, Duration::from_secs(60))
            .unwrap();
        let n_events = stream.end().unwrap();
        tail.wait_for_all_passed(n_events, PATIENCE).unwrap();
        worker.end(END).unwrap();
        assert_eq!(i64::try_from(ids.check().unwrap()).unwrap(), n_events);
        let said = worker.said();
        assert!(!said.contains(S3::SECRET_KEY), "{said}");
        for command in ["list", "verify"] {
            let ask = ["snapshot", command, "--state", "s3://state/tocsin"];
            let (code, said) = tocsin_with(&ids.variables, &ask).unwrap();
            assert_eq!(code, Some(0), "{command}: {said}");
            assert!(said.contains(&format!("{}/shards/", ids.name)), "{command}: {said}");
        }
    }
}

/// A manifest is written though nobody hears of it: whoever comes next finds it, and what it names; and nobody writes it
/// once more.
#[test]
fn manifests_whose_answer_is_lost_can_be_gone_back_to() {
    let kafka = Kafka::shared().unwrap();
    let (s3, proxy) = object_store().unwrap();
    let mut ids = Ids::new(kafka, "manifests-unanswered", Listener::Plain).unwrap();
    keep_state(&mut ids, &proxy);
    let lost = proxy.add(HttpRule::every().method("PUT").containing(".manifest").drop_answer());
    let stream = ids.stream(Pace::default()).unwrap();
    let mut tail = ids.tail().unwrap();
    let worker = ids.worker("w").unwrap();
    lost.wait_for(6, PATIENCE).unwrap();
    worker.kill().unwrap();
    lost.remove();
    let manifests = s3.list("state", "tocsin/").unwrap();
    let manifests: Vec<&String> = manifests.iter().filter(|key| key.ends_with(".manifest")).collect();
    // Whoever writes one again is refused, with whatever contents: it is the same request, and signed.
    let seen = proxy.seen();
    let put = seen.iter().find(|seen| {
        let target = seen.request.target();
        seen.request.method() == "PUT" && manifests.iter().any(|key| target.ends_with(key.as_str()))
    });
    let put = &put.unwrap().request;
    let headers = put.headers.iter().filter(|(name, _)| {
        let own = ["host", "connection", "content-length"];
        !own.contains(&name.to_ascii_lowercase().as_str())
    });
    let headers: Vec<(&str, &str)> = headers.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let again = request(proxy.address(), "PUT", put.target(), &headers, &put.body).unwrap();
    assert_eq!(again.status(), 412, "{}", again.text());
    let worker = ids.worker("w").unwrap();
    or_tell("restored", &[&worker], worker.wait_for_line(RESTORED, PATIENCE));
    let n_events = stream.end().unwrap();
    or_tell("results", &[&worker], tail.wait_for_all_passed(n_events, PATIENCE));
    worker.end(END).unwrap();
    assert_eq!(i64::try_from(ids.check().unwrap()).unwrap(), n_events);
}
