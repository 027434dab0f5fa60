//! Where reading a response goes on, and how far: what lies before needs no second look.

use super::aborted::{Aborted, AbortedTransaction};

/// A place in one response, in front of the first batch that was not read whole.
///
/// Whoever reads a response in parts would otherwise look through all of its batches for each part, which takes long where
/// transactions are small.
#[derive(Clone, Debug)]
pub struct ReadMark {
    /// Bytes of the response in front of it.
    pub(super) at: usize,
    /// Whose transactions are passed over there.
    pub(super) aborted: Aborted,
}

impl ReadMark {
    /// The beginning of a response with this list of aborted transactions.
    pub fn new(aborted: &[AbortedTransaction]) -> Self {
        Self {
            at: 0,
            aborted: Aborted::new(aborted),
        }
    }
}

/// Which offsets are still wanted.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub from: i64,
    /// One behind the last.
    pub until: i64,
}

impl Wanted {
    /// Goes on behind an offset.
    pub fn pass(&mut self, offset: i64) {
        self.from = offset.saturating_add(1).clamp(self.from, self.until);
    }

    /// Whether an offset is wanted, and goes on behind it.
    pub fn takes(&mut self, offset: i64) -> bool {
        let wanted = offset >= self.from && offset < self.until;
        self.pass(offset);
        wanted
    }
}
