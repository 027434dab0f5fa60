//! A pipeline that begins with a savepoint, of another number of partitions and workers: each result once, before and after
//! together.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;
use support::events::Events;
use support::windows::{Key, Windows, recomputed, row, severity};
use support::{END, PATIENCE, end_with_savepoint};
use tocsin_e2e::ids::{Event, Expected, Ids, SERVICES};
use tocsin_e2e::kafka::Topic;
use tocsin_e2e::wait::until;
use tocsin_e2e::{Kafka, home};

/// What a worker says when it has brought a shard back.
const RESTORED: &str = "state was restored";

/// What it says where the topic was made anew.
const IS_ANOTHER: &str = "the topic is another";

/// The next events; they end so far behind the last one. The last of each service passes, so that all are read once those that
/// pass are.
fn next(events: &mut Events, n_events: i64, behind: i64) -> Vec<Event> {
    let first = events.next_id();
    let last = first + n_events;
    let more: Vec<Event> = (first..last).map(|id| Event::of(id, events.time(id))).collect();
    let ends: Vec<Event> = (last..last + SERVICES)
        .map(|id| Event::closing(id, events.time(id) + behind))
        .collect();
    events.add(more.into_iter().chain(ends))
}

/// What must come out, before and after together: as of one partition.
fn expected(events: &Events) -> Expected {
    Expected::of(&BTreeMap::from([(0, events.all.clone())]))
}

/// Makes a pipeline of another name of this one, over the same topics, which takes no checkpoint of its own.
fn clone_pipeline(ids: &mut Ids<'_>, name: &str) {
    let text = std::fs::read_to_string(&ids.pipeline).unwrap();
    let changed = text
        .replace(
            &format!("metadata: {{name: {}}}", ids.name),
            &format!("metadata: {{name: {name}}}"),
        )
        .replace("interval: 1s", "interval: 1h");
    assert_ne!(text, changed);
    ids.pipeline = home::new_folder(name).unwrap().join("pipeline.yaml");
    std::fs::write(&ids.pipeline, changed).unwrap();
}

fn restore_from(ids: &mut Ids<'_>, savepoint: &str) {
    ids.further = vec!["--restore-from".to_owned(), savepoint.to_owned()];
}

/// Whether a worker that begins like this ends at once, and says so once.
fn check_refused(ids: &Ids<'_>, said: &str) {
    let worker = ids.worker("refused").unwrap();
    assert_eq!(
        worker.wait(PATIENCE).unwrap().code(),
        Some(4),
        "{}",
        worker.last_lines()
    );
    assert_eq!(worker.lines_with(said), 1, "{}", worker.said());
}

fn has_own_checkpoints(state: &Path, name: &str) -> bool {
    state.join(name).join("shards").exists()
}

/// Lets a stage have another key than that by which the topic is partitioned.
fn deal_out(ids: &Ids<'_>) {
    let text = std::fs::read_to_string(&ids.pipeline).unwrap();
    let levels = "  - {name: levels, from: events, aggregate: {by: [severity], window: {tumbling: 1s}, \
                  select: {events: count(*), ids: sum(id)}}}\n  sinks:\n";
    let sink = format!(
        "  - {{name: levels, from: levels, kafka: {{topic: {}-levels}}}}\n",
        ids.name
    );
    std::fs::write(&ids.pipeline, text.replace("  sinks:\n", levels) + &sink).unwrap();
}

/// The events of the windows that were given out, each once, together.
fn counted_once(ids: &Ids<'_>) -> i64 {
    let mut windows = BTreeMap::new();
    for record in ids.kafka.consume_committed(&ids.topic("levels")).unwrap() {
        let row: Json = serde_json::from_str(&record.text()).unwrap();
        let window = format!("{} {}", row["severity"], row["window_start"]);
        assert_eq!(windows.insert(window, row["events"].as_i64().unwrap()), None, "{row}");
    }
    windows.into_values().sum()
}

/// A pipeline of `before` partitions and one worker goes on with `after` and two, of which one is killed before it has a
/// checkpoint of its own.
fn check(name: &str, (before, after): (i32, i32), is_dealt: bool) {
    let kafka = Kafka::shared().unwrap();
    let mut ids = Ids::of_partitions(kafka, name, before).unwrap();
    if is_dealt {
        deal_out(&ids);
    }
    let state = home::new_folder("state").unwrap();
    ids.state = Some(state.display().to_string());
    let mut events = Events::new();
    ids.write(&next(&mut events, 3_000, 0)).unwrap();
    let mut tail = ids.tail().unwrap();
    let worker = ids.worker_with("w", &["--admin", "127.0.0.1:0"]).unwrap();
    events.wait_until_read(&mut tail, &[&worker]);
    end_with_savepoint(&worker, "before", is_dealt);
    if after > before {
        kafka
            .add_partitions(&ids.topic("events"), usize::try_from(after).unwrap())
            .unwrap();
    } else {
        kafka.delete(&ids.topic("events")).unwrap();
        kafka
            .create(&Topic::new(&ids.topic("events")).partitions(after))
            .unwrap();
    }
    let (clone, savepoint) = (format!("{name}-clone"), format!("{name}/savepoints/before"));
    clone_pipeline(&mut ids, &clone);
    restore_from(&mut ids, &format!("{name}/savepoints/behind"));
    check_refused(&ids, &format!("there is no savepoint {name}/savepoints/behind"));
    restore_from(&mut ids, &savepoint);
    let (a, b) = (ids.worker("a").unwrap(), ids.worker("b").unwrap());
    let both_say = |said: &str| a.lines_with(said) + b.lines_with(said);
    // A topic that was made anew is told of behind the state.
    let is_told = || after > before || both_say(IS_ANOTHER) >= after as usize;
    let restored = || Ok((both_say(RESTORED) >= after as usize && is_told()).then_some(()));
    until("all shards", PATIENCE, restored).unwrap_or_else(|error| panic!("{error}\n{}", a.last_lines()));
    assert_eq!(both_say(IS_ANOTHER) > 0, after < before);
    a.kill().unwrap();
    let a = ids.worker("a").unwrap();
    ids.write(&next(&mut events, 2_000, 0)).unwrap();
    events.wait_until_read(&mut tail, &[&a, &b]);
    // Whoever begins again begins with the savepoint, and follows the journal.
    b.kill().unwrap();
    a.kill().unwrap();
    let (a, b) = (ids.worker("a").unwrap(), ids.worker("b").unwrap());
    ids.write(&next(&mut events, 1_000, 120_000)).unwrap();
    events.wait_until_read(&mut tail, &[&a, &b]);
    a.end(END).unwrap();
    b.end(END).unwrap();
    assert!(!has_own_checkpoints(&state, &clone));
    ids.check_against(&expected(&events)).unwrap();
    assert_eq!(counted_once(&ids) > 0, is_dealt);
    restore_from(&mut ids, &format!("{name}/savepoints/behind"));
    check_refused(
        &ids,
        &format!("it has run already, and began with savepoint {savepoint}"),
    );
    // Without asking it goes on as well.
    ids.further.clear();
    let worker = ids.worker("a").unwrap();
    worker.wait_for_line(RESTORED, PATIENCE).unwrap();
    worker.end(END).unwrap();
}

/// How often each row of a topic is there, by run epoch and by what it says.
fn rows(ids: &Ids<'_>, part: &str, fields: [&str; 2]) -> BTreeMap<(String, String), u32> {
    let mut rows = BTreeMap::new();
    for record in ids.kafka.consume_committed(&ids.topic(part)).unwrap() {
        let epoch = record.headers.iter().find(|(name, _)| name == "tocsin.epoch");
        let epoch = epoch.and_then(|(_, value)| value.clone()).unwrap_or_default();
        let row: Json = serde_json::from_str(&record.text()).unwrap();
        let row = fields.map(|field| row[field].to_string()).join(" ");
        *rows.entry((String::from_utf8(epoch).unwrap(), row)).or_default() += 1;
    }
    rows
}

/// What passes and escalates of the events from this number on, in one run.
fn wanted(events: &[Event], from: usize) -> [Vec<String>; 2] {
    let (mut passed, mut escalated) = (Vec::new(), Vec::new());
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for (number, event) in events.iter().enumerate().filter(|(_, event)| event.passes) {
        let count = counts.entry(&event.service).or_default();
        *count += 1;
        if number < from {
            continue;
        }
        passed.push(format!("{} \"{}\"", event.id, event.service));
        if count.is_multiple_of(5) {
            escalated.push(format!("{} \"{}\"", event.id, event.service));
        }
    }
    [passed, escalated]
}

/// Windows that were given out, by run epoch: each once in it, and what a recomputation of all events gives.
fn check_windows(ids: &Ids<'_>, part: &str, key: &str, expected: &Windows) -> [Vec<String>; 2] {
    let mut of_epoch = [Vec::new(), Vec::new()];
    for record in ids.kafka.consume_committed(&ids.topic(part)).unwrap() {
        let epoch = record.headers.iter().any(|(name, _)| name == "tocsin.epoch");
        let (name, counted, row) = row(&record, key);
        assert_eq!(Some(&counted), expected.get(&name), "{part}: {row}");
        let seen = &mut of_epoch[usize::from(epoch)];
        assert!(!seen.contains(&name), "{part}: twice in an epoch: {row}");
        seen.push(name);
    }
    of_epoch
}

/// A pipeline runs, goes back to a savepoint of its own, and on from there, with a kill at each step.
fn check_wound_back(name: &str, is_dealt: bool) {
    let kafka = Kafka::shared().unwrap();
    let mut ids = Ids::of_partitions(kafka, name, 2).unwrap();
    if is_dealt {
        deal_out(&ids);
    }
    ids.state = Some(home::new_folder("state").unwrap().display().to_string());
    let mut events = Events::new();
    let mut tail = ids.tail().unwrap();
    ids.write(&next(&mut events, 2_000, 0)).unwrap();
    let worker = ids.worker_with("w", &["--admin", "127.0.0.1:0"]).unwrap();
    events.wait_until_read(&mut tail, &[&worker]);
    end_with_savepoint(&worker, "before", is_dealt);
    let n_before = events.all.len();
    let worker = ids.worker("w").unwrap();
    ids.write(&next(&mut events, 1_000, 0)).unwrap();
    events.wait_until_read(&mut tail, &[&worker]);
    worker.kill().unwrap();
    let n_first = events.all.len();
    // One after the other; whoever is killed is wound back no second time, and the epoch goes on without being asked for.
    restore_from(&mut ids, &format!("{name}/savepoints/before"));
    ids.further.extend(["--rewind-to-epoch".to_owned(), "1".to_owned()]);
    let a = ids.worker("a").unwrap();
    a.wait_for_lines("the shard is wound back", 2, PATIENCE).unwrap();
    ids.write(&next(&mut events, 500, 0)).unwrap();
    events.wait_until_read(&mut tail, &[&a]);
    a.kill().unwrap();
    let (a, b) = (ids.worker("a").unwrap(), ids.worker("b").unwrap());
    ids.write(&next(&mut events, 500, 0)).unwrap();
    events.wait_until_read(&mut tail, &[&a, &b]);
    assert_eq!(
        a.lines_with("the shard is wound back") + b.lines_with("the shard is wound back"),
        0
    );
    a.kill().unwrap();
    b.end(END).unwrap();
    ids.further.clear();
    let a = ids.worker("a").unwrap();
    ids.write(&next(&mut events, 500, 120_000)).unwrap();
    events.wait_until_read(&mut tail, &[&a]);
    let mut missing = Vec::new();
    let all_windows = until("all windows", PATIENCE, || {
        missing = missing_windows(&ids, &events.all, n_before, is_dealt);
        Ok(missing.is_empty().then_some(()))
    });
    all_windows.unwrap_or_else(|error| panic!("{error}: {missing:?}\n{}", a.last_lines()));
    a.end(END).unwrap();
    let first = wanted(&events.all[..n_first], 0);
    let second = wanted(&events.all, n_before);
    for (number, part) in ["passed", "escalations"].into_iter().enumerate() {
        let of_epoch = |epoch: &str, rows: &[String]| {
            let row = |row: &String| ((epoch.to_owned(), row.clone()), 1);
            rows.iter().map(row).collect::<BTreeMap<_, u32>>()
        };
        let mut expected = of_epoch("", &first[number]);
        expected.extend(of_epoch("1", &second[number]));
        let found = rows(&ids, part, ["id", "service"]);
        assert!(
            found == expected,
            "{part}: {} rows, {} expected",
            found.len(),
            expected.len()
        );
    }
}

/// Windows that end behind the savepoint are given out in the new epoch, those before it are not: which are missing there.
fn missing_windows(ids: &Ids<'_>, events: &[Event], n_before: usize, is_dealt: bool) -> Vec<String> {
    let parts: [(&str, &str, Key); 2] = [
        ("totals", "service", |event| event.service.clone()),
        ("levels", "severity", severity),
    ];
    let mut missing = Vec::new();
    for (part, key, of) in parts.into_iter().take(if is_dealt { 2 } else { 1 }) {
        let all = recomputed(events, of);
        let [before, behind] = check_windows(ids, part, key, &all);
        assert!(!before.is_empty(), "{part}: nothing came of the first epoch");
        // Those of the last events are open.
        let closed = events[n_before].time / 1_000..events[events.len() - 1].time / 1_000 - 3;
        let is_wanted = |name: &&String| {
            let start = name.rsplit(' ').next().and_then(|start| start.parse().ok());
            start.is_some_and(|start: i64| closed.contains(&start))
        };
        let lacks = all.keys().filter(is_wanted).filter(|name| !behind.contains(name));
        missing.extend(lacks.map(|name| format!("{part}: {name}")));
    }
    missing
}

#[test]
fn a_pipeline_that_is_wound_back_gives_each_result_once_in_each_run_epoch() {
    check_wound_back("rewound", false);
}

#[test]
fn a_pipeline_whose_rows_are_dealt_out_is_wound_back_to_a_savepoint_that_was_drained() {
    check_wound_back("dealt-rewound", true);
}

#[test]
fn a_pipeline_of_two_partitions_goes_on_with_four() {
    check("grown", (2, 4), false);
}

#[test]
fn a_pipeline_of_four_partitions_goes_on_with_two() {
    check("shrunk", (4, 2), false);
}

#[test]
fn a_pipeline_whose_rows_are_dealt_out_goes_on_with_four_once_it_is_drained() {
    check("dealt-grown", (2, 4), true);
}

#[test]
fn a_pipeline_whose_rows_are_dealt_out_goes_on_with_two_once_it_is_drained() {
    check("dealt-shrunk", (4, 2), true);
}
