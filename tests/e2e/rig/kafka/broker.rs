//! One broker: its files, its process, its disk.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::config::Ports;
use super::disk::SmallDisk;
use crate::RigError;
use crate::process::Process;
use crate::{install, ports};

use super::kerberos::Kerberos;
use super::options::{KafkaOptions, Listener};

/// Of the processes and classes that the broker does not need quickly, the less the better: it lives for seconds.
const JAVA: &[&str] = &[
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Xshare:auto",
];

/// A broker that lives for minutes and is measured.
const JAVA_FOR_LONG: &[&str] = &["-XX:+UseParallelGC", "-XX:-UsePerfData", "-Xshare:auto"];

/// A broker that runs, or ran.
#[derive(Debug)]
pub struct Broker {
    name: String,
    id: i32,
    folder: PathBuf,
    heap: u32,
    lives_long: bool,
    /// Where it listens.
    pub ports: Ports,
    /// The small disk, if it was asked for.
    pub disk: Option<SmallDisk>,
    /// The process, unless it was stopped.
    pub process: Option<Process>,
    /// Whether it is held, and answers nobody.
    pub paused: bool,
}

impl Broker {
    /// Reserves the ports of a broker.
    ///
    /// # Errors
    /// When none are free.
    pub fn reserve(options: &KafkaOptions) -> Result<Ports, RigError> {
        let mut listeners = Vec::new();
        for listener in &options.listeners {
            let bound = ports::reserve()?;
            let told = if *listener == Listener::Proxied {
                ports::reserve()?
            } else {
                bound
            };
            listeners.push((*listener, bound, told));
        }
        Ok(Ports {
            controller: ports::reserve()?,
            listeners,
        })
    }

    /// Lays out a broker's folder: what StorageTool would write, from what it once wrote into the cache.
    ///
    /// # Errors
    /// When Kafka is not installed or a file cannot be written.
    pub fn prepare(index: usize, folder: PathBuf, ports: Ports, options: &KafkaOptions) -> Result<Self, RigError> {
        let data = folder.join("data");
        std::fs::create_dir_all(&data).map_err(RigError::io(format!("making {}", data.display())))?;
        let disk = match options.disk {
            Some(bytes) => Some(SmallDisk::mount(&data, bytes, &folder.join("disk.log"))?),
            None => None,
        };
        let broker = Self {
            name: format!("broker {index}"),
            id: i32::try_from(index + 1).unwrap_or(i32::MAX),
            folder,
            heap: options.heap,
            lives_long: options.lives_long,
            ports,
            disk,
            process: None,
            paused: false,
        };
        let data = broker.data();
        let bootstrap = home()?.join("bootstrap.checkpoint");
        let copy = std::fs::copy(&bootstrap, data.join("bootstrap.checkpoint")).map(drop);
        copy.map_err(RigError::io(format!("copying {}", bootstrap.display())))?;
        // Sixteen bytes in base64 each, as Kafka writes its ids; those of folders differ in the sixth letter.
        let letter = char::from(b'A' + u8::try_from(index % 26).unwrap_or_default());
        let id = broker.id;
        let meta = format!(
            "version=1\ncluster.id=dG9jc2luLWNsdXN0ZXIhIQ\nnode.id={id}\ndirectory.id=dG9jc{letter}luLWJyb2tlci0hIQ\n"
        );
        broker.write(&data.join("meta.properties"), &meta)?;
        Ok(broker)
    }

    /// The data folder, as this process sees it.
    pub fn data(&self) -> PathBuf {
        self.disk
            .as_ref()
            .map_or_else(|| self.folder.join("data"), SmallDisk::path)
    }

    /// The data folder, as the broker sees it.
    pub fn own_data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Writes the settings that the next start reads.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn configure(&self, properties: &str) -> Result<(), RigError> {
        self.write(&self.folder.join("server.properties"), properties)?;
        self.write(&self.folder.join("log4j2.yaml"), include_str!("log4j2.yaml"))
    }

    /// Starts the process; it is not ready yet.
    ///
    /// # Errors
    /// When Java cannot be started.
    pub fn launch(&mut self, kerberos: Option<&Kerberos>) -> Result<(), RigError> {
        let home = home()?;
        let mut command = match &self.disk {
            Some(disk) => {
                let mut command = disk.enter();
                command.arg("java");
                command
            }
            None => Command::new("java"),
        };
        command
            .args(if self.lives_long { JAVA_FOR_LONG } else { JAVA })
            .args([format!("-Xms{}m", self.heap), format!("-Xmx{}m", self.heap)]);
        if let Some(kerberos) = kerberos {
            command.arg(format!(
                "-Djava.security.krb5.conf={}",
                kerberos.configuration().display()
            ));
        }
        let classes = home.join("classes.jsa");
        if classes.is_file() {
            // Another Java than it was made with passes over it.
            command.arg(format!("-XX:SharedArchiveFile={}", classes.display()));
        }
        command
            .arg(format!(
                "-Dlog4j2.configurationFile={}",
                self.folder.join("log4j2.yaml").display()
            ))
            .arg("-cp")
            .arg(format!("{}/lib/*", home.display()))
            .arg("kafka.Kafka")
            .arg(self.folder.join("server.properties"))
            .current_dir(&self.folder);
        self.paused = false;
        self.process = Some(Process::start(&self.name, &command, &self.folder.join("log"))?);
        Ok(())
    }

    /// Where and under which id to ask whether it is ready; fails when its process has ended.
    ///
    /// # Errors
    /// With the end of its log.
    pub fn asked_at(&self) -> Result<(u16, i32), RigError> {
        self.process()?.check()?;
        Ok((self.port(Listener::Plain)?.0, self.id))
    }

    /// The running process.
    ///
    /// # Errors
    /// When it was stopped.
    pub fn process(&self) -> Result<&Process, RigError> {
        self.process
            .as_ref()
            .ok_or_else(|| RigError::Misused(format!("{} was stopped", self.name)))
    }

    /// The port that a listener is bound to, and the one that clients are told.
    ///
    /// # Errors
    /// When the listener was not asked for.
    pub fn port(&self, listener: Listener) -> Result<(u16, u16), RigError> {
        let listeners = self.ports.listeners.iter();
        let found = listeners
            .copied()
            .find(|(open, ..)| *open == listener)
            .map(|(_, bound, told)| (bound, told));
        found.ok_or_else(|| RigError::Misused(format!("ask for it with .listener(Listener::{listener:?})")))
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), RigError> {
        std::fs::write(path, text).map_err(RigError::io(format!("writing {}", path.display())))
    }
}

/// Where Kafka is installed.
///
/// # Errors
/// When it is not.
pub fn home() -> Result<PathBuf, RigError> {
    install::folder("kafka", "KAFKA_VERSION", "scripts/kafka.sh")
}
