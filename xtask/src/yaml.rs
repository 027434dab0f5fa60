//! Writes YAML that every reader takes the same way.
//!
//! `kubectl` reads YAML 1.1, where a plain `Off` is false and a plain `on` is true. Whatever could be read as anything
//! but text stands in quotes here.

use serde_json::Value;

/// `value` as a YAML document.
pub fn write(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// Writes a map or list as lines of their own; anything else on the line that has begun.
fn block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (at, (key, inner)) in fields.iter().enumerate() {
                if at > 0 {
                    text.push_str(&" ".repeat(indent));
                }
                text.push_str(&scalar(key));
                text.push(':');
                after_colon(inner, indent, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push_str(&" ".repeat(indent));
                }
                text.push_str("- ");
                block(item, indent + 2, text);
            }
        }
        Value::Object(_) => text.push_str("{}\n"),
        Value::Array(_) => text.push_str("[]\n"),
        Value::String(content) => {
            text.push_str(&scalar(content));
            text.push('\n');
        }
        other => {
            text.push_str(&other.to_string());
            text.push('\n');
        }
    }
}

fn after_colon(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            text.push_str(&" ".repeat(indent + 2));
            block(value, indent + 2, text);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            block(value, indent, text);
        }
        Value::String(content) if content.contains('\n') => lines(content, indent + 2, text),
        _ => {
            text.push(' ');
            block(value, indent, text);
        }
    }
}

/// Text of several lines, as it is. The generated texts end without a line break.
fn lines(content: &str, indent: usize, text: &mut String) {
    text.push_str(" |-\n");
    for line in content.lines() {
        if !line.is_empty() {
            text.push_str(&" ".repeat(indent));
            text.push_str(line);
        }
        text.push('\n');
    }
}

fn scalar(content: &str) -> String {
    // `.status` is text, `.5` is a number.
    let begins = content
        .strip_prefix('.')
        .unwrap_or(content)
        .starts_with(|c: char| c.is_ascii_alphabetic());
    let plain = content.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    let words = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", ".nan", ".inf",
    ];
    if begins && plain && !words.contains(&content.to_ascii_lowercase().as_str()) {
        return content.to_owned();
    }
    // JSON's quotes are YAML's double quotes.
    Value::from(content).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_reads_back_the_same() {
        let value = json!({
            "words": ["Off", "on", "y", "No", "null", "true", "1", "1e3", "plain", "a b", "", " ", "- x", "#", "é", ".5"],
            "y": {"empty": {}, "none": [], "deep": [{"a": 1, "b": [[1, 2], []]}]},
            "lines": "first\n\n  third: \"x\"",
            "numbers": [0, -1, 1.5, true, null],
            "x-kubernetes-y": "a\tb\\c"
        });
        let text = write(&value);
        assert_eq!(serde_yaml_ng::from_str::<Value>(&text).unwrap(), value, "{text}");
    }

    #[test]
    fn words_that_yaml_reads_as_no_text_stand_in_quotes() {
        assert_eq!(
            write(&json!({"on": "Off", "mode": "Active"})),
            "\"on\": \"Off\"\nmode: Active\n"
        );
    }
}
