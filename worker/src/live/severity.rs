//! Orders the severity words of users, so that the page can sort and colour them.
//!
//! The word itself is always shown; the level only decides place and colour.

use tocsin_worker_core::stage::incident::severity::known_rank;

/// How severe a word is: 5 escalated, 4 critical, 3 major, 2 minor, 1 informational, 0 not known.
pub fn level(severity: &str) -> u8 {
    match known_rank(severity) {
        Some(8..) => 5,
        Some(6..) => 4,
        Some(5) => 3,
        Some(3..) => 2,
        Some(_) => 1,
        None => 0,
    }
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
