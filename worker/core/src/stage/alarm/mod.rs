//! `alarm`: fires when a condition holds, for a time if so asked; clears when it no longer does.
//!
//! This file reads rows; what a sample or a timer does to the state of a key is in `level`, what is usual for a key in
//! `baseline`, the keys with their states and timers in `keys`, and the rows that are given out in `rows`.
//! A stage has one rule, or the rules of a rule set, each with a state per key.

pub mod baseline;
mod keys;
pub mod level;
mod rows;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use std::sync::Arc;

use super::{Output, Stage, late_part};
use crate::aggregate::CorruptState;
use crate::capture::{Block, BlockId, Extent, Row};
use crate::expr::Expression;
use crate::key::{KeyTable, encode_key};
use crate::plan::shape::rule;
use crate::state::{decode, encode};
use crate::stream::{Batch, Micros};
use baseline::{BaselinePlan, Usual};
use keys::{Held, Keys};
use level::Timing;

/// What an alarm stage is asked for.
#[derive(Clone, Debug)]
pub struct AlarmPlan {
    /// Name of the pipeline and of the stage: part of an alarm's id.
    pub stage: String,
    /// How many columns the key has in the output.
    pub n_by: usize,
    /// The rules.
    pub rules: Vec<RulePlan>,
    /// How long behind the watermark a sample still counts.
    pub lateness: Micros,
    /// The output: the key, `alarm`, `rule`, `status`, `severity`, `since`, `event_time`, `summary`, `values`.
    pub output: SchemaRef,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct RulePlan {
    /// Name of the rule; for an inline rule that of the stage.
    pub id: String,
    /// Columns of the input that make the key: those of the stage, then further ones of the rule.
    pub by: Vec<usize>,
    /// What makes it fire.
    pub condition: Condition,
    /// The condition that clears; without one, that the other is false.
    pub clear: Option<Expression>,
    /// The times of the rule.
    pub timing: Timing,
    /// Severity of the alarm.
    pub severity: String,
    /// Text of the alarm, with `{column}` for values.
    pub summary: Option<String>,
    /// Columns of the input whose values the alarm carries.
    pub shown: Vec<usize>,
}

/// What makes a rule fire.
#[derive(Clone, Debug)]
pub enum Condition {
    /// That something is true.
    When(Expression),
    /// That a value, of type Float64, is far above what is usual for the key.
    Above(Expression, BaselinePlan),
}

impl Condition {
    /// The condition as a text.
    pub fn text(&self) -> String {
        match self {
            Self::When(when) => when.text.clone(),
            Self::Above(value, plan) => format!(
                "{} more than {} sigma above its average of {}",
                value.text,
                plan.sigmas,
                tocsin_contract::duration::Duration::from_micros(plan.over)
            ),
        }
    }

    /// The expression that is looked at.
    pub fn expression(&self) -> &Expression {
        match self {
            Self::When(expression) | Self::Above(expression, _) => expression,
        }
    }

    fn baseline(&self) -> Option<&BaselinePlan> {
        match self {
            Self::When(_) => None,
            Self::Above(_, plan) => Some(plan),
        }
    }
}

/// A running alarm stage.
#[derive(Debug)]
pub struct Alarm {
    plan: AlarmPlan,
    keys: Keys,
    ready: Vec<rows::Row>,
    /// Per rule, the types of its key.
    key_types: Vec<Vec<DataType>>,
    /// Per rule, what its state is of.
    shapes: Vec<String>,
    scratch: Vec<u8>,
    /// While state is taken back: the shapes of the rules, by where it comes from.
    restoring: Vec<Vec<String>>,
}

/// What a rule reads of a batch.
struct Reading {
    by: Vec<ArrayRef>,
    condition: Values,
    clear: Option<BooleanArray>,
}

enum Values {
    Holds(BooleanArray),
    Value(Float64Array),
}

/// What one row says to a rule.
#[derive(Clone, Copy)]
enum Said {
    Holds(bool),
    Value(f64),
    /// Only whether to clear.
    Nothing,
}

impl Reading {
    fn of(rule: &RulePlan, rows: &RecordBatch) -> Self {
        Self {
            by: rule.by.iter().map(|&i| Arc::clone(rows.column(i))).collect(),
            condition: match &rule.condition {
                Condition::When(when) => Values::Holds(when.evaluate_condition(rows)),
                Condition::Above(value, _) => Values::Value(value.evaluate(rows).as_primitive::<Float64Type>().clone()),
            },
            clear: rule.clear.as_ref().map(|clear| clear.evaluate_condition(rows)),
        }
    }

    /// What a row says; nothing if it has none of the values.
    fn at(&self, row: usize) -> Option<(Said, Option<bool>)> {
        let clears = self
            .clear
            .as_ref()
            .filter(|clear| clear.is_valid(row))
            .map(|clear| clear.value(row));
        let said = match &self.condition {
            Values::Holds(holds) if holds.is_valid(row) => Said::Holds(holds.value(row)),
            Values::Value(values) if values.is_valid(row) && values.value(row).is_finite() => {
                Said::Value(values.value(row))
            }
            _ if clears.is_some() => Said::Nothing,
            _ => return None,
        };
        Some((said, clears))
    }
}

impl Alarm {
    /// An alarm stage without state, over inputs with this schema.
    pub fn new(plan: AlarmPlan, input: &SchemaRef) -> Self {
        let types = |rule: &RulePlan| rule.by.iter().map(|&i| input.field(i).data_type().clone()).collect();
        Self {
            keys: Keys::new(plan.rules.len()),
            key_types: plan.rules.iter().map(types).collect(),
            shapes: plan.rules.iter().map(|plan| rule(plan, input)).collect(),
            plan,
            ready: Vec::new(),
            scratch: Vec::new(),
            restoring: Vec::new(),
        }
    }

    /// Fires the timers that are due by `watermark`.
    fn advance(&mut self, watermark: Micros) {
        while let Some((due, rule, key)) = self.keys.next_due(watermark) {
            let timing = &self.plan.rules[rule].timing;
            let Some(id) = self.keys.find(rule, &key) else { continue };
            let transition = self.keys.held_mut(rule, id).level.timer(due, timing);
            if let Some(transition) = transition {
                let held = self.keys.held(rule, id);
                self.ready
                    .push(rows::Row::new(&key, rule, transition, held, due.saturating_sub(1)));
            }
            self.keys.settle(rule, id, None, timing);
        }
    }

    /// Takes what row `row` says to a rule.
    fn sample(&mut self, rule: usize, reading: &Reading, input: &Batch, row: usize) {
        let Some((said, clears)) = reading.at(row) else { return };
        let (time, watermark) = (input.times[row], input.watermarks[row]);
        let plan = &self.plan.rules[rule];
        let timing = &plan.timing;
        self.scratch.clear();
        encode_key(&reading.by, row, &mut self.scratch);
        let id = match (self.keys.find(rule, &self.scratch), said) {
            (Some(id), _) => id,
            // Nothing is kept of a key that is at rest.
            (None, Said::Nothing | Said::Holds(false)) => return,
            (None, Said::Holds(true) | Said::Value(_)) => self.keys.intern(rule, &self.scratch),
        };
        let held = self.keys.held_mut(rule, id);
        let due_before = held.level.due(timing);
        let mut usual: Option<Usual> = None;
        let (holds, clears) = match (said, plan.condition.baseline()) {
            (Said::Value(value), Some(baseline)) => {
                usual = held.baseline.compare(time, value, baseline);
                let above = usual.is_some_and(|usual| usual.is_above);
                // Where nothing is known of what is usual, nothing can stay unusual.
                (
                    above,
                    usual.is_none() || clears.unwrap_or(plan.clear.is_none() && !above),
                )
            }
            (Said::Holds(holds), _) => (holds, clears.unwrap_or(plan.clear.is_none() && !holds)),
            _ => (false, clears.unwrap_or(false)),
        };
        let transition = held.level.sample(time, holds, clears, timing);
        if let (Said::Value(value), Some(baseline)) = (said, plan.condition.baseline())
            && !held.level.is_firing()
        {
            held.baseline.learn(time, value, baseline);
            held.baseline
                .forget(watermark.saturating_sub(self.plan.lateness), baseline);
        }
        // A timer gives out what the last sample said.
        if transition.is_some() || held.level.due(timing).is_some() {
            held.values = rows::values(&input.rows, &plan.shown, row, usual);
            held.summary = plan
                .summary
                .as_deref()
                .map(|text| rows::fill_in(text, &input.rows, row));
        }
        if let Some(transition) = transition {
            self.ready
                .push(rows::Row::new(&self.scratch, rule, transition, held, watermark));
        }
        self.keys.settle(rule, id, due_before, timing);
    }
}

impl Stage for Alarm {
    fn process(&mut self, input: Batch) -> Output {
        // At the end only the time that passed counts, not that no more will come.
        let elapsed = |watermark: Micros| input.ended.map_or(watermark, |reached| watermark.min(reached));
        let readings: Vec<Reading> = self
            .plan
            .rules
            .iter()
            .map(|rule| Reading::of(rule, &input.rows))
            .collect();
        let mut late = Vec::new();
        for row in 0..input.n_rows() {
            let (time, watermark) = (input.times[row], input.watermarks[row]);
            self.advance(elapsed(watermark));
            if time < watermark.saturating_sub(self.plan.lateness) {
                late.push(row as u32);
                continue;
            }
            for (rule, reading) in readings.iter().enumerate() {
                self.sample(rule, reading, &input, row);
            }
        }
        self.advance(input.elapsed());
        let horizon = input.elapsed().saturating_sub(self.plan.lateness);
        for (rule, plan) in self.plan.rules.iter().enumerate() {
            if let Some(baseline) = plan.condition.baseline() {
                self.keys.sweep(rule, horizon, baseline);
            }
        }
        let late = late_part(&input, &late);
        let ready = std::mem::take(&mut self.ready);
        let main = Batch {
            rows: rows::rows(&ready, &self.plan, &self.key_types),
            times: ready.iter().map(|row| row.transition.at).collect(),
            watermarks: ready.iter().map(|row| row.watermark).collect(),
            watermark: input.watermark,
            ended: input.ended,
        };
        Output { main, late }
    }

    fn begin_capture(&mut self, extent: Extent) -> Vec<u8> {
        self.keys.begin_capture(extent);
        encode(&self.shapes)
    }

    fn next_block(&mut self) -> Option<Block> {
        self.keys.next_block()
    }

    fn begin_restore(&mut self, heads: &[&[u8]]) -> Result<(), CorruptState> {
        self.keys = Keys::new(self.plan.rules.len());
        let rules = heads.iter().map(|head| decode(head, "an alarm's rules"));
        self.restoring = rules.collect::<Result<_, _>>()?;
        Ok(())
    }

    fn restore_rows(&mut self, from: usize, block: BlockId, rows: &[Row<'_>]) -> Result<(), CorruptState> {
        let rule = self
            .restoring
            .get(from)
            .and_then(|rules| rules.get(block.table as usize));
        let rule = rule.ok_or(CorruptState {
            what: "an alarm's rules",
        })?;
        // A rule that is gone, or counts another time, leaves nothing.
        let Some(rule) = self.shapes.iter().position(|shape| shape == rule) else {
            return Ok(());
        };
        for row in rows {
            let held: Held = decode(row.state, "an alarm")?;
            self.keys.restore(rule, row.key, held, &self.plan.rules[rule].timing);
        }
        Ok(())
    }

    fn end_restore(&mut self) -> Result<(), CorruptState> {
        self.restoring = Vec::new();
        Ok(())
    }

    fn key_tables(&self) -> Vec<&KeyTable> {
        self.keys.tables()
    }

    fn memory(&self) -> usize {
        self.keys.memory()
    }

    fn next_timer(&self) -> Option<Micros> {
        self.keys.next_timer()
    }

    fn n_failures(&self) -> u64 {
        let expressions = self
            .plan
            .rules
            .iter()
            .flat_map(|rule| std::iter::once(rule.condition.expression()).chain(&rule.clear));
        expressions.map(Expression::n_failures).sum()
    }
}
