//! How fast a client may read and write.

use super::Kafka;
use super::access::check;
use super::wire::{Reader, Wire, Writer};
use crate::RigError;

const ALTER_CLIENT_QUOTAS: i16 = 49;

impl Kafka {
    /// Lets all clients of this name together read so many bytes a second of each broker; `None` takes the quota away.
    ///
    /// # Errors
    /// When no broker runs or the controller refuses.
    pub fn read_quota(&self, client: &str, bytes_per_second: Option<u32>) -> Result<(), RigError> {
        self.quota("consumer_byte_rate", client, bytes_per_second)
    }

    /// The same for what they write.
    ///
    /// # Errors
    /// As [`Kafka::read_quota`].
    pub fn write_quota(&self, client: &str, bytes_per_second: Option<u32>) -> Result<(), RigError> {
        self.quota("producer_byte_rate", client, bytes_per_second)
    }

    fn quota(&self, of: &str, client: &str, bytes_per_second: Option<u32>) -> Result<(), RigError> {
        let mut body = Writer::default();
        // One entry, of one client, with one quota.
        body.i32(1);
        body.i32(1);
        body.string("client-id");
        body.string(client);
        body.i32(1);
        body.string(of);
        body.f64(f64::from(bytes_per_second.unwrap_or_default()));
        body.i8(i8::from(bytes_per_second.is_none()));
        // Not only a trial.
        body.i8(0);
        let answer = Wire::connect(self.live_ports()?[0])?.ask(ALTER_CLIENT_QUOTAS, 0, false, &body.0)?;
        let mut reader = Reader(&answer);
        reader.i32()?;
        reader.i32()?;
        check(format!("the quota of {client}"), reader.i16()?, &reader.string()?)
    }
}
