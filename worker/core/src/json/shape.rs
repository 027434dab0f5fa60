//! Remembers how records are written, to recognise the next key by comparing bytes.
//!
//! A *lead* is the exact bytes from the end of one value to the content of the next: `,"service":"`. Each lead remembers
//! the lead that followed it last, so that records of one producer are walked along a chain without reading their keys.
//! A guess only: the bytes are compared each time, so that nothing that is remembered here changes a result.

use super::scan::{Input, WIDTH};
use super::slots::Node;

/// What a lead leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeadKind {
    /// The content of a string behind its quote, with nothing wanted below it.
    Text,
    /// A number, most likely, with nothing wanted below it.
    Number,
    /// Any value.
    Any,
    /// The end of the object.
    End,
}

/// The bytes between two values, and what they lead to.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Lead {
    bytes: [[u8; WIDTH]; CHUNKS],
    /// Whose lead this is: the same bytes may mean something else, or be an error, in another place.
    owner: Owner,
    /// Node of the value.
    pub(super) node: Node,
    /// Which bytes of the first chunk must be equal.
    needed: u32,
    length: u8,
    /// The lead that most likely follows.
    pub(super) next: LeadId,
    /// The one that was thought to before.
    other: LeadId,
    /// What follows.
    pub(super) kind: LeadKind,
}

/// With so many chunks of bytes and the other fields a lead fills a cache line. Longer ones are not remembered.
const CHUNKS: usize = 3;

/// Number of a lead. A lead stands near the number that its bytes hash to, and may displace another there.
pub(super) type LeadId = u8;

/// How many leads are remembered.
const LEADS: usize = 1 << LeadId::BITS;

/// So many fields in a row may be left out without reading the next key.
const LEFT_OUT: usize = 3;

/// How near.
const NEAR: LeadId = 4;

/// Stands for a lead that is not remembered.
const UNKNOWN: LeadId = LeadId::MAX;

/// What is remembered of a source's records.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    leads: Box<[Lead; LEADS]>,
    /// For each node the lead that the last object there began with.
    first: Vec<LeadId>,
    /// Whether anything is remembered. For tests.
    learning: bool,
}

/// The node of the object that a lead stands in, and in the lowest bit whether it begins the object.
type Owner = u32;

/// The owner of leads that nobody has taken.
const NOBODY: Owner = Owner::MAX;

impl Lead {
    /// A lead that stands nowhere: it needs a byte that no chunk has.
    const NONE: Self = Self {
        bytes: [[0; WIDTH]; CHUNKS],
        owner: NOBODY,
        node: 0,
        needed: 1 << WIDTH,
        length: 1,
        next: UNKNOWN,
        other: UNKNOWN,
        kind: LeadKind::Any,
    };

    /// Whether these bytes stand at a place.
    #[inline(always)]
    pub(super) fn stands_at(&self, input: Input<'_>, at: usize) -> bool {
        let equal = input.chunk(at).equal(&self.bytes[0]);
        equal & self.needed == self.needed && (self.len() <= WIDTH || self.rest_stands_at(input, at))
    }

    /// Whether the bytes behind the first chunk stand there too.
    #[inline(always)]
    fn rest_stands_at(&self, input: Input<'_>, at: usize) -> bool {
        let needed = (1_u64 << self.length) - 1;
        let second = input.chunk(at + WIDTH).equal(&self.bytes[1]);
        let third = input.chunk(at + 2 * WIDTH).equal(&self.bytes[2]);
        let equal = u64::from(second) << WIDTH | u64::from(third) << (2 * WIDTH) | u64::from(u16::MAX);
        equal & needed == needed
    }

    /// How many bytes the lead has.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.length as usize
    }
}

impl Shape {
    /// Nothing is remembered yet of objects at so many nodes.
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            leads: Box::new([Lead::NONE; LEADS]),
            first: vec![UNKNOWN; nodes],
            learning: true,
        }
    }

    /// Remembers nothing from now on.
    #[cfg(test)]
    pub(super) fn forget(&mut self) {
        *self = Self {
            learning: false,
            ..Self::new(0)
        };
    }

    /// The lead that the object of a node will begin with, most likely.
    #[inline(always)]
    pub(super) fn first(&self, parent: Node) -> LeadId {
        self.first.get(parent as usize).copied().unwrap_or(UNKNOWN)
    }

    /// A lead by its number.
    #[inline(always)]
    pub(super) fn lead(&self, id: LeadId) -> &Lead {
        &self.leads[id as usize]
    }

    /// The lead that stands at a place where not the expected one stands: one of those behind it, if fields are left out,
    /// or the one that was expected here before.
    #[inline(never)]
    pub(super) fn guess(
        &self,
        previous: Option<LeadId>,
        expected: LeadId,
        input: Input<'_>,
        at: usize,
    ) -> Option<LeadId> {
        let stands = |id: &LeadId| self.lead(*id).stands_at(input, at);
        let behind = std::iter::successors(Some(self.lead(expected).next), |id| Some(self.lead(*id).next));
        let other = previous.map(|id| self.lead(id).other);
        behind.take(LEFT_OUT).chain(other).find(stands)
    }

    /// Remembers what was read behind a lead (none: at the beginning of the object), and answers with its number.
    pub(super) fn learn(
        &mut self,
        after: Option<LeadId>,
        parent: Node,
        read: &[u8],
        node: Node,
        kind: LeadKind,
    ) -> LeadId {
        if !self.learning || read.len() > CHUNKS * WIDTH {
            return UNKNOWN;
        }
        let mut bytes = [[0; WIDTH]; CHUNKS];
        if let Some(to) = bytes.as_flattened_mut().get_mut(..read.len()) {
            to.copy_from_slice(read);
        }
        let owner = parent << 1 | Owner::from(after.is_none());
        let Some(id) = self.place(&bytes, owner) else {
            return UNKNOWN;
        };
        let lead = &mut self.leads[id as usize];
        if lead.bytes == bytes {
            lead.kind = kind;
        } else {
            let needed = (1 << read.len().min(WIDTH)) - 1;
            let length = read.len() as u8;
            *lead = Lead {
                bytes,
                owner,
                node,
                needed,
                length,
                next: UNKNOWN,
                other: UNKNOWN,
                kind,
            };
        }
        match after {
            // Leads of all objects come behind this one.
            Some(UNKNOWN) => {}
            Some(previous) => {
                let previous = &mut self.leads[previous as usize];
                previous.other = std::mem::replace(&mut previous.next, id);
            }
            None => self
                .first
                .iter_mut()
                .skip(parent as usize)
                .take(1)
                .for_each(|first| *first = id),
        }
        id
    }

    /// The number for a lead: that of an equal one, or else one that is free or displaces another of the same owner. So a
    /// number never changes its owner, and chains never lead from object to object or back to an object's beginning.
    fn place(&self, bytes: &[[u8; WIDTH]; CHUNKS], owner: Owner) -> Option<LeadId> {
        let hashed = hash(bytes.as_flattened(), owner);
        let near = (0..NEAR)
            .map(|step| hashed.wrapping_add(step))
            .filter(|id| *id != UNKNOWN);
        let lead = |id: &LeadId| self.lead(*id);
        let mut usable = near.filter(|id| lead(id).owner == owner || lead(id).owner == NOBODY);
        let first = usable.clone().next();
        usable
            .find(|id| lead(id).owner == owner && lead(id).bytes == *bytes)
            .or(first)
    }
}

/// The number of a lead. Zeros behind its bytes tell its length, for no lead has a zero byte.
fn hash(bytes: &[u8], owner: Owner) -> LeadId {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, _) = bytes.as_chunks::<8>();
    let mixed = words.iter().fold(u64::from(owner), |hash, word| {
        (hash ^ u64::from_le_bytes(*word)).wrapping_mul(ODD).rotate_left(29)
    });
    (mixed.wrapping_mul(ODD) >> 32) as LeadId
}
