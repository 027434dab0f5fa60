//! The page's files, in the binary.

/// A file of the page.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Path under `/assets/`.
    pub path: &'static str,
    /// Value of `Content-Type`.
    pub content_type: &'static str,
    /// The file.
    pub text: &'static str,
}

/// The page itself.
pub const INDEX: Asset = Asset {
    path: "index.html",
    content_type: "text/html; charset=utf-8",
    text: include_str!("../../assets/index.html"),
};

/// The file of that path.
pub fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

macro_rules! asset {
    ($content_type:literal, $path:literal) => {
        Asset {
            path: $path,
            content_type: $content_type,
            text: include_str!(concat!("../../assets/", $path)),
        }
    };
}

macro_rules! script {
    ($path:literal) => {
        asset!("text/javascript; charset=utf-8", $path)
    };
}

macro_rules! style {
    ($path:literal) => {
        asset!("text/css; charset=utf-8", $path)
    };
}

static ASSETS: &[Asset] = &[
    asset!("image/svg+xml", "favicon.svg"),
    style!("base.css"),
    style!("panels.css"),
    script!("theme.js"),
    script!("app.js"),
    script!("alarms.js"),
    script!("chart.js"),
    script!("clock.js"),
    script!("dom.js"),
    script!("flow.js"),
    script!("flow_layout.js"),
    script!("format.js"),
    script!("incidents.js"),
    script!("kpis.js"),
    script!("run_state.js"),
    script!("stream.js"),
    script!("throughput.js"),
    script!("vendor/uplot.js"),
    style!("vendor/uplot.css"),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn files(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                files(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name);
            }
        }
    }

    #[test]
    fn every_script_style_and_image_in_the_folder_is_served() {
        let mut found = BTreeSet::new();
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("assets"), "", &mut found);
        found.retain(|name| [".js", ".css", ".svg"].iter().any(|ending| name.ends_with(ending)));
        let served: BTreeSet<_> = ASSETS.iter().map(|asset| asset.path.to_owned()).collect();
        assert_eq!(served, found);
    }

    #[test]
    fn no_file_of_the_page_names_another_origin() {
        let own = ASSETS
            .iter()
            .filter(|asset| !asset.path.starts_with("vendor/"))
            .chain([&INDEX]);
        for asset in own {
            let text = asset.text.replace("http://www.w3.org/2000/svg", ""); // A namespace, never asked for.
            assert!(!text.contains("://"), "{} names an address", asset.path);
        }
    }
}
