//! Where the components stand that the rig starts. The scripts put them there; nothing is installed here.

use std::path::{Path, PathBuf};

use crate::RigError;

/// Also sourced by the scripts, so that both mean the same folder.
const VERSIONS: &str = include_str!("versions.env");

/// The folder of a component in the cache, such as `kafka-4.1.1`.
///
/// # Errors
/// [`RigError::NotInstalled`], with the script to run.
pub fn folder(component: &str, version: &str, script: &'static str) -> Result<PathBuf, RigError> {
    let version = self::version(version);
    let place = cache().join(format!("{component}-{version}"));
    if place.is_dir() {
        return Ok(place);
    }
    Err(RigError::NotInstalled {
        what: format!("{component} {version}"),
        place,
        script,
    })
}

/// A program that was built beside the test, or the one that the environment variable names.
///
/// # Errors
/// When it was not built.
pub fn built(program: &str, variable: &str) -> Result<PathBuf, RigError> {
    if let Some(named) = std::env::var_os(variable) {
        return Ok(PathBuf::from(named));
    }
    let test = std::env::current_exe().map_err(RigError::io("looking for the test's own file"))?;
    let beside = test.parent().and_then(Path::parent).map(|folder| folder.join(program));
    beside.filter(|program| program.is_file()).ok_or_else(|| {
        let what = format!("{program} is not beside the test: run cargo build --workspace, or set {variable}");
        RigError::Misused(what)
    })
}

/// The folder of Kubernetes' servers and what goes with them.
///
/// # Errors
/// [`RigError::NotInstalled`], with the script to run.
pub fn kubernetes() -> Result<PathBuf, RigError> {
    let parts = [
        ("kubernetes", "KUBERNETES_VERSION"),
        ("kubectl", "KUBERNETES_VERSION"),
        ("coredns", "COREDNS_VERSION"),
        ("kwok", "KWOK_VERSION"),
        ("helm", "HELM_VERSION"),
    ];
    let name = parts.map(|(part, of)| format!("{part}-{}", version(of))).join("-");
    let place = cache().join(&name);
    if place.is_dir() {
        return Ok(place);
    }
    Err(RigError::NotInstalled {
        what: name,
        place,
        script: "scripts/kubernetes.sh",
    })
}

/// The value of a line `NAME=value` of `versions.env`.
fn version(name: &str) -> &'static str {
    VERSIONS
        .lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| *key == name)
        .map_or("", |(_, value)| value.trim())
}

/// As `scripts/env.sh` has it.
fn cache() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(cache) = variable("TOCSIN_CACHE") {
        return PathBuf::from(cache);
    }
    let base = variable("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(variable("HOME").unwrap_or_default()).join(".cache"),
        PathBuf::from,
    );
    base.join("tocsin")
}
