//! `incident`: groups what the inputs report into incidents by key; one id for the whole life of an incident.
//!
//! An incident opens with the first report of a key. It is updated when its severity rises, when a new cause joins and
//! when an alarm in it resolves. It resolves when none of its alarms is firing and nothing was reported for `openFor`.
//! Its severity is the highest that was seen.

pub mod severity;
pub mod signal;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, SchemaRef};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Output, Stage, late_part};
use crate::aggregate::CorruptState;
use crate::capture::{Block, BlockId, Blocks, Captured, Extent, Row as CapturedRow, RowWriter};
use crate::encode::rfc3339;
use crate::key::{KeyId, KeyTable, decode_keys, encode_key};
use crate::state::{decode, encode_behind};
use crate::stream::{Batch, Micros, record_batch};
use signal::{Report, Signals};

/// What an incident stage is asked for.
#[derive(Clone, Debug)]
pub struct IncidentPlan {
    /// Name of the pipeline and of the stage: part of an incident's id.
    pub stage: String,
    /// How many columns the key has; they come first in the input (see [`signal`]).
    pub n_by: usize,
    /// How long an incident without news stays open.
    pub open_for: Micros,
    /// How long behind the watermark a report still counts.
    pub lateness: Micros,
    /// The input: see [`signal::schema`].
    pub input: SchemaRef,
    /// The output: `incident`, the key, `status`, `severity`, `opened_at`, `updated_at`, `resolved_at`, `summary`,
    /// `causes`, `events`, `transition`.
    pub output: SchemaRef,
}

/// A running incident stage.
#[derive(Debug)]
pub struct Incidents {
    plan: IncidentPlan,
    keys: KeyTable,
    /// By number of the key.
    open: Vec<Option<Open>>,
    /// (due, key)
    timers: BTreeSet<(Micros, Vec<u8>)>,
    ready: Vec<Row>,
    blocks: Blocks,
}

/// An open incident.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Open {
    id: String,
    severity: String,
    opened_at: Micros,
    /// Event time of the newest report.
    updated_at: Micros,
    causes: BTreeMap<String, Cause>,
    /// Alarms that fire in it.
    firing: BTreeSet<String>,
    events: u64,
    transition: u64,
}

impl Open {
    /// Bytes that its texts and causes take, about.
    fn memory(&self) -> usize {
        let causes = self.causes.iter().map(|(name, cause)| {
            size_of::<(String, Cause)>() + name.capacity() + cause.severity.capacity() + cause.summary.capacity()
        });
        let firing = self.firing.iter().map(|name| size_of_val(name) + name.capacity());
        self.id.capacity() + self.severity.capacity() + causes.sum::<usize>() + firing.sum::<usize>()
    }
}

/// What one stage or rule reported to an incident.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cause {
    severity: String,
    summary: String,
    first_seen: Micros,
    last_seen: Micros,
    count: u64,
}

#[derive(Debug)]
struct Row {
    key: Vec<u8>,
    status: &'static str,
    at: Micros,
    watermark: Micros,
    incident: Open,
}

impl Incidents {
    /// An incident stage without state.
    pub fn new(plan: IncidentPlan) -> Self {
        Self {
            plan,
            keys: KeyTable::default(),
            open: Vec::new(),
            timers: BTreeSet::new(),
            ready: Vec::new(),
            blocks: Blocks::new(0),
        }
    }

    fn advance(&mut self, watermark: Micros) {
        while self.timers.first().is_some_and(|(due, _)| *due <= watermark) {
            let Some((due, key)) = self.timers.pop_first() else {
                break;
            };
            let Some(id) = self.keys.find(&key) else { continue };
            self.touch(id);
            self.keys.release(id);
            if let Some(mut incident) = self.open[id as usize].take() {
                incident.transition += 1;
                self.ready.push(Row {
                    key,
                    status: "resolved",
                    at: due,
                    watermark: due.saturating_sub(1),
                    incident,
                });
            }
        }
    }

    /// The place of a key's incident.
    fn slot(&mut self, key: &[u8]) -> &mut Option<Open> {
        let (id, _) = self.keys.intern(key);
        self.touch(id);
        if self.open.len() <= id as usize {
            self.open.resize(id as usize + 1, None);
        }
        &mut self.open[id as usize]
    }

    /// When an incident resolves, if nothing more is reported.
    fn due(&self, incident: &Open) -> Option<Micros> {
        incident.due(self.plan.open_for)
    }

    fn report(&mut self, key: Vec<u8>, report: &Report<'_>, time: Micros, watermark: Micros) {
        let known = self.keys.find(&key).and_then(|id| self.open[id as usize].as_ref());
        if known.is_none() && report.resolves {
            // The end of an alarm whose incident is over, or that never was in one, opens none.
            return;
        }
        let opened = known.is_none();
        let due_before = known.and_then(|incident| self.due(incident));
        let open_for = self.plan.open_for;
        let id = opened.then(|| crate::id::id("inc", &[self.plan.stage.as_bytes(), &key, &time.to_le_bytes()]));
        let incident = self
            .slot(&key)
            .get_or_insert_with(|| Open::new(id.unwrap_or_default(), report, time));
        let changed = incident.take(report, time);
        let row = (opened || changed).then(|| {
            incident.transition += u64::from(!opened);
            Row {
                key: key.clone(),
                status: if opened { "opened" } else { "updated" },
                at: time,
                watermark,
                incident: incident.clone(),
            }
        });
        let due = incident.due(open_for);
        self.ready.extend(row);
        if due != due_before {
            if let Some(before) = due_before {
                self.timers.remove(&(before, key.clone()));
            }
            if let Some(due) = due {
                self.timers.insert((due, key));
            }
        }
    }

    fn rows(&mut self) -> (Vec<ArrayRef>, Vec<Row>) {
        let ready = std::mem::take(&mut self.ready);
        let types: Vec<DataType> = (0..self.plan.n_by)
            .map(|i| self.plan.input.field(i).data_type().clone())
            .collect();
        let texts =
            |of: &dyn Fn(&Row) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(ready.iter().map(of))) };
        let numbers = |of: &dyn Fn(&Open) -> u64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(
                ready.iter().map(|row| of(&row.incident) as i64),
            ))
        };
        let times = |of: &dyn Fn(&Row) -> Option<Micros>| -> ArrayRef {
            Arc::new(
                ready
                    .iter()
                    .map(of)
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            )
        };
        let mut columns = vec![texts(&|row| row.incident.id.clone())];
        columns.extend(decode_keys(ready.iter().map(|row| row.key.as_slice()), &types));
        columns.push(texts(&|row| row.status.to_owned()));
        columns.push(texts(&|row| row.incident.severity.clone()));
        columns.push(times(&|row| Some(row.incident.opened_at)));
        // A report may be older than the one before it.
        columns.push(times(&|row| Some(row.at.max(row.incident.updated_at))));
        columns.push(times(&|row| (row.status == "resolved").then_some(row.at)));
        columns.push(texts(&|row| row.incident.summary()));
        columns.push(texts(&|row| row.incident.causes_as_json()));
        columns.push(numbers(&|incident| incident.events));
        columns.push(numbers(&|incident| incident.transition));
        (columns, ready)
    }
}

impl Captured for Incidents {
    fn blocks(&mut self) -> &mut Blocks {
        &mut self.blocks
    }

    fn save_rows(&self, ids: Range<KeyId>, rows: &mut RowWriter) {
        for id in ids {
            if let Some(Some(incident)) = self.open.get(id as usize) {
                rows.row(id, self.keys.key(id), |out| encode_behind(incident, out));
            }
        }
    }
}

impl Open {
    fn new(id: String, report: &Report<'_>, time: Micros) -> Self {
        Self {
            id,
            severity: report.severity.to_owned(),
            opened_at: time,
            updated_at: time,
            causes: BTreeMap::new(),
            firing: BTreeSet::new(),
            events: 0,
            transition: 0,
        }
    }

    fn due(&self, open_for: Micros) -> Option<Micros> {
        let quiet = self.firing.is_empty();
        quiet.then(|| self.updated_at.saturating_add(open_for))
    }

    /// Takes a report; answers whether it is worth telling.
    fn take(&mut self, report: &Report<'_>, time: Micros) -> bool {
        self.updated_at = self.updated_at.max(time);
        self.opened_at = self.opened_at.min(time);
        if report.resolves {
            return self.firing.remove(report.alarm);
        }
        if report.fires {
            self.firing.insert(report.alarm.to_owned());
        }
        self.events += 1;
        let raised = severity::is_higher(report.severity, &self.severity);
        if raised {
            self.severity = report.severity.to_owned();
        }
        let mut joined = false;
        let cause = self.causes.entry(report.cause.to_owned()).or_insert_with(|| {
            joined = true;
            Cause {
                severity: report.severity.to_owned(),
                summary: report.summary.to_owned(),
                first_seen: time,
                last_seen: time,
                count: 0,
            }
        });
        cause.count += 1;
        cause.first_seen = cause.first_seen.min(time);
        cause.last_seen = cause.last_seen.max(time);
        if severity::is_higher(report.severity, &cause.severity) {
            cause.severity = report.severity.to_owned();
        }
        raised || joined
    }

    /// The summaries of the causes, the first that came first.
    fn summary(&self) -> String {
        let mut causes: Vec<(&String, &Cause)> = self.causes.iter().collect();
        causes.sort_by_key(|(_, cause)| cause.first_seen);
        causes
            .iter()
            .map(|(name, cause)| {
                if cause.summary.is_empty() {
                    name.as_str()
                } else {
                    &cause.summary
                }
            })
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn causes_as_json(&self) -> String {
        let causes = self.causes.iter().map(|(stage, cause)| {
            json!({
                "stage": stage,
                "severity": cause.severity,
                "summary": cause.summary,
                "first_seen": rfc3339(cause.first_seen),
                "last_seen": rfc3339(cause.last_seen),
                "count": cause.count,
            })
        });
        serde_json::Value::Array(causes.collect()).to_string()
    }
}

impl Stage for Incidents {
    fn process(&mut self, input: Batch) -> Output {
        let elapsed = |watermark: Micros| input.ended.map_or(watermark, |reached| watermark.min(reached));
        let keys: Vec<ArrayRef> = (0..self.plan.n_by).map(|i| Arc::clone(input.rows.column(i))).collect();
        let signals = Signals::new(&input.rows, self.plan.n_by);
        let mut late = Vec::new();
        for row in 0..input.n_rows() {
            let (time, watermark) = (input.times[row], input.watermarks[row]);
            self.advance(elapsed(watermark));
            if time < watermark.saturating_sub(self.plan.lateness) {
                late.push(row as u32);
                continue;
            }
            let mut key = Vec::new();
            encode_key(&keys, row, &mut key);
            self.report(key, &signals.report(row), time, watermark);
        }
        self.advance(input.elapsed());
        let late = late_part(&input, &late);
        let (columns, ready) = self.rows();
        let rows = record_batch(&self.plan.output, columns, ready.len());
        let times = ready.iter().map(|row| row.at).collect();
        let watermarks = ready.iter().map(|row| row.watermark).collect();
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

    fn begin_capture(&mut self, extent: Extent) -> Vec<u8> {
        self.blocks.begin(extent, self.keys.capacity());
        Vec::new()
    }

    fn next_block(&mut self) -> Option<Block> {
        Captured::next_block(self)
    }

    fn begin_restore(&mut self, _: &[&[u8]]) -> Result<(), CorruptState> {
        *self = Self::new(self.plan.clone());
        Ok(())
    }

    fn restore_rows(&mut self, _: usize, _: BlockId, rows: &[CapturedRow<'_>]) -> Result<(), CorruptState> {
        for row in rows {
            let incident: Open = decode(row.state, "incidents")?;
            if let Some(due) = self.due(&incident) {
                self.timers.insert((due, row.key.to_vec()));
            }
            *self.slot(row.key) = Some(incident);
        }
        Ok(())
    }

    fn key_tables(&self) -> Vec<&KeyTable> {
        vec![&self.keys]
    }

    fn memory(&self) -> usize {
        let open = self.open.iter().flatten().map(Open::memory).sum::<usize>();
        let timers = self.timers.iter().map(|timer| size_of_val(timer) + timer.1.capacity());
        self.keys.memory() + self.open.capacity() * size_of::<Option<Open>>() + open + timers.sum::<usize>()
    }

    fn next_timer(&self) -> Option<Micros> {
        self.timers.first().map(|(due, _)| *due)
    }
}
