//! `alarm`: fires when a condition holds, for a time if so asked; clears when it no longer does.
//!
//! This file reads rows and writes transitions; what a sample or a timer does to the state of a key is in `level`.
//! A stage has one rule, or the rules of a rule set, each with a state per key.

pub mod level;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::concat::concat;

use super::{Output, Stage, late_part};
use crate::aggregate::CorruptState;
use crate::encode::{json_object, readable};
use crate::expr::Expression;
use crate::key::{decode_keys, encode_key};
use crate::state::{decode, encode};
use crate::stream::{Batch, Micros, record_batch};
use level::{Level, Timing, Transition};

/// What an alarm stage is asked for.
#[derive(Clone, Debug)]
pub struct AlarmPlan {
    /// Name of the pipeline and of the stage: part of an alarm's id.
    pub stage: String,
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
    /// The condition.
    pub when: Expression,
    /// The condition that clears; without one, that `when` is false.
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

/// A running alarm stage.
#[derive(Debug)]
pub struct Alarm {
    plan: AlarmPlan,
    /// Per rule and key.
    states: BTreeMap<(usize, Vec<u8>), Held>,
    /// (due, rule, key)
    timers: BTreeSet<(Micros, usize, Vec<u8>)>,
    /// Per rule, the types of its key.
    key_types: Vec<Vec<DataType>>,
    ready: Vec<Row>,
}

/// The state of a key under a rule, and the values of its last sample.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Held {
    level: Level,
    /// A JSON object with the shown columns.
    values: String,
    summary: Option<String>,
}

/// A transition that is to be given out.
#[derive(Debug)]
struct Row {
    key: Vec<u8>,
    rule: usize,
    transition: Transition,
    values: String,
    summary: Option<String>,
    watermark: Micros,
}

impl Alarm {
    /// An alarm stage without state, over inputs with this schema.
    pub fn new(plan: AlarmPlan, input: &SchemaRef) -> Self {
        let types = |rule: &RulePlan| rule.by.iter().map(|&i| input.field(i).data_type().clone()).collect();
        let key_types = plan.rules.iter().map(types).collect();
        Self {
            plan,
            states: BTreeMap::new(),
            timers: BTreeSet::new(),
            key_types,
            ready: Vec::new(),
        }
    }

    /// Fires the timers that are due by `watermark`.
    fn advance(&mut self, watermark: Micros) {
        while self.timers.first().is_some_and(|(due, _, _)| *due <= watermark) {
            let Some((due, rule, key)) = self.timers.pop_first() else {
                break;
            };
            let timing = self.plan.rules[rule].timing;
            let at = (rule, key);
            let Some(held) = self.states.get_mut(&at) else { continue };
            let transition = held.level.timer(due, &timing);
            self.settle(at, transition, due.saturating_sub(1));
        }
    }

    /// Gives out a transition, sets the next timer, forgets a key that is at rest.
    fn settle(&mut self, at: (usize, Vec<u8>), transition: Option<Transition>, watermark: Micros) {
        let Some(held) = self.states.get(&at) else { return };
        let timing = &self.plan.rules[at.0].timing;
        if let Some(transition) = transition {
            self.ready.push(Row {
                key: at.1.clone(),
                rule: at.0,
                transition,
                values: held.values.clone(),
                summary: held.summary.clone(),
                watermark,
            });
        }
        if let Some(due) = held.level.due(timing) {
            self.timers.insert((due, at.0, at.1));
        } else if held.level.at_rest() {
            self.states.remove(&at);
        }
    }

    /// Takes one sample of a rule.
    fn sample(&mut self, rule: usize, sample: &Sample<'_>) {
        let mut key = Vec::new();
        encode_key(sample.key, sample.row, &mut key);
        let plan = &self.plan.rules[rule];
        let timing = plan.timing;
        let at = (rule, key);
        let held = self.states.entry(at.clone()).or_default();
        if let Some(due) = held.level.due(&timing) {
            self.timers.remove(&(due, at.0, at.1.clone()));
        }
        let transition = held.level.sample(sample.time, sample.holds, sample.clears, &timing);
        if sample.holds || transition.is_some() {
            held.values = json_object(sample.rows, &plan.shown, sample.row);
            held.summary = plan
                .summary
                .as_deref()
                .map(|text| fill_in(text, sample.rows, sample.row));
        }
        self.settle(at, transition, sample.watermark);
    }

    fn rows(&mut self) -> (RecordBatch, Vec<Micros>, Vec<Micros>) {
        let ready = std::mem::take(&mut self.ready);
        let rule = |row: &Row| &self.plan.rules[row.rule];
        // Rules can have keys of their own behind the stage's columns, so each row is decoded by its rule.
        let keys: Vec<Vec<ArrayRef>> = ready
            .iter()
            .map(|row| decode_keys(std::iter::once(row.key.as_slice()), &self.key_types[row.rule]))
            .collect();
        let n_by = self.plan.output.fields().len() - 8;
        let mut columns: Vec<ArrayRef> = (0..n_by)
            .map(|i| {
                let parts: Vec<&dyn Array> = keys.iter().filter_map(|key| key.get(i).map(AsRef::as_ref)).collect();
                concat(&parts).unwrap_or_else(|_| new_null_array(self.plan.output.field(i).data_type(), ready.len()))
            })
            .collect();
        let texts = |of: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
            Arc::new(ready.iter().map(of).collect::<StringArray>())
        };
        let times = |of: &dyn Fn(&Row) -> Micros| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from_iter_values(ready.iter().map(of)).with_timezone("UTC"))
        };
        columns.push(texts(&|row| {
            let since = row.transition.since.to_le_bytes();
            Some(crate::id::id(
                "alm",
                &[self.plan.stage.as_bytes(), rule(row).id.as_bytes(), &row.key, &since],
            ))
        }));
        columns.push(texts(&|row| Some(rule(row).id.clone())));
        columns.push(texts(&|row| {
            Some(if row.transition.firing { "firing" } else { "resolved" }.to_owned())
        }));
        columns.push(texts(&|row| Some(rule(row).severity.clone())));
        columns.push(times(&|row| row.transition.since));
        columns.push(times(&|row| row.transition.at));
        columns.push(texts(&|row| {
            row.summary.clone().or_else(|| Some(rule(row).when.text.clone()))
        }));
        columns.push(texts(&|row| Some(row.values.clone())));
        let times = ready.iter().map(|row| row.transition.at).collect();
        let watermarks = ready.iter().map(|row| row.watermark).collect();
        (record_batch(&self.plan.output, columns, ready.len()), times, watermarks)
    }
}

/// A row as a rule sees it.
struct Sample<'a> {
    rows: &'a RecordBatch,
    key: &'a [ArrayRef],
    row: usize,
    time: Micros,
    watermark: Micros,
    holds: bool,
    clears: bool,
}

/// `{column}` replaced by its value; what names no column stays as it is.
fn fill_in(text: &str, rows: &RecordBatch, row: usize) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        filled.push_str(before);
        let value = behind.split_once('}').and_then(|(name, behind)| {
            let column = rows.column_by_name(name)?;
            Some((readable(column, row), behind))
        });
        match value {
            Some((value, behind)) => {
                filled.push_str(&value);
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = behind;
            }
        }
    }
    filled.push_str(rest);
    filled
}

fn is_true(condition: &BooleanArray, row: usize) -> bool {
    condition.is_valid(row) && condition.value(row)
}

impl Stage for Alarm {
    fn process(&mut self, input: Batch) -> Output {
        // At the end only the time that passed counts, not that no more will come.
        let elapsed = |watermark: Micros| input.ended.map_or(watermark, |reached| watermark.min(reached));
        let conditions: Vec<(BooleanArray, Option<BooleanArray>, Vec<ArrayRef>)> = self
            .plan
            .rules
            .iter()
            .map(|rule| {
                let when = rule.when.evaluate_condition(&input.rows);
                let clear = rule.clear.as_ref().map(|clear| clear.evaluate_condition(&input.rows));
                let key = rule.by.iter().map(|&i| Arc::clone(input.rows.column(i))).collect();
                (when, clear, key)
            })
            .collect();
        let mut late = Vec::new();
        for row in 0..input.n_rows() {
            let (time, watermark) = (input.times[row], input.watermarks[row]);
            self.advance(elapsed(watermark));
            if time < watermark.saturating_sub(self.plan.lateness) {
                late.push(row as u32);
                continue;
            }
            for (rule, (when, clear, key)) in conditions.iter().enumerate() {
                // A sample without a value says nothing.
                if when.is_null(row) && clear.as_ref().is_none_or(|clear| clear.is_null(row)) {
                    continue;
                }
                let holds = is_true(when, row);
                let clears = clear
                    .as_ref()
                    .map_or(!holds && when.is_valid(row), |clear| is_true(clear, row));
                self.sample(
                    rule,
                    &Sample {
                        rows: &input.rows,
                        key,
                        row,
                        time,
                        watermark,
                        holds,
                        clears,
                    },
                );
            }
        }
        self.advance(input.elapsed());
        let late = late_part(&input, &late);
        let (rows, times, watermarks) = self.rows();
        Output {
            main: Batch {
                rows,
                times,
                watermarks,
                watermark: input.watermark,
                ended: input.ended,
            },
            late,
        }
    }

    fn save(&self) -> Vec<u8> {
        let states: Vec<(&str, &[u8], &Held)> = self
            .states
            .iter()
            .map(|((rule, key), held)| (self.plan.rules[*rule].id.as_str(), key.as_slice(), held))
            .collect();
        encode(&states)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), CorruptState> {
        let states: Vec<(String, Vec<u8>, Held)> = decode(bytes, "an alarm")?;
        self.states.clear();
        self.timers.clear();
        for (id, key, held) in states {
            let Some(rule) = self.plan.rules.iter().position(|rule| rule.id == id) else {
                return Err(CorruptState {
                    what: "an alarm's rules",
                });
            };
            if let Some(due) = held.level.due(&self.plan.rules[rule].timing) {
                self.timers.insert((due, rule, key.clone()));
            }
            self.states.insert((rule, key), held);
        }
        Ok(())
    }

    fn n_keys(&self) -> usize {
        self.states.len()
    }

    fn n_failures(&self) -> u64 {
        let expressions = self
            .plan
            .rules
            .iter()
            .flat_map(|rule| std::iter::once(&rule.when).chain(&rule.clear));
        expressions.map(Expression::n_failures).sum()
    }
}
