//! Lowers `aggregate` stages and `sql` stages.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion_expr::Expr;
use tocsin_contract::pipeline::stage::{Emit, Skew, Stage};
use tocsin_contract::problem::Problem;

use super::Step;
use super::calls::{Calls, column};
use super::context::{Context, Lowered, Stream};
use super::parsed::{Text, at_use};
use super::signature::revision_columns;
use super::sql::ParsedSql;
use crate::encode::{RECORD, is_json, json_field};
use crate::expr::Expression;
use crate::expr::compile::{bind, finish, finish_condition, timestamp_type};
use crate::expr::parse::ExpressionError;
use crate::expr::uses::{ColumnUse, Use};
use crate::stage::aggregate::combine::may_be_combined;
use crate::stage::aggregate::{AggregatePlan, EmitOn, Window};

const SECOND: i64 = 1_000_000;

/// Lowers an `aggregate` stage.
pub fn lower_aggregate(stage: &Stage, columns: &[(String, Text)], mut context: Context<'_>) -> Option<Lowered> {
    let aggregate = stage.aggregate.as_ref()?;
    context.first_results_only();
    if let (Some(reference), true) = (&aggregate.kpis_ref, columns.is_empty()) {
        context.missing.push(
            Problem::new(
                format!("{}.aggregate.kpisRef", context.path),
                format!("nothing stands for the KPIs of `{}`", reference.name),
            )
            .hint(format!("give a file with `kpis`: --rules {}=FILE", reference.name)),
        );
    }
    let window = aggregate.window.as_ref().and_then(|window| {
        let tumbling = window.tumbling.map(|size| Window::Tumbling { size: size.as_micros() });
        let sliding = window.sliding.as_ref().map(|sliding| Window::Sliding {
            size: sliding.size.as_micros(),
            every: sliding.every.as_micros(),
        });
        let session = window.session.as_ref().map(|session| Window::Session {
            gap: session.gap.as_micros(),
        });
        tumbling.or(sliding).or(session)
    });
    check_window(window, &format!("{}.aggregate.window", context.path), context.problems);
    if stage.skew == Some(Skew::TwoPhase) && window.is_some_and(|window| !may_be_combined(window)) {
        let path = format!("{}.skew", context.path);
        let problem = Problem::new(path, "must not be TwoPhase here: sessions cannot be added up in parts");
        context
            .problems
            .push(problem.hint("leave it out, or use a tumbling or sliding window"));
    }
    let keys = aggregate
        .by
        .iter()
        .map(|name| (name.clone(), Key::Column(name.clone())))
        .collect();
    let start = window.map(|_| "window_start".to_owned());
    let parts = Parts {
        keys,
        key_columns: aggregate.by.iter().cloned().chain(start).collect(),
        select: columns,
        show_key: true,
        having: None,
        window,
    };
    lower_parts(stage, parts, context)
}

/// Lowers a `sql` stage.
pub fn lower_sql(stage: &Stage, sql: &ParsedSql, mut context: Context<'_>) -> Option<Lowered> {
    if let Some(filter) = &sql.filter {
        let condition = context.condition(filter)?;
        context.steps.push(Step::Filter(condition));
    }
    if sql.aggregates() {
        let Some(select) = &sql.select else {
            context.problems.push(Problem::new(
                format!("{}.sql", context.path),
                "`*` cannot stand beside GROUP BY",
            ));
            return None;
        };
        context.first_results_only();
        check_window(sql.window, &format!("{}.sql", context.path), context.problems);
        let key = |text: &Text| (text.tree.to_string(), Key::Text(Box::new(text.clone())));
        let keys = sql.group_by.iter().map(key).collect();
        let start = Text::ident(context.path, "window_start");
        let shown = sql.group_by.iter().chain(sql.window.map(|_| &start));
        let parts = Parts {
            keys,
            key_columns: shown.filter_map(|key| sql.column_of(key)).map(str::to_owned).collect(),
            select,
            show_key: false,
            having: sql.having.as_ref(),
            window: sql.window,
        };
        return lower_parts(stage, parts, context);
    }
    let Some(columns) = &sql.select else {
        return Some(Lowered {
            steps: context.steps,
            output: context.input,
            sorted: false,
        });
    };
    let mut expressions = Vec::new();
    let mut fields = Vec::new();
    for (name, text) in columns {
        let expression = context.expression(text)?;
        fields.push(output_field(name, &expression, &context.input.schema));
        expressions.push(expression);
    }
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    context.steps.push(Step::Project(expressions, Arc::clone(&schema)));
    let output = Stream {
        schema,
        changed: Vec::new(),
        key: Vec::new(),
        ..context.input
    };
    Some(Lowered {
        steps: context.steps,
        output,
        sorted: false,
    })
}

/// An aggregate, however it was written.
struct Parts<'a> {
    keys: Vec<(String, Key)>,
    /// The columns of the output that say which group and window a row is of.
    key_columns: Vec<String>,
    select: &'a [(String, Text)],
    /// Whether key and window stand in front of the selected columns.
    show_key: bool,
    having: Option<&'a Text>,
    window: Option<Window>,
}

enum Key {
    Column(String),
    Text(Box<Text>),
}

fn check_window(window: Option<Window>, path: &str, problems: &mut Vec<Problem>) {
    let wrong = match window {
        Some(Window::Tumbling { size }) if size <= 0 => "a window needs a length above zero",
        Some(Window::Session { gap }) if gap <= 0 => "a session needs a gap above zero",
        Some(Window::Sliding { size, every }) if size <= 0 || every <= 0 => "a window needs a length above zero",
        Some(Window::Sliding { size, every }) if size % every != 0 => "`size` is a multiple of `every`",
        Some(Window::Sliding { size, every }) if size / every > 100_000 => "at most 100000 windows may overlap",
        _ => return,
    };
    problems.push(Problem::new(path, wrong));
}

fn lower_parts(stage: &Stage, parts: Parts<'_>, mut context: Context<'_>) -> Option<Lowered> {
    let emit = emit(stage, parts.window, &mut context)?;
    if matches!(parts.window, Some(Window::Session { .. })) && emit == EmitOn::Close && context.input.lateness > 0 {
        context.warnings.push(
            Problem::new(
                context.path,
                "sessions are given out once, when `allowedLateness` is over",
            )
            .hint("a late event can join two sessions, so that one that was given out would be gone again"),
        );
    }
    let window = match parts.window {
        Some(window) => window,
        None => {
            let every = match stage.emit {
                Some(Emit::Every(every)) if !every.is_zero() => every.as_micros(),
                _ => SECOND,
            };
            if stage.ttl.is_none() {
                context.warnings.push(
                    Problem::new(context.path, "an aggregate without a window keeps each key for ever")
                        .hint("set `ttl`, how long a key without events is kept"),
                );
            }
            Window::Running {
                every,
                ttl: stage.ttl.map(|ttl| ttl.as_micros()),
            }
        }
    };
    let windowed = parts.window.is_some();
    let input = Arc::clone(&context.input.schema);
    let mut by: Vec<(String, Expression)> = Vec::new();
    for (name, key) in &parts.keys {
        let (text, bound) = match key {
            Key::Column(name) => (name.clone(), Ok(column(name))),
            Key::Text(text) => (text.tree.to_string(), bind(text.tree.clone(), &input)),
        };
        let key = bound.and_then(|bound| finish(&text, bound, &input));
        match key {
            Ok(key) => by.push((name.clone(), key)),
            Err(error) => context.problems.push(Problem::new(context.path, error.message)),
        }
    }
    // What the selected expressions are first bound to: the input, and the window's bounds.
    let bounds = if windowed {
        vec!["window_start", "window_end"]
    } else {
        Vec::new()
    };
    let bound_fields = bounds.iter().map(|name| Field::new(*name, timestamp_type(), true));
    let kept = input
        .fields()
        .iter()
        .filter(|field| !bounds.contains(&field.name().as_str()));
    let with_bounds: Vec<Field> = kept
        .map(|field| field.as_ref().clone())
        .chain(bound_fields.clone())
        .collect();
    let with_bounds = Schema::new(with_bounds);

    let mut calls = Calls::over(&input);
    let mut bind_over = |text: &Text, problems: &mut Vec<Problem>| {
        let bound = bind(text.tree.clone(), &with_bounds).and_then(|bound| calls.take_out(bound, &by));
        bound.map_err(|error| problems.push(text.problem(&error))).ok()
    };
    let selected: Vec<Option<Expr>> = parts
        .select
        .iter()
        .map(|(_, text)| bind_over(text, context.problems))
        .collect();
    let having = match parts.having {
        Some(text) => Some((text, bind_over(text, context.problems)?)),
        None => None,
    };
    let key_fields = by.iter().map(|(name, key)| output_field(name, key, &input));
    let call_fields = calls.fields();
    let results: SchemaRef = Arc::new(Schema::new(
        key_fields.chain(bound_fields).chain(call_fields).collect::<Vec<_>>(),
    ));

    let mut select: Vec<(String, Expression)> = Vec::new();
    if parts.show_key {
        for field in results.fields().iter().take(by.len() + bounds.len()) {
            let own = finish(field.name(), column(field.name()), &results);
            select.extend(own.ok().map(|own| (field.name().clone(), own)));
        }
    }
    for ((name, text), bound) in parts.select.iter().zip(selected) {
        match finish(&text.shown(), bound?, &results) {
            Ok(expression) => select.push((name.clone(), expression)),
            Err(error) => context.problems.push(text.problem(&only_keys(error, text, &by))),
        }
    }
    let having = match having {
        Some((text, bound)) => match finish_condition(&text.shown(), bound, &results) {
            Ok(condition) => Some(condition),
            Err(error) => {
                context.problems.push(text.problem(&only_keys(error, text, &by)));
                return None;
            }
        },
        None => None,
    };
    let mut fields: Vec<Field> = select
        .iter()
        .map(|(name, expression)| output_field(name, expression, &results))
        .collect();
    let [revision, last] = revision_columns(windowed);
    fields.push(Field::new(revision, DataType::Int64, true));
    fields.push(Field::new(last, DataType::Boolean, true));
    for (i, field) in fields.iter().enumerate() {
        if fields[..i].iter().any(|other| other.name() == field.name()) {
            let problem = Problem::new(context.path, format!("there are two columns `{}`", field.name()));
            context.problems.push(problem.hint(
                "the key, the window's start and end, _rev and _final are columns of every result; rename yours",
            ));
        }
    }
    let output: SchemaRef = Arc::new(Schema::new(fields));
    let plan = AggregatePlan {
        by,
        window,
        emit,
        lateness: context.input.lateness,
        states: calls.states,
        reads_states: false,
        two_phase: stage.skew == Some(Skew::TwoPhase),
        calls: calls.calls,
        select,
        having,
        results,
        output: Arc::clone(&output),
    };
    context.steps.push(Step::Aggregate(Box::new(plan)));
    let output = Stream {
        schema: output,
        changed: Vec::new(),
        lateness: context.input.lateness,
        key: parts.key_columns,
        alarms: false,
    };
    Some(Lowered {
        steps: context.steps,
        output,
        sorted: false,
    })
}

fn emit(stage: &Stage, window: Option<Window>, context: &mut Context<'_>) -> Option<EmitOn> {
    let sliding = matches!(window, Some(Window::Sliding { .. }));
    let wrong = match (&stage.emit, window) {
        (None | Some(Emit::OnClose), Some(_)) | (None | Some(Emit::Every(_)), None) => return Some(EmitOn::Close),
        (Some(Emit::Final), Some(_)) => return Some(EmitOn::Final),
        (Some(Emit::OnChange), Some(_)) if sliding => return Some(EmitOn::Change),
        (Some(Emit::OnChange), Some(_)) => "`OnChange` is for sliding windows",
        (Some(Emit::Every(_)), Some(_)) => {
            "`every` is for aggregates without a window; a window gives out at its close"
        }
        (Some(_), None) => "an aggregate without a window gives out at ticks: `emit: {every: 1s}`",
    };
    context
        .problems
        .push(Problem::new(format!("{}.emit", context.path), wrong));
    None
}

/// A column that is neither a key nor inside a call has no one value for a result.
fn only_keys(error: ExpressionError, text: &Text, by: &[(String, Expression)]) -> ExpressionError {
    let Some((_, named)) = error.message.split_once("No field named ") else {
        return error;
    };
    let uses = text.uses(Use::Any).unwrap_or_default();
    let name = |column: &&ColumnUse| named.trim_start_matches('"').starts_with(&column.name);
    let Some(column) = uses.columns.iter().filter(name).max_by_key(|column| column.name.len()) else {
        return error;
    };
    let keys: Vec<&str> = by.iter().map(|(name, _)| name.as_str()).collect();
    let message = format!(
        "`{}` stands outside of aggregate functions and is no part of the key",
        column.name
    );
    at_use(message, column).advice(format!(
        "the key is ({}); put other columns into a function such as last(...), max(...)",
        keys.join(", ")
    ))
}

/// A column of a result; a column that is only passed on stays what it is.
fn output_field(name: &str, expression: &Expression, input: &SchemaRef) -> Field {
    if let Expr::Column(column) = &expression.logical
        && input.field_with_name(&column.name).is_ok_and(is_json)
    {
        return json_field(name);
    }
    debug_assert_ne!(name, RECORD);
    Field::new(name, expression.data_type.clone(), true)
}
