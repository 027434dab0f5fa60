//! What a plain word of YAML means: nothing, true or false, a number, or text.
//!
//! `kubectl` reads YAML 1.1 with words and numbers that YAML 1.2 takes as text: `Off` is false, `010` is eight. A file
//! must mean the same here and there, so such words carry a warning and stand for nothing until they are in quotes.

/// What a plain word means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// A number.
    Float(f64),
    /// Text.
    Text,
    /// Text here, and something else to `kubectl`.
    Odd(&'static str),
}

/// Reads a word that stands without quotes.
pub fn read(word: &str) -> Reading {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => return Reading::Null,
        "true" | "True" | "TRUE" => return Reading::Bool(true),
        "false" | "False" | "FALSE" => return Reading::Bool(false),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Reading::Odd("true"),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Reading::Odd("false"),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" | ".nan" | ".NaN"
        | ".NAN" => return Reading::Odd("a number without end or value"),
        _ => {}
    }
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Reading::Text;
    }
    number(word, digits)
}

fn number(word: &str, digits: &str) -> Reading {
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        if digits.len() > 1 && digits.starts_with('0') {
            return Reading::Odd("a number in base 8");
        }
        // Beyond 128 bits it is a number all the same, and out of every range that a field can have.
        return word
            .parse()
            .map_or_else(|_| Reading::Float(word.parse().unwrap_or(f64::MAX)), Reading::Integer);
    }
    let based = |prefix: &str, radix: u32| {
        digits
            .strip_prefix(prefix)
            .filter(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix)))
    };
    if based("0x", 16).is_some() || based("0b", 2).is_some() || based("0o", 8).is_some() {
        return Reading::Odd("a number in another base");
    }
    if digits.contains('_') && digits.chars().all(|c| c.is_ascii_digit() || c == '_' || c == '.') {
        return Reading::Odd("a number");
    }
    if is_float(digits) {
        return word
            .parse::<f64>()
            .ok()
            .filter(|float| float.is_finite())
            .map_or(Reading::Odd("a number"), Reading::Float);
    }
    Reading::Text
}

/// `1.5`, `1.`, `.5`, `1e3`, `1.5e-3`: digits on at least one side of the point.
fn is_float(digits: &str) -> bool {
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && all_digits(exponent)
    });
    all_digits(whole) && all_digits(fraction) && whole.len() + fraction.len() > 0 && exponent_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, expected: Reading) {
        assert_eq!(read(word), expected, "{word}");
    }

    #[test]
    fn plain_words_mean_what_yaml_says() {
        check("", Reading::Null);
        check("~", Reading::Null);
        check("true", Reading::Bool(true));
        check("-5", Reading::Integer(-5));
        check("+5", Reading::Integer(5));
        check("18446744073709551616", Reading::Integer(18_446_744_073_709_551_616));
        check("1e3", Reading::Float(1000.0));
        check(".5", Reading::Float(0.5));
        check("1.", Reading::Float(1.0));
        for text in [
            "a",
            "5m",
            "1h30m",
            "1:30",
            "2001-01-01",
            "1.2.3",
            ".",
            "-",
            "e3",
            "1e",
            "0x",
            "truth",
            "12a",
            "_1",
        ] {
            check(text, Reading::Text);
        }
    }

    #[test]
    fn words_that_kubectl_reads_otherwise_are_odd() {
        check("Off", Reading::Odd("false"));
        check("on", Reading::Odd("true"));
        check("y", Reading::Odd("true"));
        check("010", Reading::Odd("a number in base 8"));
        check("0x1F", Reading::Odd("a number in another base"));
        check("0b11", Reading::Odd("a number in another base"));
        check("1_000", Reading::Odd("a number"));
        check(".nan", Reading::Odd("a number without end or value"));
        check("1e999", Reading::Odd("a number"));
    }

    #[test]
    fn a_number_of_a_thousand_digits_is_a_number() {
        assert!(matches!(read(&"9".repeat(1000)), Reading::Float(_)));
    }
}
