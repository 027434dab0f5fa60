//! Whatever a spec says: the API server refuses it with the field's path, or it is brought about, or it is said why not; and
//! all is well again when the spec is as it was.
//!
//! The specs are made from the schema: each field gets what its type, its bounds and its choices do not foresee.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/operating.rs"]
mod operating;
#[path = "support/oracles.rs"]
mod oracles;

use operating::{Bench, PATIENCE, STATEFUL_SETS, condition, kubernetes, spec};
use oracles::{State, comes_to, keeps_still, says_only_what_is_listed, state};
use serde_json::{Value as Json, json};
use tocsin_e2e::User;
use tocsin_e2e::wait::until;

/// A step of the way to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    /// The first of a list.
    First,
}

/// A change of the spec: a field, and what becomes of it. `None` takes it away.
#[derive(Debug, Clone)]
struct Change {
    way: Vec<Step>,
    to: Option<Json>,
}

impl Change {
    /// `spec.workers.replicas = -1`.
    fn told(&self) -> String {
        let value = self.to.as_ref().map_or("(removed)".to_owned(), Json::to_string);
        format!("{} = {value:.120}", self.path())
    }

    fn path(&self) -> String {
        let mut path = "spec".to_owned();
        for step in &self.way {
            match step {
                Step::Field(name) => path = format!("{path}.{name}"),
                Step::First => path.push_str("[0]"),
            }
        }
        path
    }

    /// The first part of the path, which a refusal names at least: a rule of an object names the object.
    fn part(&self) -> String {
        match self.way.first() {
            Some(Step::Field(name)) => format!("spec.{name}"),
            _ => "spec".to_owned(),
        }
    }

    fn made_to(&self, spec: &Json) -> Json {
        let mut changed = spec.clone();
        let mut at = &mut changed;
        let Some((last, way)) = self.way.split_last() else {
            return changed;
        };
        for step in way {
            at = go(at, step);
        }
        match (&self.to, last) {
            (Some(value), _) => *go(at, last) = value.clone(),
            (None, Step::Field(name)) => {
                at.as_object_mut().map(|object| object.remove(name));
            }
            (None, Step::First) => {
                at.as_array_mut().map(|all| (!all.is_empty()).then(|| all.remove(0)));
            }
        }
        changed
    }
}

/// One step, through what is not there yet.
fn go<'a>(at: &'a mut Json, step: &Step) -> &'a mut Json {
    match step {
        Step::Field(name) => {
            if !at.is_object() {
                *at = json!({});
            }
            &mut at[name]
        }
        Step::First => {
            if at.as_array().is_none_or(Vec::is_empty) {
                *at = json!([null]);
            }
            &mut at[0]
        }
    }
}

/// All fields that hold a value, with their schemas.
fn fields(schema: &Json, way: &[Step], found: &mut Vec<(Vec<Step>, Json)>) {
    let with = |step: Step| way.iter().cloned().chain([step]).collect::<Vec<_>>();
    if let Some(properties) = schema["properties"].as_object() {
        if !way.is_empty() {
            found.push((way.to_vec(), json!({"type": "object"})));
        }
        for (name, schema) in properties {
            fields(schema, &with(Step::Field(name.clone())), found);
        }
    } else if schema["type"] == "array" {
        found.push((way.to_vec(), json!({"type": "array"})));
        fields(&schema["items"], &with(Step::First), found);
    } else if schema["additionalProperties"].is_object() {
        fields(
            &schema["additionalProperties"],
            &with(Step::Field("a.b/c".to_owned())),
            found,
        );
    } else {
        found.push((way.to_vec(), schema.clone()));
    }
}

/// What a field of this schema is not made for, or only just.
fn values(schema: &Json) -> Vec<Option<Json>> {
    let mut values = vec![None, Some(Json::Null)];
    let mut add = |value: Json| values.push(Some(value));
    for choice in schema["enum"].as_array().into_iter().flatten() {
        add(choice.clone());
    }
    match schema["type"].as_str() {
        Some("integer" | "number") => {
            let bounds = [schema["minimum"].as_i64(), schema["maximum"].as_i64()];
            for bound in bounds.into_iter().flatten() {
                add(json!(bound - 1));
                add(json!(bound));
                add(json!(bound + 1));
            }
            add(json!(2_147_483_647_i64));
            add(json!(-1));
            add(json!("many"));
        }
        Some("boolean") => {
            add(json!(true));
            add(json!(false));
            add(json!("yes"));
        }
        Some("array") => add(json!([])),
        Some("object") => add(json!({})),
        // Text, and what is text or a number.
        _ => {
            add(json!(""));
            add(json!("x".repeat(300)));
            add(json!("überall ✂"));
            add(json!("5 parsecs"));
            add(json!("465458732Gi"));
            add(json!("0s"));
            add(json!("a"));
            add(json!(["../../etc/passwd"]));
        }
    }
    values
}

/// What each is fine by itself and wrong together.
fn pairs() -> Vec<Json> {
    let with = |change: Json| {
        let mut all = spec();
        for (name, value) in change.as_object().unwrap() {
            all[name] = value.clone();
        }
        all
    };
    let source = spec()["sources"][0].clone();
    let mut two = source.clone();
    two["file"] = json!({"path": "/tmp/a"});
    vec![
        with(json!({"sources": [source.clone(), source]})),
        with(json!({"sources": [two]})),
        with(json!({"autoscaling": {"mode": "Active", "minReplicas": 9, "maxReplicas": 3}})),
        with(json!({"autoscaling": {"mode": "Active", "minReplicas": 1, "maxReplicas": 3}})),
        with(json!({"infrastructure": {"provider": "Heat"}})),
        with(json!({"upgrade": {"mode": "Stateless"}})),
        with(json!({"workers": {"replicas": 2, "resources": {"requests": {"cpu": "4"}, "limits": {"cpu": "1"}}}})),
        with(json!({"workers": {"replicas": 2, "resources": {"requests": {"memory": "465458732Gi"}}}})),
        with(json!({"kafka": {"mode": "External"}})),
        with(json!({"kafka": {"mode": "Managed", "bootstrapServers": "kafka:9092"}})),
        with(
            json!({"stages": [{"name": "a", "from": "b", "filter": "x > 1"}, {"name": "b", "from": "a", "filter": "x > 1"}]}),
        ),
        with(json!({"sinks": []})),
        with(json!({"state": {"restoreFrom": {"path": "s3://a/b", "snapshotRef": {"name": "c"}}}})),
        with(json!({"suspend": true, "workers": {"replicas": 0}})),
        json!({}),
        json!("a"),
    ]
}

/// The status of the answer, and what it says.
fn put(bench: &Bench, spec: &Json) -> (u16, Json) {
    let path = format!("{}/noc", bench.path("incidentpipelines"));
    let change = json!([{"op": "replace", "path": "/spec", "value": spec}]);
    let change = Some(("application/json-patch+json", &change));
    bench.client.send("PATCH", &path, change).unwrap()
}

/// What is asked for and taken is brought about, or what it waits for is said.
fn is_followed(bench: &Bench, what: &str) {
    let followed = until(what, PATIENCE, || {
        let pipeline = bench.pipeline("noc");
        let reconciling = condition(&pipeline, "Reconciling");
        let waits = reconciling["reason"] == "Waiting" || reconciling["reason"] == "Upgrading";
        let words = condition(&pipeline, "Ready")["message"].as_str().unwrap_or_default();
        let wanted = &pipeline["status"]["workers"]["desiredReplicas"];
        let has = bench
            .find(STATEFUL_SETS, "noc-workers")
            .map(|set| set["spec"]["replicas"].clone());
        let is_so = has.as_ref() == Some(wanted) && condition(&pipeline, "Stalled")["status"] == "False";
        Ok((is_so || (waits && !words.is_empty())).then_some(()))
    });
    followed.unwrap_or_else(|error| panic!("{what}: {error}: {:#}", bench.pipeline("noc")["status"]));
}

/// Puts a spec, and back what was. Whether the API server took it.
fn is_survived(bench: &Bench, what: &str, part: &str, spec: &Json, seed: &State) -> bool {
    let (status, answer) = put(bench, spec);
    let message = answer["message"].as_str().unwrap_or_default();
    if status >= 400 {
        assert!(matches!(status, 400 | 422), "{what}: {status} {message}");
        assert!(message.contains(part), "{what}: it is not said where: {message}");
        return false;
    }
    let pipeline = bench.wait_seen("noc");
    says_only_what_is_listed(&pipeline);
    let stalled = condition(&pipeline, "Stalled");
    if stalled["reason"] == "InvalidConfiguration" {
        let message = stalled["message"].as_str().unwrap();
        assert!(message.contains("spec"), "{what}: it is not said where: {message}");
    }
    if stalled["status"] != "True" {
        is_followed(bench, what);
    }
    let (status, answer) = put(bench, &self::spec());
    if status == 422 {
        // What is so for good: then it is said, and another pipeline is as good as ever.
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(message.contains(part), "{what}: it is not said where: {message}");
        let delete = [
            "delete",
            "ipl,pvc",
            "--all",
            "-n",
            bench.namespace.as_str(),
            "--timeout=60s",
        ];
        kubernetes().kubectl(User::Admin, &delete).unwrap();
        bench.apply("noc", self::spec());
    } else {
        assert_eq!(status, 200, "{what}: {answer}");
    }
    comes_to(bench, "noc", what, seed);
    true
}

#[test]
fn whatever_a_spec_says_is_refused_with_its_path_or_explained_and_all_is_well_when_it_is_put_back() {
    let bench = Bench::new("specs");
    bench.apply("noc", spec());
    bench.wait_seen("noc");
    let seed = state(&bench, "noc").unwrap();
    let crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/incidentpipelines.tocsin.dev";
    let crd = bench.client.get(crd).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut found = Vec::new();
    fields(schema, &[], &mut found);
    let mut changes = Vec::new();
    for (way, schema) in &found {
        let changed = values(schema).into_iter().map(|to| Change { way: way.clone(), to });
        changes.extend(changed);
    }
    assert!(changes.len() >= 300, "{} specs are too few", changes.len());
    // Of the short form each so-and-so-many-th, so that all kinds of field come in.
    let every = if std::env::var("TOCSIN_TEST").is_ok_and(|form| form == "full") {
        1
    } else {
        23
    };
    let (mut taken, mut refused) = (0, 0);
    for change in changes.iter().step_by(every) {
        let changed = change.made_to(&spec());
        if changed == spec() {
            continue;
        }
        match is_survived(&bench, &change.told(), &change.part(), &changed, &seed) {
            true => taken += 1,
            false => refused += 1,
        }
    }
    for changed in pairs() {
        match is_survived(&bench, &format!("{changed:.200}"), "spec", &changed, &seed) {
            true => taken += 1,
            false => refused += 1,
        }
    }
    assert!(taken > 10 && refused > 30, "{taken} were taken, {refused} refused");
    // A flood of wishes, each newer than the last.
    for nonce in 1..=50 {
        let mut flood = spec();
        flood["restartNonce"] = nonce.into();
        assert_eq!(put(&bench, &flood).0, 200);
    }
    bench.wait_seen("noc");
    assert_eq!(put(&bench, &spec()).0, 200);
    comes_to(&bench, "noc", "after a flood", &seed);
    keeps_still(&bench, "noc");
    eprintln!("{taken} specs were taken, {refused} refused");
}
