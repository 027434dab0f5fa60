//! A cluster that runs pods: the API, and one node of containerd, kubelet and kube-proxy with CoreDNS.

use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::access::NODE;
use super::{Client, Kubernetes, User};
use crate::machine::{Forward, Machine};
use crate::process::Process;
use crate::wait::until;
use crate::{RigError, install};

/// A part of the node is up within this, also on a machine with other work.
const START: Duration = Duration::from_secs(120);

/// Processes that were killed are gone within this.
const END: Duration = Duration::from_secs(5);

/// The node's address: the end of the bridge that its pods are joined to. It is there before the first of them.
const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);

/// So many volumes there are. Each is claimed once.
const VOLUMES: u32 = 32;

/// Makes the cluster's storage: folders of the node that are open to whoever runs in a pod, as a storage that knows of groups
/// would have it. Those that the controller manager makes are root's alone.
fn make_volumes(client: &Client, folder: &Path) -> Result<(), RigError> {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
    });
    client.create("/apis/storage.k8s.io/v1/storageclasses", &class)?;
    for number in 0..VOLUMES {
        let path = folder.join(format!("volumes/{number}"));
        std::fs::create_dir_all(&path)
            .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(0o777)))
            .map_err(RigError::io(format!("making {}", path.display())))?;
        let volume = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": format!("folder-{number}")},
            "spec": {
                "storageClassName": CLASS,
                "capacity": {"storage": "100Gi"},
                "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
                "hostPath": {"path": path},
            },
        });
        client.create("/api/v1/persistentvolumes", &volume)?;
    }
    Ok(())
}

/// The cluster's own class of storage.
const CLASS: &str = "folders";

/// What is written for the node's parts: file and text, with gaps.
const FILES: [(&str, &str); 5] = [
    ("containerd.toml", include_str!("templates/containerd.toml")),
    ("cni/network.conflist", include_str!("templates/network.conflist")),
    ("kubelet.yaml", include_str!("templates/kubelet.yaml")),
    ("kube-proxy.yaml", include_str!("templates/kube-proxy.yaml")),
    ("Corefile", include_str!("templates/Corefile")),
];

/// A cluster that runs pods. Dropping it ends all of them.
#[derive(Debug)]
pub struct Cluster {
    kubernetes: Kubernetes,
    node: Vec<Process>,
    machine: Arc<Machine>,
}

impl Cluster {
    /// Starts a cluster, with the images of the operator, its workers and Kafka on its node, and nothing of Tocsin installed.
    ///
    /// # Errors
    /// When something of it is not installed, ends, or does not come up.
    pub fn start() -> Result<Self, RigError> {
        let images = images()?;
        let machine = Arc::new(Machine::start()?);
        let folder = machine.folder().display().to_string();
        machine.shell(&format!(
            "ip link add cni0 type bridge
             ip addr add {NODE_ADDRESS}/24 dev cni0
             ip link set cni0 up
             ip route add default dev cni0
             echo 1 >/proc/sys/net/ipv4/ip_forward
             mkdir -p {folder}/cni
             echo nameserver {NODE_ADDRESS} >{folder}/resolv.conf
             printf 'search cluster.local\\noptions ndots:5\\n' >>{folder}/resolv.conf
             mount --bind {folder}/resolv.conf /etc/resolv.conf"
        ))?;
        let kubernetes = Kubernetes::start_on(Arc::clone(&machine), NODE_ADDRESS)?;
        make_volumes(&kubernetes.client(User::Admin)?, machine.folder())?;
        let mut cluster = Self {
            kubernetes,
            node: Vec::new(),
            machine,
        };
        cluster.write_files()?;
        cluster.start_containerd(&images)?;
        cluster.start_node()?;
        Ok(cluster)
    }

    /// Its API.
    pub fn api(&self) -> &Kubernetes {
        &self.kubernetes
    }

    /// Asks its API as whoever may do anything.
    ///
    /// # Errors
    /// As [`Kubernetes::client`].
    pub fn client(&self) -> Result<Client, RigError> {
        self.kubernetes.client(User::Admin)
    }

    /// `kubectl` with these arguments, as whoever may do anything; gives what it prints.
    ///
    /// # Errors
    /// As [`Kubernetes::kubectl`].
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, RigError> {
        self.kubernetes.kubectl(User::Admin, arguments)
    }

    /// A `kubectl` that goes on until it is dropped, such as a port-forward.
    ///
    /// # Errors
    /// As [`Kubernetes::kubectl`].
    pub fn start_kubectl(&self, arguments: &[&str]) -> Result<Process, RigError> {
        self.kubernetes.start_kubectl(User::Admin, arguments)
    }

    /// Helm with these arguments; gives what it prints.
    ///
    /// # Errors
    /// As [`Kubernetes::helm`].
    pub fn helm(&self, arguments: &[&str]) -> Result<String, RigError> {
        self.kubernetes.helm(arguments)
    }

    /// A program to be started on the node: there names and addresses of the cluster are known.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.machine.command(program)
    }

    /// Lets this process reach an address of the cluster.
    ///
    /// # Errors
    /// As [`Machine::forward`].
    pub fn forward(&self, to: SocketAddr) -> Result<Forward, RigError> {
        self.machine.forward(to)
    }

    fn write_files(&self) -> Result<(), RigError> {
        let folder = self.machine.folder();
        let kubeconfig = self.kubernetes.own_kubeconfig()?;
        for (name, text) in FILES {
            let text = text
                .replace("@FOLDER@", &folder.display().to_string())
                .replace("@KUBECONFIG@", &kubeconfig.display().to_string());
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(RigError::io(format!("writing {}", path.display())))?;
        }
        Ok(())
    }

    fn start_containerd(&mut self, images: &[PathBuf]) -> Result<(), RigError> {
        let file = |name: &str| self.machine.folder().join(name);
        let mut command = self.machine.command("containerd");
        command.arg("--config").arg(file("containerd.toml"));
        let containerd = Process::start("containerd", &command, &file("containerd.log"))?;
        let ctr = |arguments: &str| format!("ctr --address {} {arguments}", file("containerd/sock").display());
        containerd.ready("an answer", START, || self.machine.shell(&ctr("version")).ok())?;
        for image in images {
            let import = format!("--namespace k8s.io images import {}", image.display());
            self.machine.shell(&ctr(&import))?;
        }
        self.node.push(containerd);
        Ok(())
    }

    /// Starts the parts that ask the API, and waits until the node takes pods.
    fn start_node(&mut self) -> Result<(), RigError> {
        let folder = self.machine.folder().to_owned();
        let file = |name: &str| folder.join(name).display().to_string();
        let kubeconfig = self.kubernetes.own_kubeconfig()?.display().to_string();
        let parts = [
            (
                "kube-scheduler",
                vec![format!("--kubeconfig={kubeconfig}"), "--leader-elect=false".to_owned()],
            ),
            (
                "kubelet",
                vec![
                    format!("--kubeconfig={kubeconfig}"),
                    format!("--config={}", file("kubelet.yaml")),
                    format!("--root-dir={}", file("kubelet")),
                    format!("--cert-dir={}", file("kubelet-certificates")),
                    format!("--node-ip={NODE}"),
                    "--hostname-override=node-0".to_owned(),
                ],
            ),
            ("kube-proxy", vec![format!("--config={}", file("kube-proxy.yaml"))]),
            ("coredns", vec!["-conf".to_owned(), file("Corefile")]),
        ];
        for (name, arguments) in parts {
            let mut command = self.machine.command(self.kubernetes.programs().join(name));
            command.args(arguments);
            self.node
                .push(Process::start(name, &command, &folder.join(format!("{name}.log")))?);
        }
        let client = self.client()?;
        for process in &self.node {
            let is_ready = || is_ready(&client.get("/api/v1/nodes/node-0").ok()?).then_some(());
            process.ready("a node that takes pods", START, is_ready)?;
        }
        // Without it no pod is taken.
        let account = "/api/v1/namespaces/default/serviceaccounts/default";
        let manager = self.kubernetes.controllers.as_ref();
        manager.map_or(Ok(()), |manager| {
            manager.ready("an account for pods", START, || client.get(account).ok().map(drop))
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // What the kubelet grouped stays behind when all of it has ended; groups of somebody else who still runs do too.
        drop(self.machine.shell("kill -9 -1"));
        let remove_all = || {
            let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
            let left = hierarchies.filter(|hierarchy| !remove_groups(&hierarchy.path().join("kubepods")));
            Ok((left.count() == 0).then_some(()))
        };
        drop(until("groups of processes without any", END, remove_all));
    }
}

/// Removes empty groups of processes, from the innermost. Whether none is left.
fn remove_groups(folder: &Path) -> bool {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_groups(&entry.path());
        }
    }
    std::fs::remove_dir(folder).is_ok() || !folder.exists()
}

pub(super) fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    conditions
        .into_iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// The archives of all images, made if they are not there yet.
fn images() -> Result<Vec<PathBuf>, RigError> {
    let operator = install::built("tocsin-operator", crate::operator::PROGRAM)?;
    let programs = operator.parent().unwrap_or(Path::new("."));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/test-images.sh");
    let made = Command::new(&script).arg(programs).output();
    let made = made.map_err(RigError::io(format!("starting {}", script.display())))?;
    if !made.status.success() {
        return Err(RigError::Refused {
            what: script.display().to_string(),
            answer: String::from_utf8_lossy(&made.stderr).into_owned(),
        });
    }
    let printed = String::from_utf8_lossy(&made.stdout);
    Ok(printed.lines().map(PathBuf::from).collect())
}
