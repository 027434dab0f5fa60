//! Names and texts of records as YAML, SQL and comments take them.
//!
//! Names come from records and may be anything: what is not certainly plain is quoted.

use tocsin_worker_core::expr::parse::parse_expression;
use tocsin_worker_core::expr::uses::{Use, Uses};

/// Words that one version of YAML or another takes for true, false or null.
const WORDS_OF_YAML: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// How much of a text a comment shows.
const MOST_SHOWN: usize = 40;

/// A text as a value in a flow mapping or list.
pub fn yaml(text: &str) -> String {
    let is_word = |text: &str| WORDS_OF_YAML.iter().any(|word| word.eq_ignore_ascii_case(text));
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let is_ascii = text.chars().all(|c| matches!(c, ' '..='~'));
    if is_plain && !is_word(text) {
        text.to_owned()
    } else if is_ascii && text.contains(['"', '\\']) && !text.contains('\'') {
        // Expressions hold double quotes; so they stay legible.
        format!("'{text}'")
    } else {
        let escaped: String = text.chars().map(escaped).collect();
        format!("\"{escaped}\"")
    }
}

fn escaped(c: char) -> String {
    match c {
        '"' | '\\' => format!("\\{c}"),
        // Seen by nobody, taken for the end of a line, or not allowed in YAML.
        _ if is_unseen(c) => format!("\\U{:08X}", u32::from(c)),
        _ => c.to_string(),
    }
}

fn is_unseen(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A text in a comment: on one line, and short.
pub fn shown(text: &str) -> String {
    let seen = text.chars().map(|c| if is_unseen(c) { ' ' } else { c });
    seen.take(MOST_SHOWN).collect()
}

/// A column in an expression.
pub fn column(name: &str) -> String {
    let is_simple = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_simple && means_itself(name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// Whether the parser takes a name for a column: not so `distinct` or `current_date`.
fn means_itself(name: &str) -> bool {
    let Ok(tree) = parse_expression(&format!("{name} > 0 AND avg({name}) > 0")) else {
        return false;
    };
    let mut uses = Uses::default();
    uses.collect(&tree, Use::Boolean).is_ok()
        && uses.columns.len() == 2
        && uses.columns.iter().all(|column| column.name == name)
}

/// A text in an expression.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A number in an expression, as exact as a step of `range` needs.
pub fn number(value: f64, range: f64) -> String {
    let decimals = 3.0 - range.log10().floor();
    if value.abs() < 1e15 && decimals <= 15.0 {
        format!("{value:.*}", decimals.max(0.0) as usize)
    } else {
        format!("{value:e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certainly_plain_is_not_quoted() {
        let cases = [
            ("took_ms", "took_ms"),
            ("took-ms", "took-ms"),
            ("y", "\"y\""),
            ("Off", "\"Off\""),
            ("NULL", "\"NULL\""),
            ("1st", "\"1st\""),
            ("-", "\"-\""),
            ("CPU (%)", "\"CPU (%)\""),
            ("a, b", "\"a, b\""),
            ("", "\"\""),
            ("avg(\"a b\")", "'avg(\"a b\")'"),
            ("it's \"b\"", "\"it's \\\"b\\\"\""),
            ("a\nb\u{2028}", "\"a\\U0000000Ab\\U00002028\""),
            ("größe", "\"größe\""),
        ];
        for (text, expected) in cases {
            assert_eq!(yaml(text), expected, "{text}");
        }
    }

    #[test]
    fn a_column_is_quoted_where_sql_would_read_something_else() {
        for plain in ["took_ms", "cpu", "value", "level", "order"] {
            assert_eq!(column(plain), plain);
        }
        for name in ["CPU", "took-ms", "distinct", "all", "current_date", "true", "null"] {
            assert_eq!(column(name), format!("\"{name}\""));
        }
        assert_eq!(column("a\"b"), "\"a\"\"b\"");
    }

    #[test]
    fn a_threshold_is_as_exact_as_its_range_needs() {
        let cases = [
            ((86.4, 96.0), "86.40"),
            ((0.000_09, 0.0001), "0.0000900"),
            ((1_700_000_090.0, 100.0), "1700000090.0"),
            ((9e299, 1e300), "9e299"),
            ((9e-200, 1e-199), "9e-200"),
        ];
        for ((value, range), expected) in cases {
            assert_eq!(number(value, range), expected);
        }
    }
}
