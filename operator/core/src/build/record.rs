//! What stands on the workers' StatefulSet for the next look: what they run, and what they began with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::arguments::Start;

/// Annotation: the record, as JSON.
pub const ANNOTATION: &str = "tocsin.dev/run";

/// The shape of each stage's state, hashed, by the stage's name.
pub type StateShapes = BTreeMap<String, String>;

/// What stands on the workers' StatefulSet. Fields are only added: a later operator reads what an earlier one wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record {
    /// What they run.
    pub revision: String,
    /// The rules that they began with.
    pub rules: String,
    /// What they began with.
    pub start: Start,
    /// Their own state.
    pub own_state: StateShapes,
    /// The state of those that were ready last, these or others before them: what is in the savepoint, or the checkpoints.
    pub state: StateShapes,
    /// Whether what they begin with holds all that those before them did: those were drained, or there were none.
    pub is_drained: bool,
    /// Whether one of them was ever ready. If none was, they did nothing that the next ones could lose.
    pub was_ready: bool,
    /// The `spec.state.restoreNonce` that they heeded.
    pub restore_nonce: i64,
    /// The `spec.restartNonce` that they heeded.
    pub restart_nonce: i64,
    /// The `spec.state.savepointNonce` that was heeded.
    pub savepoint_nonce: i64,
    /// What they would have begun with but for a restore that was asked for: to go back to if that is taken back.
    pub without_restore: Option<Start>,
}

impl Record {
    /// The record of a StatefulSet with these annotations. None if it has none that can be read: it is not ours then, or
    /// somebody wrote into it.
    pub fn read(annotations: Option<&BTreeMap<String, String>>) -> Option<Self> {
        serde_json::from_str(annotations?.get(ANNOTATION)?).ok()
    }

    /// The same once one of them is ready.
    #[must_use]
    pub fn once_ready(&self) -> Self {
        Self {
            state: self.own_state.clone(),
            was_ready: true,
            without_restore: None,
            ..self.clone()
        }
    }

    /// The annotations that say it.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        // A record has text keys alone: it always becomes JSON.
        let text = serde_json::to_string(self).unwrap_or_default();
        [(ANNOTATION.to_owned(), text)].into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let record = Record {
            revision: "0123456789ab".to_owned(),
            start: Start::Rewind {
                savepoint: "noc/savepoints/x".to_owned(),
                epoch: 3,
            },
            state: [("escalated".to_owned(), "ba9876543210".to_owned())].into(),
            was_ready: true,
            ..Record::default()
        };
        assert_eq!(Record::read(Some(&record.annotations())), Some(record));
    }

    #[test]
    fn what_an_earlier_operator_wrote_is_read() {
        let written = [(ANNOTATION.to_owned(), r#"{"revision":"a","later":1}"#.to_owned())].into();
        assert_eq!(Record::read(Some(&written)).unwrap().revision, "a");
        assert_eq!(Record::read(Some(&BTreeMap::new())), None);
        let broken = [(ANNOTATION.to_owned(), "{".to_owned())].into();
        assert_eq!(Record::read(Some(&broken)), None);
    }
}
