//! What all looks at objects share.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::FixedState;
use jiff::Timestamp;
use parking_lot::Mutex;
use tocsin_contract::labels::Component;
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::reach::worker_part;
use tocsin_contract::rule_set::IncidentRuleSetSpec;
use tocsin_operator_core::lease::Moment;
use tocsin_operator_core::pipeline::Settings;
use tocsin_operator_core::plan::publish::Published;
use tocsin_operator_core::validate::compiled::Compiled;

use super::pipeline::kafka::{KafkaKeys, SeenKafka};
use super::pipeline::server_name;
use crate::api::ApiServer;
use crate::cache::pods::KeptPod;
use crate::cache::{Cache, Key};
use crate::canary::Canary;
use crate::clock::Clock;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::work::Work;
use crate::workers::{Worker, Workers};

/// What all looks at objects share.
pub struct Context {
    /// The API server.
    pub api: ApiServer,
    /// What is known.
    pub cache: Arc<Cache>,
    /// The time.
    pub clock: Clock,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// The queue.
    pub work: Arc<Work>,
    /// What the operator was started with.
    pub settings: Settings,
    /// The workers' admin servers.
    pub workers: Workers,
    /// The operator's own keys.
    pub keys: Arc<Keys>,
    /// Pipelines whose Secrets are all there, and for which generation: they are not read at each look.
    pub complete: Mutex<HashMap<Box<str>, i64>>,
    /// Pipelines of which something could not be sent, and when that is tried again.
    pub unsent: Mutex<HashMap<Box<str>, Moment>>,
    /// When the certificates of workers end, by their pipeline's UID.
    pub certificates: Mutex<HashMap<Box<str>, Timestamp>>,
    /// What was found of pipelines' Kafkas, by their UIDs.
    pub kafka: Mutex<HashMap<Box<str>, SeenKafka>>,
    /// The keys of Kafkas that the operator runs, by their pipelines' UIDs.
    pub kafka_keys: Mutex<HashMap<Box<str>, Arc<KafkaKeys>>>,
    /// What went out on pipelines' own topics, by their UIDs.
    pub published: Mutex<HashMap<Box<str>, Published>>,
    /// What shows whether the operator works.
    pub canary: Arc<Canary>,
    /// The operator's own name.
    pub identity: String,
    /// So often each object is looked at anew, whatever is known of it.
    pub resync: Resync,
    /// When the Secrets of each are read again, if it is looked at anyway.
    pub resync_secrets: Resync,
    /// What the compiler made of specs.
    pub compiled: CompiledSpecs,
}

impl Context {
    /// The workers of a pipeline that can be asked, by name.
    pub fn workers_of(&self, key: &Key, uid: &str, which: impl Fn(&KeptPod) -> bool) -> Vec<(String, Worker)> {
        let worker = |(pod, kept): (Key, KeptPod)| {
            let address = kept.address.as_deref()?.parse().ok().filter(|_| which(&kept))?;
            let worker = Worker {
                address,
                name: server_name(&key.namespace, &key.name),
                token: self.keys.token(uid),
            };
            Some((pod.name.to_string(), worker))
        };
        self.cache
            .pods
            .of(key, Component::Workers)
            .into_iter()
            .filter_map(worker)
            .collect()
    }
}

/// When everything of an object is looked at anew, though nothing was heard of it: a watch may have missed something.
pub struct Resync {
    every: Duration,
    last: Mutex<HashMap<Box<str>, Moment>>,
}

/// So many objects are looked at anew in a second at most, so that many of them leave the API server room to breathe.
const RESYNCS_A_SECOND: f64 = 20.0;

impl Resync {
    /// So often, where that is not too much.
    pub fn new(every: Duration) -> Self {
        Self {
            every,
            last: Mutex::default(),
        }
    }

    /// Whether the object with this UID is due; if so, it is from now on no longer. An object that was never looked at is
    /// not: nothing is known of it yet that could be wrong.
    pub fn is_due(&self, uid: &str, now: Moment) -> bool {
        let mut last = self.last.lock();
        let every = self.every_with(last.len());
        match last.get_mut(uid) {
            None => {
                last.insert(uid.into(), now);
                false
            }
            Some(then) if *then + every <= now => {
                *then = now;
                true
            }
            Some(_) => false,
        }
    }

    /// How often each object is looked at anew.
    pub fn every(&self) -> Duration {
        let n = self.last.lock().len();
        self.every_with(n)
    }

    /// How long until it is.
    pub fn wait(&self, uid: &str, now: Moment) -> Duration {
        let last = self.last.lock();
        let every = self.every_with(last.len());
        let then = last.get(uid).copied().unwrap_or(now);
        (then + every).saturating_sub(now)
    }

    /// An object is gone.
    pub fn forget(&self, uid: &str) {
        self.last.lock().remove(uid);
    }

    fn every_with(&self, objects: usize) -> Duration {
        self.every
            .max(Duration::from_secs_f64(objects as f64 / RESYNCS_A_SECOND))
    }
}

/// What the compiler made of specs: it takes milliseconds, and many pipelines are alike but for their names.
#[derive(Default)]
pub struct CompiledSpecs {
    known: Mutex<HashMap<u64, Arc<Compiled>>>,
}

/// So many are kept.
const KEPT: usize = 1_024;

impl CompiledSpecs {
    /// By what a spec is known: all of it that matters to the compiler, which is what a worker reads.
    pub fn hash(spec: &IncidentPipelineSpec, rule_sets: &BTreeMap<String, IncidentRuleSetSpec>) -> u64 {
        let text = serde_json::to_string(&(worker_part(spec), rule_sets)).unwrap_or_default();
        FixedState::with_seed(0).hash_one(&text)
    }

    /// What the compiler made of it, if that is still known.
    pub fn get(&self, hash: u64) -> Option<Arc<Compiled>> {
        self.known.lock().get(&hash).cloned()
    }

    /// The compiler made this of it.
    pub fn put(&self, hash: u64, compiled: &Arc<Compiled>) {
        let mut known = self.known.lock();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(hash, Arc::clone(compiled));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Moment {
        Moment::from_secs(seconds)
    }

    #[test]
    fn each_object_is_looked_at_anew_once_in_a_while() {
        let resync = Resync::new(Duration::from_secs(120));
        assert!(!resync.is_due("a", at(0)));
        assert_eq!(resync.wait("a", at(20)), Duration::from_secs(100));
        assert!(!resync.is_due("a", at(119)) && resync.is_due("a", at(120)) && !resync.is_due("a", at(121)));
    }

    #[test]
    fn many_objects_take_their_time() {
        let resync = Resync::new(Duration::from_secs(120));
        for n in 0..10_000 {
            assert!(!resync.is_due(&n.to_string(), at(0)));
        }
        assert!(!resync.is_due("7", at(499)) && resync.is_due("7", at(500)));
    }
}
