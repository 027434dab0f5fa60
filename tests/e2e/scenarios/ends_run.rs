//! A savepoint that ends a run: behind it nothing is given out, whatever is killed, until the pipeline begins anew with it in the
//! next run epoch; unless it is given up.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use serde_json::Value as Json;
use support::{END, PATIENCE, all_are_right, keep_state, object_store, or_tell};
use tocsin_e2e::http::request;
use tocsin_e2e::ids::{Ids, PARTITIONS, Pace, Tail};
use tocsin_e2e::wait::until;
use tocsin_e2e::{HttpRule, Kafka, KafkaOptions, Listener, Worker, home};

/// Status and body of an answer of a worker's admin server.
fn ask(worker: &Worker, method: &str, path: &str, body: &str) -> (u16, Json) {
    let admin = worker.admin(PATIENCE).unwrap();
    let headers = [("Content-Type", "application/json")];
    let answer = request(admin, method, path, &headers, body.as_bytes()).unwrap();
    (answer.status(), serde_json::from_str(&answer.text()).unwrap())
}

fn ask_to_end(worker: &Worker, id: &str) -> (u16, Json) {
    ask(
        worker,
        "POST",
        "/v1/savepoints",
        &format!("{{\"id\": \"{id}\", \"ends\": true}}"),
    )
}

fn wait_for_state(worker: &Worker, id: &str, state: &str) {
    let waited = until(&format!("savepoint {id}, {state}"), PATIENCE, || {
        worker.check()?;
        let (_, savepoint) = ask(worker, "GET", &format!("/v1/savepoints/{id}"), "");
        Ok((savepoint["state"] == state).then_some(()))
    });
    or_tell("the savepoint", &[worker], waited);
}

/// Waits until all shards of the workers run, are held, and have records that wait.
fn wait_until_held(workers: &[&Worker]) {
    let waited = until("shards that are held", PATIENCE, || {
        let shards: Vec<Json> = workers
            .iter()
            .flat_map(|worker| {
                ask(worker, "GET", "/status", "").1["shards"]
                    .as_array()
                    .unwrap()
                    .clone()
            })
            .collect();
        let waits = |shard: &Json| {
            shard["inputs"]
                .as_array()
                .unwrap()
                .iter()
                .any(|input| input["lagRecords"].as_u64() > Some(0))
        };
        let is_held = |shard: &Json| shard["held"] == true && shard["phase"] == "Running";
        Ok(
            (shards.len() == PARTITIONS as usize && shards.iter().all(is_held) && shards.iter().any(waits))
                .then_some(()),
        )
    });
    or_tell("shards that are held", workers, waited);
}

/// How many results are committed.
fn passed(ids: &Ids<'_>) -> usize {
    ids.kafka.consume_committed(&ids.topic("passed")).unwrap().len()
}

fn through(when: &str, tail: &mut Tail, written: i64, workers: &[&Worker]) {
    or_tell(when, workers, tail.wait_for(written, PATIENCE));
}

#[test]
fn behind_a_savepoint_that_ends_the_run_nothing_is_given_out_until_the_next_run_epoch_begins_with_it() {
    let kafka = Kafka::start(KafkaOptions::default()).unwrap();
    let mut ids = Ids::new(&kafka, "ends", Listener::Plain).unwrap();
    let state = home::new_folder("ends-state").unwrap();
    ids.state = Some(state.display().to_string());
    ids.further = ["--admin", "127.0.0.1:0"].map(str::to_owned).to_vec();
    let (stream, mut tail) = (ids.stream(Pace::default()).unwrap(), ids.tail().unwrap());
    let workers = [ids.worker("a").unwrap(), ids.worker("b").unwrap()];
    let [first, second] = &workers;
    through("at first", &mut tail, stream.written(), &[first, second]);
    // One alone does not end it: the other goes on, and is killed before it hears of it.
    assert_eq!(ask_to_end(first, "the-end").0, 202);
    assert_eq!(ask_to_end(first, "another-end").0, 409);
    second.kill().unwrap();
    let second = ids.worker("b").unwrap();
    // It cannot be asked before it knows in which run epoch the pipeline is.
    let asked = until("a worker that can be asked", PATIENCE, || {
        Ok((ask_to_end(&second, "the-end").0 == 202).then_some(()))
    });
    or_tell("the second worker", &[&second], asked);
    wait_for_state(first, "the-end", "Completed");
    wait_until_held(&[first, &second]);
    let given_out = passed(&ids);
    let (status, refused) = ask(first, "DELETE", "/v1/savepoints/the-end", "");
    assert_eq!(
        (status, refused["error"].as_str().unwrap().contains("is complete")),
        (409, true),
        "{refused}"
    );
    for round in 0..2 {
        first.kill().unwrap();
        second.kill().unwrap();
        let again = [ids.worker("a").unwrap(), ids.worker("b").unwrap()];
        wait_until_held(&[&again[0], &again[1]]);
        assert_eq!(passed(&ids), given_out, "round {round}");
        again.iter().for_each(|worker| worker.kill().unwrap());
    }
    ids.further
        .extend(["--restore-from", "ends/savepoints/the-end", "--rewind-to-epoch", "1"].map(str::to_owned));
    let last = ids.worker("a").unwrap();
    through("in the next run epoch", &mut tail, stream.written(), &[&last]);
    all_are_right("at the end", &ids, stream, tail, &[&last]);
}

#[test]
fn a_run_goes_on_when_the_savepoint_that_was_to_end_it_is_given_up() {
    let kafka = Kafka::start(KafkaOptions::default()).unwrap();
    let mut ids = Ids::new(&kafka, "given-up", Listener::Plain).unwrap();
    let (_s3, store) = object_store().unwrap();
    keep_state(&mut ids, &store);
    ids.further = ["--admin", "127.0.0.1:0"].map(str::to_owned).to_vec();
    let (stream, mut tail) = (ids.stream(Pace::default()).unwrap(), ids.tail().unwrap());
    let worker = ids.worker("a").unwrap();
    through("at first", &mut tail, stream.written(), &[&worker]);
    let broken = HttpRule::every()
        .method("PUT")
        .containing("/savepoints/the-end/shards/");
    store.add(broken.answer(503, &[], b"out of order"));
    assert_eq!(ask_to_end(&worker, "the-end").0, 202);
    wait_for_state(&worker, "the-end", "Failed");
    // It stands still, also behind a restart: somebody else may still complete it, as far as it knows.
    worker.kill().unwrap();
    let worker = ids.worker("a").unwrap();
    wait_until_held(&[&worker]);
    let (status, savepoint) = ask(&worker, "DELETE", "/v1/savepoints/the-end", "");
    assert_eq!(
        (status, savepoint["state"].as_str()),
        (200, Some("Failed")),
        "{savepoint}"
    );
    through("once it is given up", &mut tail, stream.written(), &[&worker]);
    store.remove_rules();
    assert_eq!(ask_to_end(&worker, "the-end").0, 409, "it never will be complete");
    worker.kill().unwrap();
    let worker = ids.worker("a").unwrap();
    through("behind another restart", &mut tail, stream.written(), &[&worker]);
    // The next try has another name.
    assert_eq!(ask_to_end(&worker, "the-end-2").0, 202);
    wait_for_state(&worker, "the-end-2", "Completed");
    worker.end(END).unwrap();
    ids.further.extend(
        [
            "--restore-from",
            "given-up/savepoints/the-end-2",
            "--rewind-to-epoch",
            "1",
        ]
        .map(str::to_owned),
    );
    let worker = ids.worker("a").unwrap();
    all_are_right("at the end", &ids, stream, tail, &[&worker]);
}
