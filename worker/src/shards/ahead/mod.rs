//! Sends results ahead of their transaction, where they may repeat (`delivery: AtLeastOnce`).
//!
//! Results leave as soon as the engine gives them out, by a producer of their own that has no transaction; the transaction of
//! their cut holds the journal and the offsets, and is committed only when the brokers have acknowledged them all. Which
//! results these are, the core says (`Shard::take_ahead`).
//!
//! The producer keeps the order of a partition and tries for as long as it takes. Where it cannot go on, it is given up, and
//! the shards that have moved since their last cut are recovered: what they led to is sent again from there, in order.

mod librdkafka;
mod own;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use self::librdkafka::LibrdkafkaSender;
use self::own::OwnSender;
use super::ShardsError;
use super::producer::ProducerError;
use crate::metrics::Arrivals;
use tocsin_kafka::{ClientKind, ClusterSettings, NewRecords};

/// With more on the way than this nothing is added.
const MOST_ON_THE_WAY: u64 = 16 << 20;

/// With so many calls to send under way neither.
const MOST_SENT: usize = 1024;

/// Results that were sent together.
#[derive(Default)]
struct Sent {
    /// How many are not acknowledged.
    open: AtomicU64,
    /// Why the first will not be.
    failed: Mutex<Option<Failure>>,
}

impl Sent {
    fn is_acknowledged(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0 && self.failure().is_none()
    }

    fn fail(&self, failure: Failure) {
        let mut failed = self.failed.lock();
        failed.get_or_insert(failure);
    }

    fn failure(&self) -> Option<Failure> {
        self.failed.lock().clone()
    }
}

/// Why results are not acknowledged.
#[derive(Clone)]
struct Failure {
    /// The topic that will never take one, if it is that.
    refused_by: Option<String>,
    error: ProducerError,
}

/// Bytes of results that are on the way.
#[derive(Clone, Default)]
struct OnTheWay(Arc<AtomicU64>);

impl OnTheWay {
    /// So many results leave, with so many bytes.
    fn left(&self, sent: &Sent, n_results: u64, bytes: u64) {
        sent.open.fetch_add(n_results, Ordering::AcqRel);
        self.0.fetch_add(bytes, Ordering::AcqRel);
    }

    /// So many are on the way no more, whatever became of them.
    fn arrived(&self, sent: &Sent, n_results: u64, bytes: u64) {
        self.0.fetch_sub(bytes, Ordering::AcqRel);
        sent.open.fetch_sub(n_results, Ordering::AcqRel);
    }
}

/// Who sends results.
trait Sender: Send + Sync {
    /// Sends results in their order.
    fn send(&self, results: NewRecords, sent: &Arc<Sent>);

    /// Hears what became of results, where that has to be asked for.
    fn listen(&self);

    /// Sends nothing more.
    fn give_up(&self);
}

/// What became of the results of a transaction.
pub enum Settled {
    /// The brokers have them.
    Acknowledged,
    /// Some are on the way.
    Open,
    /// A topic will never take one.
    Refused(String, ProducerError),
    /// The producer cannot go on.
    Failed(ProducerError),
}

/// The results that went ahead of a transaction.
pub struct Awaited {
    sender: Arc<dyn Sender>,
    sent: Vec<Arc<Sent>>,
}

impl Awaited {
    /// How they stand.
    pub fn settled(&mut self) -> Settled {
        self.sender.listen();
        self.sent.retain(|sent| !sent.is_acknowledged());
        match self.sent.iter().find_map(|sent| sent.failure()) {
            None if self.sent.is_empty() => Settled::Acknowledged,
            None => Settled::Open,
            Some(Failure { refused_by, error }) => match refused_by {
                Some(topic) => Settled::Refused(topic, error),
                None => Settled::Failed(error),
            },
        }
    }
}

/// Sends results ahead.
pub struct Ahead {
    settings: ClusterSettings,
    sender: Arc<dyn Sender>,
    on_the_way: OnTheWay,
    /// What is not acknowledged, in order, with when the records came that led to it.
    open: VecDeque<(Arc<Sent>, Arrivals)>,
    /// What was sent since the last cut, if it is not acknowledged.
    of_cut: Vec<Arc<Sent>>,
}

impl Ahead {
    /// A new producer.
    pub fn begin(settings: ClusterSettings) -> Result<Self, ShardsError> {
        let on_the_way = OnTheWay::default();
        let sender: Result<Arc<dyn Sender>, ProducerError> = match settings.client() {
            ClientKind::Own => OwnSender::begin(&settings, on_the_way.clone()).map(|own| Arc::new(own) as _),
            ClientKind::Librdkafka => {
                LibrdkafkaSender::begin(&settings, on_the_way.clone()).map(|librdkafka| Arc::new(librdkafka) as _)
            }
        };
        let what = "sending results";
        Ok(Self {
            settings,
            sender: sender.map_err(|source| ShardsError::Client { what, source })?,
            on_the_way,
            open: VecDeque::new(),
            of_cut: Vec::new(),
        })
    }

    /// Sends results; `arrivals` says when the records came that led to them.
    pub fn send(&mut self, results: NewRecords, arrivals: Arrivals) {
        let sent = Arc::new(Sent::default());
        self.on_the_way.left(&sent, results.len() as u64, results.n_bytes());
        self.sender.send(results, &sent);
        self.of_cut.push(Arc::clone(&sent));
        self.open.push_back((sent, arrivals));
    }

    /// Hears what became of results: when the records came that led to those that are acknowledged by now.
    pub fn acknowledged(&mut self) -> Arrivals {
        let mut arrivals = Arrivals::new();
        if self.open.is_empty() {
            return arrivals;
        }
        self.sender.listen();
        while let Some((_, of_sent)) = self.open.pop_front_if(|(sent, _)| sent.is_acknowledged()) {
            arrivals.extend(of_sent);
        }
        self.of_cut.retain(|sent| !sent.is_acknowledged());
        arrivals
    }

    /// What the transaction of a cut must wait for: all that was sent since the cut before.
    pub fn cut(&mut self) -> Awaited {
        Awaited {
            sender: Arc::clone(&self.sender),
            sent: std::mem::take(&mut self.of_cut),
        }
    }

    /// Whether something is on the way.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether as much is on the way as may be.
    pub fn is_full(&self) -> bool {
        self.on_the_way.0.load(Ordering::Acquire) > MOST_ON_THE_WAY || self.open.len() >= MOST_SENT
    }

    /// Gives up what is on the way, and the producer with it: nothing of it is tried again.
    pub fn begin_anew(&mut self) -> Result<(), ShardsError> {
        self.sender.give_up();
        *self = Self::begin(self.settings.clone())?;
        Ok(())
    }
}
