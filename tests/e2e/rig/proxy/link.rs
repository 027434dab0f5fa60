//! One connection through the proxy: two sockets, and for each direction a thread that reads and one that writes.
//!
//! Reading and writing are apart so that a delay is one of the way, not one of each message.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::frames;
use super::rules::Action;
use super::state::{Direction, Fate, Shared};

/// Messages that may be on their way in one direction; a reader that is faster waits.
const ON_THE_WAY: usize = 1024;
/// How long a write may block before the writer looks whether the connection was cut.
const WRITE_STEP: Duration = Duration::from_millis(100);
/// Far enough to be never.
const NEVER: Duration = Duration::from_secs(86_400);

/// What a proxy understands of what goes through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Kafka,
    Bytes,
}

/// A request that the broker has and did not answer yet.
#[derive(Debug)]
struct Pending {
    number: u64,
    rule: Option<(u64, Action)>,
}

#[derive(Debug)]
pub(super) struct Link {
    id: u64,
    protocol: Protocol,
    client: TcpStream,
    server: TcpStream,
    pending: Mutex<BTreeMap<i32, Pending>>,
    dead: AtomicBool,
    /// The client gets nothing more.
    silent: AtomicBool,
    /// Writers at work; the last to end takes the connection off the proxy's list.
    writers: AtomicUsize,
}

impl Link {
    /// Ends the connection with a reset on both sides; whoever waits in it ends.
    pub fn cut(&self) {
        self.dead.store(true, Ordering::SeqCst);
        for stream in [&self.client, &self.server] {
            // The reset is sent when the socket closes, with the last of its threads.
            let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Read);
        }
    }

    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    fn source(&self, direction: Direction) -> &TcpStream {
        match direction {
            Direction::Requests => &self.client,
            Direction::Answers => &self.server,
        }
    }

    fn target(&self, direction: Direction) -> &TcpStream {
        match direction {
            Direction::Requests => &self.server,
            Direction::Answers => &self.client,
        }
    }
}

/// Starts a connection's threads.
pub(super) fn start(shared: &Arc<Shared>, protocol: Protocol, client: TcpStream, server: TcpStream) -> io::Result<()> {
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_STEP))?;
    }
    let link = shared.change(|state| {
        let link = Arc::new(Link {
            id: state.number(),
            protocol,
            client,
            server,
            pending: Mutex::default(),
            dead: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            writers: AtomicUsize::new(2),
        });
        // A cut that came between the accept and now is for this connection too.
        if state.cut || state.stopped {
            link.cut();
        }
        state.links.insert(link.id, Arc::clone(&link));
        link
    });
    for direction in [Direction::Requests, Direction::Answers] {
        let (sender, receiver) = sync_channel(ON_THE_WAY);
        let reading = Arc::clone(&link);
        thread("proxy-read", move || read(&reading, direction, &sender))?;
        let (writing, shared) = (Arc::clone(&link), Arc::clone(shared));
        thread("proxy-write", move || write(&shared, &writing, direction, &receiver))?;
    }
    Ok(())
}

pub(super) fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

fn read(link: &Link, direction: Direction, sender: &SyncSender<(Instant, Vec<u8>)>) {
    let mut stream = link.source(direction);
    loop {
        let message = match link.protocol {
            Protocol::Kafka => frames::read(&mut stream),
            Protocol::Bytes => {
                let mut bytes = vec![0; 65_536];
                stream.read(&mut bytes).map(|length| {
                    bytes.truncate(length);
                    (length > 0).then_some(bytes)
                })
            }
        };
        match message {
            Ok(Some(message)) => {
                if sender.send((Instant::now(), message)).is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(_) => return link.cut(),
        }
    }
}

fn write(shared: &Shared, link: &Link, direction: Direction, messages: &Receiver<(Instant, Vec<u8>)>) {
    for (arrived, message) in messages {
        let passed = match direction {
            Direction::Requests => request(shared, link, arrived, &message),
            Direction::Answers => answer(shared, link, arrived, &message),
        };
        if passed.is_err() || link.is_dead() {
            link.cut();
            break;
        }
    }
    if !link.is_dead() {
        drop(link.target(direction).shutdown(Shutdown::Write));
    }
    if link.writers.fetch_sub(1, Ordering::SeqCst) == 1 {
        shared.change(|state| state.links.remove(&link.id));
    }
}

fn request(shared: &Shared, link: &Link, arrived: Instant, message: &[u8]) -> io::Result<()> {
    let head = match link.protocol {
        Protocol::Kafka => frames::head(message),
        Protocol::Bytes => None,
    };
    let Some(head) = head else {
        return if on_the_way(shared, link, Direction::Requests, arrived)? {
            deliver(shared, link, Direction::Requests, message)
        } else {
            Ok(())
        };
    };
    let (number, rule) = shared.change(|state| state.note(link.id, &head));
    if !on_the_way(shared, link, Direction::Requests, arrived)? {
        shared.change(|state| state.fate(number, Fate::Lost));
        return Ok(());
    }
    match rule {
        Some((rule, Action::CutBefore)) => {
            // Cut before the hit is told: who waited for the hit finds the connection broken.
            link.cut();
            shared.change(|state| {
                state.fate(number, Fate::Lost);
                state.hit(rule);
            });
            return Err(broken());
        }
        Some((rule, Action::DelayRequest(by))) => {
            shared.change(|state| state.hit(rule));
            pause(shared, link, Instant::now() + by)?;
        }
        Some((rule, Action::HoldRequest)) => {
            shared.change(|state| state.hit(rule));
            let never = Instant::now() + NEVER;
            shared.wait(|state| {
                if link.is_dead() || !state.holds(rule) {
                    Ok(())
                } else {
                    Err(never)
                }
            });
        }
        _ => {}
    }
    link.pending.lock().insert(head.correlation, Pending { number, rule });
    let delivered = deliver(shared, link, Direction::Requests, message);
    shared.change(|state| {
        // The answer may have been quicker.
        let held = state
            .seen
            .iter()
            .rev()
            .any(|seen| seen.number == number && seen.fate == Fate::Held);
        if held {
            state.fate(number, if delivered.is_ok() { Fate::Delivered } else { Fate::Lost });
        }
        if let Some((rule, Action::Watch)) = rule {
            state.hit(rule);
        }
    });
    delivered
}

fn answer(shared: &Shared, link: &Link, arrived: Instant, message: &[u8]) -> io::Result<()> {
    let pending = match link.protocol {
        Protocol::Kafka => frames::correlation(message).and_then(|number| link.pending.lock().remove(&number)),
        Protocol::Bytes => None,
    };
    let fate = |fate| {
        if let Some(pending) = &pending {
            shared.change(|state| state.fate(pending.number, fate));
        }
    };
    let passes = on_the_way(shared, link, Direction::Answers, arrived)?;
    match pending.as_ref().and_then(|pending| pending.rule) {
        Some((rule, action @ (Action::DropAnswer | Action::DropAnswerAndCut))) => {
            fate(Fate::AnswerDropped);
            link.silent.store(true, Ordering::SeqCst);
            if action == Action::DropAnswerAndCut {
                link.cut();
            }
            shared.change(|state| state.hit(rule));
            return Ok(());
        }
        Some((rule, Action::DelayAnswer(by))) => {
            shared.change(|state| state.hit(rule));
            pause(shared, link, Instant::now() + by)?;
        }
        _ => {}
    }
    if !passes || link.silent.load(Ordering::SeqCst) {
        fate(Fate::AnswerDropped);
        return Ok(());
    }
    // Written down first: who has the answer finds it written down.
    fate(Fate::Answered);
    deliver(shared, link, Direction::Answers, message)
}

/// Takes a message over the way, which may take time; false if it is lost there.
fn on_the_way(shared: &Shared, link: &Link, direction: Direction, arrived: Instant) -> io::Result<bool> {
    shared.wait(|state| {
        let due = arrived + state.way(direction).delay;
        if link.is_dead() || due <= Instant::now() {
            Ok(())
        } else {
            Err(due)
        }
    });
    if link.is_dead() {
        return Err(broken());
    }
    Ok(!shared.look(|state| state.way(direction).swallow))
}

fn deliver(shared: &Shared, link: &Link, direction: Direction, mut bytes: &[u8]) -> io::Result<()> {
    let mut target = link.target(direction);
    while !bytes.is_empty() {
        if link.is_dead() {
            return Err(broken());
        }
        // Fifty pieces a second.
        let rate = shared.look(|state| state.way(direction).bytes_per_second);
        let piece = rate.map_or(bytes.len(), |rate| {
            usize::try_from(rate / 50).unwrap_or(usize::MAX).max(1)
        });
        match target.write(&bytes[..piece.min(bytes.len())]) {
            Ok(0) => return Err(broken()),
            Ok(written) => {
                bytes = &bytes[written..];
                if let Some(rate) = rate {
                    let time = Duration::from_secs_f64(written as f64 / rate.max(1) as f64);
                    pause(shared, link, Instant::now() + time)?;
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until a time, or until the connection is cut.
fn pause(shared: &Shared, link: &Link, until: Instant) -> io::Result<()> {
    shared.wait(|_| if link.is_dead() { Ok(()) } else { Err(until) });
    if link.is_dead() { Err(broken()) } else { Ok(()) }
}

fn broken() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionReset)
}
