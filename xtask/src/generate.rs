//! `generate`: writes `crds/`, or checks that it is what the types say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tocsin_contract::crds;

const HEADER: &str = "\
# Generated from the types of contract/ by `cargo run -p xtask -- generate`. Do not edit: change the types.
";

/// The folder of the generated files.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds")
}

/// Writes every file, and removes those whose kind is gone.
pub fn write(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let files = files();
    for (name, text) in &files {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    for name in there(folder)?.into_keys().filter(|name| !files.contains_key(name)) {
        fs::remove_file(folder.join(&name)).with_context(|| format!("cannot remove {name}"))?;
    }
    println!("wrote {} files to crds/", files.len());
    Ok(())
}

/// Fails when a file is missing, stale or left over.
pub fn check(folder: &Path) -> Result<()> {
    let (wanted, there) = (files(), there(folder)?);
    let mut stale: Vec<String> = Vec::new();
    for (name, text) in &wanted {
        match there.get(name) {
            None => stale.push(format!("crds/{name} is missing")),
            Some(old) if old != text => stale.push(format!("crds/{name} is not what the types say")),
            Some(_) => {}
        }
    }
    stale.extend(
        there
            .keys()
            .filter(|name| !wanted.contains_key(*name))
            .map(|name| format!("crds/{name} is left over")),
    );
    if stale.is_empty() {
        return Ok(());
    }
    bail!(
        "{}\nrun `make generate` (or `cargo run -p xtask -- generate`) and commit the result",
        stale.join("\n")
    );
}

/// Every file with its text.
fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for definition in crds::all() {
        let yaml = crate::yaml::write(&crds::plain(&definition));
        files.insert(
            format!("{}.yaml", definition.spec.names.plural),
            format!("{HEADER}{yaml}"),
        );
    }
    files
}

/// The files that are there.
fn there(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    if !folder.exists() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        files.insert(name.to_owned(), text);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_committed_files_are_what_the_types_say() {
        if let Err(stale) = check(&folder()) {
            panic!("{stale}");
        }
    }

    #[test]
    fn a_stale_a_missing_and_a_left_over_file_are_named_with_the_fix() {
        let folder = std::env::temp_dir().join(format!("tocsin-generate-{}", std::process::id()));
        write(&folder).unwrap();
        check(&folder).unwrap();
        fs::write(folder.join("incidentpipelines.yaml"), "old").unwrap();
        fs::write(folder.join("gone.yaml"), "").unwrap();
        fs::remove_file(folder.join("incidentmodels.yaml")).unwrap();
        let message = check(&folder).unwrap_err().to_string();
        fs::remove_dir_all(&folder).unwrap();
        for part in [
            "crds/incidentpipelines.yaml is not what the types say",
            "crds/gone.yaml is left over",
            "crds/incidentmodels.yaml is missing",
            "make generate",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
}
