//! Kubernetes' own API: etcd and kube-apiserver on loopback, without nodes, in three seconds; or on a machine of its own, with
//! a node that runs pods.

mod access;
mod audit;
mod client;
mod cluster;
mod faulty;
mod nodes;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

pub use self::access::User;
pub use self::audit::Asked;
pub use self::client::Client;
pub use self::cluster::Cluster;
pub use self::faulty::FaultyApi;
pub use self::nodes::{Nodes, ZONES};

use crate::machine::{Forward, Machine};
use crate::process::Process;
use crate::{RigError, home, install, ports};

/// etcd and the API server are up within this, also on a machine with other work.
const START: Duration = Duration::from_secs(60);

/// A Kubernetes API. Dropping it ends its servers and removes its files.
#[derive(Debug)]
pub struct Kubernetes {
    apiserver: Process,
    etcd: Process,
    address: SocketAddr,
    folder: PathBuf,
    programs: PathBuf,
    controllers: Option<Process>,
    place: Place,
}

/// Where the servers run.
#[derive(Debug)]
enum Place {
    /// Beside this process.
    Here,
    /// On a machine of its own, where they are known by an address of its network.
    Machine {
        machine: Arc<Machine>,
        /// As the machine's own programs find the API server.
        inside: SocketAddr,
        /// This process finds it so.
        _forward: Forward,
    },
}

impl Place {
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match self {
            Self::Here => Command::new(program),
            Self::Machine { machine, .. } => machine.command(program),
        }
    }
}

/// What is started beside the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controllers {
    /// Nothing: objects are stored, and nobody acts on them.
    None,
    /// The garbage collector, and the controllers of namespaces, StatefulSets and the like.
    Manager,
}

impl Kubernetes {
    /// Starts a Kubernetes API, with Tocsin's own kinds in it.
    ///
    /// # Errors
    /// When it is not installed, ends, or does not answer.
    pub fn start(controllers: Controllers) -> Result<Self, RigError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::reserve()?));
        Self::start_at(address, Place::Here, controllers)
    }

    /// Starts it on a machine of its own, where it is known by this address.
    fn start_on(machine: Arc<Machine>, address: Ipv4Addr) -> Result<Self, RigError> {
        let inside = SocketAddr::from((address, ports::reserve()?));
        let forward = machine.forward(inside)?;
        let address = forward.address();
        let place = Place::Machine {
            machine,
            inside,
            _forward: forward,
        };
        Self::start_at(address, place, Controllers::Manager)
    }

    fn start_at(address: SocketAddr, place: Place, controllers: Controllers) -> Result<Self, RigError> {
        let programs = install::kubernetes()?;
        let folder = home::new_folder("kubernetes")?;
        access::write(&folder)?;
        let (etcd, etcd_url) = start_etcd(&place, &folder)?;
        let apiserver = start_apiserver(&place, &programs, &folder, address, &etcd_url)?;
        let mut kubernetes = Self {
            apiserver,
            etcd,
            address,
            folder,
            programs,
            controllers: None,
            place,
        };
        let client = kubernetes.client(User::Admin)?;
        kubernetes
            .apiserver
            .ready("/readyz", START, || client.get("/readyz").ok().map(drop))?;
        if controllers == Controllers::Manager {
            kubernetes.controllers = Some(kubernetes.start_controllers()?);
        }
        Ok(kubernetes)
    }

    /// Where the API server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process of the API server, to be stopped and continued.
    pub fn apiserver(&self) -> &Process {
        &self.apiserver
    }

    /// The process of etcd.
    pub fn etcd(&self) -> &Process {
        &self.etcd
    }

    /// The process of the controllers, if they were started.
    pub fn controllers(&self) -> Option<&Process> {
        self.controllers.as_ref()
    }

    /// Asks as this user.
    ///
    /// # Errors
    /// When the certificate of the API server cannot be read.
    pub fn client(&self, user: User) -> Result<Client, RigError> {
        Client::new(self.address, &self.folder.join("ca.pem"), user)
    }

    /// The file by which `kubectl`, Helm and the operator find the API server as this user; at another address if there is
    /// a proxy before it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig(&self, user: User, address: Option<SocketAddr>) -> Result<PathBuf, RigError> {
        access::kubeconfig(&self.folder, user, address.unwrap_or(self.address))
    }

    /// `kubectl` with these arguments, as this user; gives what it prints.
    ///
    /// # Errors
    /// When it ends with another code than 0: what it says on standard error.
    pub fn kubectl(&self, user: User, arguments: &[&str]) -> Result<String, RigError> {
        let mut command = Command::new(self.programs.join("kubectl"));
        command.env("KUBECONFIG", self.kubeconfig(user, None)?).args(arguments);
        let output = command.output().map_err(RigError::io("starting kubectl"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(RigError::Refused {
            what: format!("kubectl {}", arguments.join(" ")),
            answer: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// A `kubectl` that goes on until it is dropped, such as a port-forward.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_kubectl(&self, user: User, arguments: &[&str]) -> Result<Process, RigError> {
        let mut command = Command::new(self.programs.join("kubectl"));
        command.env("KUBECONFIG", self.kubeconfig(user, None)?).args(arguments);
        let name = format!("kubectl-{}", arguments.first().unwrap_or(&""));
        Process::start(&name, &command, &self.folder.join(format!("{name}.log")))
    }

    /// Helm with these arguments; gives what it prints.
    ///
    /// # Errors
    /// When it ends with another code than 0: what it says on standard error.
    pub fn helm(&self, arguments: &[&str]) -> Result<String, RigError> {
        let mut command = Command::new(self.programs.join("helm"));
        command
            .env("KUBECONFIG", self.kubeconfig(User::Admin, None)?)
            .env("HELM_CACHE_HOME", self.folder.join("helm"))
            .env("HELM_CONFIG_HOME", self.folder.join("helm"))
            .args(arguments);
        let output = command.output().map_err(RigError::io("starting helm"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(RigError::Refused {
            what: format!("helm {}", arguments.join(" ")),
            answer: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// What the API server wrote down of the requests so far; the last second's may be missing.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn audit(&self) -> Result<Vec<Asked>, RigError> {
        audit::read(&self.folder.join("audit.log"))
    }

    /// The file by which programs beside the API server find it.
    fn own_kubeconfig(&self) -> Result<PathBuf, RigError> {
        let address = match &self.place {
            Place::Here => self.address,
            Place::Machine { inside, .. } => *inside,
        };
        self.kubeconfig(User::Admin, Some(address))
    }

    /// The folder of a program such as `helm`.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    fn start_controllers(&self) -> Result<Process, RigError> {
        let mut command = self.place.command(self.programs.join("kube-controller-manager"));
        let kubeconfig = self.own_kubeconfig()?;
        command
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg(format!("--root-ca-file={}", self.folder.join("ca.pem").display()))
            .arg(format!(
                "--service-account-private-key-file={}",
                self.folder.join("service-accounts.key").display()
            ))
            .args([
                "--bind-address=127.0.0.1",
                "--leader-elect=false",
                "--use-service-account-credentials=false",
            ])
            .arg(format!("--secure-port={}", ports::reserve()?))
            .arg(format!("--cert-dir={}", self.folder.join("controllers").display()));
        Process::start("the controller manager", &command, &self.folder.join("controllers.log"))
    }

    /// Makes Tocsin's own kinds known, as the chart does.
    ///
    /// # Errors
    /// When the API server does not take them.
    pub fn apply_crds(&self) -> Result<(), RigError> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds/");
        self.kubectl(
            User::Admin,
            &["apply", "--server-side", "-f", &folder.display().to_string()],
        )?;
        self.wait_for_kinds()
    }

    /// Waits until Tocsin's own kinds are served.
    ///
    /// # Errors
    /// When they do not come.
    pub fn wait_for_kinds(&self) -> Result<(), RigError> {
        let client = self.client(User::Admin)?;
        for kind in [
            "incidentpipelines",
            "pipelinesnapshots",
            "incidentrulesets",
            "incidentmodels",
        ] {
            let path = format!("/apis/tocsin.dev/v1alpha1/{kind}?limit=1");
            self.apiserver.ready(kind, START, || client.get(&path).ok().map(drop))?;
        }
        Ok(())
    }
}

fn start_etcd(place: &Place, folder: &Path) -> Result<(Process, String), RigError> {
    let url = format!("http://127.0.0.1:{}", ports::reserve()?);
    let peers = format!("http://127.0.0.1:{}", ports::reserve()?);
    let mut command = place.command("etcd");
    command
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
        .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
        .args(["--initial-cluster", &format!("default={peers}")])
        .args(["--log-level", "warn", "--quota-backend-bytes", "8589934592"]);
    Ok((Process::start("etcd", &command, &folder.join("etcd.log"))?, url))
}

/// It waits for etcd by itself.
fn start_apiserver(
    place: &Place,
    programs: &Path,
    folder: &Path,
    address: SocketAddr,
    etcd_url: &str,
) -> Result<Process, RigError> {
    let file = |name: &str| folder.join(name).display().to_string();
    let mut command = place.command(programs.join("kube-apiserver"));
    match place {
        Place::Here => {
            command
                .arg(format!("--secure-port={}", address.port()))
                .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
                // Objects that nobody acts on need no account of their own.
                .arg("--disable-admission-plugins=ServiceAccount");
        }
        Place::Machine { inside, .. } => {
            command
                .arg(format!("--secure-port={}", inside.port()))
                .arg("--bind-address=0.0.0.0")
                .arg(format!("--advertise-address={}", inside.ip()))
                .arg("--kubelet-preferred-address-types=InternalIP");
        }
    }
    command
        .arg(format!("--etcd-servers={etcd_url}"))
        .arg(format!("--tls-cert-file={}", file("apiserver.pem")))
        .arg(format!("--tls-private-key-file={}", file("apiserver.key")))
        .arg(format!("--token-auth-file={}", file("tokens.csv")))
        .arg(format!("--service-account-key-file={}", file("service-accounts.pub")))
        .arg(format!(
            "--service-account-signing-key-file={}",
            file("service-accounts.key")
        ))
        .arg(format!("--audit-policy-file={}", file("audit.yaml")))
        .arg(format!("--audit-log-path={}", file("audit.log")))
        .args([
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            "--audit-log-mode=batch",
        ]);
    Process::start("the API server", &command, &folder.join("apiserver.log"))
}
