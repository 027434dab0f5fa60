//! Who may ask the API server, and how they find it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

use crate::RigError;
use crate::authority::issuer;

/// Users whom the API server knows by their token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// May do anything.
    Admin,
    /// May do what roles allow it: the operator.
    Operator,
    /// May do what roles allow it.
    Alice,
    /// May do what roles allow it.
    Bob,
    /// May do what roles allow it.
    Eve,
}

impl User {
    const ALL: [Self; 5] = [Self::Admin, Self::Operator, Self::Alice, Self::Bob, Self::Eve];

    /// The name by which roles and audit know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "tocsin-operator",
            Self::Alice => "alice",
            Self::Bob => "bob",
            Self::Eve => "eve",
        }
    }

    /// The token.
    pub fn token(self) -> String {
        format!("token-of-{}", self.name())
    }

    const fn groups(self) -> &'static str {
        match self {
            Self::Admin => "system:masters",
            _ => "",
        }
    }
}

/// The API server's own Service: the first address of the range.
const SERVICE: &str = "10.96.0.1";
/// The node that it runs on, where it runs on one.
pub const NODE: &str = "10.244.0.1";

/// What is kept of each request: who asked for what, and never what it held.
const AUDIT: &str =
    "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n";

/// Writes certificates, keys, tokens and the audit's policy.
pub fn write(folder: &Path) -> Result<(), RigError> {
    let failed = |source| RigError::Certificate {
        name: "API server",
        source,
    };
    let authority = issuer("Kubernetes test authority")?;
    let key = KeyPair::generate().map_err(failed)?;
    let names = ["localhost", "127.0.0.1", "kubernetes.default.svc", SERVICE, NODE].map(str::to_owned);
    let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2120, 1, 1));
    let certificate = params.signed_by(&key, &authority).map_err(failed)?;
    let accounts = KeyPair::generate().map_err(failed)?;
    let line = |user: User| format!("{},{},{1},\"{}\"\n", user.token(), user.name(), user.groups());
    let tokens: String = User::ALL.map(line).concat();
    let files = [
        ("ca.pem", authority.pem()),
        ("apiserver.pem", certificate.pem()),
        ("apiserver.key", key.serialize_pem()),
        ("service-accounts.key", accounts.serialize_pem()),
        ("service-accounts.pub", accounts.public_key_pem()),
        ("tokens.csv", tokens),
        ("audit.yaml", AUDIT.to_owned()),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(RigError::io(format!("writing {}", path.display())))?;
    }
    Ok(())
}

/// The file by which a client finds the API server as a user.
pub fn kubeconfig(folder: &Path, user: User, address: SocketAddr) -> Result<PathBuf, RigError> {
    let path = folder.join(format!("{}-{}.kubeconfig", user.name(), address.port()));
    let authority = folder.join("ca.pem");
    let text = format!(
        "apiVersion: v1
kind: Config
clusters: [{{name: rig, cluster: {{server: 'https://{address}', certificate-authority: '{}'}}}}]
users: [{{name: {user}, user: {{token: {token}}}}}]
contexts: [{{name: rig, context: {{cluster: rig, user: {user}}}}}]
current-context: rig
",
        authority.display(),
        user = user.name(),
        token = user.token(),
    );
    // Whole or not at all: others read it meanwhile.
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let part = path.with_extension(format!("{}.part", WRITTEN.fetch_add(1, Ordering::Relaxed)));
    let write = || std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, &path));
    write().map_err(RigError::io(format!("writing {}", path.display())))?;
    Ok(path)
}
