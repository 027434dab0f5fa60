//! Walks over a record once, checks it by RFC 8259, and notes where the wanted values stand.
//!
//! Converts nothing. A walk reads the input from a place on and may read over the record's end into its neighbours; who
//! calls it must compare where the walk ended with the end of the record.

use super::escape::unescape;
use super::filter::{Filter, Verdict};
use super::paths::{Paths, ROOT, UNWANTED};
use super::scalar::{Halt, after_space, number, text, word};
use super::scan::Input;
use super::shape::{LeadId, LeadKind, Shape};
use super::skip::skip;
use super::slots::{Kind, Node, Slot, Use, Wanted};
use crate::decode::MAX_DEPTH;

/// Walks over one record after another. `STRICT` walks read all of a record, and the last of equal keys wins; others stop
/// as soon as they can, and the first wins.
#[derive(Debug)]
pub(super) struct Walker {
    paths: Paths,
    /// How records were written before.
    shape: Shape,
    /// What was found in the record in hand, by node.
    slots: Vec<Slot>,
    /// What is still to be found. Kept only if not strict.
    left: Wanted,
    all_wanted: Wanted,
    /// What each node is wanted for.
    wanted: Vec<Wanted>,
    /// Asked by a walk that is not strict when all that it reads is found.
    filter: Filter,
    /// Room for a key without its escapes.
    key: Vec<u8>,
}

/// What stands between two values.
struct Member {
    at: usize,
    lead: LeadId,
    node: Node,
    kind: LeadKind,
}

impl Walker {
    /// A walker that looks for some places.
    pub(super) fn new(paths: Paths, filter: Filter) -> Self {
        Self {
            shape: Shape::new(paths.len()),
            slots: vec![Slot::MISSING; paths.len()],
            left: Wanted::default(),
            all_wanted: paths.all_wanted(),
            wanted: (0..paths.len()).map(|node| paths.wanted(node as Node)).collect(),
            filter,
            key: Vec::new(),
            paths,
        }
    }

    /// Walks over the object whose brace is at `at` and answers with the byte behind it.
    #[inline(always)]
    pub(super) fn walk<const STRICT: bool>(&mut self, input: Input<'_>, at: usize) -> Result<usize, Halt> {
        self.filter.begin();
        for slot in &mut self.slots {
            slot.kind = Kind::Missing;
        }
        if !STRICT {
            self.left = self.all_wanted;
        }
        if input.byte(at) != b'{' {
            return Err(Halt::syntax(at, "expected an object"));
        }
        self.object::<STRICT>(input, ROOT, at, 1)
    }

    /// What was found, and the filter to ask about it.
    #[inline(always)]
    pub(super) fn found(&mut self) -> (&[Slot], &mut Filter) {
        (&self.slots, &mut self.filter)
    }

    /// Remembers no shapes from now on.
    #[cfg(test)]
    pub(super) fn forget_shapes(&mut self) {
        self.shape.forget();
    }

    /// Walks over an object. Objects of wanted places call this again, at most `MAX_DEPTH` deep; all others are skipped
    /// without recursion.
    fn object<const STRICT: bool>(
        &mut self,
        input: Input<'_>,
        parent: Node,
        begin: usize,
        depth: usize,
    ) -> Result<usize, Halt> {
        let mut at = begin;
        let mut previous = None;
        let mut expected = self.shape.first(parent);
        loop {
            let lead = self.shape.lead(expected);
            let (node, kind);
            if lead.stands_at(input, at) {
                at += lead.len();
                (node, kind) = (lead.node, lead.kind);
                previous = Some(expected);
                expected = lead.next;
            } else if let Some(id) = self.shape.guess(previous, expected, input, at) {
                let lead = self.shape.lead(id);
                at += lead.len();
                (node, kind) = (lead.node, lead.kind);
                previous = Some(id);
                expected = lead.next;
            } else {
                let member = self.member(input, parent, at, previous)?;
                at = member.at;
                (node, kind) = (member.node, member.kind);
                previous = Some(member.lead);
                expected = self.shape.lead(member.lead).next;
            }
            if kind == LeadKind::Text {
                let text = text(input, at)?;
                let slot = Slot {
                    start: at,
                    end: text.end,
                    kind: text.kind(),
                };
                at = text.end + 1;
                self.keep::<STRICT>(input, node, slot, at)?;
            } else if kind == LeadKind::Number && input.byte(at).is_ascii_digit() {
                let number = number(input, at)?;
                let slot = Slot {
                    start: at,
                    end: number.end,
                    kind: number.kind(),
                };
                at = number.end;
                self.keep::<STRICT>(input, node, slot, at)?;
            } else if kind == LeadKind::End {
                return Ok(at);
            } else {
                at = self.value::<STRICT>(input, node, at, depth)?;
            }
        }
    }

    /// Reads what stands between two values: comma, key and colon with white space, or the end of the object. At the
    /// beginning of the object (`after` is none) the brace stands in place of the comma.
    #[inline(never)]
    fn member(&mut self, input: Input<'_>, parent: Node, from: usize, after: Option<LeadId>) -> Result<Member, Halt> {
        let separator = after_space(input, from);
        let mut at = separator;
        let closes = match after {
            None => {
                at = after_space(input, separator + 1);
                input.byte(at) == b'}'
            }
            Some(_) => input.byte(separator) == b'}',
        };
        let (node, kind);
        if closes {
            (at, node, kind) = (at + 1, UNWANTED, LeadKind::End);
        } else {
            if after.is_some() {
                if input.byte(separator) != b',' {
                    return Err(Halt::syntax(separator, "expected `,` or `}`"));
                }
                at = after_space(input, separator + 1);
            }
            let key;
            (key, at) = key_at(input, at)?;
            node = self.child(input, parent, key);
            kind = match input.byte(at) {
                // A scalar where something is wanted below must be noted too.
                _ if node != UNWANTED && self.paths.is_inner(node) => LeadKind::Any,
                b'"' => LeadKind::Text,
                b'-' | b'0'..=b'9' => LeadKind::Number,
                _ => LeadKind::Any,
            };
            at += usize::from(kind == LeadKind::Text);
        }
        let lead = self.shape.learn(after, parent, input.slice(from, at), node, kind);
        Ok(Member { at, lead, node, kind })
    }

    /// The node of a key, which may have escapes.
    fn child(&mut self, input: Input<'_>, parent: Node, key: Slot) -> Node {
        let content = key.content(input);
        if key.kind == Kind::Text {
            return self.paths.child(parent, content);
        }
        self.key.clear();
        unescape(content, &mut self.key);
        self.paths.child(parent, &self.key)
    }

    /// Reads any value at `at`, or behind white space there, and answers with the byte behind it.
    #[inline(never)]
    fn value<const STRICT: bool>(
        &mut self,
        input: Input<'_>,
        node: Node,
        at: usize,
        depth: usize,
    ) -> Result<usize, Halt> {
        let is_inner = node != UNWANTED && self.paths.is_inner(node) && (STRICT || !self.is_seen(node));
        if is_inner {
            // Of equal keys the last wins: what the one before had below it counts no longer.
            self.slots
                .get_mut(self.paths.below(node))
                .unwrap_or_default()
                .fill(Slot::MISSING);
        }
        // A lead may end before white space that was not there when it was learned.
        let at = after_space(input, at);
        let mut start = at;
        let (end, kind) = match input.byte(at) {
            b'"' => {
                start += 1;
                let text = text(input, start)?;
                (text.end, text.kind())
            }
            b'-' | b'0'..=b'9' => {
                let number = number(input, at)?;
                (number.end, number.kind())
            }
            b't' => (word(input, at, b"true")?, Kind::True),
            b'f' => (word(input, at, b"false")?, Kind::False),
            b'n' => (word(input, at, b"null")?, Kind::Null),
            b'{' if depth >= MAX_DEPTH => return Err(Halt::TooDeep),
            b'{' if is_inner => (self.object::<STRICT>(input, node, at, depth + 1)?, Kind::Object),
            b'{' => (skip(input, at, depth)?, Kind::Object),
            b'[' => (skip(input, at, depth)?, Kind::Array),
            _ => return Err(Halt::syntax(at, "expected a value")),
        };
        let behind = end + (start - at);
        if is_inner && !STRICT {
            self.close(node);
        }
        self.keep::<STRICT>(input, node, Slot { start, end, kind }, behind)?;
        Ok(behind)
    }

    #[inline(always)]
    fn is_seen(&self, node: Node) -> bool {
        self.slots
            .get(node as usize)
            .is_some_and(|slot| slot.kind != Kind::Missing)
    }

    /// Notes a value if it is wanted; the walk goes on at `at`.
    #[inline(always)]
    fn keep<const STRICT: bool>(&mut self, input: Input<'_>, node: Node, slot: Slot, at: usize) -> Result<(), Halt> {
        // `UNWANTED` is the number of no slot.
        let Some(kept) = self.slots.get_mut(node as usize) else {
            return Ok(());
        };
        if STRICT {
            *kept = slot;
            return Ok(());
        }
        if kept.kind != Kind::Missing {
            return Ok(());
        }
        *kept = slot;
        self.settle(input, node, at)
    }

    /// Notes that what was not found below a node is not there: a second object with this key does not count.
    fn close(&mut self, node: Node) {
        for below in self.paths.below(node) {
            if let Some(slot) = self.slots.get_mut(below).filter(|slot| slot.kind == Kind::Missing) {
                slot.kind = Kind::Absent;
                self.left = self.left.without(self.wanted.get(below).copied().unwrap_or_default());
            }
        }
    }

    /// Ends the walk if no more is wanted, now that a node is known.
    #[inline(always)]
    fn settle(&mut self, input: Input<'_>, node: Node, at: usize) -> Result<(), Halt> {
        self.left = self
            .left
            .without(self.wanted.get(node as usize).copied().unwrap_or_default());
        if self.left.has_no(Use::Filter) && self.filter.verdict(input, &self.slots) != Verdict::Pass {
            self.left = self.left.without_any(Use::Column);
        }
        if self.left.is_none() {
            Err(Halt::Enough(at))
        } else {
            Ok(())
        }
    }
}

/// Reads a key, the colon and the white space around it. Answers with the key and the first byte of the value.
pub(super) fn key_at(input: Input<'_>, at: usize) -> Result<(Slot, usize), Halt> {
    if input.byte(at) != b'"' {
        return Err(Halt::syntax(at, "expected a key"));
    }
    let key = text(input, at + 1)?;
    let colon = after_space(input, key.end + 1);
    if input.byte(colon) != b':' {
        return Err(Halt::syntax(colon, "expected `:`"));
    }
    Ok((
        Slot {
            start: at + 1,
            end: key.end,
            kind: key.kind(),
        },
        after_space(input, colon + 1),
    ))
}
