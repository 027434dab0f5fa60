//! What may be asked of a running worker.

use tocsin_contract::worker::Savepoint;

/// What may be asked of a running worker. Nothing here waits for what it asks.
pub trait Control: Send + Sync + 'static {
    /// Ends the worker in order: what was read is committed, its shards are free at once, and the process ends with 0.
    fn drain(&self);

    /// Whether it was asked to end.
    fn is_draining(&self) -> bool;

    /// Begins a savepoint of this worker's shards; if it `drains`, they stand still behind it. The same name again is the same savepoint; without one, it gets one.
    ///
    /// # Errors
    /// If there can be none.
    fn begin_savepoint(&self, id: Option<&str>, drains: bool) -> Result<Savepoint, Refusal>;

    /// How far a savepoint is.
    ///
    /// # Errors
    /// If there is none of that name.
    fn savepoint(&self, id: &str) -> Result<Savepoint, Refusal>;
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// As the worker was started, it cannot be done.
    #[error("not available: {0}")]
    NotAvailable(String),
    /// There is no such thing.
    #[error("there is no savepoint {0}")]
    Unknown(String),
    /// Not now: another is under way, or the worker is about to end.
    #[error("not now: {0}")]
    NotNow(String),
}
