//! Text to syntax tree, with errors that point at the place.

use datafusion_sql::sqlparser::ast::{Expr, Spanned, Statement};
use datafusion_sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::{Location, Token};

/// Longest text of an expression, in bytes.
pub const MAX_TEXT: usize = 4096;

/// How deep the tree of an expression may be, chains such as a + b + c included. Far more than people write, and safe on
/// a thread's default stack.
pub const MAX_NESTING: usize = 100;

/// How deep brackets may be nested: the parser needs much more stack a level than what comes behind it.
const MAX_BRACKETS: usize = 30;

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    /// What is wrong.
    pub message: String,
    /// Line and column of the place, from 1, if it is known.
    pub place: Option<(u64, u64)>,
    /// What to do about it.
    pub advice: Option<String>,
}

impl ExpressionError {
    /// An error without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            place: None,
            advice: None,
        }
    }

    /// An error at the place where a part of the syntax tree begins.
    pub fn at(message: impl Into<String>, part: &impl Spanned) -> Self {
        let Location { line, column } = part.span().start;
        Self {
            message: message.into(),
            place: (line > 0).then_some((line, column)),
            advice: None,
        }
    }

    /// The same error with advice.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The line of `text` with a caret under the place, and the advice.
    pub fn hint(&self, text: &str) -> Option<String> {
        let picture = self.place.and_then(|(line, column)| picture(text, line, column));
        match (picture, &self.advice) {
            (Some(picture), Some(advice)) => Some(format!("{picture}\n{advice}")),
            (picture, advice) => picture.or_else(|| advice.clone()),
        }
    }
}

/// The line of the text and a caret below; long lines are cut around the place.
fn picture(text: &str, line: u64, column: u64) -> Option<String> {
    const BEFORE: usize = 60;
    const WIDTH: usize = 100;
    let line = text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?)?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?.min(line.chars().count());
    let first = column.saturating_sub(BEFORE);
    let cut: String = line
        .chars()
        .skip(first)
        .take(WIDTH)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    Some(format!("{cut}\n{}^", " ".repeat(column - first)))
}

/// One expression, and nothing behind it.
///
/// # Errors
/// If the text is too long or no expression, or nested too deep.
pub fn parse_expression(text: &str) -> Result<Expr, ExpressionError> {
    check_length(text)?;
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(MAX_BRACKETS)
        .try_with_sql(text)
        .map_err(|error| parser_error(text, error))?;
    let expr = parser.parse_expr().map_err(|error| parser_error(text, error))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let Location { line, column } = next.span.start;
        return Err(ExpressionError {
            message: format!("expected the end of the expression, found `{next}`"),
            place: Some((line, column)),
            advice: None,
        });
    }
    Ok(expr)
}

/// One SQL statement.
///
/// # Errors
/// If the text is too long, no statement, or more than one.
pub fn parse_statement(text: &str) -> Result<Statement, ExpressionError> {
    check_length(text)?;
    let dialect = PostgreSqlDialect {};
    let statements = Parser::new(&dialect)
        .with_recursion_limit(MAX_BRACKETS)
        .try_with_sql(text)
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| parser_error(text, error))?;
    let n_statements = statements.len();
    match statements.into_iter().next() {
        Some(statement) if n_statements == 1 => Ok(statement),
        _ => Err(ExpressionError::new(format!(
            "expected one SELECT, found {n_statements} statements"
        ))),
    }
}

fn check_length(text: &str) -> Result<(), ExpressionError> {
    if text.len() > MAX_TEXT {
        return Err(ExpressionError::new(format!(
            "the text has {} bytes; at most {MAX_TEXT} are taken",
            text.len()
        )));
    }
    if text.trim().is_empty() {
        return Err(ExpressionError::new("the expression is empty"));
    }
    Ok(())
}

/// The parser writes the place at the end of its message: ` at Line: 1, Column: 9`; none where the text ends too early.
fn parser_error(source: &str, error: ParserError) -> ExpressionError {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => {
            return ExpressionError::new(format!("nested deeper than {MAX_BRACKETS} levels"));
        }
    };
    if let Some(expected) = text.strip_suffix(", found: EOF") {
        let line = source.lines().count().max(1);
        let column = source.lines().last().map_or(0, |line| line.chars().count()) + 1;
        return ExpressionError {
            message: format!("{}, found the end", lower_first(expected)),
            place: Some((line as u64, column as u64)),
            advice: None,
        };
    }
    let Some((message, place)) = text.rsplit_once(" at Line: ") else {
        return ExpressionError::new(lower_first(&text));
    };
    let place = place
        .split_once(", Column: ")
        .and_then(|(line, column)| Some((line.parse().ok()?, column.parse().ok()?)));
    ExpressionError {
        message: lower_first(message),
        place,
        advice: None,
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_lowercase().chain(chars).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: Expect) {
        let error = parse_expression(text).unwrap_err();
        let hint = error.hint(text).map(|hint| format!("\n{hint}")).unwrap_or_default();
        expected.assert_eq(&format!("{}{hint}", error.message));
    }

    #[test]
    fn an_error_shows_the_place_with_a_caret() {
        check(
            "cpu > > 80",
            expect![[r#"
            expected: an expression, found: >
            cpu > > 80
                  ^"#]],
        );
        check(
            "cpu > 80 memory",
            expect![[r#"
            expected the end of the expression, found `memory`
            cpu > 80 memory
                     ^"#]],
        );
        check(
            "severity = 'CRIT",
            expect![[r#"
            unterminated string literal
            severity = 'CRIT
                       ^"#]],
        );
        check(
            "(cpu > 80",
            expect![[r#"
            expected: ), found the end
            (cpu > 80
                     ^"#]],
        );
        check("  ", expect!["the expression is empty"]);
    }

    #[test]
    fn a_text_over_four_kibibytes_is_refused() {
        check(
            &"x".repeat(4097),
            expect!["the text has 4097 bytes; at most 4096 are taken"],
        );
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        check(
            &format!("{}1{}", "(".repeat(2000), ")".repeat(2000)),
            expect!["nested deeper than 30 levels"],
        );
    }
}
