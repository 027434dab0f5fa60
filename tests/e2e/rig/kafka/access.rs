//! Who may do what: rules of authorisation, and the passwords of SCRAM.

use std::num::NonZeroU32;
use std::time::Duration;

use ring::pbkdf2;

use super::Kafka;
use super::wire::{Reader, Wire, Writer};
use crate::RigError;
use crate::wait::until;

const CREATE_ACLS: i16 = 30;
const DELETE_ACLS: i16 = 31;
const DESCRIBE_SCRAM: i16 = 50;
const ALTER_SCRAM: i16 = 51;

const ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);
const SALT: &[u8] = b"not a secret in a test";

/// What a user may do with what. A name that ends in `*` stands for all that begin so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// Read a topic's records, and see it.
    Read(String),
    /// Write records to a topic, and see it.
    Write(String),
    /// See a topic.
    Describe(String),
    /// Create a topic.
    Create(String),
    /// Be in a group and commit its offsets.
    Group(String),
    /// Write under a transactional id.
    Transactions(String),
}

impl Rights {
    /// The kind of resource, its name, and the operation, in the protocol's numbers.
    fn numbers(&self) -> (i8, &str, i8) {
        match self {
            Self::Read(name) => (2, name, 3),
            Self::Write(name) => (2, name, 4),
            Self::Create(name) => (2, name, 5),
            Self::Describe(name) => (2, name, 8),
            Self::Group(name) => (3, name, 3),
            Self::Transactions(name) => (5, name, 4),
        }
    }

    fn write(&self, user: &str, body: &mut Writer) {
        let (resource, name, operation) = self.numbers();
        let (name, pattern) = name.strip_suffix('*').map_or((name, 3), |prefix| (prefix, 4));
        // All that begin with nothing are all; the protocol has a name of its own for that.
        let (name, pattern) = if name.is_empty() { ("*", 3) } else { (name, pattern) };
        body.i8(resource);
        body.string(name);
        body.i8(pattern);
        body.string(&format!("User:{user}"));
        body.string("*");
        body.i8(operation);
        body.i8(3);
    }
}

impl Kafka {
    /// Allows a user something. Takes effect a moment later, as everything does that the controller tells brokers.
    ///
    /// # Errors
    /// When no broker runs or authorisation is off ([`KafkaOptions::acls`](super::KafkaOptions::acls)).
    pub fn allow(&self, user: &str, rights: &[Rights]) -> Result<(), RigError> {
        let answer = self.change_rights(CREATE_ACLS, user, rights)?;
        let mut reader = Reader(&answer);
        reader.i32()?;
        for _ in 0..reader.i32()? {
            check(format!("allowing {user} {rights:?}"), reader.i16()?, &reader.string()?)?;
        }
        Ok(())
    }

    /// Takes back what was allowed.
    ///
    /// # Errors
    /// As [`Kafka::allow`].
    pub fn revoke(&self, user: &str, rights: &[Rights]) -> Result<(), RigError> {
        for right in rights {
            let answer = self.change_rights(DELETE_ACLS, user, std::slice::from_ref(right))?;
            let mut reader = Reader(&answer);
            reader.i32()?;
            reader.i32()?;
            check(
                format!("revoking {right:?} of {user}"),
                reader.i16()?,
                &reader.string()?,
            )?;
        }
        Ok(())
    }

    fn change_rights(&self, api_key: i16, user: &str, rights: &[Rights]) -> Result<Vec<u8>, RigError> {
        let mut body = Writer::default();
        body.i32(i32::try_from(rights.len()).unwrap_or(i32::MAX));
        for right in rights {
            right.write(user, &mut body);
        }
        Wire::connect(self.live_ports()?[0])?.ask(api_key, 1, false, &body.0)
    }

    /// Sets the password with which a user logs in by SCRAM-SHA-256 and SCRAM-SHA-512, and waits until every broker
    /// that runs knows the user.
    ///
    /// # Errors
    /// When no broker runs or the controller refuses.
    pub fn set_scram_password(&self, user: &str, password: &str) -> Result<(), RigError> {
        let ports = self.live_ports()?;
        // A request may name a user once.
        for (mechanism, algorithm, length) in [(1, pbkdf2::PBKDF2_HMAC_SHA256, 32), (2, pbkdf2::PBKDF2_HMAC_SHA512, 64)]
        {
            let mut salted = vec![0; length];
            pbkdf2::derive(algorithm, ITERATIONS, SALT, password.as_bytes(), &mut salted);
            let mut body = Writer::default();
            // Nothing to delete, one to set.
            body.varint(1);
            body.varint(2);
            body.compact(user.as_bytes());
            body.i8(mechanism);
            body.i32(i32::try_from(ITERATIONS.get()).unwrap_or(i32::MAX));
            body.compact(SALT);
            body.compact(&salted);
            body.no_tags();
            body.no_tags();
            let answer = Wire::connect(ports[0])?.ask(ALTER_SCRAM, 0, true, &body.0)?;
            let mut reader = Reader(&answer);
            reader.i32()?;
            reader.varint()?;
            reader.compact()?;
            check(
                format!("setting the password of {user}"),
                reader.i16()?,
                &reader.compact()?,
            )?;
        }
        for port in ports {
            until(&format!("a broker to know {user}"), Duration::from_secs(10), || {
                knows_user(port, user)
            })?;
        }
        Ok(())
    }
}

fn knows_user(port: u16, user: &str) -> Result<Option<()>, RigError> {
    let mut body = Writer::default();
    body.varint(2);
    body.compact(user.as_bytes());
    body.no_tags();
    body.no_tags();
    let answer = Wire::connect(port)?.ask(DESCRIBE_SCRAM, 0, true, &body.0)?;
    let mut reader = Reader(&answer);
    reader.i32()?;
    check(format!("describing {user}"), reader.i16()?, &reader.compact()?)?;
    if reader.varint()? < 2 {
        return Ok(None);
    }
    reader.compact()?;
    let known = reader.i16()? == 0;
    reader.compact()?;
    // One more than the mechanisms, as all lengths in this version.
    Ok((known && reader.varint()? == 3).then_some(()))
}

/// An error of the protocol, if a number is one.
pub(super) fn check(what: String, code: i16, message: &str) -> Result<(), RigError> {
    if code == 0 {
        return Ok(());
    }
    Err(RigError::Refused {
        what,
        answer: format!("error {code} {message}"),
    })
}
