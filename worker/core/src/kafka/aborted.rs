//! Aborted transactions: whose batches a reader of committed records passes over.

use std::collections::BTreeSet;

use super::batch::Batch;

/// An aborted transaction, as a Fetch response lists it for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AbortedTransaction {
    /// Offset of its first record in the partition.
    pub first_offset: i64,
    /// Its producer.
    pub producer_id: i64,
}

/// Which producers' transactions are being passed over. A producer has one transaction at a time, so its id is enough;
/// the transaction begins at its first offset and ends at the producer's next ABORT marker.
#[derive(Clone, Debug, Default)]
pub struct Aborted {
    /// Not begun yet, the first at the end.
    to_come: Vec<AbortedTransaction>,
    open: BTreeSet<i64>,
}

/// Type of the control record that ends an aborted transaction.
const ABORT: i16 = 0;

impl Aborted {
    /// For the batches of one response.
    pub fn new(transactions: &[AbortedTransaction]) -> Self {
        let mut to_come = transactions.to_vec();
        to_come.sort_unstable();
        to_come.reverse();
        Self {
            to_come,
            open: BTreeSet::new(),
        }
    }

    /// Whether the next batch of the log belongs to an aborted transaction. Batches are asked for in order.
    pub fn passes_over(&mut self, batch: &Batch<'_>) -> bool {
        while let Some(begun) = self.to_come.pop_if(|next| next.first_offset <= batch.last_offset) {
            self.open.insert(begun.producer_id);
        }
        batch.is_transactional && !batch.is_control && self.open.contains(&batch.producer_id)
    }

    /// Takes a control batch; `key` is that of its record: version and type, two bytes each.
    pub fn control(&mut self, producer_id: i64, key: &[u8]) {
        if let Some([_, _, a, b]) = key.first_chunk::<4>()
            && i16::from_be_bytes([*a, *b]) == ABORT
        {
            self.open.remove(&producer_id);
        }
    }
}
