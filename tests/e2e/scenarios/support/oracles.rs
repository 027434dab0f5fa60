//! What must hold whatever was done to the operator, asked of real objects: each written once, for all scenarios.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tocsin_contract::conditions;
use tocsin_e2e::wait::until;
use tocsin_e2e::{Operator, RigError, User};

use crate::operating::{Bench, PATIENCE, kubernetes};

/// Collections of all that the operator makes of a pipeline whose Kafka is its user's own.
pub const COLLECTIONS: [&str; 8] = [
    "/api/v1/serviceaccounts",
    "/api/v1/configmaps",
    "/api/v1/secrets",
    "/api/v1/persistentvolumeclaims",
    "/api/v1/services",
    "/apis/networking.k8s.io/v1/networkpolicies",
    "/apis/policy/v1/poddisruptionbudgets",
    "/apis/apps/v1/statefulsets",
];

/// All that the operator made, and what it says: by collection and name.
pub type State = BTreeMap<String, Json>;

/// The operator holds no more memory than this with the few pipelines of a scenario.
const MOST_MEMORY: u64 = 200 << 20;

/// Objects that were made of a pipeline.
pub fn children(bench: &Bench, pipeline: &str) -> Result<Vec<(String, Json)>, RigError> {
    let mut all = Vec::new();
    for collection in COLLECTIONS {
        let (api, plural) = collection.rsplit_once('/').unwrap();
        let selector = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Dtocsin-operator%2Ctocsin.dev%2Fpipeline";
        let path = format!("{api}/namespaces/{}/{plural}?{selector}%3D{pipeline}", bench.namespace);
        let list = bench.client.get(&path)?;
        let named = |object: &Json| {
            (
                format!("{plural}/{}", object["metadata"]["name"].as_str().unwrap()),
                object.clone(),
            )
        };
        all.extend(list["items"].as_array().unwrap().iter().map(named));
    }
    Ok(all)
}

/// All that was made of a pipeline and what is said of it, without what differs from run to run: equal states are the same
/// for a user.
pub fn state(bench: &Bench, name: &str) -> Result<State, RigError> {
    let mut all = BTreeMap::new();
    let pipeline = bench.pipeline(name);
    let uid = pipeline["metadata"]["uid"].as_str().unwrap().to_owned();
    for (child, object) in children(bench, name)? {
        let is_secret = child.starts_with("secrets/");
        let kept = json!({
            "labels": object["metadata"]["labels"],
            "spec": object["spec"],
            // Keys and certificates are new each time.
            "data": if is_secret { Json::Null } else { object["data"].clone() },
            "annotations": object["metadata"]["annotations"].get("tocsin.dev/run"),
        });
        let text = kept
            .to_string()
            .replace(&uid, "UID")
            .replace(&bench.namespace, "NAMESPACE");
        let mut kept: Json = serde_json::from_str(&text).unwrap();
        for given in ["clusterIP", "clusterIPs", "volumeName"] {
            kept["spec"].as_object_mut().map(|spec| spec.remove(given));
        }
        all.insert(child, kept);
    }
    let conditions = pipeline["status"]["conditions"].as_array().cloned().unwrap_or_default();
    for condition in conditions {
        let kind = condition["type"].as_str().unwrap();
        all.insert(
            format!("condition/{kind}"),
            json!([condition["status"], condition["reason"]]),
        );
    }
    all.insert("finalizers".to_owned(), pipeline["metadata"]["finalizers"].clone());
    Ok(all)
}

/// It comes to the same as where nothing went wrong (O1), whichever way it went there (O4), without anybody's help (O5); and
/// all that is said on the way is of the closed lists (O9), in bounds (O10).
pub fn comes_to(bench: &Bench, name: &str, what: &str, expected: &State) {
    let mut last = BTreeMap::new();
    let same = until(what, PATIENCE, || {
        bench.operator.process().check()?;
        last = state(bench, name)?;
        Ok((last == *expected).then_some(()))
    });
    if let Err(error) = same {
        let wrong = expected.iter().filter(|(name, object)| last.get(*name) != Some(object));
        let wrong: Vec<String> = wrong
            .map(|(name, object)| format!("{name}: {object}\n  is: {:?}", last.get(name)))
            .collect();
        let more: Vec<&String> = last.keys().filter(|name| !expected.contains_key(*name)).collect();
        panic!(
            "{what}: {error}\n{}\nmore: {more:?}\n{}",
            wrong.join("\n"),
            bench.operator.process().last_lines()
        );
    }
    says_only_what_is_listed(&bench.pipeline(name));
    stays_small(&bench.operator);
}

/// What is said of a pipeline follows what its objects and their controllers do; so it is written so many times more.
const STATUSES: usize = 4;

/// No more than so many changes of each object that was made of a pipeline were asked for (O2), by whom the API server knows
/// by this name.
pub fn changes_within(bench: &Bench, user: &str, most: usize) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for asked in kubernetes().audit().unwrap() {
        let is_child = asked.changes() && asked.user == user && asked.namespace == bench.namespace;
        if is_child && asked.code < 300 && !matches!(asked.resource.as_str(), "events" | "leases") {
            *counts
                .entry(format!("{}/{} {}", asked.resource, asked.name, asked.verb))
                .or_default() += 1;
        }
    }
    let is_many = |(name, count): &(String, usize)| {
        let allowed = if name.starts_with("incidentpipelines/") {
            most + STATUSES
        } else {
            most
        };
        *count > allowed
    };
    let many: Vec<_> = counts.into_iter().filter(is_many).collect();
    assert!(many.is_empty(), "changed more than {most} times: {many:?}");
}

/// Nobody writes anything any more (O3): two looks at everything in a row find all versions as they were, and the operator
/// asked for no change but those of its lease.
pub fn keeps_still(bench: &Bench, name: &str) {
    let version = |object: &Json| object["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let versions = || -> Result<Vec<String>, RigError> {
        let children = children(bench, name)?;
        let asked = kubernetes().audit()?.into_iter();
        let writes = asked.filter(|asked| {
            let is_ours = asked.user == User::Operator.name() && asked.namespace == bench.namespace;
            is_ours && asked.changes() && asked.resource != "leases"
        });
        Ok(children
            .iter()
            .map(|(_, child)| version(child))
            .chain([version(&bench.pipeline(name)), writes.count().to_string()])
            .collect())
    };
    let looks = || {
        let name = "tocsin_operator_reconciles_total{kind=\"IncidentPipeline\",outcome=\"done\"}";
        Ok::<f64, RigError>(bench.operator.metric(name)?.unwrap_or(0.0))
    };
    // Controllers write statuses of their own at first.
    let mut before = (versions().unwrap(), looks().unwrap());
    let quiet = until("two looks without a change", PATIENCE, || {
        if looks()? < before.1 + 2.0 {
            return Ok(None);
        }
        let now = (versions()?, looks()?);
        let same = now.0 == before.0;
        before = now;
        Ok(same.then_some(()))
    });
    quiet.unwrap();
}

/// No secret is in what anybody can read: logs, metrics, events and what is said of pipelines (O8).
pub fn keeps_secrets(bench: &Bench, secrets: &[&str]) {
    let read = |path: String| bench.client.get(&path).unwrap().to_string();
    let mut places = vec![
        ("the log", bench.operator.process().said()),
        ("the metrics", bench.operator.get("/metrics").unwrap().1),
        (
            "events",
            read(format!("/apis/events.k8s.io/v1/namespaces/{}/events", bench.namespace)),
        ),
    ];
    for kind in [
        "incidentpipelines",
        "pipelinesnapshots",
        "incidentrulesets",
        "incidentmodels",
    ] {
        places.push((kind, read(bench.path(kind))));
    }
    // Where the workers' settings are, and all objects but those that are made to hold secrets.
    for collection in COLLECTIONS
        .iter()
        .filter(|collection| !collection.ends_with("/secrets"))
    {
        let (api, plural) = collection.rsplit_once('/').unwrap();
        places.push((plural, read(format!("{api}/namespaces/{}/{plural}", bench.namespace))));
    }
    for (place, text) in &places {
        assert!(!text.is_empty(), "{place}: there is nothing to look at");
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is in {place}");
        }
    }
}

/// Each condition's reason is one of the closed list, and its message says something (O9).
pub fn says_only_what_is_listed(object: &Json) {
    for condition in object["status"]["conditions"].as_array().into_iter().flatten() {
        let text = |field: &str| condition[field].as_str().unwrap_or_default();
        assert!(
            conditions::is_known(text("type"), text("reason")),
            "{condition} is of no list"
        );
        assert!(!text("message").trim().is_empty(), "{condition} says nothing");
    }
}

/// Memory and what waits are bounded (O10).
pub fn stays_small(operator: &Operator) {
    let memory = operator.process().resident_memory().unwrap();
    assert!(memory < MOST_MEMORY, "the operator holds {memory} bytes");
    let waits = until("a queue that empties", Duration::from_secs(30), || {
        let depth = operator.metric("tocsin_operator_queue_depth")?.unwrap_or(0.0);
        Ok((depth < 10.0).then_some(()))
    });
    waits.unwrap();
}
