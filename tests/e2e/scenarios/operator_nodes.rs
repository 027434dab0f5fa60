//! Workers on many nodes: Kubernetes' own scheduler spreads them as the operator asks, and drains take one at a time. The nodes are
//! played by kwok: pods are placed, and nothing runs in them.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/operating.rs"]
mod operating;

use std::collections::{BTreeMap, BTreeSet};

use operating::{Bench, PATIENCE, kubernetes, spec};
use serde_json::{Value as Json, json};
use tocsin_e2e::kubernetes::{Nodes, ZONES};
use tocsin_e2e::wait::until;

const NODES: usize = 60;
const WORKERS: usize = 30;

/// The workers' pods that have a node.
fn placed(bench: &Bench) -> Vec<Json> {
    let selector = "labelSelector=app.kubernetes.io%2Fcomponent%3Dworkers";
    let all = bench
        .client
        .get(&format!("/api/v1/namespaces/{}/pods?{selector}", bench.namespace))
        .unwrap();
    let pods = all["items"].as_array().unwrap().iter();
    pods.filter(|pod| pod["spec"]["nodeName"].is_string())
        .cloned()
        .collect()
}

#[test]
fn workers_are_spread_over_zones_and_nodes_and_leave_one_at_a_time() {
    let _nodes = Nodes::start(kubernetes(), NODES).unwrap();
    let bench = Bench::new("spread");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store"},
        "stringData": {"accessKeyId": "a", "secretAccessKey": "b"},
    });
    bench
        .client
        .create("/api/v1/namespaces/spread/secrets", &secret)
        .unwrap();
    let mut many = spec();
    many["workers"]["replicas"] = WORKERS.into();
    // A volume would be of one node.
    many["state"] = json!({"storage": {"s3": {"bucket": "state", "endpoint": "http://127.0.0.1:1", "secretRef": {"name": "store"}}}});
    bench.apply("noc", many);
    bench.wait("noc", "all workers ready", |pipeline| {
        pipeline["status"]["workers"]["readyReplicas"] == WORKERS
    });
    let pods = placed(&bench);
    let nodes: BTreeSet<&str> = pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()).collect();
    // A wish, not a condition: a cluster of one node is enough for all.
    assert!(
        nodes.len() > WORKERS * 3 / 4,
        "{WORKERS} workers are on {} nodes",
        nodes.len()
    );
    let mut zones: BTreeMap<usize, usize> = BTreeMap::new();
    for pod in &pods {
        let node = pod["spec"]["nodeName"].as_str().unwrap();
        let number: usize = node.rsplit('-').next().unwrap().parse().unwrap();
        *zones.entry(number % ZONES).or_default() += 1;
    }
    let even = WORKERS / ZONES;
    assert!(
        zones.len() == ZONES && zones.values().all(|workers| workers.abs_diff(even) <= 2),
        "{zones:?}"
    );

    let budget = || {
        bench
            .client
            .get("/apis/policy/v1/namespaces/spread/poddisruptionbudgets/noc-workers")
    };
    let counted = until("a budget of one", PATIENCE, || {
        Ok((budget()?["status"]["disruptionsAllowed"] == 1).then_some(()))
    });
    counted.unwrap();
    // Whoever drains two nodes at once is told to wait with the second. Nobody brings up another worker meanwhile.
    let controllers = kubernetes().controllers().unwrap();
    controllers.signal(rustix::process::Signal::STOP).unwrap();
    let evict = |pod: &Json| {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let eviction =
            json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "spread"}});
        let path = format!("/api/v1/namespaces/spread/pods/{name}/eviction");
        bench
            .client
            .send("POST", &path, Some(("application/json", &eviction)))
            .unwrap()
            .0
    };
    let answers = [evict(&pods[0]), evict(&pods[1])];
    controllers.signal(rustix::process::Signal::CONT).unwrap();
    assert_eq!(answers, [201, 429]);
    bench.wait("noc", "all workers ready again", |pipeline| {
        pipeline["status"]["workers"]["readyReplicas"] == WORKERS
    });
}
