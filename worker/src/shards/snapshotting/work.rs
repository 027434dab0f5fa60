//! What a thread has to do for snapshots.

/// What a snapshot that is under way waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Blocks are to be captured.
    Blocks,
    /// The writer has as many blocks as it takes.
    Room,
    /// Nothing that this thread could do.
    Nothing,
}
