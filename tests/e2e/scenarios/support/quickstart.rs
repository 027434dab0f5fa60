//! A cluster with the operator, installed as users install it, and a pipeline as a new user meets it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use tocsin_e2e::wait::until;
use tocsin_e2e::{Cluster, RigError, home, install};

/// Pods come up within this, also on a machine with other work.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// A pipeline of the namespace `default`, as a new user meets it.
pub struct Quickstart {
    pub cluster: Cluster,
    folder: PathBuf,
}

impl Quickstart {
    /// A cluster with the operator, installed by Helm.
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// The same, with other values of the chart.
    pub fn with(values: &[&str]) -> Self {
        let quickstart = Self {
            cluster: Cluster::start().unwrap(),
            folder: home::new_folder("quickstart").unwrap(),
        };
        let chart = in_repository("helm/tocsin");
        // As strict with pods as a cluster can be: the operator's own, workers, Kafka, Jobs.
        quickstart.kubectl(&["create", "namespace", "tocsin-system"]);
        for namespace in ["default", "tocsin-system"] {
            let label = "pod-security.kubernetes.io/enforce=restricted";
            quickstart.kubectl(&["label", "namespace", namespace, label]);
        }
        let arguments = ["--namespace", "tocsin-system", "--wait", "--timeout", "3m"];
        let values: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
        let installed = quickstart
            .cluster
            .helm(&[&["install", "tocsin", &chart], &arguments[..], &values].concat());
        quickstart.check("helm install", installed);
        quickstart
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.check("kubectl", self.cluster.kubectl(arguments))
    }

    /// What went well; else the test fails with all that went on in the cluster.
    pub fn check<T>(&self, what: &str, done: Result<T, RigError>) -> T {
        done.unwrap_or_else(|error| panic!("{what}: {error}\n{}", self.story()))
    }

    fn story(&self) -> String {
        let ask = |arguments: &[&str]| {
            self.cluster
                .kubectl(arguments)
                .unwrap_or_else(|error| error.to_string())
        };
        let of_pipeline = [
            "-n",
            "default",
            "-l",
            "tocsin.dev/pipeline=quickstart",
            "--tail=30",
            "--prefix",
        ];
        [
            ask(&["get", "pods", "-A", "-o", "wide"]),
            ask(&["get", "ipl,isnap", "-A", "-o", "yaml"]),
            ask(&["get", "events", "-A"]),
            ask(&["logs", "-n", "tocsin-system", "deployment/tocsin", "--tail=60"]),
            ask(&[&["logs"], &of_pipeline[..]].concat()),
            ask(&[&["logs", "--previous"], &of_pipeline[..]].concat()),
            ask(&["describe", "pods", "-A"]),
        ]
        .join("\n---\n")
    }

    /// Waits until the pipeline says so of itself.
    pub fn wait(&self, condition: &str) {
        let arguments = ["wait", "incidentpipeline/quickstart", "--timeout=240s", condition];
        self.kubectl(&arguments);
    }

    /// Changes the pipeline, and waits until it is as it is asked for.
    pub fn change(&self, patch: &str) {
        self.kubectl(&["patch", "incidentpipeline/quickstart", "--type=merge", "-p", patch]);
        let generation = self.kubectl(&[
            "get",
            "incidentpipeline/quickstart",
            "-o",
            "jsonpath={.metadata.generation}",
        ]);
        self.wait(&format!("--for=jsonpath={{.status.observedGeneration}}={generation}"));
        self.wait("--for=condition=Ready");
    }

    /// The parts of a Secret as files of a folder.
    /// The savepoint that `spec.state.savepointNonce` asked for by this number, once there is one.
    pub fn savepoint(&self, nonce: u32) -> String {
        let named = format!("quickstart-asked-{nonce}-");
        let asked = until("a savepoint", PATIENCE, || {
            let all = self.cluster.kubectl(&["get", "isnap", "-o", "name"])?;
            let mut names = all
                .lines()
                .filter_map(|line| line.split_once('/'))
                .map(|(_, name)| name);
            Ok(names.find(|name| name.starts_with(&named)).map(str::to_owned))
        });
        self.check("a savepoint by its number", asked)
    }

    pub fn secret(&self, name: &str) -> PathBuf {
        let secret: Json = serde_json::from_str(&self.kubectl(&["get", "secret", name, "-o", "json"])).unwrap();
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (key, value) in secret["data"].as_object().unwrap() {
            let bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
            std::fs::write(folder.join(key), bytes).unwrap();
        }
        folder
    }

    /// `tocsin` with these arguments, beside the pods; gives what it prints.
    pub fn tocsin(&self, arguments: &[&str]) -> Result<String, RigError> {
        let program = install::built("tocsin", "TOCSIN_BIN")?;
        let output = self.cluster.command(program).args(arguments).output();
        let output = output.map_err(RigError::io("starting tocsin"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(RigError::Refused {
            what: format!("tocsin {}", arguments.join(" ")),
            answer: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The login of the pipeline itself, which alone reads its own topics.
    pub fn own_login(&self) -> PathBuf {
        let own = self.secret("quickstart-kafka-user");
        let authority = self.secret("quickstart-kafka-client").join("ca.crt");
        std::fs::copy(authority, own.join("ca.crt")).unwrap();
        own
    }

    /// Lets a user do what users may do with pipelines.
    pub fn let_in(&self, user: &str) {
        self.kubectl(&["create", "rolebinding", user, "--clusterrole=edit", "--user", user]);
    }

    /// Writes so many alerts more.
    pub fn produce(&self, login: &Path, alerts: u32) {
        let (login, n) = (login.display().to_string(), alerts.to_string());
        let to = format!("{BROKERS}/incident_alerts");
        let produced = self.tocsin(&[
            "produce",
            "--to",
            &to,
            "--login",
            &login,
            "--generate",
            &n,
            "--key",
            "service",
        ]);
        self.check("produce", produced);
    }

    /// Waits until there are so many records, and gives them.
    pub fn records(&self, login: &Path, topic: &str, at_least: usize) -> Vec<Json> {
        let login = login.display().to_string();
        let from = format!("{BROKERS}/{topic}");
        let consume = || {
            let said = self.tocsin(&["consume", "--from", &from, "--login", &login, "--format", "value"])?;
            let rows: Vec<Json> = said
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect();
            Ok((rows.len() >= at_least).then_some(rows))
        };
        self.check(topic, until(topic, PATIENCE, consume))
    }
}

/// Where clients of its Kafka begin.
pub const BROKERS: &str = "quickstart-kafka.default.svc:9092";

/// A path of the repository.
pub fn in_repository(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
        .display()
        .to_string()
}
