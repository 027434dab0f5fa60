//! The calls of aggregate functions in the selected expressions, and the states that they need.

use arrow_schema::{Field, SchemaRef};
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, DFSchema, ScalarValue};
use datafusion_expr::{Expr, ExprSchemable};

use crate::aggregate::{Aggregate, Call, Order, not_offered, resolve};
use crate::expr::Expression;
use crate::expr::compile::{finish, finish_condition, own_type};
use crate::expr::parse::ExpressionError;
use crate::stage::aggregate::{CallPlan, StatePlan};

/// The calls of aggregate functions, taken out of the expressions that they stand in.
pub(super) struct Calls<'a> {
    input: &'a SchemaRef,
    /// The states that the calls need; calls of the same arguments can share one.
    pub states: Vec<StatePlan>,
    pub calls: Vec<CallPlan>,
    seen: Vec<Expr>,
}

fn call_name(i: usize) -> String {
    format!("_call{i}")
}

pub(super) fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

impl<'a> Calls<'a> {
    /// No calls yet, over rows of `input`.
    pub fn over(input: &'a SchemaRef) -> Self {
        Self {
            input,
            states: Vec::new(),
            calls: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// The columns of their results.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        self.calls
            .iter()
            .enumerate()
            .map(|(i, call)| Field::new(call_name(i), call.function.data_type().clone(), true))
    }

    /// The expression over keys and results of calls that `bound` is.
    pub fn take_out(&mut self, bound: Expr, by: &[(String, Expression)]) -> Result<Expr, ExpressionError> {
        let mut wrong = None;
        let taken = bound.transform_down(|expr| {
            if let Some((name, _)) = by.iter().find(|(_, key)| key.logical == expr) {
                return Ok(Transformed::new(column(name), true, TreeNodeRecursion::Jump));
            }
            if !matches!(expr, Expr::AggregateFunction(_)) {
                return Ok(Transformed::no(expr));
            }
            match self.add(&expr) {
                Ok(i) => Ok(Transformed::new(column(&call_name(i)), true, TreeNodeRecursion::Jump)),
                Err(error) => {
                    wrong.get_or_insert(error);
                    Ok(Transformed::new(expr, false, TreeNodeRecursion::Stop))
                }
            }
        });
        match (wrong, taken) {
            (Some(error), _) => Err(error),
            (None, Ok(taken)) => Ok(taken.data),
            (None, Err(error)) => Err(ExpressionError::new(error.strip_backtrace())),
        }
    }

    /// The number of a call; the same call has one number.
    fn add(&mut self, expr: &Expr) -> Result<usize, ExpressionError> {
        if let Some(i) = self.seen.iter().position(|seen| seen == expr) {
            return Ok(i);
        }
        let Expr::AggregateFunction(aggregate) = expr else {
            return Err(ExpressionError::new("no aggregate"));
        };
        let params = &aggregate.params;
        let name = aggregate.func.name();
        if let Some((_, reason)) = not_offered().find(|(refused, _)| *refused == name) {
            return Err(ExpressionError::new(format!("`{name}` is not offered: {reason}")));
        }
        let schema = DFSchema::try_from(self.input.as_ref().clone())
            .map_err(|error| ExpressionError::new(error.strip_backtrace()))?;
        // WITHIN GROUP (ORDER BY x) names the argument behind the call.
        let ordered = params
            .order_by
            .first()
            .filter(|_| params.args.len() == 1)
            .map(|sort| &sort.expr);
        let all: Vec<&Expr> = ordered.into_iter().chain(&params.args).collect();
        let mut arguments = Vec::new();
        let mut arg_types = Vec::new();
        let mut literals: Vec<Option<ScalarValue>> = Vec::new();
        for argument in &all {
            let data_type = argument
                .get_type(&schema)
                .map_err(|error| ExpressionError::new(error.strip_backtrace()))?;
            let literal = match argument {
                Expr::Literal(value, _) => Some(value.clone()),
                _ => None,
            };
            arg_types.push(if literal.is_some() {
                data_type.clone()
            } else {
                own_type(&data_type).unwrap_or(data_type)
            });
            literals.push(literal);
            let text = argument.to_string();
            arguments.push(((*argument).clone(), text));
        }
        let call = Call {
            name,
            distinct: params.distinct,
            nulls: params.null_treatment,
            order_by: params
                .order_by
                .first()
                .map(|sort| if sort.asc { Order::Ascending } else { Order::Descending }),
            arg_types: &arg_types,
            literals: &literals,
        };
        let function = resolve(&call).map_err(|error| ExpressionError::new(error.to_string()))?;
        let arguments = arguments
            .into_iter()
            .take(function.columns())
            .map(|(argument, text)| finish(&text, argument, self.input))
            .collect::<Result<Vec<_>, _>>()?;
        let filter = match &params.filter {
            Some(filter) => Some(finish_condition(
                &filter.to_string(),
                filter.as_ref().clone(),
                self.input,
            )?),
            None => None,
        };
        let state = self.state(&function, arguments, filter);
        self.calls.push(CallPlan { function, state });
        self.seen.push(expr.clone());
        Ok(self.seen.len() - 1)
    }

    /// The number of the state that a call reads: `p50(x)` and `p95(x)` read the same sketch.
    fn state(&mut self, function: &Aggregate, arguments: Vec<Expression>, filter: Option<Expression>) -> usize {
        fn tree(expression: &Expression) -> &Expr {
            &expression.logical
        }
        let same = |state: &StatePlan| {
            state.function.shares_state(function)
                && state.arguments.iter().map(tree).eq(arguments.iter().map(tree))
                && state.filter.iter().map(tree).eq(filter.iter().map(tree))
        };
        if let Some(i) = self.states.iter().position(same) {
            return i;
        }
        self.states.push(StatePlan {
            function: function.clone(),
            arguments,
            filter,
        });
        self.states.len() - 1
    }
}
