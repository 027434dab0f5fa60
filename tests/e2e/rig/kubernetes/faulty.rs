//! The API server behind a proxy that breaks what a test tells it to break.
//!
//! `kubectl proxy` speaks TLS to the API server, as the user who asks; the proxy before it sees plain HTTP.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Kubernetes, User};
use crate::process::Process;
use crate::{HttpProxy, RigError, home, http, ports};

/// kubectl answers within this.
const START: Duration = Duration::from_secs(20);

/// The API server behind a proxy. Dropping it ends all connections.
#[derive(Debug)]
pub struct FaultyApi {
    proxy: HttpProxy,
    kubeconfig: PathBuf,
    _kubectl: Process,
}

impl FaultyApi {
    /// Stands before the API server for whoever asks as this user.
    ///
    /// # Errors
    /// When kubectl does not start.
    pub fn before(kubernetes: &Kubernetes, user: User) -> Result<Self, RigError> {
        let folder = home::new_folder("faulty-api")?;
        let port = ports::reserve()?;
        let mut command = Command::new(kubernetes.programs().join("kubectl"));
        command
            .env("KUBECONFIG", kubernetes.kubeconfig(user, None)?)
            .args(["proxy", "--port", &port.to_string()]);
        let kubectl = Process::start("kubectl proxy", &command, &folder.join("kubectl.log"))?;
        let address = ([127, 0, 0, 1], port).into();
        kubectl.ready("an answer", START, || {
            http::request(address, "GET", "/version", &[], &[]).ok().map(drop)
        })?;
        let proxy = HttpProxy::before(address)?;
        let kubeconfig = folder.join("kubeconfig");
        let text = format!(
            "apiVersion: v1
kind: Config
clusters: [{{name: rig, cluster: {{server: '{}'}}}}]
users: [{{name: rig, user: {{}}}}]
contexts: [{{name: rig, context: {{cluster: rig, user: rig}}}}]
current-context: rig
",
            proxy.url()
        );
        std::fs::write(&kubeconfig, text).map_err(RigError::io(format!("writing {}", kubeconfig.display())))?;
        Ok(Self {
            proxy,
            kubeconfig,
            _kubectl: kubectl,
        })
    }

    /// Where rules are set.
    pub fn proxy(&self) -> &HttpProxy {
        &self.proxy
    }

    /// The file by which a client finds it.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}
