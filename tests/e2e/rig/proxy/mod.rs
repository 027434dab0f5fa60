//! A proxy that stands between clients and one broker and breaks what a test tells it to break.
//!
//! It knows the frames of Kafka's protocol, so that a rule can say "the third EndTxn"; for other protocols it passes
//! bytes. It changes no message.

mod frames;
mod link;
mod rules;
mod state;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::link::Protocol;
use self::rules::Active;
use self::state::Shared;
use crate::{RigError, ports};

pub use self::frames::{ApiKey, Head};
pub use self::rules::Rule;
pub use self::state::{Direction, Fate, Seen};

/// How long opening and closing the port may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A proxy. Dropping it cuts all connections.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Proxy {
    /// A proxy of Kafka's protocol on a port, before the one of a broker.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn kafka(port: u16, upstream: u16) -> Result<Self, RigError> {
        Self::start(port, upstream, Protocol::Kafka)
    }

    /// A proxy of any protocol before a port of 127.0.0.1; rules match nothing.
    ///
    /// # Errors
    /// When no port is free.
    pub fn bytes(upstream: u16) -> Result<Self, RigError> {
        Self::start(ports::reserve()?, upstream, Protocol::Bytes)
    }

    fn start(port: u16, upstream: u16, protocol: Protocol) -> Result<Self, RigError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, upstream));
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        let what = || format!("starting the proxy at {address}");
        link::thread("proxy-accept", move || accept(&accepting, address, upstream, protocol))
            .map_err(RigError::io(what()))?;
        let proxy = Self { shared, address };
        proxy.wait_until_open()?;
        Ok(proxy)
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything passes again, as at the start; rules stay.
    ///
    /// # Errors
    /// When the port cannot be opened again after a cut.
    pub fn pass(&self) -> Result<(), RigError> {
        self.shared.change(|state| {
            state.cut = false;
            for direction in [Direction::Requests, Direction::Answers] {
                *state.way(direction) = state::Way::default();
            }
        });
        self.wait_until_open()
    }

    /// Each message of a direction arrives so much later.
    pub fn delay(&self, direction: Direction, by: Duration) {
        self.shared.change(|state| state.way(direction).delay = by);
    }

    /// Connections stay open, new ones are taken, and what is sent in a direction is lost.
    pub fn swallow(&self, direction: Direction) {
        self.shared.change(|state| state.way(direction).swallow = true);
    }

    /// Each connection carries so many bytes a second in a direction.
    pub fn throttle(&self, direction: Direction, bytes_per_second: u64) {
        self.shared
            .change(|state| state.way(direction).bytes_per_second = Some(bytes_per_second));
    }

    /// Resets all connections; new ones are taken.
    pub fn reset_connections(&self) {
        self.shared
            .change(|state| state.links.values().for_each(|link| link.cut()));
    }

    /// Resets all connections and refuses new ones.
    ///
    /// # Errors
    /// When the port does not close.
    pub fn cut(&self) -> Result<(), RigError> {
        self.shared.change(|state| {
            state.cut = true;
            state.links.values().for_each(|link| link.cut());
        });
        self.wake();
        let deadline = Instant::now() + PATIENCE;
        let closed = self
            .shared
            .wait(|state| if state.listening { Err(deadline) } else { Ok(()) });
        closed.ok_or_else(|| RigError::TimedOut {
            what: format!("the end of the proxy's port {}", self.address),
            within: PATIENCE,
        })
    }

    /// Adds a rule; it counts from now on. Of several rules the first added whose turn it is has the request.
    pub fn add(&self, rule: Rule) -> RuleHandle {
        let id = self.shared.change(|state| {
            let id = state.number();
            state.rules.push(Active::new(id, rule));
            id
        });
        RuleHandle {
            shared: Arc::clone(&self.shared),
            id,
        }
    }

    /// Removes all rules; what they held goes on.
    pub fn remove_rules(&self) {
        self.shared.change(|state| state.rules.clear());
    }

    /// The requests that were seen, the last 20,000 of them.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.look(|state| state.seen.iter().cloned().collect())
    }

    /// How many requests of a kind were seen.
    pub fn count(&self, api_key: ApiKey) -> u64 {
        self.shared
            .look(|state| state.counts.get(&api_key).copied().unwrap_or_default())
    }

    /// Waits until so many requests of a kind were seen.
    ///
    /// # Errors
    /// [`RigError::TimedOut`].
    pub fn wait_for(&self, api_key: ApiKey, count: u64, within: Duration) -> Result<(), RigError> {
        let deadline = Instant::now() + within;
        let enough = self.shared.wait(|state| {
            let seen = state.counts.get(&api_key).copied().unwrap_or_default();
            if seen >= count { Ok(()) } else { Err(deadline) }
        });
        enough.ok_or_else(|| RigError::TimedOut {
            what: format!("{count} requests of {api_key} at the proxy {}", self.address),
            within,
        })
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.shared.look(|state| state.links.len())
    }

    fn wait_until_open(&self) -> Result<(), RigError> {
        let deadline = Instant::now() + PATIENCE;
        let what = || format!("opening the proxy's port {}", self.address);
        let opened = self.shared.wait(|state| match (state.listening, state.failed.take()) {
            (true, _) => Ok(None),
            (false, Some(reason)) => Ok(Some(reason)),
            (false, None) => Err(deadline),
        });
        match opened {
            Some(None) => Ok(()),
            Some(Some(reason)) => Err(RigError::Misused(format!("{}: {reason}", what()))),
            None => Err(RigError::TimedOut {
                what: what(),
                within: PATIENCE,
            }),
        }
    }

    /// The thread that accepts sleeps in the kernel; a connection wakes it.
    fn wake(&self) {
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.stopped = true;
            state.rules.clear();
            state.links.values().for_each(|link| link.cut());
        });
        self.wake();
    }
}

/// A rule that was added.
#[derive(Debug, Clone)]
pub struct RuleHandle {
    shared: Arc<Shared>,
    id: u64,
}

impl RuleHandle {
    /// How often the rule did what it says.
    pub fn hits(&self) -> u64 {
        self.shared.look(|state| {
            state
                .rules
                .iter()
                .find(|rule| rule.id == self.id)
                .map_or(0, |rule| rule.hits)
        })
    }

    /// Waits until the rule did once what it says.
    ///
    /// # Errors
    /// [`RigError::TimedOut`].
    pub fn wait(&self, within: Duration) -> Result<(), RigError> {
        self.wait_for(1, within)
    }

    /// Waits until the rule did so often what it says.
    ///
    /// # Errors
    /// [`RigError::TimedOut`].
    pub fn wait_for(&self, hits: u64, within: Duration) -> Result<(), RigError> {
        let deadline = Instant::now() + within;
        let mut description = String::new();
        let enough = self.shared.wait(|state| {
            let rule = state.rules.iter().find(|rule| rule.id == self.id);
            if rule.is_some_and(|rule| rule.hits >= hits) {
                return Ok(());
            }
            description = format!("{:?}", rule.map(|rule| &rule.rule));
            Err(deadline)
        });
        enough.ok_or_else(|| RigError::TimedOut {
            what: format!("{hits} hits of the proxy's rule {description}"),
            within,
        })
    }

    /// Lets go what the rule holds, now and from now on.
    pub fn release(&self) {
        self.shared.change(|state| {
            if let Some(rule) = state.rules.iter_mut().find(|rule| rule.id == self.id) {
                rule.released = true;
            }
        });
    }

    /// Removes the rule; what it held goes on.
    pub fn remove(&self) {
        self.shared
            .change(|state| state.rules.retain(|rule| rule.id != self.id));
    }
}

/// Takes connections as long as the proxy lives; gives the port back while it is cut.
fn accept(shared: &Arc<Shared>, address: SocketAddr, upstream: SocketAddr, protocol: Protocol) {
    loop {
        let listener = match ports::listen(address.port()) {
            Ok(listener) => listener,
            Err(error) => return shared.change(|state| state.failed = Some(error.to_string())),
        };
        shared.change(|state| state.listening = true);
        for client in listener.incoming() {
            if shared.look(|state| state.stopped || state.cut) {
                break;
            }
            // A broker that is down is one whose connections end at once.
            if let (Ok(client), Ok(server)) = (client, TcpStream::connect_timeout(&upstream, PATIENCE)) {
                drop(link::start(shared, protocol, client, server));
            }
        }
        drop(listener);
        shared.change(|state| state.listening = false);
        let never = Instant::now() + Duration::from_secs(86_400);
        shared.wait(|state| {
            if state.cut && !state.stopped {
                Err(never)
            } else {
                Ok(())
            }
        });
        if shared.look(|state| state.stopped) {
            return;
        }
    }
}
