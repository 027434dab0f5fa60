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

/// The fields of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldsFound<'a> {
    /// In the order in which they stand; of a name that stands twice, the place of the first and the value of the last.
    pub fields: &'a [FieldText],
    /// Whether no value is an object or an array.
    pub is_flat: bool,
    /// Whether it has the same names as the object before, with the same white space up to the last value.
    pub is_as_before: bool,
}

/// Finds the fields of one object after the other. Objects that are written alike are found faster.
#[derive(Debug, Default)]
pub struct FieldTexts {
    /// The object, and room behind it that may be read.
    padded: Vec<u8>,
    fields: Vec<FieldText>,
    /// What stands in front of each value, if the next object may be read by it.
    leads: Vec<Lead>,
}

/// What stands in front of a value: `,"service":`.
#[derive(Debug)]
struct Lead {
    bytes: [[u8; WIDTH]; CHUNKS],
    length: usize,
    /// Where the name stands in it.
    name: Range<usize>,
}

/// Longer leads are not remembered.
const CHUNKS: usize = 2;

/// With more fields than these, names are looked up.
const FEW: usize = 32;

impl FieldTexts {
    /// The fields of an object. Nothing if this is no object, or a name is written with escapes.
    pub fn of(&mut self, object: &str) -> Option<FieldsFound<'_>> {
        self.padded.clear();
        self.padded.extend_from_slice(object.as_bytes());
        self.padded.resize(object.len() + 2 * WIDTH, 0);
        let input = Input::new(&self.padded)?;
        let again = find_again(input, object.len(), &self.leads, &mut self.fields);
        let is_as_before = again.is_some();
        let is_flat = match again {
            Some(is_flat) => is_flat,
            None => {
                self.fields.clear();
                self.leads.clear();
                let is_flat = find(input, object.len(), &mut self.fields).ok().flatten()?;
                learn(input, &self.fields, &mut self.leads);
                is_flat
            }
        };
        Some(FieldsFound {
            fields: &self.fields,
            is_flat,
            is_as_before,
        })
    }
}

impl Lead {
    /// The bytes between two places; none if there are too many of them.
    fn new(input: Input<'_>, start: usize, field: &FieldText) -> Option<Self> {
        let mut bytes = [[0; WIDTH]; CHUNKS];
        let read = input.slice(start, field.value.start);
        bytes.as_flattened_mut().get_mut(..read.len())?.copy_from_slice(read);
        Some(Self {
            bytes,
            length: read.len(),
            name: field.name.start.checked_sub(start)?..field.name.end.checked_sub(start)?,
        })
    }

    #[inline(always)]
    fn stands_at(&self, input: Input<'_>, at: usize) -> bool {
        let [first, second] = &self.bytes;
        let needed = (1_u64 << self.length) - 1;
        let equal = u64::from(input.chunk(at).equal(first));
        if self.length <= WIDTH {
            return equal & needed == needed;
        }
        let both = equal | u64::from(input.chunk(at + WIDTH).equal(second)) << WIDTH;
        both & needed == needed
    }
}

/// Remembers what stands in front of values. Nothing if a name stands twice: its value is not behind its name then.
fn learn(input: Input<'_>, fields: &[FieldText], leads: &mut Vec<Lead>) {
    let mut at = 0;
    for field in fields {
        // White space may be anywhere in a lead, a value may not.
        let Some(lead) = Lead::new(input, at, field).filter(|_| field.value.start >= at) else {
            leads.clear();
            return;
        };
        leads.push(lead);
        at = field.value.end;
    }
    // Fields that stand twice leave more than a brace behind.
    if input.byte(after_space(input, at)) != b'}' {
        leads.clear();
    }
}

/// The fields of an object that is written as the one before, whose fields these are. Answers whether no value is an
/// object or an array, or nothing if it is written otherwise.
fn find_again(input: Input<'_>, length: usize, leads: &[Lead], fields: &mut [FieldText]) -> Option<bool> {
    if leads.is_empty() {
        return None;
    }
    let mut at = 0;
    let mut is_flat = true;
    for (lead, field) in leads.iter().zip(fields) {
        if !lead.stands_at(input, at) {
            return None;
        }
        let start = at + lead.length;
        field.name = at + lead.name.start..at + lead.name.end;
        at = value_end(input, start, &mut is_flat).ok()?;
        field.value = start..at;
    }
    ends(input, at, length).then_some(is_flat)
}

/// The end of the value at `start`.
#[inline(always)]
fn value_end(input: Input<'_>, start: usize, is_flat: &mut bool) -> Result<usize, Halt> {
    match input.byte(start) {
        b'"' => Ok(text(input, start + 1)?.end + 1),
        b'0'..=b'9' => Ok(number(input, start)?.end),
        first => {
            *is_flat &= !matches!(first, b'{' | b'[');
            skip(input, start, 1)
        }
    }
}

/// Whether the object ends behind its last value, and nothing is behind it.
fn ends(input: Input<'_>, at: usize, length: usize) -> bool {
    let brace = after_space(input, at);
    input.byte(brace) == b'}' && after_space(input, brace + 1) == length
}

fn find(input: Input<'_>, length: usize, fields: &mut Vec<FieldText>) -> Result<Option<bool>, Halt> {
    let bytes = |name: &Range<usize>| input.slice(name.start, name.end);
    let mut numbers: Option<HashMap<&[u8], usize>> = None;
    // A bit for each kind of name that was there: most names are the first of theirs, and need not be compared.
    let mut kinds = 0_u64;
    let mut is_flat = true;
    let mut at = after_space(input, 0);
    if input.byte(at) != b'{' {
        return Ok(None);
    }
    at = after_space(input, at + 1);
    if input.byte(at) == b'}' {
        return Ok(ends(input, at, length).then_some(true));
    }
    loop {
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
        let end = value_end(input, start, &mut is_flat)?;
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
        if input.byte(at) != b',' {
            return Ok(ends(input, at, length).then_some(is_flat));
        }
        at = after_space(input, at + 1);
    }
}

/// The bit of a name's length and beginning; the same for equal names.
fn kind(name: &[u8]) -> u64 {
    let first = name.first().copied().unwrap_or_default();
    1 << ((name.len() as u64 * 27 + u64::from(first)) % 64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(object: &str, expected: Option<&[(&str, &str)]>) {
        let mut texts = FieldTexts::default();
        let found = texts.of(object).map(|found| {
            let text = |range: &Range<usize>| &object[range.clone()];
            let fields = found.fields.iter().map(|field| (text(&field.name), text(&field.value)));
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

    /// What an object before it leaves behind changes nothing, and objects that are written alike are read by it.
    fn check_behind(before: &str, object: &str, is_as_before: bool) {
        let mut texts = FieldTexts::default();
        texts.of(before);
        let found = texts
            .of(object)
            .map(|found| (found.fields.to_vec(), found.is_as_before));
        let mut fresh = FieldTexts::default();
        let expected = fresh.of(object).map(|found| (found.fields.to_vec(), is_as_before));
        assert_eq!(found, expected, "{object} behind {before}");
    }

    #[test]
    fn objects_with_the_same_names_are_read_by_the_one_before() {
        check_behind(r#"{"a":1,"b":"x"}"#, r#"{"a":"long, longer","b":-2} "#, true);
        check_behind(r#" { "a": 1 , "b":[{}] }"#, r#" { "a": [","] , "b":"}"}"#, true);
        // A name that stands twice, and what is behind it.
        check_behind(r#"{"a":1,"a":2,"b":3}"#, r#"{"a":1,"a":4,"b":5}"#, true);
        check_behind(r#"{"a":1,"a":2,"b":3}"#, r#"{"a":2,"a":4,"b":5}"#, false);
        check_behind(r#"{"a":1,"b":2,"a":3}"#, r#"{"a":1,"b":2,"a":3}"#, false);
        check_behind(r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2,"a":3}"#, false);
        check_behind(r#"{"a":1,"b":2}"#, r#"{"a":1}"#, false);
        check_behind(r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2}x"#, false);
        check_behind(r#"{"a":1}"#, r#"{"b":1}"#, false);
        check_behind(r#"{}"#, r#"{}"#, false);
        // Too long to be remembered.
        let long = format!(r#"{{"{}":1}}"#, "n".repeat(40));
        check_behind(&long, &long, false);
        // As long as a chunk, and as two.
        for length in [12, 13, 14, 28, 29] {
            let same = format!(r#"{{"{}":1,"b":2}}"#, "n".repeat(length));
            check_behind(&same, &same, length < 29);
        }
    }

    proptest! {
        #[test]
        fn what_was_before_changes_nothing(objects in prop::collection::vec(object(), 1..6)) {
            let mut texts = FieldTexts::default();
            for object in objects {
                let found = texts.of(&object).map(|found| found.fields.to_vec());
                let fresh = FieldTexts::default().of(&object).map(|found| found.fields.to_vec());
                prop_assert_eq!(found, fresh, "{}", object);
            }
        }
    }

    /// Objects of few names and values, so that many are written alike; some are broken.
    fn object() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec!["a", "bb", "b", "a name as long as it gets"]);
        let value = prop::sample::select(vec![
            "1",
            "2.5",
            r#""x""#,
            r#"",\"b\":""#,
            "{}",
            r#"{"a":1}"#,
            "[1, 2]",
            "null",
            "x",
        ]);
        let space = prop::sample::select(vec!["", "", "", " "]);
        let field = (space.clone(), name, space, value);
        let field = field.prop_map(|(before, name, behind, value)| format!("{before}\"{name}\":{behind}{value}"));
        prop::collection::vec(field, 0..4).prop_map(|fields| format!("{{{}}}", fields.join(",")))
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
