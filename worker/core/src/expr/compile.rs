//! Syntax tree to [`Expression`]: binds names to columns, coerces types, makes the result total.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use arrow_schema::{DataType, FieldRef, Schema, TimeUnit};
use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, DataFusionError, Result, ScalarValue, TableReference, plan_err};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::planner::{ContextProvider, ExprPlanner};
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::{AggregateUDF, Expr, ExprSchemable, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF, try_cast};
use datafusion_optimizer::simplify_expressions::ExprSimplifier;
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion_sql::sqlparser::ast;

use super::Expression;
use super::functions::scalar_functions;
use super::parse::ExpressionError;
use super::total::make_total;
use crate::aggregate::planning_functions;

/// The type of times: microseconds in UTC.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The type of exact decimal numbers.
pub fn decimal_type() -> DataType {
    DataType::Decimal128(38, 9)
}

/// Binds `tree` to the columns of `schema`, coerces its types and folds its constants. Aggregate functions stay as they
/// are.
///
/// # Errors
/// If a column or function is not there, or the types do not fit.
pub fn bind(tree: ast::Expr, schema: &Schema) -> std::result::Result<Expr, ExpressionError> {
    let bound = || -> Result<Expr> {
        let schema = Arc::new(DFSchema::try_from(schema.clone())?);
        let options = ParserOptions {
            enable_ident_normalization: false,
            ..ParserOptions::default()
        };
        let planner = SqlToRel::new_with_options(&Functions, options);
        let expr = planner.sql_to_expr(tree, &schema, &mut PlannerContext::new())?;
        let context = SimplifyContext::builder().with_schema(Arc::clone(&schema)).build();
        let simplifier = ExprSimplifier::new(context);
        let coerced = simplifier.coerce(expr, &schema)?;
        // A constant that fails, such as 1/0 or exp(1000), is what each row gets: NULL, and a count.
        Ok(match simplifier.simplify(coerced.clone()) {
            Ok(simplified) if !has_failing_constant(&coerced, &simplifier) => simplified,
            _ => coerced,
        })
    };
    bound().map_err(|error| ExpressionError::new(plain_message(&error)))
}

/// Whether a part without columns has a result that is not finite. The simplifier would go on computing with it.
fn has_failing_constant(expr: &Expr, simplifier: &ExprSimplifier) -> bool {
    let mut found = false;
    // Visiting does not fail: the visitor does not.
    let _ = expr.apply(|part| {
        if matches!(part, Expr::Literal(..)) || part.any_column_refs() {
            return Ok(TreeNodeRecursion::Continue);
        }
        found = match simplifier.simplify(part.clone()) {
            Ok(Expr::Literal(ScalarValue::Float64(Some(x)), _)) => !x.is_finite(),
            Ok(_) => false,
            Err(_) => true,
        };
        Ok(if found {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    found
}

/// Makes a bound tree ready to run on batches with this schema. The result has one of the engine's own types.
///
/// # Errors
/// If the tree cannot be run, or has a type that no column can have.
pub fn finish(text: &str, bound: Expr, schema: &Schema) -> std::result::Result<Expression, ExpressionError> {
    let failures = Arc::new(AtomicU64::new(0));
    let made = || -> Result<Expression> {
        let schema = DFSchema::try_from(schema.clone())?;
        let data_type = bound.get_type(&schema)?;
        let Some(own_type) = own_type(&data_type) else {
            return plan_err!("the result has type {data_type}, which is not a type of columns");
        };
        let logical = if own_type == data_type {
            bound
        } else {
            try_cast(bound, own_type.clone())
        };
        let physical = datafusion_physical_expr::create_physical_expr(
            &logical,
            &schema,
            &ExecutionProps::new(),
            &PhysicalPlanningContext::default(),
        )?;
        let physical = make_total(physical, &failures)?;
        Ok(Expression {
            text: text.to_owned(),
            logical,
            data_type: own_type,
            physical,
            failures: Arc::clone(&failures),
        })
    };
    made().map_err(|error| ExpressionError::new(plain_message(&error)))
}

/// A condition: like [`finish`], and the result is Boolean.
///
/// # Errors
/// As [`finish`], or if the result is something else.
pub fn finish_condition(text: &str, bound: Expr, schema: &Schema) -> std::result::Result<Expression, ExpressionError> {
    let condition = finish(text, bound, schema)?;
    match condition.data_type {
        DataType::Boolean => Ok(condition),
        other => Err(ExpressionError::new(format!(
            "expected a condition (true or false), found an expression of type {}",
            type_name(&other)
        ))),
    }
}

/// The type of ours that holds all values of `data_type`.
pub fn own_type(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Boolean => DataType::Boolean,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => DataType::Int64,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::UInt64,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => DataType::Float64,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            DataType::Decimal128(38, 9)
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => DataType::Utf8,
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => timestamp_type(),
        _ => return None,
    })
}

/// What users call a type.
pub fn type_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "Boolean",
        DataType::Int64 => "Int64",
        DataType::UInt64 => "UInt64",
        DataType::Float64 => "Float64",
        DataType::Decimal128(..) => "Decimal",
        DataType::Utf8 => "String",
        DataType::Timestamp(..) => "Timestamp",
        _ => "unknown",
    }
}

/// The type that users call so.
pub fn type_named(name: &str) -> Option<DataType> {
    let types = [
        DataType::Boolean,
        DataType::Int64,
        DataType::UInt64,
        DataType::Float64,
        decimal_type(),
        DataType::Utf8,
        timestamp_type(),
    ];
    types.into_iter().find(|data_type| type_name(data_type) == name)
}

/// DataFusion's message without its own heading.
fn plain_message(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text = text.lines().next().unwrap_or_default();
    if let Some((call, _)) = text.split_once(" failed to match any signature") {
        let function = call
            .rsplit_once("Function ")
            .map_or(call, |(_, name)| name)
            .trim_matches('\'');
        let given = text
            .split_once("but received ")
            .and_then(|(_, given)| given.split_once(" (DataType"));
        let given = given.map(|(given, _)| format!(", such as {given}")).unwrap_or_default();
        return format!("`{function}` does not take arguments of these types{given}");
    }
    let types = |text: &str| {
        let named = [
            ("Timestamp(µs, \"UTC\")", "Timestamp"),
            ("Decimal128(38, 9)", "Decimal"),
            ("Utf8", "String"),
        ];
        let text = text.trim_end_matches(" to valid types");
        named
            .iter()
            .fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
    };
    if let Some((_, of)) = text.split_once("for comparison operation ") {
        let of = types(of);
        let hint = if of.contains("Timestamp") {
            "; a time is compared with a time: to_timestamp('2026-01-01T00:00:00Z')"
        } else {
            ""
        };
        return format!("values of these types cannot be compared: {of}{hint}");
    }
    if let Some((_, of)) = text.split_once("Cannot coerce arithmetic expression ") {
        return format!("there is no such arithmetic with values of these types: {}", types(of));
    }
    if let Some((_, of)) = text.split_once("Cannot infer common argument type for logical boolean operation ") {
        return format!("AND and OR take conditions (true or false): {}", types(of));
    }
    [
        "Error during planning: ",
        "Internal error: ",
        "Schema error: ",
        "Execution error: ",
        "This feature is not implemented: ",
    ]
    .iter()
    .fold(text, |text, heading| text.trim_start_matches(heading))
    .to_owned()
}

/// Aggregate functions by name and alias.
pub fn aggregate_functions() -> &'static HashMap<String, Arc<AggregateUDF>> {
    static FUNCTIONS: OnceLock<HashMap<String, Arc<AggregateUDF>>> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let mut by_name = HashMap::new();
        for function in planning_functions() {
            for alias in function.aliases() {
                by_name.insert(alias.clone(), Arc::clone(&function));
            }
            by_name.insert(function.name().to_owned(), function);
        }
        by_name
    })
}

/// What DataFusion's SQL planner may use: functions, and nothing else.
struct Functions;

fn planners() -> &'static [Arc<dyn ExprPlanner>] {
    static PLANNERS: OnceLock<Vec<Arc<dyn ExprPlanner>>> = OnceLock::new();
    PLANNERS.get_or_init(|| {
        vec![
            Arc::new(datafusion_functions::core::planner::CoreFunctionPlanner::default()),
            Arc::new(datafusion_functions::datetime::planner::DatetimeFunctionPlanner),
            Arc::new(datafusion_functions::unicode::planner::UnicodeFunctionPlanner),
            Arc::new(datafusion_functions_aggregate::planner::AggregateFunctionPlanner),
        ]
    })
}

fn options() -> &'static ConfigOptions {
    static OPTIONS: OnceLock<ConfigOptions> = OnceLock::new();
    OPTIONS.get_or_init(ConfigOptions::default)
}

impl ContextProvider for Functions {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        plan_err!("`{name}` is a table inside an expression; a stream has no subqueries")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, _: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn get_variable_field(&self, _: &[String]) -> Option<FieldRef> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        options()
    }

    fn udf_names(&self) -> Vec<String> {
        scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;
    use arrow_array::{Array, Float64Array, Int64Array, RecordBatch};
    use arrow_schema::Field;

    use super::*;
    use crate::expr::parse::parse_expression;
    use crate::expr::uses::{Use, Uses};

    fn expression(text: &str) -> std::result::Result<Expression, ExpressionError> {
        let tree = parse_expression(text)?;
        Uses::default().collect(&tree, Use::Any)?;
        finish(text, bind(tree, &schema())?, &schema())
    }

    fn schema() -> Schema {
        Schema::new(vec![
            Field::new("x", DataType::Float64, true),
            Field::new("n", DataType::Int64, true),
        ])
    }

    /// What an expression is over x = 0, 1, NULL, 1e308 and n = 0, 2, NULL, the largest; and how often it failed.
    fn check(text: &str, expected: &[Option<f64>], n_failures: u64) {
        let x = Float64Array::from(vec![Some(0.0), Some(1.0), None, Some(1e308)]);
        let n = Int64Array::from(vec![Some(0), Some(2), None, Some(i64::MAX)]);
        let rows = RecordBatch::try_new(Arc::new(schema()), vec![Arc::new(x), Arc::new(n)]).unwrap();
        let expression = expression(&format!("CAST({text} AS DOUBLE)")).unwrap();
        let whole = expression.evaluate(&rows);
        assert_eq!(
            whole.as_primitive::<Float64Type>().iter().collect::<Vec<_>>(),
            expected,
            "{text}"
        );
        assert_eq!(expression.n_failures(), n_failures, "{text}");
        // A row's value does not depend on its neighbours.
        for row in 0..rows.num_rows() {
            assert_eq!(
                &expression.evaluate(&rows.slice(row, 1)),
                &whole.slice(row, 1),
                "{text}, row {row}"
            );
        }
    }

    #[test]
    fn what_fails_is_null_for_its_row_alone_and_counted() {
        check("1 / x", &[None, Some(1.0), None, Some(1e-308)], 1);
        check("10 / n", &[None, Some(5.0), None, Some(0.0)], 1);
        check("n + 1", &[Some(1.0), Some(3.0), None, None], 1);
        check("x * 10", &[Some(0.0), Some(10.0), None, None], 1);
        check("ln(x - 1)", &[None, None, None, Some(libm::log(1e308))], 2);
        // Of constants, too: 1 would be true.
        check("CAST(exp(1000) > 1 AS INT)", &[None; 4], 4);
        check("CAST(power(10, 400) > ln(0) AS INT)", &[None; 4], 8);
        check("CAST('NaN' AS DOUBLE)", &[None; 4], 4);
        check(
            "CAST(CASE WHEN n = 2 THEN 'inf' ELSE '1' END AS DOUBLE)",
            &[Some(1.0), None, Some(1.0), Some(1.0)],
            1,
        );
        check("CAST(1e300 AS DECIMAL(38, 9))", &[None; 4], 4);
        check("NULL", &[None; 4], 0);
        check(
            "CASE WHEN x > 0 OR 1 / x > 0 THEN 1.0 ELSE 2.0 END",
            &[Some(2.0), Some(1.0), Some(2.0), Some(1.0)],
            1,
        );
    }

    #[test]
    fn a_long_chain_compiles_on_a_small_stack_and_a_longer_one_is_refused() {
        let chain = |n: usize| vec!["x"; n].join(" + ");
        assert!(expression(&chain(100)).is_ok());
        let error = expression(&chain(1000)).unwrap_err();
        assert_eq!(error.message, "nested deeper than 100 levels");
    }
}
