//! What may be asked of a running worker.

use tocsin_contract::worker::Savepoint;

/// What may be asked of a running worker. Nothing here waits for what it asks.
pub trait Control: Send + Sync + 'static {
    /// Ends the worker in order: what was read is committed, its shards are free at once, and the process ends with 0.
    fn drain(&self);

    /// Whether it was asked to end.
    fn is_draining(&self) -> bool;

    /// Begins a savepoint of this worker's shards. The same name again is the same savepoint; without one, it gets one.
    ///
    /// # Errors
    /// If there can be none.
    fn begin_savepoint(&self, id: Option<&str>, manner: Manner) -> Result<Savepoint, Refusal>;

    /// Gives a savepoint up, whoever takes it: it never will be complete, and shards that are held for it go on.
    ///
    /// # Errors
    /// If it is complete, or that cannot be known.
    fn give_up_savepoint(&self, id: &str) -> Result<Savepoint, Refusal>;

    /// How far a savepoint is.
    ///
    /// # Errors
    /// If there is none of that name.
    fn savepoint(&self, id: &str) -> Result<Savepoint, Refusal>;
}

/// What becomes of the pipeline behind a savepoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// It goes on.
    #[default]
    Plain,
    /// It stands still until its workers end, with nothing on its way between shards.
    Drained,
    /// The same, and the run ends with it: it stands still until it begins anew with the savepoint, or that is given up.
    Ending,
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
