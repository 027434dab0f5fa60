//! The nearest right word for a wrong one.

/// The word of `candidates` that `word` was most likely meant to be.
///
/// Case, `_` and `-` do not count; otherwise a third of the letters may differ.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Beyond the longest field name nobody means one, and the distance of long words takes long.
    if word.len() > 64 {
        return None;
    }
    let wanted = folded(word);
    let distance = |candidate: &&str| strsim::osa_distance(&wanted, &folded(candidate));
    let (best, candidate) = candidates
        .into_iter()
        .map(|candidate| (distance(&candidate), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (best <= (wanted.chars().count() / 3).max(1) && best < wanted.chars().count().max(1)).then_some(candidate)
}

fn folded(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Words with commas between, cut after a dozen.
pub fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 16;
    let words: Vec<&str> = words.into_iter().collect();
    let mut text = words.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    if words.len() > MOST {
        text.push_str(", ...");
    }
    text
}

/// A value of a file, short enough for a message.
pub fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let mut short: String = text
        .chars()
        .take(MOST)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(MOST).is_some() {
        short.push_str("...");
    }
    format!("`{short}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_right_form() {
        let fields = ["count", "within", "by", "ttl", "severity", "maxOutOfOrderness"];
        for (word, expected) in [
            ("cuont", Some("count")),
            ("Count", Some("count")),
            ("max_out_of_orderness", Some("maxOutOfOrderness")),
            ("maxOutOfOrder", Some("maxOutOfOrderness")),
            ("severty", Some("severity")),
            ("window", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, fields), expected, "{word}");
        }
    }
}
