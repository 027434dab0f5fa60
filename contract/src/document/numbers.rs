//! Numbers of a document, and amounts such as `4Gi`.

use serde_json::Value;

use super::check::{At, Checker, fits};
use super::scalar::Reading;
use super::tree::{Node, NodeKind};
use super::words::shown;

/// A whole number within its bounds.
pub(super) fn integer(checker: &mut Checker, node: &Node, at: &At<'_>) -> Option<Value> {
    let NodeKind::Scalar {
        text,
        reading: Reading::Integer(number),
    } = &node.kind
    else {
        return checker.expected("a whole number", node, at);
    };
    let bound = |name: &str| at.keyword(name).and_then(Value::as_i64).map(i128::from);
    let (low, high) = match at.keyword("format").and_then(Value::as_str) {
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    };
    let (low, high) = (bound("minimum").unwrap_or(low), bound("maximum").unwrap_or(high));
    match i64::try_from(*number) {
        Ok(fitting) if (low..=high).contains(number) => Some(fitting.into()),
        _ => {
            checker.wrong(
                at.path,
                node,
                format!("{} is not between {low} and {high}", shown(text)),
                None,
            );
            None
        }
    }
}

/// A number within its bounds.
pub(super) fn number(checker: &mut Checker, node: &Node, at: &At<'_>) -> Option<Value> {
    let number = match &node.kind {
        NodeKind::Scalar {
            reading: Reading::Integer(whole),
            ..
        } => *whole as f64,
        NodeKind::Scalar {
            reading: Reading::Float(number),
            ..
        } => *number,
        _ => return checker.expected("a number", node, at),
    };
    let bound = |name: &str| at.keyword(name).and_then(Value::as_f64);
    let (low, high) = (
        bound("minimum").unwrap_or(f64::MIN),
        bound("maximum").unwrap_or(f64::MAX),
    );
    if number < low || number > high {
        checker.wrong(at.path, node, format!("{number} is not between {low} and {high}"), None);
        return None;
    }
    Some(number.into())
}

/// An amount such as `4Gi`: text, or a whole number.
pub(super) fn amount(checker: &mut Checker, node: &Node, at: &At<'_>) -> Option<Value> {
    let NodeKind::Scalar { text, reading } = &node.kind else {
        return checker.expected("an amount like 500m, 2 or 4Gi", node, at);
    };
    match reading {
        Reading::Integer(_) | Reading::Text => {
            let fitting = at
                .keyword("pattern")
                .and_then(Value::as_str)
                .is_none_or(|pattern| fits(pattern, text));
            let short = text.chars().count() <= at.limit("maxLength").unwrap_or(usize::MAX);
            match fitting && short {
                true => Some(text.as_str().into()),
                false => checker.expected("an amount like 500m, 2 or 4Gi", node, at),
            }
        }
        Reading::Float(_) => {
            let hint = format!("put it in quotes: \"{text}\"");
            checker.wrong(at.path, node, "an amount with a point is text", Some(hint));
            None
        }
        _ => checker.expected("an amount like 500m, 2 or 4Gi", node, at),
    }
}
