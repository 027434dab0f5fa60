//! What the state of a stage is of: state goes on in a stage of the same name and shape, and in no other.

use arrow_schema::{DataType, SchemaRef};

use tocsin_contract::pipeline::stage::EscalateTtl;

use super::{StagePlan, Step};
use crate::stage::aggregate::{AggregatePlan, StatePlan, Window};
use crate::stage::alarm::{AlarmPlan, Condition, RulePlan};

/// The shape of a stage's state, for people too; empty if it has none. A threshold, a severity or a text is no part of it.
pub fn shape(stage: &StagePlan) -> String {
    let sorted = stage.sorted.then(|| merge(stage));
    let steps = stage.steps.iter().filter_map(step);
    sorted.into_iter().chain(steps).collect::<Vec<_>>().join("; ")
}

/// Rows that wait to be put in order have all columns of the stage's input, or of what is dealt out by key.
fn merge(stage: &StagePlan) -> String {
    let merged = stage.repartition.as_ref().map_or(&stage.input, |dealt| &dealt.columns);
    format!("merge of {} of {}", stage.inputs.len(), columns(merged))
}

fn step(step: &Step) -> Option<String> {
    match step {
        Step::AddEventTime(_) | Step::Filter(_) | Step::Project(..) => None,
        Step::Aggregate(plan) => Some(aggregate(plan)),
        Step::Escalate(plan) => {
            let ttl = match plan.ttl {
                EscalateTtl::Sliding => "sliding",
                EscalateTtl::FromFirst => "from first",
                EscalateTtl::OnWrite => "on write",
            };
            let by = plan
                .by
                .iter()
                .map(|i| plan.kept.iter().position(|kept| kept == &Some(*i)));
            let by = by.map(|i| i.map_or("?", |i| plan.output.field(i).name().as_str()));
            let by = by.collect::<Vec<_>>().join(", ");
            Some(format!("escalate by [{by}] {ttl} within {}", plan.within))
        }
        Step::Alarm(plan, input) => Some(alarm(plan, input)),
        Step::Incident(plan) => Some(format!("incident by first {} of {}", plan.n_by, columns(&plan.input))),
    }
}

pub(crate) fn aggregate(plan: &AggregatePlan) -> String {
    let by = plan.by.iter().map(|(_, key)| typed(&key.text, &key.data_type));
    let by = by.collect::<Vec<_>>().join(", ");
    let window = match plan.window {
        Window::Tumbling { size } => format!("tumbling {size}"),
        Window::Sliding { size, every } => format!("sliding {size} every {every}"),
        Window::Session { gap } => format!("session {gap}"),
        Window::Running { .. } => "running".to_owned(),
    };
    let states = plan.states.iter().map(state).collect::<Vec<_>>().join(", ");
    format!("aggregate by [{by}] {window} [{states}]")
}

fn state(state: &StatePlan) -> String {
    let arguments = state.arguments.iter();
    let arguments = arguments.map(|argument| typed(&argument.text, &argument.data_type));
    let filter = state
        .filter
        .as_ref()
        .map_or(String::new(), |filter| format!(" where {}", filter.text));
    let arguments = arguments.collect::<Vec<_>>().join(", ");
    format!("{}({arguments}){filter}", state.function.state_name())
}

/// Rules come and go one by one: see [`rule`].
fn alarm(plan: &AlarmPlan, input: &SchemaRef) -> String {
    let by = plan.rules.first().map(|rule| key(rule, input, plan.n_by));
    format!("alarm by [{}]", by.unwrap_or_default())
}

/// The shape of what is kept of a rule.
pub fn rule(plan: &RulePlan, input: &SchemaRef) -> String {
    let over = match &plan.condition {
        Condition::When(_) => String::new(),
        Condition::Above(value, baseline) => format!("{} over {}", value.text, baseline.over),
    };
    let by = key(plan, input, plan.by.len());
    format!("{} by [{by}] for {} {over}", plan.id, plan.timing.hold)
}

fn key(rule: &RulePlan, input: &SchemaRef, n_columns: usize) -> String {
    let by = rule.by.iter().take(n_columns).map(|i| input.field(*i));
    let by = by.map(|field| typed(field.name(), field.data_type()));
    by.collect::<Vec<_>>().join(", ")
}

pub(crate) fn columns(schema: &SchemaRef) -> String {
    let columns = schema.fields().iter();
    let columns = columns.map(|field| typed(field.name(), field.data_type()));
    format!("({})", columns.collect::<Vec<_>>().join(", "))
}

fn typed(text: &str, data_type: &DataType) -> String {
    format!("{text}: {data_type}")
}
