//! A namespace of a real API server, with an operator that looks after nothing else.
#![allow(dead_code)]

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tocsin_e2e::kubernetes::Client;
use tocsin_e2e::wait::until;
use tocsin_e2e::{Asked, Controllers, Kubernetes, Operator, OperatorOptions, RigError, User};

/// The garbage collector learns of a new kind within half a minute.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The API server that all tests of this file share; each has a namespace of its own. The chart is installed, and its operator
/// never runs, as there are no nodes.
pub fn kubernetes() -> &'static Kubernetes {
    static KUBERNETES: OnceLock<Kubernetes> = OnceLock::new();
    KUBERNETES.get_or_init(|| {
        let kubernetes = Kubernetes::start(Controllers::Manager).unwrap();
        kubernetes.kubectl(User::Admin, &["create", "namespace", OWN]).unwrap();
        install(&kubernetes, OWN, &["webhook.enabled=false", &watching(OWN)]);
        kubernetes.wait_for_kinds().unwrap();
        kubernetes
    })
}

/// Where the kinds and the roles of users were installed from.
const OWN: &str = "tocsin-system";

fn watching(namespace: &str) -> String {
    format!("operator.watchNamespaces={{{namespace}}}")
}

/// Installs the chart with these values.
pub fn install(kubernetes: &Kubernetes, namespace: &str, values: &[&str]) {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../helm/tocsin");
    let chart = chart.display().to_string();
    let values = values.iter().flat_map(|value| ["--set", value]);
    let arguments: Vec<&str> = ["install", "tocsin", &chart, "--namespace", namespace]
        .into_iter()
        .chain(values)
        .collect();
    kubernetes.helm(&arguments).unwrap();
}

/// The user `tocsin-operator` gets the rights that the chart gives the operator's own account in this namespace.
fn grant_rights_of_chart(client: &Client, namespace: &str) {
    let bindings = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
    for role in ["tocsin", "tocsin-own"] {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": format!("{role}-user")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": User::Operator.name()}],
        });
        client.create(&bindings, &binding).unwrap();
    }
}

/// A namespace with an operator that looks after nothing else.
pub struct Bench {
    pub namespace: String,
    pub client: Client,
    pub operator: Operator,
}

impl Bench {
    pub fn new(namespace: &str) -> Self {
        Self::through(namespace, None)
    }

    /// The same, with an operator that finds the API server by this file.
    pub fn through(namespace: &str, kubeconfig: Option<&Path>) -> Self {
        let client = kubernetes().client(User::Admin).unwrap();
        Self::prepare(namespace);
        let operator = Self::operator(namespace, "operator-0", kubeconfig);
        Self {
            namespace: namespace.to_owned(),
            client,
            operator,
        }
    }

    /// Makes a namespace in which an operator has the rights that the chart gives it, and looks after nothing else.
    pub fn prepare(namespace: &str) {
        let client = kubernetes().client(User::Admin).unwrap();
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        client.create("/api/v1/namespaces", &object).unwrap();
        let values = [
            "crds.install=false",
            "rbac.userRoles=false",
            "webhook.enabled=false",
            "strimzi.enabled=true",
            &watching(namespace),
        ];
        install(kubernetes(), namespace, &values);
        grant_rights_of_chart(&client, namespace);
    }

    /// Another operator of the namespace.
    pub fn operator(namespace: &str, identity: &str, kubeconfig: Option<&Path>) -> Operator {
        Self::operator_with(namespace, identity, kubeconfig, &[])
    }

    /// The same, with further arguments.
    pub fn operator_with(namespace: &str, identity: &str, kubeconfig: Option<&Path>, more: &[&str]) -> Operator {
        Self::operator_of_day(namespace, identity, kubeconfig, more, 0)
    }

    /// The same, so many days later.
    pub fn operator_of_day(
        namespace: &str,
        identity: &str,
        kubeconfig: Option<&Path>,
        more: &[&str],
        days_later: u32,
    ) -> Operator {
        let arguments = [
            "--namespace",
            namespace,
            "--watch-namespace",
            namespace,
            // Another goes on soon where one was killed.
            "--lease-duration",
            "5s",
            "--lease-renewal",
            "500ms",
            "--request-timeout",
            "1s",
        ];
        let resync: &[&str] = if more.contains(&"--resync") {
            &[]
        } else {
            &["--resync", "3s"]
        };
        let options = OperatorOptions {
            identity: identity.to_owned(),
            user: User::Operator,
            kubeconfig: kubeconfig.map(Path::to_owned),
            days_later,
            arguments: arguments
                .iter()
                .chain(resync)
                .chain(more)
                .map(|&argument| argument.to_owned())
                .collect(),
        };
        Operator::start(kubernetes(), &options).unwrap()
    }

    pub fn path(&self, kind: &str) -> String {
        format!("/apis/tocsin.dev/v1alpha1/namespaces/{}/{kind}", self.namespace)
    }

    pub fn pipeline(&self, name: &str) -> Json {
        self.client
            .get(&format!("{}/{name}", self.path("incidentpipelines")))
            .unwrap()
    }

    pub fn apply(&self, name: &str, spec: Json) -> Json {
        let object = json!({
            "apiVersion": "tocsin.dev/v1alpha1", "kind": "IncidentPipeline", "metadata": {"name": name}, "spec": spec,
        });
        self.client.create(&self.path("incidentpipelines"), &object).unwrap()
    }

    pub fn change(&self, name: &str, spec: Json) -> Json {
        let path = format!("{}/{name}", self.path("incidentpipelines"));
        self.client.merge(&path, &json!({ "spec": spec })).unwrap()
    }

    /// Waits until the status of a pipeline is as wanted, and gives the pipeline.
    pub fn wait(&self, name: &str, what: &str, is_so: impl Fn(&Json) -> bool) -> Json {
        let waited = until(what, PATIENCE, || {
            self.operator.process().check()?;
            let pipeline = self.pipeline(name);
            Ok(is_so(&pipeline).then_some(pipeline))
        });
        waited.unwrap_or_else(|error| {
            let pipeline = self.pipeline(name);
            let log = self.operator.process().last_lines();
            panic!("{error}\n{:#}\n{log}", pipeline["status"])
        })
    }

    /// Waits until the operator has said a word on the spec as it is.
    pub fn wait_seen(&self, name: &str) -> Json {
        self.wait(name, "an observed generation", |pipeline| {
            pipeline["status"]["observedGeneration"] == pipeline["metadata"]["generation"]
        })
    }

    /// The object of a kind, if it is there.
    pub fn find(&self, place: &str, name: &str) -> Option<Json> {
        let (api, kind) = place.rsplit_once('/').unwrap();
        let path = format!("{api}/namespaces/{}/{kind}/{name}", self.namespace);
        self.client.find(&path).unwrap()
    }

    pub fn wait_for(&self, what: &str, mut ask: impl FnMut() -> Option<Json>) -> Json {
        let waited: Result<Json, RigError> = until(what, PATIENCE, || {
            self.operator.process().check()?;
            Ok(ask())
        });
        waited.unwrap_or_else(|error| panic!("{error}\n{}", self.operator.process().last_lines()))
    }
}

impl Drop for Bench {
    /// The operator asked for nothing that it may not do with the rights that the chart gives it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let asked = kubernetes().audit().unwrap();
        let is_refused = |asked: &&Asked| {
            asked.user == User::Operator.name() && asked.namespace == self.namespace && asked.code == 403
        };
        let refused: Vec<_> = asked.iter().filter(is_refused).collect();
        assert!(refused.is_empty(), "the operator may not: {refused:?}");
    }
}

/// A condition of a pipeline.
pub fn condition<'a>(pipeline: &'a Json, kind: &str) -> &'a Json {
    let conditions = pipeline["status"]["conditions"].as_array();
    let found = conditions.and_then(|all| all.iter().find(|condition| condition["type"] == kind));
    found.unwrap_or(&Json::Null)
}

/// What a pipeline asks for whose Kafka is its user's own.
pub fn spec() -> Json {
    json!({
        "sources": [{
            "name": "alerts", "kafka": {"topic": "incident_alerts"}, "format": {"type": "Json"},
            "eventTime": {"field": "ts", "unit": "Milliseconds"},
        }],
        "stages": [
            {"name": "critical", "from": "alerts", "filter": "severity = 'CRITICAL'"},
            {"name": "escalated", "from": "critical", "escalate": {"by": ["service"], "count": 3, "within": "1h"}},
        ],
        "sinks": [{"name": "escalations", "from": "escalated", "kafka": {"topic": "incident_escalations"}}],
        "kafka": {"bootstrapServers": "kafka:9092", "manageTopics": false},
        "workers": {"replicas": 2},
    })
}

pub const STATEFUL_SETS: &str = "/apis/apps/v1/statefulsets";
pub const CONFIG_MAPS: &str = "/api/v1/configmaps";

/// The objects that a pipeline `noc` is made of, but those named after what is in them.
pub const CHILDREN: [(&str, &str); 8] = [
    ("/api/v1/serviceaccounts", "noc-workers"),
    (CONFIG_MAPS, "noc-live"),
    ("/api/v1/secrets", "noc-admin"),
    ("/api/v1/persistentvolumeclaims", "noc-state"),
    ("/apis/networking.k8s.io/v1/networkpolicies", "noc-workers"),
    ("/apis/policy/v1/poddisruptionbudgets", "noc-workers"),
    ("/api/v1/services", "noc-workers"),
    (STATEFUL_SETS, "noc-workers"),
];
