//! The order of severities.

/// The words, lowest first. A word that is not here ranks with WARNING.
const RANKS: &[(&str, u8)] = &[
    ("DEBUG", 0),
    ("OK", 0),
    ("CLEAR", 0),
    ("INFO", 1),
    ("INFORMATIONAL", 1),
    ("NOTICE", 2),
    ("WARN", 3),
    ("WARNING", 3),
    ("MINOR", 4),
    ("ERROR", 5),
    ("MAJOR", 5),
    ("SEVERE", 6),
    ("CRITICAL", 6),
    ("ALERT", 7),
    ("FATAL", 7),
    ("EMERGENCY", 7),
    ("ESCALATED", 8),
];

/// Severity of a report that says none.
pub const DEFAULT: &str = "WARNING";

/// The rank of a severity, in capitals or not; 3 for a word that is not known.
pub fn rank(severity: &str) -> u8 {
    RANKS
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(severity))
        .map_or(3, |(_, rank)| *rank)
}

/// Whether `severity` is above `other`.
pub fn is_higher(severity: &str, other: &str) -> bool {
    rank(severity) > rank(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_words() {
        assert!(is_higher("ESCALATED", "CRITICAL"));
        assert!(is_higher("critical", "MAJOR"));
        assert!(!is_higher("MINOR", "MAJOR"));
        assert!(!is_higher("whatever", "WARNING") && !is_higher("WARNING", "whatever"));
    }
}
