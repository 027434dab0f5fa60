//! Functions of pairs: `covar_samp`, `covar_pop`, `corr` and the family of `regr_` for the line through the points.
//! 144 bytes a key.
//!
//! As [`super::variance`], from exact sums of x, y, x², y² and xy, rounded once (`corr` twice). A row in which one of the
//! two is NULL does not count. The arguments of the `regr_` functions are y and x, in this order, as in SQL.

use std::any::Any;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array, UInt64Array};
use arrow_schema::DataType;

use super::big::Big;
use super::exact_product::ProductSums;
use super::exact_sum::ExactSums;
use super::rows::{common_nulls, each_row, keys_needed};
use super::values::{Form, lower};
use super::{Accumulators, CorruptState};

/// What is asked of the pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// Covariance of a sample.
    CovarianceOfSample,
    /// Covariance of a population.
    CovarianceOfPopulation,
    /// Pearson's coefficient of correlation.
    Correlation,
    /// Slope of the line.
    Slope,
    /// Where the line meets x = 0.
    Intercept,
    /// Square of the correlation.
    Determination,
    /// Number of pairs.
    Count,
    /// Mean of x.
    MeanX,
    /// Mean of y.
    MeanY,
    /// Sum of squares of x around its mean.
    SquaresX,
    /// Sum of squares of y around its mean.
    SquaresY,
    /// Sum of products of x and y around their means.
    Products,
}

/// A column of results on pairs.
pub(super) struct Covariances {
    y: ExactSums,
    x: ExactSums,
    yy: ProductSums,
    xx: ProductSums,
    xy: ProductSums,
    relation: Relation,
}

impl Covariances {
    /// No keys.
    pub(super) fn new(relation: Relation) -> Self {
        let (y, x) = (ExactSums::of_floats(), ExactSums::of_floats());
        let (yy, xx, xy) = (ProductSums::new(), ProductSums::new(), ProductSums::new());
        Self {
            y,
            x,
            yy,
            xx,
            xy,
            relation,
        }
    }

    /// The results for `ids` of this kind.
    pub(super) fn relation(&self, ids: &[u32], relation: Relation) -> ArrayRef {
        match relation {
            Relation::Count => Arc::new(UInt64Array::from_iter_values(ids.iter().map(|id| self.x.count(*id)))),
            _ => Arc::new(
                ids.iter()
                    .map(|id| self.result(*id, relation))
                    .collect::<Float64Array>(),
            ),
        }
    }

    fn result(&self, id: u32, relation: Relation) -> Option<f64> {
        let count = i128::from(self.x.count(id));
        let n = Big::from_i128(count, 0);
        let (x, y) = (self.x.total(id), self.y.total(id));
        // n times the sums around the means.
        let around = |products: &ProductSums, a: &Big, b: &Big| n.times(&products.total(id)).minus(&a.times(b));
        let (xx, yy, xy) = (
            around(&self.xx, &x, &x),
            around(&self.yy, &y, &y),
            around(&self.xy, &x, &y),
        );
        let determination = || xy.times(&xy).divided_by(&xx.times(&yy));
        match relation {
            Relation::CovarianceOfSample => xy.divided_by(&Big::from_i128(count - 1, 0).times(&n)),
            Relation::CovarianceOfPopulation => xy.divided_by(&n.times(&n)),
            Relation::Correlation => Some(determination()?.sqrt().copysign(xy.signum())),
            Relation::Slope => xy.divided_by(&xx),
            Relation::Intercept => y.times(&xx).minus(&x.times(&xy)).divided_by(&n.times(&xx)),
            Relation::Determination => determination(),
            Relation::Count => None,
            Relation::MeanX => x.divided_by(&n),
            Relation::MeanY => y.divided_by(&n),
            Relation::SquaresX => xx.divided_by(&n),
            Relation::SquaresY => yy.divided_by(&n),
            Relation::Products => xy.divided_by(&n),
        }
    }

    fn combine(&mut self, id: u32, other: &dyn Accumulators, away: bool) {
        if let Some(other) = other.as_any().downcast_ref::<Self>() {
            self.y.combine(id, &other.y, away);
            self.x.combine(id, &other.x, away);
            self.yy.combine(id, &other.yy, away);
            self.xx.combine(id, &other.xx, away);
            self.xy.combine(id, &other.xy, away);
        }
    }
}

impl Accumulators for Covariances {
    fn grow(&mut self, n_keys: usize) {
        self.y.grow(n_keys);
        self.x.grow(n_keys);
        self.yy.grow(n_keys);
        self.xx.grow(n_keys);
        self.xy.grow(n_keys);
    }

    fn update(&mut self, ids: &[u32], _times: &[i64], args: &[ArrayRef]) {
        let arrays: Vec<ArrayRef> = args.iter().take(2).map(|array| lower(array, Form::Float64)).collect();
        let floats: Vec<_> = arrays
            .iter()
            .filter_map(|array| array.as_primitive_opt::<Float64Type>())
            .collect();
        let [ys, xs] = floats[..] else {
            return;
        };
        self.grow(keys_needed(ids));
        let nulls = common_nulls(&arrays);
        let (mut y, mut x) = (self.y.float_adder(), self.x.float_adder());
        let (mut yy, mut xx, mut xy) = (self.yy.adder(), self.xx.adder(), self.xy.adder());
        each_row(ids, nulls.as_ref(), |id, row| {
            let (value_y, value_x) = (ys.value(row), xs.value(row));
            y(id, value_y);
            x(id, value_x);
            yy(id, value_y, value_y);
            xx(id, value_x, value_x);
            xy(id, value_x, value_y);
        });
    }

    fn merge(&mut self, id: u32, other: &dyn Accumulators) {
        self.combine(id, other, false);
    }

    fn retract(&mut self, id: u32, other: &dyn Accumulators) {
        self.combine(id, other, true);
    }

    fn invertible(&self) -> bool {
        true
    }

    fn results(&self, ids: &[u32]) -> ArrayRef {
        self.relation(ids, self.relation)
    }

    fn data_type(&self) -> DataType {
        match self.relation {
            Relation::Count => DataType::UInt64,
            _ => DataType::Float64,
        }
    }

    fn clear(&mut self, id: u32) {
        self.y.clear(id);
        self.x.clear(id);
        self.yy.clear(id);
        self.xx.clear(id);
        self.xy.clear(id);
    }

    fn save(&self, id: u32, out: &mut Vec<u8>) {
        self.y.save(id, out);
        if self.y.count(id) > 0 {
            self.x.save(id, out);
            self.yy.save(id, out);
            self.xx.save(id, out);
            self.xy.save(id, out);
        }
    }

    fn load(&mut self, id: u32, bytes: &mut &[u8]) -> Result<(), CorruptState> {
        self.grow(id as usize + 1);
        self.clear(id);
        self.y.load(id, bytes)?;
        if self.y.count(id) > 0 {
            self.x.load(id, bytes)?;
            self.yy.load(id, bytes)?;
            self.xx.load(id, bytes)?;
            self.xy.load(id, bytes)?;
        }
        if self.x.count(id) == self.y.count(id) {
            Ok(())
        } else {
            Err(CorruptState { what: "pairs" })
        }
    }

    fn memory(&self) -> usize {
        let sums = self.y.memory() + self.x.memory();
        sums + self.yy.memory() + self.xx.memory() + self.xy.memory()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
