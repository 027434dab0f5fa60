//! Computes columns: the SELECT list of a `sql` stage.

use arrow_schema::SchemaRef;

use super::{Output, Stage};
use crate::expr::Expression;
use crate::stream::{Batch, record_batch};

/// A running projection.
#[derive(Debug)]
pub struct Project {
    columns: Vec<Expression>,
    output: SchemaRef,
}

impl Project {
    /// A projection to these columns; `output` has their names and types.
    pub fn new(columns: Vec<Expression>, output: SchemaRef) -> Self {
        Self { columns, output }
    }
}

impl Stage for Project {
    fn process(&mut self, input: Batch) -> Output {
        let columns = self.columns.iter().map(|column| column.evaluate(&input.rows)).collect();
        let rows = record_batch(&self.output, columns, input.n_rows());
        Output::of(input.with_rows(rows))
    }

    fn n_failures(&self) -> u64 {
        self.columns.iter().map(Expression::n_failures).sum()
    }
}
