//! Where the parts of a document stand in its file.

use std::collections::HashMap;

use crate::problem::{Place, Problem};

/// Lines and columns by path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places(HashMap<String, Place>);

impl Places {
    pub(super) fn insert(&mut self, path: &str, place: Place) {
        self.0.entry(path.to_owned()).or_insert(place);
    }

    /// Where `path` stands, or what it stands in.
    pub fn find(&self, path: &str) -> Option<Place> {
        let mut path = path;
        loop {
            if let Some(place) = self.0.get(path) {
                return Some(*place);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// Gives each problem that has none its place.
    pub fn annotate(&self, problems: &mut [Problem]) {
        for problem in problems.iter_mut().filter(|problem| problem.place.is_none()) {
            problem.place = self.find(&problem.path);
        }
    }
}
