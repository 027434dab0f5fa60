//! Names of the objects that belong to a pipeline: the same at every look, and never too long.

/// Longest name of a pipeline. A child's name is then cut only where a stage's or sink's name is long.
pub const MAX_PIPELINE_NAME: usize = 40;

/// Longest DNS label: names of services, pods and label values.
pub const MAX_LABEL: usize = 63;

/// Exit code of `tocsin snapshot verify` where a snapshot is not whole; the operator tells by it from a storage that is away.
pub const SNAPSHOTS_NOT_WHOLE: u8 = 6;

/// Characters of the hash at the end of a name that had to be changed.
const HASH_LENGTH: usize = 10;

/// Name of a child of `pipeline`: `noc-workers`. A DNS label whatever `part` is.
///
/// What does not fit a label is replaced or cut, and then a hash of the whole name keeps two of them apart.
pub fn child(pipeline: &str, part: &str) -> String {
    label(&format!("{pipeline}-{part}"))
}

/// `name` as a DNS label: itself where it is one already.
pub fn label(name: &str) -> String {
    let fitting: String = name
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() => c,
            _ => '-',
        })
        .collect();
    let fitting = fitting.trim_matches('-');
    if fitting == name && name.len() <= MAX_LABEL && !name.is_empty() {
        return name.to_owned();
    }
    let kept = &fitting[..fitting.len().min(MAX_LABEL - HASH_LENGTH - 1)];
    let kept = kept.trim_end_matches('-');
    // A label may begin with a digit, so a hash alone is one too.
    if kept.is_empty() {
        hash(name)
    } else {
        format!("{kept}-{}", hash(name))
    }
}

/// `name` cut to `max` bytes, with a hash at the end if it had to be cut. `max` is at least twenty.
pub(crate) fn bounded(name: &str, max: usize) -> String {
    if name.len() <= max {
        return name.to_owned();
    }
    let mut end = max - HASH_LENGTH - 1;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-{}", &name[..end], hash(name))
}

/// Ten small letters and digits that depend on all of `text`: FNV-1a of 64 bits, the upper 50 of them in base 32.
///
/// FNV and not the standard library's hash, because the name must be the same in every version and on every machine.
fn hash(text: &str) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    (0..HASH_LENGTH)
        .map(|at| char::from(ALPHABET[(state >> (59 - 5 * at)) as usize & 31]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_that_fits_stays_as_it_is() {
        assert_eq!(child("noc", "workers"), "noc-workers");
    }

    #[test]
    fn a_name_that_does_not_fit_is_changed_and_told_apart_by_a_hash() {
        let (one, other) = (child("noc", "hot_cpu"), child("noc", "Hot-cpu"));
        assert!(
            one.starts_with("noc-hot-cpu-") && other.starts_with("noc-hot-cpu-"),
            "{one} {other}"
        );
        assert_ne!(one, other);
        assert_eq!(child("noc", &"x".repeat(80)).len(), MAX_LABEL);
    }

    #[test]
    fn the_hash_is_the_same_in_every_version() {
        assert_eq!(label("noc_x"), "noc-x-kw6j8wfemw");
    }

    proptest! {
        #[test]
        fn every_name_is_a_label(pipeline in "[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", part in "\\PC{0,80}") {
            let name = child(&pipeline, &part);
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            prop_assert!(name.len() <= MAX_LABEL && name.chars().all(fits), "{}", name);
            prop_assert!(!name.starts_with('-') && !name.ends_with('-'), "{}", name);
        }

        #[test]
        fn two_parts_never_share_a_name(one in "[A-Za-z0-9_-]{1,70}", other in "[A-Za-z0-9_-]{1,70}") {
            prop_assume!(one != other);
            prop_assert_ne!(child("noc", &one), child("noc", &other));
        }
    }
}
