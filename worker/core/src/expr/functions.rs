//! The scalar functions that expressions may use, and what their arguments are.
//!
//! Only functions whose result depends on their arguments alone: no clock, no random numbers, no settings of a session.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use datafusion_expr::{ScalarUDF, Volatility};

use super::libm_functions;
use super::uses::Use;

/// Functions that are left out although their result depends on their arguments alone, with the reason.
const LEFT_OUT: &[(&str, &str)] = &[
    ("arrow_cast", "shows the engine's inside; use CAST"),
    ("arrow_try_cast", "shows the engine's inside; use CAST"),
    ("arrow_typeof", "shows the engine's inside"),
    ("arrow_metadata", "shows the engine's inside"),
    ("arrow_field", "shows the engine's inside"),
    ("with_metadata", "shows the engine's inside"),
    ("cast_to_type", "shows the engine's inside; use CAST"),
    ("try_cast_to_type", "shows the engine's inside; use CAST"),
    ("version", "says the version of a library"),
    ("union_extract", "streams have no unions"),
    ("union_tag", "streams have no unions"),
    ("struct", "columns are plain values"),
    ("named_struct", "columns are plain values"),
    ("get_field", "columns are plain values"),
    (
        "regexp_match",
        "columns are plain values; use regexp_like or regexp_replace",
    ),
    ("input_file_name", "records have no file"),
    ("file_row_index", "records have no file"),
    ("make_time", "there are no columns of times of day"),
    ("to_time", "there are no columns of times of day"),
    ("decode", "its result is bytes, which no column holds"),
    ("repeat", "its result has no bound"),
    ("lpad", "its result has no bound"),
    ("rpad", "its result has no bound"),
    ("factorial", "it overflows at 21"),
];

/// What people write for the current time, and what a stream has instead.
const CLOCK: &[&str] = &["now", "current_timestamp", "current_date", "current_time", "today"];

/// Functions that are there, by name and alias.
pub fn scalar_functions() -> &'static HashMap<String, Arc<ScalarUDF>> {
    static FUNCTIONS: OnceLock<HashMap<String, Arc<ScalarUDF>>> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let ours = libm_functions::functions();
        let mut by_name = HashMap::new();
        // Ours come last and so replace those that call the platform's mathematics.
        for function in datafusion_functions::all_default_functions().into_iter().chain(ours) {
            let left_out = LEFT_OUT.iter().any(|(name, _)| *name == function.name());
            if left_out || function.signature().volatility != Volatility::Immutable {
                continue;
            }
            for alias in function.aliases() {
                by_name.insert(alias.clone(), function.clone());
            }
            by_name.insert(function.name().to_owned(), function);
        }
        by_name
    })
}

/// Functions that depend on their arguments alone and are left out, each with the reason.
pub fn left_out() -> &'static [(&'static str, &'static str)] {
    LEFT_OUT
}

/// Why a function that people know is not there.
pub fn refusal(name: &str) -> Option<String> {
    if CLOCK.contains(&name) {
        return Some(format!(
            "`{name}()` reads the clock, so a replay would give another result; use `event_time`"
        ));
    }
    if let Some((_, reason)) = LEFT_OUT.iter().find(|(left_out, _)| *left_out == name) {
        return Some(format!("`{name}` is not offered: {reason}"));
    }
    let known = datafusion_functions::all_default_functions();
    let function = known
        .iter()
        .find(|f| f.name() == name || f.aliases().iter().any(|alias| alias == name))?;
    (function.signature().volatility != Volatility::Immutable)
        .then(|| format!("`{name}` gives another result each time, so a replay would not repeat the first run"))
}

/// What an argument of a function is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentUse {
    /// Always this.
    Is(Use),
    /// What the other arguments, or the place of the call, show.
    SameAsOthers,
}

/// What argument `i` of the function `name` (in small letters) is used as.
pub fn argument_use(name: &str, i: usize) -> ArgumentUse {
    use ArgumentUse::{Is, SameAsOthers};
    match name {
        "count" | "first" | "last" | "first_value" | "last_value" | "distinct" | "approx_distinct" => Is(Use::Passed),
        "min" | "max" | "coalesce" | "nullif" | "nvl" | "ifnull" | "nvl2" | "greatest" | "least" => SameAsOthers,
        "date_trunc" | "date_bin" | "date_part" | "datepart" | "datetrunc" if i == 0 => Is(Use::Text),
        "to_char" | "date_format" if i == 1 => Is(Use::Text),
        "date_trunc" | "date_bin" | "date_part" | "datepart" | "datetrunc" | "to_char" | "date_format"
        | "to_unixtime" | "to_local_time" => Is(Use::Timestamp),
        "to_timestamp"
        | "to_timestamp_millis"
        | "to_timestamp_micros"
        | "to_timestamp_nanos"
        | "to_timestamp_seconds"
        | "to_date"
        | "to_time" => Is(Use::AsWritten),
        "bool_and" | "bool_or" => Is(Use::Boolean),
        "string_agg" => Is(Use::Text),
        // Text functions with counts behind the text.
        "left" | "right" | "substr" | "substring" | "split_part" | "substr_index" | "chr"
            if i > 0 && !(name == "split_part" && i == 1) =>
        {
            Is(Use::Number)
        }
        _ if result_use(name) == Use::Number && !TEXT_TO_NUMBER.contains(&name) => Is(Use::Number),
        _ if TEXT_TO_BOOLEAN.contains(&name) || TEXT_TO_NUMBER.contains(&name) => Is(Use::Text),
        _ if result_use(name) == Use::Text => Is(Use::Text),
        _ => SameAsOthers,
    }
}

const TEXT_TO_NUMBER: &[&str] = &[
    "length",
    "char_length",
    "character_length",
    "bit_length",
    "octet_length",
    "ascii",
    "strpos",
    "position",
    "instr",
    "levenshtein",
    "find_in_set",
    "regexp_count",
    "regexp_instr",
];

const TEXT_TO_BOOLEAN: &[&str] = &["starts_with", "ends_with", "contains", "regexp_like"];

const TEXT_TO_TEXT: &[&str] = &[
    "btrim",
    "trim",
    "ltrim",
    "rtrim",
    "concat",
    "concat_ws",
    "lower",
    "upper",
    "replace",
    "split_part",
    "initcap",
    "left",
    "right",
    "reverse",
    "substr",
    "substring",
    "substr_index",
    "translate",
    "regexp_replace",
    "overlay",
    "to_hex",
    "chr",
    "md5",
    "string_agg",
];

const NUMBERS: &[&str] = &[
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "ceil",
    "cos",
    "cosh",
    "cot",
    "degrees",
    "exp",
    "floor",
    "gcd",
    "lcm",
    "ln",
    "log",
    "log2",
    "log10",
    "nanvl",
    "pi",
    "power",
    "pow",
    "radians",
    "signum",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "round",
    "trunc",
    "sum",
    "avg",
    "mean",
    "var",
    "var_samp",
    "var_pop",
    "var_sample",
    "var_population",
    "stddev",
    "stddev_samp",
    "stddev_pop",
    "approx_percentile_cont",
    "percentile",
    "percentile_cont",
    "approx_median",
    "median",
    "p50",
    "p90",
    "p95",
    "p99",
    "count",
    "distinct",
    "approx_distinct",
    "corr",
    "covar",
    "covar_samp",
    "covar_pop",
    "regr_slope",
    "regr_intercept",
    "regr_count",
    "regr_r2",
    "regr_avgx",
    "regr_avgy",
    "regr_sxx",
    "regr_syy",
    "regr_sxy",
    "bit_and",
    "bit_or",
    "bit_xor",
];

/// What the result of the function `name` (in small letters) is, as far as the name tells.
pub fn result_use(name: &str) -> Use {
    if NUMBERS.contains(&name) || TEXT_TO_NUMBER.contains(&name) {
        return Use::Number;
    }
    if TEXT_TO_TEXT.contains(&name) {
        return Use::Text;
    }
    if TEXT_TO_BOOLEAN.contains(&name) || name == "bool_and" || name == "bool_or" {
        return Use::Boolean;
    }
    match name {
        "to_char" | "date_format" => Use::Text,
        "date_part" | "datepart" | "to_unixtime" => Use::Number,
        "date_trunc" | "datetrunc" | "date_bin" | "make_date" => Use::Timestamp,
        _ if name.starts_with("to_timestamp") => Use::Timestamp,
        _ => Use::Any,
    }
}
