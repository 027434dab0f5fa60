//! Regular expressions that are written as constants: a mistake in one is a mistake of the file.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{self, BinaryOperator, Expr, Value};
use regex::Regex;

use super::parse::ExpressionError;
use super::uses::arguments;

/// Functions whose second argument is a regular expression.
const FUNCTIONS: &[&str] = &["regexp_like", "regexp_replace", "regexp_count", "regexp_instr"];

/// Checks the constant patterns of a tree.
///
/// # Errors
/// If one is no regular expression; the place is that of the pattern.
pub fn check_patterns(tree: &Expr) -> Result<(), ExpressionError> {
    use BinaryOperator::{PGRegexIMatch, PGRegexMatch, PGRegexNotIMatch, PGRegexNotMatch};
    let found = ast::visit_expressions(tree, |expr| {
        let pattern = match expr {
            Expr::BinaryOp {
                op: PGRegexMatch | PGRegexIMatch | PGRegexNotMatch | PGRegexNotIMatch,
                right,
                ..
            } => Some(right.as_ref()),
            Expr::Function(function) if FUNCTIONS.contains(&function.name.to_string().to_lowercase().as_str()) => {
                arguments(function).ok().and_then(|arguments| arguments.get(1).copied())
            }
            _ => None,
        };
        match pattern.map_or(Ok(()), check) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    });
    match found {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

fn check(pattern: &Expr) -> Result<(), ExpressionError> {
    let Expr::Value(value) = pattern else { return Ok(()) };
    let Value::SingleQuotedString(text) = &value.value else {
        return Ok(());
    };
    Regex::new(text).map(drop).map_err(|error| {
        // The last line says what is wrong, those before it show the place within the pattern.
        let said = error.to_string();
        let why = said.lines().last().unwrap_or_default().trim_start_matches("error: ");
        ExpressionError::at(format!("not a regular expression: {why}"), pattern)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::expr::parse::parse_expression;

    fn check(text: &str, expected: Option<(&str, u64)>) {
        let found = check_patterns(&parse_expression(text).unwrap());
        let expected = expected.map(|(message, column)| (message.to_owned(), Some((1, column))));
        assert_eq!(
            found.err().map(|error| (error.message, error.place)),
            expected,
            "{text}"
        );
    }

    #[test]
    fn a_constant_pattern_that_is_none_is_found_at_its_place() {
        let message = "not a regular expression: unclosed character class";
        check("severity ~ '['", Some((message, 12)));
        check("n > 1 AND NOT (severity !~* 'a[')", Some((message, 29)));
        check("regexp_like(severity, '[', 'i')", Some((message, 23)));
        check("severity ~ '^CRIT'", None);
        check("severity ~ pattern", None);
        check("'[' ~ severity", None);
    }
}
