//! The fields of an object as they are written: where their names and values stand.

use std::collections::HashMap;
use std::ops::Range;

use super::scalar::{Halt, after_space, number, text};
use super::scan::{Input, WIDTH};
use super::skip::skip;

/// A field of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldText {
    /// Its name, without the quotes.
    pub name: Range<usize>,
    /// Its value.
    pub value: Range<usize>,
}

/// Finds the fields of one object after the other.
#[derive(Debug, Default)]
pub struct FieldTexts {
    /// The object, and room behind it that may be read.
    padded: Vec<u8>,
    fields: Vec<FieldText>,
}

/// With more fields than these, names are looked up.
const FEW: usize = 32;

impl FieldTexts {
    /// The fields of an object; of a name that stands twice, the place of the first and the value of the last. Nothing if
    /// this is no object, or a name is written with escapes.
    pub fn of(&mut self, object: &str) -> Option<&[FieldText]> {
        self.padded.clear();
        self.padded.extend_from_slice(object.as_bytes());
        self.padded.resize(object.len() + 2 * WIDTH, 0);
        self.fields.clear();
        let input = Input::new(&self.padded)?;
        find(input, object.len(), &mut self.fields).ok().flatten()?;
        Some(&self.fields)
    }
}

fn find(input: Input<'_>, length: usize, fields: &mut Vec<FieldText>) -> Result<Option<()>, Halt> {
    let bytes = |name: &Range<usize>| input.slice(name.start, name.end);
    let mut numbers: Option<HashMap<&[u8], usize>> = None;
    // A bit for each kind of name that was there: most names are the first of theirs, and need not be compared.
    let mut kinds = 0_u64;
    let mut at = after_space(input, 0);
    if input.byte(at) != b'{' {
        return Ok(None);
    }
    at = after_space(input, at + 1);
    let mut is_open = input.byte(at) != b'}';
    while is_open {
        if input.byte(at) != b'"' {
            return Ok(None);
        }
        let name = text(input, at + 1)?;
        let colon = after_space(input, name.end + 1);
        if name.escaped || input.byte(colon) != b':' {
            return Ok(None);
        }
        let name = at + 1..name.end;
        let start = after_space(input, colon + 1);
        let end = match input.byte(start) {
            b'"' => text(input, start + 1)?.end + 1,
            b'0'..=b'9' => number(input, start)?.end,
            _ => skip(input, start, 1)?,
        };
        let kind = kind(bytes(&name));
        let is_first = kinds & kind == 0;
        kinds |= kind;
        let same = if is_first && fields.len() < FEW {
            None
        } else if fields.len() < FEW {
            fields.iter().position(|field| bytes(&field.name) == bytes(&name))
        } else {
            let numbers = numbers.get_or_insert_with(|| {
                let names = fields.iter().map(|field| bytes(&field.name));
                names.zip(0..).collect()
            });
            let number = *numbers.entry(bytes(&name)).or_insert(fields.len());
            (number < fields.len()).then_some(number)
        };
        let value = start..end;
        match same.and_then(|number| fields.get_mut(number)) {
            Some(field) => field.value = value,
            None => fields.push(FieldText { name, value }),
        }
        at = after_space(input, end);
        is_open = match input.byte(at) {
            b',' => true,
            b'}' => false,
            _ => return Ok(None),
        };
        if is_open {
            at = after_space(input, at + 1);
        }
    }
    Ok((after_space(input, at + 1) == length).then_some(()))
}

/// The bit of a name's length and beginning; the same for equal names.
fn kind(name: &[u8]) -> u64 {
    let first = name.first().copied().unwrap_or_default();
    1 << ((name.len() as u64 * 27 + u64::from(first)) % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(object: &str, expected: Option<&[(&str, &str)]>) {
        let mut texts = FieldTexts::default();
        let found = texts.of(object).map(|fields| {
            let text = |range: &Range<usize>| &object[range.clone()];
            let fields = fields.iter().map(|field| (text(&field.name), text(&field.value)));
            fields.collect::<Vec<_>>()
        });
        assert_eq!(found.as_deref(), expected, "{object}");
    }

    #[test]
    fn fields_are_found_with_their_values_as_they_are_written() {
        check("{}", Some(&[]));
        check(
            r#" {"a" : 1.50, "ü":"x\"y" ,"o":{"a":[1, 2]}, "n":null} "#,
            Some(&[
                ("a", "1.50"),
                ("ü", r#""x\"y""#),
                ("o", r#"{"a":[1, 2]}"#),
                ("n", "null"),
            ]),
        );
        check(r#"{"a":1,"b":2,"a":3}"#, Some(&[("a", "3"), ("b", "2")]));
    }

    /// Names in any order, some twice, more of them than are looked through one by one.
    #[test]
    fn of_many_fields_that_stand_twice_the_last_value_counts() {
        let names: Vec<String> = (0..100).map(|i| format!("n{}", i * 37 % 70)).collect();
        let fields: Vec<String> = names
            .iter()
            .zip(0..)
            .map(|(name, i)| format!("\"{name}\":{i}"))
            .collect();
        let object = format!("{{{}}}", fields.join(","));
        let last = |name: &String| names.iter().rposition(|other| other == name).map(|i| i.to_string());
        let expected: Vec<(&str, String)> = names[..70]
            .iter()
            .map(|name| (name.as_str(), last(name).unwrap_or_default()))
            .collect();
        let expected: Vec<(&str, &str)> = expected.iter().map(|(name, value)| (*name, value.as_str())).collect();
        check(&object, Some(&expected));
    }

    #[test]
    fn what_is_no_object_or_has_escapes_in_a_name_is_left_to_others() {
        for object in [
            "",
            "[]",
            "1",
            "{",
            r#"{"a"}"#,
            r#"{"a":1,}"#,
            r#"{"a":1} x"#,
            r#"{"\u0061":1}"#,
            r#"{"a":1"#,
        ] {
            check(object, None);
        }
    }
}
