//! Many pipelines, of several tenants, in namespaces that come and go.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/operating.rs"]
mod operating;
#[path = "support/oracles.rs"]
mod oracles;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use operating::{Bench, PATIENCE, kubernetes, spec};
use oracles::stays_small;
use serde_json::json;
use tocsin_e2e::kubernetes::Client;
use tocsin_e2e::wait::until;
use tocsin_e2e::{Operator, OperatorOptions, User};

/// Pipelines of the tenant who has many.
const MANY: usize = 500;

/// It reads everything anew as often as it does for users: every few seconds, as other tests have it, that is all there is to do.
const ARGUMENTS: [&str; 4] = ["--watch-namespace", "many", "--resync", "2m"];

/// So often the other tenant's change is measured.
const CHANGES: i32 = 40;

/// How long it takes until a change of this tenant's pipeline has reached its workers.
fn follows(bench: &Bench, replicas: i32) -> Duration {
    let set = format!("/apis/apps/v1/namespaces/{}/statefulsets/noc-workers", bench.namespace);
    let began = Instant::now();
    bench.change("noc", json!({"workers": {"replicas": replicas}}));
    let followed = until("the replicas", PATIENCE, || {
        let set = bench.client.get(&set)?;
        Ok((set["spec"]["replicas"] == replicas).then(|| began.elapsed()))
    });
    followed.unwrap()
}

/// 95 of 100 changes of each tenant's pipeline have reached its workers within this. They are changed by turns, so that what else the
/// machine does slows both.
fn p95(benches: [&Bench; 2]) -> [Duration; 2] {
    let mut took = [Vec::new(), Vec::new()];
    for number in 0..CHANGES {
        for (bench, took) in benches.iter().zip(&mut took) {
            took.push(follows(bench, 2 + number % 2));
        }
    }
    took.map(|mut took| {
        took.sort();
        took[took.len() * 95 / 100]
    })
}

const COLLECTION: &str = "/apis/tocsin.dev/v1alpha1/namespaces/many/incidentpipelines";

/// Changes the many pipelines, one after the other, until it is told to end.
fn flood(client: &Client, is_over: &AtomicBool) {
    let mut changes = 0;
    while !is_over.load(Ordering::Relaxed) {
        let path = format!("{COLLECTION}/p{:03}", changes % MANY);
        let replicas = 2 + (changes / MANY) % 2;
        let change = json!({"spec": {"workers": {"replicas": replicas}}});
        client.merge(&path, &change).unwrap();
        changes += 1;
    }
    eprintln!("{changes} changes of the many meanwhile");
}

#[test]
fn a_tenant_with_many_pipelines_does_not_slow_another() {
    Bench::prepare("many");
    // The one shares an operator with the many, the other has one of its own.
    let mut bench = Bench::new("few");
    let mut alone = Bench::new("alone");
    alone.operator.stop().unwrap();
    alone.operator = Bench::operator_with("alone", "operator-1", None, &["--resync", "2m"]);
    bench.apply("noc", spec());
    alone.apply("noc", spec());
    bench.wait_seen("noc");
    alone.wait_seen("noc");

    // All at once, while the operator is away: so they wait, all of them, when it comes.
    bench.operator.stop().unwrap();
    for number in 0..MANY {
        let object = json!({
            "apiVersion": "tocsin.dev/v1alpha1", "kind": "IncidentPipeline", "metadata": {"name": format!("p{number:03}")},
            "spec": spec(),
        });
        bench.client.create(COLLECTION, &object).unwrap();
    }
    bench.operator = Bench::operator_with("few", "operator-2", None, &ARGUMENTS);
    let waiting = || {
        bench
            .operator
            .metric("tocsin_operator_queue_depth")
            .unwrap()
            .unwrap_or(0.0)
    };
    let began = until("a queue", PATIENCE, || Ok((waiting() > 100.0).then_some(())));
    began.unwrap();
    follows(&bench, 5);
    let left = waiting();
    assert!(
        left > 50.0,
        "the other tenant waited for almost all: {left} of {MANY} are left"
    );
    let done = until("all pipelines", PATIENCE * 2, || {
        let all = bench.client.get(COLLECTION)?;
        let is_seen = |one: &serde_json::Value| one["status"]["observedGeneration"] == one["metadata"]["generation"];
        Ok(all["items"].as_array().unwrap().iter().all(is_seen).then_some(()))
    });
    done.unwrap();

    // While they are changed without a pause, a change of the one is as fast as if it were alone.
    let is_over = AtomicBool::new(false);
    let tries = std::thread::scope(|threads| {
        threads.spawn(|| flood(&alone.client.clone(), &is_over));
        let tries = until("a change that is as fast", PATIENCE, || {
            let [shared, alone] = p95([&bench, &alone]);
            eprintln!("a change, p95: alone {alone:?}, beside {MANY} pipelines {shared:?}");
            Ok((shared < alone * 2).then_some(()))
        });
        is_over.store(true, Ordering::Relaxed);
        tries
    });
    tries.unwrap();
    stays_small(&bench.operator);
}

#[test]
fn a_namespace_that_is_deleted_takes_its_pipelines_with_it() {
    let admin = kubernetes().client(User::Admin).unwrap();
    for name in ["landlord", "tenant"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        admin.create("/api/v1/namespaces", &namespace).unwrap();
    }
    // With rights in the whole cluster: those of a namespace go with the namespace.
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "landlord"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": User::Bob.name()}],
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    admin.create(bindings, &binding).unwrap();
    let options = OperatorOptions {
        identity: "landlord".to_owned(),
        user: User::Bob,
        arguments: ["--namespace", "landlord", "--watch-namespace", "tenant"]
            .map(str::to_owned)
            .to_vec(),
        ..OperatorOptions::default()
    };
    let operator = Operator::start(kubernetes(), &options).unwrap();
    let collection = "/apis/tocsin.dev/v1alpha1/namespaces/tenant/incidentpipelines";
    for name in ["noc", "soc"] {
        let object = json!({
            "apiVersion": "tocsin.dev/v1alpha1", "kind": "IncidentPipeline", "metadata": {"name": name}, "spec": spec(),
        });
        admin.create(collection, &object).unwrap();
    }
    let workers = "/apis/apps/v1/namespaces/tenant/statefulsets/";
    let there = until("workers", PATIENCE, || {
        let both = admin
            .find(&format!("{workers}noc-workers"))?
            .zip(admin.find(&format!("{workers}soc-workers"))?);
        Ok(both.map(drop))
    });
    there.unwrap();
    admin.delete("/api/v1/namespaces/tenant").unwrap();
    let gone = until("no namespace", PATIENCE, || {
        operator.process().check()?;
        Ok(admin.find("/api/v1/namespaces/tenant")?.is_none().then_some(()))
    });
    gone.unwrap_or_else(|error| {
        let left = kubernetes().kubectl(User::Admin, &["get", "ns/tenant", "-o", "yaml"]);
        panic!("{error}\n{left:?}\n{}", operator.process().last_lines())
    });
}
