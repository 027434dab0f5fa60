//! Lowers `alarm` stages.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use tocsin_contract::duration::Duration;
use tocsin_contract::pipeline::stage::{OnNoData, Stage};
use tocsin_contract::problem::Problem;

use super::Step;
use super::context::{Context, Lowered, Stream};
use super::parsed::ParsedRule;
use super::signature::ALARM;
use crate::encode::json_field;
use crate::expr::compile::timestamp_type;
use crate::expr::uses::Use;
use crate::stage::alarm::baseline::BaselinePlan;
use crate::stage::alarm::level::Timing;
use crate::stage::alarm::{AlarmPlan, Condition, RulePlan};
use crate::stage::incident::severity;

/// Lowers an `alarm` stage with its rules.
pub fn lower(stage: &Stage, rules: &[ParsedRule], mut context: Context<'_>) -> Option<Lowered> {
    let alarm = stage.alarm.as_ref()?;
    context.samples_only();
    if let (Some(reference), true) = (&alarm.rules_ref, rules.is_empty()) {
        context.missing.push(
            Problem::new(
                format!("{}.alarm.rulesRef", context.path),
                format!("nothing stands for the rule set `{}`", reference.name),
            )
            .hint(format!("give its file: --rules {}=FILE", reference.name)),
        );
    }
    let n_problems = context.problems.len();
    let mut plans = Vec::new();
    for rule in rules {
        if rule.rule.on_no_data == Some(OnNoData::Alert) {
            context.missing.push(
                Problem::new(format!("{}.onNoData", rule.path), "`Alert` is not built yet").hint("use Keep or Ok"),
            );
        }
        plans.extend(lower_rule(rule, &alarm.by, &mut context));
    }
    if context.problems.len() > n_problems {
        return None;
    }
    let sorted = plans.iter().any(|rule: &RulePlan| {
        let by_timer =
            rule.timing.hold > 0 || rule.timing.keep_firing_for > 0 || rule.timing.on_no_data != OnNoData::Keep;
        by_timer || matches!(rule.condition, Condition::Above(..))
    });
    let output = output_schema(&alarm.by, &context.input.schema);
    let plan = AlarmPlan {
        stage: format!("{}/{}", context.pipeline, context.name),
        n_by: output.fields().len() - ALARM.len(),
        rules: plans,
        lateness: context.input.lateness,
        output: Arc::clone(&output),
    };
    context
        .steps
        .push(Step::Alarm(Box::new(plan), Arc::clone(&context.input.schema)));
    let output = Stream {
        schema: output,
        changed: Vec::new(),
        key: Vec::new(),
        alarms: true,
        lateness: context.input.lateness,
    };
    Some(Lowered {
        steps: context.steps,
        output,
        sorted,
    })
}

fn lower_rule(rule: &ParsedRule, by: &[String], context: &mut Context<'_>) -> Option<RulePlan> {
    let condition = condition(rule, context)?;
    let clear = match &rule.clear {
        Some(text) => Some(context.condition(text)?),
        None => None,
    };
    let hold = rule.rule.hold.unwrap_or_default();
    let default_gap = Duration::from_micros(hold.as_micros() / 5 * 2).max(Duration::from_mins(1));
    let timing = Timing {
        hold: hold.as_micros(),
        max_gap: rule.rule.max_gap.unwrap_or(default_gap).as_micros(),
        keep_firing_for: rule.rule.keep_firing_for.unwrap_or_default().as_micros(),
        on_no_data: rule.rule.on_no_data.unwrap_or_default(),
    };
    let key: Vec<String> = by.iter().chain(&rule.further_by).cloned().collect();
    // The columns of the conditions, and the further key: what a reader needs to see why.
    let mut shown: BTreeSet<String> = rule.further_by.iter().cloned().collect();
    let conditions = rule.when.iter().chain(&rule.clear).map(|text| (text, Use::Boolean));
    let values = rule.baseline.iter().map(|text| (text, Use::Number));
    for (text, used_as) in conditions.chain(values) {
        let uses = text.uses(used_as).unwrap_or_default();
        shown.extend(
            uses.columns
                .into_iter()
                .map(|column| column.name)
                .filter(|name| !by.contains(name)),
        );
    }
    let shown: Vec<String> = shown.into_iter().collect();
    Some(RulePlan {
        id: rule.id.clone(),
        by: context.columns(&key),
        condition,
        clear,
        timing,
        severity: rule
            .rule
            .severity
            .clone()
            .unwrap_or_else(|| severity::DEFAULT.to_owned()),
        summary: rule.rule.summary.clone(),
        shown: context.columns(&shown),
    })
}

/// What makes a rule fire.
fn condition(rule: &ParsedRule, context: &mut Context<'_>) -> Option<Condition> {
    if let Some(when) = &rule.when {
        return context.condition(when).map(Condition::When);
    }
    let (value, asked) = (rule.baseline.as_ref()?, rule.rule.baseline.as_ref()?);
    let value = context.number(value)?;
    let baseline = BaselinePlan {
        over: asked.over.as_micros(),
        sigmas: asked.sigmas,
        min_samples: u64::from(asked.min_samples),
    };
    Some(Condition::Above(value, baseline))
}

fn output_schema(by: &[String], input: &SchemaRef) -> SchemaRef {
    let key = by.iter().filter_map(|name| input.field_with_name(name).ok().cloned());
    let rest = ALARM.iter().map(|name| match *name {
        "since" | "event_time" => Field::new(*name, timestamp_type(), true),
        "values" => json_field(name),
        _ => Field::new(*name, DataType::Utf8, true),
    });
    Arc::new(Schema::new(key.chain(rest).collect::<Vec<_>>()))
}
