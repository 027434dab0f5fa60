//! Refuses what no stream can compute, before DataFusion says so in its own words.

use datafusion_sql::sqlparser::ast;

use super::names::nearest;
use crate::expr::compile::aggregate_functions;
use crate::expr::functions::{refusal, scalar_functions};
use crate::expr::parse::ExpressionError;
use crate::expr::patterns::check_patterns;
use crate::expr::uses::{Use, Uses, arguments};

/// Whether an expression may aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregates {
    /// It selects results of a window.
    Taken,
    /// It sees one row at a time.
    Refused,
}

/// Checks a tree.
///
/// # Errors
/// The first thing that is refused, with its place.
pub fn check(tree: &ast::Expr, aggregates: Aggregates) -> Result<(), ExpressionError> {
    // First, because it also looks whether the tree is shallow enough for all that follows.
    Uses::default().collect(tree, Use::Any)?;
    check_functions(tree)?;
    check_aggregates(tree, aggregates)?;
    check_patterns(tree)
}

fn check_aggregates(tree: &ast::Expr, aggregates: Aggregates) -> Result<(), ExpressionError> {
    let mut wrong = None;
    walk_functions(tree, &mut |function| {
        if wrong.is_some() || !is_aggregate(function) {
            return;
        }
        let error = |message: &str| ExpressionError::at(format!("`{}` {message}", function.name), &function.name);
        if aggregates == Aggregates::Refused {
            let error = error("makes one value of many rows, and here is one row at a time");
            wrong = Some(error.advice("put an `aggregate` stage before this one, and read its column here"));
            return;
        }
        for argument in arguments(function).unwrap_or_default() {
            walk_functions(argument, &mut |inner| {
                if wrong.is_none() && is_aggregate(inner) {
                    let error = error(&format!("cannot aggregate what `{}` aggregates", inner.name));
                    wrong = Some(error.advice("make two `aggregate` stages, one behind the other"));
                }
            });
        }
    });
    wrong.map_or(Ok(()), Err)
}

/// Whether a call is one of an aggregate function.
pub fn is_aggregate(function: &ast::Function) -> bool {
    aggregate_functions().contains_key(&function.name.to_string().to_lowercase())
}

fn check_functions(tree: &ast::Expr) -> Result<(), ExpressionError> {
    let mut wrong = None;
    walk_functions(tree, &mut |function| {
        let name = function.name.to_string().to_lowercase();
        let aggregates = aggregate_functions();
        if scalar_functions().contains_key(&name) || aggregates.contains_key(&name) || wrong.is_some() {
            return;
        }
        let error = match refusal(&name) {
            Some(reason) => ExpressionError::at(reason, &function.name),
            None => {
                let known = scalar_functions().keys().chain(aggregates.keys()).map(String::as_str);
                ExpressionError::at(format!("there is no function `{name}`"), &function.name).advice(
                    match nearest(&name, known) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "the functions are listed in docs/functions.md".to_owned(),
                    },
                )
            }
        };
        wrong = Some(error);
    });
    wrong.map_or(Ok(()), Err)
}

/// Calls `visit` for each function call in the tree.
pub fn walk_functions(tree: &ast::Expr, visit: &mut dyn FnMut(&ast::Function)) {
    use std::ops::ControlFlow;
    let _ = ast::visit_expressions(tree, |expr| {
        if let ast::Expr::Function(function) = expr {
            visit(function);
        }
        ControlFlow::<()>::Continue(())
    });
}
