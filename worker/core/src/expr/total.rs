//! Makes a physical expression total: what fails gives NULL for its row, and is counted.
//!
//! DataFusion evaluates a batch at a time, so that one bad row fails its neighbours, and short-circuits by what else is
//! in the batch. Each operation that can fail is therefore wrapped: if it fails on the batch it runs again row by row,
//! and only the failing rows are NULL. A floating-point result that is not finite counts as failed.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Schema};
use arrow_select::concat::concat;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{ColumnarValue, Operator};
use datafusion_physical_expr::ScalarFunctionExpr;
use datafusion_physical_expr::expressions::{BinaryExpr, CastExpr, NegativeExpr, TryCastExpr};
use datafusion_physical_expr_common::physical_expr::PhysicalExpr;

/// Wraps what can fail in `expr`; failures are added to `failures`.
///
/// # Errors
/// If the tree cannot be rebuilt.
pub fn make_total(expr: Arc<dyn PhysicalExpr>, failures: &Arc<AtomicU64>) -> Result<Arc<dyn PhysicalExpr>> {
    let wrapped = expr.transform_up(|node| {
        let any = node.as_ref() as &dyn Any;
        let wrap = |child| {
            Arc::new(Total {
                child,
                failures: Arc::clone(failures),
            }) as Arc<dyn PhysicalExpr>
        };
        if let Some(binary) = any.downcast_ref::<BinaryExpr>() {
            if !can_fail(*binary.op()) {
                return Ok(Transformed::no(node));
            }
            let checked = binary.clone().with_fail_on_overflow(true);
            return Ok(Transformed::yes(wrap(Arc::new(checked))));
        }
        if any.is::<ScalarFunctionExpr>() || any.is::<NegativeExpr>() {
            return Ok(Transformed::yes(wrap(node)));
        }
        let cast = any
            .downcast_ref::<CastExpr>()
            .map(|cast| (cast.expr(), cast.cast_type()));
        let try_cast = any
            .downcast_ref::<TryCastExpr>()
            .map(|cast| (cast.expr(), cast.cast_type()));
        if let Some((child, to)) = cast.or(try_cast) {
            let child = Arc::clone(child);
            let total = TotalCast {
                child,
                to: to.clone(),
                failures: Arc::clone(failures),
            };
            return Ok(Transformed::yes(Arc::new(total)));
        }
        Ok(Transformed::no(node))
    })?;
    Ok(wrapped.data)
}

/// Comparisons and logic cannot fail; arithmetic, text operators and regular expressions can.
fn can_fail(op: Operator) -> bool {
    !matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::And
            | Operator::Or
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// An operation that gives NULL where it fails.
#[derive(Debug)]
struct Total {
    child: Arc<dyn PhysicalExpr>,
    failures: Arc<AtomicU64>,
}

impl Total {
    fn row_by_row(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let data_type = self.child.data_type(batch.schema_ref())?;
        let mut values: Vec<ArrayRef> = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let value = self
                .child
                .evaluate(&batch.slice(row, 1))
                .and_then(|value| value.into_array(1));
            values.push(value.unwrap_or_else(|_| {
                failed(&self.failures, 1);
                new_null_array(&data_type, 1)
            }));
        }
        let values: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
        if values.is_empty() {
            return Ok(ColumnarValue::Array(new_null_array(&data_type, 0)));
        }
        Ok(ColumnarValue::Array(concat(&values)?))
    }
}

fn failed(failures: &AtomicU64, n_rows: usize) {
    failures.fetch_add(n_rows as u64, Ordering::Relaxed);
}

/// NULL for infinities and NaN: a division by zero, an overflow, a logarithm of a negative number, the text 'inf'.
/// A scalar stands for `n_rows` rows.
fn finite(value: ColumnarValue, n_rows: usize, failures: &AtomicU64) -> ColumnarValue {
    match value {
        ColumnarValue::Scalar(ScalarValue::Float64(Some(x))) if !x.is_finite() => {
            failed(failures, n_rows);
            ColumnarValue::Scalar(ScalarValue::Float64(None))
        }
        ColumnarValue::Array(array) if array.data_type() == &DataType::Float64 => {
            let numbers = array.as_primitive::<Float64Type>();
            if numbers.values().iter().all(|x| x.is_finite()) {
                return ColumnarValue::Array(array);
            }
            let kept = numbers.unary_opt::<_, Float64Type>(|x| x.is_finite().then_some(x));
            failed(failures, kept.null_count() - numbers.null_count());
            ColumnarValue::Array(Arc::new(kept))
        }
        other => other,
    }
}

impl PhysicalExpr for Total {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.child.data_type(schema)
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let value = self.child.evaluate(batch).or_else(|_| self.row_by_row(batch))?;
        Ok(finite(value, batch.num_rows(), &self.failures))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.child]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let child = children.pop().unwrap_or_else(|| Arc::clone(&self.child));
        Ok(Arc::new(Self {
            child,
            failures: Arc::clone(&self.failures),
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.child.fmt_sql(f)
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.child)
    }
}

impl PartialEq for Total {
    fn eq(&self, other: &Self) -> bool {
        self.child.eq(&other.child)
    }
}

impl Eq for Total {}

impl Hash for Total {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.child.hash(state);
    }
}

/// A cast that gives NULL for what cannot be cast.
#[derive(Debug)]
struct TotalCast {
    child: Arc<dyn PhysicalExpr>,
    to: DataType,
    failures: Arc<AtomicU64>,
}

impl PhysicalExpr for TotalCast {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let options = CastOptions {
            safe: true,
            ..CastOptions::default()
        };
        // An array of type Null has no bitmap to count in.
        let lost = |before: &ArrayRef, after: &ArrayRef| {
            after.logical_null_count().saturating_sub(before.logical_null_count())
        };
        let n_rows = batch.num_rows();
        let cast = match self.child.evaluate(batch)? {
            ColumnarValue::Array(array) => {
                let cast = cast_with_options(&array, &self.to, &options)?;
                failed(&self.failures, lost(&array, &cast));
                ColumnarValue::Array(cast)
            }
            ColumnarValue::Scalar(scalar) => {
                let array = scalar.to_array()?;
                let cast = cast_with_options(&array, &self.to, &options)?;
                failed(&self.failures, lost(&array, &cast) * n_rows);
                ColumnarValue::Scalar(ScalarValue::try_from_array(&cast, 0)?)
            }
        };
        Ok(finite(cast, n_rows, &self.failures))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.child]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let child = children.pop().unwrap_or_else(|| Arc::clone(&self.child));
        Ok(Arc::new(Self {
            child,
            to: self.to.clone(),
            failures: Arc::clone(&self.failures),
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.child.fmt_sql(f)
    }
}

impl fmt::Display for TotalCast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TRY_CAST({} AS {})", self.child, self.to)
    }
}

impl PartialEq for TotalCast {
    fn eq(&self, other: &Self) -> bool {
        self.to == other.to && self.child.eq(&other.child)
    }
}

impl Eq for TotalCast {}

impl Hash for TotalCast {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to.hash(state);
        self.child.hash(state);
    }
}
