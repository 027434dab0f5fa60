//! Tocsin as users install it: Helm, images, real pods, a Kafka that the operator runs.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/operating.rs"]
mod operating;
#[path = "support/oracles.rs"]
mod oracles;
#[path = "support/quickstart.rs"]
mod quickstart;

use std::path::Path;
use std::process::Command;

use oracles::says_only_what_is_listed;
use quickstart::{BROKERS, PATIENCE, Quickstart, in_repository};
use serde_json::Value as Json;
use tocsin_e2e::home;
use tocsin_e2e::wait::until;

/// Each change of the pipeline is told of, with who made it. Only the pipeline itself reads that.
fn audited(quickstart: &Quickstart, login: &Path) {
    let told = quickstart.records(&quickstart.own_login(), "quickstart.audit", 4);
    let revisions: Vec<i64> = told.iter().filter_map(|record| record["revision"].as_i64()).collect();
    assert_eq!(revisions, [1, 2, 3, 4]);
    // The second change was `kubectl scale`.
    let by: Vec<&Json> = told.iter().map(|record| &record["by"]).collect();
    assert_eq!(by, ["alice", "bob", "admin", "admin"], "{told:?}");
    assert!(told.iter().all(|record| record["action"] == "Stored"), "{told:?}");
    assert_eq!(
        told[3]["spec"]["stages"][0]["filter"],
        "severity IN ('CRITICAL', 'MAJOR')"
    );
    let from = format!("{BROKERS}/quickstart.audit");
    let refused = quickstart.tocsin(&["consume", "--from", &from, "--login", &login.display().to_string()]);
    assert!(refused.is_err(), "{refused:?}");
}

/// Nobody writes another user's name on a pipeline, and what cannot work is not stored.
fn is_refused_or_forged(quickstart: &Quickstart) {
    let pipeline = "incidentpipeline/quickstart";
    let by = r"jsonpath={.metadata.annotations.tocsin\.dev/changed-by}";
    let changed_by = || quickstart.kubectl(&["get", pipeline, "-o", by]);
    assert_eq!(changed_by(), "alice");
    let forged = "tocsin.dev/changed-by=mallory";
    quickstart.kubectl(&["annotate", "--as=bob", pipeline, "--overwrite", forged]);
    assert_eq!(changed_by(), "alice");
    let filter = r#"[{"op": "replace", "path": "/spec/stages/0/filter", "value": "severity = "}]"#;
    let refused = quickstart
        .cluster
        .kubectl(&["patch", pipeline, "--type=json", "-p", filter]);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("spec.stages[critical].filter"), "{refused}");
    // What only a cluster refuses, `tocsin check --cluster` says before, in the same words.
    for (path, value, says) in REFUSED {
        let change = format!(r#"[{{"op": "replace", "path": "{path}", "value": {value}}}]"#);
        let patch = ["patch", pipeline, "--type=json", "--dry-run=server", "-p", &change];
        let refused = quickstart.cluster.kubectl(&patch).unwrap_err().to_string();
        assert!(refused.contains(says), "{path}: {refused}");
        let file = home::new_folder("refused").unwrap().join("quickstart.yaml");
        std::fs::write(&file, changed_sample(path, value)).unwrap();
        let checked = quickstart.tocsin(&["check", "--cluster", file.to_str().unwrap()]);
        let checked = checked.unwrap_err().to_string();
        assert!(checked.contains(says), "{path}: {checked}");
    }
}

/// Changes of the sample: where, to what, and what is said of it.
const REFUSED: [(&str, &str, &str); 4] = [
    (
        "/spec/sources/0",
        r#"{"name": "alerts", "stdin": {}, "format": {"type": "Json"}, "eventTime": {"field": "ts", "unit": "Milliseconds"}}"#,
        "spec.sources[alerts].stdin",
    ),
    ("/spec/autoscaling", r#"{"mode": "Active"}"#, "spec.autoscaling.mode"),
    ("/spec/upgrade", r#"{"mode": "Stateless"}"#, "spec.upgrade.mode"),
    (
        "/spec/stages/0/filter",
        r#""severity + 1""#,
        "spec.stages[critical].filter",
    ),
];

/// The sample with a value of it replaced.
fn changed_sample(path: &str, value: &str) -> String {
    let sample = std::fs::read_to_string(in_repository("samples/quickstart.yaml")).unwrap();
    let mut sample: Json = serde_yaml_ng::from_str(&sample).unwrap();
    let value: Json = serde_json::from_str(value).unwrap();
    let (outer, name) = path.rsplit_once('/').unwrap();
    match sample.pointer_mut(outer).unwrap() {
        Json::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        object => object[name] = value,
    }
    sample.to_string()
}

/// The live page, by port-forward as the status says it, for those who have the token.
fn page_is_served(quickstart: &Quickstart) {
    let forward = quickstart.kubectl(&[
        "get",
        "incidentpipeline/quickstart",
        "-o",
        "jsonpath={.status.endpoints.page}",
    ]);
    let arguments = forward.strip_prefix("kubectl ").unwrap().replace("9090", ":9090");
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let forward = quickstart.cluster.start_kubectl(&arguments).unwrap();
    let port = until("a port", PATIENCE, || {
        let said = forward.said();
        let port = said.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next());
        Ok(port.map(str::to_owned))
    });
    let port = quickstart.check("port-forward", port);
    let token = std::fs::read_to_string(quickstart.secret("quickstart-admin").join("token")).unwrap();
    let ask = |login: &str| {
        let address = format!("https://localhost:{port}/");
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--insecure",
            "--user",
            login,
            "--write-out",
            "%{http_code}",
            &address,
        ]);
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    };
    let page = ask(&format!("anybody:{token}"));
    assert!(page.contains("<html") && page.ends_with("200"), "{page}");
    assert!(ask("anybody:guessed").ends_with("401"));
}

/// Both samples in one stream, as the README pipes them: alerts go in, and escalations come out.
fn events_go_through(quickstart: &Quickstart) {
    let samples = ["consume", "produce"].map(|name| in_repository(&format!("samples/kubernetes/{name}.yaml")));
    let text: String = samples
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let file = home::new_folder("samples").unwrap().join("samples.yaml");
    std::fs::write(&file, text).unwrap();
    quickstart.kubectl(&["apply", "-f", file.to_str().unwrap()]);
    quickstart.kubectl(&["wait", "job/produce", "--for=condition=Complete", "--timeout=240s"]);
    let printed = until("an escalation", PATIENCE, || {
        // While its container is made there is no log.
        let log = quickstart.cluster.kubectl(&["logs", "job/consume"]).unwrap_or_default();
        Ok(log.contains("ESCALATED").then_some(()))
    });
    quickstart.check("what comes out", printed);
}

#[test]
fn a_new_user_comes_from_nothing_to_escalations_and_back() {
    let quickstart = Quickstart::new();
    let sample = in_repository("samples/quickstart.yaml");
    ["alice", "bob"].iter().for_each(|user| quickstart.let_in(user));
    quickstart.kubectl(&["apply", "--as=alice", "-f", &sample]);
    is_refused_or_forged(&quickstart);
    quickstart.wait("--for=condition=Ready");

    let login = quickstart.secret("quickstart-kafka-client");
    events_go_through(&quickstart);
    let first = quickstart.records(&login, "incident_escalations", 1);
    assert!(first.iter().all(|row| row["severity"] == "ESCALATED"), "{first:?}");

    page_is_served(&quickstart);

    // More workers, without a restart of the one that is there.
    let started = || {
        quickstart.kubectl(&[
            "get",
            "pod",
            "quickstart-workers-0",
            "-o",
            "jsonpath={.status.startTime}",
        ])
    };
    let before = started();
    quickstart.kubectl(&["scale", "--as=bob", "incidentpipeline/quickstart", "--replicas=2"]);
    quickstart.wait("--for=jsonpath={.status.workers.readyReplicas}=2");
    assert_eq!(started(), before);

    // A savepoint that is created as an object, read back.
    quickstart.change(r#"{"spec": {"state": {"savepoint": {"verify": true}}}}"#);
    let snapshot = home::new_folder("snapshot").unwrap().join("snapshot.yaml");
    std::fs::write(&snapshot, SNAPSHOT).unwrap();
    quickstart.kubectl(&["apply", "--as=bob", "-f", snapshot.to_str().unwrap()]);
    quickstart.kubectl(&[
        "wait",
        "isnap/before-the-change",
        "--for=jsonpath={.status.verified}=true",
        "--timeout=240s",
    ]);
    let rows = quickstart.kubectl(&["get", "isnap/before-the-change", "--no-headers"]);
    let row: Vec<&str> = rows.split_whitespace().collect();
    assert!(row.contains(&"Completed") && row.contains(&"Manual"), "{rows}");
    let size = quickstart.kubectl(&["get", "isnap/before-the-change", "-o", "jsonpath={.status.sizeBytes}"]);
    assert!(size.parse::<u64>().unwrap() > 0 && rows.contains(&size), "{rows}");

    // Another plan: it takes a savepoint, and goes on with it.
    let stages = r#"{"spec": {"stages": [{"name": "critical", "from": "alerts", "filter": "severity IN ('CRITICAL', 'MAJOR')"},
        {"name": "escalated", "from": "critical", "escalate": {"by": ["service"], "count": 3, "within": "1h", "severity": "ESCALATED"}}]}}"#;
    quickstart.change(stages);
    quickstart.produce(&login, 20_000);
    quickstart.records(&login, "incident_escalations", first.len() + 1);
    audited(&quickstart, &login);
    println!("{}", quickstart.kubectl(&["get", "ipl,isnap", "-o", "wide"]));
    let told: Json = serde_json::from_str(&quickstart.kubectl(&["get", "ipl,isnap", "-o", "json"])).unwrap();
    told["items"]
        .as_array()
        .unwrap()
        .iter()
        .for_each(says_only_what_is_listed);
    // The operator's own figures, through its Service.
    let metrics = "/api/v1/namespaces/tocsin-system/services/tocsin-metrics:8080/proxy/metrics";
    let metrics = quickstart.kubectl(&["get", "--raw", metrics]);
    assert!(metrics.contains("tocsin_operator_leader 1"), "{metrics}");

    let jobs = in_repository("samples/kubernetes");
    quickstart.kubectl(&["delete", "-f", &sample, "-f", &jobs, "--timeout=180s"]);
    // All but what Kubernetes itself, this test and the images have there.
    let kinds =
        "all,pvc,secret,configmap,serviceaccount,networkpolicy,pdb,lease,isnap,ipl,incidentrulesets,incidentmodels";
    let left = ["get", kinds, "-n", "default", "-o", "name"];
    let nothing = until("an empty namespace", PATIENCE, || {
        let left = quickstart.cluster.kubectl(&left)?;
        let left: Vec<&str> = left.lines().filter(|name| !OF_KUBERNETES.contains(name)).collect();
        Ok(left.is_empty().then_some(()))
    });
    quickstart.check("nothing is left", nothing);
    is_removed(&quickstart);
}

const SNAPSHOT: &str = "
apiVersion: tocsin.dev/v1alpha1
kind: PipelineSnapshot
metadata: {name: before-the-change}
spec: {pipelineRef: {name: quickstart}}
";

/// What each namespace has.
const OF_KUBERNETES: [&str; 3] = [
    "service/kubernetes",
    "configmap/kube-root-ca.crt",
    "serviceaccount/default",
];

/// `helm uninstall` leaves what the README says, and no more.
fn is_removed(quickstart: &Quickstart) {
    let removed = quickstart
        .cluster
        .helm(&["uninstall", "tocsin", "--namespace", "tocsin-system", "--wait"]);
    quickstart.check("helm uninstall", removed);
    let kinds = "deployment,service,secret,configmap,serviceaccount,lease,networkpolicy,pdb";
    let left = quickstart.kubectl(&["get", kinds, "-n", "tocsin-system", "-o", "name"]);
    let left: Vec<&str> = left.lines().filter(|name| !OF_KUBERNETES.contains(name)).collect();
    assert_eq!(
        left,
        [
            "secret/tocsin-operator-keys",
            "lease.coordination.k8s.io/tocsin-operator"
        ]
    );
    let of_cluster = "clusterrole,clusterrolebinding,mutatingwebhookconfiguration,validatingwebhookconfiguration,crd";
    let left = quickstart.kubectl(&["get", of_cluster, "-o", "name"]);
    let ours = left.lines().filter(|name| name.contains("tocsin"));
    assert!(
        ours.clone().all(|name| name.starts_with("customresourcedefinition")),
        "{left}"
    );
    assert!(ours.count() > 0, "the chart keeps the kinds by default");
}
