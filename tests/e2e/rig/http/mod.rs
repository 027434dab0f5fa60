//! HTTP: a proxy that breaks what a test tells it to break, before an object store or in the place of a webhook.

mod client;
mod message;
mod rules;
mod stream;

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use self::message::Ends;
use self::rules::{Action, Active};
use crate::{RigError, ports};

pub use self::client::request;
pub use self::message::Message;
pub use self::rules::HttpRule;

/// How long the upstream may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Far enough to be never.
const NEVER: Duration = Duration::from_secs(86_400);

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSeen {
    /// The request.
    pub request: Message,
    /// When the whole of it was there.
    pub at: Instant,
    /// The status with which it was answered, by the upstream or by a rule; none if it never was.
    pub status: Option<u16>,
    /// Whether the client got the whole answer.
    pub answered: bool,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    next: u64,
    rules: Vec<Active>,
    seen: Vec<HttpSeen>,
    clients: BTreeMap<u64, Arc<TcpStream>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `ask` gives a value; none at the deadline.
    fn wait<T>(&self, within: Duration, mut ask: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + within;
        let mut state = self.state.lock();
        loop {
            if let Some(value) = ask(&mut state) {
                return Some(value);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.changed.wait_for(&mut state, left);
        }
    }
}

/// The proxy, or a receiver that answers everything with 200. Dropping it closes its port and all connections.
#[derive(Debug)]
pub struct HttpProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl HttpProxy {
    /// A proxy before a server.
    ///
    /// # Errors
    /// When no port is free.
    pub fn before(upstream: SocketAddr) -> Result<Self, RigError> {
        Self::start(Some(upstream))
    }

    /// A receiver with nobody behind it: it keeps what it is sent and answers 200, if no rule says otherwise.
    ///
    /// # Errors
    /// When no port is free.
    pub fn receiver() -> Result<Self, RigError> {
        Self::start(None)
    }

    fn start(upstream: Option<SocketAddr>) -> Result<Self, RigError> {
        let port = ports::reserve()?;
        let listener = ports::listen(port)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let failed = || RigError::io(format!("starting the HTTP proxy at {address}"));
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread(move || accept(&accepting, &listener, upstream)).map_err(failed())?;
        Ok(Self { shared, address })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a rule; it counts from now on. Of several rules the first added whose turn it is has the request.
    pub fn add(&self, rule: HttpRule) -> HttpRuleHandle {
        let id = self.shared.change(|state| {
            state.next += 1;
            state.rules.push(Active::new(state.next, rule));
            state.next
        });
        HttpRuleHandle {
            shared: Arc::clone(&self.shared),
            id,
        }
    }

    /// Removes all rules; what they held goes on.
    pub fn remove_rules(&self) {
        self.shared.change(|state| state.rules.clear());
    }

    /// All requests that came.
    pub fn seen(&self) -> Vec<HttpSeen> {
        self.shared.state.lock().seen.clone()
    }

    /// Waits until so many requests came and were done with.
    ///
    /// # Errors
    /// [`RigError::TimedOut`].
    pub fn wait_for(&self, requests: usize, within: Duration) -> Result<Vec<HttpSeen>, RigError> {
        let done = |state: &mut State| {
            let done = state.seen.iter().filter(|seen| seen.status.is_some()).count();
            (done >= requests).then(|| state.seen.clone())
        };
        self.shared.wait(within, done).ok_or_else(|| RigError::TimedOut {
            what: format!("{requests} requests at {}", self.address),
            within,
        })
    }
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.stopped = true;
            state.rules.clear();
            for client in state.clients.values() {
                let _ = client.shutdown(Shutdown::Both);
            }
        });
        // The thread that accepts sleeps in the kernel; a connection wakes it.
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
    }
}

/// A rule that was added.
#[derive(Debug, Clone)]
pub struct HttpRuleHandle {
    shared: Arc<Shared>,
    id: u64,
}

impl HttpRuleHandle {
    /// How often the rule did what it says.
    pub fn hits(&self) -> u64 {
        self.shared
            .state
            .lock()
            .rules
            .iter()
            .find(|rule| rule.id == self.id)
            .map_or(0, |rule| rule.hits)
    }

    /// Waits until the rule did so often what it says.
    ///
    /// # Errors
    /// [`RigError::TimedOut`].
    pub fn wait_for(&self, hits: u64, within: Duration) -> Result<(), RigError> {
        let hit = |state: &mut State| {
            state
                .rules
                .iter()
                .any(|rule| rule.id == self.id && rule.hits >= hits)
                .then_some(())
        };
        self.shared.wait(within, hit).ok_or_else(|| RigError::TimedOut {
            what: format!("{hits} hits of an HTTP rule"),
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

fn thread(run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new()
        .name("http-proxy".to_owned())
        .spawn(run)
        .map(drop)
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, upstream: Option<SocketAddr>) {
    for client in listener.incoming() {
        if shared.state.lock().stopped {
            return;
        }
        let Ok(client) = client.map(Arc::new) else { continue };
        let shared = Arc::clone(shared);
        drop(thread(move || {
            let id = shared.change(|state| {
                state.next += 1;
                state.clients.insert(state.next, Arc::clone(&client));
                state.next
            });
            let mut reader = BufReader::new(&*client);
            while let Ok(true) = serve(&shared, &client, &mut reader, upstream) {}
            shared.change(|state| state.clients.remove(&id));
        }));
    }
}

/// Serves one request; true if another may follow.
fn serve(
    shared: &Shared,
    client: &TcpStream,
    reader: &mut BufReader<&TcpStream>,
    upstream: Option<SocketAddr>,
) -> io::Result<bool> {
    let Some(mut request) = message::read_head(reader)? else {
        return Ok(false);
    };
    let mut writer = client;
    if request.header("expect").is_some() {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    message::read_body(reader, &mut request, Ends::AsSaid)?;
    let (number, rule) = shared.change(|state| {
        state.seen.push(HttpSeen {
            request: request.clone(),
            at: Instant::now(),
            status: None,
            answered: false,
        });
        let mut taken = None;
        for active in &mut state.rules {
            // Every rule counts the request, and the first whose turn it is has it.
            if active.takes(&request) && taken.is_none() {
                taken = Some((active.id, active.rule.action.clone()));
            }
        }
        (state.seen.len() - 1, taken)
    });
    let (rule, action) = rule.map_or((0, Action::Watch), |(rule, action)| (rule, action));
    let hit = || {
        shared.change(|state| {
            if let Some(active) = state.rules.iter_mut().find(|active| active.id == rule) {
                active.hits += 1;
            }
        });
    };
    match &action {
        Action::CutBefore => {
            reset(client);
            hit();
            return Ok(false);
        }
        Action::Delay(by) => {
            hit();
            shared.wait(*by, |state| state.stopped.then_some(()));
        }
        Action::Hold => {
            hit();
            let held = |state: &State| state.rules.iter().any(|active| active.id == rule && !active.released);
            shared.wait(NEVER, |state| (state.stopped || !held(state)).then_some(()));
        }
        _ => {}
    }
    if let (Action::Watch | Action::Delay(_) | Action::Hold, Some(upstream)) = (&action, upstream)
        && request.target().contains("watch=true")
    {
        stream::pass(shared, client, upstream, &request, number)?;
        return Ok(false);
    }
    let answer = match (&action, upstream) {
        (Action::Answer(answer), _) => answer.clone(),
        (_, Some(upstream)) => forward(upstream, &request)?,
        (_, None) => rules::answer(200, b""),
    };
    shared.change(|state| state.seen[number].status = Some(answer.status()));
    match action {
        Action::DropAnswer => {
            reset(client);
            hit();
            return Ok(false);
        }
        Action::DropAnswerSilently => {
            hit();
            drop(reader.read_to_end(&mut Vec::new()));
            return Ok(false);
        }
        Action::CutAnswerAfter(bytes) => {
            let mut whole = answer.head_bytes();
            whole.extend_from_slice(&answer.raw_body);
            writer.write_all(&whole[..bytes.min(whole.len())])?;
            // In order, not by a reset, which would throw away what the client has not read.
            client.shutdown(Shutdown::Both)?;
            hit();
            return Ok(false);
        }
        _ => message::write(&mut writer, &answer)?,
    }
    shared.change(|state| state.seen[number].answered = true);
    if matches!(action, Action::Answer(_) | Action::Watch) {
        hit();
    }
    let ends_here = answer.closes() || request.closes();
    Ok(!ends_here)
}

/// Passes a request on as it came, on a connection of its own.
fn forward(upstream: SocketAddr, request: &Message) -> io::Result<Message> {
    let mut stream = TcpStream::connect_timeout(&upstream, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    message::write(&mut stream, request)?;
    let ends = if request.method() == "HEAD" {
        Ends::BehindTheHead
    } else {
        Ends::WithTheStream
    };
    client::read_answer(&mut BufReader::new(stream), ends)
}

/// Makes the end of a connection a reset.
fn reset(client: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(client, Some(Duration::ZERO));
}
