//! DataFusion's aggregates behind our trait: a key holds the aggregate's intermediate state between batches.
//!
//! A batch is given to a fresh accumulator that has read the state, and its new state is kept. So nothing but the state
//! passes from batch to batch, as it would through a snapshot. Only functions for which that makes no difference may be
//! built; [`super::allowed`] has them. They are much slower than ours, and not invertible.
//!
//! A call that DataFusion fails on makes the key's result NULL until it is cleared.

use std::any::Any;
use std::sync::Arc;

use arrow_array::{ArrayRef, UInt32Array, new_null_array};
use arrow_schema::{DataType, Field, FieldRef, Schema};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::{Accumulator, AggregateUDF};
use datafusion_physical_expr::expressions::{Column, Literal};
use datafusion_physical_expr_common::physical_expr::PhysicalExpr;

use super::bytes::take_u8;
use super::rows::{clean, keys_needed};
use super::scalar_codec;
use super::{Accumulators, CorruptState};

/// An aggregate call of DataFusion.
#[derive(Clone, Debug)]
pub(super) struct Call {
    function: Arc<AggregateUDF>,
    schema: Arc<Schema>,
    fields: Vec<FieldRef>,
    /// For each argument its value, if it is a constant.
    literals: Vec<Option<ScalarValue>>,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    distinct: bool,
    ignore_nulls: bool,
    return_field: FieldRef,
    /// Types of the intermediate state.
    state: Vec<DataType>,
    /// Whether a loaded state can be one of the function's.
    accepts: fn(&[ScalarValue]) -> bool,
}

impl Call {
    /// What the states are, by a name that stays.
    pub(super) fn state_name(&self) -> String {
        let constants: Vec<String> = self.literals.iter().flatten().map(ToString::to_string).collect();
        let distinct = if self.distinct { " distinct" } else { "" };
        let nulls = if self.ignore_nulls { " without nulls" } else { "" };
        format!("{}[{}]{distinct}{nulls}", self.function.name(), constants.join(", "))
    }

    /// A call with arguments of these types, of which some are constants.
    ///
    /// # Errors
    /// When DataFusion refuses the types or the constants, or when the state is of a type that cannot be saved.
    pub(super) fn new(
        function: Arc<AggregateUDF>,
        types: &[DataType],
        literals: &[Option<ScalarValue>],
        distinct: bool,
        ignore_nulls: bool,
    ) -> Result<Self> {
        let fields: Vec<FieldRef> = types
            .iter()
            .enumerate()
            .map(|(i, ty)| Arc::new(Field::new(format!("a{i}"), ty.clone(), true)))
            .collect();
        let literals: Vec<_> = (0..types.len()).map(|i| literals.get(i).cloned().flatten()).collect();
        let expr = |(i, literal): (usize, &Option<ScalarValue>)| -> Arc<dyn PhysicalExpr> {
            match literal {
                Some(value) => Arc::new(Literal::new(value.clone())),
                None => Arc::new(Column::new(&format!("a{i}"), i)),
            }
        };
        let exprs = literals.iter().enumerate().map(expr).collect();
        let return_field = function.return_field(&fields)?;
        let state_args = StateFieldsArgs {
            name: function.name(),
            input_fields: &fields,
            return_field: Arc::clone(&return_field),
            ordering_fields: &[],
            is_distinct: distinct,
        };
        let state: Vec<DataType> = function
            .state_fields(state_args)?
            .iter()
            .map(|field| field.data_type().clone())
            .collect();
        if let Some(other) = state.iter().find(|data_type| !scalar_codec::supported(data_type)) {
            return datafusion_common::not_impl_err!("its state has the type {other}, which cannot be saved");
        }
        let schema = Arc::new(Schema::new(fields.clone()));
        let accepts: fn(&[ScalarValue]) -> bool = |_| true;
        let call = Self {
            function,
            schema,
            fields,
            literals,
            exprs,
            distinct,
            ignore_nulls,
            return_field,
            state,
            accepts,
        };
        call.accumulator()?;
        Ok(call)
    }

    /// With a check of loaded states.
    pub(super) fn accepting(mut self, accepts: fn(&[ScalarValue]) -> bool) -> Self {
        self.accepts = accepts;
        self
    }

    /// Type of the results.
    pub(super) fn data_type(&self) -> &DataType {
        self.return_field.data_type()
    }

    fn accumulator(&self) -> Result<Box<dyn Accumulator>> {
        self.function.accumulator(AccumulatorArgs {
            return_field: Arc::clone(&self.return_field),
            schema: &self.schema,
            ignore_nulls: self.ignore_nulls,
            order_bys: &[],
            is_reversed: false,
            name: self.function.name(),
            is_distinct: self.distinct,
            exprs: &self.exprs,
            expr_fields: &self.fields,
        })
    }

    /// An accumulator that has read these states in order.
    fn resumed(&self, states: &[&[ScalarValue]]) -> Result<Box<dyn Accumulator>> {
        let mut accumulator = self.accumulator()?;
        for state in states {
            let columns = state.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>>>()?;
            accumulator.merge_batch(&columns)?;
        }
        Ok(accumulator)
    }

    /// The arguments of some rows, constants included, as DataFusion expects them.
    fn columns(&self, args: &[ArrayRef], rows: usize) -> Vec<ArrayRef> {
        let column = |(i, literal): (usize, &Option<ScalarValue>)| match (literal, args.get(i)) {
            (None, Some(array)) => clean(array),
            (Some(value), _) => value.to_array_of_size(rows).unwrap_or_else(|_| self.no_values(i, rows)),
            (None, None) => self.no_values(i, rows),
        };
        self.literals.iter().enumerate().map(column).collect()
    }

    fn no_values(&self, argument: usize, rows: usize) -> ArrayRef {
        new_null_array(
            self.fields
                .get(argument)
                .map_or(&DataType::Null, |field| field.data_type()),
            rows,
        )
    }
}

/// What a key holds.
#[derive(Clone, Debug)]
enum State {
    Empty,
    Held(Box<[ScalarValue]>),
    Failed,
}

/// A column of intermediate states.
pub(super) struct DataFusion {
    call: Arc<Call>,
    states: Vec<State>,
}

impl DataFusion {
    /// No keys.
    pub(super) fn new(call: Arc<Call>) -> Self {
        Self {
            call,
            states: Vec::new(),
        }
    }

    /// Replaces the state of a key by what `step` makes of an accumulator that has read it.
    fn advance(&mut self, id: u32, step: impl FnOnce(&mut dyn Accumulator) -> Result<()>) {
        let slot = &mut self.states[id as usize];
        let accumulator = match slot {
            State::Empty => self.call.accumulator(),
            State::Held(state) => self.call.resumed(&[state]),
            State::Failed => return,
        };
        let advanced = accumulator.and_then(|mut accumulator| {
            step(&mut *accumulator)?;
            // Compact, as a state may hold a slice of the whole batch.
            Ok(accumulator.state()?.into_iter().map(ScalarValue::compacted).collect())
        });
        *slot = advanced.map_or(State::Failed, State::Held);
    }

    fn result(&self, id: u32) -> Result<ScalarValue> {
        let state = match self.states.get(id as usize) {
            Some(State::Held(state)) => vec![&**state],
            Some(State::Failed) => return ScalarValue::try_new_null(self.call.data_type()),
            Some(State::Empty) | None => Vec::new(),
        };
        self.call.resumed(&state)?.evaluate()
    }
}

impl Accumulators for DataFusion {
    fn grow(&mut self, n_keys: usize) {
        if n_keys > self.states.len() {
            self.states.resize(n_keys, State::Empty);
        }
    }

    fn update(&mut self, ids: &[u32], _times: &[i64], args: &[ArrayRef]) {
        self.grow(keys_needed(ids));
        let mut rows: Vec<u32> = (0..ids.len() as u32).collect();
        rows.sort_by_key(|row| ids[*row as usize]);
        let columns = self.call.columns(args, ids.len());
        for group in rows.chunk_by(|a, b| ids[*a as usize] == ids[*b as usize]) {
            let indices = UInt32Array::from(group.to_vec());
            let Some(id) = group.first().map(|row| ids[*row as usize]) else {
                continue;
            };
            self.advance(id, |accumulator| {
                let taken = columns
                    .iter()
                    .map(|column| Ok(arrow_select::take::take(column, &indices, None)?));
                accumulator.update_batch(&taken.collect::<Result<Vec<_>>>()?)
            });
        }
    }

    fn merge(&mut self, id: u32, other: &dyn Accumulators) {
        let Some(other) = other
            .as_any()
            .downcast_ref::<Self>()
            .and_then(|other| other.states.get(id as usize))
        else {
            return;
        };
        self.grow(id as usize + 1);
        match other {
            State::Empty => {}
            State::Failed => self.states[id as usize] = State::Failed,
            State::Held(state) => self.advance(id, |accumulator| {
                let columns = state.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>>>()?;
                accumulator.merge_batch(&columns)
            }),
        }
    }

    fn retract(&mut self, _id: u32, _other: &dyn Accumulators) {}

    fn invertible(&self) -> bool {
        false
    }

    fn results(&self, ids: &[u32]) -> ArrayRef {
        let data_type = self.call.data_type();
        let null = || ScalarValue::try_new_null(data_type).unwrap_or(ScalarValue::Null);
        let results = ids
            .iter()
            .map(|id| self.result(*id).unwrap_or_else(|_| null()))
            .collect();
        scalar_codec::to_array(results, data_type).unwrap_or_else(|| new_null_array(data_type, ids.len()))
    }

    fn data_type(&self) -> DataType {
        self.call.data_type().clone()
    }

    fn clear(&mut self, id: u32) {
        if let Some(state) = self.states.get_mut(id as usize) {
            *state = State::Empty;
        }
    }

    fn save(&self, id: u32, out: &mut Vec<u8>) {
        let start = out.len();
        let saved = match self.states.get(id as usize) {
            Some(State::Held(state)) => {
                out.push(1);
                state.iter().try_for_each(|value| scalar_codec::put(value, out))
            }
            Some(State::Failed) => Err(scalar_codec::Unsupported),
            Some(State::Empty) | None => {
                out.push(0);
                Ok(())
            }
        };
        if saved.is_err() {
            out.truncate(start);
            out.push(2);
        }
    }

    fn load(&mut self, id: u32, bytes: &mut &[u8]) -> Result<(), CorruptState> {
        let what = "state of a DataFusion aggregate";
        let state = match take_u8(bytes, what)? {
            0 => State::Empty,
            1 => {
                let values = self
                    .call
                    .state
                    .iter()
                    .map(|data_type| scalar_codec::take(data_type, bytes));
                let values = values.collect::<Result<Box<[_]>, _>>()?;
                if !(self.call.accepts)(&values) {
                    return Err(CorruptState { what });
                }
                self.call.resumed(&[&values]).map_err(|_| CorruptState { what })?;
                State::Held(values)
            }
            2 => State::Failed,
            _ => return Err(CorruptState { what }),
        };
        self.grow(id as usize + 1);
        self.states[id as usize] = state;
        Ok(())
    }

    fn memory(&self) -> usize {
        let values = self.states.iter().map(|state| match state {
            State::Held(values) => values.iter().map(ScalarValue::size).sum(),
            _ => 0,
        });
        self.states.capacity() * size_of::<State>() + values.sum::<usize>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
