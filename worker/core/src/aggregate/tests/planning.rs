//! Names, coercion and types in queries.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{DFSchema, DataFusionError, TableReference, plan_err};
use datafusion_expr::expr::AggregateFunction;
use datafusion_expr::logical_plan::builder::LogicalTableSource;
use datafusion_expr::planner::ExprPlanner;
use datafusion_expr::{AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF};
use datafusion_functions_aggregate::planner::AggregateFunctionPlanner;
use datafusion_optimizer::analyzer::AnalyzerRule;
use datafusion_optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion_sql::planner::{ContextProvider, SqlToRel};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;

use super::super::{Aggregate, planning_functions};

struct Catalogue {
    functions: Vec<Arc<AggregateUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
    options: ConfigOptions,
}

impl ContextProvider for Catalogue {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>, DataFusionError> {
        if name.table() != "t" {
            return plan_err!("no table {name}");
        }
        let fields = vec![
            Field::new("i", DataType::Int64, true),
            Field::new("n", DataType::Int32, true),
            Field::new("f", DataType::Float64, true),
            Field::new("s", DataType::Utf8, true),
            Field::new("b", DataType::Boolean, true),
            Field::new("d", DataType::Decimal128(38, 9), true),
            Field::new(
                "t",
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                true,
            ),
        ];
        Ok(Arc::new(LogicalTableSource::new(Arc::new(Schema::new(fields)))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_function_meta(&self, _name: &str) -> Option<Arc<ScalarUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        let named = |f: &&Arc<AggregateUDF>| f.name() == name || f.aliases().iter().any(|alias| alias == name);
        self.functions.iter().find(named).cloned()
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        vec![]
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        vec![]
    }

    fn udaf_names(&self) -> Vec<String> {
        self.functions
            .iter()
            .map(|function| function.name().to_owned())
            .collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        vec![]
    }
}

/// The type of an aggregate expression's result, as the planner and the registry see it.
fn types_of(expression: &str) -> (DataType, Result<DataType, String>) {
    let planners: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(AggregateFunctionPlanner)];
    let catalogue = Catalogue {
        functions: planning_functions(),
        planners,
        options: ConfigOptions::default(),
    };
    let query = format!("SELECT {expression} FROM t GROUP BY i");
    let statement = Parser::parse_sql(&GenericDialect {}, &query).unwrap().remove(0);
    let plan = SqlToRel::new(&catalogue)
        .sql_statement_to_plan(statement)
        .unwrap_or_else(|e| panic!("{expression}: {e}"));
    let plan = TypeCoercion::new()
        .analyze(plan, &catalogue.options)
        .unwrap_or_else(|e| panic!("{expression}: {e}"));
    let planned = plan.schema().field(0).data_type().clone();
    let mut aggregate = None;
    plan_aggregates(&plan, &mut |function, schema| {
        let resolved = Aggregate::of(function, schema);
        aggregate = Some(
            resolved
                .map(|aggregate| aggregate.data_type().clone())
                .map_err(|error| error.to_string()),
        );
    });
    (planned, aggregate.unwrap())
}

fn plan_aggregates(plan: &LogicalPlan, f: &mut impl FnMut(&AggregateFunction, &DFSchema)) {
    if let LogicalPlan::Aggregate(aggregate) = plan {
        for mut expr in &aggregate.aggr_expr {
            while let Expr::Alias(alias) = expr {
                expr = &alias.expr;
            }
            if let Expr::AggregateFunction(function) = expr {
                f(function, aggregate.input.schema());
            }
        }
    }
    plan.inputs().iter().for_each(|input| plan_aggregates(input, f));
}

#[test]
fn calls_in_queries_are_resolved_coerced_and_typed() {
    use DataType::*;
    let time = Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let cases = [
        ("count(*)", Int64),
        ("count(s)", Int64),
        ("count(DISTINCT s)", Int64),
        ("count_distinct(s)", Int64),
        ("approx_distinct(s)", UInt64),
        ("sum(i)", Int64),
        ("sum(n)", Int64),
        ("sum(d)", Decimal128(38, 9)),
        ("avg(i)", Float64),
        ("mean(f)", Float64),
        ("avg(CASE WHEN s = 'x' THEN 1.0 ELSE 0.0 END)", Float64),
        ("min(s)", Utf8),
        ("max(t)", time.clone()),
        ("var(i)", Float64),
        ("stddev_samp(n)", Float64),
        ("first(s)", Utf8),
        ("last_value(t)", time),
        ("last_value(s) IGNORE NULLS", Utf8),
        ("any_value(b)", Boolean),
        ("median(i)", Float64),
        ("p95(i)", Float64),
        ("p50(f)", Float64),
        ("percentile(f, 0.9)", Float64),
        ("approx_percentile_cont(i, 0.95)", Float64),
        ("approx_percentile_cont(d, 0.95, 200)", Float64),
        ("percentile_cont(0.5) WITHIN GROUP (ORDER BY f DESC)", Float64),
        ("corr(i, f)", Float64),
        ("regr_count(i, f)", UInt64),
        ("bool_or(b)", Boolean),
        ("bit_xor(i)", Int64),
        ("string_agg(s, ', ')", LargeUtf8),
        ("nth_value(s, 2)", Utf8),
        ("array_agg(i)", super::harness::list()),
    ];
    for (expression, expected) in cases {
        assert_eq!(types_of(expression), (expected.clone(), Ok(expected)), "{expression}");
    }
}

#[test]
fn refused_functions_are_known_and_named() {
    let (_, refused) = types_of("approx_percentile_cont_with_weight(f, f, 0.5)");
    let reason = "its t-digest depends on how records were batched; use percentile(x, q), which has no weights";
    assert_eq!(
        refused,
        Err(format!(
            "`approx_percentile_cont_with_weight` is not available: {reason}"
        ))
    );
}

#[test]
fn no_two_functions_share_a_name() {
    let functions = planning_functions();
    let names = functions
        .iter()
        .flat_map(|f| std::iter::once(f.name()).chain(f.aliases().iter().map(String::as_str)));
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
}
