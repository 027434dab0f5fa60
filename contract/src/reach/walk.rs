//! Finds fields by patterns such as `spec.stages[].enrich`.

use serde_json::Value;

/// `spec.stages[known].enrich` as a pattern: `spec.stages[].enrich`.
pub(super) fn without_names(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ if inside => continue,
            _ => {}
        }
        pattern.push(c);
    }
    pattern
}

/// Every place in `document` that fits `pattern`, with its value. Items of lists show their names.
pub(super) fn find<'a>(document: &'a Value, pattern: &str) -> Vec<(String, &'a Value)> {
    let mut found = vec![(String::new(), document)];
    for segment in pattern.split('.') {
        let (field, is_list) = segment
            .strip_suffix("[]")
            .map_or((segment, false), |field| (field, true));
        let mut next = Vec::new();
        for (path, value) in found {
            let Some(inner) = value.get(field) else { continue };
            let path = if path.is_empty() {
                field.to_owned()
            } else {
                format!("{path}.{field}")
            };
            match inner {
                Value::Array(items) if is_list => {
                    let named = |(at, item): (usize, &'a Value)| (format!("{path}[{}]", item_name(item, at)), item);
                    next.extend(items.iter().enumerate().map(named));
                }
                _ => next.push((path, inner)),
            }
        }
        found = next;
    }
    found
}

/// Removes the field at `path`, which goes through no list. An object that is empty then stays.
pub(super) fn remove(document: &mut Value, path: &str) {
    let (outer, field) = path.rsplit_once('.').unwrap_or(("", path));
    let mut outer = outer.split('.').filter(|segment| !segment.is_empty());
    let object = outer.try_fold(document, |value, segment| value.get_mut(segment));
    if let Some(Value::Object(fields)) = object {
        fields.shift_remove(field);
    }
}

fn item_name(item: &Value, at: usize) -> String {
    let name = item.get("name").or_else(|| item.get("id")).and_then(Value::as_str);
    name.map_or_else(|| at.to_string(), str::to_owned)
}
