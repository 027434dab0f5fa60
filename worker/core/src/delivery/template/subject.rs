//! What a row is about, in words.

use serde_json::{Map, Value};

use super::Letter;
use crate::delivery::shape::RowKind;

/// The text of a field; nothing if it is NULL or not there.
pub(super) fn text(row: &Map<String, Value>, name: &str) -> Option<String> {
    match row.get(name)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The values of the key: `checkout / eu-1`. Empty where there is none.
pub(super) fn about(letter: &Letter<'_>) -> String {
    let values = letter.shape.key.iter().filter_map(|name| text(letter.row, name));
    values.collect::<Vec<_>>().join(" / ")
}

/// `Incident opened: checkout`.
pub(super) fn title(letter: &Letter<'_>) -> String {
    let about = about(letter);
    let status = text(letter.row, "status").unwrap_or_default();
    let what = match letter.shape.kind {
        RowKind::Incident => format!("Incident {status}"),
        RowKind::Alarm => format!("Alarm {status}"),
        RowKind::Other => letter.shape.stream.clone(),
    };
    if about.is_empty() {
        what
    } else {
        format!("{what}: {about}")
    }
}

/// Fields that an incident or an alarm has beside its key, and what they are called.
pub(super) fn facts(kind: RowKind) -> &'static [(&'static str, &'static str)] {
    match kind {
        RowKind::Incident => &[
            ("severity", "Severity"),
            ("events", "Events"),
            ("opened_at", "Opened"),
            ("updated_at", "Last event"),
            ("resolved_at", "Resolved"),
        ],
        RowKind::Alarm => &[
            ("severity", "Severity"),
            ("rule", "Rule"),
            ("since", "Since"),
            ("event_time", "Time"),
        ],
        RowKind::Other => &[],
    }
}

/// A text of at most `most` characters; what is longer ends in `…`.
pub(super) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}
