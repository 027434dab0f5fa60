//! The order of severities.

/// The words, lowest first; those of syslog (RFC 5424) and of common alerting tools among them. A word that is not here
/// ranks with WARNING.
const RANKS: &[(u8, &[&str])] = &[
    (0, &["OK", "CLEAR", "NORMAL", "TRACE", "DEBUG"]),
    (1, &["INFO", "INFORMATIONAL", "LOW"]),
    (2, &["NOTICE"]),
    (3, &["WARN", "WARNING"]),
    (4, &["MINOR", "MEDIUM"]),
    (5, &["ERR", "ERROR", "MAJOR", "HIGH"]),
    (6, &["SEVERE", "CRIT", "CRITICAL"]),
    (7, &["ALERT", "FATAL", "EMERG", "EMERGENCY", "PANIC"]),
    (8, &["ESCALATED"]),
];

/// Severity of a report that says none.
pub const DEFAULT: &str = "WARNING";

/// The rank of a severity, in capitals or not; nothing for a word that is not known.
pub fn known_rank(severity: &str) -> Option<u8> {
    let is_there = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(severity));
    RANKS.iter().find(|(_, words)| is_there(words)).map(|(rank, _)| *rank)
}

/// The same; that of WARNING for a word that is not known.
pub fn rank(severity: &str) -> u8 {
    known_rank(severity).unwrap_or(3)
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
        assert!(is_higher("PANIC", "HIGH") && is_higher("HIGH", "MINOR"));
        assert!(!is_higher("MINOR", "MAJOR"));
        assert!(!is_higher("whatever", "WARNING") && !is_higher("WARNING", "whatever"));
    }
}
