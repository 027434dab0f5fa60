//! A Kafka that Strimzi runs. Strimzi itself is an image that is not to be had here: its kinds are installed, with all fields that
//! it knows and no other, and what it would say is written in its place.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/operating.rs"]
mod operating;
#[path = "support/rights.rs"]
mod rights;

use operating::{Bench, CHILDREN, condition, kubernetes, spec};
use serde_json::{Value as Json, json};
use tocsin_e2e::kubernetes::Client;
use tocsin_e2e::{User, install};

const GROUP: &str = "/apis/kafka.strimzi.io/v1";

/// Strimzi's kinds.
fn install_strimzi(client: &Client) {
    let schemas = install::folder("strimzi", "STRIMZI_VERSION", "scripts/strimzi.sh").unwrap();
    let schemas = std::fs::read(schemas.join("schemas.json")).unwrap();
    let schemas: Json = serde_json::from_slice(&schemas).unwrap();
    for (kind, schema) in schemas.as_object().unwrap() {
        let plural = format!("{}s", kind.to_lowercase());
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.kafka.strimzi.io")},
            "spec": {
                "group": "kafka.strimzi.io",
                "names": {"kind": kind, "plural": plural},
                "scope": "Namespaced",
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": schema},
                }],
            },
        });
        client
            .create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition)
            .unwrap();
    }
}

/// Strimzi has looked at all objects of these kinds, and says this of each.
fn says(bench: &Bench, plurals: &[&str], condition: &Json) {
    for plural in plurals {
        let collection = format!("{GROUP}/namespaces/{}/{plural}", bench.namespace);
        let objects = bench.client.get(&collection).unwrap();
        for object in objects["items"].as_array().unwrap() {
            let name = object["metadata"]["name"].as_str().unwrap();
            let status = json!({"status": {
                "observedGeneration": object["metadata"]["generation"], "conditions": [condition],
            }});
            bench
                .client
                .merge(&format!("{collection}/{name}/status"), &status)
                .unwrap();
        }
    }
}

fn secret(bench: &Bench, name: &str, key: &str) {
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: "x"},
    });
    bench
        .client
        .create(&format!("/api/v1/namespaces/{}/secrets", bench.namespace), &object)
        .unwrap();
}

#[test]
fn strimzi_is_missed_told_and_waited_for() {
    let bench = Bench::new("strimzi");
    let mut wanted = spec();
    wanted["kafka"] = json!({
        "mode": "Strimzi",
        "pools": [{"name": "quorum", "roles": ["Controller"]}, {"name": "brokers", "roles": ["Broker"]}],
    });
    bench.apply("noc", wanted);
    bench.wait("noc", "a word on Strimzi", |pipeline| {
        condition(pipeline, "KafkaReady")["reason"] == "OperatorMissing"
    });

    install_strimzi(&kubernetes().client(User::Admin).unwrap());
    bench.wait("noc", "a Kafka that comes", |pipeline| {
        condition(pipeline, "KafkaReady")["reason"] == "Deploying"
    });
    let find = |plural: &str, name: &str| bench.find(&format!("{GROUP}/{plural}"), name);
    bench.wait_for("the users", || find("kafkausers", "noc-client"));
    let topic = find("kafkatopics", "noc-topic-incident-alerts").or_else(|| {
        let all = bench
            .client
            .get(&format!("{GROUP}/namespaces/strimzi/kafkatopics"))
            .unwrap();
        all["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|topic| topic["spec"]["topicName"] == "incident_alerts")
            .cloned()
    });
    assert_eq!(topic.unwrap()["spec"]["partitions"], 12);
    assert!(
        bench.find(CHILDREN[7].0, CHILDREN[7].1).is_none(),
        "workers come when Kafka does"
    );

    // What somebody removes while Strimzi is at work is made again.
    let user = format!("{GROUP}/namespaces/strimzi/kafkausers/noc-client");
    bench.client.delete(&user).unwrap();
    bench.wait_for("the user again", || find("kafkausers", "noc-client"));

    let trouble = json!({"type": "NotReady", "status": "True", "reason": "FatalProblem", "message": "no storage"});
    says(&bench, &["kafkas"], &trouble);
    bench.wait("noc", "what Strimzi says", |pipeline| {
        let kafka = condition(pipeline, "KafkaReady");
        kafka["status"] == "False" && kafka["message"].as_str().unwrap().contains("FatalProblem: no storage")
    });
    secret(&bench, "noc-user", "password");
    secret(&bench, "noc-kafka-cluster-ca-cert", "ca.crt");
    says(
        &bench,
        &["kafkas", "kafkausers", "kafkatopics"],
        &json!({"type": "Ready", "status": "True"}),
    );
    bench.wait("noc", "a Kafka that is there", |pipeline| {
        condition(pipeline, "KafkaReady")["status"] == "True"
    });
    let set = bench.wait_for("workers", || bench.find(CHILDREN[7].0, CHILDREN[7].1));
    let arguments = set["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    assert!(
        arguments.contains("noc-kafka-kafka-bootstrap.strimzi.svc:9092"),
        "{arguments}"
    );

    // Kafka takes no partition away, and what somebody wrote into the operator's objects is written over.
    let kafka = format!("{GROUP}/namespaces/strimzi/kafkas/noc-kafka");
    let edited = json!({"spec": {"kafka": {"config": {"offsets.topic.replication.factor": 9}}}});
    bench.client.merge(&kafka, &edited).unwrap();
    bench.change("noc", json!({"kafka": {"partitions": 6}}));
    bench.wait("noc", "a word on partitions", |pipeline| {
        let topics = condition(pipeline, "TopicsReady");
        topics["reason"] == "PartitionsChanged"
            && topics["message"].as_str().unwrap().contains("ask for 12 instead of 6")
    });
    let factor =
        bench.client.get(&kafka).unwrap()["spec"]["kafka"]["config"]["offsets.topic.replication.factor"].clone();
    assert_ne!(factor, 9);

    // A pool that is asked for no more is Strimzi's to let go.
    bench.change(
        "noc",
        json!({"kafka": {"pools": [{"name": "quorum", "roles": ["Controller", "Broker"]}]}}),
    );
    let pool = bench.wait_for("a pool that is to have no nodes", || {
        find("kafkanodepools", "noc-kafka-brokers").filter(|pool| pool["spec"]["replicas"] == 0)
    });
    let path = format!("{GROUP}/namespaces/strimzi/kafkanodepools/noc-kafka-brokers/status");
    let empty = json!({"status": {"observedGeneration": pool["metadata"]["generation"], "nodeIds": []}});
    bench.client.merge(&path, &empty).unwrap();
    bench.wait_for("a pool less", || {
        find("kafkanodepools", "noc-kafka-brokers")
            .is_none()
            .then_some(Json::Null)
    });

    // It used each verb that the chart gives it for that.
    let role = bench
        .client
        .get("/apis/rbac.authorization.k8s.io/v1/namespaces/strimzi/roles/tocsin")
        .unwrap();
    let rules = role["rules"].as_array().unwrap().iter();
    let rules: Vec<Json> = rules
        .filter(|rule| rule["apiGroups"][0] == "kafka.strimzi.io")
        .cloned()
        .collect();
    assert!(!rules.is_empty());
    let asked = kubernetes().audit().unwrap();
    let unused = rights::unused(&rules, &asked, User::Operator.name());
    assert!(unused.is_empty(), "the operator may, and does not: {unused:#?}");
}
