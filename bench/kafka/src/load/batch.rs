//! Record batches of a producer that brokers do not count.

use tocsin_worker_core::kafka::{BatchWriter, Producer};

pub use tocsin_worker_core::kafka::set_time;

/// Records of a batch that is being made. All have the time of the batch.
#[derive(Debug, Default)]
pub struct Builder(BatchWriter);

impl Builder {
    /// Adds a record.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        self.0.push(Some(key), Some(value), None);
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The batch, and an empty builder. Its time has yet to be set.
    pub fn finish(&mut self) -> Vec<u8> {
        let batch = self.0.batch(Producer::NOBODY, -1, 0);
        self.0.clear();
        batch
    }
}
