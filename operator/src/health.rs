//! How the operator is, for its probes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::api::gate::Gate;
use crate::cache::watch::Unlisted;
use crate::canary::Canary;
use crate::server::Health;

/// How the operator is.
pub struct Running {
    unlisted: OnceLock<Arc<Unlisted>>,
    canary: Arc<Canary>,
    gate: Arc<Gate>,
    /// Whether the API server knows the webhook; none if there is no webhook.
    webhook: Option<Arc<AtomicBool>>,
}

impl Running {
    /// Before anything is listed.
    pub fn new(canary: Arc<Canary>, gate: Arc<Gate>, webhook: Option<Arc<AtomicBool>>) -> Self {
        Self {
            unlisted: OnceLock::new(),
            canary,
            gate,
            webhook,
        }
    }

    /// The keys are read, and these kinds are being listed.
    pub fn lists(&self, unlisted: &Arc<Unlisted>) {
        self.unlisted.get_or_init(|| Arc::clone(unlisted));
    }
}

impl Health for Running {
    fn stuck(&self) -> Option<String> {
        self.canary.trouble()
    }

    fn not_ready(&self) -> Option<String> {
        match self.unlisted.get().map(|unlisted| unlisted.count()) {
            None => Some("the operator's keys are being read".to_owned()),
            Some(0) => {
                // Whoever leads tells it.
                let is_known = self
                    .webhook
                    .as_ref()
                    .is_none_or(|is_known| is_known.load(Ordering::Relaxed));
                let is_waited_for = self.gate.is_open() && !is_known;
                is_waited_for.then(|| "the API server does not know the webhook yet".to_owned())
            }
            Some(n) => Some(format!("{n} kinds of object are being listed")),
        }
    }
}
