//! `sql` stages: one SELECT over a stream, taken apart into what other stages do as well.

use datafusion_sql::sqlparser::ast::{
    self, DateTimeField, FunctionArguments, GroupByExpr, Query, SelectItem, SetExpr, Spanned, Statement, TableFactor,
    TableObject, Value,
};
use tocsin_contract::duration::Duration;
use tocsin_contract::problem::Problem;

use super::parsed::{Text, problem};
use super::refused::{Aggregates, check, is_aggregate, walk_functions};
use crate::expr::parse::{ExpressionError, parse_statement};
use crate::expr::uses::arguments;
use crate::stage::aggregate::Window;

/// A SELECT, taken apart.
#[derive(Clone, Debug)]
pub struct ParsedSql {
    /// The stream behind FROM.
    pub from: String,
    /// The sink behind INSERT INTO.
    pub into: Option<String>,
    /// WHERE.
    pub filter: Option<Text>,
    /// The selected columns with their names; nothing for `*`.
    pub select: Option<Vec<(String, Text)>>,
    /// GROUP BY without the window.
    pub group_by: Vec<Text>,
    /// The window of GROUP BY.
    pub window: Option<Window>,
    /// HAVING.
    pub having: Option<Text>,
}

impl ParsedSql {
    /// The name of the selected column that is this key; of a `SELECT *` there is none.
    pub fn column_of(&self, key: &Text) -> Option<&str> {
        let mut selected = self.select.iter().flatten();
        selected
            .find(|(_, text)| text.tree == key.tree)
            .map(|(name, _)| name.as_str())
    }

    /// Whether it aggregates.
    pub fn aggregates(&self) -> bool {
        let calls = |text: &Text| {
            let mut found = false;
            walk_functions(&text.tree, &mut |function| found |= is_aggregate(function));
            found
        };
        let selected = self.select.iter().flatten().map(|(_, text)| text);
        !self.group_by.is_empty() || self.window.is_some() || self.having.is_some() || selected.into_iter().any(calls)
    }
}

/// Reads the statement of a `sql` stage.
pub fn parse(stage: &str, statement: &str, problems: &mut Vec<Problem>) -> Option<ParsedSql> {
    let path = format!("{stage}.sql");
    match parse_statement(statement).and_then(|tree| take_apart(&path, statement, tree)) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            problems.push(problem(path, statement, &error));
            None
        }
    }
}

fn take_apart(path: &str, text: &str, statement: Statement) -> Result<ParsedSql, ExpressionError> {
    let (into, query) = match statement {
        Statement::Query(query) => (None, query),
        Statement::Insert(insert) => {
            let TableObject::TableName(name) = &insert.table else {
                return Err(refused("INSERT INTO something else than a sink"));
            };
            if !insert.columns.is_empty() {
                return Err(refused("a list of columns behind INSERT INTO").advice("name the columns in SELECT"));
            }
            let into = name.to_string();
            let query = insert.source.ok_or_else(|| refused("INSERT without SELECT"))?;
            (Some(into), query)
        }
        _ => {
            return Err(ExpressionError::new(
                "expected one SELECT, or INSERT INTO <sink> SELECT",
            ));
        }
    };
    let Query {
        with,
        body,
        order_by,
        limit_clause,
        fetch,
        ..
    } = *query;
    if let Some(with) = with {
        return Err(refused_at("WITH", &with).advice("make the inner query a stage of its own"));
    }
    if let Some(order_by) = order_by {
        return Err(
            refused_at("ORDER BY", &order_by).advice("a stream has no end to sort by; sort where the results are read")
        );
    }
    if limit_clause.is_some() || fetch.is_some() {
        return Err(refused("LIMIT"));
    }
    let SetExpr::Select(select) = *body else {
        return Err(refused_at("UNION, EXCEPT, INTERSECT and VALUES", body.as_ref())
            .advice("give a stage several inputs instead"));
    };
    let mut select = *select;
    if select.distinct.is_some() {
        return Err(refused("SELECT DISTINCT").advice("GROUP BY the columns instead"));
    }
    let from = from(&select)?;
    let clause = |tree: ast::Expr, aggregates: Aggregates| -> Result<Text, ExpressionError> {
        check(&tree, aggregates)?;
        Ok(Text {
            path: path.to_owned(),
            text: text.to_owned(),
            tree,
        })
    };
    let of_row = |tree| clause(tree, Aggregates::Refused);
    let of_group = |tree| clause(tree, Aggregates::Taken);
    let filter = select.selection.take().map(of_row).transpose()?;
    let having = select.having.take().map(of_group).transpose()?;
    let (mut group_by, mut window) = (Vec::new(), None);
    let GroupByExpr::Expressions(groups, modifiers) = select.group_by else {
        return Err(refused("GROUP BY ALL"));
    };
    if !modifiers.is_empty() {
        return Err(refused("ROLLUP, CUBE and TOTALS"));
    }
    for group in groups {
        match window_call(&group)? {
            Some(found) if window.is_none() => window = Some(found),
            Some(_) => return Err(ExpressionError::at("there can be one window", &group)),
            None if matches!(group, ast::Expr::Value(_)) => {
                return Err(ExpressionError::at("GROUP BY takes columns, not their numbers", &group));
            }
            None => group_by.push(of_row(group)?),
        }
    }
    let mut columns = Vec::new();
    let mut all = false;
    for item in select.projection {
        match item {
            SelectItem::Wildcard(_) => all = true,
            SelectItem::UnnamedExpr(tree) => columns.push((column_name(&tree), of_group(tree)?)),
            SelectItem::ExprWithAlias { expr, alias } => columns.push((alias.value, of_group(expr)?)),
            other => return Err(refused(&format!("`{other}`"))),
        }
    }
    if all && !columns.is_empty() {
        return Err(refused("`*` beside other columns").advice("name the columns"));
    }
    if !all {
        // Every result says which group and window it is of, so that a reader can replace it by the next revision.
        let start = window
            .map(|_| of_group(ast::Expr::Identifier("window_start".into())))
            .transpose()?;
        for key in group_by.iter().chain(&start) {
            if !columns
                .iter()
                .any(|(_, selected): &(String, Text)| selected.tree == key.tree)
            {
                columns.push((column_name(&key.tree), key.clone()));
            }
        }
    }
    for (i, (name, column)) in columns.iter().enumerate() {
        if columns[..i].iter().any(|(other, _)| other == name) {
            let error = ExpressionError::at(format!("there are two columns `{name}`"), &column.tree);
            return Err(error.advice("give one another name with AS; what GROUP BY names is always selected"));
        }
    }
    Ok(ParsedSql {
        from,
        into,
        filter,
        select: (!all).then_some(columns),
        group_by,
        window,
        having,
    })
}

fn from(select: &ast::Select) -> Result<String, ExpressionError> {
    let advice = "a `sql` stage reads one stream; an `incident` stage brings several together";
    let [table] = select.from.as_slice() else {
        return Err(refused("FROM with other than one stream").advice(advice));
    };
    if let Some(join) = table.joins.first() {
        return Err(refused_at("JOIN", join).advice(advice));
    }
    match &table.relation {
        TableFactor::Table { name, args: None, .. } => Ok(name.to_string().replace('"', "")),
        _ => Err(refused("FROM something else than a stream")
            .advice("windows stand in GROUP BY: GROUP BY service, TUMBLE(event_time, INTERVAL '1' MINUTE)")),
    }
}

fn refused(what: &str) -> ExpressionError {
    ExpressionError::new(format!("{what} cannot be used on a stream"))
}

/// The same with the place where it stands.
fn refused_at(what: &str, part: &impl Spanned) -> ExpressionError {
    ExpressionError::at(format!("{what} cannot be used on a stream"), part)
}

/// The name of a column that was given none.
fn column_name(tree: &ast::Expr) -> String {
    match tree {
        ast::Expr::Identifier(ident) => ident.value.clone(),
        ast::Expr::CompoundIdentifier(parts) => parts.last().map(|part| part.value.clone()).unwrap_or_default(),
        other => other.to_string(),
    }
}

/// TUMBLE(event_time, size), HOP(event_time, slide, size), SESSION(event_time, gap); the time may be left out.
fn window_call(tree: &ast::Expr) -> Result<Option<Window>, ExpressionError> {
    let ast::Expr::Function(function) = tree else {
        return Ok(None);
    };
    let name = function.name.to_string().to_uppercase();
    if !["TUMBLE", "HOP", "SESSION"].contains(&name.as_str()) {
        return Ok(None);
    }
    if !matches!(function.args, FunctionArguments::List(_)) {
        return Err(ExpressionError::at(format!("{name} needs a length of time"), tree));
    }
    let mut times = arguments(function)?;
    if let Some(first @ ast::Expr::Identifier(time)) = times.first() {
        if time.value != "event_time" {
            return Err(ExpressionError::at("windows are over `event_time`", *first)
                .advice("the source's eventTime.field is what `event_time` is read from"));
        }
        times.remove(0);
    }
    let times = times
        .into_iter()
        .map(|time| Ok(interval(time)?.as_micros()))
        .collect::<Result<Vec<i64>, _>>()?;
    if times.iter().any(|time| *time <= 0) {
        return Err(ExpressionError::at("a window needs a length above zero", tree));
    }
    match (name.as_str(), times.as_slice()) {
        ("TUMBLE", [size]) => Ok(Some(Window::Tumbling { size: *size })),
        ("HOP", [every, size]) if size % every == 0 => Ok(Some(Window::Sliding {
            size: *size,
            every: *every,
        })),
        ("HOP", [_, _]) => Err(ExpressionError::at("the size of HOP is a multiple of its slide", tree)
            .advice("HOP(event_time, slide, size)")),
        ("SESSION", [gap]) => Ok(Some(Window::Session { gap: *gap })),
        _ => Err(ExpressionError::at(format!("{name} has other arguments"), tree).advice(
            "TUMBLE(event_time, size), HOP(event_time, slide, size), SESSION(event_time, gap), \
             each length as INTERVAL '1' MINUTE",
        )),
    }
}

fn interval(tree: &ast::Expr) -> Result<Duration, ExpressionError> {
    let wrong = || ExpressionError::at("expected a length of time such as INTERVAL '1' MINUTE", tree);
    let ast::Expr::Interval(interval) = tree else {
        return Err(wrong());
    };
    let ast::Expr::Value(value) = interval.value.as_ref() else {
        return Err(wrong());
    };
    let (Value::SingleQuotedString(text) | Value::Number(text, _)) = &value.value else {
        return Err(wrong());
    };
    let (amount, unit) = match &interval.leading_field {
        Some(field) => (text.trim().to_owned(), unit(field).ok_or_else(wrong)?),
        None => {
            let (amount, unit) = text.trim().split_once(' ').ok_or_else(wrong)?;
            let unit = ["second", "minute", "hour", "day"]
                .into_iter()
                .find(|name| unit.trim().to_lowercase().trim_end_matches('s') == *name)
                .ok_or_else(wrong)?;
            (amount.to_owned(), &unit[..1])
        }
    };
    format!("{amount}{unit}").parse().map_err(|_| wrong())
}

fn unit(field: &DateTimeField) -> Option<&'static str> {
    Some(match field {
        DateTimeField::Second | DateTimeField::Seconds => "s",
        DateTimeField::Minute | DateTimeField::Minutes => "m",
        DateTimeField::Hour | DateTimeField::Hours => "h",
        DateTimeField::Day | DateTimeField::Days => "d",
        _ => return None,
    })
}
