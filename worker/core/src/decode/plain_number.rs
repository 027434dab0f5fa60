//! Which texts are numbers, where a format says no types: cells, tags.

/// The digits of a number for [`crate::decode::number`], without a leading `+`; nothing if the text is no number. Taken
/// is what JSON takes, and `+5`, `007`, `.5`, `5.`.
pub(crate) fn plain(text: &str) -> Option<&[u8]> {
    let (text, unsigned) = match text.as_bytes() {
        [b'+', unsigned @ ..] => (unsigned, unsigned),
        text => (text, text.strip_prefix(b"-").unwrap_or(text)),
    };
    let (whole, rest) = digits(unsigned);
    let (fraction, rest) = digits(rest.strip_prefix(b".").unwrap_or(rest));
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    (has_digits && is_exponent(rest)).then_some(text)
}

/// Whether a text is a number by JSON's grammar.
pub(crate) fn is_json_number(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (whole, rest) = digits(bytes.strip_prefix(b"-").unwrap_or(bytes));
    let rest = match rest.strip_prefix(b".") {
        Some(behind) => match digits(behind) {
            ([], _) => return false,
            (_, rest) => rest,
        },
        None => rest,
    };
    !whole.is_empty() && (whole.len() == 1 || whole[0] != b'0') && is_exponent(rest)
}

fn digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().take_while(|b| b.is_ascii_digit()).count())
}

/// Whether this is a well-formed exponent, or nothing.
fn is_exponent(bytes: &[u8]) -> bool {
    let [b'e' | b'E', rest @ ..] = bytes else {
        return bytes.is_empty();
    };
    let (digits, rest) = digits(rest.strip_prefix(b"-").or(rest.strip_prefix(b"+")).unwrap_or(rest));
    !digits.is_empty() && rest.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::number::int64;

    fn check_integer(text: &str, expected: Option<i64>) {
        assert_eq!(plain(text).and_then(|text| int64(text).ok()), expected, "{text}");
    }

    #[test]
    fn whole_numbers_are_exact_however_they_are_written() {
        check_integer("0", Some(0));
        check_integer("-0.000", Some(0));
        check_integer("007", Some(7));
        check_integer("12.50e1", Some(125));
        check_integer("-9223372036854775808", Some(i64::MIN));
        check_integer("+5.", Some(5));
        check_integer(".5e1", Some(5));
        check_integer("-.5e1", Some(-5));
        check_integer("1.5", None);
        check_integer("1e39", None);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", "-", "+", ".", ".e1", "1e", "1e+", "0x10", "1 ", "NaN", "inf", "1_000", "--1", "++1", "+-1", "1.2.3",
            "1e5.0",
        ] {
            assert_eq!(plain(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn integers_read_as_the_standard_library_reads_them(n: i64) {
            check_integer(&n.to_string(), Some(n));
        }

        #[test]
        fn json_numbers_are_those_of_serde_json(text in "-?[0-9]{0,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?[ a]?") {
            let is_json = serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|v| v.is_number());
            // serde_json takes white space around a number.
            let is_json = is_json && !text.ends_with(' ');
            prop_assert_eq!(is_json_number(&text), is_json, "{}", text);
            prop_assert!(!is_json || plain(&text).is_some(), "{}", text);
        }
    }
}
