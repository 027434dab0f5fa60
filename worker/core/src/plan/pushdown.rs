//! Moves filters into the decoder, which then need not make columns of records that no stage wants.

use datafusion_common::ScalarValue;
use datafusion_expr::{BinaryExpr, Expr, Operator};

use super::{Adapt, Plan, SourcePlan, Step, StreamId};
use crate::decode::ColumnType;
use crate::decode::predicate::{CompareOp, Literal, Predicate};

/// For each source that only filters read: the records that at least one of them keeps.
pub fn push_down(plan: &mut Plan) {
    for number in 0..plan.sources.len() {
        let stream = StreamId::Source(number);
        if plan.sinks.iter().any(|sink| sink.stream == stream) {
            continue;
        }
        let readers: Vec<usize> = (0..plan.stages.len())
            .filter(|&stage| plan.stages[stage].inputs.iter().any(|input| input.stream == stream))
            .collect();
        let predicates: Option<Vec<Predicate>> = readers
            .iter()
            .map(|&stage| predicate_of(plan, stage, &plan.sources[number]))
            .collect();
        let Some(mut predicates) = predicates.filter(|predicates| !predicates.is_empty()) else {
            continue;
        };
        let predicate = if predicates.len() == 1 {
            predicates.swap_remove(0)
        } else {
            Predicate::Or(predicates)
        };
        plan.sources[number].record.predicate = Some(predicate);
        if let [only] = readers.as_slice() {
            // All that the decoder lets through passes the filter.
            plan.stages[*only].steps.remove(0);
        }
    }
}

/// The condition that a stage begins with, if the decoder can decide it.
fn predicate_of(plan: &Plan, stage: usize, source: &SourcePlan) -> Option<Predicate> {
    let stage = &plan.stages[stage];
    match (stage.inputs.as_slice(), stage.steps.first()) {
        ([input], Some(Step::Filter(condition))) if !stage.sorted && matches!(input.adapt, Adapt::Same) => {
            convert(&condition.logical, source)
        }
        _ => None,
    }
}

fn convert(expr: &Expr, source: &SourcePlan) -> Option<Predicate> {
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::And,
            right,
        }) => Some(Predicate::And(vec![convert(left, source)?, convert(right, source)?])),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Or,
            right,
        }) => Some(Predicate::Or(vec![convert(left, source)?, convert(right, source)?])),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), Expr::Literal(value, _)) => compare(&column.name, compare_op(*op)?, value, source),
            (Expr::Literal(value, _), Expr::Column(column)) => {
                compare(&column.name, compare_op(op.swap()?)?, value, source)
            }
            _ => None,
        },
        Expr::Column(column) => compare(&column.name, CompareOp::Eq, &ScalarValue::Boolean(Some(true)), source),
        Expr::IsNull(inner) => is_null(inner, false, source),
        Expr::IsNotNull(inner) => is_null(inner, true, source),
        _ => None,
    }
}

fn is_null(inner: &Expr, negated: bool, source: &SourcePlan) -> Option<Predicate> {
    let Expr::Column(column) = inner else { return None };
    Some(Predicate::IsNull {
        column: index(&column.name, source)?,
        negated,
    })
}

fn index(name: &str, source: &SourcePlan) -> Option<usize> {
    source
        .record
        .columns
        .iter()
        .position(|column| column.name == name && column.read)
}

fn compare(name: &str, op: CompareOp, value: &ScalarValue, source: &SourcePlan) -> Option<Predicate> {
    let column = index(name, source)?;
    let literal = match (source.record.columns[column].ty, value) {
        (ColumnType::Utf8, ScalarValue::Utf8(Some(text))) => Literal::Utf8(text.clone()),
        (ColumnType::Int64, ScalarValue::Int64(Some(number))) => Literal::Int64(*number),
        (ColumnType::Float64, ScalarValue::Float64(Some(number))) => Literal::Float64(*number),
        (ColumnType::Boolean, ScalarValue::Boolean(Some(value))) => Literal::Boolean(*value),
        _ => return None,
    };
    Some(Predicate::Compare { column, op, literal })
}

fn compare_op(op: Operator) -> Option<CompareOp> {
    Some(match op {
        Operator::Eq => CompareOp::Eq,
        Operator::NotEq => CompareOp::NotEq,
        Operator::Lt => CompareOp::Lt,
        Operator::LtEq => CompareOp::LtEq,
        Operator::Gt => CompareOp::Gt,
        Operator::GtEq => CompareOp::GtEq,
        _ => return None,
    })
}
