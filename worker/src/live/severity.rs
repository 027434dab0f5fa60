//! Orders the severity words of users, so that the page can sort and colour them.
//!
//! The word itself is always shown; the level only decides place and colour.

/// How severe a word is: 5 escalated, 4 critical, 3 major, 2 minor, 1 informational, 0 not known.
pub fn level(severity: &str) -> u8 {
    const LEVELS: [(u8, &[&str]); 5] = [
        (5, &["ESCALATED"]),
        (4, &["CRITICAL", "FATAL", "EMERGENCY", "EMERG", "PANIC", "ALERT"]),
        (3, &["MAJOR", "ERROR", "HIGH", "SEVERE"]),
        (2, &["MINOR", "WARNING", "WARN", "MEDIUM"]),
        (1, &["INFO", "NOTICE", "LOW", "DEBUG", "NORMAL", "OK"]),
    ];
    LEVELS
        .iter()
        .find(|(_, words)| words.iter().any(|word| severity.eq_ignore_ascii_case(word)))
        .map_or(0, |(level, _)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_ordered_whatever_their_case() {
        let words = ["lilac", "info", "Warning", "MAJOR", "critical", "ESCALATED"];
        let levels: Vec<u8> = words.iter().map(|word| level(word)).collect();
        assert_eq!(levels, [0, 1, 2, 3, 4, 5]);
    }
}
