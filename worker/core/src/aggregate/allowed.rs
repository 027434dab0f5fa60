//! Which of DataFusion's aggregates may run, and which names are refused, each with the reason. The others are replaced
//! by ours.
//!
//! An aggregate may run if its results are the same to the last bit for any split of the records into batches and for
//! any points at which its state is saved and loaded. A test proves that of every allowed one, and that those refused
//! for failing it do fail.

use std::sync::Arc;

use datafusion_common::ScalarValue;
use datafusion_expr::AggregateUDF;
use datafusion_functions_aggregate as df;

/// An aggregate of DataFusion that runs as it is.
pub(super) struct Allowed {
    /// Its name.
    pub(super) name: &'static str,
    /// Whether DISTINCT is allowed too: then either it makes no difference, or the values' order does not matter.
    pub(super) distinct: bool,
    /// The function.
    pub(super) function: fn() -> Arc<AggregateUDF>,
    /// Whether a loaded state of the right types can be one of the function's. What it does not reject must not make
    /// the function panic.
    pub(super) accepts: fn(&[ScalarValue]) -> bool,
}

/// The aggregates of DataFusion that run as they are.
pub(super) const ALLOWED: [Allowed; 9] = [
    Allowed {
        accepts: are_registers,
        ..allowed("approx_distinct", false, df::approx_distinct::approx_distinct_udaf)
    },
    allowed("array_agg", false, df::array_agg::array_agg_udaf),
    allowed("bit_and", true, df::bit_and_or_xor::bit_and_udaf),
    allowed("bit_or", true, df::bit_and_or_xor::bit_or_udaf),
    allowed("bit_xor", true, df::bit_and_or_xor::bit_xor_udaf),
    allowed("bool_and", true, df::bool_and_or::bool_and_udaf),
    allowed("bool_or", true, df::bool_and_or::bool_or_udaf),
    allowed("nth_value", false, df::nth_value::nth_value_udaf),
    allowed("string_agg", false, df::string_agg::string_agg_udaf),
];

/// Functions that are not available under any name, and what to use in their place.
pub(super) const REFUSED: [(&str, &str); 2] = [
    (
        "approx_percentile_cont_with_weight",
        "its t-digest depends on how records were batched; use percentile(x, q), which has no weights",
    ),
    (
        "grouping",
        "it belongs to GROUPING SETS, ROLLUP and CUBE, which streams do not have",
    ),
];

/// Functions whose names are known and whose results no column can hold.
pub(super) const NO_COLUMN: [(&str, &str); 1] = [(
    "array_agg",
    "its result is a list, which no column holds; use string_agg(x, ', ')",
)];

/// DISTINCT forms that are not available.
pub(super) const REFUSED_DISTINCT: [(&str, &str); 2] = [
    (
        "array_agg",
        "the order of its distinct values is that of a hash table; use distinct(x) to count them",
    ),
    (
        "string_agg",
        "the order of its distinct values is that of a hash table; use distinct(x) to count them",
    ),
];

const fn allowed(name: &'static str, distinct: bool, function: fn() -> Arc<AggregateUDF>) -> Allowed {
    Allowed {
        name,
        distinct,
        function,
        accepts: |_| true,
    }
}

/// Whether these are the registers of a HyperLogLog: 2^14, each the position of a bit among the hash's other 50. Of other
/// states there is only the list of values of a type with few.
fn are_registers(state: &[ScalarValue]) -> bool {
    match state {
        [ScalarValue::Binary(Some(registers))] => registers.len() == 1 << 14 && registers.iter().all(|bit| *bit <= 51),
        [ScalarValue::Binary(None)] => false,
        _ => true,
    }
}
