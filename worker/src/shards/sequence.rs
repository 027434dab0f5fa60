//! The text beside a committed offset: which cut it belongs to, and of which run epoch.

/// The text for a cut.
pub fn to_metadata(sequence: u64, epoch: u32) -> String {
    match epoch {
        0 => format!("tocsin:{sequence}"),
        _ => format!("tocsin:{sequence}:{epoch}"),
    }
}

/// The cut and the run epoch that a text speaks of.
pub fn of_metadata(metadata: &str) -> Option<(u64, u32)> {
    let text = metadata.strip_prefix("tocsin:")?;
    let (sequence, epoch) = text.split_once(':').unwrap_or((text, "0"));
    Some((sequence.parse().ok()?, epoch.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else_is() {
        assert_eq!(to_metadata(42, 0), "tocsin:42");
        for cut in [(42, 0), (42, 3)] {
            assert_eq!(of_metadata(&to_metadata(cut.0, cut.1)), Some(cut));
        }
        for foreign in [
            "",
            "42",
            "tocsin:",
            "tocsin:-1",
            "tocsin:1x",
            "tocsin:1:",
            "tocsin:1:2:3",
        ] {
            assert_eq!(of_metadata(foreign), None, "{foreign}");
        }
    }
}
