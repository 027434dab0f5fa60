//! The state behind the page, shared by the run loop and the page's thread.

use std::sync::Arc;

use parking_lot::Mutex;

use super::LiveState;

/// A handle to one [`LiveState`]. Each side locks it for short calls only.
#[derive(Clone, Debug)]
pub struct SharedLive(Arc<Mutex<LiveState>>);

impl SharedLive {
    /// Shares a state.
    pub fn new(state: LiveState) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// Calls `read_or_feed` with the state. It must be quick: the other side waits. Rows are best fed a batch at a time.
    pub fn with<T>(&self, read_or_feed: impl FnOnce(&mut LiveState) -> T) -> T {
        // A state left by a thread that panicked is still good to show.
        read_or_feed(&mut self.0.lock())
    }
}
