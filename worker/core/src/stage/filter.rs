//! `filter`: keeps the rows for which a condition is true.

use super::{Output, Stage};
use crate::expr::Expression;
use crate::stream::Batch;

/// A running filter.
#[derive(Debug)]
pub struct Filter {
    condition: Expression,
}

impl Filter {
    /// A filter with this condition.
    pub fn new(condition: Expression) -> Self {
        Self { condition }
    }
}

impl Stage for Filter {
    fn process(&mut self, input: Batch) -> Output {
        if input.n_rows() == 0 {
            return Output::of(input);
        }
        let keep = self.condition.evaluate_condition(&input.rows);
        Output::of(input.filter(&keep))
    }

    fn n_failures(&self) -> u64 {
        self.condition.n_failures()
    }
}
