//! Kafka: one broker or three, started, stopped, killed, paused.

mod access;
mod admin;
mod broker;
mod certificates;
mod client;
mod config;
mod disk;
mod features;
mod kerberos;
mod offsets;
mod options;
mod quotas;
pub(crate) mod records;
mod transactions;
mod users;
mod wire;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rdkafka::admin::AdminClient;
use rustix::process::Signal;

use self::broker::Broker;
use self::wire::Wire;
use crate::wait::until;
use crate::{Proxy, RigError, home};

pub use self::access::Rights;
pub use self::admin::{Partition, Topic};
pub use self::certificates::{Certificates, ClientCertificate};
pub use self::client::{Quiet, connects};
pub use self::disk::{SmallDisk, may_mount};
pub use self::kerberos::Kerberos;
pub use self::offsets::Committed;
pub use self::options::{KafkaOptions, Listener, ServerCertificate};
pub use self::records::{Codec, Isolation, Record, produce_with};
pub use self::transactions::Transactional;
pub use self::users::{ADMIN, ALICE, Login, SCOPE, User, unsigned_token};

/// How long a broker may take to end in order.
const STOP: Duration = Duration::from_secs(30);

/// A cluster. Dropping it kills its brokers and removes their files.
///
/// Brokers are numbered from 0; Kafka's own ids are one more.
pub struct Kafka {
    folder: PathBuf,
    options: KafkaOptions,
    certificates: Option<Certificates>,
    kerberos: Option<Kerberos>,
    brokers: Vec<Mutex<Broker>>,
    proxies: Vec<Proxy>,
    admin: OnceLock<AdminClient<Quiet>>,
}

impl Kafka {
    /// Starts a cluster and waits until each broker answers and knows all others.
    ///
    /// # Errors
    /// When Kafka is not installed, or a broker ends or does not answer in time; the error carries the end of its log.
    pub fn start(options: KafkaOptions) -> Result<Self, RigError> {
        let folder = home::new_folder("kafka")?;
        let certificates = if options.listeners.iter().any(|listener| listener.has_tls()) {
            Some(Certificates::make(&folder)?)
        } else {
            None
        };
        let kerberos = if options.listeners.contains(&Listener::Kerberos) {
            Some(Kerberos::start()?)
        } else {
            None
        };
        let mut ports = Vec::new();
        for _ in 0..options.brokers {
            ports.push(Broker::reserve(&options)?);
        }
        let mut proxies = Vec::new();
        for ports in &ports {
            let proxied = ports
                .listeners
                .iter()
                .find(|(listener, ..)| *listener == Listener::Proxied);
            if let Some((_, upstream, told)) = proxied {
                proxies.push(Proxy::kafka(*told, *upstream)?);
            }
        }
        let mut brokers = Vec::new();
        for index in 0..options.brokers {
            let broker = Broker::prepare(
                index,
                folder.join(format!("broker-{index}")),
                ports[index].clone(),
                &options,
            )?;
            let data = broker.own_data();
            broker.configure(&config::properties(
                &options,
                &ports,
                index,
                &data,
                certificates.as_ref(),
                kerberos.as_ref(),
            ))?;
            brokers.push(Mutex::new(broker));
        }
        let kafka = Self {
            folder,
            options,
            certificates,
            kerberos,
            brokers,
            proxies,
            admin: OnceLock::new(),
        };
        for broker in &kafka.brokers {
            broker.lock().launch(kafka.kerberos.as_ref())?;
        }
        for index in 0..kafka.brokers.len() {
            kafka.wait_until_ready(index, kafka.brokers.len())?;
        }
        if kafka.options.listeners.iter().any(|listener| listener.has_login()) {
            kafka.set_scram_password(ADMIN.name, ADMIN.password)?;
            kafka.set_scram_password(ALICE.name, ALICE.password)?;
        }
        Ok(kafka)
    }

    /// Starts one broker, which clients can also come to through a proxy.
    ///
    /// # Errors
    /// As [`Kafka::start`].
    pub fn proxied() -> Result<Self, RigError> {
        Self::start(KafkaOptions::default().listener(Listener::Proxied))
    }

    /// One broker for all tests of this process that keep to topics of their own; started at the first call. It has
    /// the listeners `Plain` and `Proxied`.
    ///
    /// # Errors
    /// As [`Kafka::start`]; when the start failed, each call fails.
    pub fn shared() -> Result<&'static Self, RigError> {
        static SHARED: OnceLock<Result<Kafka, String>> = OnceLock::new();
        let started = SHARED.get_or_init(|| {
            Self::start(KafkaOptions::default().listener(Listener::Proxied)).map_err(|error| error.to_string())
        });
        started
            .as_ref()
            .map_err(|error| RigError::Misused(format!("the shared broker did not start: {error}")))
    }

    /// How many brokers there are, dead ones included.
    pub fn brokers(&self) -> usize {
        self.brokers.len()
    }

    /// What clients are given to find the cluster through a listener: `HOST:PORT,…`, one for each broker.
    ///
    /// # Errors
    /// When the listener was not asked for.
    pub fn bootstrap(&self, listener: Listener) -> Result<String, RigError> {
        let mut addresses = Vec::new();
        for broker in &self.brokers {
            addresses.push(format!("{}:{}", listener.host(), broker.lock().port(listener)?.1));
        }
        Ok(addresses.join(","))
    }

    /// The proxy that stands before a broker's listener `Proxied`.
    ///
    /// # Errors
    /// When the listener was not asked for.
    pub fn proxy(&self, broker: usize) -> Result<&Proxy, RigError> {
        let missing = || RigError::Misused("ask for proxies with .listener(Listener::Proxied)".to_owned());
        self.proxies.get(broker).ok_or_else(missing)
    }

    /// The certificates, for a client.
    ///
    /// # Errors
    /// When no listener with TLS was asked for.
    pub fn certificates(&self) -> Result<&Certificates, RigError> {
        let missing = || RigError::Misused("ask for a listener with TLS".to_owned());
        self.certificates.as_ref().ok_or_else(missing)
    }

    /// Kills a broker: it writes nothing more and says nothing to anyone.
    ///
    /// # Errors
    /// When there is no such broker or it was stopped.
    pub fn kill(&self, broker: usize) -> Result<(), RigError> {
        let mut broker = self.broker(broker)?;
        broker.process()?.kill()?;
        broker.process = None;
        Ok(())
    }

    /// Ends a broker in order, and waits for its end.
    ///
    /// # Errors
    /// As [`Kafka::kill`], and when it does not end.
    pub fn stop(&self, broker: usize) -> Result<(), RigError> {
        // Waited for without the lock, so that other threads can go on with the other brokers.
        self.broker(broker)?.process()?.signal(Signal::TERM)?;
        let process = self.broker(broker)?.process.take();
        process.map_or(Ok(()), |process| process.wait(STOP).map(drop))
    }

    /// Holds a broker: its connections stay open, and nobody answers.
    ///
    /// # Errors
    /// As [`Kafka::kill`].
    pub fn pause(&self, broker: usize) -> Result<(), RigError> {
        let mut broker = self.broker(broker)?;
        broker.paused = true;
        broker.process()?.signal(Signal::STOP)
    }

    /// Lets a held broker go on.
    ///
    /// # Errors
    /// As [`Kafka::kill`].
    pub fn resume(&self, broker: usize) -> Result<(), RigError> {
        let mut broker = self.broker(broker)?;
        broker.paused = false;
        broker.process()?.signal(Signal::CONT)
    }

    /// Waits until a broker has ended by itself.
    ///
    /// # Errors
    /// As [`Kafka::kill`], and when it still runs.
    pub fn wait_for_end(&self, broker: usize, within: Duration) -> Result<(), RigError> {
        until(&format!("the end of broker {broker}"), within, || {
            Ok(self.broker(broker)?.process()?.ended()?.map(drop))
        })?;
        self.broker(broker)?.process = None;
        Ok(())
    }

    /// Starts a stopped or killed broker with its data and its ports, and waits until it answers.
    ///
    /// # Errors
    /// When it runs, or as [`Kafka::start`].
    pub fn start_again(&self, broker: usize) -> Result<(), RigError> {
        self.start_again_with(broker, &[])
    }

    /// As [`Kafka::start_again`], with other settings from now on.
    ///
    /// # Errors
    /// As [`Kafka::start_again`].
    pub fn start_again_with(&self, broker: usize, settings: &[(&str, &str)]) -> Result<(), RigError> {
        let ports: Vec<_> = self.brokers.iter().map(|broker| broker.lock().ports.clone()).collect();
        let mut restarted = self.broker(broker)?;
        if restarted.process.is_some() {
            return Err(RigError::Misused(format!(
                "broker {broker} runs; stop or kill it first"
            )));
        }
        if !settings.is_empty() {
            let options = settings
                .iter()
                .fold(self.options.clone(), |all, (key, value)| all.setting(key, value));
            let data = restarted.own_data();
            restarted.configure(&config::properties(
                &options,
                &ports,
                broker,
                &data,
                self.certificates.as_ref(),
                self.kerberos.as_ref(),
            ))?;
        }
        restarted.launch(self.kerberos.as_ref())?;
        drop(restarted);
        self.wait_until_ready(broker, 1)
    }

    /// Processor time that a broker's process has used since its last start.
    ///
    /// # Errors
    /// As [`Kafka::kill`].
    pub fn cpu_time(&self, broker: usize) -> Result<Duration, RigError> {
        self.broker(broker)?.process()?.cpu_time()
    }

    /// The process id of a running broker.
    ///
    /// # Errors
    /// As [`Kafka::kill`].
    pub fn pid(&self, broker: usize) -> Result<u32, RigError> {
        Ok(self.broker(broker)?.process()?.pid())
    }

    /// The end of a broker's log.
    ///
    /// # Errors
    /// As [`Kafka::kill`].
    pub fn last_lines(&self, broker: usize) -> Result<String, RigError> {
        Ok(self.broker(broker)?.process()?.last_lines())
    }

    /// A broker's data folder.
    ///
    /// # Errors
    /// When there is no such broker.
    pub fn data(&self, broker: usize) -> Result<PathBuf, RigError> {
        Ok(self.broker(broker)?.data())
    }

    /// Fills a broker's small disk until no more than `leave` bytes are free.
    ///
    /// # Errors
    /// When small disks were not asked for.
    pub fn fill_disk(&self, broker: usize, leave: u64) -> Result<(), RigError> {
        self.on_disk(broker, |disk| disk.fill(leave))
    }

    /// Gives back what [`Kafka::fill_disk`] took.
    ///
    /// # Errors
    /// As [`Kafka::fill_disk`].
    pub fn relieve_disk(&self, broker: usize) -> Result<(), RigError> {
        self.on_disk(broker, disk::SmallDisk::relieve)
    }

    /// Bytes that are free on a broker's small disk.
    ///
    /// # Errors
    /// As [`Kafka::fill_disk`].
    pub fn free_disk(&self, broker: usize) -> Result<u64, RigError> {
        self.on_disk(broker, disk::SmallDisk::free)
    }

    /// Waits until a broker answers and knows of so many brokers that live, itself among them.
    fn wait_until_ready(&self, index: usize, brokers: usize) -> Result<(), RigError> {
        let within = self.options.within;
        let what = format!("broker {index} (an answer that names {brokers} brokers)");
        let ready = until(&what, within, || {
            let (port, id) = self.broker(index)?.asked_at()?;
            let cluster = Wire::connect(port).and_then(|mut wire| wire.cluster(None));
            let knows = cluster.is_ok_and(|known| known.brokers.len() >= brokers && known.brokers.contains(&id));
            Ok(knows.then_some(()))
        });
        ready.map_err(|error| match error {
            RigError::TimedOut { what, within } => RigError::NotReady {
                what,
                within,
                log: self.last_lines(index).unwrap_or_default(),
            },
            other => other,
        })
    }

    fn on_disk<T>(
        &self,
        broker: usize,
        work: impl FnOnce(&disk::SmallDisk) -> Result<T, RigError>,
    ) -> Result<T, RigError> {
        let broker = self.broker(broker)?;
        let missing = || RigError::Misused("ask for small disks with .small_disk(bytes)".to_owned());
        work(broker.disk.as_ref().ok_or_else(missing)?)
    }

    fn broker(&self, index: usize) -> Result<MutexGuard<'_, Broker>, RigError> {
        let missing = || RigError::Misused(format!("there is no broker {index}; they are numbered from 0"));
        self.brokers.get(index).map(Mutex::lock).ok_or_else(missing)
    }

    /// The plain ports of the brokers that can answer.
    fn live_ports(&self) -> Result<Vec<u16>, RigError> {
        let live = self
            .brokers
            .iter()
            .map(Mutex::lock)
            .filter(|broker| broker.process.is_some() && !broker.paused);
        let ports: Vec<u16> = live
            .map(|broker| broker.port(Listener::Plain).map(|port| port.0))
            .collect::<Result<_, _>>()?;
        if ports.is_empty() {
            return Err(RigError::Misused("no broker runs".to_owned()));
        }
        Ok(ports)
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // All at once: three ends take no longer than one.
        for broker in &self.brokers {
            if let Some(process) = &broker.lock().process {
                drop(process.signal(Signal::KILL));
            }
        }
        for broker in &self.brokers {
            broker.lock().process = None;
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
