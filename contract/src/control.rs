//! Records of the control topic: rules, KPIs and models on their way from the operator to the workers, signed.
//!
//! What is signed is [`ControlRecord::signed_bytes`], an encoding of our own in which no two records look alike.
//! Making and checking the signature (Ed25519) is the shells' affair; everything else that a worker must check is
//! [`ControlRecord::check`].

use k8s_openapi::ByteString;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Largest payload, in bytes: with base64 and the envelope it stays below Kafka's 1 MiB.
pub const MAX_PAYLOAD: usize = 700 * 1024;

/// Length of an Ed25519 signature, in bytes.
pub const SIGNATURE_LENGTH: usize = 64;

/// First bytes of what is signed: a signature made for anything else never fits.
const DOMAIN: &[u8] = b"tocsin.dev/control/v1\0";

/// A signed record of the control topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlRecord {
    /// UID of the pipeline that the record is for.
    pub pipeline_uid: String,
    /// Number of the record; it grows for each kind and name.
    pub revision: u64,
    /// When the operator signed it, in milliseconds since 1970.
    pub issued_at: i64,
    /// When it ceases to be valid, in milliseconds since 1970.
    pub expires_at: i64,
    /// What the payload is.
    pub kind: ControlKind,
    /// Name of the object that the payload comes from.
    pub name: String,
    /// The payload, in JSON; base64 in the record.
    pub payload: ByteString,
    /// Which key signed it.
    pub key_id: String,
    /// Ed25519 signature of [`ControlRecord::signed_bytes`]; base64 in the record.
    pub signature: ByteString,
}

/// What a control record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlKind {
    /// Alarm rules of an IncidentRuleSet.
    Rules,
    /// KPIs of an IncidentRuleSet.
    Kpis,
    /// An IncidentModel.
    Model,
}

impl ControlKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Rules => "Rules",
            Self::Kpis => "Kpis",
            Self::Model => "Model",
        }
    }
}

/// What a worker knows when a record comes.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// UID of the worker's own pipeline.
    pub pipeline_uid: &'a str,
    /// Newest revision that the worker has of the record's kind and name.
    pub newest_revision: Option<u64>,
    /// The time, in milliseconds since 1970.
    pub now: i64,
}

/// Why a worker refuses a record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It carries no signature, or something that is none.
    #[error("the record is not signed: {0} bytes stand where 64 of a signature should")]
    Unsigned(usize),
    /// It is for another pipeline.
    #[error("the record is for the pipeline with UID {0}")]
    Foreign(String),
    /// It is no longer valid.
    #[error("the record expired {0} ms ago")]
    Expired(i64),
    /// It was seen before, or a newer one was.
    #[error("revision {revision} is not newer than {newest}")]
    Replayed {
        /// Revision of the record.
        revision: u64,
        /// Newest revision that was seen.
        newest: u64,
    },
    /// It is too large.
    #[error("the payload has {0} bytes; at most {MAX_PAYLOAD} are allowed")]
    TooLarge(usize),
}

impl ControlRecord {
    /// The bytes that are signed: all fields but the signature.
    ///
    /// Every text stands behind its length and every number has its full width, so no two records share them.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let texts = [
            self.pipeline_uid.as_bytes(),
            self.kind.as_str().as_bytes(),
            self.name.as_bytes(),
            self.key_id.as_bytes(),
            &self.payload.0,
        ];
        let length = texts.iter().map(|text| text.len() + 8).sum::<usize>();
        let mut bytes = Vec::with_capacity(DOMAIN.len() + 24 + length);
        bytes.extend_from_slice(DOMAIN);
        bytes.extend_from_slice(&self.revision.to_be_bytes());
        bytes.extend_from_slice(&self.issued_at.to_be_bytes());
        bytes.extend_from_slice(&self.expires_at.to_be_bytes());
        for text in texts {
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text);
        }
        bytes
    }

    /// Whether a worker may take the record, its signature apart: that is checked first, over
    /// [`signed_bytes`](Self::signed_bytes), with the key that [`key_id`](Self::key_id) names.
    ///
    /// # Errors
    /// The first reason to refuse it.
    pub fn check(&self, expected: &Expected<'_>) -> Result<(), Refusal> {
        if self.signature.0.len() != SIGNATURE_LENGTH {
            return Err(Refusal::Unsigned(self.signature.0.len()));
        }
        if self.payload.0.len() > MAX_PAYLOAD {
            return Err(Refusal::TooLarge(self.payload.0.len()));
        }
        if self.pipeline_uid != expected.pipeline_uid {
            return Err(Refusal::Foreign(self.pipeline_uid.chars().take(64).collect()));
        }
        if self.expires_at <= expected.now {
            return Err(Refusal::Expired(expected.now.saturating_sub(self.expires_at)));
        }
        match expected.newest_revision {
            Some(newest) if self.revision <= newest => Err(Refusal::Replayed {
                revision: self.revision,
                newest,
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn record() -> ControlRecord {
        ControlRecord {
            pipeline_uid: "5c0e".to_owned(),
            revision: 7,
            issued_at: 1_000,
            expires_at: 2_000,
            kind: ControlKind::Rules,
            name: "core-rules".to_owned(),
            payload: ByteString(b"{}".to_vec()),
            key_id: "k1".to_owned(),
            signature: ByteString(vec![1; SIGNATURE_LENGTH]),
        }
    }

    fn check(change: impl FnOnce(&mut ControlRecord), expected: Result<(), Refusal>) {
        let mut record = record();
        change(&mut record);
        let known = Expected {
            pipeline_uid: "5c0e",
            newest_revision: Some(6),
            now: 1_999,
        };
        assert_eq!(record.check(&known), expected);
    }

    #[test]
    fn a_good_record_is_taken() {
        check(|_| {}, Ok(()));
    }

    #[test]
    fn unsigned_foreign_expired_replayed_and_huge_records_are_refused() {
        check(
            |record| record.signature = ByteString(Vec::new()),
            Err(Refusal::Unsigned(0)),
        );
        check(
            |record| record.pipeline_uid = "77aa".to_owned(),
            Err(Refusal::Foreign("77aa".to_owned())),
        );
        check(|record| record.expires_at = 1_999, Err(Refusal::Expired(0)));
        check(|record| record.expires_at = i64::MIN, Err(Refusal::Expired(i64::MAX)));
        check(
            |record| record.revision = 6,
            Err(Refusal::Replayed { revision: 6, newest: 6 }),
        );
        let huge = MAX_PAYLOAD + 1;
        check(
            |record| record.payload = ByteString(vec![b' '; huge]),
            Err(Refusal::TooLarge(huge)),
        );
    }

    #[test]
    fn the_signed_bytes_never_change() {
        let bytes = record().signed_bytes();
        let mut expected = b"tocsin.dev/control/v1\0".to_vec();
        expected.extend([0, 0, 0, 0, 0, 0, 0, 7]);
        expected.extend([0, 0, 0, 0, 0, 0, 3, 232]);
        expected.extend([0, 0, 0, 0, 0, 0, 7, 208]);
        for text in ["5c0e", "Rules", "core-rules", "k1", "{}"] {
            expected.extend((text.len() as u64).to_be_bytes());
            expected.extend(text.as_bytes());
        }
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let text = serde_json::to_string(&record()).unwrap();
        assert!(text.contains("\"payload\":\"e30=\""), "{text}");
        assert_eq!(serde_json::from_str::<ControlRecord>(&text).unwrap(), record());
        assert!(serde_json::from_str::<ControlRecord>(&text.replace("keyId", "keyid")).is_err());
    }

    fn records() -> impl Strategy<Value = ControlRecord> {
        let kind = prop_oneof![
            Just(ControlKind::Rules),
            Just(ControlKind::Kpis),
            Just(ControlKind::Model)
        ];
        let texts = ("[a-b]{0,3}", "[a-b]{0,3}", "[a-b]{0,3}", "[a-b]{0,3}");
        (texts, 0..3_u64, 0..3_i64, 0..3_i64, kind).prop_map(|(texts, revision, issued_at, expires_at, kind)| {
            let (pipeline_uid, name, key_id, payload) = texts;
            let payload = ByteString(payload.into_bytes());
            ControlRecord {
                pipeline_uid,
                revision,
                issued_at,
                expires_at,
                kind,
                name,
                payload,
                key_id,
                ..record()
            }
        })
    }

    proptest! {
        #[test]
        fn two_records_never_share_their_signed_bytes(one in records(), other in records()) {
            prop_assert_eq!(one == other, one.signed_bytes() == other.signed_bytes());
        }
    }
}
