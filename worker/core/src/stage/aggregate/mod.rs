//! `aggregate`: results by key over windows of event time, or running totals without a window.
//!
//! This file turns rows into (key id, arguments) and hands them to the kind of window. The windows keep columns of
//! states per pane; `results` makes rows of them.

pub mod combine;
mod pane_capture;
mod pane_keys;
mod results;
mod running;
mod session;
mod sliding;
mod tumbling;

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow_schema::{DataType, SchemaRef};

use super::{Output, Stage, late_part};
use crate::aggregate::{Accumulators, Aggregate as Function, CorruptState};
use crate::capture::{Block, BlockId, Extent, Row};
use crate::expr::Expression;
use crate::key::{KeyId, KeyTable, encode_key};
use crate::stream::{Batch, Micros, NO_WATERMARK, take_column};
use results::Results;

/// What an aggregate is asked for.
#[derive(Clone, Debug)]
pub struct AggregatePlan {
    /// The key: names and expressions over the input.
    pub by: Vec<(String, Expression)>,
    /// The window.
    pub window: Window,
    /// When results are given out.
    pub emit: EmitOn,
    /// How long behind the watermark a row still changes a result.
    pub lateness: Micros,
    /// The states that are kept for a key.
    pub states: Vec<StatePlan>,
    /// Whether the input has states in place of arguments, behind the columns of the key: see [`combine`].
    pub reads_states: bool,
    /// Whether rows are added up in each shard before they are dealt out by key.
    pub two_phase: bool,
    /// The calls of aggregate functions, which read them.
    pub calls: Vec<CallPlan>,
    /// The result columns: names and expressions over `results`.
    pub select: Vec<(String, Expression)>,
    /// Rows for which this is not true are not given out. Over `results`.
    pub having: Option<Expression>,
    /// What `select` and `having` see: the key, `window_start` and `window_end` (with a window), one column a call.
    pub results: SchemaRef,
    /// The output: the selected columns, `_rev`, and `_final` (with a window) or `_deleted` (without).
    pub output: SchemaRef,
}

/// A state, and what it is fed.
#[derive(Clone, Debug)]
pub struct StatePlan {
    /// The function that keeps it, for which types.
    pub function: Function,
    /// Its arguments, over the input.
    pub arguments: Vec<Expression>,
    /// FILTER (WHERE ...).
    pub filter: Option<Expression>,
}

/// A call of an aggregate function.
#[derive(Clone, Debug)]
pub struct CallPlan {
    /// Which function, for which types.
    pub function: Function,
    /// Number of the state that it reads.
    pub state: usize,
}

/// Windows over event time, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// One behind the other.
    Tumbling {
        /// Length.
        size: Micros,
    },
    /// One every `every`; `size` is a multiple of it.
    Sliding {
        /// Length.
        size: Micros,
        /// Distance between two starts.
        every: Micros,
    },
    /// Activity, ended by a gap.
    Session {
        /// Time without a row that ends the window.
        gap: Micros,
    },
    /// No window: what changed is given out at ticks.
    Running {
        /// Distance between two ticks.
        every: Micros,
        /// How long a key without rows is kept.
        ttl: Option<Micros>,
    },
}

/// When the results of a window are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmitOn {
    /// At its close, and again for each step of the watermark in which late rows changed it.
    Close,
    /// At its close, only keys that changed since the window before.
    Change,
    /// Once, after the allowed lateness.
    Final,
}

/// Rows of a batch with what the states need of them.
struct Rows<'a> {
    input: &'a Batch,
    keys: &'a [ArrayRef],
    arguments: &'a [Arguments],
}

/// What a state is fed with for a batch.
enum Arguments {
    /// Values, for rows for which `filter` is true.
    Values {
        columns: Vec<ArrayRef>,
        filter: Option<BooleanArray>,
    },
    /// States, and a column of such to load them into.
    States(ArrayRef, RefCell<Box<dyn Accumulators>>),
}

/// The key and the arguments of the states, for each row. `scratch` is for states that are loaded.
fn read(
    plan: &AggregatePlan,
    rows: &RecordBatch,
    scratch: Vec<Box<dyn Accumulators>>,
) -> (Vec<ArrayRef>, Vec<Arguments>) {
    if plan.reads_states {
        let keys = rows.columns()[..plan.by.len()].to_vec();
        let states = rows.columns()[plan.by.len()..].iter().zip(scratch);
        let states = states.map(|(column, scratch)| Arguments::States(Arc::clone(column), RefCell::new(scratch)));
        return (keys, states.collect());
    }
    let keys = plan.by.iter().map(|(_, key)| key.evaluate(rows)).collect();
    let arguments = plan.states.iter().map(|state| Arguments::Values {
        columns: state.arguments.iter().map(|argument| argument.evaluate(rows)).collect(),
        filter: state.filter.as_ref().map(|filter| filter.evaluate_condition(rows)),
    });
    (keys, arguments.collect())
}

impl Rows<'_> {
    fn key(&self, row: usize, scratch: &mut Vec<u8>) {
        scratch.clear();
        encode_key(self.keys, row, scratch);
    }

    /// How far rows from number `from` on are of the pane `pane`, with nothing due in between: neither a window, at the
    /// watermark `next_due`, nor revisions of late rows, once the watermark is above `revised_at`.
    fn run_within(&self, from: usize, pane: &Range<Micros>, next_due: Micros, revised_at: Option<Micros>) -> usize {
        let (times, watermarks) = (&self.input.times, &self.input.watermarks);
        let mut to = from + 1;
        while to < times.len()
            && pane.contains(&times[to])
            && watermarks[to] < next_due
            && revised_at.is_none_or(|revised| watermarks[to] <= revised)
        {
            to += 1;
        }
        to
    }

    /// Adds rows `from..to` of key ids `ids` to the states in `accumulators`.
    fn update(&self, accumulators: &mut [Box<dyn Accumulators>], from: usize, ids: &[KeyId], n_keys: usize) {
        let n_rows = ids.len();
        let times = &self.input.times[from..from + n_rows];
        for (accumulator, arguments) in accumulators.iter_mut().zip(self.arguments) {
            accumulator.grow(n_keys);
            match arguments {
                Arguments::States(states, scratch) => {
                    let states = states.slice(from, n_rows);
                    combine::merge_states(accumulator.as_mut(), scratch.borrow_mut().as_mut(), ids, &states);
                }
                Arguments::Values { columns, filter: None } => {
                    let columns: Vec<ArrayRef> = columns.iter().map(|column| column.slice(from, n_rows)).collect();
                    accumulator.update(ids, times, &columns);
                }
                Arguments::Values {
                    columns,
                    filter: Some(filter),
                } => {
                    let kept: Vec<usize> = (0..n_rows)
                        .filter(|i| filter.is_valid(from + i) && filter.value(from + i))
                        .collect();
                    let positions = UInt32Array::from_iter_values(kept.iter().map(|i| (from + i) as u32));
                    let columns: Vec<ArrayRef> = columns.iter().map(|column| take_column(column, &positions)).collect();
                    let ids: Vec<KeyId> = kept.iter().map(|&i| ids[i]).collect();
                    let times: Vec<Micros> = kept.iter().map(|&i| times[i]).collect();
                    accumulator.update(&ids, &times, &columns);
                }
            }
        }
    }
}

/// A kind of window.
trait Windows: Send {
    /// Lets event time come to `watermark`: gives out and forgets what is due. What needs time to pass, and not only that
    /// nothing will follow, goes by `elapsed`: at the end of the input that is how far event time came.
    fn advance(&mut self, watermark: Micros, elapsed: Micros, results: &mut Results);

    /// Takes rows from number `from` on, as many as can be taken before [`Windows::advance`] must be called with the
    /// watermark of the next; at least one. Answers how many. Numbers of rows that are too late go to `late`.
    fn take(&mut self, rows: &Rows<'_>, from: usize, late: &mut Vec<u32>) -> usize;

    /// See [`Stage::begin_capture`].
    fn begin_capture(&mut self, extent: Extent) -> Vec<u8>;

    /// See [`Stage::next_block`].
    fn next_block(&mut self) -> Option<Block>;

    /// See [`Stage::begin_restore`].
    fn begin_restore(&mut self, heads: &[&[u8]]) -> Result<(), CorruptState>;

    /// See [`Stage::restore_rows`].
    fn restore_rows(&mut self, from: usize, block: BlockId, rows: &[Row<'_>]) -> Result<(), CorruptState>;

    /// See [`Stage::end_restore`].
    fn end_restore(&mut self) -> Result<(), CorruptState>;

    /// See [`Stage::may_join`].
    fn may_join(&self, _watermark: Micros) -> bool {
        true
    }

    /// See [`Stage::next_timer`].
    fn next_timer(&self) -> Option<Micros>;

    /// The keys that have state.
    fn keys(&self) -> &KeyTable;

    /// Bytes of memory that the state holds, about.
    fn memory(&self) -> usize;
}

/// A running aggregate.
pub struct Aggregate {
    plan: Arc<AggregatePlan>,
    windows: Box<dyn Windows>,
    results: Results,
    /// States that are read are loaded into these.
    scratch: Vec<Box<dyn Accumulators>>,
}

impl Aggregate {
    /// An aggregate without state.
    pub fn new(plan: AggregatePlan) -> Self {
        let plan = Arc::new(plan);
        let windows: Box<dyn Windows> = match plan.window {
            Window::Tumbling { size } => Box::new(tumbling::Tumbling::new(Arc::clone(&plan), size)),
            Window::Sliding { size, every } => Box::new(sliding::Sliding::new(Arc::clone(&plan), size, every)),
            Window::Session { gap } => Box::new(session::Sessions::new(Arc::clone(&plan), gap)),
            Window::Running { every, ttl } => Box::new(running::Running::new(Arc::clone(&plan), every, ttl)),
        };
        let scratch = if plan.reads_states {
            new_accumulators(&plan)
        } else {
            Vec::new()
        };
        Self {
            results: Results::new(Arc::clone(&plan)),
            plan,
            windows,
            scratch,
        }
    }
}

impl Stage for Aggregate {
    fn process(&mut self, input: Batch) -> Output {
        let n_rows = input.n_rows();
        let mut late = Vec::new();
        if n_rows > 0 {
            let (keys, arguments) = read(&self.plan, &input.rows, std::mem::take(&mut self.scratch));
            let rows = Rows {
                input: &input,
                keys: &keys,
                arguments: &arguments,
            };
            let mut row = 0;
            while row < n_rows {
                let watermark = input.watermarks[row];
                let elapsed = input.ended.map_or(watermark, |reached| watermark.min(reached));
                self.windows.advance(watermark, elapsed, &mut self.results);
                row += self.windows.take(&rows, row, &mut late);
            }
            let scratch = arguments.into_iter().filter_map(|arguments| match arguments {
                Arguments::States(_, scratch) => Some(scratch.into_inner()),
                Arguments::Values { .. } => None,
            });
            self.scratch = scratch.collect();
        }
        self.windows
            .advance(input.watermark, input.elapsed(), &mut self.results);
        let late = late_part(&input, &late);
        Output {
            main: self.results.take(&input.progress()),
            late,
        }
    }

    fn begin_capture(&mut self, extent: Extent) -> Vec<u8> {
        self.windows.begin_capture(extent)
    }

    fn next_block(&mut self) -> Option<Block> {
        self.windows.next_block()
    }

    fn begin_restore(&mut self, heads: &[&[u8]]) -> Result<(), CorruptState> {
        self.windows.begin_restore(heads)
    }

    fn restore_rows(&mut self, from: usize, block: BlockId, rows: &[Row<'_>]) -> Result<(), CorruptState> {
        self.windows.restore_rows(from, block, rows)
    }

    fn end_restore(&mut self) -> Result<(), CorruptState> {
        self.windows.end_restore()
    }

    fn may_join(&self, watermark: Micros) -> bool {
        self.windows.may_join(watermark)
    }

    fn key_tables(&self) -> Vec<&KeyTable> {
        vec![self.windows.keys()]
    }

    fn memory(&self) -> usize {
        self.windows.memory()
    }

    fn next_timer(&self) -> Option<Micros> {
        self.windows.next_timer()
    }

    fn n_failures(&self) -> u64 {
        let plan = &self.plan;
        let over_input = plan.by.iter().map(|(_, key)| key);
        let arguments = plan
            .states
            .iter()
            .flat_map(|state| state.arguments.iter().chain(&state.filter));
        let over_results = plan.select.iter().map(|(_, column)| column).chain(&plan.having);
        over_input
            .chain(arguments)
            .chain(over_results)
            .map(Expression::n_failures)
            .sum()
    }
}

impl std::fmt::Debug for Aggregate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aggregate")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// The types of the key.
fn key_types(plan: &AggregatePlan) -> Vec<DataType> {
    plan.by.iter().map(|(_, key)| key.data_type.clone()).collect()
}

/// The start of the window of length `size` that `time` is in; windows are aligned to 1970-01-01T00:00:00Z.
pub(crate) fn window_start(time: Micros, size: Micros) -> Micros {
    time.saturating_sub(time.rem_euclid(size))
}

/// The earliest watermark above `watermark` at which a window can be due, where windows end at multiples of `step` and
/// are due `offset` later.
fn next_due(watermark: Micros, step: Micros, offset: Micros) -> Micros {
    if watermark == NO_WATERMARK {
        return watermark + 1;
    }
    window_start(watermark.saturating_sub(offset), step)
        .saturating_add(step)
        .saturating_add(offset)
}

/// The states of the keys of a pane, a column each.
fn new_accumulators(plan: &AggregatePlan) -> Vec<Box<dyn Accumulators>> {
    plan.states.iter().map(|state| state.function.accumulators()).collect()
}

/// Appends the states of `id` to `out`.
fn save_states(accumulators: &[Box<dyn Accumulators>], id: KeyId, out: &mut Vec<u8>) {
    for accumulator in accumulators {
        accumulator.save(id, out);
    }
}

/// Keys by which accumulators grow when state is taken back.
const GROWTH: usize = 1024;

/// Sets the states of `id`, one of some `n_keys`, and moves `bytes` behind them.
fn load_states(
    accumulators: &mut [Box<dyn Accumulators>],
    (id, n_keys): (KeyId, usize),
    bytes: &mut &[u8],
) -> Result<(), CorruptState> {
    for accumulator in accumulators {
        // By many at a time: keys that are taken back come one by one.
        if (id as usize).is_multiple_of(GROWTH) {
            accumulator.reserve(n_keys);
        }
        accumulator.grow((id as usize + 1).next_multiple_of(GROWTH));
        accumulator.load(id, bytes)?;
    }
    Ok(())
}
