//! A Kafka that the operator runs, without nodes to run it on: what is asked of Kubernetes for it, whoever writes into that.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/operating.rs"]
mod operating;
#[path = "support/oracles.rs"]
mod oracles;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use operating::{Bench, CONFIG_MAPS, STATEFUL_SETS, condition, spec};
use oracles::keeps_secrets;
use serde_json::{Value as Json, json};

const SECRETS: &str = "/api/v1/secrets";
const QUORUM: &str = "noc-kafka-quorum";
const BROKERS: &str = "noc-kafka-brokers";

/// A namespace with a pipeline that has a Kafka of its own.
fn with_kafka(namespace: &str) -> Bench {
    let bench = Bench::new(namespace);
    let mut wanted = spec();
    wanted["kafka"] = json!({
        "pools": [
            {"name": "quorum", "roles": ["Controller"], "replicas": 3},
            {"name": "brokers", "roles": ["Broker"], "replicas": 2},
        ],
    });
    bench.apply("noc", wanted);
    bench.wait_for("brokers", || bench.find(STATEFUL_SETS, BROKERS));
    bench.wait_seen("noc");
    bench
}

fn first_id(set: &Json) -> &str {
    let variables = set["spec"]["template"]["spec"]["containers"][0]["env"]
        .as_array()
        .unwrap();
    let first = variables
        .iter()
        .find(|variable| variable["name"] == "FIRST_ID")
        .unwrap();
    first["value"].as_str().unwrap()
}

fn set(bench: &Bench, name: &str) -> Json {
    bench.wait_for(name, || bench.find(STATEFUL_SETS, name))
}

fn path(bench: &Bench, collection: &str, name: &str) -> String {
    let (api, plural) = collection.rsplit_once('/').unwrap();
    format!("{api}/namespaces/{}/{plural}/{name}", bench.namespace)
}

#[test]
fn nodes_come_back_who_they_were_whatever_somebody_did_to_their_sets() {
    let bench = with_kafka("hands");
    let settings = || bench.find(CONFIG_MAPS, QUORUM).unwrap()["data"].clone();
    let before = settings();
    for name in [QUORUM, BROKERS] {
        let path = path(&bench, STATEFUL_SETS, name);
        let wanted = set(&bench, name)["spec"]["replicas"].clone();
        bench.client.merge(&path, &json!({"spec": {"replicas": 1}})).unwrap();
        bench.wait_for("all of its nodes", || {
            bench
                .find(STATEFUL_SETS, name)
                .filter(|set| set["spec"]["replicas"] == wanted)
        });
    }
    // Of two pools the second has the ids behind the first: alone it would get others.
    for (name, first) in [(QUORUM, "0"), (BROKERS, "100")] {
        let known = set(&bench, name)["metadata"]["uid"].clone();
        bench.client.delete(&path(&bench, STATEFUL_SETS, name)).unwrap();
        let again = bench.wait_for("the set again", || {
            bench
                .find(STATEFUL_SETS, name)
                .filter(|set| set["metadata"]["uid"] != known && set["metadata"]["deletionTimestamp"].is_null())
        });
        assert_eq!(first_id(&again), first, "{name}");
    }
    assert_eq!(settings(), before, "other controllers vote");
}

#[test]
fn a_kafka_whose_authority_is_gone_is_left_alone_until_it_is_put_back() {
    let bench = with_kafka("authority");
    let place = path(&bench, SECRETS, "noc-kafka-authority");
    bench.wait("noc", "the id of its cluster", |pipeline| {
        pipeline["status"]["kafka"]["clusterId"].is_string()
    });
    let mut kept = bench.client.get(&place).unwrap();
    let before = (
        set(&bench, QUORUM)["spec"].clone(),
        set(&bench, BROKERS)["spec"].clone(),
    );
    bench.client.delete(&place).unwrap();
    bench.wait("noc", "a word on the authority", |pipeline| {
        let stalled = condition(pipeline, "Stalled");
        let message = stalled["message"].as_str().unwrap_or_default();
        stalled["status"] == "True" && message.contains("noc-kafka-authority") && message.contains("from a backup")
    });
    assert!(bench.find(SECRETS, "noc-kafka-authority").is_none(), "another was made");
    let metadata = kept["metadata"].as_object_mut().unwrap();
    metadata.retain(|field, _| ["name", "labels", "annotations", "ownerReferences"].contains(&field.as_str()));
    let (collection, _) = place.rsplit_once('/').unwrap();
    bench.client.create(collection, &kept).unwrap();
    bench.wait("noc", "an end of the stall", |pipeline| {
        condition(pipeline, "Stalled")["status"] == "False"
    });
    let after = (
        set(&bench, QUORUM)["spec"].clone(),
        set(&bench, BROKERS)["spec"].clone(),
    );
    assert_eq!(after, before);
}

/// All that is in a Secret, by its keys.
fn secret(bench: &Bench, name: &str) -> Json {
    bench.wait_for(name, || bench.find(SECRETS, name))["data"].clone()
}

#[test]
fn nodes_get_new_certificates_before_theirs_end_and_nothing_else_changes() {
    let mut bench = with_kafka("rotation");
    let started_with = |bench: &Bench| {
        set(bench, BROKERS)["spec"]["template"]["metadata"]["annotations"]["tocsin.dev/started-with"].clone()
    };
    let (node, began) = (secret(&bench, "noc-kafka-tls"), started_with(&bench));
    let stays = ["noc-kafka-authority", "noc-kafka-user", "noc-kafka-client"];
    let kept = stays.map(|name| secret(&bench, name));
    for (days_later, is_renewed) in [(50, false), (70, true)] {
        bench.operator.stop().unwrap();
        let more = ["--log-level", "trace"];
        bench.operator = Bench::operator_of_day("rotation", "operator-1", None, &more, days_later);
        bench.change("noc", json!({"workers": {"threads": days_later}}));
        bench.wait_seen("noc");
        let now = secret(&bench, "noc-kafka-tls");
        assert_eq!(
            now["node.pem"] != node["node.pem"],
            is_renewed,
            "{days_later} days later"
        );
        assert_eq!(
            started_with(&bench) != began,
            is_renewed,
            "nodes are started anew with it"
        );
        assert_eq!(stays.map(|name| secret(&bench, name)), kept);
    }
    // What it made is in nobody's sight, at the most detailed level of its log.
    let text =
        |data: &Json, key: &str| String::from_utf8(STANDARD.decode(data[key].as_str().unwrap()).unwrap()).unwrap();
    let keys = [
        text(&kept[0], "ca.key"),
        text(&secret(&bench, "noc-kafka-tls"), "node.pem"),
    ];
    let lines = keys
        .iter()
        .flat_map(|key| key.lines().take_while(|line| !line.contains("END")));
    let lines = lines.filter(|line| line.len() > 20 && !line.starts_with("-----"));
    let passwords = [text(&kept[1], "password"), text(&kept[2], "password")];
    let all: Vec<&str> = lines.chain(passwords.iter().map(String::as_str)).collect();
    assert!(all.len() > passwords.len() + keys.len());
    keeps_secrets(&bench, &all);
}
