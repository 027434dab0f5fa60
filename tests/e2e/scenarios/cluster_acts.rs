//! What users do with a running pipeline, on real pods: they pause it, suspend it, send it back to a snapshot, delete it and
//! apply it again; operators are killed, and the API server is away. What was counted before is counted on.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/quickstart.rs"]
mod quickstart;

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use quickstart::{BROKERS, PATIENCE, Quickstart, in_repository};
use rustix::process::Signal;
use tocsin_e2e::RigError;
use tocsin_e2e::home;
use tocsin_e2e::wait::until;

/// For so long nobody reaches the API server.
const BLACKOUT: Duration = Duration::from_secs(30);

/// Three alerts of a service within an hour escalate; these are some of them.
fn alert(quickstart: &Quickstart, login: &Path, service: &str, alerts: i64) {
    // Of now: behind a while without any, older ones would be late.
    let now = Timestamp::now().as_millisecond();
    let line = |n: i64| {
        format!(
            "{{\"ts\":{},\"service\":\"{service}\",\"severity\":\"CRITICAL\"}}\n",
            now + n
        )
    };
    let file = home::new_folder("alerts").unwrap().join("alerts.jsonl");
    std::fs::write(&file, (0..alerts).map(line).collect::<String>()).unwrap();
    let to = format!("{BROKERS}/incident_alerts");
    let (login, file) = (login.display().to_string(), file.display().to_string());
    let produced = quickstart.tocsin(&["produce", "--to", &to, "--login", &login, "--key", "service", &file]);
    quickstart.check("produce", produced);
}

/// Waits until these services have escalated, once each.
fn escalated(quickstart: &Quickstart, login: &Path, services: &[&str]) {
    let records = quickstart.records(login, "incident_escalations", services.len());
    let mut found: Vec<&str> = records
        .iter()
        .map(|record| record["service"].as_str().unwrap())
        .collect();
    found.sort_unstable();
    assert_eq!(found, services);
}

/// The quickstart, of which everything stays that can when it is deleted.
fn pipeline_that_leaves_all() -> String {
    let sample = std::fs::read_to_string(in_repository("samples/quickstart.yaml")).unwrap();
    let kept = sample
        .replace(
            "deletionPolicy: {kafka: Delete, snapshots: Delete}",
            "deletionPolicy: {takeSavepoint: true}",
        )
        .replace(", deleteClaim: true", "");
    assert!(
        kept.contains("takeSavepoint") && !kept.contains("deleteClaim"),
        "the sample is another one"
    );
    let file = home::new_folder("pipeline").unwrap().join("pipeline.yaml");
    std::fs::write(&file, kept).unwrap();
    file.display().to_string()
}

/// An operator that is killed in the midst of an upgrade is gone on for by the next. Workers need neither it nor the API server.
fn goes_on_without_the_operator_and_the_api_server(quickstart: &Quickstart, login: &Path) {
    let ask = |arguments: &[&str]| quickstart.cluster.kubectl(arguments);
    let savepoints = || ask(&["get", "isnap", "-o", "name"]).map(|names| names.matches("-ending-").count());
    let worker = || {
        ask(&[
            "get",
            "pod/quickstart-workers-0",
            "--ignore-not-found",
            "-o",
            "jsonpath={.metadata.uid}",
        ])
    };
    let (savepoints_before, worker_before) = (savepoints().unwrap(), worker().unwrap());
    let kill = || {
        quickstart.kubectl(&[
            "delete",
            "pod",
            "-n",
            "tocsin-system",
            "--all",
            "--grace-period=0",
            "--force",
        ])
    };
    // Another plan, by which the same is found.
    let patch = r#"{"spec": {"stages": [{"name": "critical", "from": "alerts", "filter": "severity IN ('CRITICAL', 'FATAL')"},
        {"name": "escalated", "from": "critical", "escalate": {"by": ["service"], "count": 3, "within": "1h", "severity": "ESCALATED"}}]}}"#;
    quickstart.kubectl(&["patch", "incidentpipeline/quickstart", "--type=merge", "-p", patch]);
    kill();
    let asked = until("a savepoint", PATIENCE, || {
        Ok((savepoints()? > savepoints_before).then_some(()))
    });
    quickstart.check("an operator that is killed at once", asked);
    kill();
    let stopped = until("other workers", PATIENCE, || {
        Ok((worker()? != worker_before).then_some(()))
    });
    quickstart.check("an operator that is killed behind the savepoint", stopped);
    kill();
    quickstart.wait("--for=jsonpath={.status.phase}=Running");
    quickstart.wait("--for=condition=Ready");
    alert(quickstart, login, "c", 3);
    escalated(quickstart, login, &["a", "b", "c"]);

    let api = quickstart.cluster.api().apiserver();
    api.signal(Signal::STOP).unwrap();
    let began = Instant::now();
    alert(quickstart, login, "d", 3);
    escalated(quickstart, login, &["a", "b", "c", "d"]);
    println!("an escalation without an API server after {:?}", began.elapsed());
    // Longer than the operator's lease; a node is given up after 40 s.
    let over = until("the end of the blackout", PATIENCE, || {
        Ok((began.elapsed() > BLACKOUT).then_some(()))
    });
    over.unwrap();
    api.signal(Signal::CONT).unwrap();
    quickstart.change(r#"{"spec": {"workers": {"threads": 2}}}"#);
    alert(quickstart, login, "e", 3);
    escalated(quickstart, login, &["a", "b", "c", "d", "e"]);
}

/// Both workers are started anew, and never are both away.
fn restarted_one_by_one(quickstart: &Quickstart) {
    let pods = || -> Result<(Vec<String>, usize), RigError> {
        let of =
            r#"jsonpath={range .items[*]}{.metadata.uid} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}"#;
        let selector = "app.kubernetes.io/component=workers";
        let all = quickstart.cluster.kubectl(&["get", "pods", "-l", selector, "-o", of])?;
        let ready = all.lines().filter(|line| line.ends_with(" True")).count();
        let uids = all
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(uid, _)| uid.to_owned());
        Ok((uids.collect(), ready))
    };
    let (before, _) = pods().unwrap();
    let patch = r#"{"spec": {"restartNonce": 1}}"#;
    quickstart.kubectl(&["patch", "incidentpipeline/quickstart", "--type=merge", "-p", patch]);
    let renewed = until("two new workers", PATIENCE, || {
        let (now, ready) = pods()?;
        assert!(ready >= 1, "no worker is ready");
        let are_new = now.len() == 2 && !now.iter().any(|uid| before.contains(uid));
        Ok((are_new && ready == 2).then_some(()))
    });
    quickstart.check("the restart", renewed);
}

/// The pipeline is suspended, and has no workers then.
fn suspend(quickstart: &Quickstart) {
    let patch = r#"{"spec": {"suspend": true}}"#;
    quickstart.kubectl(&["patch", "incidentpipeline/quickstart", "--type=merge", "-p", patch]);
    quickstart.wait("--for=jsonpath={.status.phase}=Suspended");
    let pods = ["get", "pods", "-l", "app.kubernetes.io/component=workers", "-o", "name"];
    let none = until("no worker", PATIENCE, || {
        Ok(quickstart.cluster.kubectl(&pods)?.trim().is_empty().then_some(()))
    });
    quickstart.check("the suspension", none);
}

#[test]
fn a_pipeline_is_paused_suspended_sent_back_deleted_and_gone_on_with() {
    // Another operator goes on soon where one was killed.
    let lease = "operator.leaderElection.";
    let quickstart = Quickstart::with(&[
        &format!("{lease}leaseDuration=5s"),
        &format!("{lease}renewal=500ms"),
        "operator.extraArgs[0]=--request-timeout=1s",
    ]);
    let file = pipeline_that_leaves_all();
    quickstart.kubectl(&["apply", "-f", &file]);
    quickstart.wait("--for=condition=Ready");
    let login = quickstart.secret("quickstart-kafka-client");

    // While it is paused the operator leaves everything as it is.
    let replicas = || {
        quickstart.kubectl(&[
            "get",
            "statefulset/quickstart-workers",
            "-o",
            "jsonpath={.spec.replicas}",
        ])
    };
    quickstart.kubectl(&["annotate", "incidentpipeline/quickstart", "tocsin.dev/pause=true"]);
    let reason = r#"{.status.conditions[?(@.type=="Reconciling")].reason}"#;
    quickstart.wait(&format!("--for=jsonpath={reason}=Paused"));
    quickstart.kubectl(&["scale", "incidentpipeline/quickstart", "--replicas=2"]);
    // The workers go on, and two more seconds go by.
    alert(&quickstart, &login, "a", 2);
    assert_eq!(replicas(), "1");
    quickstart.kubectl(&["annotate", "incidentpipeline/quickstart", "tocsin.dev/pause-"]);
    quickstart.wait("--for=jsonpath={.status.workers.readyReplicas}=2");

    restarted_one_by_one(&quickstart);

    // It is suspended with a savepoint, and goes on with it.
    suspend(&quickstart);
    quickstart.change(r#"{"spec": {"suspend": false}}"#);
    alert(&quickstart, &login, "a", 1);
    escalated(&quickstart, &login, &["a"]);

    // Back to a savepoint: what came since is read again.
    quickstart.change(r#"{"spec": {"state": {"savepointNonce": 1, "savepoint": {"schedule": "* * * * *"}}}}"#);
    let asked = quickstart.savepoint(1);
    quickstart.kubectl(&[
        "wait",
        &format!("isnap/{asked}"),
        "--for=condition=Complete",
        "--timeout=240s",
    ]);
    alert(&quickstart, &login, "b", 2);
    let from = format!(r#"{{"snapshotRef": {{"name": "{asked}"}}, "mode": "Rewind"}}"#);
    quickstart.change(&format!(
        r#"{{"spec": {{"state": {{"restoreFrom": {from}, "restoreNonce": 1}}}}}}"#
    ));
    alert(&quickstart, &login, "b", 1);
    escalated(&quickstart, &login, &["a", "b"]);

    goes_on_without_the_operator_and_the_api_server(&quickstart, &login);

    // A minute has passed, and its savepoint was taken.
    let scheduled = until("a savepoint by the time table", PATIENCE, || {
        let of_schedule = "tocsin.dev/snapshot.trigger=Schedule";
        let states = "jsonpath={.items[*].status.state}";
        let states = quickstart
            .cluster
            .kubectl(&["get", "isnap", "-l", of_schedule, "-o", states])?;
        Ok(states.contains("Completed").then_some(()))
    });
    quickstart.check("the time table", scheduled);

    // It is deleted, with a last savepoint. What stays is named, and taken over by the next of that name.
    alert(&quickstart, &login, "f", 2);
    quickstart.kubectl(&["delete", "incidentpipeline/quickstart", "--timeout=180s"]);
    let events = [
        "get",
        "events",
        "--field-selector=reason=Deleted",
        "-o",
        "jsonpath={.items[*].message}",
    ];
    let told = quickstart.kubectl(&events);
    assert!(
        told.contains("quickstart-state") && told.contains("kubectl delete"),
        "{told}"
    );
    quickstart.kubectl(&["get", "pvc/quickstart-state"]);
    quickstart.kubectl(&["apply", "-f", &file]);
    quickstart.wait("--for=condition=Ready");
    let login = quickstart.secret("quickstart-kafka-client");
    alert(&quickstart, &login, "f", 1);
    escalated(&quickstart, &login, &["a", "b", "c", "d", "e", "f"]);

    // Nothing comes out of a run that was ended; who applies a pipeline again that was suspended gets the next one.
    alert(&quickstart, &login, "g", 2);
    suspend(&quickstart);
    quickstart.kubectl(&["delete", "incidentpipeline/quickstart", "--timeout=180s"]);
    quickstart.kubectl(&["apply", "-f", &file]);
    quickstart.wait("--for=condition=Ready");
    let login = quickstart.secret("quickstart-kafka-client");
    alert(&quickstart, &login, "g", 1);
    escalated(&quickstart, &login, &["a", "b", "c", "d", "e", "f", "g"]);
}
