//! By what a receiver knows a row again: when it is sent once more, and when a later row is about the same thing.

use serde_json::{Map, Value};

use super::shape::RowKind;
use crate::id::id;

/// Where a row stands in its buffer. Neither a restart nor another worker changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The buffer topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// When the row was written, in milliseconds since 1970: tells two rows apart where a topic was deleted and made again.
    pub written_at: i64,
}

/// By what a receiver knows a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The same whenever this row is sent, and no other row's: `inc-5374e3b1b1a2b17b-2` is the third transition of an
    /// incident, `row-0c1f…` a row of another stream by its place in the buffer.
    pub row: String,
    /// The same for all rows about one thing: an incident's or an alarm's id, or an id made of the record's key.
    pub subject: String,
}

/// The identity of a row. A key is that of its record in the buffer.
pub fn identity(kind: RowKind, row: &Map<String, Value>, key: Option<&[u8]>, place: &Place) -> Identity {
    let by_place = || {
        let (partition, offset) = (place.partition.to_le_bytes(), place.offset.to_le_bytes());
        id(
            "row",
            &[
                place.topic.as_bytes(),
                &partition,
                &offset,
                &place.written_at.to_le_bytes(),
            ],
        )
    };
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    match (kind, text("incident"), text("alarm")) {
        (RowKind::Incident, Some(incident), _) => Identity {
            row: match row.get("transition").and_then(Value::as_u64) {
                Some(transition) => format!("{incident}-{transition}"),
                None => by_place(),
            },
            subject: incident,
        },
        (RowKind::Alarm, _, Some(alarm)) => Identity {
            row: by_place(),
            subject: alarm,
        },
        _ => {
            let row = by_place();
            Identity {
                subject: key.map_or_else(|| row.clone(), |key| id("key", &[place.topic.as_bytes(), key])),
                row,
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(kind: RowKind, row: &str, key: Option<&str>, offset: i64) -> Identity {
        let place = Place {
            topic: "noc.pager.buffer".to_owned(),
            partition: 1,
            offset,
            written_at: 1_700_000_000_000,
        };
        identity(
            kind,
            &serde_json::from_str(row).unwrap(),
            key.map(str::as_bytes),
            &place,
        )
    }

    #[test]
    fn a_transition_of_an_incident_is_known_by_its_number_wherever_it_stands() {
        let row = r#"{"incident":"inc-1","service":"api","transition":2}"#;
        let expected = Identity {
            row: "inc-1-2".to_owned(),
            subject: "inc-1".to_owned(),
        };
        assert_eq!(of(RowKind::Incident, row, Some("inc-1"), 7), expected);
        assert_eq!(of(RowKind::Incident, row, None, 8), expected);
    }

    #[test]
    fn another_row_is_known_by_its_place() {
        // Columns of a user's own that are called so say nothing.
        let row = r#"{"incident":"inc-1","transition":2}"#;
        let [first, same, other] = [7, 7, 8].map(|offset| of(RowKind::Other, row, Some("api"), offset));
        assert_eq!(first, same);
        assert!(first.row.starts_with("row-") && first.row != other.row);
        assert!(first.subject.starts_with("key-") && first.subject == other.subject);
        let without_key = of(RowKind::Other, row, None, 7);
        assert_eq!(without_key.subject, without_key.row);
    }

    #[test]
    fn an_alarm_that_fires_and_is_resolved_is_one_thing() {
        let fires = of(RowKind::Alarm, r#"{"alarm":"alm-1","status":"firing"}"#, Some("api"), 1);
        let ends = of(
            RowKind::Alarm,
            r#"{"alarm":"alm-1","status":"resolved"}"#,
            Some("api"),
            2,
        );
        assert!(fires.subject == "alm-1" && ends.subject == "alm-1" && fires.row != ends.row);
    }
}
