//! What lowering a stage needs, and what it gives.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion_expr::cast;
use tocsin_contract::problem::Problem;

use super::Step;
use super::fields::EVENT_TIME;
use super::parsed::Text;
use super::refused::Aggregates;
use crate::expr::Expression;
use crate::expr::compile::{bind, finish, finish_condition, timestamp_type};
use crate::stream::Micros;

/// What is known of a stream.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Its columns.
    pub schema: SchemaRef,
    /// Columns that stages added to or replaced in the record.
    pub changed: Vec<String>,
    /// How late its rows may be.
    pub lateness: Micros,
    /// Its key, if a row replaces the one before with the same key.
    pub key: Vec<String>,
    /// Whether it is made by an `alarm` stage.
    pub alarms: bool,
}

/// What lowering a stage gives.
pub struct Lowered {
    /// The steps.
    pub steps: Vec<Step>,
    /// The stage's stream.
    pub output: Stream,
    /// Whether the input must be in the order of event time.
    pub sorted: bool,
}

/// All that lowering a stage needs.
pub struct Context<'a> {
    /// Name of the pipeline.
    pub pipeline: &'a str,
    /// Path of the stage.
    pub path: &'a str,
    /// Name of the stage.
    pub name: &'a str,
    /// The stage's merged input.
    pub input: Stream,
    /// Steps that come first.
    pub steps: Vec<Step>,
    /// What is wrong.
    pub problems: &'a mut Vec<Problem>,
    /// What a user should know.
    pub warnings: &'a mut Vec<Problem>,
    /// What keeps the plan from running.
    pub missing: &'a mut Vec<Problem>,
}

impl Context<'_> {
    /// Numbers of the columns with these names; a name that is not there was reported before.
    pub fn columns(&self, names: &[String]) -> Vec<usize> {
        names
            .iter()
            .filter_map(|name| self.input.schema.index_of(name).ok())
            .collect()
    }

    /// A condition over the input.
    pub fn condition(&mut self, text: &Text) -> Option<Expression> {
        let schema = Arc::clone(&self.input.schema);
        let made = bind(text.tree.clone(), &schema).and_then(|bound| finish_condition(&text.shown(), bound, &schema));
        made.map_err(|error| self.problems.push(text.problem(&error))).ok()
    }

    /// An expression over the input.
    pub fn expression(&mut self, text: &Text) -> Option<Expression> {
        let schema = Arc::clone(&self.input.schema);
        let made = bind(text.tree.clone(), &schema).and_then(|bound| finish(&text.shown(), bound, &schema));
        made.map_err(|error| self.problems.push(text.problem(&error))).ok()
    }

    /// An expression over the input, as a Float64.
    pub fn number(&mut self, text: &Text) -> Option<Expression> {
        let schema = Arc::clone(&self.input.schema);
        let made = bind(text.tree.clone(), &schema)
            .and_then(|bound| finish(&text.shown(), cast(bound, DataType::Float64), &schema));
        made.map_err(|error| self.problems.push(text.problem(&error))).ok()
    }

    /// For a stage that cannot replace what it already took in: only first results.
    pub fn first_results_only(&mut self) {
        if self.input.schema.column_with_name("_rev").is_none() {
            return;
        }
        self.keep("_rev = 0");
        let warning = if self.is_updated() {
            Problem::new(
                self.path,
                "takes only the first row of each key of running totals, and none of their updates",
            )
            .hint("give the aggregate a window, so that each of its results is a row of its own")
        } else if self.input.lateness > 0 {
            Problem::new(
                self.path,
                "takes the first result of each window; revisions by late events are passed over",
            )
            .hint("say `emit: Final` on the stage before to wait for late events")
        } else {
            return;
        };
        self.warnings.push(warning);
    }

    /// For a stage to which each row is a sample: the updates of running totals are samples as well.
    pub fn samples_only(&mut self) {
        if self.is_updated() {
            self.keep("NOT _deleted");
        } else {
            self.first_results_only();
        }
    }

    /// Whether the input is a table, of which a row replaces the one before with the same key.
    fn is_updated(&self) -> bool {
        self.input.schema.column_with_name("_deleted").is_some()
    }

    fn keep(&mut self, condition: &str) {
        let text = Text::parse(self.path.to_owned(), condition, Aggregates::Refused, self.problems);
        if let Some(condition) = text.and_then(|text| self.condition(&text)) {
            self.steps.push(Step::Filter(condition));
        }
    }
}

/// Adds the column `event_time` for a stage whose expressions read it.
pub fn add_event_time(context: &mut Context<'_>) {
    let fields = context.input.schema.fields().iter().map(|field| field.as_ref().clone());
    let all: Vec<Field> = fields.chain([Field::new(EVENT_TIME, timestamp_type(), true)]).collect();
    let schema = Arc::new(Schema::new(all));
    context.steps.push(Step::AddEventTime(Arc::clone(&schema)));
    context.input.schema = schema;
}
