//! Whether a worker that ends leaves its consumer groups.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a worker that ends leaves its consumer groups. Others have the shards of one that leaves at once; one that does not
/// leave has them again if it comes back within a session, and nothing moves.
#[derive(Debug, Default)]
pub struct Leaving {
    /// Whether it does only if it is drained, since else it is about to come back.
    only_drained: bool,
    is_drained: AtomicBool,
}

impl Leaving {
    /// Whenever it ends.
    pub fn always() -> Self {
        Self::default()
    }

    /// Only if it is drained.
    pub fn only_drained() -> Self {
        Self {
            only_drained: true,
            is_drained: AtomicBool::new(false),
        }
    }

    /// It is drained: it leaves for good.
    pub fn drain(&self) {
        self.is_drained.store(true, Ordering::Relaxed);
    }

    /// Whether it leaves when it ends now.
    pub fn is_due(&self) -> bool {
        !self.only_drained || self.is_drained.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_leaves_only_if_it_is_drained() {
        let comes_back = Leaving::only_drained();
        assert!(Leaving::always().is_due() && !comes_back.is_due());
        comes_back.drain();
        assert!(comes_back.is_due());
    }
}
