//! Expressions: SQL text of the user's file to a function over columns.
//!
//! `parse` makes a syntax tree with places for errors; `uses` reads from the tree what type each column is used as;
//! `compile` binds the tree to a schema. The result is *total*: whatever the values are, each row gets a value, NULL
//! where an operation failed, and no row's value depends on its neighbours.

pub mod compile;
pub mod functions;
mod libm_functions;
pub mod parse;
pub mod patterns;
pub mod total;
pub mod uses;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow_schema::DataType;
use datafusion_expr::Expr;
use datafusion_physical_expr_common::physical_expr::PhysicalExpr;

/// An expression bound to a schema.
#[derive(Clone, Debug)]
pub struct Expression {
    /// The text that it was made from.
    pub text: String,
    /// The bound and coerced tree, for the rewrites of the compiler.
    pub logical: Expr,
    /// Type of the result.
    pub data_type: DataType,
    physical: Arc<dyn PhysicalExpr>,
    failures: Arc<AtomicU64>,
}

impl Expression {
    /// The values for each row of `batch`, which has the schema that the expression was bound to.
    pub fn evaluate(&self, batch: &RecordBatch) -> ArrayRef {
        let n_rows = batch.num_rows();
        match self.physical.evaluate(batch).and_then(|value| value.into_array(n_rows)) {
            Ok(array) if array.data_type() == &self.data_type => array,
            // Every node that can fail is total, so this is a node that was thought not to fail.
            _ => {
                self.failures.fetch_add(n_rows as u64, Ordering::Relaxed);
                new_null_array(&self.data_type, n_rows)
            }
        }
    }

    /// The same for a condition. The compiler only makes conditions of Boolean type.
    pub fn evaluate_condition(&self, batch: &RecordBatch) -> BooleanArray {
        let array = self.evaluate(batch);
        match array.as_any().downcast_ref::<BooleanArray>() {
            Some(condition) => condition.clone(),
            None => BooleanArray::new_null(batch.num_rows()),
        }
    }

    /// How many operations failed and gave NULL since the start.
    pub fn n_failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}
