//! What type each column of an expression is used as.
//!
//! A column without a declared type gets it from what stands beside it: a literal, an operator, a function. The rules
//! look at the syntax alone, before any type is known.

use datafusion_sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, Ident, OrderByExpr, UnaryOperator, Value,
};

use super::functions::{ArgumentUse, argument_use, result_use};
use super::parse::{ExpressionError, MAX_NESTING};

/// What a column is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// In a place that takes any type, so that it says nothing.
    Any,
    /// Only passed on or tested for NULL.
    Passed,
    /// As a key, or as the source of a cast: text as it is written.
    AsWritten,
    /// As text.
    Text,
    /// As a number.
    Number,
    /// As true or false.
    Boolean,
    /// As a time.
    Timestamp,
}

/// A column in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnUse {
    /// The column's name.
    pub name: String,
    /// What it is used as.
    pub used_as: Use,
    /// Where it stands: line and column, from 1.
    pub place: (u64, u64),
}

/// The columns of an expression, and the pairs that are compared with one another and so have one type.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    /// Each place where a column stands.
    pub columns: Vec<ColumnUse>,
    /// Columns that must have the same type.
    pub same: Vec<(String, String)>,
}

impl Uses {
    /// Adds the columns of `expr`, which stands in a place that wants `wanted`.
    ///
    /// # Errors
    /// If the expression has a part that streams do not know, such as a subquery, or is nested too deep.
    pub fn collect(&mut self, expr: &Expr, wanted: Use) -> Result<(), ExpressionError> {
        self.walk(expr, wanted, 0)
    }

    fn walk(&mut self, expr: &Expr, wanted: Use, depth: usize) -> Result<(), ExpressionError> {
        // The parser's own limit does not count chains such as a + b + c, whose tree is just as deep.
        if depth > MAX_NESTING {
            return Err(ExpressionError::new(format!("nested deeper than {MAX_NESTING} levels")));
        }
        let depth = depth + 1;
        match expr {
            Expr::Identifier(ident) => self.column(ident, wanted),
            Expr::CompoundIdentifier(parts) => return Err(nested_name(expr, parts)),
            Expr::CompoundFieldAccess { root, .. } => {
                let parts = if let Expr::Identifier(ident) = root.as_ref() {
                    vec![ident.clone()]
                } else {
                    Vec::new()
                };
                return Err(nested_name(expr, &parts));
            }
            Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
                return Err(ExpressionError::at(
                    "there is nothing to put in place of a parameter",
                    expr,
                ));
            }
            Expr::Value(value) if is_too_large(&value.value) => {
                return Err(ExpressionError::at("this number is beyond the range of Float64", expr));
            }
            Expr::Value(_) | Expr::TypedString(_) | Expr::Interval(_) => {}
            Expr::Nested(inner) => self.walk(inner, wanted, depth)?,
            Expr::UnaryOp { op, expr } => {
                let wanted = if *op == UnaryOperator::Not {
                    Use::Boolean
                } else {
                    Use::Number
                };
                self.walk(expr, wanted, depth)?;
            }
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, depth)?,
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                self.compared(&[left, right], depth)?;
            }
            Expr::Between { expr, low, high, .. } => self.compared(&[expr, low, high], depth)?,
            Expr::InList { expr, list, .. } => {
                let all: Vec<&Expr> = std::iter::once(expr.as_ref()).chain(list).collect();
                self.compared(&all, depth)?;
            }
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => self.walk(inner, Use::Passed, depth)?,
            Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner) => self.walk(inner, Use::Boolean, depth)?,
            Expr::SimilarTo { .. } => {
                return Err(ExpressionError::at("SIMILAR TO is not offered", expr)
                    .advice("use LIKE, or a regular expression: severity ~ '^(CRIT|MAJ)'"));
            }
            Expr::Like { expr, pattern, .. } | Expr::ILike { expr, pattern, .. } => {
                self.walk(expr, Use::Text, depth)?;
                self.walk(pattern, Use::Text, depth)?;
            }
            Expr::Case {
                operand,
                conditions,
                else_result,
                ..
            } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), wanted, depth)?;
            }
            Expr::Cast { expr, .. } => self.walk(expr, Use::AsWritten, depth)?,
            Expr::Extract { expr, .. } => self.walk(expr, Use::Timestamp, depth)?,
            Expr::Ceil { expr, .. } | Expr::Floor { expr, .. } => self.walk(expr, Use::Number, depth)?,
            Expr::Position { expr, r#in } => {
                self.walk(expr, Use::Text, depth)?;
                self.walk(r#in, Use::Text, depth)?;
            }
            Expr::Substring {
                expr,
                substring_from,
                substring_for,
                ..
            } => {
                self.walk(expr, Use::Text, depth)?;
                for part in [substring_from, substring_for].into_iter().flatten() {
                    self.walk(part, Use::Number, depth)?;
                }
            }
            Expr::Trim { expr, trim_what, .. } => {
                self.walk(expr, Use::Text, depth)?;
                if let Some(what) = trim_what {
                    self.walk(what, Use::Text, depth)?;
                }
            }
            Expr::Function(function) => self.function(function, wanted, depth)?,
            other => {
                return Err(ExpressionError::at(
                    format!("`{other}` is not something a stream can compute"),
                    other,
                ));
            }
        }
        Ok(())
    }

    fn column(&mut self, ident: &Ident, used_as: Use) {
        let start = ident.span.start;
        self.columns.push(ColumnUse {
            name: ident.value.clone(),
            used_as,
            place: (start.line, start.column),
        });
    }

    fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr, depth: usize) -> Result<(), ExpressionError> {
        use BinaryOperator::{And, Divide, Eq, Gt, GtEq, Lt, LtEq, Minus, Modulo, Multiply, NotEq, Or, Plus};
        let wanted = match op {
            And | Or => Use::Boolean,
            Eq | NotEq | Lt | LtEq | Gt | GtEq => return self.compared(&[left, right], depth),
            Plus | Minus if [left, right].iter().any(|side| is_time(side)) => Use::Timestamp,
            Plus | Minus | Multiply | Divide | Modulo => Use::Number,
            // Text for ||, and for the operators of regular expressions.
            _ => Use::Text,
        };
        self.walk(left, wanted, depth)?;
        self.walk(right, wanted, depth)
    }

    /// Parts that are compared with one another: the first whose type shows gives it to the others.
    fn compared(&mut self, parts: &[&Expr], depth: usize) -> Result<(), ExpressionError> {
        let wanted = parts.iter().map(|part| shows(part)).find(|shown| *shown != Use::Any);
        if wanted.is_none() {
            let names: Vec<&Ident> = parts.iter().filter_map(|part| column_of(part)).collect();
            for pair in names.windows(2) {
                self.same.push((pair[0].value.clone(), pair[1].value.clone()));
            }
        }
        for part in parts {
            self.walk(part, wanted.unwrap_or(Use::Any), depth)?;
        }
        Ok(())
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
        wanted: Use,
        depth: usize,
    ) -> Result<(), ExpressionError> {
        match operand {
            Some(operand) => {
                let all: Vec<&Expr> = std::iter::once(operand)
                    .chain(conditions.iter().map(|when| &when.condition))
                    .collect();
                self.compared(&all, depth)?;
            }
            None => {
                for when in conditions {
                    self.walk(&when.condition, Use::Boolean, depth)?;
                }
            }
        }
        let results = || conditions.iter().map(|when| &when.result).chain(otherwise);
        let wanted = match wanted {
            Use::Any | Use::Passed => results().map(shows).find(|shown| *shown != Use::Any).unwrap_or(wanted),
            known => known,
        };
        for result in results() {
            self.walk(result, wanted, depth)?;
        }
        Ok(())
    }

    fn function(&mut self, function: &Function, wanted: Use, depth: usize) -> Result<(), ExpressionError> {
        let name = function.name.to_string().to_lowercase();
        if function.over.is_some() {
            return Err(ExpressionError::at(
                format!("`{name}(...) OVER` needs all rows at once; a stream has `aggregate` with a window instead"),
                &function.name,
            ));
        }
        if let Some(condition) = &function.filter {
            self.walk(condition, Use::Boolean, depth)?;
        }
        let arguments = arguments(function)?;
        let shown = arguments
            .iter()
            .map(|argument| shows(argument))
            .find(|shown| *shown != Use::Any);
        for (i, argument) in arguments.iter().enumerate() {
            let used_as = match argument_use(&name, i) {
                ArgumentUse::Is(used_as) => used_as,
                ArgumentUse::SameAsOthers => shown.unwrap_or(match wanted {
                    Use::Passed => Use::Any,
                    known => known,
                }),
            };
            self.walk(argument, used_as, depth)?;
        }
        for order in orders(function) {
            let is_quantile = name.starts_with("percentile") || name.starts_with("approx_percentile");
            let used_as = if is_quantile { Use::Number } else { Use::Any };
            self.walk(&order.expr, used_as, depth)?;
        }
        Ok(())
    }
}

/// What a call sorts by: `f(x ORDER BY y)`, `f(0.5) WITHIN GROUP (ORDER BY x)`.
fn orders(function: &Function) -> impl Iterator<Item = &OrderByExpr> {
    let clauses = match &function.args {
        FunctionArguments::List(list) => list.clauses.as_slice(),
        FunctionArguments::None | FunctionArguments::Subquery(_) => &[],
    };
    let inner = clauses.iter().flat_map(|clause| match clause {
        FunctionArgumentClause::OrderBy(orders) => orders.as_slice(),
        _ => &[],
    });
    inner.chain(&function.within_group)
}

/// The plain arguments of a function call; `count(*)` has none.
///
/// # Errors
/// If an argument has a name or is a subquery.
pub fn arguments(function: &Function) -> Result<Vec<&Expr>, ExpressionError> {
    match &function.args {
        FunctionArguments::None => Ok(Vec::new()),
        FunctionArguments::Subquery(_) => Err(ExpressionError::at("a stream has no subqueries", &function.name)),
        FunctionArguments::List(list) => list
            .args
            .iter()
            .filter_map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(Ok(expr)),
                FunctionArg::Unnamed(_) => None,
                _ => Some(Err(ExpressionError::at("arguments have no names here", &function.name))),
            })
            .collect(),
    }
}

/// The type that a part shows by itself.
fn shows(expr: &Expr) -> Use {
    match expr {
        Expr::Nested(inner) => shows(inner),
        Expr::Value(value) => match &value.value {
            Value::Number(..) => Use::Number,
            Value::Boolean(_) => Use::Boolean,
            Value::Null | Value::Placeholder(_) => Use::Any,
            _ => Use::Text,
        },
        Expr::TypedString(_) => Use::Timestamp,
        Expr::Like { .. }
        | Expr::ILike { .. }
        | Expr::SimilarTo { .. }
        | Expr::InList { .. }
        | Expr::Between { .. } => Use::Boolean,
        Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::IsTrue(_) | Expr::IsFalse(_) => Use::Boolean,
        Expr::UnaryOp {
            op: UnaryOperator::Not, ..
        } => Use::Boolean,
        Expr::UnaryOp { .. }
        | Expr::Extract { .. }
        | Expr::Ceil { .. }
        | Expr::Floor { .. }
        | Expr::Position { .. } => Use::Number,
        Expr::Substring { .. } | Expr::Trim { .. } => Use::Text,
        Expr::BinaryOp { op, left, right } => match op {
            BinaryOperator::Plus | BinaryOperator::Minus if is_time(left) || is_time(right) => Use::Timestamp,
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo => Use::Number,
            BinaryOperator::StringConcat => Use::Text,
            _ => Use::Boolean,
        },
        Expr::Identifier(ident) if ident.value == "event_time" => Use::Timestamp,
        Expr::Case {
            conditions,
            else_result,
            ..
        } => conditions
            .iter()
            .map(|when| &when.result)
            .chain(else_result.as_deref())
            .map(shows)
            .find(|shown| *shown != Use::Any)
            .unwrap_or(Use::Any),
        Expr::Cast { data_type, .. } => match data_type {
            DataType::Text | DataType::Varchar(_) | DataType::String(_) | DataType::Char(_) => Use::Text,
            DataType::Boolean | DataType::Bool => Use::Boolean,
            DataType::Timestamp(..) | DataType::Date => Use::Timestamp,
            _ => Use::Number,
        },
        Expr::Function(function) => match result_use(&function.name.to_string().to_lowercase()) {
            Use::Any => arguments(function)
                .ok()
                .and_then(|arguments| arguments.into_iter().map(shows).find(|shown| *shown != Use::Any))
                .unwrap_or(Use::Any),
            known => known,
        },
        _ => Use::Any,
    }
}

/// Whether a number would be read as infinity.
fn is_too_large(value: &Value) -> bool {
    matches!(value, Value::Number(text, _) if text.parse::<f64>().is_ok_and(f64::is_infinite))
}

fn is_time(expr: &Expr) -> bool {
    match expr {
        Expr::Interval(_) => true,
        Expr::Nested(inner) => is_time(inner),
        _ => shows(expr) == Use::Timestamp,
    }
}

fn column_of(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(parts) if parts.len() == 2 => parts.last(),
        Expr::Nested(inner) => column_of(inner),
        _ => None,
    }
}

fn nested_name(expr: &Expr, parts: &[Ident]) -> ExpressionError {
    let path = parts
        .iter()
        .map(|part| part.value.as_str())
        .collect::<Vec<_>>()
        .join(".");
    let name = parts.last().map_or("name", |part| part.value.as_str());
    ExpressionError::at(
        format!("`{expr}`: a field inside a field needs a name of its own; the name of a stream is left out"),
        expr,
    )
    .advice(format!(
        "add to the source's format.fields: - {{name: {name}, type: String, path: {path}}}"
    ))
}
