//! The text beside a committed offset: which cut it belongs to.

/// The text for a cut.
pub fn to_metadata(sequence: u64) -> String {
    format!("tocsin:{sequence}")
}

/// The cut that a text speaks of.
pub fn of_metadata(metadata: &str) -> Option<u64> {
    metadata.strip_prefix("tocsin:")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else_is() {
        assert_eq!(of_metadata(&to_metadata(42)), Some(42));
        for foreign in ["", "42", "tocsin:", "tocsin:-1", "tocsin:1x"] {
            assert_eq!(of_metadata(foreign), None, "{foreign}");
        }
    }
}
