//! A Kerberos realm of a cluster's own: a key distribution centre (MIT's) with the broker's and a client's key.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use super::options::Listener;
use super::{Kafka, broker};
use crate::process::Process;
use crate::{RigError, home, ports};

const REALM: &str = "TOCSIN.TEST";
/// All brokers of this machine: clients put together the service and the host that they were told.
const BROKER: &str = "kafka/localhost@TOCSIN.TEST";
/// Not every user has the folder of such programs on the path.
const PROGRAMS: &str = "/usr/sbin";

/// A running key distribution centre.
#[derive(Debug)]
pub struct Kerberos {
    folder: PathBuf,
    _centre: Process,
}

impl Kerberos {
    /// The name with which a client logs in; brokers know it as the user `alice`.
    pub const CLIENT: &str = "alice@TOCSIN.TEST";
    /// The first part of the brokers' names (`sasl.kerberos.service.name`).
    pub const SERVICE: &str = "kafka";

    /// Makes a realm and starts its centre.
    ///
    /// # Errors
    /// When Debian's packages krb5-kdc and krb5-admin-server are missing, or the centre does not listen.
    pub(super) fn start() -> Result<Self, RigError> {
        let folder = home::new_folder("kerberos")?;
        let port = ports::reserve()?;
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(RigError::io(format!("writing {}", path.display())))
        };
        // No names are looked up: a machine's own idea of its name would go into the brokers' names.
        let client = format!(
            "[libdefaults]\n default_realm = {REALM}\n dns_lookup_realm = false\n dns_lookup_kdc = false\n \
             dns_canonicalize_hostname = false\n rdns = false\n udp_preference_limit = 1\n\
             [realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n"
        );
        write("krb5.conf", client)?;
        let place = folder.display();
        let centre = format!(
            "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n\
             [realms]\n {REALM} = {{\n  database_name = {place}/principal\n  key_stash_file = {place}/stash\n  \
             acl_file = {place}/acl\n  supported_enctypes = aes256-cts:normal\n }}\n[logging]\n kdc = STDERR\n"
        );
        write("kdc.conf", centre)?;

        run(command(&folder, "kdb5_util").args(["create", "-s", "-r", REALM, "-P", "master"]))?;
        for (principal, file) in [(BROKER, "broker"), (Self::CLIENT, "stale")] {
            administer(&folder, &format!("addprinc -randkey {principal}"))?;
            administer(&folder, &format!("ktadd -k {place}/{file}.keytab {principal}"))?;
        }
        // Each export makes a new key: the one before is of no use any more.
        administer(&folder, &format!("ktadd -k {place}/client.keytab {}", Self::CLIENT))?;
        let log = folder.join("log");
        let centre = Process::start("the Kerberos centre", command(&folder, "krb5kdc").arg("-n"), &log)?;
        centre.ready("an open port", Duration::from_secs(10), || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop)
        })?;
        Ok(Self {
            folder,
            _centre: centre,
        })
    }

    /// For `KRB5_CONFIG`, or Java's `java.security.krb5.conf`.
    pub fn configuration(&self) -> PathBuf {
        self.folder.join("krb5.conf")
    }

    /// The client's key.
    pub fn client_keytab(&self) -> PathBuf {
        self.folder.join("client.keytab")
    }

    /// A key that the client had before, and that must be refused.
    pub fn stale_keytab(&self) -> PathBuf {
        self.folder.join("stale.keytab")
    }

    /// A broker's settings, behind `listener.name.NAME.`.
    pub(super) fn broker_settings(&self) -> [(&'static str, String); 3] {
        let keytab = self.folder.join("broker.keytab");
        [
            ("sasl.enabled.mechanisms", "GSSAPI".to_owned()),
            ("sasl.kerberos.service.name", Self::SERVICE.to_owned()),
            ("gssapi.sasl.jaas.config", jaas(&keytab, BROKER)),
        ]
    }
}

impl Kafka {
    /// The realm of the listener `Kerberos`.
    ///
    /// # Errors
    /// When the listener was not asked for.
    pub fn kerberos(&self) -> Result<&Kerberos, RigError> {
        let missing = || RigError::Misused("ask for it with .listener(Listener::Kerberos)".to_owned());
        self.kerberos.as_ref().ok_or_else(missing)
    }

    /// Whether Kafka's own client gets an answer with a key of the client's; librdkafka is built without Kerberos here.
    ///
    /// # Errors
    /// [`RigError::Refused`], with what the client printed.
    pub fn connects_by_kerberos(&self, keytab: &Path) -> Result<(), RigError> {
        let kerberos = self.kerberos()?;
        let settings = kerberos.folder.join("client.properties");
        let text = format!(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=GSSAPI\nsasl.kerberos.service.name={}\nsasl.jaas.config={}\n",
            Kerberos::SERVICE,
            jaas(keytab, Kerberos::CLIENT)
        );
        std::fs::write(&settings, text).map_err(RigError::io(format!("writing {}", settings.display())))?;
        let mut command = Command::new("java");
        command
            .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx128m"])
            .arg(format!(
                "-Djava.security.krb5.conf={}",
                kerberos.configuration().display()
            ))
            .arg("-cp")
            .arg(format!("{}/lib/*", broker::home()?.display()))
            .arg("org.apache.kafka.tools.BrokerApiVersionsCommand")
            .args(["--bootstrap-server", &self.bootstrap(Listener::Kerberos)?])
            .arg("--command-config")
            .arg(&settings);
        run(&mut command).map(drop)
    }
}

fn jaas(keytab: &Path, principal: &str) -> String {
    format!(
        "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true keyTab=\"{}\" \
         principal=\"{principal}\";",
        keytab.display()
    )
}

fn administer(folder: &Path, query: &str) -> Result<Output, RigError> {
    run(command(folder, "kadmin.local").args(["-r", REALM, "-q", query]))
}

fn command(folder: &Path, program: &str) -> Command {
    let path = Path::new(PROGRAMS).join(program);
    let mut command = if path.is_file() {
        Command::new(path)
    } else {
        Command::new(program)
    };
    command
        .env("KRB5_CONFIG", folder.join("krb5.conf"))
        .env("KRB5_KDC_PROFILE", folder.join("kdc.conf"));
    command
}

fn run(command: &mut Command) -> Result<Output, RigError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(RigError::io(format!(
        "starting {program} (Kerberos needs Debian's packages krb5-kdc and krb5-admin-server)"
    )))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(RigError::Refused {
        what: program,
        answer: format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
    })
}
