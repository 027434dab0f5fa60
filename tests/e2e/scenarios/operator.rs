//! The operator beside a real API server: what it makes of pipelines, keeps so, and takes down again. No pods run here.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/operating.rs"]
mod operating;
#[path = "support/oracles.rs"]
mod oracles;

use operating::{Bench, CHILDREN, CONFIG_MAPS, PATIENCE, STATEFUL_SETS, condition, kubernetes, spec};
use oracles::keeps_still;
use serde_json::{Value as Json, json};
use tocsin_e2e::User;
use tocsin_e2e::wait::until;

#[test]
fn a_pipeline_becomes_objects_and_a_status() {
    let bench = Bench::new("made");
    bench.apply("noc", spec());
    let pipeline = bench.wait_seen("noc");
    assert_eq!(condition(&pipeline, "Reconciling")["status"], "True", "{pipeline:#}");
    assert_eq!(condition(&pipeline, "Stalled")["status"], "False");
    assert_eq!(condition(&pipeline, "Ready")["status"], "False");
    for (place, name) in CHILDREN {
        let child = bench
            .find(place, name)
            .unwrap_or_else(|| panic!("{place} {name} is missing"));
        assert_eq!(
            child["metadata"]["labels"]["tocsin.dev/pipeline-uid"],
            pipeline["metadata"]["uid"]
        );
    }
    let set = bench.find(STATEFUL_SETS, "noc-workers").unwrap();
    assert_eq!(set["spec"]["replicas"], 2);
    let out = kubernetes()
        .kubectl(User::Admin, &["get", "ipl", "noc", "-n", "made", "--no-headers"])
        .unwrap();
    assert!(out.starts_with("noc   Deploying   False"), "{out}");
}

#[test]
fn the_log_is_json_with_a_line_for_each_change_and_none_for_a_look() {
    let mut bench = Bench::new("log");
    bench.operator.stop().unwrap();
    bench.operator = Bench::operator_with("log", "operator-1", None, &["--log-format", "json"]);
    bench.apply("noc", spec());
    bench.wait_seen("noc");
    keeps_still(&bench, "noc");
    let lines = || -> Vec<Json> {
        let said = bench.operator.process().said();
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let before = lines();
    for (place, name) in CHILDREN {
        let made = before.iter().filter(|line| line["object"] == name).count();
        // Objects of three kinds have the workers' name.
        let expected = CHILDREN.iter().filter(|(_, other)| *other == name).count();
        assert_eq!(made, expected, "{place} {name}: {before:#?}");
    }
    keeps_still(&bench, "noc");
    assert_eq!(lines(), before);
    bench.change("noc", json!({"workers": {"replicas": 3}}));
    bench.wait_seen("noc");
    let new = lines().split_off(before.len());
    let changed = new
        .iter()
        .filter(|line| line["object"] == "noc-workers" && line["kind"] == "StatefulSet");
    assert_eq!(changed.count(), 1, "{new:#?}");
}

#[test]
fn nothing_is_written_when_nothing_changed() {
    let bench = Bench::new("quiet");
    bench.apply("noc", spec());
    bench.wait_seen("noc");
    keeps_still(&bench, "noc");
}

#[test]
fn a_change_of_the_log_level_or_of_the_replicas_leaves_the_pods_as_they_are() {
    let bench = Bench::new("live");
    bench.apply("noc", spec());
    bench.wait_seen("noc");
    let template = || bench.find(STATEFUL_SETS, "noc-workers").unwrap()["spec"]["template"].clone();
    let before = template();
    bench.change("noc", json!({"workers": {"logging": {"level": "Debug"}}}));
    bench.wait_for("the new log level", || {
        let live = bench.find(CONFIG_MAPS, "noc-live")?;
        (live["data"]["log-level"] == "debug").then_some(live)
    });
    let scaled = kubernetes().kubectl(User::Admin, &["scale", "ipl", "noc", "--replicas=5", "-n", "live"]);
    scaled.unwrap();
    bench.wait_for("five replicas", || {
        let set = bench.find(STATEFUL_SETS, "noc-workers")?;
        (set["spec"]["replicas"] == 5).then_some(set)
    });
    assert_eq!(template(), before);
}

#[test]
fn what_cannot_be_built_is_said_with_its_path_and_mended_by_a_change() {
    let bench = Bench::new("wrong");
    let mut wrong = spec();
    wrong["stages"][0]["filter"] = "severiti + 1".into();
    bench.apply("noc", wrong);
    let pipeline = bench.wait("noc", "a stall", |pipeline| {
        condition(pipeline, "Stalled")["status"] == "True"
    });
    let stalled = condition(&pipeline, "Stalled");
    assert_eq!(stalled["reason"], "InvalidConfiguration");
    let message = stalled["message"].as_str().unwrap();
    assert!(message.contains("spec.stages[critical].filter"), "{message}");
    assert!(bench.find(STATEFUL_SETS, "noc-workers").is_none());
    bench.change("noc", json!({"stages": spec()["stages"]}));
    bench.wait("noc", "no stall", |pipeline| {
        condition(pipeline, "Stalled")["status"] == "False"
    });
    bench.wait_for("workers", || bench.find(STATEFUL_SETS, "noc-workers"));
}

#[test]
fn what_is_missing_is_named_and_awaited() {
    let bench = Bench::new("missing");
    let mut with_pager = spec();
    let pager =
        json!({"name": "pager", "from": "escalated", "webhook": {"urlSecretRef": {"name": "pager", "key": "url"}}});
    with_pager["sinks"].as_array_mut().unwrap().push(pager);
    bench.apply("noc", with_pager);
    let pipeline = bench.wait_seen("noc");
    let ready = condition(&pipeline, "Ready")["message"].as_str().unwrap().to_owned();
    assert!(ready.contains("the Secret pager does not exist"), "{ready}");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pager"}, "stringData": {"url": "https://example.com/x"},
    });
    bench
        .client
        .create("/api/v1/namespaces/missing/secrets", &secret)
        .unwrap();
    bench.wait_for("workers", || bench.find(STATEFUL_SETS, "noc-workers"));
}

#[test]
fn what_somebody_changes_or_removes_is_put_right() {
    let bench = Bench::new("tampered");
    bench.apply("noc", spec());
    bench.wait_seen("noc");
    let path = "/apis/apps/v1/namespaces/tampered/statefulsets/noc-workers";
    let change = json!({"spec": {"replicas": 9}, "metadata": {"labels": {"tocsin.dev/pipeline": "other"}}});
    bench.client.merge(path, &change).unwrap();
    bench.wait_for("the replicas and the label", || {
        let set = bench.client.get(path).ok()?;
        let is_right = set["spec"]["replicas"] == 2 && set["metadata"]["labels"]["tocsin.dev/pipeline"] == "noc";
        is_right.then_some(set)
    });
    let live = "/api/v1/namespaces/tampered/configmaps/noc-live";
    bench
        .client
        .merge(live, &json!({"data": {"log-level": "trace"}}))
        .unwrap();
    bench.wait_for("the log level", || {
        let live = bench.client.get(live).ok()?;
        (live["data"]["log-level"] == "info").then_some(live)
    });
    for (place, name) in CHILDREN {
        let before = bench.find(place, name).unwrap();
        let (api, kind) = place.rsplit_once('/').unwrap();
        bench
            .client
            .delete(&format!("{api}/namespaces/tampered/{kind}/{name}"))
            .unwrap();
        bench.wait_for(&format!("another {kind} {name}"), || {
            let found = bench.find(place, name)?;
            (found["metadata"]["uid"] != before["metadata"]["uid"]).then_some(found)
        });
    }
}

#[test]
fn a_pipeline_that_is_deleted_leaves_what_its_policy_says_and_names_it() {
    let bench = Bench::new("deleted");
    bench.apply("noc", spec());
    bench.wait_seen("noc");
    kubernetes()
        .kubectl(User::Admin, &["delete", "ipl", "noc", "-n", "deleted", "--timeout=60s"])
        .unwrap();
    bench.wait_for("nothing but the volume", || {
        let left = CHILDREN
            .iter()
            .filter(|(place, name)| bench.find(place, name).is_some());
        let left: Vec<&str> = left.map(|(_, name)| *name).collect();
        (left == ["noc-state"]).then_some(Json::Null)
    });
    let events = bench
        .client
        .get("/apis/events.k8s.io/v1/namespaces/deleted/events")
        .unwrap();
    let events = events["items"].as_array().unwrap();
    let last = events.iter().find(|event| event["reason"] == "Deleted").unwrap();
    assert!(
        last["note"]
            .as_str()
            .unwrap()
            .contains("kubectl delete pvc -n deleted noc-state"),
        "{last:#}"
    );
}

#[test]
fn what_is_somebody_elses_is_left_alone_and_named() {
    let bench = Bench::new("foreign");
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "noc-workers"},
        "spec": {"selector": {"app": "other"}, "ports": [{"name": "admin", "port": 9090, "targetPort": 1}]},
    });
    let services = "/api/v1/namespaces/foreign/services";
    bench.client.create(services, &service).unwrap();
    bench.apply("noc", spec());
    let pipeline = bench.wait("noc", "a stall", |pipeline| {
        condition(pipeline, "Stalled")["status"] == "True"
    });
    let message = condition(&pipeline, "Stalled")["message"].as_str().unwrap();
    assert!(
        message.contains("foreign/noc-workers") && message.contains("conflict"),
        "{message}"
    );
    let theirs = bench.client.get(&format!("{services}/noc-workers")).unwrap();
    assert_eq!(theirs["spec"]["selector"], json!({"app": "other"}));
    bench.client.delete(&format!("{services}/noc-workers")).unwrap();
    bench.wait("noc", "no stall", |pipeline| {
        condition(pipeline, "Stalled")["status"] == "False"
    });
}

#[test]
fn an_operator_for_some_labels_leaves_other_pipelines_alone() {
    let mut bench = Bench::new("selected");
    bench.operator.stop().unwrap();
    bench.operator = Bench::operator_with("selected", "operator-1", None, &["--selector", "team=noc"]);
    for name in ["other", "noc"] {
        let object = json!({
            "apiVersion": "tocsin.dev/v1alpha1", "kind": "IncidentPipeline",
            "metadata": {"name": name, "labels": {"team": name}}, "spec": spec(),
        });
        bench.client.create(&bench.path("incidentpipelines"), &object).unwrap();
    }
    bench.wait_seen("noc");
    bench.wait_for("workers", || bench.find(STATEFUL_SETS, "noc-workers"));
    keeps_still(&bench, "noc");
    assert!(bench.pipeline("other")["status"].is_null());
    assert!(bench.find(STATEFUL_SETS, "other-workers").is_none());
}

#[test]
fn who_gives_a_pipeline_up_gets_it_gone_and_is_told_what_may_be_left() {
    let bench = Bench::new("forced");
    let mut wanted = spec();
    // Nobody is there.
    wanted["kafka"] = json!({"bootstrapServers": "127.0.0.1:1"});
    wanted["deletionPolicy"] = json!({"kafka": "Delete", "takeSavepoint": false});
    bench.apply("noc", wanted);
    bench.wait_seen("noc");
    let path = format!("{}/noc", bench.path("incidentpipelines"));
    bench.client.delete(&path).unwrap();
    bench.wait("noc", "a word on what it waits for", |pipeline| {
        let message = condition(pipeline, "Reconciling")["message"]
            .as_str()
            .unwrap_or_default();
        message.contains("Kafka must say first")
    });
    let force = json!({"metadata": {"annotations": {"tocsin.dev/force-delete": "true"}}});
    bench.client.merge(&path, &force).unwrap();
    let gone = until("no pipeline", PATIENCE, || {
        Ok(bench.client.find(&path)?.is_none().then_some(()))
    });
    gone.unwrap();
    let events = bench
        .client
        .get("/apis/events.k8s.io/v1/namespaces/forced/events")
        .unwrap();
    let events = events["items"].as_array().unwrap().iter();
    let told: Vec<&str> = events
        .filter(|event| event["reason"] == "Deleted")
        .map(|event| event["note"].as_str().unwrap())
        .collect();
    assert!(told.iter().any(|note| note.contains("topics may stay")), "{told:?}");
}

#[test]
fn another_operator_goes_on_where_one_was_killed() {
    let bench = Bench::new("led");
    bench.apply("noc", spec());
    bench.wait_seen("noc");
    let second = Bench::operator("led", "operator-1", None);
    assert_eq!(second.metric("tocsin_operator_leader").unwrap(), Some(0.0));
    bench.operator.process().kill().unwrap();
    bench.change("noc", json!({"workers": {"replicas": 4}}));
    let waited = until("four replicas", PATIENCE, || {
        second.process().check()?;
        let set = bench.find(STATEFUL_SETS, "noc-workers").unwrap();
        Ok((set["spec"]["replicas"] == 4).then_some(()))
    });
    waited.unwrap();
    assert_eq!(second.metric("tocsin_operator_leader").unwrap(), Some(1.0));
}
