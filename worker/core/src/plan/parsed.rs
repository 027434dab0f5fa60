//! The texts of the stages as syntax trees: what is known before any stream or type is.

use datafusion_sql::sqlparser::ast;
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::pipeline::stage::{AlarmRule, Stage};
use tocsin_contract::problem::Problem;

use super::References;
use super::names::{stage_path, suggestion};
use super::refused::{Aggregates, check};
use super::sql::{self, ParsedSql};
use crate::expr::parse::{ExpressionError, parse_expression};
use crate::expr::uses::{ColumnUse, Use, Uses};

/// A text of the file with its tree.
#[derive(Clone, Debug)]
pub struct Text {
    /// Where it stands in the file.
    pub path: String,
    /// As the user wrote it.
    pub text: String,
    /// What it means.
    pub tree: ast::Expr,
}

impl Text {
    /// Reads one expression.
    pub fn parse(path: String, text: &str, aggregates: Aggregates, problems: &mut Vec<Problem>) -> Option<Self> {
        let read = parse_expression(text).and_then(|tree| {
            check(&tree, aggregates)?;
            Ok(tree)
        });
        match read {
            Ok(tree) => Some(Self {
                path,
                text: text.to_owned(),
                tree,
            }),
            Err(error) => {
                problems.push(problem(path, text, &error));
                None
            }
        }
    }

    /// The name of a column, as a text at `path`.
    pub fn ident(path: &str, name: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: name.to_owned(),
            tree: ast::Expr::Identifier(name.into()),
        }
    }

    /// The expression as people are shown it; `text` is the whole statement where it is a part of one.
    pub fn shown(&self) -> String {
        if self.path.ends_with(".sql") {
            self.tree.to_string()
        } else {
            self.text.clone()
        }
    }

    /// A problem with this text; where the place is not known, it is the beginning of the expression.
    pub fn problem(&self, error: &ExpressionError) -> Problem {
        let place = error.place.or(ExpressionError::at("", &self.tree).place);
        problem(
            self.path.clone(),
            &self.text,
            &ExpressionError { place, ..error.clone() },
        )
    }

    /// The columns that it reads.
    pub fn uses(&self, wanted: Use) -> Result<Uses, ExpressionError> {
        let mut uses = Uses::default();
        uses.collect(&self.tree, wanted)?;
        Ok(uses)
    }
}

/// A problem with a text, with its place shown.
pub fn problem(path: String, text: &str, error: &ExpressionError) -> Problem {
    let problem = Problem::new(path, error.message.clone());
    match error.hint(text) {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

/// A stage with its texts read.
#[derive(Clone, Debug)]
pub struct ParsedStage {
    /// Path of the stage.
    pub path: String,
    /// What it is.
    pub kind: ParsedKind,
}

/// The kinds with their texts.
#[derive(Clone, Debug)]
pub enum ParsedKind {
    /// `filter`
    Filter(Box<Text>),
    /// `aggregate`: the selected columns.
    Aggregate(Vec<(String, Text)>),
    /// `escalate`
    Escalate,
    /// `alarm`
    Alarm(Vec<ParsedRule>),
    /// `incident`
    Incident,
    /// `sql`
    Sql(Box<ParsedSql>),
    /// `enrich`
    Enrich,
    /// `detect`
    Detect,
    /// `match`: the defined and the set columns.
    Match(Vec<Text>, Vec<(String, Text)>),
    /// Something is wrong with it, and was said.
    Wrong,
}

/// A rule with its texts.
#[derive(Clone, Debug)]
pub struct ParsedRule {
    /// Its name.
    pub id: String,
    /// Where it stands.
    pub path: String,
    /// Columns of its key behind those of the stage.
    pub further_by: Vec<String>,
    /// As it is in the file.
    pub rule: AlarmRule,
    /// The condition.
    pub when: Option<Text>,
    /// The condition that clears.
    pub clear: Option<Text>,
    /// The value of a baseline.
    pub baseline: Option<Text>,
}

/// Reads the texts of all stages.
pub fn parse_stages(
    spec: &IncidentPipelineSpec,
    references: &References,
    problems: &mut Vec<Problem>,
) -> Vec<ParsedStage> {
    spec.stages
        .iter()
        .map(|stage| parse_stage(stage, references, problems))
        .collect()
}

fn parse_stage(stage: &Stage, references: &References, problems: &mut Vec<Problem>) -> ParsedStage {
    let path = stage_path(&stage.name);
    let mut text = |field: &str, text: &str| {
        let aggregates = if stage.aggregate.is_some() {
            Aggregates::Taken
        } else {
            Aggregates::Refused
        };
        Text::parse(format!("{path}.{field}"), text, aggregates, problems)
    };
    let kind = if let Some(condition) = &stage.filter {
        text("filter", condition).map(|text| ParsedKind::Filter(Box::new(text)))
    } else if let Some(aggregate) = &stage.aggregate {
        let columns = aggregate.select.iter();
        let mut columns: Vec<Option<(String, Text)>> = columns
            .map(|(name, column)| Some((name.clone(), text(&format!("aggregate.select.{name}"), column)?)))
            .collect();
        if let Some(reference) = &aggregate.kpis_ref {
            let rule_set = references.rule_sets.get(&reference.name);
            columns.extend(rule_set.iter().flat_map(|set| &set.kpis).map(|kpi| {
                let path = format!("IncidentRuleSet {}: spec.kpis[{}].select", reference.name, kpi.name);
                Some((
                    kpi.name.clone(),
                    Text::parse(path, &kpi.select, Aggregates::Taken, problems)?,
                ))
            }));
        }
        columns.into_iter().collect::<Option<_>>().map(ParsedKind::Aggregate)
    } else if stage.escalate.is_some() {
        Some(ParsedKind::Escalate)
    } else if let Some(alarm) = &stage.alarm {
        parse_alarm(&stage.name, &path, alarm, references, problems)
    } else if stage.incident.is_some() {
        Some(ParsedKind::Incident)
    } else if let Some(statement) = &stage.sql {
        sql::parse(&path, statement, problems).map(|sql| ParsedKind::Sql(Box::new(sql)))
    } else if stage.enrich.is_some() {
        Some(ParsedKind::Enrich)
    } else if stage.detect.is_some() {
        Some(ParsedKind::Detect)
    } else if let Some(pattern) = &stage.pattern {
        let define: Vec<Option<Text>> = pattern
            .define
            .iter()
            .map(|(name, define)| text(&format!("match.define.{name}"), define))
            .collect();
        let set: Vec<Option<(String, Text)>> = pattern
            .set
            .iter()
            .map(|(name, value)| Some((name.clone(), text(&format!("match.set.{name}"), value)?)))
            .collect();
        let define: Option<Vec<Text>> = define.into_iter().collect();
        let set: Option<Vec<(String, Text)>> = set.into_iter().collect();
        define.zip(set).map(|(define, set)| ParsedKind::Match(define, set))
    } else {
        problems.push(
            Problem::new(&path, "a stage needs exactly one kind")
                .hint("one of: filter, enrich, aggregate, escalate, alarm, detect, match, incident, sql"),
        );
        None
    };
    ParsedStage {
        path,
        kind: kind.unwrap_or(ParsedKind::Wrong),
    }
}

fn parse_alarm(
    name: &str,
    path: &str,
    alarm: &tocsin_contract::pipeline::stage::Alarm,
    references: &References,
    problems: &mut Vec<Problem>,
) -> Option<ParsedKind> {
    let n_problems = problems.len();
    let mut rules = Vec::new();
    match &alarm.rules_ref {
        None => rules.extend(parse_rule(
            name,
            &format!("{path}.alarm"),
            &alarm.rule,
            Vec::new(),
            problems,
        )),
        Some(reference) => {
            let rule_set = references.rule_sets.get(&reference.name);
            for rule in rule_set.iter().flat_map(|set| &set.rules).filter(|rule| !rule.disabled) {
                let path = format!("IncidentRuleSet {}: spec.rules[{}]", reference.name, rule.id);
                let missing: Vec<&String> = alarm.by.iter().filter(|column| !rule.by.contains(column)).collect();
                if !rule.by.is_empty() && !missing.is_empty() {
                    let expected = alarm.by.join(", ");
                    problems.push(Problem::new(
                        format!("{path}.by"),
                        format!("a rule's key contains the key of its stage ({expected})"),
                    ));
                }
                let further = rule
                    .by
                    .iter()
                    .filter(|column| !alarm.by.contains(column))
                    .cloned()
                    .collect();
                rules.extend(parse_rule(&rule.id, &path, &rule.rule, further, problems));
            }
        }
    }
    (problems.len() == n_problems).then_some(ParsedKind::Alarm(rules))
}

fn parse_rule(
    id: &str,
    path: &str,
    rule: &AlarmRule,
    further_by: Vec<String>,
    problems: &mut Vec<Problem>,
) -> Option<ParsedRule> {
    let mut text = |field: &str, text: &Option<String>| {
        text.as_ref()
            .map(|text| Text::parse(format!("{path}.{field}"), text, Aggregates::Refused, problems))
    };
    let when = text("when", &rule.when);
    let clear = text("clear", &rule.clear);
    let baseline = text(
        "baseline.value",
        &rule.baseline.as_ref().map(|baseline| baseline.value.clone()),
    );
    if [&when, &clear, &baseline]
        .into_iter()
        .any(|text| matches!(text, Some(None)))
    {
        return None;
    }
    let [when, clear, baseline] = [when, clear, baseline].map(Option::flatten);
    if when.is_none() && baseline.is_none() {
        problems.push(Problem::new(path, "an alarm needs a condition").hint("give one of: when, baseline, rulesRef"));
        return None;
    }
    Some(ParsedRule {
        id: id.to_owned(),
        path: path.to_owned(),
        further_by,
        rule: rule.clone(),
        when,
        clear,
        baseline,
    })
}

/// Finds a column by name, or says what there is.
pub fn no_such_column<'a>(name: &str, columns: impl IntoIterator<Item = &'a str> + Clone) -> String {
    format!("there is no column `{name}`; {}", suggestion(name, columns))
}

/// The place of a use as an error.
pub fn at_use(message: String, column: &ColumnUse) -> ExpressionError {
    ExpressionError {
        message,
        place: (column.place.0 > 0).then_some(column.place),
        advice: None,
    }
}
