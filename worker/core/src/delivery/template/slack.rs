//! A message for Slack's incoming webhooks: <https://docs.slack.dev/messaging/formatting-message-text>.
//!
//! What comes from records is escaped, so that it can neither mention anybody nor link anywhere, and shortened to what Slack
//! takes.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Letter;
use super::subject::{facts, text, title};
use crate::delivery::shape::RowKind;

const MOST_OF_HEADER: usize = 150;
const MOST_OF_TEXT: usize = 3000;
const MOST_OF_FIELD: usize = 2000;
const MOST_FIELDS: usize = 10;

pub(super) fn message(letter: &Letter<'_>) -> Value {
    let title = title(letter);
    let severity = text(letter.row, "severity");
    let summary = text(letter.row, "summary").filter(|summary| !summary.is_empty());
    // What a notification shows, and a reader of screens.
    let parts = [severity, Some(title.clone()), summary.clone()];
    let line = parts.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let mut blocks = vec![json!({
        "type": "header",
        "text": {"type": "plain_text", "text": escaped(&title, MOST_OF_HEADER), "emoji": false},
    })];
    if let Some(summary) = summary {
        blocks.push(json!({"type": "section", "text": marked(escaped(&summary, MOST_OF_TEXT))}));
    }
    let fields = fields(letter);
    if !fields.is_empty() {
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    let origin = format!(
        "{} · {} · {}",
        letter.shape.pipeline, letter.shape.stream, letter.identity.row
    );
    blocks.push(json!({"type": "context", "elements": [marked(escaped(&origin, MOST_OF_TEXT))]}));
    json!({"text": escaped(&line, MOST_OF_TEXT), "blocks": blocks})
}

/// The facts of an incident or an alarm, with its key; the first columns of any other row.
fn fields(letter: &Letter<'_>) -> Vec<Value> {
    let row = letter.row;
    let shown: Vec<(String, Value)> = if letter.shape.kind == RowKind::Other {
        let columns = row
            .iter()
            .filter(|(name, _)| !name.starts_with('_') && *name != "summary");
        columns.map(|(name, value)| (name.clone(), value.clone())).collect()
    } else {
        let key = letter.shape.key.iter().map(|name| (name.as_str(), name.as_str()));
        let named = facts(letter.shape.kind).iter().copied().chain(key);
        named
            .filter_map(|(name, called)| Some((called.to_owned(), row.get(name)?.clone())))
            .collect()
    };
    let given = shown.into_iter().filter(|(_, value)| !value.is_null());
    let field = |(name, value): (String, Value)| {
        let value = match &value {
            Value::String(text) => moment(text).unwrap_or_else(|| escaped(text, MOST_OF_FIELD / 2)),
            other => escaped(&other.to_string(), MOST_OF_FIELD / 2),
        };
        marked(format!("*{}*\n{value}", escaped(&name, MOST_OF_FIELD / 4)))
    };
    given.take(MOST_FIELDS).map(field).collect()
}

/// Text with marks, in which Slack looks for no names and addresses.
fn marked(text: String) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

/// A point in time, which Slack shows in each reader's own time zone.
fn moment(text: &str) -> Option<String> {
    let time: Timestamp = text.parse().ok()?;
    Some(format!(
        "<!date^{}^{{date_short_pretty}} {{time_secs}}|{time}>",
        time.as_second()
    ))
}

/// A text as it is: `&`, `<` and `>` would begin what Slack reads. At most `most` characters when it is escaped.
fn escaped(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    for c in text.chars() {
        let one = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => "",
        };
        length += one.len().max(1);
        // Room for the sign that says so.
        if length >= most {
            out.push('…');
            break;
        }
        match one {
            "" => out.push(c),
            escape => out.push_str(escape),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nobody_is_mentioned_and_nothing_linked() {
        assert_eq!(
            escaped("<!channel> & <http://a|b>", 100),
            "&lt;!channel&gt; &amp; &lt;http://a|b&gt;"
        );
    }

    proptest! {
        #[test]
        fn an_escaped_text_keeps_its_bound_and_no_entity_is_cut(text in "[a<>&é]{0,60}", most in 1usize..40) {
            let out = escaped(&text, most);
            prop_assert!(out.chars().count() <= most);
            let whole = out.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
            prop_assert!(!whole.contains(['&', '<', '>']), "{}", out);
        }
    }
}
