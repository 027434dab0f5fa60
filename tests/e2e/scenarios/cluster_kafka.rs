//! A Kafka of three nodes that the operator runs: it rolls without losing a record or its quorum, and grows and shrinks. And all that
//! the operator may do, it does for something.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/quickstart.rs"]
mod quickstart;
#[path = "support/rights.rs"]
mod rights;

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quickstart::{PATIENCE, Quickstart};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde_json::Value as Json;
use tocsin_contract::control::{ControlKind, ControlRecord};
use tocsin_e2e::wait::until;
use tocsin_e2e::{RigError, home};

const PIPELINE: &str = "
apiVersion: tocsin.dev/v1alpha1
kind: IncidentPipeline
metadata: {name: quickstart}
spec:
  sources: [{name: alerts, kafka: {topic: incident_alerts}, format: {type: Json}, eventTime: {field: ts, unit: Milliseconds}}]
  stages: [{name: critical, from: alerts, filter: \"severity = 'CRITICAL'\"}]
  sinks: [{name: found, from: critical, kafka: {topic: incident_escalations}}]
  kafka:
    pools: [{name: nodes, storage: {size: 1Gi, deleteClaim: true}}]
    partitions: 2
  workers: {resources: {requests: {cpu: 100m, memory: 128Mi}}}
  state: {storage: {volume: {size: 1Gi}}}
  deletionPolicy: {kafka: Delete, snapshots: Delete}
";

/// UIDs of the nodes' pods, and how many of them are ready.
fn nodes(quickstart: &Quickstart) -> Result<(BTreeSet<String>, usize), RigError> {
    let selector = "app.kubernetes.io/component=kafka,tocsin.dev/kafka-pool=nodes";
    let pods: Json = serde_json::from_str(
        &quickstart
            .cluster
            .kubectl(&["get", "pods", "-l", selector, "-o", "json"])?,
    )
    .unwrap();
    let pods = pods["items"].as_array().unwrap();
    let is_ready = |pod: &&Json| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let ready = conditions
            .into_iter()
            .any(|one| one["type"] == "Ready" && one["status"] == "True");
        ready && pod["metadata"]["deletionTimestamp"].is_null()
    };
    let uids = pods.iter().filter_map(|pod| pod["metadata"]["uid"].as_str());
    Ok((uids.map(str::to_owned).collect(), pods.iter().filter(is_ready).count()))
}

/// What is said of the Kafka.
fn said(quickstart: &Quickstart) -> Result<String, RigError> {
    let message = "jsonpath={.status.conditions[?(@.type==\"KafkaReady\")].message}";
    quickstart
        .cluster
        .kubectl(&["get", "incidentpipeline/quickstart", "-o", message])
}

/// All records that were written are there, once each.
fn are_there(quickstart: &Quickstart, login: &Path, written: usize) {
    let records = quickstart.records(login, "incident_alerts", written);
    assert_eq!(records.len(), written);
}

/// Each alert that the stage lets through came out, and once (O7), however Kafka was rolled meanwhile.
fn come_out_once(quickstart: &Quickstart, login: &Path) {
    let alerts = quickstart.records(login, "incident_alerts", 1);
    let mut expected: Vec<&Json> = alerts.iter().filter(|alert| alert["severity"] == "CRITICAL").collect();
    assert!(!expected.is_empty());
    let found = quickstart.records(login, "incident_escalations", expected.len());
    let fields: Vec<&String> = found[0].as_object().unwrap().keys().collect();
    let of_fields = |row: &Json| -> String {
        let known = fields.iter().filter(|field| !alerts[0][field.as_str()].is_null());
        known.map(|field| format!("{} ", row[field.as_str()])).collect()
    };
    let mut found: Vec<String> = found.iter().map(of_fields).collect();
    let mut expected: Vec<String> = expected.drain(..).map(of_fields).collect();
    found.sort();
    expected.sort();
    assert!(expected[0].len() > 10, "{:?}", expected[0]);
    assert_eq!(found.len(), expected.len(), "something was lost or came twice");
    assert!(found == expected, "other alerts came out");
}

/// A rule set and a model: the operator has a word on each.
const RULES: &str = "
apiVersion: tocsin.dev/v1alpha1
kind: IncidentRuleSet
metadata: {name: hot}
spec: {rules: [{id: hot, when: cpu > 90}]}
---
apiVersion: tocsin.dev/v1alpha1
kind: IncidentModel
metadata: {name: odd}
spec: {isolationForest: {}, features: [cpu], threshold: 0.6}
";

fn write(text: &str) -> String {
    let file = home::new_folder("objects").unwrap().join("objects.yaml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// Rules that a pipeline refers to go out on its control topic, signed by the operator.
fn rules_are_told(quickstart: &Quickstart) {
    let told = quickstart.records(&quickstart.own_login(), "quickstart.control", 1);
    let record: ControlRecord = serde_json::from_value(told[0].clone()).unwrap();
    assert_eq!((record.kind, record.name.as_str()), (ControlKind::Rules, "hot"));
    let payload: Json = serde_json::from_slice(&record.payload.0).unwrap();
    assert_eq!(payload["rules"][0]["when"], "cpu > 90");
    let keys = [
        "get",
        "secret/tocsin-operator-keys",
        "-n",
        "tocsin-system",
        "-o",
        r"jsonpath={.data.signing\.key}",
    ];
    let key = STANDARD.decode(quickstart.kubectl(&keys)).unwrap();
    let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key).unwrap();
    let public = UnparsedPublicKey::new(&ED25519, key.public_key().as_ref());
    public.verify(&record.signed_bytes(), &record.signature.0).unwrap();
}

fn first_revision(told: &[Json]) -> u64 {
    let first: ControlRecord = serde_json::from_value(told[0].clone()).unwrap();
    first.revision
}

/// What no change of the Kafka needs: savepoints that are read back and removed, another plan, rules, deletion.
fn do_the_rest(quickstart: &Quickstart) {
    let savepoint = r#""savepoint": {"verify": true, "historyMaxCount": 1, "disposeOnDelete": true}"#;
    quickstart.change(&format!(
        r#"{{"spec": {{"state": {{"savepointNonce": 1, {savepoint}}}}}}}"#
    ));
    let first = format!("isnap/{}", quickstart.savepoint(1));
    quickstart.kubectl(&[
        "wait",
        &first,
        "--for=jsonpath={.status.verified}=true",
        "--timeout=240s",
    ]);
    quickstart.change(r#"{"spec": {"state": {"savepointNonce": 2}}}"#);
    quickstart.kubectl(&["wait", &first, "--for=delete", "--timeout=240s"]);
    quickstart.let_in("carol");
    quickstart.kubectl(&["apply", "--as=carol", "-f", &write(RULES)]);
    quickstart.change(
        r#"{"spec": {"stages": [{"name": "critical", "from": "alerts", "filter": "severity = 'MAJOR'"},
            {"name": "hot", "from": "alerts", "alarm": {"by": ["service"], "rulesRef": {"name": "hot"}}}]}}"#,
    );
    rules_are_told(quickstart);
    // Another revision, told like the first; and who made both.
    let other = r#"{"spec": {"rules": [{"id": "hot", "when": "cpu > 95"}]}}"#;
    quickstart.kubectl(&[
        "patch",
        "--as=carol",
        "incidentruleset/hot",
        "--type=merge",
        "-p",
        other,
    ]);
    let told = quickstart.records(&quickstart.own_login(), "quickstart.control", 2);
    let record: ControlRecord = serde_json::from_value(told[1].clone()).unwrap();
    let payload: Json = serde_json::from_slice(&record.payload.0).unwrap();
    assert!(record.revision > first_revision(&told));
    assert_eq!(payload["rules"][0]["when"], "cpu > 95");
    let audited = until("who changed the rules", PATIENCE, || {
        let told = quickstart.records(&quickstart.own_login(), "quickstart.audit", 1);
        let of_rules = told.iter().filter(|record| record["kind"] == "IncidentRuleSet");
        let of_rules = of_rules.map(|record| (record["revision"].clone(), record["by"].clone()));
        let by = |revision: i32| (Json::from(revision), Json::from("carol"));
        Ok((of_rules.collect::<Vec<_>>() == [by(1), by(2)]).then_some(()))
    });
    quickstart.check("the audit of rules", audited);
    for object in ["incidentruleset/hot", "incidentmodel/odd"] {
        quickstart.kubectl(&[
            "wait",
            object,
            if object == "incidentruleset/hot" {
                "--for=jsonpath={.status.observedGeneration}=2"
            } else {
                "--for=jsonpath={.status.observedGeneration}=1"
            },
            "--timeout=60s",
        ]);
    }
    // Rules that nothing refers to any more go, and who asked for that is told.
    quickstart.change(
        r#"{"spec": {"state": {"allowNonRestoredState": true},
            "stages": [{"name": "critical", "from": "alerts", "filter": "severity = 'MAJOR'"}]}}"#,
    );
    quickstart.kubectl(&["delete", "--as=carol", "incidentruleset/hot"]);
    let told = until("who removed the rules", PATIENCE, || {
        let told = quickstart.records(&quickstart.own_login(), "quickstart.audit", 1);
        let is_it = |record: &Json| {
            let said = ["action", "kind", "name", "by"].map(|field| record[field].as_str().unwrap_or_default());
            said == ["Deleted", "IncidentRuleSet", "hot", "carol"]
        };
        Ok(told.iter().any(is_it).then_some(()))
    });
    quickstart.check("the end of rules", told);
    // Its topics stay, so who asked for the end is told there.
    quickstart.change(r#"{"spec": {"deletionPolicy": {"kafka": "Retain"}}}"#);
    let login = quickstart.own_login();
    quickstart.kubectl(&["delete", "--as=carol", "incidentpipeline/quickstart", "--timeout=180s"]);
    let told = quickstart.records(&login, "quickstart.audit", 1);
    let last = told.last().unwrap();
    let said = ["action", "kind", "by"].map(|field| last[field].as_str().unwrap());
    assert_eq!(said, ["Deleted", "IncidentPipeline", "carol"], "{last}");
}

/// The operator used each verb of its roles, and asked for nothing that it may not.
fn rights_are_used(quickstart: &Quickstart) {
    const ACCOUNT: &str = "system:serviceaccount:tocsin-system:tocsin";
    let rules = |role: &str| {
        let role = quickstart.kubectl(&["get", role, "-n", "tocsin-system", "-o", "json"]);
        let role: Json = serde_json::from_str(&role).unwrap();
        role["rules"].as_array().unwrap().clone()
    };
    let roles = ["clusterrole/tocsin", "clusterrole/tocsin-webhook", "role/tocsin-own"];
    let rules = roles.map(rules).concat();
    let asked = quickstart.cluster.api().audit().unwrap();
    let refused = rights::refused(&asked, ACCOUNT);
    assert!(refused.is_empty(), "{refused:?}");
    let unused = rights::unused(&rules, &asked, ACCOUNT);
    assert!(unused.is_empty(), "the operator may, and does not: {unused:#?}");
}

/// The limits of the pipeline's user are those of the spec, in Kafka itself.
fn limits_are_set(quickstart: &Quickstart) {
    let described = |wanted: &str| {
        let told = until("limits", PATIENCE, || {
            let command = ["exec", "quickstart-kafka-nodes-0", "--", "sh", "-c", DESCRIBE_LIMITS];
            let told = quickstart.cluster.kubectl(&command)?;
            Ok(told.contains(wanted).then_some(()))
        });
        quickstart.check("limits", told);
    };
    quickstart.change(r#"{"spec": {"kafka": {"user": {"producerByteRate": 50000000, "consumerByteRate": 60000000}}}}"#);
    described("consumer_byte_rate=6.0E7, producer_byte_rate=5.0E7");
    quickstart.change(r#"{"spec": {"kafka": {"user": {"producerByteRate": 50000000, "consumerByteRate": null}}}}"#);
    described("are producer_byte_rate=5.0E7");
}

/// As a node of Kafka sees them: it shows its own certificate.
const DESCRIBE_LIMITS: &str = r#"
cat >/tmp/node.properties <<EOF
security.protocol=SSL
ssl.keystore.type=PEM
ssl.keystore.location=/etc/kafka/tls/node.pem
ssl.truststore.type=PEM
ssl.truststore.location=/etc/kafka/tls/ca.crt
EOF
java -cp '/opt/kafka/libs/*' kafka.admin.ConfigCommand --bootstrap-server "$POD_NAME.$SERVICE:9091" \
    --command-config /tmp/node.properties --describe --entity-type users --entity-name quickstart
"#;

#[test]
fn a_kafka_rolls_under_load_and_its_pools_come_and_go() {
    // Whose webhook must be asked, or nothing is stored.
    let quickstart = Quickstart::with(&["webhook.failurePolicy=Fail"]);
    quickstart.kubectl(&["apply", "-f", &write(PIPELINE)]);
    quickstart.wait("--for=condition=Ready");
    let login = quickstart.secret("quickstart-kafka-client");
    quickstart.produce(&login, 2_000);
    let mut written = 2_000;

    // Another setting: each node is started anew, one after the other, and records come in all the while.
    let (before, _) = nodes(&quickstart).unwrap();
    let patch = r#"{"spec": {"kafka": {"config": {"log.segment.bytes": "104857600"}}}}"#;
    quickstart.kubectl(&["patch", "incidentpipeline/quickstart", "--type=merge", "-p", patch]);
    let rolled = until("three new nodes", A_ROLL, || {
        quickstart.produce(&login, 100);
        written += 100;
        let (now, ready) = nodes(&quickstart)?;
        assert!(ready >= 2, "{ready} nodes are ready");
        Ok((now.is_disjoint(&before) && now.len() == 3 && ready == 3).then_some(()))
    });
    quickstart.check("the roll", rolled);
    are_there(&quickstart, &login, written);
    come_out_once(&quickstart, &login);

    // The number of controllers stays, and why is said.
    let pools = |pools: &str| format!(r#"{{"spec": {{"kafka": {{"pools": [{pools}]}}}}}}"#);
    let nodes_of =
        |n: u32| format!(r#"{{"name": "nodes", "replicas": {n}, "storage": {{"size": "1Gi", "deleteClaim": true}}}}"#);
    let patch =
        |patch: &str| quickstart.kubectl(&["patch", "incidentpipeline/quickstart", "--type=merge", "-p", patch]);
    patch(&pools(&nodes_of(2)));
    let refused = until("a word on controllers", PATIENCE, || {
        Ok(said(&quickstart)?
            .contains("the number of controllers cannot change")
            .then_some(()))
    });
    quickstart.check("a smaller quorum", refused);
    assert_eq!(nodes(&quickstart).unwrap().0.len(), 3);

    // A pool more, that holds nothing, and goes again.
    let extra =
        r#"{"name": "extra", "roles": ["Broker"], "replicas": 1, "storage": {"size": "1Gi", "deleteClaim": true}}"#;
    let set = "statefulset/quickstart-kafka-extra";
    let add = || {
        patch(&pools(&format!("{}, {extra}", nodes_of(3))));
        let there = until("a broker more", PATIENCE, || {
            let ready = quickstart
                .cluster
                .kubectl(&["get", set, "-o", "jsonpath={.status.readyReplicas}"]);
            Ok(ready.is_ok_and(|ready| ready == "1").then_some(()))
        });
        quickstart.check("a pool more", there);
    };
    add();
    patch(&pools(&nodes_of(3)));
    let gone = until("no such pool", PATIENCE, || {
        let left = quickstart
            .cluster
            .kubectl(&["get", set, "--ignore-not-found", "-o", "name"])?;
        Ok(left.is_empty().then_some(()))
    });
    quickstart.check("a pool that goes", gone);
    // One that holds copies of partitions stays, and how it can go is said: also of a topic that comes with the same change.
    add();
    patch(&format!(
        r#"{{"spec": {{"kafka": {{"topics": [{{"name": "incidents_everywhere", "partitions": 2, "replicationFactor": 4}}],
            "pools": [{}]}}, "sinks": [{{"name": "found", "from": "critical", "kafka": {{"topic": "incidents_everywhere"}}}}]}}}}"#,
        nodes_of(3)
    ));
    let kept = until("a word on the broker", PATIENCE, || {
        Ok(said(&quickstart)?
            .contains("holds 2 copies of partitions, so it stays")
            .then_some(()))
    });
    quickstart.check("a broker that holds partitions", kept);
    quickstart.kubectl(&["get", set]);
    patch(&pools(&format!("{}, {extra}", nodes_of(3))));
    are_there(&quickstart, &login, written);
    quickstart.wait("--for=condition=Ready");
    limits_are_set(&quickstart);
    do_the_rest(&quickstart);
    rights_are_used(&quickstart);
}

/// Three nodes are started anew within this.
const A_ROLL: std::time::Duration = std::time::Duration::from_secs(420);
