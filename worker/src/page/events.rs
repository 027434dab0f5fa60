//! Server-sent events: each client gets a snapshot, then what changes, at most four times a second.
//!
//! Changes are serialised once for all clients and wait for each in a short queue. A client too slow for it misses
//! changes, and gets a fresh snapshot instead: parts are sent whole, so that nothing else is lost.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};

use crate::live::SharedLive;

/// Clients served at a time.
pub const CLIENTS: usize = 32;

const CHANGES_EVERY: Duration = Duration::from_millis(250);
/// Ticks without a change after which a heartbeat tells clients that the run is still there.
const QUIET_TICKS: u32 = 20;
const QUEUE: usize = 8;

#[derive(Clone, Debug)]
enum Message {
    Changes(Arc<str>),
    Heartbeat,
}

/// Looks for changes and sends them to all clients.
#[derive(Debug)]
pub struct Publisher {
    live: SharedLive,
    sender: broadcast::Sender<Message>,
    clients: Arc<Semaphore>,
}

/// Where clients come to listen.
#[derive(Debug)]
pub struct Feed {
    live: SharedLive,
    /// Receives nothing itself: a sender here would keep the clients' streams from ending.
    messages: broadcast::Receiver<Message>,
    clients: Arc<Semaphore>,
}

/// A publisher and the feed that its messages go to.
pub fn channel(live: SharedLive) -> (Publisher, Feed) {
    let (sender, messages) = broadcast::channel(QUEUE);
    let clients = Arc::new(Semaphore::new(CLIENTS));
    (
        Publisher {
            live: live.clone(),
            sender,
            clients: clients.clone(),
        },
        Feed {
            live,
            messages,
            clients,
        },
    )
}

impl Publisher {
    /// Sends changes until `stop`, then the last ones; with that the clients' streams end.
    pub async fn publish(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut ticks = tokio::time::interval(CHANGES_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A client begins with a snapshot of this version or a later one.
        let (mut sent, mut quiet) = (self.live.with(|state| state.version()), 0);
        loop {
            let stopping = tokio::select! {
                _ = ticks.tick() => false,
                () = &mut stop => true,
            };
            let before = sent;
            sent = self.send_changes(sent);
            quiet = if sent == before { quiet + 1 } else { 0 };
            if quiet >= QUIET_TICKS {
                quiet = 0;
                let _no_client = self.sender.send(Message::Heartbeat);
            }
            if stopping {
                return;
            }
        }
    }

    /// Sends what changed after version `sent`; returns the version sent.
    fn send_changes(&self, sent: u64) -> u64 {
        let no_clients = self.clients.available_permits() == CLIENTS;
        let (version, changes) = self.live.with(|state| {
            let version = state.version();
            (
                version,
                (version != sent && !no_clients).then(|| state.changes_since(sent)),
            )
        });
        if let Some(changes) = changes {
            let _no_client = self.sender.send(Message::Changes(json(&changes).into()));
        }
        version
    }
}

impl Feed {
    /// A client's stream; none if there are too many clients.
    pub fn listen(&self) -> Option<impl Stream<Item = Result<Event, Infallible>> + Send + 'static> {
        let permit = self.clients.clone().try_acquire_owned().ok()?;
        // First listen, then look: what changes in between comes twice, not never.
        let messages = BroadcastStream::new(self.messages.resubscribe());
        let client = Client {
            live: self.live.clone(),
            _permit: permit,
        };
        let first = client.snapshot();
        let rest = messages.map(move |message| match message {
            Ok(Message::Changes(changes)) => Event::default().event("changes").data(&*changes),
            Ok(Message::Heartbeat) => Event::default().event("heartbeat").data(""),
            Err(_missed_some) => client.snapshot(),
        });
        Some(tokio_stream::once(first).chain(rest).map(Ok))
    }
}

/// What a client's stream holds on to; its place is free again when the stream is dropped.
struct Client {
    live: SharedLive,
    _permit: OwnedSemaphorePermit,
}

impl Client {
    fn snapshot(&self) -> Event {
        let snapshot = self.live.with(|state| state.snapshot());
        Event::default().event("snapshot").data(json(&snapshot))
    }
}

/// JSON of one line. The views have text keys and finite numbers only, so that this does not fail.
pub fn json(view: &impl Serialize) -> String {
    serde_json::to_string(view).unwrap_or_else(|error| {
        tracing::error!(%error, "the live page's state cannot be written as JSON");
        "{}".to_owned()
    })
}
