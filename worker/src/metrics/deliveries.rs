//! How a sink outside of Kafka stands.

use tocsin_worker_core::delivery::circuit::CircuitState;

use crate::delivery::DeliveryMetrics;

/// How a sink outside of Kafka stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeliverySample {
    /// Rows by what became of them.
    pub outcomes: [(&'static str, u64); 4],
    /// Rows that were read and are not done.
    pub waiting: u64,
    /// When the oldest of them was written, in milliseconds since 1970.
    pub oldest: Option<i64>,
    /// How the circuit to the receiver stands.
    pub circuit: CircuitState,
}

impl DeliverySample {
    /// As it stands now.
    pub fn of(metrics: &DeliveryMetrics) -> Self {
        Self {
            outcomes: [
                ("Delivered", metrics.delivered()),
                ("Retried", metrics.retried()),
                ("Dead", metrics.dead()),
                ("Deleted", metrics.deleted()),
            ],
            waiting: metrics.waiting(),
            oldest: metrics.oldest(),
            circuit: metrics.circuit(),
        }
    }
}
