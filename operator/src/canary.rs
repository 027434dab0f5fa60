//! The lease as a canary: followed like any other object, so that the probes know whether the operator still hears and works.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::core::PartialObjectMeta;
use parking_lot::Mutex;
use tocsin_operator_core::canary;

use crate::api::gate::Gate;
use crate::cache::Key;
use crate::cache::watch::Taker;
use crate::clock::Clock;
use crate::work::{Item, Work};

/// So many renewals may go by unheard before the operator is given up.
const RENEWALS: u32 = 20;

/// What is known of the lease.
pub struct Canary {
    clock: Clock,
    gate: Arc<Gate>,
    patience: Duration,
    known: Mutex<canary::Canary>,
    /// The version that was last heard of or asked for.
    version: Mutex<String>,
}

impl Canary {
    /// Of a lease that is renewed so often.
    pub fn new(clock: Clock, gate: Arc<Gate>, renew_every: Duration) -> Self {
        Self {
            clock,
            gate,
            patience: renew_every * RENEWALS,
            known: Mutex::default(),
            version: Mutex::default(),
        }
    }

    /// The lease has this version, by asking or by writing.
    pub fn asked(&self, version: &str) {
        let mut last = self.version.lock();
        if *last != version {
            version.clone_into(&mut last);
            self.known.lock().changed(self.clock.moment());
        }
    }

    /// Its turn in the work queue came.
    pub fn looked_at(&self) {
        self.known.lock().looked_at();
    }

    /// Why the operator is of no use any more, if it is not.
    pub fn trouble(&self) -> Option<String> {
        self.known.lock().trouble(self.clock.moment(), self.patience)
    }

    fn heard(&self, version: &str) {
        let mut last = self.version.lock();
        version.clone_into(&mut last);
        self.known.lock().heard(self.clock.moment(), self.gate.is_open());
    }
}

/// Hears of the lease.
pub struct OfLease {
    /// Who is told.
    pub canary: Arc<Canary>,
    /// Where it waits for its turn.
    pub work: Arc<Work>,
}

impl Taker for OfLease {
    type Object = PartialObjectMeta<Lease>;
    type Name = ();

    fn kind(&self) -> &'static str {
        "Lease"
    }

    fn name(&self, _: &PartialObjectMeta<Lease>) {}

    fn saw(&self, object: PartialObjectMeta<Lease>) {
        let metadata = object.metadata;
        self.canary.heard(&metadata.resource_version.unwrap_or_default());
        let name = metadata.name.unwrap_or_default();
        self.work
            .changed(Item::Canary(Key::new(&metadata.namespace.unwrap_or_default(), &name)));
    }

    fn gone(&self, _: PartialObjectMeta<Lease>) {}

    fn known(&self) -> HashSet<()> {
        HashSet::new()
    }

    fn missing(&self, (): ()) {}
}
