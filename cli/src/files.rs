//! Reads pipelines and rule sets, and resolves what stands for their parts.

use std::collections::BTreeMap;
use std::path::Path;

use tocsin_contract::document::{self, Parsed, Places};
use tocsin_contract::pipeline::IncidentPipeline;
use tocsin_contract::problem::Problem;
use tocsin_contract::rule_set::IncidentRuleSet;
use tocsin_operator_core::pipeline::PipelineId;
use tocsin_operator_core::validate::{Subject, validate};
use tocsin_worker_core::plan::{Plan, References, compile_beside};

use crate::args::Named;
use crate::failure::Failure;

/// Reads a file.
pub fn read(path: &Path) -> Result<String, Failure> {
    let name = path.display();
    match std::fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| Failure::Io(format!("{name} is not text in UTF-8"))),
        Err(error) => Err(Failure::Io(format!("{name} cannot be read: {error}"))),
    }
}

/// A pipeline's file, read and compiled.
pub struct Loaded {
    /// The file's name, for messages.
    pub file: String,
    /// What it says.
    pub pipeline: IncidentPipeline,
    /// What it means.
    pub plan: Plan,
    places: Places,
    references: References,
}

/// Reads and checks a pipeline's file, and compiles it.
pub fn pipeline(path: &Path, rules: &[Named]) -> Result<Loaded, Failure> {
    of_text(path.display().to_string(), &read(path)?, rules)
}

/// Checks and compiles the text of a pipeline's file.
pub fn of_text(file: String, text: &str, rules: &[Named]) -> Result<Loaded, Failure> {
    let wrong = |problems| Failure::Pipeline {
        file: file.clone(),
        problems,
    };
    let mut references = References::default();
    for named in rules {
        let text = read(&named.path)?;
        let wrong = |problems| Failure::Pipeline {
            file: named.path.display().to_string(),
            problems,
        };
        let Parsed {
            value: rule_set,
            places,
        } = document::read::<IncidentRuleSet>(&text).map_err(wrong)?;
        let mut refused = tocsin_contract::reach::refused_rule_problems(&rule_set.spec);
        if !refused.is_empty() {
            places.annotate(&mut refused);
            return Err(wrong(refused));
        }
        references.rule_sets.insert(named.name.clone(), rule_set.spec);
    }
    let compiled = document::read_and(text, |pipeline: &IncidentPipeline, faults| {
        let name = pipeline.metadata.name.clone().unwrap_or_else(|| "pipeline".to_owned());
        compile_beside(faults, &name, &pipeline.spec, &references)
    });
    let (parsed, mut plan) = compiled.map_err(wrong)?;
    let Parsed {
        value: pipeline,
        places,
    } = parsed;
    places.annotate(&mut plan.warnings);
    places.annotate(&mut plan.missing);
    let known: Vec<&str> = pipeline
        .spec
        .stages
        .iter()
        .filter_map(|stage| {
            let rules = stage.alarm.as_ref().and_then(|alarm| alarm.rules_ref.as_ref());
            rules.or(stage
                .aggregate
                .as_ref()
                .and_then(|aggregate| aggregate.kpis_ref.as_ref()))
        })
        .map(|reference| reference.name.as_str())
        .collect();
    known_names(rules, &known, "--rules", "rule set that the pipeline refers to")?;
    Ok(Loaded {
        file,
        pipeline,
        plan,
        places,
        references,
    })
}

impl Loaded {
    /// What keeps the plan from running here.
    pub fn missing(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.plan.missing.clone();
        let mut refused = tocsin_contract::reach::refused_problems(&self.pipeline.spec);
        // What the compiler said of a path needs no second word.
        refused.retain(|refused| !problems.iter().any(|known| known.path == refused.path));
        self.places.annotate(&mut refused);
        problems.extend(refused);
        problems
    }

    /// What keeps an operator from building it in a cluster: what the admission webhook says of it, too.
    pub fn refused_by_cluster(&self) -> Vec<Problem> {
        let metadata = &self.pipeline.metadata;
        let id = PipelineId {
            namespace: metadata.namespace.clone().unwrap_or_else(|| "default".to_owned()),
            name: self.plan.name.clone(),
            uid: String::new(),
        };
        let subject = Subject {
            id,
            generation: 0,
            spec: self.pipeline.spec.clone(),
        };
        let mut refused = validate(subject, &self.references.rule_sets, None)
            .err()
            .unwrap_or_default();
        self.places.annotate(&mut refused);
        refused
    }

    /// Refuses a plan that cannot run here.
    pub fn runnable(&self) -> Result<(), Failure> {
        match self.missing() {
            problems if problems.is_empty() => Ok(()),
            problems => Err(Failure::Pipeline {
                file: self.file.clone(),
                problems,
            }),
        }
    }
}

/// What stands for what, by name; a name that is not there is an error.
pub fn by_name<'a>(
    named: &'a [Named],
    known: &[&str],
    option: &str,
    what: &str,
) -> Result<BTreeMap<&'a str, &'a Path>, Failure> {
    known_names(named, known, option, what)?;
    let mut by_name = BTreeMap::new();
    for named in named {
        if by_name.insert(named.name.as_str(), named.path.as_path()).is_some() {
            return Err(Failure::Usage(format!("{option} {}=... is given twice", named.name)));
        }
    }
    Ok(by_name)
}

fn known_names(named: &[Named], known: &[&str], option: &str, what: &str) -> Result<(), Failure> {
    match named.iter().find(|named| !known.contains(&named.name.as_str())) {
        None => Ok(()),
        Some(named) => Err(Failure::Usage(format!(
            "{option} {}=...: there is no {what} with this name; there is: {}",
            named.name,
            if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            }
        ))),
    }
}
