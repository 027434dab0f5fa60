//! What scenarios have in common.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

pub mod events;
pub mod load;
pub mod posting;
pub mod windows;

use std::time::Duration;

use serde_json::Value as Json;
use tocsin_e2e::http::{HttpProxy, request};
use tocsin_e2e::ids::{Ids, Pace, Stream, Tail};
use tocsin_e2e::wait::until;
use tocsin_e2e::{RigError, S3, Worker};

/// A result is there within this.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// A worker that nobody disturbs ends within this.
pub const END: Duration = Duration::from_secs(12);

/// What a worker says when the group has told it its shards.
pub const ASSIGNED: &str = "shards were assigned";

/// Of shards that were assigned, when they are none.
const NONE: &str = "shards=[]";

/// How often a worker was given shards, one at least.
pub fn times_given_shards(worker: &Worker) -> usize {
    let said = worker.said();
    let given = said
        .lines()
        .filter(|line| line.contains(ASSIGNED) && !line.contains(NONE));
    given.count()
}

/// Waits until a worker was given shards so often.
pub fn wait_for_shards(worker: &Worker, times: usize, within: Duration) -> Result<(), RigError> {
    until("a worker's shards", within, || {
        worker.check()?;
        Ok((times_given_shards(worker) >= times).then_some(()))
    })
}

/// What a worker over the events of `Ids` may take of memory, in bytes, whatever befalls it.
pub const MEMORY: u64 = 600 << 20;

/// A worker's resident memory, in bytes: now (`VmRSS`), or at its highest (`VmHWM`).
pub fn memory(worker: &Worker, which: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(which)).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

/// What came out, or a panic that says what the workers said last.
pub fn or_tell<T>(when: &str, workers: &[&Worker], outcome: Result<T, RigError>) -> T {
    outcome.unwrap_or_else(|error| {
        let said: Vec<String> = workers.iter().map(|worker| worker.last_lines()).collect();
        panic!("{when}: {error}\n{}", said.join("\n----\n"))
    })
}

/// An object store with a bucket `state`, and a proxy before it.
pub fn object_store() -> Result<(S3, HttpProxy), RigError> {
    let s3 = S3::start()?;
    s3.create_bucket("state")?;
    let proxy = HttpProxy::before(s3.address())?;
    Ok((s3, proxy))
}

/// Lets a pipeline keep its state there.
pub fn keep_state(ids: &mut Ids<'_>, store: &HttpProxy) {
    ids.state = Some("s3://state/tocsin".to_owned());
    ids.variables = S3::variables(&store.url());
}

/// Kills a worker under load so many times, each time after all that was written is through, and compares all results.
pub fn survives_kills(ids: &Ids<'_>, worker: Worker, kills: u64) {
    let mut worker = worker;
    let stream = or_tell("the stream", &[&worker], ids.stream(Pace::default()));
    let mut tail = or_tell("the tail", &[&worker], ids.tail());
    for kill in 0..kills {
        let through = tail.wait_for(stream.written(), PATIENCE);
        or_tell(&format!("before kill {kill}"), &[&worker], through);
        or_tell("the kill", &[&worker], worker.kill());
        worker = or_tell("the next one", &[], ids.worker("w"));
    }
    all_are_right("at the end", ids, stream, tail, &[&worker]);
}

/// Ends the stream, waits until everything is through, ends the workers, and compares all results: none is dead.
pub fn all_are_right(when: &str, ids: &Ids<'_>, stream: Stream, mut tail: Tail, workers: &[&Worker]) {
    let n_events = or_tell(when, workers, stream.end());
    or_tell(when, workers, tail.wait_for_all_passed(n_events, PATIENCE));
    for worker in workers {
        or_tell(when, workers, worker.end(END));
    }
    let checked = or_tell(when, workers, ids.check());
    assert_eq!(i64::try_from(checked), Ok(n_events), "{when}");
    let dead = ids.kafka.consume_committed(&format!("{}.dead-letter", ids.name));
    assert_eq!(or_tell(when, workers, dead), [], "{when}: dead letters");
}

/// Takes a savepoint of all shards of a worker, and ends it.
pub fn end_with_savepoint(worker: &Worker, id: &str, drain: bool) {
    let admin = worker.admin(PATIENCE).unwrap();
    let ask = |method: &str, path: &str, body: &str| {
        let answer = request(
            admin,
            method,
            path,
            &[("Content-Type", "application/json")],
            body.as_bytes(),
        )?;
        assert!(matches!(answer.status(), 200 | 202), "{}", answer.text());
        Ok(serde_json::from_str::<Json>(&answer.text()).unwrap())
    };
    ask(
        "POST",
        "/v1/savepoints",
        &format!("{{\"id\": \"{id}\", \"drain\": {drain}}}"),
    )
    .unwrap();
    let completed = || {
        let savepoint = ask("GET", &format!("/v1/savepoints/{id}"), "")?;
        assert_ne!(savepoint["state"], "Failed", "{savepoint}");
        Ok((savepoint["state"] == "Completed").then_some(()))
    };
    until("the savepoint", PATIENCE, completed).unwrap();
    worker.end(END).unwrap();
}
