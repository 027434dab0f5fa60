//! What is asked of a worker.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tocsin_contract::worker::{Savepoint, SavepointState, WorkerStatus};

use super::*;

#[test]
fn a_drain_raises_the_interrupt_and_is_no_longer_ready() {
    let bench = Bench::start(Access::default());
    bench.measures.assigned(&[]);
    assert_eq!(bench.ask("GET", "/readyz", &[], "").body, "ready\n");
    assert_eq!(bench.get("/v1/drain", &[]), 405);
    assert!(!bench.interrupt.is_raised());
    let answer = bench.ask("POST", "/v1/drain", &[], "");
    assert_eq!(answer.status, 202);
    assert!(serde_json::from_str::<WorkerStatus>(&answer.body).unwrap().draining);
    assert!(bench.interrupt.is_raised());
    let ready = bench.ask("GET", "/readyz", &[], "");
    assert_eq!((ready.status, ready.body.as_str()), (503, "it was asked to end\n"));
}

#[test]
fn without_a_place_for_snapshots_there_is_no_savepoint() {
    let bench = Bench::start(Access::default());
    let answer = bench.ask("POST", "/v1/savepoints", &[], "");
    let said: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (answer.status, said),
        (409, json!({"error": "not available: no state address was given"}))
    );
}

/// Takes savepoints as it is told.
#[derive(Default)]
struct Taker(Mutex<BTreeMap<String, Savepoint>>);

impl Control for Taker {
    fn drain(&self) {}

    fn is_draining(&self) -> bool {
        false
    }

    fn begin_savepoint(&self, id: Option<&str>, _manner: Manner) -> Result<Savepoint, Refusal> {
        let mut known = self.0.lock();
        let id = id.map_or_else(|| format!("own-{}", known.len()), str::to_owned);
        let savepoint = Savepoint {
            id: id.clone(),
            ..Savepoint::default()
        };
        Ok(known.entry(id).or_insert(savepoint).clone())
    }

    fn give_up_savepoint(&self, id: &str) -> Result<Savepoint, Refusal> {
        let mut known = self.0.lock();
        let savepoint = known.get_mut(id).ok_or_else(|| Refusal::Unknown(id.to_owned()))?;
        savepoint.state = SavepointState::Failed;
        Ok(savepoint.clone())
    }

    fn savepoint(&self, id: &str) -> Result<Savepoint, Refusal> {
        let known = self.0.lock();
        known.get(id).cloned().ok_or_else(|| Refusal::Unknown(id.to_owned()))
    }
}

#[test]
fn a_savepoint_is_begun_once_and_followed_to_its_end() {
    let taker = Arc::new(Taker::default());
    let bench = Bench::with(
        Access::default(),
        Interrupt::default(),
        Arc::clone(&taker) as Arc<dyn Control>,
    );
    for _ in 0..2 {
        let answer = bench.ask("POST", "/v1/savepoints", &[], "{\"id\":\"noc-upgrade.7\"}");
        assert_eq!(answer.status, 202, "{}", answer.body);
        assert!(
            answer.head.contains("location: /v1/savepoints/noc-upgrade.7"),
            "{}",
            answer.head
        );
    }
    assert_eq!(taker.0.lock().len(), 1);
    let look = || {
        let answer = bench.ask("GET", "/v1/savepoints/noc-upgrade.7", &[], "");
        serde_json::from_str::<Value>(&answer.body).unwrap()
    };
    assert_eq!(look(), json!({"id": "noc-upgrade.7", "state": "Pending"}));
    for savepoint in taker.0.lock().values_mut() {
        savepoint.state = SavepointState::Completed;
        savepoint.path = Some("noc/savepoints/7".to_owned());
    }
    assert_eq!(
        look(),
        json!({"id": "noc-upgrade.7", "state": "Completed", "path": "noc/savepoints/7"})
    );
    let own = bench.ask("POST", "/v1/savepoints", &[], "");
    assert_eq!((own.status, own.body.contains("own-1")), (202, true));
}

#[test]
fn a_savepoint_is_given_up_by_its_name() {
    let bench = Bench::with(Access::default(), Interrupt::default(), Arc::new(Taker::default()));
    assert_eq!(bench.ask("DELETE", "/v1/savepoints/noc-1", &[], "").status, 404);
    bench.ask("POST", "/v1/savepoints", &[], "{\"id\":\"noc-1\",\"ends\":true}");
    let answer = bench.ask("DELETE", "/v1/savepoints/noc-1", &[], "");
    let said: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, said), (200, json!({"id": "noc-1", "state": "Failed"})));
}

#[test]
fn what_is_no_request_for_a_savepoint_is_refused_with_the_reason() {
    let bench = Bench::with(Access::default(), Interrupt::default(), Arc::new(Taker::default()));
    let long = format!("{{\"id\":\"{}\"}}", "x".repeat(129));
    for (body, expected) in [
        ("{", 400),
        ("{\"id\":\"../../etc\"}", 400),
        ("{\"id\":\"\"}", 400),
        (&long, 400),
        ("{\"name\":\"s\"}", 400),
        ("{\"id\":1}", 400),
    ] {
        let answer = bench.ask("POST", "/v1/savepoints", &[], body);
        let said: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer.status, expected, "{body}: {said}");
        assert!(said["error"].as_str().is_some_and(|error| !error.is_empty()), "{said}");
    }
    let huge = format!("{{\"id\":\"{}\"}}", "x".repeat(1 << 20));
    let answer = bench.connect();
    // The answer may come before all is sent.
    if let Ok(answer) = talk(answer, &bench.host(), "POST", "/v1/savepoints", &[], &huge) {
        assert_eq!(answer.status, 413, "{}", answer.body);
    }
    for path in ["/v1/savepoints/none", "/v1/savepoints/..%2f..", "/v1/savepoints/%00"] {
        assert_eq!(bench.get(path, &[]), 404, "{path}");
    }
}
