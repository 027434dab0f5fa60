//! Paths in the file, and the nearest of some names.

/// The name that `wrong` was most likely meant to be.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |name: &&str| strsim::damerau_levenshtein(&wrong.to_lowercase(), &name.to_lowercase());
    let near = names.into_iter().min_by_key(|name| (distance(name), *name))?;
    // Further away it is another word, and the hint would mislead.
    (distance(&near) <= 1 + wrong.chars().count() / 4).then_some(near)
}

/// `did you mean ...?`, or the names that there are.
pub fn suggestion<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(name) = nearest(wrong, names.clone()) {
        return format!("did you mean `{name}`?");
    }
    let mut all: Vec<&str> = names.into_iter().collect();
    all.sort_unstable();
    all.dedup();
    match all.len() {
        0 => "there is none".to_owned(),
        1..=12 => format!("there is: {}", all.join(", ")),
        n => format!("there is: {}, and {} more", all[..12].join(", "), n - 12),
    }
}

/// Path of a stage: `spec.stages[critical]`.
pub fn stage_path(name: &str) -> String {
    format!("spec.stages[{name}]")
}

/// Path of a source.
pub fn source_path(name: &str) -> String {
    format!("spec.sources[{name}]")
}

/// Path of a sink.
pub fn sink_path(name: &str) -> String {
    format!("spec.sinks[{name}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_gets_the_nearest() {
        assert_eq!(
            suggestion("crticial", ["critical", "known"]),
            "did you mean `critical`?"
        );
        assert_eq!(suggestion("xyz", ["critical", "known"]), "there is: critical, known");
    }
}
