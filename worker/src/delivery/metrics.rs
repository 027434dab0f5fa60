//! What is counted of a sink's deliveries, for whoever exports it.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};

use tocsin_worker_core::delivery::circuit::CircuitState;

/// What is counted of a sink since the worker began. Each number stands for itself: they are read without a lock.
#[derive(Debug, Default)]
pub struct DeliveryMetrics {
    pub(super) delivered: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) dead: AtomicU64,
    pub(super) deleted: AtomicU64,
    pub(super) waiting: AtomicU64,
    circuit: AtomicU8,
    /// In milliseconds since 1970; 0 is none.
    oldest: AtomicI64,
}

impl DeliveryMetrics {
    /// Rows that a receiver took.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Tries that failed and were, or will be, followed by another.
    pub fn retried(&self) -> u64 {
        self.retried.load(Ordering::Relaxed)
    }

    /// Rows that went to the dead letters.
    pub fn dead(&self) -> u64 {
        self.dead.load(Ordering::Relaxed)
    }

    /// Offsets of rows that the buffer's retention deleted before they were delivered.
    pub fn deleted(&self) -> u64 {
        self.deleted.load(Ordering::Relaxed)
    }

    /// Rows that were read and are not done.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How the circuit to the receiver stands.
    pub fn circuit(&self) -> CircuitState {
        match self.circuit.load(Ordering::Relaxed) {
            0 => CircuitState::Closed,
            1 => CircuitState::HalfOpen,
            _ => CircuitState::Open,
        }
    }

    /// When the oldest row was written that was read and is not done, in milliseconds since 1970.
    pub fn oldest(&self) -> Option<i64> {
        Some(self.oldest.load(Ordering::Relaxed)).filter(|oldest| *oldest != 0)
    }

    pub(crate) fn set(&self, circuit: CircuitState, waiting: usize, oldest: Option<i64>) {
        let circuit = match circuit {
            CircuitState::Closed => 0,
            CircuitState::HalfOpen => 1,
            CircuitState::Open => 2,
        };
        self.circuit.store(circuit, Ordering::Relaxed);
        self.waiting.store(waiting as u64, Ordering::Relaxed);
        self.oldest.store(oldest.unwrap_or(0), Ordering::Relaxed);
    }
}

pub(super) fn count(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}
