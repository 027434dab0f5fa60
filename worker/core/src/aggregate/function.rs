//! An aggregate call that can run: it makes columns of accumulators and reads results from them.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::DataType;

use super::Accumulators;
use super::count::Counts;
use super::covariance::{Covariances, Relation};
use super::datafusion::{Call as DataFusionCall, DataFusion};
use super::distinct::{Of, distinct};
use super::first_last::first_last;
use super::min_max::extremes;
use super::quantile::Quantiles;
use super::sum::{Finish, Sums};
use super::variance::{Spread, Variances};

/// An aggregate call that can run.
#[derive(Clone, Debug)]
pub struct Aggregate {
    kind: Kind,
    arg_types: Vec<DataType>,
    data_type: DataType,
    columns: usize,
}

/// The functions, by what a column of theirs holds.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Count { rows: bool },
    Distinct(Of),
    Sum(Finish),
    Min,
    Max,
    First { respect_nulls: bool },
    Last { respect_nulls: bool },
    Quantile(f64),
    Variance(Spread),
    Covariance(Relation),
    DataFusion(Arc<DataFusionCall>),
}

impl Aggregate {
    pub(super) fn new(kind: Kind, arg_types: Vec<DataType>, data_type: DataType, columns: usize) -> Self {
        Self {
            kind,
            arg_types,
            data_type,
            columns,
        }
    }

    /// Type of the results.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// How many arguments, from the first on, [`Accumulators::update`] reads. The others are constants.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// A column of states without keys.
    pub fn accumulators(&self) -> Box<dyn Accumulators> {
        let argument = self.arg_types.first().unwrap_or(&DataType::Null);
        match &self.kind {
            Kind::Count { rows } => Box::new(Counts::new(*rows)),
            Kind::Distinct(of) => distinct(&self.arg_types, of.clone()),
            Kind::Sum(finish) => Box::new(Sums::new(argument, *finish, self.data_type.clone())),
            Kind::Min => extremes::<false>(argument),
            Kind::Max => extremes::<true>(argument),
            Kind::First { respect_nulls } => first_last::<false>(argument, *respect_nulls),
            Kind::Last { respect_nulls } => first_last::<true>(argument, *respect_nulls),
            Kind::Quantile(q) => Box::new(Quantiles::new(*q)),
            Kind::Variance(spread) => Box::new(Variances::new(*spread)),
            Kind::Covariance(relation) => Box::new(Covariances::new(*relation)),
            Kind::DataFusion(call) => Box::new(DataFusion::new(Arc::clone(call))),
        }
    }

    /// What the states are, by a name that stays: states that were saved go on in a column with the same one.
    pub fn state_name(&self) -> String {
        let nulls = |respect: bool| if respect { " with nulls" } else { "" };
        match &self.kind {
            Kind::Count { rows: true } => "rows".to_owned(),
            Kind::Count { rows: false } => "values".to_owned(),
            Kind::Distinct(_) => "distinct".to_owned(),
            Kind::Sum(_) => "sum".to_owned(),
            Kind::Min => "min".to_owned(),
            Kind::Max => "max".to_owned(),
            Kind::First { respect_nulls } => format!("first{}", nulls(*respect_nulls)),
            Kind::Last { respect_nulls } => format!("last{}", nulls(*respect_nulls)),
            Kind::Quantile(_) => "quantiles".to_owned(),
            Kind::Variance(_) => "variance".to_owned(),
            Kind::Covariance(_) => "covariance".to_owned(),
            Kind::DataFusion(call) => format!("datafusion {}", call.state_name()),
        }
    }

    /// Whether one column can serve both calls, if their arguments are the same: `p50(x)` and `p95(x)`, or `sum(x)` and
    /// `avg(x)`. Then [`Aggregate::results`] reads either result from it.
    pub fn shares_state(&self, other: &Self) -> bool {
        let same_kind = match (&self.kind, &other.kind) {
            (Kind::Sum(_), Kind::Sum(_))
            | (Kind::Quantile(_), Kind::Quantile(_))
            | (Kind::Variance(_), Kind::Variance(_))
            | (Kind::Covariance(_), Kind::Covariance(_))
            | (Kind::Min, Kind::Min)
            | (Kind::Max, Kind::Max) => true,
            (Kind::Count { rows: a }, Kind::Count { rows: b }) => a == b,
            (Kind::First { respect_nulls: a }, Kind::First { respect_nulls: b })
            | (Kind::Last { respect_nulls: a }, Kind::Last { respect_nulls: b }) => a == b,
            (Kind::Distinct(a), Kind::Distinct(b)) => a == b,
            _ => false,
        };
        let types = |aggregate: &Self| aggregate.arg_types.get(..aggregate.columns).map(<[DataType]>::to_vec);
        same_kind && types(self) == types(other)
    }

    /// The results of this call for `ids`, from a column of a call that it shares its state with.
    pub fn results(&self, column: &dyn Accumulators, ids: &[u32]) -> ArrayRef {
        let any = column.as_any();
        let shared = match &self.kind {
            Kind::Sum(finish) => any
                .downcast_ref::<Sums>()
                .map(|sums| sums.finished(ids, *finish, &self.data_type)),
            Kind::Quantile(q) => any.downcast_ref::<Quantiles>().map(|sketches| sketches.at(ids, *q)),
            Kind::Variance(spread) => any.downcast_ref::<Variances>().map(|sums| sums.spread(ids, *spread)),
            Kind::Covariance(relation) => any
                .downcast_ref::<Covariances>()
                .map(|sums| sums.relation(ids, *relation)),
            _ => None,
        };
        shared.unwrap_or_else(|| column.results(ids))
    }
}
