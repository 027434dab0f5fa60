//! Many nodes without machines: Kubernetes' own scheduler, and kwok, which says of each pod that it runs.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::{Kubernetes, User};
use crate::process::Process;
use crate::{RigError, ports};

const START: Duration = Duration::from_secs(60);

/// Zones that the nodes are in, in turn.
pub const ZONES: usize = 3;

/// Nodes of an API server. Dropping them ends what plays them.
#[derive(Debug)]
pub struct Nodes {
    _scheduler: Process,
    _kwok: Process,
}

impl Nodes {
    /// Gives an API server so many nodes, and waits until all take pods: its controllers must run. Pods get addresses of loopback, where nobody
    /// listens.
    ///
    /// # Errors
    /// When something of it is not installed, ends, or does not come up.
    pub fn start(kubernetes: &Kubernetes, nodes: usize) -> Result<Self, RigError> {
        let client = kubernetes.client(User::Admin)?;
        for number in 0..nodes {
            let name = format!("node-{number:03}");
            let zone = format!("zone-{}", number % ZONES);
            let node = json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {
                    "name": name,
                    "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": zone},
                },
            });
            client.create("/api/v1/nodes", &node)?;
        }
        let kubeconfig = format!("--kubeconfig={}", kubernetes.own_kubeconfig()?.display());
        let start = |name: &str, arguments: &[String]| {
            let mut command = Command::new(kubernetes.programs().join(name));
            // Neither reads settings of the user's own.
            command.env("HOME", &kubernetes.folder).arg(&kubeconfig).args(arguments);
            let log: PathBuf = kubernetes.folder.join(format!("{name}.log"));
            Process::start(name, &command, &log)
        };
        let port = ports::reserve()?;
        let scheduler = start(
            "kube-scheduler",
            &[
                "--leader-elect=false".to_owned(),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--secure-port={port}"),
            ],
        )?;
        let kwok = start(
            "kwok",
            &[
                "--manage-all-nodes".to_owned(),
                "--cidr=127.9.0.1/16".to_owned(),
                "--node-ip=127.0.0.1".to_owned(),
            ],
        )?;
        kwok.ready("nodes that take pods", START, || {
            let all = client.get("/api/v1/nodes").ok()?;
            // The controllers take a mark off each node once it is ready; until then no pod comes to it.
            let takes_pods =
                |node: &&serde_json::Value| super::cluster::is_ready(node) && node["spec"]["taints"].is_null();
            let ready = all["items"].as_array()?.iter().filter(takes_pods);
            (ready.count() == nodes).then_some(())
        })?;
        Ok(Self {
            _scheduler: scheduler,
            _kwok: kwok,
        })
    }
}
