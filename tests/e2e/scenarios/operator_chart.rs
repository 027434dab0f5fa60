//! The chart: what its values make of it, what users may do with the roles that it brings, and how its kinds stay and are
//! renewed.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/operating.rs"]
mod operating;

use std::path::{Path, PathBuf};
use std::process::Command;

use operating::{kubernetes, spec};
use serde_json::{Value as Json, json};
use tocsin_e2e::wait::until;
use tocsin_e2e::{Controllers, Kubernetes, User, home};

use crate::operating::PATIENCE;

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../helm/tocsin")
}

/// What Helm makes of these values.
fn rendered(values: &[&str]) -> Result<String, String> {
    let chart = chart().display().to_string();
    let values = values.iter().flat_map(|value| ["--set", value]);
    let arguments = [
        "template",
        "tocsin",
        &chart,
        "--namespace",
        "default",
        "--kube-version",
        "1.34",
    ]
    .into_iter()
    .chain(values);
    let arguments: Vec<&str> = arguments.collect();
    kubernetes().helm(&arguments).map_err(|error| error.to_string())
}

const DIGEST: &str = "operator.image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Values, what is in the objects then, and what is not.
const GOOD: [(&[&str], &[&str], &[&str]); 11] = [
    (
        &[],
        &[
            "kind: ClusterRoleBinding",
            "kind: MutatingWebhookConfiguration",
            "name: tocsin-rule-editor",
            "helm.sh/resource-policy: keep",
        ],
        &["kafka.strimzi.io", "kind: NetworkPolicy", "kind: PodDisruptionBudget"],
    ),
    (
        &[
            "operator.watchNamespaces={default,kube-public}",
            "webhook.enabled=false",
        ],
        &["namespace: kube-public", "--watch-namespace=kube-public"],
        &["kind: ClusterRoleBinding", "WebhookConfiguration", "--webhook-name"],
    ),
    (
        &["rbac.create=false"],
        &["kind: ServiceAccount"],
        &["kind: Role", "kind: ClusterRole"],
    ),
    (
        &["rbac.userRoles=false"],
        &["kind: ClusterRole"],
        &["tocsin-rule-editor", "name: tocsin-view"],
    ),
    (
        &["rbac.aggregate=false"],
        &["name: tocsin-view"],
        &["aggregate-to-view"],
    ),
    (
        &["crds.install=false"],
        &["kind: Deployment"],
        &["kind: CustomResourceDefinition"],
    ),
    (
        &["crds.keep=false"],
        &["kind: CustomResourceDefinition"],
        &["helm.sh/resource-policy"],
    ),
    (
        &["imageRegistry=registry.example.com/a", DIGEST],
        &[
            "image: registry.example.com/a/tocsin/operator@sha256:0123456789abcdef",
            "--worker-image=registry.example.com/a/tocsin/worker:",
            "--kafka-image=registry.example.com/a/apache/kafka:",
        ],
        &["image: tocsin/"],
    ),
    (&["strimzi.enabled=true"], &["kafka.strimzi.io"], &[]),
    (
        &[
            "operator.replicas=2",
            "operator.podDisruptionBudget=true",
            "operator.networkPolicy=true",
        ],
        &["replicas: 2", "kind: PodDisruptionBudget", "kind: NetworkPolicy"],
        &[],
    ),
    (
        &["operator.selector=team=noc", "operator.logging.level=debug"],
        &[
            "--selector=team=noc",
            "--log-level=debug",
            "objectSelector",
            "team: \"noc\"",
        ],
        &[],
    ),
];

/// Values that are refused, and what is said of them.
const WRONG: [(&str, &str); 9] = [
    ("operator.replica=2", "replica"),
    ("nonsense=1", "nonsense"),
    ("operator.replicas=-1", "operator/replicas"),
    ("operator.concurrency=0", "operator/concurrency"),
    ("operator.resync=soon", "operator/resync"),
    ("webhook.failurePolicy=Perhaps", "webhook/failurePolicy"),
    ("operator.logging.format=xml", "operator/logging/format"),
    ("operator.selector=team in (noc)", "must be NAME=VALUE"),
    ("rbac.create=perhaps", "rbac/create"),
];

#[test]
fn values_make_the_objects_that_they_say_and_an_api_server_takes_each() {
    for (values, has, lacks) in GOOD {
        let objects = rendered(values).unwrap_or_else(|error| panic!("{values:?}: {error}"));
        for part in has {
            assert!(objects.contains(part), "{values:?}: {part} is missing in\n{objects}");
        }
        for part in lacks {
            assert!(!objects.contains(part), "{values:?}: {part} is there in\n{objects}");
        }
        let file = home::new_folder("chart").unwrap().join("objects.yaml");
        std::fs::write(&file, objects).unwrap();
        let file = file.display().to_string();
        let apply = [
            "apply",
            "--dry-run=server",
            "--validate=strict",
            "--server-side",
            "--force-conflicts",
            "-f",
            &file,
        ];
        let taken = kubernetes().kubectl(User::Admin, &apply);
        taken.unwrap_or_else(|error| panic!("{values:?}: {error}"));
    }
}

#[test]
fn values_that_mean_nothing_are_refused() {
    for (value, says) in WRONG {
        let refusal = rendered(&[value]).err();
        let refusal = refusal.unwrap_or_else(|| panic!("{value} is taken"));
        // Helm's own versions write a path with slashes or with dots.
        let dots = says.replace('/', ".");
        assert!(refusal.contains(says) || refusal.contains(&dots), "{value}: {refusal}");
    }
}

/// A request of a user, and whether it is allowed: user, method, path below the namespace, allowed.
const RIGHTS: [(User, &str, &str, bool); 21] = [
    (User::Alice, "GET", "incidentpipelines", true),
    (User::Alice, "GET", "pipelinesnapshots", true),
    (User::Alice, "POST", "incidentpipelines", false),
    (User::Alice, "PATCH", "incidentpipelines/noc", false),
    (User::Alice, "DELETE", "incidentpipelines/noc", false),
    (User::Alice, "POST", "incidentrulesets", false),
    (User::Bob, "GET", "incidentpipelines", true),
    (User::Bob, "POST", "incidentpipelines", true),
    (User::Bob, "PATCH", "incidentpipelines/noc", true),
    (User::Bob, "PATCH", "incidentpipelines/noc/scale", true),
    (User::Bob, "DELETE", "incidentpipelines/noc", true),
    (User::Bob, "POST", "pipelinesnapshots", true),
    (User::Bob, "POST", "incidentrulesets", true),
    // What the operator says is the operator's to say.
    (User::Bob, "PATCH", "incidentpipelines/noc/status", false),
    (User::Eve, "GET", "incidentrulesets", true),
    (User::Eve, "POST", "incidentrulesets", true),
    (User::Eve, "GET", "incidentpipelines", true),
    (User::Eve, "PATCH", "incidentpipelines/noc", false),
    (User::Eve, "PATCH", "incidentpipelines/noc/scale", false),
    (User::Eve, "POST", "pipelinesnapshots", false),
    (User::Eve, "DELETE", "incidentpipelines/noc", false),
];

/// An object of a collection.
fn object(collection: &str) -> Json {
    let (kind, spec) = match collection {
        "incidentpipelines" => ("IncidentPipeline", spec()),
        "pipelinesnapshots" => ("PipelineSnapshot", json!({"pipelineRef": {"name": "noc"}})),
        _ => ("IncidentRuleSet", json!({"rules": [{"id": "hot", "when": "cpu > 90"}]})),
    };
    json!({"apiVersion": "tocsin.dev/v1alpha1", "kind": kind, "metadata": {"name": "another"}, "spec": spec})
}

#[test]
fn users_may_do_what_their_role_says_and_nothing_else() {
    let admin = kubernetes().client(User::Admin).unwrap();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "users"}});
    admin.create("/api/v1/namespaces", &namespace).unwrap();
    let group = "/apis/tocsin.dev/v1alpha1/namespaces/users";
    let mut noc = object("incidentpipelines");
    noc["metadata"]["name"] = "noc".into();
    admin.create(&format!("{group}/incidentpipelines"), &noc).unwrap();
    // The cluster's own roles, to which the chart adds its kinds.
    for (user, role) in [
        (User::Alice, "view"),
        (User::Bob, "edit"),
        (User::Eve, "tocsin-rule-editor"),
    ] {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user.name()}],
        });
        admin
            .create(
                "/apis/rbac.authorization.k8s.io/v1/namespaces/users/rolebindings",
                &binding,
            )
            .unwrap();
    }
    let bob = kubernetes().client(User::Bob).unwrap();
    let added = until("rights that are added up", PATIENCE, || {
        let (status, _) = bob.send("GET", &format!("{group}/incidentpipelines"), None)?;
        Ok((status == 200).then_some(()))
    });
    added.unwrap();
    let mut wrong = Vec::new();
    for (user, method, path, is_allowed) in RIGHTS {
        let client = kubernetes().client(user).unwrap();
        let collection = path.split('/').next().unwrap();
        let body = match method {
            "POST" => Some(("application/json", object(collection))),
            "PATCH" if path.ends_with("/scale") => {
                Some(("application/merge-patch+json", json!({"spec": {"replicas": 3}})))
            }
            "PATCH" => Some((
                "application/merge-patch+json",
                json!({"metadata": {"labels": {"a": "b"}}}),
            )),
            _ => None,
        };
        let body = body.as_ref().map(|(kind, body)| (*kind, body));
        let how = if method == "GET" { "" } else { "?dryRun=All" };
        let (status, answer) = client.send(method, &format!("{group}/{path}{how}"), body).unwrap();
        let expected = if is_allowed { status < 300 } else { status == 403 };
        if !expected {
            wrong.push(format!(
                "{} {method} {path}: {status} {}",
                user.name(),
                answer["message"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn who_has_the_clusters_role_admin_may_do_anything_with_pipelines() {
    let kubectl = |arguments: &[&str]| kubernetes().kubectl(User::Admin, arguments);
    kubectl(&["create", "namespace", "admins"]).unwrap();
    let binding = [
        "create",
        "rolebinding",
        "dave",
        "-n",
        "admins",
        "--clusterrole=admin",
        "--user=dave",
    ];
    kubectl(&binding).unwrap();
    for kind in [
        "incidentpipelines",
        "pipelinesnapshots",
        "incidentrulesets",
        "incidentmodels",
    ] {
        for verb in [
            "get",
            "list",
            "watch",
            "create",
            "update",
            "patch",
            "delete",
            "deletecollection",
        ] {
            let kind = format!("{kind}.tocsin.dev");
            let asked = ["auth", "can-i", verb, &kind, "-n", "admins", "--as=dave"];
            let may = until("rights that are added up", PATIENCE, || {
                Ok(kubectl(&asked).is_ok_and(|answer| answer.trim() == "yes").then_some(()))
            });
            may.unwrap_or_else(|error| panic!("{verb} {kind}: {error}"));
        }
    }
}

#[test]
fn the_sample_that_the_notes_show_can_be_applied_as_it_stands() {
    let chart = chart().display().to_string();
    let shown = kubernetes()
        .helm(&[
            "install",
            "notes",
            &chart,
            "--dry-run=client",
            "--set",
            "crds.install=false,rbac.userRoles=false",
        ])
        .unwrap();
    let sample = shown
        .split_once("<<'YAML'\n")
        .unwrap()
        .1
        .split_once("\n  YAML")
        .unwrap()
        .0;
    let sample: String = sample
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("  ").unwrap()))
        .collect();
    let sample: Json = serde_yaml_ng::from_str(&sample).unwrap();
    let client = kubernetes().client(User::Admin).unwrap();
    let collection = "/apis/tocsin.dev/v1alpha1/namespaces/default/incidentpipelines?dryRun=All&fieldValidation=Strict";
    let stored = client.create(collection, &sample).unwrap();
    assert_eq!(stored["metadata"]["name"], "quickstart");
}

/// A copy of the chart that is older: a column is not in it yet.
fn older_chart() -> PathBuf {
    let folder = home::new_folder("older-chart").unwrap().join("tocsin");
    let copied = Command::new("cp")
        .arg("-rL")
        .arg(chart())
        .arg(&folder)
        .status()
        .unwrap();
    assert!(copied.success());
    let file = folder.join("files/crds/incidentpipelines.yaml");
    let crd = std::fs::read_to_string(&file).unwrap();
    let mut crd: Json = serde_yaml_ng::from_str(&crd).unwrap();
    let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"]
        .as_array_mut()
        .unwrap();
    columns.retain(|column| column["name"] != "Phase");
    std::fs::write(&file, crd.to_string()).unwrap();
    folder
}

#[test]
fn the_kinds_are_renewed_with_the_chart_and_outlive_it() {
    let kubernetes = Kubernetes::start(Controllers::None).unwrap();
    let (older, newer) = (older_chart().display().to_string(), chart().display().to_string());
    let release = ["tocsin", "--namespace", "default"];
    let helm = |verb: &str, chart: &[&str]| {
        let arguments = [&[verb, release[0]], chart, &release[1..]].concat();
        kubernetes.helm(&arguments).unwrap()
    };
    let client = kubernetes.client(User::Admin).unwrap();
    let crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/incidentpipelines.tocsin.dev";
    let has_column = || {
        let crd = client.get(crd).unwrap();
        let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"]
            .as_array()
            .unwrap()
            .clone();
        columns.iter().any(|column| column["name"] == "Phase")
    };
    helm("install", &[&older]);
    assert!(!has_column());
    helm("upgrade", &[&newer]);
    assert!(has_column());
    kubernetes.wait_for_kinds().unwrap();
    let pipelines = "/apis/tocsin.dev/v1alpha1/namespaces/default/incidentpipelines";
    client.create(pipelines, &object("incidentpipelines")).unwrap();
    helm("uninstall", &[]);
    client.get(&format!("{pipelines}/another")).unwrap();
    helm("install", &[&newer]);
    client.get(&format!("{pipelines}/another")).unwrap();
}
