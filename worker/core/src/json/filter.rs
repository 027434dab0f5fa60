//! Decides before any column is built whether a record is dead, dropped, or a row.
//!
//! Applies the pushed-down filter to what a walk found, and checks declared fields first. What cannot be decided here
//! counts as true: a filter may let rows through, it must never lose one.

use super::field::{Fault, Field};
use super::paths::Paths;
use super::scan::{Input, WIDTH};
use super::slots::{Kind, Node, Slot};
use super::value::Value;
use crate::decode::predicate::{CompareOp, Literal, Predicate};
use crate::decode::{ColumnType, RecordSchema};

/// The filter of a source.
#[derive(Debug)]
pub(super) struct Filter {
    /// All columns.
    fields: Vec<Field>,
    /// Columns that can make a record dead before the predicate is asked.
    declared: Vec<usize>,
    /// Columns that the predicate reads and that are not declared.
    typed_by_use: Vec<usize>,
    predicate: Option<Predicate>,
    /// Parts that must all be true, if the strings they compare are plain.
    equalities: Vec<Equality>,
    /// Whether these are all parts.
    only_equalities: bool,
    /// Columns that make a record dead only if it is to be a row.
    declared_of_rows: Vec<usize>,
    /// What is decided on the record in hand.
    verdict: Verdict,
    /// The declared field that makes it dead.
    fault: Option<Fault>,
    /// Columns whose value in the record in hand is not of their type.
    mismatches: Vec<usize>,
    /// Room for a text without its escapes.
    room: Vec<u8>,
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The filter was not asked.
    Open,
    /// It becomes a row.
    Pass,
    /// It is good, but the filter is not true.
    Drop,
    /// A declared field makes it dead.
    Dead,
}

/// `column = 'text'`
#[derive(Debug)]
struct Equality {
    node: Node,
    text: Vec<u8>,
    /// The text, if it has at most so many bytes, and which of these count.
    short: Option<([u8; WIDTH], u32)>,
}

/// The columns that a predicate reads, each once, ascending.
pub(super) fn columns(predicate: Option<&Predicate>) -> Vec<usize> {
    let mut columns = Vec::new();
    let mut open: Vec<_> = predicate.into_iter().collect();
    while let Some(predicate) = open.pop() {
        match predicate {
            Predicate::And(parts) | Predicate::Or(parts) => open.extend(parts),
            Predicate::Compare { column, .. } | Predicate::IsNull { column, .. } => columns.push(*column),
        }
    }
    columns.sort_unstable();
    columns.dedup();
    columns
}

impl Filter {
    /// The filter of a schema.
    pub(super) fn new(schema: &RecordSchema, paths: &Paths) -> Self {
        let fields: Vec<_> = schema
            .columns
            .iter()
            .enumerate()
            .map(|(at, spec)| Field::new(at, spec, paths))
            .collect();
        let read = columns(schema.predicate.as_ref());
        let is_read = |field: &&Field| read.binary_search(&field.column).is_ok();
        let is_early = |field: &&Field| field.is_declared() && (schema.strict || is_read(field));
        let is_late = |field: &&Field| {
            let is_column = schema.columns.get(field.column).is_some_and(|spec| spec.read);
            field.is_declared() && is_column && !is_early(field)
        };
        let columns_of = |choose: &dyn Fn(&&Field) -> bool| -> Vec<usize> {
            fields
                .iter()
                .filter(|field| choose(field))
                .map(|field| field.column)
                .collect()
        };
        let declared = columns_of(&is_early);
        let declared_of_rows = columns_of(&is_late);
        let typed_by_use = columns_of(&|field| !field.is_declared() && is_read(field));
        let parts = match &schema.predicate {
            Some(Predicate::And(parts)) => parts.as_slice(),
            Some(single) => std::slice::from_ref(single),
            None => &[],
        };
        let equalities: Vec<_> = parts
            .iter()
            .filter_map(|part| Equality::new(part, schema, paths))
            .collect();
        Self {
            declared,
            declared_of_rows,
            typed_by_use,
            only_equalities: equalities.len() == parts.len(),
            equalities,
            predicate: schema.predicate.clone(),
            verdict: Verdict::Open,
            fault: None,
            mismatches: Vec::new(),
            room: Vec::new(),
            fields,
        }
    }

    /// Begins with the next record.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        self.verdict = Verdict::Open;
        self.mismatches.clear();
    }

    /// Decides, when all values that the predicate reads are known, unless it has decided on this record before.
    #[inline(always)]
    pub(super) fn verdict(&mut self, input: Input<'_>, slots: &[Slot]) -> Verdict {
        if self.verdict == Verdict::Open {
            self.verdict = self.decide(input, slots);
        }
        self.verdict
    }

    /// Checks the fields of a record that is to be a row, as far as they were not checked before.
    #[inline(always)]
    pub(super) fn check_row(&mut self, input: Input<'_>, slots: &[Slot]) -> Verdict {
        for declared in 0..self.declared_of_rows.len() {
            if !self.is_sound(self.declared_of_rows[declared], input, slots) {
                return Verdict::Dead;
            }
        }
        Verdict::Pass
    }

    /// Why the record in hand is dead.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether a declared field has a value of its type.
    fn is_sound(&mut self, column: usize, input: Input<'_>, slots: &[Slot]) -> bool {
        let checked = self
            .fields
            .get(column)
            .map(|field| field.check(slots, input, &mut self.room));
        match checked {
            Some(Err(fault)) => {
                self.fault = Some(fault);
                false
            }
            _ => true,
        }
    }

    /// Columns that the predicate reads and whose value in the record in hand was not of their type.
    pub(super) fn mismatches(&self) -> &[usize] {
        &self.mismatches
    }

    /// Whether the filter looks for values of another type in a column.
    pub(super) fn counts(&self, column: usize) -> bool {
        self.typed_by_use.contains(&column)
    }

    /// Decides, when all values that the predicate reads are known.
    #[inline(always)]
    pub(super) fn decide(&mut self, input: Input<'_>, slots: &[Slot]) -> Verdict {
        for declared in 0..self.declared.len() {
            if !self.is_sound(self.declared[declared], input, slots) {
                return Verdict::Dead;
            }
        }
        let mut all_true = self.only_equalities;
        for equality in &self.equalities {
            match equality.is_true(input, slots) {
                Some(true) => {}
                Some(false) => return Verdict::Drop,
                None => all_true = false,
            }
        }
        if all_true || self.ask(input, slots) {
            Verdict::Pass
        } else {
            Verdict::Drop
        }
    }

    /// Asks the whole predicate.
    #[inline(never)]
    fn ask(&mut self, input: Input<'_>, slots: &[Slot]) -> bool {
        for column in &self.typed_by_use {
            let Some(field) = self.fields.get(*column) else {
                continue;
            };
            if field.value(field.slot(slots), input, &mut self.room).is_err() {
                self.mismatches.push(*column);
            }
        }
        self.predicate
            .as_ref()
            .is_none_or(|predicate| may_be_true(predicate, &self.fields, input, slots, &mut self.room))
    }
}

impl Equality {
    fn new(part: &Predicate, schema: &RecordSchema, paths: &Paths) -> Option<Self> {
        let Predicate::Compare {
            column,
            op: CompareOp::Eq,
            literal: Literal::Utf8(text),
        } = part
        else {
            return None;
        };
        let spec = schema.columns.get(*column).filter(|spec| spec.ty == ColumnType::Utf8)?;
        let text = text.as_bytes().to_vec();
        let mut chunk = [0; WIDTH];
        for (to, from) in chunk.iter_mut().zip(&text) {
            *to = *from;
        }
        let short = (text.len() <= WIDTH).then(|| (chunk, (1 << text.len()) - 1));
        Some(Self {
            node: paths.find(&spec.path)?,
            text,
            short,
        })
    }

    /// Whether it is true, if that is plain to see.
    #[inline(always)]
    fn is_true(&self, input: Input<'_>, slots: &[Slot]) -> Option<bool> {
        let slot = slots.get(self.node as usize).filter(|slot| slot.kind == Kind::Text)?;
        if slot.end - slot.start != self.text.len() {
            return Some(false);
        }
        Some(match &self.short {
            Some((chunk, needed)) => input.chunk(slot.start).equal(chunk) & needed == *needed,
            None => slot.content(input) == self.text,
        })
    }
}

/// Whether a predicate is true, or cannot be decided.
fn may_be_true(predicate: &Predicate, fields: &[Field], input: Input<'_>, slots: &[Slot], room: &mut Vec<u8>) -> bool {
    match predicate {
        Predicate::And(parts) => parts.iter().all(|part| may_be_true(part, fields, input, slots, room)),
        Predicate::Or(parts) => parts.iter().any(|part| may_be_true(part, fields, input, slots, room)),
        Predicate::Compare { column, op, literal } => fields
            .get(*column)
            .filter(|field| is_of(field.ty, literal))
            .is_none_or(|field| {
                let value = field.value(field.slot(slots), input, room).unwrap_or(Value::Null);
                compare(value, *op, literal)
            }),
        Predicate::IsNull { column, negated } => fields.get(*column).is_none_or(|field| {
            let value = field.value(field.slot(slots), input, room).unwrap_or(Value::Null);
            (value == Value::Null) != *negated
        }),
    }
}

/// Whether a literal is of a column's type. Other comparisons cannot be decided here.
fn is_of(ty: ColumnType, literal: &Literal) -> bool {
    match literal {
        Literal::Utf8(_) => ty == ColumnType::Utf8,
        Literal::Int64(_) => ty == ColumnType::Int64,
        Literal::Float64(_) => ty == ColumnType::Float64,
        Literal::Boolean(_) => ty == ColumnType::Boolean,
    }
}

/// Whether a comparison is true. One with NULL is not.
fn compare(value: Value<'_>, op: CompareOp, literal: &Literal) -> bool {
    let ordering = match (value, literal) {
        (Value::Null, _) => return false,
        (Value::Text(text), Literal::Utf8(literal)) => text.cmp(literal.as_bytes()),
        (Value::Int64(number), Literal::Int64(literal)) => number.cmp(literal),
        // Arrow compares by IEEE 754's total order; a filter that runs behind this one must agree.
        (Value::Float64(number), Literal::Float64(literal)) => number.total_cmp(literal),
        (Value::Boolean(boolean), Literal::Boolean(literal)) => boolean.cmp(literal),
        _ => return true,
    };
    op.holds(ordering)
}
