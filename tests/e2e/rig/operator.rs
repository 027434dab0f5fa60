//! The operator, as a process of its own beside the API server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::Process;
use crate::{Kubernetes, RigError, User, home, http, install, ports};

/// Names the program to test, if it is not the one beside the test.
pub(crate) const PROGRAM: &str = "TOCSIN_OPERATOR_BIN";

/// It answers within this.
const START: Duration = Duration::from_secs(30);

/// How an operator is started.
#[derive(Debug, Clone)]
pub struct OperatorOptions {
    /// Its name among others.
    pub identity: String,
    /// As whom it asks.
    pub user: User,
    /// The file by which it finds the API server, if that is not the user's own.
    pub kubeconfig: Option<PathBuf>,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// So many days later it is for it.
    pub days_later: u32,
}

impl Default for OperatorOptions {
    fn default() -> Self {
        Self {
            identity: "operator-0".to_owned(),
            user: User::Admin,
            kubeconfig: None,
            arguments: Vec::new(),
            days_later: 0,
        }
    }
}

/// A running operator. Dropping it kills it.
#[derive(Debug)]
pub struct Operator {
    process: Process,
    listen: SocketAddr,
}

impl Operator {
    /// Starts an operator and waits until it answers.
    ///
    /// # Errors
    /// When it was not built, ends, or does not answer.
    pub fn start(kubernetes: &Kubernetes, options: &OperatorOptions) -> Result<Self, RigError> {
        let operator = Self::launch(kubernetes, options)?;
        operator.process.ready("/readyz", START, || {
            (operator.get("/readyz").ok()?.0 == 200).then_some(())
        })?;
        Ok(operator)
    }

    /// Starts an operator.
    ///
    /// # Errors
    /// When it was not built.
    pub fn launch(kubernetes: &Kubernetes, options: &OperatorOptions) -> Result<Self, RigError> {
        let program: PathBuf = install::built("tocsin-operator", PROGRAM)?;
        let folder = home::new_folder("operator")?;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::reserve()?));
        let webhook = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::reserve()?));
        let kubeconfig = match &options.kubeconfig {
            Some(named) => named.clone(),
            None => kubernetes.kubeconfig(options.user, None)?,
        };
        let mut command = Command::new(program);
        command
            .env("KUBECONFIG", kubeconfig)
            .args(["--identity", &options.identity])
            .args(["--worker-image", "tocsin-worker:test"])
            .args(["--listen", &listen.to_string()])
            .args(["--listen-webhook", &webhook.to_string()])
            .args(&options.arguments);
        if !options.arguments.iter().any(|argument| argument == "--log-format") {
            command.args(["--log-format", "text"]);
        }
        if options.days_later > 0 {
            command
                .env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1")
                .env("FAKETIME", format!("+{}d", options.days_later))
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let process = Process::start(&options.identity, &command, &folder.join("log"))?;
        Ok(Self { process, listen })
    }

    /// Status and body of what it answers.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn get(&self, path: &str) -> Result<(u16, String), RigError> {
        let answer = http::request(self.listen, "GET", path, &[], &[])?;
        Ok((answer.status(), answer.text()))
    }

    /// The value of a line of its metrics, such as `tocsin_operator_leader`.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn metric(&self, name: &str) -> Result<Option<f64>, RigError> {
        let (_, text) = self.get("/metrics")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.and_then(|value| value.trim().parse().ok()))
    }

    /// All requests that it sent to the API server which change something.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn writes(&self) -> Result<f64, RigError> {
        let (_, text) = self.get("/metrics")?;
        let requests = text
            .lines()
            .filter_map(|line| line.strip_prefix("tocsin_operator_apiserver_requests_total{"));
        let writes = requests.filter(|line| {
            ["create", "update", "patch", "delete"]
                .iter()
                .any(|verb| line.contains(verb))
        });
        Ok(writes
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Asks it to end, and waits for it.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&self) -> Result<(), RigError> {
        self.process.signal(Signal::TERM)?;
        self.process.wait(START).map(drop)
    }
}
