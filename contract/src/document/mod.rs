//! Reads a YAML text of one of the kinds into its type, and says everything that is wrong with it at once.
//!
//! The text becomes a tree that remembers lines and columns (`tree`), the tree is held against the generated schema
//! (`check`), and only what passed becomes a value, whose rules between fields are checked last. No IO: the caller
//! brings the text.

mod check;
mod fields;
mod hand;
mod numbers;
mod places;
mod scalar;
mod tree;
mod words;

#[cfg(test)]
mod tests;

pub use places::Places;

use serde::de::DeserializeOwned;

use crate::crds;
use crate::identity::{self, OpenStackIdentity};
use crate::model::{self, IncidentModel};
use crate::pipeline::{IncidentPipeline, rules};
use crate::problem::{Place, Problem};
use crate::rule_set::{self, IncidentRuleSet};
use crate::snapshot::{self, PipelineSnapshot};
use tree::Node;

/// Longest text that is read, in bytes: what etcd takes for one object is about as much.
pub const MAX_TEXT: usize = 1 << 20;

/// Most problems that are reported at once.
const MAX_PROBLEMS: usize = 100;

/// A document that was read, and where its parts stand in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed<T> {
    /// The document.
    pub value: T,
    /// Lines and columns, for whoever finds more problems in it.
    pub places: Places,
}

/// A document of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// An IncidentPipeline.
    Pipeline(Box<IncidentPipeline>),
    /// An IncidentRuleSet.
    RuleSet(IncidentRuleSet),
    /// An IncidentModel.
    Model(IncidentModel),
    /// A PipelineSnapshot.
    Snapshot(PipelineSnapshot),
    /// An OpenStackIdentity.
    Identity(OpenStackIdentity),
}

/// The kinds that can be read.
pub trait Kind: DeserializeOwned {
    /// Name of the kind.
    const KIND: &'static str;

    /// What in the document breaks a rule between fields.
    fn rule_problems(&self) -> Vec<Problem>;
}

/// Reads a pipeline.
///
/// # Errors
/// All problems of the text.
pub fn parse_pipeline(text: &str) -> Result<IncidentPipeline, Vec<Problem>> {
    read(text).map(|parsed| parsed.value)
}

/// Reads a rule set.
///
/// # Errors
/// All problems of the text.
pub fn parse_rule_set(text: &str) -> Result<IncidentRuleSet, Vec<Problem>> {
    read(text).map(|parsed| parsed.value)
}

/// Reads a document of any kind.
///
/// # Errors
/// All problems of the text.
pub fn parse(text: &str) -> Result<Document, Vec<Problem>> {
    let node = one_document(text).map_err(|problem| vec![*problem])?;
    let kind = node
        .get("kind")
        .and_then(Node::as_text)
        .unwrap_or(IncidentPipeline::KIND);
    match kind {
        IncidentRuleSet::KIND => of_tree(&node).map(|parsed| Document::RuleSet(parsed.value)),
        IncidentModel::KIND => of_tree(&node).map(|parsed| Document::Model(parsed.value)),
        PipelineSnapshot::KIND => of_tree(&node).map(|parsed| Document::Snapshot(parsed.value)),
        OpenStackIdentity::KIND => of_tree(&node).map(|parsed| Document::Identity(parsed.value)),
        _ => of_tree(&node).map(|parsed| Document::Pipeline(Box::new(parsed.value))),
    }
}

/// Reads a document of one kind, and remembers where its parts stand.
///
/// # Errors
/// All problems of the text.
pub fn read<K: Kind>(text: &str) -> Result<Parsed<K>, Vec<Problem>> {
    let node = one_document(text).map_err(|problem| vec![*problem])?;
    of_tree(&node)
}

/// The same, and what `further` makes of the document. `further` sees a document with faults too, as far as it could be
/// read, and the faults: so what it finds wrong is reported together with them.
///
/// # Errors
/// All problems of the text, and those that `further` found.
pub fn read_and<K: Kind, T>(
    text: &str,
    further: impl FnOnce(&K, &[Problem]) -> Result<T, Vec<Problem>>,
) -> Result<(Parsed<K>, T), Vec<Problem>> {
    let node = one_document(text).map_err(|problem| vec![*problem])?;
    of_tree_and(&node, further)
}

/// The bytes of a file as text.
///
/// # Errors
/// The place of the first bytes that are no UTF-8.
pub fn text_of(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let good = std::str::from_utf8(good).unwrap_or_default();
        let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let place = Place {
            line: good.matches('\n').count() + 1,
            column,
        };
        Problem::new("", "the file is no text in UTF-8")
            .hint("save it as UTF-8")
            .at(place)
    })
}

/// The tree of the only document in `text`.
fn one_document(text: &str) -> Result<Node, Box<Problem>> {
    if text.len() > MAX_TEXT {
        let message = format!("the file has {} bytes; at most {MAX_TEXT} are read", text.len());
        return Err(Box::new(Problem::new("", message)));
    }
    let mut documents = tree::read(text)?;
    documents.retain(|document| !document.is_null());
    match (documents.pop(), documents.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => Err(Box::new(
            Problem::new("", "the file is empty")
                .hint(format!("a document begins with `apiVersion: {}`", crds::API_VERSION)),
        )),
        (Some(last), before) => {
            let message = format!("the file has {} documents; expected one", before + 1);
            let hint = "put each document into a file of its own, without `---` between";
            Err(Box::new(Problem::new("", message).hint(hint).at(last.place)))
        }
    }
}

fn of_tree<K: Kind>(node: &Node) -> Result<Parsed<K>, Vec<Problem>> {
    of_tree_and(node, |_, _| Ok(())).map(|(parsed, ())| parsed)
}

fn of_tree_and<K: Kind, T>(
    node: &Node,
    further: impl FnOnce(&K, &[Problem]) -> Result<T, Vec<Problem>>,
) -> Result<(Parsed<K>, T), Vec<Problem>> {
    let mut checked = check::document(node, K::KIND);
    // Without the name of a part, everything that refers to it would look wrong.
    let all_named = !checked.problems.iter().any(|fault| {
        fault.path.ends_with(".name") || fault.path.ends_with(']') && !checked.doubled.contains(&fault.path)
    });
    match serde_json::from_value::<K>(checked.value) {
        Ok(value) => {
            let mut broken = value.rule_problems();
            broken.retain(|rule| !checked.problems.iter().any(|fault| follows(rule, fault)));
            checked.places.annotate(&mut broken);
            checked.problems.extend(broken);
            match all_named.then(|| further(&value, &checked.problems)) {
                Some(Ok(made)) if checked.problems.is_empty() => {
                    let places = checked.places;
                    return Ok((Parsed { value, places }, made));
                }
                Some(Err(mut found)) => {
                    found.retain(|found| !checked.problems.iter().any(|fault| follows(found, fault)));
                    checked.places.annotate(&mut found);
                    checked.problems.extend(found);
                }
                Some(Ok(_)) | None => {}
            }
        }
        // The schema and the types say the same, as a test shows; if they ever do not, the types win.
        Err(error) if checked.problems.is_empty() => checked.problems.push(Problem::new("spec", error.to_string())),
        Err(_) => {}
    }
    checked.problems.sort_by_key(|problem| problem.place);
    let more = checked.problems.len().saturating_sub(MAX_PROBLEMS);
    if more > 0 {
        checked.problems.truncate(MAX_PROBLEMS);
        checked
            .problems
            .push(Problem::new("", format!("and {more} more problems")));
    }
    Err(checked.problems)
}

/// What is said of a field that must be there and is not.
const MISSING: &str = "is missing";

/// Whether a broken rule is nothing but what follows from the fault of a field: a stage whose `agregate` is misspelt has
/// no kind either, and that need not be said.
fn follows(rule: &Problem, fault: &Problem) -> bool {
    if fault.message == MISSING {
        return rule
            .path
            .strip_prefix(&fault.path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    }
    let parent = |path: &'_ str| path.rfind('.').map_or(0, |end| end);
    let (inside, beside) = (&fault.path[..parent(&fault.path)], &rule.path[..parent(&rule.path)]);
    fault.path == rule.path || inside == rule.path || (inside == beside && !rule.path.ends_with(']'))
}

impl Kind for IncidentPipeline {
    const KIND: &'static str = "IncidentPipeline";

    fn rule_problems(&self) -> Vec<Problem> {
        rules::rule_problems(&self.spec)
    }
}

impl Kind for IncidentRuleSet {
    const KIND: &'static str = "IncidentRuleSet";

    fn rule_problems(&self) -> Vec<Problem> {
        rule_set::rule_problems(&self.spec)
    }
}

impl Kind for IncidentModel {
    const KIND: &'static str = "IncidentModel";

    fn rule_problems(&self) -> Vec<Problem> {
        model::rule_problems(&self.spec)
    }
}

impl Kind for PipelineSnapshot {
    const KIND: &'static str = "PipelineSnapshot";

    fn rule_problems(&self) -> Vec<Problem> {
        snapshot::rule_problems(&self.spec)
    }
}

impl Kind for OpenStackIdentity {
    const KIND: &'static str = "OpenStackIdentity";

    fn rule_problems(&self) -> Vec<Problem> {
        identity::rule_problems(&self.spec)
    }
}
