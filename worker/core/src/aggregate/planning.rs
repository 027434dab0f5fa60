//! The aggregate functions as DataFusion's planner sees them: names, arguments that it coerces, types of results.
//!
//! Each has the signature of one of DataFusion's own functions. None can be run by DataFusion, and none brings its
//! rewrites (such as `sum(x + 1)` into `sum(x) + count(x)`), which hold for its way of summing, not for ours.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, FieldRef};
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_expr::function::AccumulatorArgs;
use datafusion_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature};
use datafusion_functions_aggregate as df;

/// All aggregate functions that a query may name, those that are refused included: [`super::resolve`] says why.
pub fn planning_functions() -> Vec<Arc<AggregateUDF>> {
    static FUNCTIONS: LazyLock<Vec<Arc<AggregateUDF>>> = LazyLock::new(functions);
    FUNCTIONS.clone()
}

fn functions() -> Vec<Arc<AggregateUDF>> {
    let first = df::first_last::first_value_udaf();
    let last = df::first_last::last_value_udaf();
    let count = df::count::count_udaf();
    let percentile = df::approx_percentile_cont::approx_percentile_cont_udaf();
    let median = df::approx_median::approx_median_udaf();
    let ours = [
        Planned::new("first", &["first_value", "any_value"], first),
        Planned::new("last", &["last_value"], last),
        Planned::new("distinct", &["count_distinct", "distinct_count"], count),
        Planned::new(
            "percentile",
            &["approx_percentile_cont", "percentile_cont", "quantile_cont", "quantile"],
            percentile,
        ),
        Planned::new("median", &["approx_median", "p50"], Arc::clone(&median)),
        Planned::new("p90", &[], Arc::clone(&median)),
        Planned::new("p95", &[], Arc::clone(&median)),
        Planned::new("p99", &[], median),
    ];
    let named = |name: &str| {
        ours.iter()
            .any(|own| own.name == name || own.aliases.iter().any(|alias| alias == name))
    };
    let theirs: Vec<_> = df::all_default_aggregate_functions()
        .into_iter()
        .filter(|function| !named(function.name()))
        .collect();
    let theirs = theirs.into_iter().map(|model| {
        let aliases = model.aliases().to_vec();
        Planned {
            name: model.name().to_owned(),
            aliases,
            model,
        }
    });
    let planned: Vec<Planned> = theirs.collect();
    planned
        .into_iter()
        .chain(ours)
        .map(|planned| Arc::new(AggregateUDF::from(planned)))
        .collect()
}

/// A function of this name, with the signature of `model`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Planned {
    name: String,
    aliases: Vec<String>,
    model: Arc<AggregateUDF>,
}

impl Planned {
    fn new(name: &str, aliases: &[&str], model: Arc<AggregateUDF>) -> Self {
        Self {
            name: name.to_owned(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            model,
        }
    }
}

impl AggregateUDFImpl for Planned {
    fn name(&self) -> &str {
        &self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        self.model.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.model.return_type(arg_types)
    }

    fn return_field(&self, arg_fields: &[FieldRef]) -> Result<FieldRef> {
        let field = self.model.return_field(arg_fields)?;
        Ok(Arc::new(field.as_ref().clone().with_name(&self.name)))
    }

    fn is_nullable(&self) -> bool {
        self.model.is_nullable()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.model.coerce_types(arg_types)
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.model.default_value(data_type)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.model.supports_null_handling_clause()
    }

    fn supports_within_group_clause(&self) -> bool {
        self.model.supports_within_group_clause()
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        plan_err!("`{}` is for planning; windows run it", self.name)
    }
}
