//! Where reading a response goes on: what lies before it needs no second look.

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
