//! What the brokers of a cluster have settled on.

use super::Kafka;
use super::access::check;
use super::wire::{Reader, Wire, Writer};
use crate::RigError;

const UPDATE_FEATURES: i16 = 57;
/// A lower level, of which nothing is lost.
const SAFE_DOWNGRADE: i8 = 2;

impl Kafka {
    /// Lets transactions be as they were before Kafka 4 (KIP-890): all of a producer have one epoch, and clients say which
    /// partitions belong to one.
    ///
    /// # Errors
    /// When no broker runs or the controller refuses.
    pub fn older_transactions(&self) -> Result<(), RigError> {
        let mut body = Writer::default();
        body.i32(10_000);
        // One feature; lengths are one more than they are.
        body.varint(2);
        body.compact(b"transaction.version");
        body.i16(1);
        body.i8(SAFE_DOWNGRADE);
        body.no_tags();
        // Not only a trial.
        body.i8(0);
        body.no_tags();
        let answer = Wire::connect(self.live_ports()?[0])?.ask(UPDATE_FEATURES, 1, true, &body.0)?;
        let mut reader = Reader(&answer);
        reader.i32()?;
        check("older transactions".to_owned(), reader.i16()?, &reader.compact()?)
    }
}
