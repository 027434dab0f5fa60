//! A rule between fields, in the two places that check it: as CEL in the API server, and as plain Rust before that.
//!
//! The CEL text and the words for people stand here, in one value; the Rust twin reads the words from it.

use serde_json::{Map, Value};

use crate::problem::Problem;

/// A rule that a schema alone cannot say.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The rule in CEL; `self` is the object that it stands on.
    pub cel: &'static str,
    /// What is asked for, in words.
    pub message: &'static str,
    /// The field at fault, relative to the object: `.mode`. Empty for the object itself.
    pub field: &'static str,
}

impl Rule {
    /// A rule about an object as a whole.
    pub const fn new(cel: &'static str, message: &'static str) -> Self {
        Self {
            cel,
            message,
            field: "",
        }
    }

    /// A rule whose fault lies in one field.
    pub const fn on(field: &'static str, cel: &'static str, message: &'static str) -> Self {
        Self { cel, message, field }
    }

    /// The problem that the object at `path` has when it breaks this rule.
    pub fn problem(&self, path: &str) -> Problem {
        Problem::new(format!("{path}{}", self.field), self.message)
    }

    /// The problem, if `broken`.
    pub(crate) fn unless(&self, holds: bool, path: &str, problems: &mut Vec<Problem>) {
        if !holds {
            problems.push(self.problem(path));
        }
    }
}

/// A length of time that must not be zero.
pub const POSITIVE: [Rule; 1] = [Rule::new("self.matches('[1-9]')", "must be longer than zero")];

/// The rules as a schema has them: the value of `x-kubernetes-validations`.
pub fn validations(rules: &[Rule]) -> Value {
    let one = |rule: &Rule| {
        let mut entry = Map::new();
        entry.insert("rule".into(), rule.cel.into());
        entry.insert("message".into(), rule.message.into());
        if !rule.field.is_empty() {
            entry.insert("fieldPath".into(), rule.field.into());
        }
        Value::Object(entry)
    };
    rules.iter().map(one).collect()
}
