//! From an aggregate call to its accumulators: which function a name means for which types of arguments.

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef};
use datafusion_common::ScalarValue;
use datafusion_expr::expr::NullTreatment;

use super::allowed::{ALLOWED, REFUSED, REFUSED_DISTINCT};
use super::covariance::Relation;
use super::datafusion;
use super::distinct::Of;
use super::function::{Aggregate, Kind};
use super::planning::planning_functions;
use super::scalar_codec;
use super::sum::Finish;
use super::values::Form;
use super::variance::Spread;
use super::{Accumulators, AggregateError};

/// An aggregate call as a plan has it, its arguments coerced.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Name of the function, or one of its aliases.
    pub name: &'a str,
    /// Whether it says DISTINCT.
    pub distinct: bool,
    /// IGNORE NULLS or RESPECT NULLS, if it says either.
    pub nulls: Option<NullTreatment>,
    /// What it says in WITHIN GROUP (ORDER BY x), which only percentiles have, or in an ORDER BY of its own.
    pub order_by: Option<Order>,
    /// Types of the arguments. With WITHIN GROUP (ORDER BY x), x comes first.
    pub arg_types: &'a [DataType],
    /// For each argument its value, if it is a literal; may be shorter.
    pub literals: &'a [Option<ScalarValue>],
}

/// A direction of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// ASC
    Ascending,
    /// DESC
    Descending,
}

/// What an aggregate call means.
///
/// # Errors
/// When the function does not exist, is refused, or cannot work on the arguments.
pub fn resolve(call: &Call<'_>) -> Result<Aggregate, AggregateError> {
    let name = call.name.to_lowercase();
    let name = name.as_str();
    let kind = match name {
        "count" if call.distinct => Kind::Distinct(Of::Count),
        "count" => Kind::Count {
            rows: (0..call.arg_types.len()).all(|i| literal(call, i).is_some_and(is_value)),
        },
        "distinct" | "count_distinct" | "distinct_count" => Kind::Distinct(Of::Count),
        "sum" => Kind::Sum(Finish::Sum),
        "avg" | "mean" => Kind::Sum(Finish::Mean { decimals: 0 }),
        "min" => Kind::Min,
        "max" => Kind::Max,
        "first" | "first_value" | "any_value" => Kind::First {
            respect_nulls: respects_nulls(call),
        },
        "last" | "last_value" => Kind::Last {
            respect_nulls: respects_nulls(call),
        },
        "percentile" | "approx_percentile_cont" | "percentile_cont" | "quantile_cont" | "quantile" => {
            Kind::Quantile(quantile(call)?)
        }
        "median" | "approx_median" | "p50" => Kind::Quantile(0.5),
        "p90" => Kind::Quantile(0.9),
        "p95" => Kind::Quantile(0.95),
        "p99" => Kind::Quantile(0.99),
        "var" | "var_samp" | "var_sample" => Kind::Variance(Spread {
            population: false,
            root: false,
        }),
        "var_pop" | "var_population" => Kind::Variance(Spread {
            population: true,
            root: false,
        }),
        "stddev" | "stddev_samp" => Kind::Variance(Spread {
            population: false,
            root: true,
        }),
        "stddev_pop" => Kind::Variance(Spread {
            population: true,
            root: true,
        }),
        "covar" | "covar_samp" => Kind::Covariance(Relation::CovarianceOfSample),
        "covar_pop" => Kind::Covariance(Relation::CovarianceOfPopulation),
        "corr" => Kind::Covariance(Relation::Correlation),
        "regr_slope" => Kind::Covariance(Relation::Slope),
        "regr_intercept" => Kind::Covariance(Relation::Intercept),
        "regr_r2" => Kind::Covariance(Relation::Determination),
        "regr_count" => Kind::Covariance(Relation::Count),
        "regr_avgx" => Kind::Covariance(Relation::MeanX),
        "regr_avgy" => Kind::Covariance(Relation::MeanY),
        "regr_sxx" => Kind::Covariance(Relation::SquaresX),
        "regr_syy" => Kind::Covariance(Relation::SquaresY),
        "regr_sxy" => Kind::Covariance(Relation::Products),
        _ => return datafusion_aggregate(call, name),
    };
    check_clauses(call, &kind)?;
    check_arguments(call, &kind)?;
    let data_type = return_type(call, name)?;
    let kind = match kind {
        Kind::Sum(finish) => {
            let finish = match (finish, call.arg_types.first(), &data_type) {
                (Finish::Mean { .. }, Some(DataType::Decimal128(_, from)), DataType::Decimal128(_, to)) => {
                    Finish::Mean {
                        decimals: u32::from((to - from).unsigned_abs()),
                    }
                }
                _ => finish,
            };
            if call.distinct {
                Kind::Distinct(Of::Sum(finish, data_type.clone()))
            } else {
                Kind::Sum(finish)
            }
        }
        other => other,
    };
    let columns = match kind {
        Kind::Count { rows: true } => 0,
        Kind::Quantile(_) => 1,
        _ => call.arg_types.len(),
    };
    Ok(Aggregate::new(kind, call.arg_types.to_vec(), data_type, columns))
}

/// The accumulators of a call without further clauses.
///
/// # Errors
/// As [`resolve`].
pub fn build(
    name: &str,
    distinct: bool,
    arg_types: &[DataType],
    literals: &[Option<ScalarValue>],
) -> Result<Box<dyn Accumulators>, AggregateError> {
    let call = Call {
        name,
        distinct,
        nulls: None,
        order_by: None,
        arg_types,
        literals,
    };
    Ok(resolve(&call)?.accumulators())
}

fn datafusion_aggregate(call: &Call<'_>, name: &str) -> Result<Aggregate, AggregateError> {
    let refused = REFUSED.iter().chain(REFUSED_DISTINCT.iter().filter(|_| call.distinct));
    if let Some((_, reason)) = refused.into_iter().find(|(refused, _)| *refused == name) {
        return Err(AggregateError::Refused {
            name: name.to_owned(),
            reason,
        });
    }
    let Some(allowed) = ALLOWED.iter().find(|allowed| allowed.name == name) else {
        return Err(unknown(name));
    };
    let clause = |clause| {
        Err(AggregateError::Clause {
            name: name.to_owned(),
            clause,
        })
    };
    if call.distinct && !allowed.distinct {
        return clause("DISTINCT");
    }
    if call.order_by.is_some() {
        return clause("ORDER BY");
    }
    if call.nulls.is_some() && name != "array_agg" {
        return clause("IGNORE NULLS or RESPECT NULLS");
    }
    let planning = |message: String| AggregateError::Planning {
        name: name.to_owned(),
        message,
    };
    let ignore_nulls = call.nulls == Some(NullTreatment::IgnoreNulls);
    return_type(call, name)?;
    let (types, literals) = (call.arg_types, call.literals);
    let built = datafusion::Call::new((allowed.function)(), types, literals, call.distinct, ignore_nulls);
    let built = built
        .map_err(|error| planning(error.strip_backtrace()))?
        .accepting(allowed.accepts);
    let columns = (0..types.len())
        .rev()
        .find(|i| literal(call, *i).is_none())
        .map_or(0, |last| last + 1);
    let data_type = built.data_type().clone();
    Ok(Aggregate::new(
        Kind::DataFusion(Arc::new(built)),
        types.to_vec(),
        data_type,
        columns,
    ))
}

/// The type that the planner gives the result.
fn return_type(call: &Call<'_>, name: &str) -> Result<DataType, AggregateError> {
    let functions = planning_functions();
    let named = functions
        .iter()
        .find(|f| f.name() == name || f.aliases().iter().any(|alias| alias == name));
    let function = named.ok_or_else(|| unknown(name))?;
    let least = match name {
        "count" => 0,
        "string_agg" | "nth_value" => 2,
        _ => 1,
    };
    if call.arg_types.len() < least {
        let expected = if least == 1 { "an argument" } else { "two arguments" };
        return Err(AggregateError::ArgumentCount {
            name: name.to_owned(),
            expected,
            found: call.arg_types.len(),
        });
    }
    let field = |data_type: &DataType| -> FieldRef { Arc::new(Field::new("x", data_type.clone(), true)) };
    let fields: Vec<FieldRef> = call.arg_types.iter().map(field).collect();
    let planning = |message: String| AggregateError::Planning {
        name: name.to_owned(),
        message,
    };
    let returned = function
        .return_field(&fields)
        .map_err(|error| planning(error.strip_backtrace()))?;
    Ok(returned.data_type().clone())
}

fn check_clauses(call: &Call<'_>, kind: &Kind) -> Result<(), AggregateError> {
    let clause = |clause| {
        Err(AggregateError::Clause {
            name: call.name.to_owned(),
            clause,
        })
    };
    let distinct_makes_sense = matches!(kind, Kind::Distinct(_) | Kind::Sum(_) | Kind::Min | Kind::Max);
    if call.distinct && !distinct_makes_sense {
        return clause("DISTINCT");
    }
    if call.order_by.is_some() && !matches!(kind, Kind::Quantile(_)) {
        return clause("ORDER BY");
    }
    if call.nulls.is_some() && !matches!(kind, Kind::First { .. } | Kind::Last { .. }) {
        return clause("IGNORE NULLS or RESPECT NULLS");
    }
    Ok(())
}

fn check_arguments(call: &Call<'_>, kind: &Kind) -> Result<(), AggregateError> {
    let (expected, fits): (&str, fn(usize) -> bool) = match kind {
        Kind::Count { .. } => return Ok(()),
        Kind::Distinct(_) => ("at least one argument", |n| n >= 1),
        Kind::Covariance(_) => ("two arguments", |n| n == 2),
        // DataFusion's percentiles may name a number of centroids, which a sketch has no use for.
        Kind::Quantile(_) => ("a number and a quantile", |n| (1..=3).contains(&n)),
        _ => ("one argument", |n| n == 1),
    };
    if !fits(call.arg_types.len()) {
        let name = call.name.to_owned();
        return Err(AggregateError::ArgumentCount {
            name,
            expected,
            found: call.arg_types.len(),
        });
    }
    let (expected, fits): (&str, fn(&DataType) -> bool) = match kind {
        Kind::Sum(Finish::Sum) => ("Int64, UInt64, Float64, Decimal128 or a duration", |data_type| {
            use DataType::*;
            matches!(data_type, Int64 | UInt64 | Float64 | Decimal128(..) | Duration(_))
        }),
        Kind::Sum(_) => ("Float64, Decimal128 or a duration", |data_type| {
            use DataType::*;
            matches!(data_type, Float64 | Decimal128(..) | Duration(_))
        }),
        Kind::Min | Kind::Max => ("types with an order", |data_type| Form::of(data_type) != Form::Encoded),
        Kind::Quantile(_) | Kind::Variance(_) | Kind::Covariance(_) => ("numbers", DataType::is_numeric),
        _ => ("types that can be saved", |data_type| {
            Form::of(data_type) != Form::Encoded || scalar_codec::supported(data_type)
        }),
    };
    match call.arg_types.iter().find(|data_type| !fits(data_type)) {
        Some(found) => {
            let name = call.name.to_owned();
            Err(AggregateError::ArgumentType {
                name,
                expected,
                found: found.clone(),
            })
        }
        None => Ok(()),
    }
}

fn quantile(call: &Call<'_>) -> Result<f64, AggregateError> {
    let what = "the second argument must be a number from 0 to 1, such as 0.95";
    let value = literal(call, 1).and_then(|value| value.cast_to(&DataType::Float64).ok());
    match value {
        Some(ScalarValue::Float64(Some(q))) if (0.0..=1.0).contains(&q) => match call.order_by {
            Some(Order::Descending) => Ok(1.0 - q),
            _ => Ok(q),
        },
        _ => Err(AggregateError::Constant {
            name: call.name.to_owned(),
            what,
        }),
    }
}

fn literal<'a>(call: &Call<'a>, argument: usize) -> Option<&'a ScalarValue> {
    call.literals.get(argument)?.as_ref()
}

fn is_value(value: &ScalarValue) -> bool {
    !value.is_null()
}

fn respects_nulls(call: &Call<'_>) -> bool {
    call.nulls == Some(NullTreatment::RespectNulls)
}

fn unknown(name: &str) -> AggregateError {
    let names: Vec<String> = planning_functions()
        .iter()
        .flat_map(|function| std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)))
        .map(str::to_owned)
        .collect();
    let near = |candidate: &String| strsim::damerau_levenshtein(name, candidate);
    let nearest = names
        .into_iter()
        .min_by_key(near)
        .filter(|candidate| near(candidate) <= 2);
    AggregateError::Unknown {
        name: name.to_owned(),
        nearest,
    }
}
